"""The platform's month: the sum of every book's own, closed last and reopened first, whoever else is at work."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest

from ledger.book import BookState
from ledger.catalog.state import Catalog
from ledger.core.commands import Command, to_microseconds
from ledger.core.refusals import Refusal
from ledger.decisions import Decision, decide
from ledger.events import Recorded
from ledger.service import Ledger, Outcome
from ledger.store import deciding, writer
from ledger.store.writing import write_batch
from ledger.workspace import commands as workspace
from ledger.workspace.events import AccountBalance, PeriodClosed
from ledger.workspace.periods import LAST_ON_EARTH, end_of
from projections.replay import replay
from tests.integration.periods_scene import (
    CLOSED,
    EARLIER,
    LATER,
    PLATFORM,
    close,
    facts_of,
    folded,
    grant,
    month,
    reopen,
    require_final,
    within,
)
from tests.integration.scenes import do, pay, record, refusals, set_up, workspace_commands

LATE = within(CLOSED)
ZONES = {"alpha": "Asia/Shanghai", "beta": "America/New_York", "omega": "UTC"}


@pytest.fixture
def books(ledger: Ledger) -> Ledger:
    """A ledger with three books in three time zones, one name before the platform's and two after it or the reverse."""
    set_up(ledger, "alpha", time_zone=ZONES["alpha"])
    for name in ("beta", "omega"):
        record(ledger, workspace_commands(name, time_zone=ZONES[name]))
    return ledger


def balances_of(recorded: Recorded) -> tuple[AccountBalance, ...]:
    """Return what a closing states."""
    event = recorded.fact.event
    assert isinstance(event, PeriodClosed)
    return event.balances


def summed(closings: list[Recorded]) -> Counter[tuple[str, str]]:
    """Return the sum of what closings state by bucket and account."""
    sums: Counter[tuple[str, str]] = Counter()
    for closing in closings:
        for each in balances_of(closing):
            sums[each.bucket, each.account] += each.balance_minor
    return sums


def close_all(ledger: Ledger, period: str = CLOSED) -> list[Recorded]:
    """Close a month of the three books."""
    return [do(ledger, close(period, name))[0] for name in ZONES]


def test_the_platform_closes_last_and_states_the_sum(books: Ledger, database_url: str) -> None:
    """While a book is open the closing is refused and names it; then it is the sum, each book by its own clocks."""
    for number, (name, zone) in enumerate(ZONES.items()):
        do(books, grant("g", str(10**number), within(CLOSED, zone, seconds_before_end=1), workspace_id=name))
        do(
            books,
            pay(name, "rmb", "7", "in", effective_at=LATE),
            grant("after", "500", within(LATER), workspace_id=name),
        )
    own = [do(books, close(CLOSED, name))[0] for name in ("alpha", "omega")]
    refused = books.execute(close(CLOSED, PLATFORM), "system").refused
    assert refused is not None
    assert (refused.code, refused.facts["open_books"]) == (Refusal.PERIOD_BOOKS_OPEN, ["beta"])
    own += do(books, close(CLOSED, "beta"))
    [closed] = do(books, close(CLOSED, PLATFORM))
    assert {(each.bucket, each.account): each.balance_minor for each in balances_of(closed)} == summed(own)
    assert summed(own)["credit", "promotion"] == 111_000_000
    assert closed.fact.event.until == end_of(CLOSED, "UTC")  # type: ignore[union-attr]
    assert [each for each in replay(database_url, verify=True).differences if "period" in each.what] == []


def test_books_and_the_platform_may_close_in_one_call(books: Ledger) -> None:
    """The platform's closing sees those of its own batch; a book that is made in it is open."""
    late = workspace.CreateWorkspace(workspace_id="zeta")
    closings = [close(CLOSED, name) for name in ZONES]
    asked = [*closings, late, close(CLOSED, PLATFORM), close(CLOSED, "zeta"), close(CLOSED, PLATFORM)]
    assert refusals(books, *asked) == [None, None, None, None, Refusal.PERIOD_BOOKS_OPEN, None, None]


def test_a_closed_month_of_the_platform_keeps_every_book_closed(books: Ledger, database_url: str) -> None:
    """No book reopens a month that the platform has closed; the platform reopens first."""
    own = close_all(books)
    do(books, close(CLOSED, PLATFORM))
    assert refusals(books, reopen(CLOSED, "alpha")) == [Refusal.PERIOD_CLOSED_BY_PLATFORM]
    do(books, close(LATER, "alpha"))
    do(books, reopen(LATER, "alpha"), reopen(CLOSED, PLATFORM), reopen(CLOSED, "alpha"))
    stays = do(books, grant("late", "3", LATE, workspace_id="alpha"))[0]
    assert stays.fact.served_at is None
    assert refusals(books, close(CLOSED, PLATFORM)) == [Refusal.PERIOD_BOOKS_OPEN]
    own[0] = do(books, close(CLOSED, "alpha"))[0]
    [closed] = do(books, close(CLOSED, PLATFORM))
    assert closed.command_id == f"@period_closed/{CLOSED}/2"
    assert {(each.bucket, each.account): each.balance_minor for each in balances_of(closed)} == summed(own)
    require_final(facts_of(database_url, "alpha"))
    assert [each for each in replay(database_url, verify=True).differences if "period" in each.what] == []


def test_a_replay_finds_a_platform_that_is_not_the_sum(books: Ledger, database_url: str) -> None:
    """A book that was reopened although the platform had closed, or states less than was summed, is a difference."""
    do(books, grant("g", "1", LATE, workspace_id="alpha"))
    close_all(books)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ledger.store.closing.add_sums", lambda sums, balances: None)
        do(books, close(CLOSED, PLATFORM))
    found = {
        each.what: (each.workspace_id, each.expected, each.found)
        for each in replay(database_url, verify=True).differences
    }
    assert found[f"period {CLOSED} credit promotion"] == (PLATFORM, "1000000", "0")


