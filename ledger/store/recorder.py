"""The `eventsourcing` library's recorder on one book: streams are originators, positions notification ids.

Events enter as group commit's do: under the book's lock, at the next positions, chained to the book's digest.
So nobody ever sees a position before all those below it, and a follower needs to remember only one number.
"""

import struct
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import psycopg
from eventsourcing import persistence
from eventsourcing.persistence import ApplicationRecorder, Notification, StoredEvent, Subscription
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.events import Recorded
from ledger.store.arrays import bytea_array, text_array
from ledger.store.batch import Head
from ledger.store.chain import leaf_digest, next_digest, start_digest
from ledger.store.connection import connect_writer
from ledger.store.queries import load_queries
from ledger.store.reading import run
from ledger.store.writing import append_events, move_books

QUERIES = load_queries("ledger.store.sql", "recorder.sql")

NOTIFICATIONS_PER_PAGE = 500
POLL_SECONDS_MIN = 0.01
POLL_SECONDS_MAX = 0.5
"""A subscription that finds nothing new waits for the first of these, then twice as long, up to the second."""

LIBRARY_ERRORS: tuple[tuple[type[Exception], type[persistence.PersistenceError]], ...] = (
    (psycopg.errors.UniqueViolation, persistence.IntegrityError),
    (psycopg.errors.CheckViolation, persistence.DataError),
    (psycopg.DataError, persistence.DataError),
    (psycopg.OperationalError, persistence.OperationalError),
    (psycopg.ProgrammingError, persistence.ProgrammingError),
    (psycopg.InterfaceError, persistence.InterfaceError),
    (psycopg.Error, persistence.DatabaseError),
    (UnicodeError, persistence.DataError),
    (struct.error, persistence.DataError),
)
"""What the library calls an error. Its IntegrityError means a conflict, and only a used version is one."""


class Connections:
    """Writer connections, each lent to one thread at a time and kept open in between.

    What fails while one is lent comes out as the library's own errors.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._idle: deque[Connection[TupleRow]] = deque()
        self._closed = False

    @contextmanager
    def lend(self) -> Iterator[Connection[TupleRow]]:
        """Yield a connection. It is closed when its user fails, which also rolls back."""
        try:
            connection = self._take()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._idle.append(connection)
            if self._closed:
                self.drop()
        except (psycopg.Error, UnicodeError, struct.error) as error:
            if isinstance(error, psycopg.OperationalError):
                self.drop()
            raise to_library_error(error) from error

    def fetch(self, name: str, **parameters: Any) -> list[TupleRow]:
        """Return the rows of a named query."""
        with self.lend() as connection:
            return connection.execute(QUERIES[name], parameters, prepare=True, binary=True).fetchall()

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back."""
        self._closed = True
        self.drop()

    def drop(self) -> None:
        """Close what is idle: after a failure it may be as dead as the connection that failed."""
        while self._idle:
            try:
                self._idle.pop().close()
            except IndexError:
                return

    def _take(self) -> Connection[TupleRow]:
        try:
            return self._idle.pop()
        except IndexError:
            return connect_writer(self.url)


