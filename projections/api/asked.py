"""What a query asks of the route ledger: filters, narrowed to what the key may see, and cursors that belong to them."""

from collections.abc import Mapping
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from ledger.api.parameters import moment
from ledger.core import identifiers as ids
from ledger.operating import MOMENT_MAX
from projections.api.parameters import AT_LEAST, POSITION_MAX, cursor_of, decoded_cursor, invalid
from projections.api.sight import Sight
from projections.route_ledger.listing import LastRequest, RequestFilters

__all__ = [
    "CHOICES", "FILTERS", "LABELLED", "OF_A_WORKSPACE", "PLATFORM_FILTERS", "Asked", "asked_of", "filters_of",
    "next_cursor",
]  # fmt: skip

FILTERS = {
    "project": ("project_id", ids.IDENTIFIER_PATTERN),
    "key": ("api_key_id", ids.API_KEY_PATTERN),
    "end_user": ("end_user", ids.HASH_PATTERN),
    "model": ("model", ids.MODEL_PATTERN),
    "route": ("route", ids.NAME_PATTERN),
    "bucket": ("bucket", ids.NAME_PATTERN),
    "provider": ("provider", ids.NAME_PATTERN),
}
"""Names that are asked for, by parameter: the field, and what such a name looks like."""

LABELLED = ("workflow", "run")
CHOICES: dict[str, tuple[str, ...]] = {
    "tier": ("direct", "ordinary"),
    "status": ("open", "settled", "failed", "cancelled", "expired"),
    "fallback": ("yes", "no"),
}
PLATFORM_FILTERS = frozenset({"provider"})
"""What a workspace's own key cannot even ask for."""

OF_A_WORKSPACE = ("project", "key", "end_user", "run", AT_LEAST)
"""What means something in one workspace only: a key of the platform names it beside."""


class Asked(msgspec.Struct, frozen=True):
    """Which requests are asked for and behind which place; `filters` are None where the key may see none of them."""

    filters: RequestFilters | None
    after: LastRequest | None
    listing: str


class RequestPlace(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: in which listing, and at which request."""

    listing: str
    last: LastRequest


_place_decoder = msgspec.json.Decoder(RequestPlace)


def asked_of(query: Mapping[str, str], sight: Sight, kind: str) -> Asked:
    """Return what a query asks for, as far as the key may see it. A cursor of another listing is refused."""
    filters = narrowed(filters_of(query, sight), sight)
    listing = blake2b(msgspec.json.encode((kind, sight, filters)), digest_size=8).hexdigest()
    place = decoded_cursor(query, _place_decoder)
    if place is not None and (place.listing != listing or not is_place(place.last)):
        raise invalid("cursor", "it belongs to another listing")
    return Asked(filters, None if place is None else place.last, listing)


def next_cursor(asked: Asked, last: LastRequest | None) -> str | None:
    """Return the cursor that leads behind a request, None at the end."""
    return None if last is None else cursor_of(RequestPlace(asked.listing, last))


def is_place(last: LastRequest) -> bool:
    """Return whether a place can be one: a cursor may have been made by anybody."""
    return (
        abs(last.began_at) <= POSITION_MAX
        and ids.WORKSPACE_PATTERN.match(last.workspace_id) is not None
        and ids.IDENTIFIER_PATTERN.match(last.request_id) is not None
    )


def filters_of(query: Mapping[str, str], sight: Sight) -> RequestFilters:
    """Return the filters of a query, else refuse and name the parameter."""
    for name in OF_A_WORKSPACE:
        if name in query and sight.workspace_id is None:
            raise invalid("workspace_id", f"say in which workspace {name} is meant")
    named = {field: name_of(query, name) for name, (field, _) in FILTERS.items()}
    fallback = choice_of(query, "fallback")
    return RequestFilters(
        workspace_id=sight.workspace_id,
        **named,
        **{name: label_of(query, name) for name in LABELLED},
        tier=choice_of(query, "tier"),
        status=choice_of(query, "status"),
        fallback=None if fallback is None else fallback == "yes",
        begin=moment(query, "from", 0),
        end=moment(query, "to", MOMENT_MAX),
    )


def narrowed(filters: RequestFilters, sight: Sight) -> RequestFilters | None:
    """Return filters that leave only what the key may see; None where they ask for what it may not."""
    for field, own in (("project_id", sight.project_id), ("api_key_id", sight.api_key_id)):
        if own is not None:
            if getattr(filters, field) not in {None, own}:
                return None
            filters = replace(filters, **{field: own})
    return filters


def name_of(query: Mapping[str, str], name: str) -> str | None:
    """Return a parameter that is a name, else refuse."""
    text = query.get(name)
    if text is not None and not FILTERS[name][1].match(text):
        raise invalid(name, "nothing has such a name")
    return text


def label_of(query: Mapping[str, str], name: str) -> str | None:
    """Return a parameter that is a label, else refuse."""
    text = query.get(name)
    if text is None:
        return None
    if ids.UNSAFE_PATTERN.search(text) or not 0 < len(text.encode()) <= ids.LABEL_LENGTH_MAX:
        raise invalid(name, f"it has 1 to {ids.LABEL_LENGTH_MAX} bytes and no control character")
    return text


def choice_of(query: Mapping[str, str], name: str) -> str | None:
    """Return a parameter that is one of a few words, else refuse."""
    text = query.get(name)
    if text is not None and text not in CHOICES[name]:
        raise invalid(name, f"it is one of {', '.join(CHOICES[name])}")
    return text
