"""Rebuilding a projection while everything runs: fill a new generation from the books, catch up, swap, drop the old.

Readers see the old generation until the moment of the swap, and never one that is behind it. A rebuild that dies
leaves a generation that nobody reads; the next rebuild removes it.
"""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from time import sleep

import msgspec
import psycopg
from psycopg import Connection, sql
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from ledger.store.queries import load_queries
from projections.connections import connect_projector, run
from projections.filling import Filled, fill, share_out
from projections.followers import News, find_news, follow_claimed, follow_group, groups_of
from projections.following import Advance
from projections.journal import JOURNAL
from projections.journal_rows import Journal

__all__ = ["RebuildFailed", "Rebuilt", "rebuild"]

log = logging.getLogger(__name__)

QUERIES = load_queries("projections.sql", "rebuild.sql")
PARTS = ("leg", "entry", "account", "wallet")
EVENTS_PER_CATCH_UP = 4000
CATCH_UP_ROUNDS = 50
SMALL_REBUILD_EVENTS = 500_000
"""Below this, starting a second process costs more than it gives."""

SHARES_PER_PROCESS = 4
"""Several, so that all processes end at about the same time; each costs four connections."""

SWAP_TRIES = 20
DROP_TRIES = 100
REBUILD_SETTINGS = {
    "synchronous_commit": "off",
    "lock_timeout": "2s",
    "maintenance_work_mem": "256MB",
    "work_mem": "64MB",
    "jit": "off",
}

OnProgress = Callable[[int, int], None]
"""Called with the events applied so far and the events there were when the rebuild began."""


class RebuildFailed(Exception):
    """The rebuild gave up; the generation that is read is the one from before."""


class Rebuilt(msgspec.Struct, frozen=True):
    """What a rebuild came to. `dropped` is whether the old generation could be removed at once."""

    projection: str
    generation: int
    books: int
    events: int
    dropped: bool


def rebuild(
    url: str,
    projection: str = JOURNAL,
    on_progress: OnProgress = lambda applied, total: None,
    processes: int = 2,
) -> Rebuilt:
    """Build a projection anew from the books and show it in place of the old one. Raises RebuildFailed."""
    if projection != JOURNAL:
        raise RebuildFailed(f"there is no projection {projection!r}: the only one is {JOURNAL!r}")
    with closing(connect_projector(url, "rebuild", REBUILD_SETTINGS)) as connection:
        turn = run(connection, QUERIES["take_turn"], (projection,)).fetchone()
        if turn is None or not turn[0]:
            raise RebuildFailed(f"another rebuild of {projection} is running")
        try:
            return rebuild_in_turn(url, connection, projection, on_progress, processes)
        finally:
            # In the middle of a failure the lock ends with the connection.
            if connection.info.transaction_status is TransactionStatus.IDLE:
                run(connection, QUERIES["give_turn_back"], (projection,))


def rebuild_in_turn(
    url: str, connection: Connection[TupleRow], projection: str, on_progress: OnProgress, processes: int
) -> Rebuilt:
    """Remove what earlier rebuilds left, build a new generation, and drop the one that it replaces."""
    for (leftover,) in run(connection, QUERIES["read_leftovers"], (projection,)).fetchall():
        drop(connection, projection, leftover)
    began = run(connection, QUERIES["begin_generation"], (projection,)).fetchone()
    if began is None:
        raise RebuildFailed(f"no generation of {projection} is active")
    generation = int(began[0])
    try:
        old, books, events = build(url, connection, generation, on_progress, processes)
    except BaseException:
        # What was filled so far is of no use to anybody; when this fails too, the next rebuild does it.
        forget(url, projection, generation)
        raise
    return Rebuilt(projection, generation, books, events, drop(connection, projection, old, DROP_TRIES))


def build(
    url: str, connection: Connection[TupleRow], generation: int, on_progress: OnProgress, processes: int
) -> tuple[int, int, int]:
    """Fill, key, catch up and swap. Return the old generation, and how many books and events were read."""
    run(connection, QUERIES["create_journal"], (generation,))
    books = [(row[0], row[1]) for row in run(connection, QUERIES["read_books"])]
    filled = fill_all(url, generation, books, on_progress, processes)
    add_keys(url, generation)
    # Before the foreign keys: their check joins two tables that nothing is known of yet.
    for part in PARTS:
        table = sql.Identifier("projections", f"{part}_{generation}")
        connection.execute(sql.SQL(QUERIES["analyze"]).format(table=table))
    run(connection, QUERIES["attach_journal"], (generation,))
    begin_progress(connection, generation, [advance for share in filled for advance in share.advances])
    with closing(connect_projector(url, "rebuild")) as following:
        catch_up(following, generation)
        old = swap(following, generation)
    return old, len(books), sum(share.events for share in filled)