class BookRecorder(ApplicationRecorder):
    """Records and reads the events of one book. Threads may share it; close it after use.

    It reads any book. It writes only to books that the service has not opened, because it moves no wallet, hold
    or budget: a live book is written by group commit alone.
    """

    def __init__(self, url: str, workspace_id: str) -> None:
        self.workspace_id = workspace_id
        self.url = url
        self._connections = Connections(url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the recorder's connections."""
        self._connections.close()

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> list[int]:
        """Append events to the book, all or none, and return their positions.

        Raises the library's IntegrityError for a version that is used, DataError for what the schema refuses,
        ProgrammingError for a live book, OperationalError when the database fails: then, as ever, the events
        may be there.
        """
        if not stored_events:
            return []
        with self._connections.lend() as connection:
            head, clock = lock_book(connection, self.workspace_id)
            if head.workspace_version:
                raise persistence.ProgrammingError(f"book {self.workspace_id} is live: group commit alone writes to it")
            old_position = head.position
            events = chain_events(self.workspace_id, head, clock, stored_events)
            with connection.pipeline():
                append_events(connection, events)
                move_books(connection, {self.workspace_id: old_position}, {self.workspace_id: head})
                run(connection, "commit")
        return [event.position for event in events]

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> list[StoredEvent]:
        """Return the events of a stream by version."""
        rows = self._connections.fetch(
            "select_events_backwards" if desc else "select_events",
            workspace_id=self.workspace_id,
            stream=str(originator_id),
            after=0 if gt is None else gt,
            until=lte,
            rows=limit,
        )
        return [StoredEvent(*row) for row in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> list[Notification]:
        """Return the events of the book from `start` to `stop` by position; with `topics` only those tags."""
        rows = self._connections.fetch(
            "select_notifications",
            workspace_id=self.workspace_id,
            after=0 if start is None else start - inclusive_of_start,
            until=stop,
            tags=list(topics) or None,
            rows=limit,
        )
        return [Notification(*row) for row in rows]

    def max_notification_id(self) -> int | None:
        """Return the position of the book's last event, or None for a book without events."""
        rows = self._connections.fetch("max_notification_id", workspace_id=self.workspace_id)
        return rows[0][0] if rows else None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> "PollingSubscription":
        """Return an iterator over the events after position `gt` that waits for those to come."""
        return PollingSubscription(self, gt, topics)


class PollingSubscription(Subscription[ApplicationRecorder]):
    """Follows a book by asking for news, less often while there are none. Any thread may `stop` it."""

    def __init__(self, recorder: ApplicationRecorder, gt: int | None, topics: Sequence[str]) -> None:
        super().__init__(recorder, gt, topics)
        self._page: deque[Notification] = deque()
        self._position = gt or 0
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the iteration, also one that waits."""
        super().stop()
        self._stopped.set()

    def __next__(self) -> Notification:
        """Return the next notification once there is one. Raises StopIteration after `stop`."""
        wait = POLL_SECONDS_MIN
        while not self._stopped.is_set():
            if self._page:
                return self._page.popleft()
            if not self._turn_page():
                self._stopped.wait(wait)
                wait = min(2 * wait, POLL_SECONDS_MAX)
        raise StopIteration

    def _turn_page(self) -> bool:
        """Read on to where the book ends now; return whether it went on.

        Events of other topics are passed over once and not looked at again.
        """
        end = self._recorder.max_notification_id() or 0
        if end <= self._position:
            return False
        page = self._recorder.select_notifications(
            self._position, NOTIFICATIONS_PER_PAGE, end, self._topics, inclusive_of_start=False
        )
        self._page.extend(page)
        self._position = page[-1].id if len(page) == NOTIFICATIONS_PER_PAGE else end
        return True


def lock_book(connection: Connection[TupleRow], workspace_id: str) -> tuple[Head, int]:
    """Begin a transaction that locks the book; return the book's head and the database's clock after that."""
    with connection.pipeline():
        run(connection, "begin")
        book = text_array([workspace_id])
        run(connection, "insert_missing_books", (book, bytea_array([start_digest(workspace_id)])))
        books = run(connection, "lock_books", (book,))
        clock = run(connection, "read_clock")
        (_, *head), (now, *_) = books.fetchall()[0], clock.fetchall()[0]
    return Head(*head), now


def chain_events(workspace_id: str, head: Head, clock: int, stored_events: Sequence[StoredEvent]) -> list[Recorded]:
    """Return events in their places after the head, which moves to the last of them."""
    events: list[Recorded] = []
    head.recorded_at = max(clock, head.recorded_at)
    for stored in stored_events:
        head.position += 1
        stream, version = str(stored.originator_id), stored.originator_version
        place = (workspace_id, head.position, stream, version, stored.topic)
        content = (f"@recorded/{stream}/{version}", head.recorded_at, stored.state)
        head.digest = next_digest(head.digest, leaf_digest(*place, *content))
        events.append(Recorded(*place, *content, head.digest))
    return events


def to_library_error(error: Exception) -> persistence.PersistenceError:
    """Return what the library calls an error of the database, or of a value that it cannot hold."""
    kind = next(library_kind for kind, library_kind in LIBRARY_ERRORS if isinstance(error, kind))
    return kind(str(error))
