"""A rebuild fills a new generation beside the one that is read, and nobody sees more of it than the swap."""

import threading
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ledger.service import Ledger
from projections import building, filling, journal_recipe
from projections import rebuild as rebuilding
from projections.connections import BUILDING_SETTINGS
from projections.every import every_projection
from projections.followers import Follower
from projections.following import Projection
from projections.journal import JournalBook
from projections.journal_rows import Journal
from projections.rebuild import RECIPES, RebuildFailed, rebuild
from projections.replay import replay
from projections.route_ledger import recipe as route_recipe
from projections.route_ledger.book import RouteBook
from projections.route_ledger.writing import RouteLedger
from tests.integration.read_side import PARTS, ask, follow, journal_of, tell
from tests.integration.route_tables import ROUTE_PARTS, route_tables, tell_late
from tests.integration.scenes import ACME, do, hold, record, set_up, settle, workspace_commands

GENERATIONS = "select generation, status from projections.generation where projection = %s order by generation"
ALL_GENERATIONS = "select projection, generation from projections.generation"
TABLES = "select relname from pg_class where relnamespace = 'projections'::regnamespace and relkind = 'r'"


class Kind(msgspec.Struct, frozen=True):
    """A projection as the tests know it: its tables, how they are read, what its books are, how a rebuild makes it."""

    projection: Projection
    parts: tuple[str, ...]
    tables: Callable[[str], Mapping[str, list[tuple[Any, ...]]]]
    book: type[JournalBook] | type[RouteBook]
    recipe: ModuleType
    watch: str
    """What of acme is there at which position: the position, and counts that belong to it."""

    expect: Callable[[int], tuple[int, ...]]

    @property
    def name(self) -> str:
        """The projection's name."""
        return self.projection.name


def entries_at(position: int) -> tuple[int, ...]:
    """Return how many entries acme has: the first seven events open it and make two."""
    return (max(0, position - 5),)


