"""Days of a time zone as numbers: every instant has one, whatever the clocks do."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.commands import to_microseconds
from projections.days import Calendar

ZONES = ("UTC", "Asia/Shanghai", "Asia/Kolkata", "America/New_York", "America/Havana", "Pacific/Apia", "Asia/Beirut")
HOUR = 3_600_000_000
LATEST = to_microseconds(datetime(2090, 1, 1, tzinfo=UTC))


@given(st.sampled_from(ZONES), st.lists(st.integers(0, LATEST), min_size=1, max_size=20))
def test_every_instant_lies_in_its_day(zone: str, instants: list[int]) -> None:
    """A day begins at or before its instants and ends after them, in whatever order they are asked for."""
    calendar = Calendar(zone)
    for instant in instants:
        day = calendar.day_of(instant)
        assert calendar.begin_of(day) <= instant < calendar.begin_of(day + 1)


@given(st.sampled_from(ZONES), st.integers(0, LATEST), st.integers(0, 40 * HOUR))
def test_later_instants_are_never_of_an_earlier_day(zone: str, instant: int, later: int) -> None:
    """Days follow time, also where clocks are put back over midnight."""
    assert Calendar(zone).day_of(instant) <= Calendar(zone).day_of(instant + later)


@pytest.mark.parametrize(
    ("zone", "begin"),
    [
        ("UTC", datetime(2026, 11, 1, tzinfo=UTC)),
        ("Asia/Shanghai", datetime(2026, 10, 31, 16, tzinfo=UTC)),
        ("Asia/Kolkata", datetime(2026, 10, 31, 18, 30, tzinfo=UTC)),
        ("America/New_York", datetime(2026, 11, 1, 4, tzinfo=UTC)),
    ],
)
def test_a_month_begins_where_the_zone_says(zone: str, begin: datetime) -> None:
    """The first instant of a day is that of the zone's own clocks, and one microsecond earlier is the day before."""
    day = (date(2026, 11, 1) - date(1970, 1, 1)).days
    calendar, instant = Calendar(zone), to_microseconds(begin)
    assert calendar.begin_of(day) == instant
    assert [calendar.day_of(instant - 1), calendar.day_of(instant)] == [day - 1, day]


def test_clocks_put_back_over_midnight_do_not_bring_a_day_back() -> None:
    """In Havana the first hour of 2024-11-03 was shown twice: both are of that day, which has 25 hours."""
    calendar = Calendar("America/Havana")
    day = calendar.day_of(to_microseconds(datetime(2024, 11, 3, 4, 30, tzinfo=UTC)))
    again = calendar.day_of(to_microseconds(datetime(2024, 11, 3, 5, 30, tzinfo=UTC)))
    assert (again, calendar.begin_of(day + 1) - calendar.begin_of(day)) == (day, 25 * HOUR)
    assert day == (date(2024, 11, 3) - date(1970, 1, 1)).days
    assert timedelta(microseconds=calendar.begin_of(day)) == timedelta(days=day, hours=4)
