"""Group commit: one thread takes all waiting commands and makes one transaction of them.

What can go wrong is met here and nowhere else: a database that is down, a lock that is not granted, a commit
whose outcome is unknown, a command that breaks its batch. No caller is answered before the commit; none is
answered twice.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from time import monotonic

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.core.refusals import Refusal, Refused
from ledger.store.batch import Batch, Pending, Wanted, answer, gather
from ledger.store.closing import read_closings
from ledger.store.connection import connect_writer
from ledger.store.deciding import Decided, decide_batch
from ledger.store.queue import CommandQueue
from ledger.store.reading import Caches, read_batch
from ledger.store.watchdog import Watchdog
from ledger.store.writing import write_batch

log = logging.getLogger(__name__)

COMMANDS_PER_BATCH_MAX = 1000
RETRY_SECONDS = 8.0
"""How long a batch is tried again after the database failed under it."""

PAUSE_SECONDS = (0.01, 0.05)
"""The first and the longest pause before the next try; each is twice the one before."""

CACHED_WORKSPACES_MAX = 50_000

RETRIED_SQLSTATES = frozenset({"40001", "40P01", "55P03", "XX000", "57014"})
"""Serialization, deadlock, lock timeout, Citus' general failure, statement timeout: decided again as a whole."""

RETRIED_CLASSES = ("08", "57", "53", "25")
"""Connection, operator intervention, resources, a transaction in another state than believed: a new connection."""


class BatchBroken(Exception):
    """A batch failed for a reason that one of its commands must have brought."""


