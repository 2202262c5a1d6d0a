"""Pieces of an answer: ready bytes that are sent one by one, mostly server-sent events."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

Json = dict[str, object]

CREATED = 1_767_225_600
"""2026-01-01: answers are the same every time, so they were all made at one instant."""


class Piece(Struct, frozen=True):
    """Bytes that are sent together, and how many bytes of generated text are in them."""

    data: bytes
    content_bytes: int = 0


def data_event(data: Mapping[str, object]) -> bytes:
    """Return a server-sent event without a name."""
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def named_event(data: Mapping[str, object]) -> bytes:
    """Return a server-sent event that is named by its type."""
    return b"event: " + str(data["type"]).encode() + b"\n" + data_event(data)
