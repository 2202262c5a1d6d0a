"""Laying a later usage block over an earlier one of the same answer."""

from typing import Any

DEPTH_MAX = 4
"""Deeper than any block of any upstream; what lies below is replaced whole."""


def overlay(old: dict[str, Any], new: dict[str, Any], depth: int = DEPTH_MAX) -> dict[str, Any]:
    """Return the old block with what the new one says: overwritten, never added, and zeros erase nothing."""
    merged = dict(old)
    for name, value in new.items():
        before = merged.get(name)
        if isinstance(value, dict) and isinstance(before, dict) and depth > 0:
            merged[name] = overlay(before, value, depth - 1)
        elif not says_nothing(value) or name not in merged or says_nothing(before):
            merged[name] = value
    return merged


def says_nothing(value: object) -> bool:
    """Tell whether a value is what servers send for "I don't say": null, a zero, nothing in a list or object."""
    if isinstance(value, bool):
        return False
    return value is None or value == 0 or value in ([], {}, "")