def test_the_platform_waits_until_the_month_has_ended_everywhere(books: Ledger) -> None:
    """A month that has ended by UTC alone is not the platform's to close: some book's might still run."""
    close_all(books)
    ends_at = end_of(CLOSED, LAST_ON_EARTH)
    assert ends_at == end_of(CLOSED, "UTC") + 12 * 3_600_000_000
    for now, refused in ((ends_at - 1, Refusal.PERIOD_NOT_ENDED), (ends_at, None)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(deciding, "decide", decided_at(now))
            assert refusals(books, close(CLOSED, PLATFORM)) == [refused]


def decided_at(now: int) -> Callable[..., Decision]:
    """Return the decision as it would be at another moment."""

    def at_that_moment(command: Command, actor: str, book: BookState, catalog: Catalog, _: int, more: Any) -> Decision:
        return decide(command, actor, book, catalog, now, more)

    return at_that_moment


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_a_book_that_is_made_after_the_closing_begins_behind_it(books: Ledger, database_url: str, zone: str) -> None:
    """A young book has closed nothing itself, yet what it is told of the platform's closed month is posted after it."""
    close_all(books)
    do(books, close(CLOSED, PLATFORM))
    record(books, workspace_commands("young", time_zone=zone))
    for process in (books, Ledger.open(database_url)):
        name = f"g{id(process)}"
        [late] = do(process, grant(name, "1", LATE, workspace_id="young"))
        assert (late.fact.effective_at, late.fact.happened_at) == (end_of(CLOSED, zone), to_microseconds(LATE))
        if process is not books:
            process.close()
    assert folded(facts_of(database_url, "young"), end_of(CLOSED, zone)) == ()
    do(books, close(CLOSED, "young"), reopen(CLOSED, PLATFORM))
    assert do(books, reopen(CLOSED, "young"), grant("open", "1", LATE, workspace_id="young"))[1].fact.served_at is None


def race(*acts: Callable[[], Outcome]) -> list[Outcome]:
    """Do several acts at the same time and return their outcomes."""
    barrier = Barrier(len(acts))

    def start(act: Callable[[], Outcome]) -> Outcome:
        barrier.wait()
        return act()

    with ThreadPoolExecutor(len(acts)) as threads:
        return list(threads.map(start, acts))


def asking(ledger: Ledger, command: Command) -> Callable[[], Outcome]:
    """Return what executes a command."""
    return lambda: ledger.execute(command, "system")


@pytest.mark.parametrize("name", ["alpha", "zulu"])
def test_a_reopening_races_with_the_platforms_closing(ledger: Ledger, database_url: str, name: str) -> None:
    """Either the month is reopened and the platform stays open, or the reverse, whose lock is taken first."""
    set_up(ledger, name)
    won: Counter[str] = Counter()
    with Ledger.open(database_url) as other:
        for _ in range(15):
            do(ledger, close(CLOSED, name))
            reopened, closed = race(asking(ledger, reopen(CLOSED, name)), asking(other, close(CLOSED, PLATFORM)))
            if closed.refused is None:
                assert reopened.refused is not None
                assert reopened.refused.code is Refusal.PERIOD_CLOSED_BY_PLATFORM
                do(other, reopen(CLOSED, PLATFORM))
                won["platform"] += 1
            else:
                assert (reopened.refused, closed.refused.code) == (None, Refusal.PERIOD_BOOKS_OPEN)
                won["book"] += 1
    assert won.total() == 15
    assert [each for each in replay(database_url, verify=True).differences if "period" in each.what] == []


@pytest.mark.parametrize("name", ["aaa", "zzz"])
def test_a_book_that_is_being_made_is_waited_for(
    ledger: Ledger, database_url: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A book that is decided and not committed yet is not overlooked: the platform's closing is refused."""
    set_up(ledger)
    do(ledger, close())
    decided, closed = Event(), Event()

    def write_slowly(connection: Any, batch: Any, found: Any) -> None:
        if name in batch.books:
            decided.set()
            closed.wait(0.7)
        write_batch(connection, batch, found)

    monkeypatch.setattr(writer, "write_batch", write_slowly)
    made = [*workspace_commands(name)[:4], grant("late", "1", LATE, workspace_id=name)]
    with Ledger.open(database_url) as other, ThreadPoolExecutor(1) as threads:
        making = threads.submit(do, ledger, *made)
        assert decided.wait(5)
        [refused] = refusals(other, close(CLOSED, PLATFORM))
        closed.set()
        assert making.result()[-1].fact.served_at is None
        assert refused is Refusal.PERIOD_BOOKS_OPEN
        do(other, close(CLOSED, name), close(CLOSED, PLATFORM))
    assert [each for each in replay(database_url, verify=True).differences if "period" in each.what] == []


def test_months_are_closed_in_order_and_may_be_left_out(books: Ledger) -> None:
    """A later month may be closed without the earlier one, which then cannot be closed any more."""
    do(books, close(LATER, "alpha"))
    assert refusals(books, close(CLOSED, "alpha"), close(EARLIER, "alpha")) == [Refusal.PERIOD_NOT_LAST] * 2
    assert refusals(books, close(month(0), "alpha")) == [Refusal.PERIOD_NOT_ENDED]
    assert refusals(books, close(CLOSED, "nobody"), reopen(CLOSED, "nobody")) == [Refusal.WORKSPACE_UNKNOWN] * 2
