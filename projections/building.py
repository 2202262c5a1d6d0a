"""What a projection brings to a rebuild of it, and how the books are shared out over processes."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import LiteralString, Protocol, TypeVar

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.store.queries import load_queries
from projections.connections import run
from projections.following import Advance, Projection

__all__ = ["Book", "Building", "OnEvents", "OnProgress", "Recipe", "begin_progress", "build_shares", "share_out"]

T = TypeVar("T")

QUERIES = load_queries("projections.sql", "rebuild.sql")
SMALL_REBUILD_EVENTS = 500_000
"""Below this, starting a second process costs more than it gives."""

SHARES_PER_PROCESS = 4
"""Several, so that all processes end at about the same time; each costs some connections."""

BOOKS_PER_SHARE = 20_000

OnProgress = Callable[[int, int], None]
"""Called with the events applied so far and the events there were when the rebuild began."""

OnEvents = Callable[[int], None]
"""Called with how many events were applied since the last time."""

Book = tuple[str, int]
"""A workspace and the position that its book has reached."""


class Building(msgspec.Struct, frozen=True):
    """A generation while it is made: where, of which books, by how many processes, and who wants to hear of it."""

    url: str
    connection: Connection[TupleRow]
    generation: int
    books: Sequence[Book]
    processes: int
    on_progress: OnProgress


class Recipe(Protocol):
    """How a projection is built anew. Its statements stand in `rebuild.sql`."""

    @property
    def projection(self) -> Projection:
        """What follows a generation once it is built."""

    @property
    def detach_query(self) -> LiteralString:
        """The statement that says how a generation's tables are taken from their parents."""

    @property
    def drop_query(self) -> LiteralString:
        """The statement that removes a generation's tables."""

    def build(self, building: Building) -> int:
        """Make and fill a generation's tables, with their keys, and write how far each book came.

        Returns the number of events applied.
        """


def share_out(books: Sequence[Book], events_per_share: int) -> list[list[Book]]:
    """Return books in shares of about the same work, the largest books first."""
    shares: list[list[Book]] = []
    events = 0
    for name, size in sorted(books, key=lambda book: (-book[1], book[0])):
        if not shares or events + size > events_per_share or len(shares[-1]) == BOOKS_PER_SHARE:
            shares.append([])
            events = 0
        shares[-1].append((name, size))
        events += size
    return shares


def build_shares(building: Building, build: Callable[[str, int, list[Book], OnEvents], T]) -> list[T]:
    """Build all books, in several processes where that pays, and return what each share came to.

    `build` is called with the database, the generation, the books of a share and whom to tell of progress; it must
    be a function of a module, so that other processes find it.
    """
    total = sum(events for _, events in building.books)
    applied = 0

    def report(events: int) -> None:
        nonlocal applied
        applied += events
        building.on_progress(applied, total)

    url, generation = building.url, building.generation
    processes = 1 if total < SMALL_REBUILD_EVENTS else building.processes
    shares = share_out(building.books, total if processes == 1 else total // (processes * SHARES_PER_PROCESS) + 1)
    if processes == 1 or len(shares) == 1:
        return [build(url, generation, share, report) for share in shares]
    # Spawned, not forked: a fork would take the parent's connections and threads with it.
    with ProcessPoolExecutor(processes - 1, mp_context=get_context("spawn")) as pool:
        waiting = [(share, pool.submit(build, url, generation, share, unheard)) for share in shares]
        # This process is one of them: it takes from the end, where the small books are, what nobody has begun.
        built = [build(url, generation, share, report) for share, future in reversed(waiting) if future.cancel()]
        for share, future in waiting:
            if not future.cancelled():
                built.append(future.result())
                report(sum(events for _, events in share))
    return built


def unheard(events: int) -> None:
    """Tell nobody: another process reports a share when it is done."""


def begin_progress(
    connection: Connection[TupleRow], projection: str, generation: int, advances: Sequence[Advance]
) -> None:
    """Write how far books were built, so that followers go on from there."""
    columns = (
        [advance.workspace_id for advance in advances],
        [advance.position for advance in advances],
        [advance.failed_position for advance in advances],
        [advance.failure for advance in advances],
    )
    run(connection, QUERIES["write_progress"], (projection, generation, *columns))
