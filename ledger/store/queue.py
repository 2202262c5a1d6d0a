"""The bounded queue before the writer: who waits, who is shed, and when nothing more is taken.

Holds are shed well before settlements and releases: a hold that is refused costs a customer one retry, a
settlement that is refused costs somebody money.
"""

import threading
from collections import Counter, deque

from ledger.core.commands import Command
from ledger.core.refusals import Refusal, Refused
from ledger.request.commands import ExtendHold, RouteRequest, TakeFallback
from ledger.store.batch import Pending

CAPACITY = 20_000
HOLDS_CAPACITY = 10_000
WORKSPACE_CAPACITY = 8_000
WORKSPACE_HOLDS_CAPACITY = 4_000
BOOKS_PER_BATCH_MAX = 1000

HOLDS = (RouteRequest, ExtendHold, TakeFallback)


class CommandQueue:
    """Commands in order of arrival, bounded for the process and for each workspace."""

    def __init__(self) -> None:
        self.reachable = True
        self._waiting: deque[Pending] = deque()
        self._by_workspace: Counter[str] = Counter()
        self._closed = False
        self._in_work = 0
        self._condition = threading.Condition()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, pendings: list[Pending]) -> None:
        """Take commands, all or none. Refused when the queue is full, closed, or the database is known to be down."""
        with self._condition:
            if self._closed:
                raise Refused(Refusal.UNAVAILABLE, "the service is shutting down")
            if not self.reachable and self._waiting:
                # One batch stays in the queue and asks whether the database is back; the rest is answered at once.
                raise Refused(Refusal.UNAVAILABLE, "the database does not answer; nothing was recorded")
            for pending in pendings:
                self._require_room(pending.command)
            self._waiting.extend(pendings)
            for pending in pendings:
                self._by_workspace[pending.command.workspace_id] += 1
            self._condition.notify()

    def _require_room(self, command: Command) -> None:
        sheddable = isinstance(command, HOLDS)
        limit = HOLDS_CAPACITY if sheddable else CAPACITY
        workspace_limit = WORKSPACE_HOLDS_CAPACITY if sheddable else WORKSPACE_CAPACITY
        if len(self._waiting) >= limit or self._by_workspace[command.workspace_id] >= workspace_limit:
            raise Refused(Refusal.OVERLOADED, "too many commands are waiting; try again in a moment")

    def take(self, commands_max: int) -> list[Pending]:
        """Return waiting commands in order, at most so many and of at most so many books; empty when closed."""
        with self._condition:
            while not self._waiting and not self._closed:
                self._condition.wait()
            batch: list[Pending] = []
            books: set[str] = set()
            while self._waiting and len(batch) < commands_max:
                books.add(self._waiting[0].command.workspace_id)
                if len(books) > BOOKS_PER_BATCH_MAX:
                    break
                batch.append(self._waiting.popleft())
            self._in_work = len(batch)
            return batch

    def done(self, batch: list[Pending]) -> None:
        """Note that a batch was answered."""
        with self._condition:
            for pending in batch:
                workspace_id = pending.command.workspace_id
                self._by_workspace[workspace_id] -= 1
                if not self._by_workspace[workspace_id]:
                    del self._by_workspace[workspace_id]
            self._in_work = 0
            self._condition.notify_all()

    def close(self, drain_seconds: float) -> list[Pending]:
        """Take nothing more, wait for what is waiting within a bound, and return what was not reached in time."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            self._condition.wait_for(lambda: not self._waiting and not self._in_work, drain_seconds)
            left = list(self._waiting)
            self._waiting.clear()
            return left
