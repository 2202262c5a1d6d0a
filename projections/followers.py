"""Followers keep a projection up to date: any number of threads and processes, each event exactly once.

A follower looks for books with news, claims some, reads a page of each and writes the rows and the new positions
in one transaction. Claimed books are skipped by others, positions move by compare and set. Books are found by
comparing positions; `notify` only makes that happen sooner.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from struct import error as StructError  # noqa: N812 - it is a class
from time import monotonic

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.store.queries import load_queries
from projections.connections import connect_projector, run
from projections.following import Advance, Page, Projection, describe
from projections.journal_rows import Journal

__all__ = ["Follower", "News", "find_news", "follow_claimed", "follow_group", "groups_of", "read_generation"]

log = logging.getLogger(__name__)

QUERIES = load_queries("projections.sql", "followers.sql")
EVENTS_PER_PAGE_MAX = 4000
BOOKS_PER_PAGE_MAX = 500
BOOKS_PER_LOOK_MAX = 10_000
GATHER_SECONDS = 0.02
"""How long news may gather before the next look: a page of many events costs little more than one of a few."""

RETRY_SECONDS = (0.05, 2.0)
"""The first and the longest pause after the database failed; each is twice the one before."""

News = tuple[str, int, int]
"""Workspace, the position that its book has reached, and the position that was followed."""


class Follower(threading.Thread):
    """A thread that keeps one projection up to date. Any number of them may run, here and elsewhere."""

    def __init__(self, url: str, projection: Projection | None = None, interval_seconds: float = 0.1) -> None:
        self.projection = projection or Journal()
        super().__init__(name=f"follower-{self.projection.name}", daemon=True)
        self.url = url
        self.interval_seconds = interval_seconds
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._connection: Connection[TupleRow] | None = None
        self._generation = 0
        self._reach = EVENTS_PER_PAGE_MAX

    def notify(self, workspace_ids: Sequence[str] = ()) -> None:
        """Look for news now. A hint: nothing is lost when it is never given."""
        self._wake.set()

    def stop(self, seconds: float = 10.0) -> None:
        """End after the transaction that is running, and wait for that."""
        self._stopping.set()
        self._wake.set()
        if self.is_alive():
            self.join(seconds)

    def run(self) -> None:
        """Follow until stopped, through every failure of the database."""
        pause = RETRY_SECONDS[0]
        while not self._stopping.is_set():
            try:
                took = self._follow_news()
            except psycopg.OperationalError as error:
                log.warning("%s: the database failed, trying again: %s", self.name, str(error).strip())
                self._disconnect()
            except Exception:
                # A defect must not end the thread unseen: it is logged at each try, and the lag grows.
                log.exception("%s cannot go on", self.name)
                self._disconnect()
            else:
                pause = RETRY_SECONDS[0]
                # Looking over all books stays a small part of the time, however many there are.
                self._wake.wait(max(self.interval_seconds, 5 * took))
                self._wake.clear()
                self._stopping.wait(GATHER_SECONDS)
                continue
            self._stopping.wait(pause)
            pause = min(2 * pause, RETRY_SECONDS[1])
        self._disconnect()

    def _follow_news(self) -> float:
        """Follow until there is little news, and return how many seconds the last look took."""
        while True:
            connection = self._connected()
            began = monotonic()
            generation = read_generation(connection, self.projection.name)
            news = find_news(connection, self.projection, generation)
            took = monotonic() - began
            advanced = 0
            for group in groups_of(news, self._reach):
                if self._stopping.is_set():
                    return took
                advanced += self._follow_carefully(connection, generation, group)
            if advanced < EVENTS_PER_PAGE_MAX // 4:
                if advanced:
                    # Somebody may wait for what came in meanwhile: look again after the next pause.
                    self._wake.set()
                return took

    def _follow_carefully(self, connection: Connection[TupleRow], generation: int, group: list[News]) -> int:
        """Follow a group. One that the database refuses is followed in ever smaller parts, down to the event."""
        try:
            advanced = follow_group(connection, self.projection, generation, group, self._reach)
        except (psycopg.DataError, psycopg.IntegrityError, StructError) as error:
            # A number or text of some event does not fit its column.
            if self._reach == 1:
                self._fail(connection, generation, group[0], describe(error))
            self._reach = max(1, self._reach // 8)
            return 1
        self._reach = min(2 * self._reach, EVENTS_PER_PAGE_MAX)
        return advanced

    def _fail(self, connection: Connection[TupleRow], generation: int, news: News, failure: str) -> None:
        """Stop a book at the event that the database refuses."""
        workspace_id, _, position = news
        log.error("event %d of book %s is refused: %s", position + 1, workspace_id, failure)
        advance = Advance(workspace_id, position, position, position + 1, failure)
        move(connection, self.projection.name, generation, [advance])

    def _connected(self) -> Connection[TupleRow]:
        if self._connection is None or self._connection.closed:
            self._connection = connect_projector(self.url, self.name)
            generation = read_generation(self._connection, self.projection.name)
            if generation != self._generation:
                run(self._connection, QUERIES["retry_failed"], (self.projection.name, generation))
                self._generation = generation
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def read_generation(connection: Connection[TupleRow], projection: str) -> int:
    """Return the generation of a projection that is read and followed now."""
    row = run(connection, QUERIES["read_generation"], (projection,)).fetchone()
    if row is None:
        raise LookupError(f"no generation of {projection} is active")
    return int(row[0])


def find_news(connection: Connection[TupleRow], projection: Projection, generation: int) -> list[News]:
    """Return books that are ahead of what was followed of them; new ones get their row of progress."""
    found = run(connection, QUERIES["find_news"], (projection.name, generation, BOOKS_PER_LOOK_MAX)).fetchall()
    new = [row[0] for row in found if row[3]]
    if new:
        run(connection, QUERIES["begin_progress"], (new, projection.name, generation))
    return [(row[0], row[1], row[2]) for row in found]


def groups_of(news: Sequence[News], events_max: int) -> Iterator[list[News]]:
    """Yield books with news in groups of bounded size; a book with more news than that is a group of its own."""
    group: list[News] = []
    events = 0
    for book in news:
        behind = book[1] - book[2]
        if group and (events + behind > events_max or len(group) == BOOKS_PER_PAGE_MAX):
            yield group
            group, events = [], 0
        group.append(book)
        events += behind
    if group:
        yield group


def follow_group(
    connection: Connection[TupleRow], projection: Projection, generation: int, group: list[News], events_max: int
) -> int:
    """Follow those of a group that nobody else has claimed, in one transaction. Return the events applied."""
    run(connection, QUERIES["begin"])
    try:
        advanced = follow_claimed(connection, projection, generation, group, events_max)
        run(connection, QUERIES["commit"])
    except BaseException:
        if not connection.closed:
            run(connection, QUERIES["rollback"])
        raise
    return advanced


def follow_claimed(
    connection: Connection[TupleRow], projection: Projection, generation: int, group: list[News], events_max: int
) -> int:
    """Claim, read and write a page of each book within the caller's transaction. Return the events applied."""
    pages = read_pages(connection, projection.name, generation, group, events_max)
    if not pages:
        return 0
    advances = projection.write(connection, generation, pages)
    move(connection, projection.name, generation, advances)
    return sum(advance.position - advance.old_position + bool(advance.failure) for advance in advances)


def read_pages(
    connection: Connection[TupleRow], projection: str, generation: int, group: list[News], events_max: int
) -> list[Page]:
    """Claim what can be claimed of a group, and return the next events of each claimed book."""
    news = [row[0] for row in group], [row[1] for row in group]
    claimed = run(connection, QUERIES["claim"], (*news, projection, generation)).fetchall()
    if not claimed:
        return []
    pages = {workspace_id: Page(workspace_id, position, []) for workspace_id, position in claimed}
    positions = [page.position for page in pages.values()]
    for row in run(connection, QUERIES["read_pages"], (list(pages), positions, events_max)):
        pages[row[0]].events.append(row)
    return list(pages.values())


def move(connection: Connection[TupleRow], projection: str, generation: int, advances: Sequence[Advance]) -> None:
    """Move the books' positions from where they were claimed; fails when one is somewhere else."""
    run(
        connection,
        QUERIES["move_progress"],
        (
            [advance.workspace_id for advance in advances],
            [advance.old_position for advance in advances],
            [advance.position for advance in advances],
            [advance.failed_position for advance in advances],
            [advance.failure for advance in advances],
            projection,
            generation,
            len(advances),
        ),
    )