def requests_at(position: int) -> tuple[int, ...]:
    """Return how many requests acme has, and how many were settled: from the eighth event on they alternate."""
    return (max(0, position - 6) // 2, max(0, position - 7) // 2)


PROGRESS = """
    from projections.generation as active join projections.progress using (projection, generation)
    where projection = %s and status = 'active' and workspace_id = 'acme'"""
COUNT_ENTRIES = (
    "(select count(*) from projections.entry where workspace_id = 'acme' and generation = active.generation)"
)
COUNT_REQUESTS = COUNT_ENTRIES.replace("entry", "request")
COUNT_SETTLED = COUNT_ENTRIES.replace("count(*)", "coalesce(sum(settled), 0)").replace("entry", "spend")
JOURNAL_KIND = Kind(
    Journal(), PARTS, journal_of, JournalBook, journal_recipe,
    f"select progress.position, {COUNT_ENTRIES} {PROGRESS}", entries_at,
)  # fmt: skip
ROUTE_KIND = Kind(
    RouteLedger(), ROUTE_PARTS, route_tables, RouteBook, route_recipe,
    f"select progress.position, {COUNT_REQUESTS}, {COUNT_SETTLED} {PROGRESS}", requests_at,
)  # fmt: skip
KINDS = {kind.name: kind for kind in (JOURNAL_KIND, ROUTE_KIND)}
EACH_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def tell_all(ledger: Ledger) -> None:
    """Record everything that can happen to a workspace, late things too."""
    set_up(ledger)
    tell_late(ledger)
    tell(ledger)


def generations(url: str, kind: Kind) -> list[tuple[int, str]]:
    """Return all generations with their status, and check that each has its tables and no others are there."""
    tables = {name for (name,) in ask(url, TABLES) if name.rpartition("_")[2].isdigit()}
    assert tables == {f"{part}_{number}" for name, number in ask(url, ALL_GENERATIONS) for part in KINDS[name].parts}
    return [(int(number), str(status)) for number, status in ask(url, GENERATIONS, kind.name)]


def test_every_projection_can_be_rebuilt(database_url: str) -> None:
    """What is followed, what has a generation in a new database and what can be rebuilt are the same."""
    shown = {(name, number) for name, number in ask(database_url, ALL_GENERATIONS)}
    names = {projection.name for projection in every_projection()}
    assert shown == {(name, 1) for name in names}
    assert names == RECIPES.keys() == KINDS.keys()


@EACH_KIND
@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_rebuilt_is_what_was_followed(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, kind: Kind, processes: int
) -> None:
    """In one process or in two, a rebuild makes the very rows that followers made, key by key."""
    monkeypatch.setattr(building, "SMALL_REBUILD_EVENTS", 0)
    tell_all(ledger)
    for number in range(5):
        record(ledger, workspace_commands(f"w{number}"))
        do(ledger, hold("r1", workspace_id=f"w{number}"))
    follow(ledger.url, 3, kind.projection)
    followed = kind.tables(ledger.url)
    seen: list[tuple[int, int]] = []
    rebuilt = rebuild(ledger.url, kind.name, lambda done, total: seen.append((done, total)), processes)
    assert kind.tables(ledger.url) == followed
    assert (rebuilt.generation, rebuilt.books, rebuilt.dropped) == (2, 7, True)
    assert seen[-1] == (rebuilt.events, rebuilt.events)
    assert generations(ledger.url, kind) == [(2, "active")]
    do(ledger, hold("after", workspace_id="w1"))
    assert follow(ledger.url, projection=kind.projection) == 1


def test_a_rebuilt_journal_keeps_buckets_apart(ledger: Ledger) -> None:
    """After a rebuild the database still refuses a leg into another bucket."""
    tell_all(ledger)
    rebuild(ledger.url)
    leg = "insert into projections.leg values ('acme', 2, 'rmb', %s, 1, %s, 'wallet.available', 1)"
    ask(ledger.url, leg, 998, "exchange")
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        ask(ledger.url, leg, 999, "revenue.direct")


@EACH_KIND
def test_a_rebuilt_generation_has_its_keys(ledger: Ledger, kind: Kind) -> None:
    """After a rebuild the database still refuses a second row with the same key."""
    tell_all(ledger)
    rebuild(ledger.url, kind.name)
    for part in kind.parts:
        with pytest.raises(psycopg.errors.UniqueViolation):
            ask(ledger.url, f"insert into projections.{part} select * from projections.{part} limit 1")


class Load:
    """Writers, followers and a reader that watches one book, for as long as the block lasts."""

    def __init__(self, ledger: Ledger, kind: Kind) -> None:
        self.ledger = ledger
        self.kind = kind
        self.positions: list[int] = []
        self.failures: list[BaseException] = []
        self._ending = threading.Event()
        self._threads = [threading.Thread(target=self._guard, args=(work,)) for work in (self._write, self._read)]
        self._followers = [Follower(ledger.url, kind.projection, 0.005) for _ in range(2)]

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
                for position, *counts in connection.execute(self.kind.watch.encode(), (self.kind.name,)):
                    self.positions.append(position)
                    assert tuple(counts) == self.kind.expect(position)

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


@EACH_KIND
def test_writers_and_followers_go_on_meanwhile(ledger: Ledger, kind: Kind) -> None:
    """Rebuilt again and again under load, no book goes back, and in the end nothing is lost or doubled."""
    set_up(ledger)
    with Load(ledger, kind) as load:
        rebuilt = [rebuild(ledger.url, kind.name, processes=1) for _ in range(4)]
    assert (load.failures, [each.dropped for each in rebuilt]) == ([], [True] * 4)
    assert load.positions == sorted(load.positions)
    assert len(set(load.positions)) > 10
    for each in KINDS.values():
        follow(ledger.url, projection=each.projection)
    assert generations(ledger.url, kind) == [(5, "active")]
    assert replay(ledger.url, verify=True).differences == ()


@EACH_KIND
def test_a_rebuild_heals(ledger: Ledger, kind: Kind) -> None:
    """A projection that was tampered with is found by the verification and mended by a rebuild."""
    tell_all(ledger)
    follow(ledger.url, projection=kind.projection)
    statements = {
        "journal": "update projections.account set debit_minor = debit_minor + 1 where account = 'promotion'",
        "route_ledger": "update projections.spend set charge_minor = charge_minor + 1",
    }
    whats = {"journal": "account credit promotion debit_minor", "route_ledger": "spend of credit revenue.direct"}
    ask(ledger.url, statements[kind.name])
    assert whats[kind.name] in {difference.what for difference in replay(ledger.url, verify=True).differences}
    rebuild(ledger.url, kind.name)
    assert replay(ledger.url, verify=True).differences == ()


STEPS = [
    *((JOURNAL_KIND, module, step) for module, step in (
        (journal_recipe, "build_shares"), (journal_recipe, "add_keys"), (journal_recipe, "begin_progress"),
        (rebuilding, "catch_up"), (rebuilding, "swap"),
    )),
    *((ROUTE_KIND, module, step) for module, step in (
        (route_recipe, "begin_progress"), (route_recipe, "build_shares"),
        (rebuilding, "catch_up"), (rebuilding, "swap"),
    )),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "module", "step"), STEPS, ids=[f"{kind.name}-{step}" for kind, _, step in STEPS])
def test_a_failed_rebuild_leaves_everything_as_it_was(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, kind: Kind, module: ModuleType, step: str
) -> None:
    """Whatever step fails, the old generation is read as before and nothing of the new one is left."""
    tell_all(ledger)
    follow(ledger.url, projection=kind.projection)
    followed = kind.tables(ledger.url)

    def fail(*arguments: object) -> None:
        raise RuntimeError(step)

    with monkeypatch.context() as patched:
        patched.setattr(module, step, fail)
        with pytest.raises(RuntimeError, match=step):
            rebuild(ledger.url, kind.name)
    assert generations(ledger.url, kind) == [(1, "active")]
    assert kind.tables(ledger.url) == followed
    assert rebuild(ledger.url, kind.name).generation == 2
    assert kind.tables(ledger.url) == followed


