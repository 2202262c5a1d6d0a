"""Rebuilding a projection while everything runs: fill a new generation from the books, catch up, swap, drop the old.

Readers see the old generation until the moment of the swap, and never one that is behind it. A rebuild that dies
leaves a generation that nobody reads; the next rebuild removes it.
"""

import logging
from contextlib import closing
from time import sleep

import msgspec
import psycopg
from psycopg import Connection
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow

from ledger.store.queries import load_queries
from projections.building import Building, OnProgress, Recipe, begin_progress
from projections.connections import BUILDING_SETTINGS, connect_projector, run
from projections.followers import News, find_news, follow_claimed, follow_group, groups_of
from projections.following import Advance, Projection
from projections.journal import JOURNAL
from projections.journal_recipe import JournalRecipe
from projections.route_ledger.recipe import RouteLedgerRecipe

__all__ = ["RECIPES", "RebuildFailed", "Rebuilt", "rebuild"]

log = logging.getLogger(__name__)

QUERIES = load_queries("projections.sql", "rebuild.sql")
EVENTS_PER_CATCH_UP = 4000
CATCH_UP_ROUNDS = 50
SWAP_TRIES = 20
DROP_TRIES = 100

ALL_RECIPES: tuple[Recipe, ...] = (JournalRecipe(), RouteLedgerRecipe())
RECIPES = {recipe.projection.name: recipe for recipe in ALL_RECIPES}
"""How each projection is built, by its name."""


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
    recipe = RECIPES.get(projection)
    if recipe is None:
        raise RebuildFailed(f"there is no projection {projection!r}: there are {', '.join(RECIPES)}")
    with closing(connect_projector(url, "rebuild", BUILDING_SETTINGS)) as connection:
        turn = run(connection, QUERIES["take_turn"], (projection,)).fetchone()
        if turn is None or not turn[0]:
            raise RebuildFailed(f"another rebuild of {projection} is running")
        try:
            return rebuild_in_turn(url, connection, recipe, on_progress, processes)
        finally:
            # In the middle of a failure the lock ends with the connection.
            if connection.info.transaction_status is TransactionStatus.IDLE:
                run(connection, QUERIES["give_turn_back"], (projection,))


def rebuild_in_turn(
    url: str, connection: Connection[TupleRow], recipe: Recipe, on_progress: OnProgress, processes: int
) -> Rebuilt:
    """Remove what earlier rebuilds left, build a new generation, and drop the one that it replaces."""
    name = recipe.projection.name
    for (leftover,) in run(connection, QUERIES["read_leftovers"], (name,)).fetchall():
        drop(connection, recipe, leftover)
    began = run(connection, QUERIES["begin_generation"], (name,)).fetchone()
    if began is None:
        raise RebuildFailed(f"no generation of {name} is active")
    generation = int(began[0])
    try:
        books = [(row[0], row[1]) for row in run(connection, QUERIES["read_books"])]
        events = recipe.build(Building(url, connection, generation, books, processes, on_progress))
        old = show(url, recipe.projection, generation)
    except BaseException:
        # What was filled so far is of no use to anybody; when this fails too, the next rebuild does it.
        forget(url, recipe, generation)
        raise
    return Rebuilt(name, generation, len(books), events, drop(connection, recipe, old, DROP_TRIES))


def show(url: str, projection: Projection, generation: int) -> int:
    """Catch up with the books and change places; return the generation that was shown before."""
    with closing(connect_projector(url, "rebuild")) as connection:
        catch_up(connection, projection, generation)
        return swap(connection, projection, generation)


def catch_up(connection: Connection[TupleRow], projection: Projection, generation: int) -> None:
    """Follow what was recorded meanwhile, until little is left or the writers are faster than we are."""
    for _ in range(CATCH_UP_ROUNDS):
        news = find_news(connection, projection, generation)
        for group in groups_of(news, EVENTS_PER_CATCH_UP):
            follow_group(connection, projection, generation, group, EVENTS_PER_CATCH_UP)
        if sum(reached - followed for _, reached, followed in news) < EVENTS_PER_CATCH_UP:
            return


