"""What a query asks of spend: filters, narrowed to what the key may see, spans of time, dimensions, and cursors."""

from collections.abc import Mapping
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from projections.api.asked import FILTERS, OF_A_WORKSPACE, PLATFORM_FILTERS, choice_of, label_of, name_of
from projections.api.parameters import cursor_of, decoded_cursor, invalid
from projections.api.periods import microseconds_now, require_workspace, understood
from projections.api.sight import Sight
from projections.spend.asking import (
    DIMENSIONS,
    EVERY_NAMED,
    Every,
    PeriodAsked,
    checked,
    dimensions_of,
    edges_of,
    spend_period,
    zone_of,
)
from projections.spend.found import BEGINNING, SpendFilters, SpendPlace
from projections.spend.shown import Shape

__all__ = [
    "EVERY_DEFAULT",
    "OF_REQUESTS",
    "SPEND_LABELLED",
    "SpendAsked",
    "dimensions_seen",
    "next_spend_cursor",
    "spend_asked",
]

EVERY_DEFAULT = "day"
SPEND_LABELLED = ("workflow", "run", "step")
OF_REQUESTS = ("end_user", "step")
"""Dimensions that only the requests of one workspace know."""


class SpendAsked(msgspec.Struct, frozen=True):
    """What is asked for; `filters` are None where the key may see none of it."""

    filters: SpendFilters | None
    every: Every
    zone_name: str
    period: PeriodAsked
    shape: Shape
    after: SpendPlace
    listing: str


class SpendCursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: of which listing, of which period, at which row."""

    listing: str
    period: PeriodAsked
    place: SpendPlace


_cursor_decoder = msgspec.json.Decoder(SpendCursor)


def spend_asked(query: Mapping[str, str], sight: Sight, zone_name: str) -> SpendAsked:
    """Return what a query asks for, as far as the key may see it; else refuse and name the parameter."""
    require_workspace(query, sight, (*OF_A_WORKSPACE, *OF_REQUESTS))
    every = EVERY_NAMED.get(query.get("every", EVERY_DEFAULT))
    if every is None:
        raise invalid("every", f"it is one of {', '.join(EVERY_NAMED)}")
    with understood():
        by = dimensions_of(query.get("by"), dimensions_seen(sight))
        zone = zone_of(zone_name)
    if sight.workspace_id is None and not set(OF_REQUESTS).isdisjoint(by):
        raise invalid("workspace_id", f"by {' or '.join(OF_REQUESTS)}, say in which workspace")
    filters = narrowed(filters_of(query, sight), sight)
    told = (sight, filters, every, zone_name, by, query.get("from"), query.get("to"))
    listing = blake2b(msgspec.json.encode(told), digest_size=8).hexdigest()
    cursor = decoded_cursor(query, _cursor_decoder)
    if cursor is not None and cursor.listing != listing:
        raise invalid("cursor", "it belongs to another listing")
    with understood():
        # Without a period of its own a query goes on in the one of its first page.
        period = spend_period(query, zone, microseconds_now()) if cursor is None else checked(cursor.period)
        edges = edges_of(period, every, zone)
    after = BEGINNING if cursor is None else cursor.place
    if not 0 <= after.span <= len(edges) or any("\0" in text for text in msgspec.structs.astuple(after)[1:]):
        raise invalid("cursor", "it belongs to another listing")
    return SpendAsked(filters, every, zone_name, period, Shape(edges, period.end, zone, by), after, listing)


def next_spend_cursor(asked: SpendAsked, last: SpendPlace | None) -> str | None:
    """Return the cursor that leads behind a row, None at the end."""
    return None if last is None else cursor_of(SpendCursor(asked.listing, asked.period, last))


def dimensions_seen(sight: Sight) -> tuple[str, ...]:
    """Return the dimensions that a key may ask for."""
    return tuple(name for name in DIMENSIONS if sight.is_platform or name not in PLATFORM_FILTERS)


def filters_of(query: Mapping[str, str], sight: Sight) -> SpendFilters:
    """Return the filters of a query, else refuse and name the parameter."""
    return SpendFilters(
        workspace_id=sight.workspace_id,
        **{name: name_of(query, name) for name in FILTERS},
        **{name: label_of(query, name) for name in SPEND_LABELLED},
        tier=choice_of(query, "tier"),
    )


def narrowed(filters: SpendFilters, sight: Sight) -> SpendFilters | None:
    """Return filters that leave only what the key may see; None where they ask for what it may not."""
    for name, own in (("project", sight.project_id), ("key", sight.api_key_id)):
        if own is not None:
            if getattr(filters, name) not in {None, own}:
                return None
            filters = replace(filters, **{name: own})
    return filters
