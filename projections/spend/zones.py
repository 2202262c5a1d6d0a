"""Days and hours as the clocks of a time zone show them, in microseconds since 1970. Pure.

A day begins with its first instant in the zone: some have 23 or 25 hours, and not every one begins at 00:00.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from ledger.core.commands import to_datetime, to_microseconds
from ledger.workspace.budgets import is_time_zone
from projections.days import day_of, first_instant
from projections.route_ledger.spending import QUARTER_MICROSECONDS, quarter_of

__all__ = ["EARLIEST", "day_edges", "hour_edges", "is_midnight", "stated", "zone_named"]

EARLIEST = to_microseconds(datetime(1980, 1, 1, tzinfo=UTC))
"""Before, clocks of some zones were off by parts of a quarter of an hour."""

QUARTERS_OF_AN_HOUR = 4
ONE_DAY = timedelta(days=1)


def zone_named(name: str) -> tzinfo | None:
    """Return the time zone of a name such as `Asia/Shanghai`; None where there is no such zone."""
    return ZoneInfo(name) if is_time_zone(name) else None


def is_midnight(instant: int, zone: tzinfo) -> bool:
    """Return whether a day begins at an instant."""
    return first_instant(day_of(instant, zone), zone) == instant


def stated(instant: int, zone: tzinfo) -> str:
    """Return an instant as the clocks of the zone show it, with their distance from UTC."""
    return to_datetime(instant).astimezone(zone).isoformat()


def day_edges(begin: int, end: int, zone: tzinfo) -> list[int]:
    """Return where the days of a period begin: its own begin, then each day's that begins within it."""
    edges = [begin]
    day = day_of(begin, zone)
    while True:
        day += ONE_DAY
        edge = first_instant(day, zone)
        if edge >= end:
            return edges
        # A zone that moved across the date line has skipped a day: it has no instant.
        if edge > edges[-1]:
            edges.append(edge)


def hour_edges(begin: int, end: int, zone: tzinfo) -> list[int]:
    """Return where the hours of a period begin: its own begin, then wherever the clocks show a full hour."""
    edges = [begin]
    edge = quarter_of(begin)
    while True:
        edge = next_hour(edge, zone)
        if edge >= end:
            return edges
        edges.append(edge)


def next_hour(instant: int, zone: tzinfo) -> int:
    """Return the next quarter of an hour at which the clocks show a full hour; a shift of the clocks may move it."""
    minute = to_datetime(instant).astimezone(zone).minute
    following = instant + (QUARTERS_OF_AN_HOUR - minute // 15) * QUARTER_MICROSECONDS
    while to_datetime(following).astimezone(zone).minute >= 15:
        following += QUARTER_MICROSECONDS
    return following
