"""What a read may be asked with: strict query parameters, and cursors that belong to one listing."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from ledger.api.parameters import invalid, query_of
from ledger.core.refusals import Refusal, Refused

__all__ = [
    "AT_LEAST",
    "LIMIT_DEFAULT",
    "LIMIT_MAX",
    "POSITION_MAX",
    "Place",
    "behind",
    "cursor_of",
    "decoded_cursor",
    "invalid",
    "place_of",
    "query_of",
    "whole_number",
]

T = TypeVar("T")

AT_LEAST = "at_least_position"

LIMIT_DEFAULT = 50
LIMIT_MAX = 200
POSITION_MAX = 2**63 - 1


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: in which listing, at which position, and in which bucket where that matters."""

    listing: str
    position: int = 0
    bucket: str = ""


_decoder = msgspec.json.Decoder(Place)


def whole_number(query: Mapping[str, str], name: str, default: int, minimum: int, maximum: int) -> int:
    """Return a parameter that is a whole number within bounds, else refuse."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 19 and minimum <= int(text) <= maximum):
        raise invalid(name, f"it must be a whole number between {minimum} and {maximum}")
    return int(text)


def place_of(query: Mapping[str, str], listing: str) -> Place:
    """Return where the page before ended, the beginning without a cursor. A cursor of another listing is refused."""
    place = decoded_cursor(query, _decoder)
    if place is None:
        return Place(listing)
    if place.listing != listing or not 0 <= place.position <= POSITION_MAX or "\0" in place.bucket:
        raise invalid("cursor", "it belongs to another listing")
    return place


def decoded_cursor(query: Mapping[str, str], decoder: msgspec.json.Decoder[T]) -> T | None:
    """Return what a cursor says, None without one. What is none is refused."""
    cursor = query.get("cursor")
    if cursor is None:
        return None
    try:
        return decoder.decode(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except (ValueError, msgspec.MsgspecError):
        raise invalid("cursor", "it is none of ours: use next_cursor as it was answered") from None


def cursor_of(place: msgspec.Struct) -> str:
    """Return the text of a place, to be sent back for the page after it."""
    return urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode("ascii")


def behind(reached: int, wanted: int) -> Refused:
    """Return the refusal of a position that is not reached yet. It may be soon, so it is worth asking again."""
    return Refused(
        Refusal.UNAVAILABLE,
        f"position {wanted} is not there yet: {reached} is reached",
        position=reached,
        at_least_position=wanted,
    )