@EACH_KIND
def test_a_defect_in_the_middle_is_reported_as_what_it_is(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """What goes wrong while rows are being sent ends the rebuild by its own name, and nothing stays."""
    tell_all(ledger)
    follow(ledger.url, projection=kind.projection)
    followed = kind.tables(ledger.url)
    apply: Callable[..., None] = kind.book.apply

    def fail(book: JournalBook | RouteBook, position: int, *rest: Any) -> None:
        if position > 20:
            raise RuntimeError("in the middle")
        apply(book, position, *rest)

    monkeypatch.setattr(filling, "ROWS_PER_WRITE", 1)
    monkeypatch.setattr(route_recipe, "EVENTS_PER_PAGE", 5)
    monkeypatch.setattr(kind.book, "apply", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        rebuild(ledger.url, kind.name)
    assert generations(ledger.url, kind) == [(1, "active")]
    assert kind.tables(ledger.url) == followed


@EACH_KIND
def test_leftovers_of_a_dead_rebuild_are_removed(ledger: Ledger, kind: Kind) -> None:
    """Generations that a killed rebuild left behind, at whatever step, are gone after the next one."""
    tell_all(ledger)
    follow(ledger.url, projection=kind.projection)
    insert = "insert into projections.generation (projection, generation, status) values (%s, %s, %s)"
    make = f"set role route_ledger_projector; select projections.create_{kind.name}({{0}});"
    attach = ""
    if kind is JOURNAL_KIND:
        keys = "".join(f"select projections.add_journal_key('{part}', 9);" for part in PARTS)
        attach = keys + "select projections.attach_journal(9)"
    ask(ledger.url, insert, kind.name, 7, "filling")
    ask(ledger.url, insert, kind.name, 8, "filling")
    ask(ledger.url, make.format(8))
    ask(ledger.url, insert, kind.name, 9, "retired")
    ask(ledger.url, make.format(9) + attach)
    assert rebuild(ledger.url, kind.name).generation == 2
    assert generations(ledger.url, kind) == [(2, "active")]


@EACH_KIND
def test_one_rebuild_of_a_projection_at_a_time(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    """A second rebuild is refused in words while one is running; another projection can be rebuilt meanwhile."""
    set_up(ledger)
    build_shares = kind.recipe.build_shares
    (other,) = (name for name in KINDS if name != kind.name)

    def build_and_try_another(*arguments: Any) -> Any:
        with pytest.raises(RebuildFailed, match=f"another rebuild of {kind.name} is running"):
            rebuild(ledger.url, kind.name)
        assert rebuild(ledger.url, other).generation == 2
        return build_shares(*arguments)

    monkeypatch.setattr(kind.recipe, "build_shares", build_and_try_another)
    rebuild(ledger.url, kind.name)
    with pytest.raises(RebuildFailed, match="no projection 'spend': there are journal, route_ledger"):
        rebuild(ledger.url, "spend")


@EACH_KIND
def test_a_generation_that_cannot_follow_is_not_shown(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    """When the new generation stops at an event that the old one has applied, readers keep the old one."""
    set_up(ledger)
    do(ledger, hold("r1"), settle("r1"))
    follow(ledger.url, projection=kind.projection)
    apply: Callable[..., None] = kind.book.apply

    def stop_at_seven(book: JournalBook | RouteBook, position: int, *rest: Any) -> None:
        if position == 7 and book.workspace_id == ACME:
            raise ValueError("no")
        apply(book, position, *rest)

    monkeypatch.setattr(kind.book, "apply", stop_at_seven)
    with pytest.raises(RebuildFailed, match="acme"):
        rebuild(ledger.url, kind.name)
    assert generations(ledger.url, kind) == [(1, "active")]


@EACH_KIND
def test_readers_delay_the_drop_and_not_the_swap(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    """A reader in a long transaction keeps the old tables until the next rebuild; the new ones are shown at once."""
    monkeypatch.setattr(rebuilding, "DROP_TRIES", 2)
    monkeypatch.setitem(BUILDING_SETTINGS, "lock_timeout", "200ms")
    set_up(ledger)
    follow(ledger.url, projection=kind.projection)
    count = f"select count(*) from projections.{kind.parts[0]} where generation = 1".encode()
    with psycopg.connect(make_conninfo(ledger.url)) as reader:
        reader.execute(b"begin isolation level repeatable read")
        before = reader.execute(count).fetchone()
        assert rebuild(ledger.url, kind.name).dropped is False
        assert generations(ledger.url, kind) == [(1, "retired"), (2, "active")]
        assert reader.execute(count).fetchone() == before
    assert rebuild(ledger.url, kind.name).dropped is True
    assert generations(ledger.url, kind) == [(3, "active")]
