"""A rebuild fills a new generation beside the one that is read, and nobody sees more of it than the swap."""

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ledger.service import Ledger
from projections import filling
from projections import rebuild as rebuilding
from projections.followers import Follower
from projections.journal import JournalBook
from projections.rebuild import RebuildFailed, rebuild
from projections.replay import replay
from tests.integration.read_side import PARTS, ask, follow, journal_of, tell
from tests.integration.scenes import ACME, do, hold, record, set_up, settle, workspace_commands

GENERATIONS = "select generation, status from projections.generation order by generation"
TABLES = "select relname from pg_class where relnamespace = 'projections'::regnamespace and relkind = 'r'"


def generations(url: str) -> list[tuple[int, str]]:
    """Return all generations with their status, and check that each has its tables and no others are there."""
    found = [(int(number), str(status)) for number, status in ask(url, GENERATIONS)]
    tables = {name for (name,) in ask(url, TABLES) if name.partition("_")[0] in PARTS}
    assert tables == {f"{part}_{number}" for part in PARTS for number, _ in found}
    return found


@pytest.mark.parametrize("processes", [1, 2])
def test_a_rebuilt_journal_is_the_followed_one(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, processes: int) -> None:
    """In one process or in two, a rebuild makes the very rows that followers made, key by key."""
    monkeypatch.setattr(rebuilding, "SMALL_REBUILD_EVENTS", 0)
    set_up(ledger)
    tell(ledger)
    for number in range(5):
        record(ledger, workspace_commands(f"w{number}"))
    follow(ledger.url)
    followed = journal_of(ledger.url)
    seen: list[tuple[int, int]] = []
    rebuilt = rebuild(ledger.url, on_progress=lambda done, total: seen.append((done, total)), processes=processes)
    assert journal_of(ledger.url) == followed
    assert (rebuilt.generation, rebuilt.books, rebuilt.dropped) == (2, 7, True)
    assert seen[-1] == (rebuilt.events, rebuilt.events)
    assert generations(ledger.url) == [(2, "active")]
    do(ledger, hold("after", workspace_id="w1"))
    assert follow(ledger.url) == 1


def test_a_rebuilt_generation_has_its_keys(ledger: Ledger) -> None:
    """After a rebuild the database still refuses a leg into another bucket, and a second row with the same key."""
    set_up(ledger)
    tell(ledger)
    rebuild(ledger.url)
    leg = "insert into projections.leg values ('acme', 2, 'rmb', %s, 1, %s, 'wallet.available', 1)"
    ask(ledger.url, leg, 998, "exchange")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        ask(ledger.url, leg, 999, "revenue.direct")
    for part in PARTS:
        with pytest.raises(psycopg.errors.UniqueViolation):
            ask(ledger.url, f"insert into projections.{part} select * from projections.{part} limit 1")


class Load:
    """Writers, followers and a reader that watches one book, for as long as the block lasts."""

    WATCH = (
        b"select progress.position, (select count(*) from projections.entry where workspace_id = 'acme'"
        b" and generation = active.generation) from projections.generation as active"
        b" join projections.progress using (projection, generation)"
        b" where status = 'active' and workspace_id = 'acme'"
    )

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.positions: list[int] = []
        self.failures: list[BaseException] = []
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._guard, args=(work,)) for work in (self._write, self._read)]
        self._followers = [Follower(ledger.url, interval_seconds=0.005) for _ in range(2)]

    def _write(self) -> None:
        number = 0
        while not self._ending.is_set():
            number += 1
            do(self.ledger, hold(f"r{number}"), settle(f"r{number}"))
            if number % 20 == 0:
                record(self.ledger, workspace_commands(f"new-{number}"))

    def _read(self) -> None:
        with psycopg.connect(self.ledger.url, autocommit=True) as connection:
            while not self._ending.is_set():
                for position, entries in connection.execute(self.WATCH):
                    self.positions.append(position)
                    assert entries == max(0, position - 5)

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.failures.append(error)
            raise

    def __enter__(self) -> "Load":
        for thread in (*self._threads, *self._followers):
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join()
        for follower in self._followers:
            follower.stop()


def test_writers_and_followers_go_on_meanwhile(ledger: Ledger) -> None:
    """Rebuilt again and again under load, the journal never goes back, and in the end nothing is lost or doubled."""
    set_up(ledger)
    with Load(ledger) as load:
        rebuilt = [rebuild(ledger.url, processes=1) for _ in range(4)]
    assert (load.failures, [each.dropped for each in rebuilt]) == ([], [True] * 4)
    assert load.positions == sorted(load.positions)
    assert len(set(load.positions)) > 10
    follow(ledger.url)
    assert generations(ledger.url) == [(5, "active")]
    assert replay(ledger.url, verify=True).differences == ()


