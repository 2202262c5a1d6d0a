"""Query parameters, read strictly: what is unknown or stands twice is refused."""

from collections.abc import Mapping
from datetime import datetime
from urllib.parse import parse_qsl

import msgspec
from litestar.types import HTTPScope

from ledger.api.problems import HttpRefused
from ledger.api.refusal_table import HttpRefusal
from ledger.core.commands import Instant, to_microseconds


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


def moment(query: Mapping[str, str], name: str, default: int) -> int:
    """Return a parameter that is an instant with a time zone, in microseconds, else refuse."""
    text = query.get(name)
    if text is None:
        return default
    try:
        instant: datetime = msgspec.convert(text, Instant, strict=False)
        return to_microseconds(instant)
    except (msgspec.ValidationError, OverflowError):
        raise invalid(name, "it must be an instant such as 2026-11-21T10:00:00Z") from None


def invalid(field: str, detail: str) -> HttpRefused:
    """Return the refusal of a parameter."""
    return HttpRefused(HttpRefusal.FIELD_INVALID, f"{field}: {detail}", field=field)
