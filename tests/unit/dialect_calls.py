"""Calls of every interface, made by hand."""

import json
from typing import Any

from gateway.dialects.calls import CallBody, read_call
from gateway.dialects.surface import PATHS, Interface

INTERFACES: tuple[Interface, ...] = tuple(PATHS)


BASE: dict[Interface, dict[str, Any]] = {
    "chat": {"model": "smart", "messages": []},
    "responses": {"model": "smart", "input": ""},
    "messages": {"model": "smart", "messages": []},
    "embeddings": {"model": "smart", "input": ""},
}


def call_of(interface: Interface, **members: Any) -> CallBody:
    """Return a call read from a body with these members."""
    return read_call(interface, json.dumps(BASE[interface] | members).encode())
