"""The moments at which balances are asked for: a position, a time of recording, or a time at which things happened.

Pure. An instant counts itself in; a day means its end, in the zone that is asked for or else in each workspace's own.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from ledger.core.commands import Instant, to_microseconds
from projections.days import first_instant
from projections.spend.asking import AskedWrongly, zone_of

__all__ = ["MOMENTS", "AsOf", "Moment", "MomentKind", "day_end", "moment_asked", "moment_of"]

MomentKind = Literal["position", "recorded", "effective"]
MOMENTS: dict[str, MomentKind] = {"position": "position", "recorded_at": "recorded", "effective_at": "effective"}
"""What a moment is of, by the parameter that asks for it."""

POSITION_MAX = 2**63 - 1
POSITION_PATTERN = re.compile(r"[0-9]{1,19}\Z")
DAY_PATTERN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
YEARS = range(1970, 9999)
POSITION_RULE = "it is a position of the book: a whole number"
MOMENT_RULE = "it is a day such as 2026-11-20, or an instant such as 2026-11-20T10:15:00Z, between 1970 and 9998"
ONE_DAY = timedelta(days=1)


class AsOf(msgspec.Struct, frozen=True):
    """Which entries of a book are counted: up to a position, that happened before an instant; None is no bound."""

    position: int | None = None
    effective_before: int | None = None


class Moment(msgspec.Struct, frozen=True):
    """A moment as it was asked for: a position, or the last instant (microseconds since 1970), or a day.

    A day ends in `zone`; without one, in each workspace's own.
    """

    kind: MomentKind
    position: int | None = None
    instant: int | None = None
    day: date | None = None
    zone: str | None = None

    def before(self, own_zone: str) -> int:
        """Return the first microsecond after this moment, for a workspace with a time zone. Not for a position."""
        if self.day is not None:
            return day_end(self.day, self.zone or own_zone)
        if self.instant is None:
            raise ValueError("a position is no time")
        return self.instant + 1


@lru_cache(maxsize=4096)
def day_end(day: date, zone: str) -> int:
    """Return the first microsecond after a day in a time zone."""
    return first_instant(day + ONE_DAY, ZoneInfo(zone))


def moment_asked(asked: Mapping[str, str]) -> Moment | None:
    """Return the moment that texts ask for by position, recorded_at or effective_at, with zone; None without any.

    Raises AskedWrongly for more than one of them and for texts that mean nothing.
    """
    named = [name for name in MOMENTS if name in asked]
    if len(named) > 1:
        raise AskedWrongly(named[1], f"ask for one moment: {', '.join(MOMENTS)}")
    zone = asked.get("zone")
    if zone is not None:
        if named not in (["recorded_at"], ["effective_at"]):
            raise AskedWrongly("zone", "it says where a day ends: name the day as recorded_at or effective_at")
        zone_of(zone)
    return moment_of(named[0], asked[named[0]], zone) if named else None


def moment_of(name: str, text: str, zone: str | None) -> Moment:
    """Return the moment that a text means for one of the three parameters. Raises AskedWrongly."""
    kind = MOMENTS[name]
    if kind == "position":
        if not POSITION_PATTERN.match(text) or int(text) > POSITION_MAX:
            raise AskedWrongly(name, POSITION_RULE)
        return Moment(kind, position=int(text))
    try:
        if DAY_PATTERN.match(text):
            day = date.fromisoformat(text)
            moment, year = Moment(kind, day=day, zone=zone), day.year
        else:
            exact: datetime = msgspec.convert(text, Instant)
            moment, year = Moment(kind, instant=to_microseconds(exact)), exact.astimezone(UTC).year
    except (ValueError, OverflowError, msgspec.ValidationError):
        raise AskedWrongly(name, MOMENT_RULE) from None
    if year not in YEARS:
        raise AskedWrongly(name, MOMENT_RULE)
    return moment
