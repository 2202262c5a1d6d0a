"""How long an upstream asks to wait, in every form that needs no clock."""

import re
from collections.abc import Iterator, Mapping

RESETS = ("requests", "tokens")
_NUMBER = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?\Z")
_SPAN = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6}(?:\.[0-9]{1,9})?)s)?(?:([0-9]{1,9})ms)?\Z")


def read_waiting(headers: Mapping[str, str], error: object = None) -> float | None:
    """Return for how many seconds an upstream asks to be left alone, or None where it doesn't say.

    A date would need a clock, and is taken as nothing said.
    """
    milliseconds = headers.get("retry-after-ms", "")
    if _NUMBER.match(milliseconds):
        return float(milliseconds) / 1000
    seconds = span_seconds(headers.get("retry-after", ""))
    if seconds is not None:
        return seconds
    delays = [seconds for text in _delays(error) if (seconds := span_seconds(text)) is not None]
    return max(delays) if delays else _until_reset(headers)


def span_seconds(text: str) -> float | None:
    """Return a span of time as seconds: `20`, `1.5`, `6m0s`, `120ms`; None for anything else."""
    if _NUMBER.match(text):
        return float(text)
    found = _SPAN.match(text)
    if found is None or not text:
        return None
    hours, minutes, seconds, milliseconds = (float(each or 0) for each in found.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def _until_reset(headers: Mapping[str, str]) -> float | None:
    # What is used up tells which limit was hit; where nothing is, the sooner of both is tried.
    spent: list[float] = []
    others: list[float] = []
    for name in RESETS:
        seconds = span_seconds(headers.get(f"x-ratelimit-reset-{name}", ""))
        if seconds is not None:
            (spent if headers.get(f"x-ratelimit-remaining-{name}") == "0" else others).append(seconds)
    return max(spent) if spent else min(others, default=None)


def _delays(error: object) -> Iterator[str]:
    # Google's errors say it in their details.
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else []:
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str):
            yield delay
