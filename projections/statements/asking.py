"""A month such as `2026-10` in a time zone → its first instant and that of the next one. Pure."""

import re
from datetime import date

import msgspec

from projections.days import first_instant
from projections.spend.asking import AskedWrongly, zone_of
from projections.spend.zones import EARLIEST

__all__ = ["MONTH_PATTERN", "Month", "month_of"]

MONTH_PATTERN = re.compile(r"(?:19[89]|[2-9][0-9]{2})[0-9]-(?:0[1-9]|1[0-2])\Z")
LAST_YEAR = 9998


class Month(msgspec.Struct, frozen=True):
    """A month in a time zone: from `begin` until before `end`, in microseconds since 1970."""

    name: str
    zone_name: str
    begin: int
    end: int


def month_of(name: str, zone_name: str) -> Month:
    """Return the month of a name. Raises AskedWrongly."""
    zone = zone_of(zone_name)
    if not MONTH_PATTERN.match(name) or int(name[:4]) > LAST_YEAR:
        raise AskedWrongly("month", f"it is a month such as 2026-10, between 1980 and {LAST_YEAR}")
    first = date.fromisoformat(f"{name}-01")
    following = date(first.year + first.month // 12, first.month % 12 + 1, 1)
    begin = first_instant(first, zone)
    if begin < EARLIEST:
        raise AskedWrongly("month", f"it is a month such as 2026-10, between 1980 and {LAST_YEAR}")
    return Month(name, zone_name, begin, first_instant(following, zone))
