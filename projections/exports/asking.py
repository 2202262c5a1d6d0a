"""What an export is asked for in texts, as parameters of a page and options of a command are. Pure."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo

import msgspec

from ledger.core.commands import Instant, to_microseconds
from projections.days import first_instant
from projections.exports.scope import Scope
from projections.spend.asking import AskedWrongly, zone_of

__all__ = ["scope_asked"]

YEARS = range(1970, 9999)
MOMENT_RULE = "it is a day such as 2026-11-01, or an instant with its time zone such as 2026-11-01T00:00:00Z"


def scope_asked(asked: Mapping[str, str], workspace_id: str | None, own_zone: str | None) -> Scope:
    """Return the scope that `from`, `to` and `zone` mean; days are the workspace's own, UTC's over all workspaces.

    Raises AskedWrongly for texts that mean nothing, and for a period that ends before it begins.
    """
    has_days = "from" in asked or "to" in asked
    name = asked.get("zone") or own_zone or ("UTC" if has_days else None)
    zone = UTC if name is None else zone_of(name)
    begin, end = moment_of(asked, "from", zone), moment_of(asked, "to", zone)
    if begin is not None and end is not None and end <= begin:
        raise AskedWrongly("to", "the period must end after it begins")
    return Scope(workspace_id, begin, end, name)


def moment_of(asked: Mapping[str, str], field: str, zone: tzinfo) -> int | None:
    """Return the instant (microseconds since 1970) that a text means: the first of a day, or one with its own zone."""
    text = asked.get(field)
    if text is None:
        return None
    try:
        if "T" in text:
            exact: datetime = msgspec.convert(text, Instant)
            year, instant = exact.astimezone(UTC).year, to_microseconds(exact)
        else:
            day = date.fromisoformat(text)
            year, instant = day.year, first_instant(day, zone)
    except (ValueError, OverflowError, msgspec.ValidationError):
        raise AskedWrongly(field, MOMENT_RULE) from None
    if year not in YEARS:
        raise AskedWrongly(field, MOMENT_RULE)
    return instant