def test_a_rebuild_heals(ledger: Ledger) -> None:
    """A journal that was tampered with is found by the verification and mended by a rebuild."""
    set_up(ledger)
    tell(ledger)
    follow(ledger.url)
    ask(ledger.url, "update projections.account set debit_minor = debit_minor + 1 where account = 'promotion'")
    ask(ledger.url, "delete from projections.leg where position = 5")
    wrong = {difference.what for difference in replay(ledger.url, verify=True).differences}
    assert "account credit promotion debit_minor" in wrong
    rebuild(ledger.url)
    assert replay(ledger.url, verify=True).differences == ()


@pytest.mark.parametrize("step", ["fill_all", "add_keys", "begin_progress", "catch_up", "swap"])
def test_a_failed_rebuild_leaves_everything_as_it_was(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whatever step fails, the old generation is read as before and nothing of the new one is left."""
    set_up(ledger)
    tell(ledger)
    follow(ledger.url)
    followed = journal_of(ledger.url)

    def fail(*arguments: object) -> None:
        raise RuntimeError(step)

    with monkeypatch.context() as patched:
        patched.setattr(rebuilding, step, fail)
        with pytest.raises(RuntimeError, match=step):
            rebuild(ledger.url)
    assert generations(ledger.url) == [(1, "active")]
    assert journal_of(ledger.url) == followed
    assert rebuild(ledger.url).generation == 2
    assert journal_of(ledger.url) == followed


def test_a_defect_in_the_middle_of_a_copy_is_reported_as_what_it_is(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes wrong while rows are being sent ends the rebuild by its own name, and nothing stays."""
    set_up(ledger)
    tell(ledger)
    follow(ledger.url)
    followed = journal_of(ledger.url)

    def fail(book: JournalBook, position: int, *rest: Any) -> None:
        if position > 20:
            raise RuntimeError("in the middle")
        apply(book, position, *rest)

    apply = JournalBook.apply
    monkeypatch.setattr(filling, "ROWS_PER_WRITE", 1)
    monkeypatch.setattr(JournalBook, "apply", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        rebuild(ledger.url)
    assert generations(ledger.url) == [(1, "active")]
    assert journal_of(ledger.url) == followed


def test_leftovers_of_a_dead_rebuild_are_removed(ledger: Ledger) -> None:
    """Generations that a killed rebuild left behind, at whatever step, are gone after the next one."""
    set_up(ledger)
    tell(ledger)
    follow(ledger.url)
    insert = "insert into projections.generation (projection, generation, status) values ('journal', %s, %s)"
    make = "set role route_ledger_projector; select projections.create_journal({0});"
    keys = "".join(f"select projections.add_journal_key('{part}', 9);" for part in PARTS)
    ask(ledger.url, insert, 7, "filling")
    ask(ledger.url, insert, 8, "filling")
    ask(ledger.url, make.format(8))
    ask(ledger.url, insert, 9, "retired")
    ask(ledger.url, make.format(9) + keys + "select projections.attach_journal(9)")
    assert rebuild(ledger.url).generation == 2
    assert generations(ledger.url) == [(2, "active")]


def test_one_rebuild_at_a_time(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second rebuild is refused while one is running, in words."""
    set_up(ledger)
    fill_all = rebuilding.fill_all

    def fill_and_try_another(*arguments: Any) -> Any:
        with pytest.raises(RebuildFailed, match="another rebuild of journal is running"):
            rebuild(ledger.url)
        return fill_all(*arguments)

    monkeypatch.setattr(rebuilding, "fill_all", fill_and_try_another)
    rebuild(ledger.url)
    with pytest.raises(RebuildFailed, match="no projection 'spend'"):
        rebuild(ledger.url, "spend")


def test_a_generation_that_cannot_follow_is_not_shown(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the new generation stops at an event that the old one has applied, readers keep the old one."""
    set_up(ledger)
    do(ledger, hold("r1"), settle("r1"))
    follow(ledger.url)
    apply = JournalBook.apply

    def stop_at_seven(book: JournalBook, position: int, *rest: Any) -> None:
        if position == 7 and book.workspace_id == ACME:
            raise ValueError("no")
        apply(book, position, *rest)

    monkeypatch.setattr(JournalBook, "apply", stop_at_seven)
    with pytest.raises(RebuildFailed, match="acme"):
        rebuild(ledger.url)
    assert generations(ledger.url) == [(1, "active")]


def test_readers_delay_the_drop_and_not_the_swap(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader in a long transaction keeps the old tables until the next rebuild; the new ones are shown at once."""
    monkeypatch.setattr(rebuilding, "DROP_TRIES", 2)
    monkeypatch.setitem(rebuilding.REBUILD_SETTINGS, "lock_timeout", "200ms")
    set_up(ledger)
    follow(ledger.url)
    with psycopg.connect(make_conninfo(ledger.url)) as reader:
        reader.execute(b"begin isolation level repeatable read")
        before = reader.execute(b"select count(*) from projections.entry where generation = 1").fetchone()
        assert rebuild(ledger.url).dropped is False
        assert generations(ledger.url) == [(1, "retired"), (2, "active")]
        assert reader.execute(b"select count(*) from projections.entry where generation = 1").fetchone() == before
    assert rebuild(ledger.url).dropped is True
    assert generations(ledger.url) == [(3, "active")]