class Writer(threading.Thread):
    """The thread that owns one writing connection. `on_commit` is told the books that moved, as a hint."""

    def __init__(self, url: str, queue: CommandQueue, on_commit: Callable[[Sequence[str]], None]) -> None:
        super().__init__(name="ledger-writer", daemon=True)
        self.url = url
        self.queue = queue
        self.caches = Caches()
        self.on_commit = on_commit
        self.batches = 0
        self.watchdog = Watchdog()
        self._connection: Connection[TupleRow] | None = None

    def run(self) -> None:
        """Take batches until the queue is closed and empty."""
        self.watchdog.start()
        while True:
            batch = self.queue.take(COMMANDS_PER_BATCH_MAX)
            if not batch:
                break
            try:
                self._commit(batch)
            except Exception:
                # Whatever the connection was in the middle of must not ride on the next batch's commit.
                self._disconnect()
                log.exception("a batch of %d commands failed", len(batch))
                answer(batch, Refused(Refusal.OUTCOME_UNKNOWN, "unknown: repeat with the same identity"))
            self.queue.done(batch)
            deliver(batch)
        self._disconnect()
        self.watchdog.stop()

    def _commit(self, pendings: list[Pending]) -> None:
        """Commit a batch; when a command breaks it, halve it until that command is alone."""
        try:
            self._commit_with_retries(pendings)
        except BatchBroken as broken:
            if len(pendings) == 1:
                log.error("command %s cannot be processed: %s", pendings[0].command_id, broken)
                answer(pendings, Refused(Refusal.COMMAND_UNPROCESSABLE, "the command cannot be stored"))
                return
            middle = len(pendings) // 2
            self._commit(pendings[:middle])
            self._commit(pendings[middle:])

    def _commit_with_retries(self, pendings: list[Pending]) -> None:
        """Commit a batch, on new connections if need be, until it is done or its time is up.

        Every try reads the identities again under the locks, so a commit that went through unseen is found.
        """
        deadline = monotonic() + RETRY_SECONDS
        sent = False
        pause = PAUSE_SECONDS[0]
        while True:
            try:
                connection = self._connected()
                self.watchdog.began(connection)
                decided = self._decide(connection, pendings)
                if decided[1].events:
                    sent = True
                    write_batch(connection, *decided)
                else:
                    connection.execute("rollback")
                self.watchdog.ended()
                self._accept(pendings, *decided)
                return
            except psycopg.Error as error:
                self._disconnect()
                if not is_retried(error):
                    raise BatchBroken(str(error)) from error
                # One line for a batch that is tried again, not one for each of its tries.
                level = logging.WARNING if pause == PAUSE_SECONDS[0] else logging.DEBUG
                log.log(level, "a batch of %d commands is tried again: %s", len(pendings), str(error).strip())
                self._wait_or_give_up(pendings, deadline, sent, error, pause)
                pause = min(2 * pause, PAUSE_SECONDS[1])
            except Exception as error:
                self._disconnect()
                raise BatchBroken(repr(error)) from error
            if pendings[0].outcome.refused is not None:
                return

    def _wait_or_give_up(
        self, pendings: list[Pending], deadline: float, sent: bool, error: psycopg.Error, pause: float
    ) -> None:
        """Sleep before the next try. Answer at once when nothing was sent and no connection can be had."""
        refused: Refused | None = None
        if not sent and isinstance(error, psycopg.OperationalError) and not self._reachable():
            refused = Refused(Refusal.UNAVAILABLE, "the database does not answer; nothing was recorded")
        elif monotonic() > deadline:
            code = Refusal.OUTCOME_UNKNOWN if sent else Refusal.UNAVAILABLE
            detail = "unknown: repeat with the same identity" if sent else "the database does not answer"
            refused = Refused(code, detail)
        if refused is not None:
            answer(pendings, refused)
            return
        threading.Event().wait(pause)

    def _decide(self, connection: Connection[TupleRow], pendings: list[Pending]) -> tuple[Batch, Decided]:
        """Read, decide, and read again what turned out to be missing."""
        caches = self.caches
        wanted = gather(pendings, caches.workspaces, datetime.now(UTC))
        batch = read_all(connection, wanted, caches)
        decided = decide_batch(batch, pendings)
        while decided.not_loaded or decided.paces_not_loaded:
            wanted.budgets.update(dict.fromkeys(decided.not_loaded))
            wanted.paces.update(dict.fromkeys(decided.paces_not_loaded))
            connection.execute("rollback")
            batch = read_all(connection, wanted, caches)
            decided = decide_batch(batch, pendings)
        return batch, decided

    def _accept(self, pendings: list[Pending], batch: Batch, decided: Decided) -> None:
        """Take over what a committed batch came to."""
        for pending, outcome in zip(pendings, decided.outcomes, strict=True):
            pending.outcome = outcome
        if not decided.events:
            return
        self.batches += 1
        self.caches.catalog = batch.catalog
        moved = list(dict.fromkeys(event.workspace_id for event in decided.events))
        for workspace_id in moved:
            self.caches.workspaces[workspace_id] = batch.books[workspace_id].workspace
        while len(self.caches.workspaces) > CACHED_WORKSPACES_MAX:
            self.caches.workspaces.pop(next(iter(self.caches.workspaces)))
        try:
            self.on_commit(moved)
        except Exception:
            log.exception("the hint that books have moved could not be given")

    def _connected(self) -> Connection[TupleRow]:
        """Return the connection, made anew if need be.

        While none can be had, what waits is answered, and new commands are refused at the door.
        """
        if self._connection is None or self._connection.closed:
            try:
                self._connection = connect_writer(self.url)
            except psycopg.Error:
                self.queue.reachable = False
                waiting = self.queue.drop()
                answer(waiting, Refused(Refusal.UNAVAILABLE, "the database does not answer; nothing was recorded"))
                deliver(waiting)
                raise
            self.queue.reachable = True
        return self._connection

    def _reachable(self) -> bool:
        """Return whether a connection can be had now."""
        try:
            self._connected()
        except psycopg.Error:
            return False
        return True

    def _disconnect(self) -> None:
        self.watchdog.ended()
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def read_all(connection: Connection[TupleRow], wanted: Wanted, caches: Caches) -> Batch:
    """Lock and read what a batch needs; the closings of periods, which are rare, need more."""
    batch = read_batch(connection, wanted, caches)
    if wanted.closing:
        read_closings(connection, batch, wanted.closing)
    return batch


def deliver(batch: list[Pending]) -> None:
    """Tell every caller, all those of one event loop at once."""
    by_loop: dict[Callable[[list[Pending]], None], list[Pending]] = {}
    for pending in batch:
        by_loop.setdefault(pending.deliver, []).append(pending)
    for tell, pendings in by_loop.items():
        try:
            tell(pendings)
        except RuntimeError:
            # The event loop of these callers is closed: nobody waits, and the events are on record.
            log.warning("%d callers have gone", len(pendings))


def is_retried(error: psycopg.Error) -> bool:
    """Return whether the batch may succeed when it is tried again as a whole."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state in RETRIED_SQLSTATES or state.startswith(RETRIED_CLASSES)
