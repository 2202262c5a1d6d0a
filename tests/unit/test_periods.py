"""Months of finance: where they begin and end on every clock, which is the last, and what a young book may not do."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.catalog.state import Catalog
from ledger.core.identifiers import PERIOD_PATTERN
from ledger.events import Event, Fact
from ledger.workspace.commands import ClosePeriod, ReopenPeriod
from ledger.workspace.events import AccountBalance, PeriodClosed, PeriodReopened, WorkspaceCreated
from ledger.workspace.periods import (
    AccountSums,
    add_sums,
    balances_of,
    before,
    begin_of,
    end_of,
    numbered,
    open_from,
    period_at,
    period_begun_at,
)
from ledger.workspace.state import WorkspaceState, fold_workspace
from projections.closed_periods import platform_differences
from projections.days import first_instant
from tests.unit.golden_facts import FACTS

ZONES = (
    "UTC", "Asia/Shanghai", "America/New_York", "Europe/London", "Asia/Kolkata", "Asia/Beirut", "Pacific/Kiritimati",
    "Pacific/Apia", "Etc/GMT+12", "America/Sao_Paulo", "Africa/Cairo", "Australia/Lord_Howe",
)  # fmt: skip
zones = st.sampled_from(ZONES)
years, months = st.integers(1971, 2037), st.integers(1, 12)


def closed(*periods: str, reopened: str = "", time_zone: str = "UTC") -> WorkspaceState:
    """Return a workspace that has closed months in turn, and reopened one of them."""
    state = fold_workspace(WorkspaceState("acme"), WorkspaceCreated(time_zone))
    for period in periods:
        state = fold_workspace(state, PeriodClosed(period, end_of(period, time_zone)))
    return fold_workspace(state, PeriodReopened(reopened)) if reopened else state


@given(year=years, month=months, zone=zones)
def test_a_month_ends_where_the_days_of_the_journal_say(year: int, month: int, zone: str) -> None:
    """The first instant after a month is the first one of a day of the same zone, as movements count days."""
    period = f"{year}-{month:02}"
    following = date(year + month // 12, month % 12 + 1, 1)
    assert end_of(period, zone) == first_instant(following, ZoneInfo(zone))
    assert begin_of(period, zone) == first_instant(date(year, month, 1), ZoneInfo(zone))
    assert period_begun_at(end_of(period, zone)) == f"{following:%Y-%m}"
    assert before(f"{following:%Y-%m}") == period


@given(year=years, month=months, zone=zones, part=st.floats(0, 1, exclude_max=True))
def test_every_instant_is_in_the_month_that_has_it(year: int, month: int, zone: str, part: float) -> None:
    """From its first instant until before its end an instant is the month's, at the edges too."""
    period = f"{year}-{month:02}"
    begin, end = begin_of(period, zone), end_of(period, zone)
    for instant in (begin, begin + int((end - begin) * part), end - 1):
        assert period_at(instant, zone) == period
    assert period_at(end, zone) > period > period_at(begin - 1, zone)


@pytest.mark.parametrize(
    ("text", "is_month"),
    [("2026-10", True), ("1970-01", True), ("2999-12", True), ("2026-13", False), ("2026-00", False),
     ("1969-12", False), ("26-10", False), ("2026-1", False), ("2026-10-01", False), ("2026-10\n", False)],
)  # fmt: skip
def test_a_month_is_written_in_one_way(text: str, is_month: bool) -> None:
    """Four digits, a dash, two digits: then months are in the order of their texts."""
    assert (PERIOD_PATTERN.match(text) is not None) == is_month


def test_closings_are_numbered_by_how_often_they_were_undone() -> None:
    """Closing a closed month and reopening a reopened one have the numbers of what was done already."""
    close, reopen = ClosePeriod(period="2026-08"), ReopenPeriod(period="2026-08")
    once, undone = closed("2026-08"), closed("2026-08", reopened="2026-08")
    assert [numbered(close, state).closing for state in (closed(), once, undone)] == [1, 1, 2]
    assert [numbered(reopen, state).closing for state in (closed(), once, undone)] == [1, 1, 1]
    stated = ClosePeriod(period="2026-08", closing=7)
    assert numbered(stated, once) is stated


def test_a_book_is_open_from_the_end_of_its_last_closed_month() -> None:
    """Its own or the platform's, whichever is later, each by the book's own clocks; from ever with neither."""
    none, august = Catalog(), Catalog(closed_period="2026-08")
    assert open_from(closed(), none) == 0
    assert open_from(closed("2026-07", "2026-09"), august) == end_of("2026-09", "UTC")
    for state in (closed(time_zone="Asia/Shanghai"), closed("2026-07", time_zone="Asia/Shanghai")):
        assert open_from(state, august) == end_of("2026-08", "Asia/Shanghai")
    undone = closed("2026-07", "2026-08", reopened="2026-08")
    assert (undone.closed_period, open_from(undone, none)) == ("2026-07", end_of("2026-07", "UTC"))


def test_sums_keep_buckets_apart_and_leave_out_what_is_zero() -> None:
    """Balances add up within their own bucket and account, and are stated in order."""
    sums: AccountSums = {}
    add_sums(sums, [AccountBalance("rmb", "a", 2), AccountBalance("credit", "a", 5), AccountBalance("credit", "b", 1)])
    add_sums(sums, [AccountBalance("credit", "b", -1), AccountBalance("rmb", "a", 3)])
    assert balances_of(sums) == (AccountBalance("credit", "a", 5), AccountBalance("rmb", "a", 5))


def test_a_replay_tells_by_positions_which_closing_the_platform_summed() -> None:
    """Closings after the platform's count for nothing, books that were made later neither; an open one is named."""
    fact = next(iter(FACTS.values()))

    def at(position: int, event: Event) -> Fact:
        return replace(fact, catalog_position=position, event=event)

    def stating(minor: int) -> PeriodClosed:
        return PeriodClosed("2026-08", 5, (AccountBalance("credit", "promotion", minor),))

    created = WorkspaceCreated()
    books = {
        "platform": [at(0, created), at(4, stating(7))],
        "acme": [at(0, created), at(3, stating(7)), at(5, PeriodReopened("2026-08")), at(5, stating(9))],
        "young": [at(5, created), at(5, stating(100))],
    }
    assert list(platform_differences(books, 5)) == []
    books["open"] = [at(4, created)]
    books["acme"][1] = at(3, stating(8))
    assert list(platform_differences(books, 4)) == []
    assert list(platform_differences(books, 5)) == [
        ("period 2026-08", "closed in open", "open"),
        ("period 2026-08 credit promotion", 8, 7),
    ]