def swap(connection: Connection[TupleRow], projection: Projection, generation: int) -> int:
    """Show the new generation in place of the old one, and return the old one's number."""
    for _ in range(SWAP_TRIES):
        try:
            return swap_once(connection, projection, generation)
        except psycopg.errors.LockNotAvailable:
            run(connection, QUERIES["rollback"])
        except BaseException:
            if not connection.closed:
                run(connection, QUERIES["rollback"])
            raise
    raise RebuildFailed("followers of the old generation never paused: try again")


def swap_once(connection: Connection[TupleRow], projection: Projection, generation: int) -> int:
    """In one transaction: stop the old generation's followers, draw level with each of its books, change places.

    No reader may see a book go back, so a book that cannot be brought level ends the rebuild.
    """
    run(connection, QUERIES["begin"])
    run(connection, QUERIES["be_durable"])
    row = run(connection, QUERIES["lock_generations"], (projection.name,)).fetchone()
    if row is None:
        raise RebuildFailed("no generation is active")
    old = int(row[0])
    reached: dict[str, int] = dict(run(connection, QUERIES["end_progress"], (projection.name, old)).fetchall())
    while behind := books_behind(connection, projection.name, generation, reached):
        moved = 0
        for group in groups_of(behind, EVENTS_PER_CATCH_UP):
            moved += follow_claimed(connection, projection, generation, group, EVENTS_PER_CATCH_UP)
        if not moved:
            names = ", ".join(name for name, _, _ in behind[:10])
            raise RebuildFailed(f"the new generation cannot follow the books {names} as far as the old one did")
    run(connection, QUERIES["retire"], (projection.name, old))
    if run(connection, QUERIES["activate"], (projection.name, generation)).fetchone() is None:
        raise RebuildFailed("the new generation was removed by somebody else")
    run(connection, QUERIES["commit"])
    return old


def books_behind(
    connection: Connection[TupleRow], projection: str, generation: int, reached: dict[str, int]
) -> list[News]:
    """Return the books that the new generation has followed less far than the old one."""
    rows = run(connection, QUERIES["read_progress"], (projection, generation)).fetchall()
    own = {name: position for name, position, _ in rows}
    behind = [(name, position, own.get(name, 0)) for name, position in reached.items()]
    new = [name for name, position, _ in behind if position and name not in own]
    if new:
        begin_progress(connection, projection, generation, [Advance(name, 0, 0) for name in new])
    return [news for news in behind if news[1] > news[2]]


def drop(connection: Connection[TupleRow], recipe: Recipe, generation: int, tries: int = 1) -> bool:
    """Remove a generation's tables. False when readers held them all the time: the next rebuild does it."""
    projection = recipe.projection.name
    for number in range(tries):
        try:
            for (statement,) in run(connection, QUERIES[recipe.detach_query], (generation,)).fetchall():
                connection.execute(statement.encode())
            run(connection, QUERIES[recipe.drop_query], (generation,))
        except psycopg.errors.LockNotAvailable:
            sleep(min(1.0, 0.05 * 2**number))
            continue
        run(connection, QUERIES["forget_progress"], (projection, generation))
        run(connection, QUERIES["forget_generation"], (projection, generation))
        return True
    log.warning("generation %d of %s is still being read; the next rebuild removes it", generation, projection)
    return False


def forget(url: str, recipe: Recipe, generation: int) -> None:
    """Remove what a failed rebuild has made, on a connection of its own."""
    try:
        with closing(connect_projector(url, "rebuild", BUILDING_SETTINGS)) as connection:
            drop(connection, recipe, generation)
    except psycopg.Error:
        log.exception("generation %d of %s is left for the next rebuild", generation, recipe.projection.name)
