"""What a read may be asked with: strict query parameters, and cursors that belong to one listing."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec
from litestar.types import HTTPScope

from ledger.api.problems import HttpRefused
from ledger.api.refusal_table import HttpRefusal

__all__ = ["LIMIT_DEFAULT", "LIMIT_MAX", "Place", "cursor_of", "place_of", "query_of", "whole_number"]

LIMIT_DEFAULT = 50
LIMIT_MAX = 200
POSITION_MAX = 2**63 - 1


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: in which listing, at which position, and in which bucket where that matters."""

    listing: str
    position: int = 0
    bucket: str = ""


_decoder = msgspec.json.Decoder(Place)


def query_of(scope: HTTPScope, known: frozenset[str]) -> Mapping[str, str]:
    """Return the query parameters; an unknown, repeated or undecodable one is refused and named."""
    try:
        pairs = parse_qsl(
            scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(scope["query_string"]),
            errors="strict",
            max_num_fields=20,
        )
    except ValueError:
        raise HttpRefused(HttpRefusal.FIELD_INVALID, "the query is malformed") from None
    query: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise invalid(name[:64], "there is no such parameter")
        if name in query:
            raise invalid(name, "it stands twice")
        query[name] = value
    return query


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
    cursor = query.get("cursor")
    if cursor is None:
        return Place(listing)
    try:
        place = _decoder.decode(urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except (ValueError, msgspec.MsgspecError):
        raise invalid("cursor", "it is none of ours: use next_cursor as it was answered") from None
    if place.listing != listing or not 0 <= place.position <= POSITION_MAX or "\0" in place.bucket:
        raise invalid("cursor", "it belongs to another listing")
    return place


def cursor_of(place: Place) -> str:
    """Return the text of a place, to be sent back for the page after it."""
    return urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode("ascii")


def invalid(field: str, detail: str) -> HttpRefused:
    """Return the refusal of a parameter."""
    return HttpRefused(HttpRefusal.FIELD_INVALID, f"{field}: {detail}", field=field)
