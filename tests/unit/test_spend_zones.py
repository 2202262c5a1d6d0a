"""Days and hours as clocks show them: where they begin, whatever clocks and calendars do in a zone."""

from datetime import date, datetime, tzinfo

import pytest

from ledger.core.commands import to_microseconds
from ledger.workspace.budgets import is_time_zone
from projections.days import first_instant
from projections.route_ledger.spending import QUARTER_MICROSECONDS
from projections.spend.asking import AskedWrongly, change_question, dimensions_of, edges_of, spend_period, zone_of
from projections.spend.zones import day_edges, hour_edges, is_midnight, stated

NOW = "2026-11-22T02:03:04Z"


def told(edges: list[int], zone: tzinfo) -> list[str]:
    """Return edges as the clocks of a zone show them."""
    return [stated(edge, zone) for edge in edges]


def days(begin: str, end: str, name: str) -> list[str]:
    """Return where the days between two begin."""
    zone = zone_of(name)
    first, last = (first_instant(date.fromisoformat(text), zone) for text in (begin, end))
    return told(day_edges(first, last, zone), zone)


@pytest.mark.parametrize(
    ("begin", "end", "name", "expected"),
    [
        ("2011-12-29", "2012-01-01", "Pacific/Apia", ["2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"]),
        ("2018-11-03", "2018-11-05", "America/Sao_Paulo", ["2018-11-03T00:00:00-03:00", "2018-11-04T01:00:00-02:00"]),
        ("2025-11-02", "2025-11-04", "America/Havana", ["2025-11-02T00:00:00-04:00", "2025-11-03T00:00:00-05:00"]),
        ("2026-04-05", "2026-04-07", "Australia/Lord_Howe", ["2026-04-05T00:00:00+11:00", "2026-04-06T00:00:00+10:30"]),
    ],
)
def test_days_begin_with_their_first_instant(begin: str, end: str, name: str, expected: list[str]) -> None:
    """A day that a zone skipped is none, and one without a midnight, or with two of them, begins when it does."""
    assert days(begin, end, name) == expected


def test_hours_begin_where_clocks_show_them() -> None:
    """Behind a begin within an hour the next full one follows; half an hour that comes or goes moves the next."""
    zone = zone_of("Asia/Kolkata")
    begin = first_instant(date(2026, 1, 1), zone) + QUARTER_MICROSECONDS
    edges = hour_edges(begin, begin + 9 * QUARTER_MICROSECONDS, zone)
    assert told(edges, zone) == [
        "2026-01-01T00:15:00+05:30", "2026-01-01T01:00:00+05:30", "2026-01-01T02:00:00+05:30",
    ]  # fmt: skip
    howe = zone_of("Australia/Lord_Howe")
    for day, expected in (
        (date(2026, 4, 5), ["00:00:00+11:00", "01:00:00+11:00", "02:00:00+10:30", "03:00:00+10:30"]),
        (date(2026, 10, 4), ["00:00:00+10:30", "01:00:00+10:30", "03:00:00+11:00", "04:00:00+11:00"]),
    ):
        first = first_instant(day, howe)
        found = told(hour_edges(first, first + 24 * QUARTER_MICROSECONDS, howe), howe)
        assert [text[11:] for text in found[:4]] == expected


def test_days_of_every_zone_begin_with_a_quarter_of_an_hour() -> None:
    """What was spent is kept by the quarter, so that the days of any zone can be told."""
    names = (
        "Asia/Kathmandu",
        "Pacific/Chatham",
        "Australia/Eucla",
        "America/St_Johns",
        "Africa/Monrovia",
        "Asia/Tehran",
    )
    for name in names:
        assert is_time_zone(name)
        zone = zone_of(name)
        edges = day_edges(first_instant(date(2026, 1, 1), zone), first_instant(date(2027, 1, 1), zone), zone)
        assert len(edges) == 365
        assert not any(edge % QUARTER_MICROSECONDS for edge in edges)
        assert all(is_midnight(edge, zone) for edge in edges)


def test_periods_are_read_in_their_zone() -> None:
    """A day is its first instant in the zone; without any period seven days, full ones to be compared."""
    now = to_microseconds(datetime.fromisoformat(NOW))
    shanghai, new_york = zone_of("Asia/Shanghai"), zone_of("America/New_York")
    spent = spend_period({}, shanghai, now)
    assert told([spent.begin, spent.end], shanghai) == ["2026-11-16T00:00:00+08:00", "2026-11-23T00:00:00+08:00"]
    question = change_question({}, "America/New_York", now)
    edges = [question.before.begin, question.before.end, question.after.begin, question.after.end]
    assert told(edges, new_york) == [f"2026-11-{day}T00:00:00-05:00" for day in ("07", "14", "14", "21")]
    named = spend_period({"from": "2026-11-01", "to": "2026-11-02T12:15:00Z"}, shanghai, now)
    assert told([named.begin, named.end], shanghai) == ["2026-11-01T00:00:00+08:00", "2026-11-02T20:15:00+08:00"]


def test_too_much_at_once_is_refused_with_what_to_do() -> None:
    """Hours of five weeks, days of three years, and three dimensions are the most."""
    zone = zone_of("UTC")
    period = spend_period({"from": "2026-01-01", "to": "2026-02-06"}, zone, 0)
    with pytest.raises(AskedWrongly, match="ask by the day, or for less"):
        edges_of(period, "hour", zone)
    assert len(edges_of(period, "day", zone)) == 36
    assert edges_of(period, "none", zone) == [period.begin]
    with pytest.raises(AskedWrongly, match="at most 1100 days"):
        spend_period({"from": "2020-01-01", "to": "2026-01-01"}, zone, 0)
    with pytest.raises(AskedWrongly, match="up to 3 of"):
        dimensions_of("model,route,tier,key", ("model", "route", "tier", "key"))
    assert dimensions_of(None, ("model",)) == ()