def fill_all(
    url: str, generation: int, books: Sequence[tuple[str, int]], on_progress: OnProgress, processes: int
) -> list[Filled]:
    """Fill the generation's tables, in several processes where that pays."""
    total = sum(events for _, events in books)
    applied = 0

    def report(events: int) -> None:
        nonlocal applied
        applied += events
        on_progress(applied, total)

    if total < SMALL_REBUILD_EVENTS:
        processes = 1
    shares = share_out(books, total if processes == 1 else total // (processes * SHARES_PER_PROCESS) + 1)
    if processes == 1 or len(shares) == 1:
        return [fill(url, generation, share, report) for share in shares]
    # Spawned, not forked: a fork would take the parent's connections and threads with it.
    with ProcessPoolExecutor(processes - 1, mp_context=get_context("spawn")) as pool:
        waiting = [(share, pool.submit(fill, url, generation, share)) for share in shares]
        # This process is one of them: it takes from the end, where the small books are, what nobody has begun.
        filled = [fill(url, generation, share, report) for share, future in reversed(waiting) if future.cancel()]
        for _, future in waiting:
            if not future.cancelled():
                filled.append(future.result())
                report(filled[-1].events)
    return filled


def add_keys(url: str, generation: int) -> None:
    """Build the primary keys, the two large ones at the same time."""

    def add(parts: tuple[str, ...]) -> None:
        with closing(connect_projector(url, "rebuild", REBUILD_SETTINGS)) as connection:
            for part in parts:
                run(connection, QUERIES["add_journal_key"], (part, generation))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(add, (PARTS[:1], PARTS[1:])))


def begin_progress(connection: Connection[TupleRow], generation: int, advances: Sequence[Advance]) -> None:
    """Write how far each book was filled, so that followers go on from there."""
    columns = (
        [advance.workspace_id for advance in advances],
        [advance.position for advance in advances],
        [advance.failed_position for advance in advances],
        [advance.failure for advance in advances],
    )
    run(connection, QUERIES["write_progress"], (JOURNAL, generation, *columns))


def catch_up(connection: Connection[TupleRow], generation: int) -> None:
    """Follow what was recorded meanwhile, until little is left or the writers are faster than we are."""
    journal = Journal()
    for _ in range(CATCH_UP_ROUNDS):
        news = find_news(connection, journal, generation)
        for group in groups_of(news, EVENTS_PER_CATCH_UP):
            follow_group(connection, journal, generation, group, EVENTS_PER_CATCH_UP)
        if sum(reached - followed for _, reached, followed in news) < EVENTS_PER_CATCH_UP:
            return


def swap(connection: Connection[TupleRow], generation: int) -> int:
    """Show the new generation in place of the old one, and return the old one's number."""
    for _ in range(SWAP_TRIES):
        try:
            return swap_once(connection, generation)
        except psycopg.errors.LockNotAvailable:
            run(connection, QUERIES["rollback"])
        except BaseException:
            if not connection.closed:
                run(connection, QUERIES["rollback"])
            raise
    raise RebuildFailed("followers of the old generation never paused: try again")


def swap_once(connection: Connection[TupleRow], generation: int) -> int:
    """In one transaction: stop the old generation's followers, draw level with each of its books, change places.

    No reader may see a book go back, so a book that cannot be brought level ends the rebuild.
    """
    run(connection, QUERIES["begin"])
    run(connection, QUERIES["be_durable"])
    row = run(connection, QUERIES["lock_generations"], (JOURNAL,)).fetchone()
    if row is None:
        raise RebuildFailed("no generation is active")
    old = int(row[0])
    reached: dict[str, int] = dict(run(connection, QUERIES["end_progress"], (JOURNAL, old)).fetchall())
    while behind := books_behind(connection, generation, reached):
        moved = 0
        for group in groups_of(behind, EVENTS_PER_CATCH_UP):
            moved += follow_claimed(connection, Journal(), generation, group, EVENTS_PER_CATCH_UP)
        if not moved:
            names = ", ".join(name for name, _, _ in behind[:10])
            raise RebuildFailed(f"the new generation cannot follow the books {names} as far as the old one did")
    run(connection, QUERIES["retire"], (JOURNAL, old))
    if run(connection, QUERIES["activate"], (JOURNAL, generation)).fetchone() is None:
        raise RebuildFailed("the new generation was removed by somebody else")
    run(connection, QUERIES["commit"])
    return old


def books_behind(connection: Connection[TupleRow], generation: int, reached: dict[str, int]) -> list[News]:
    """Return the books that the new generation has followed less far than the old one."""
    rows = run(connection, QUERIES["read_progress"], (JOURNAL, generation)).fetchall()
    own = {name: position for name, position, _ in rows}
    behind = [(name, position, own.get(name, 0)) for name, position in reached.items()]
    new = [name for name, position, _ in behind if position and name not in own]
    if new:
        begin_progress(connection, generation, [Advance(name, 0, 0) for name in new])
    return [news for news in behind if news[1] > news[2]]


def drop(connection: Connection[TupleRow], projection: str, generation: int, tries: int = 1) -> bool:
    """Remove a generation's tables. False when readers held them all the time: the next rebuild does it."""
    for number in range(tries):
        try:
            for (statement,) in run(connection, QUERIES["detach_journal"], (generation,)).fetchall():
                connection.execute(statement.encode())
            run(connection, QUERIES["drop_journal"], (generation,))
        except psycopg.errors.LockNotAvailable:
            sleep(min(1.0, 0.05 * 2**number))
            continue
        run(connection, QUERIES["forget_progress"], (projection, generation))
        run(connection, QUERIES["forget_generation"], (projection, generation))
        return True
    log.warning("generation %d of %s is still being read; the next rebuild removes it", generation, projection)
    return False


def forget(url: str, projection: str, generation: int) -> None:
    """Remove what a failed rebuild has made, on a connection of its own."""
    try:
        with closing(connect_projector(url, "rebuild", REBUILD_SETTINGS)) as connection:
            drop(connection, projection, generation)
    except psycopg.Error:
        log.exception("generation %d of %s is left for the next rebuild to remove", generation, projection)
