"""Days of a time zone: their first instants, and as numbers, which millions of entries are posted to. Pure."""

from datetime import date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from ledger.core.commands import to_datetime, to_microseconds

__all__ = ["Calendar", "day_of", "first_instant"]

EPOCH = date(1970, 1, 1)
ONE_DAY = timedelta(days=1)


def first_instant(day: date, zone: tzinfo) -> int:
    """Return the first microsecond of a day."""
    return to_microseconds(datetime(day.year, day.month, day.day, tzinfo=zone))


def day_of(instant: int, zone: tzinfo) -> date:
    """Return the day that it is in the zone."""
    return to_datetime(instant).astimezone(zone).date()


class Calendar:
    """The days of a time zone, counted from 1970-01-01, which is day 0.

    A day lasts from its first instant to that of the next one, so that every instant has one day even where clocks
    are put back over midnight. The day that was asked for last is remembered: the next instant is mostly in it.
    """

    __slots__ = ("_begin", "_day", "_end", "zone")

    def __init__(self, time_zone: str = "UTC") -> None:
        self.zone = ZoneInfo(time_zone)
        self._day = 0
        self._begin = self._end = 0

    def begin_of(self, day: int) -> int:
        """Return the first microsecond of a day."""
        return first_instant(EPOCH + timedelta(days=day), self.zone)

    def day_of(self, instant: int) -> int:
        """Return the day of an instant (microseconds since 1970). Raises OverflowError past the calendar's end."""
        if not self._begin <= instant < self._end:
            self._turn_to(instant)
        return self._day

    def _turn_to(self, instant: int) -> None:
        day = day_of(instant, self.zone)
        # Clocks that are put back over midnight show a date again that is over.
        if first_instant(day + ONE_DAY, self.zone) <= instant:
            day += ONE_DAY
        elif first_instant(day, self.zone) > instant:
            day -= ONE_DAY
        self._begin, self._end = first_instant(day, self.zone), first_instant(day + ONE_DAY, self.zone)
        self._day = (day - EPOCH).days
