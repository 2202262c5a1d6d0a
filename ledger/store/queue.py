"""The bounded queue before the writer: who waits, who is shed, and when nothing more is taken.

Holds are shed well before settlements and releases: a hold that is refused costs a customer one retry, a
settlement that is refused costs somebody money.
"""

import threading
from collections import Counter, deque
from collections.abc import Callable

from ledger.core.refusals import Refusal, Refused
from ledger.request.commands import ExtendHold, RouteRequest, TakeFallback
from ledger.store.batch import Outcome, Pending

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

    def put(self, pendings: list[Pending], expect: Callable[[list[Pending]], None]) -> list[Pending]:
        """Take the commands for which there is room and return them; the others are answered.

        `expect` is told which are taken before any can be answered. All are refused when the queue is closed or
        the database is known to be down.
        """
        with self._condition:
            if self._closed:
                raise Refused(Refusal.UNAVAILABLE, "the service is shutting down")
            if not self.reachable and (self._waiting or self._in_work):
                # One batch asks whether the database is back; the rest is answered at once.
                raise Refused(Refusal.UNAVAILABLE, "the database does not answer; nothing was recorded")
            coming = Counter(pending.command.workspace_id for pending in pendings)
            if not self._has_room(coming):
                pendings = self._shed(pendings)
                coming = Counter(pending.command.workspace_id for pending in pendings)
            expect(pendings)
            self._waiting.extend(pendings)
            self._by_workspace.update(coming)
            self._condition.notify()
            return pendings

    def _has_room(self, coming: Counter[str]) -> bool:
        """Return whether all of a call fits, whatever it consists of."""
        if len(self._waiting) + coming.total() > HOLDS_CAPACITY:
            return False
        waiting = self._by_workspace
        return all(waiting[name] + count <= WORKSPACE_HOLDS_CAPACITY for name, count in coming.items())

    def _shed(self, pendings: list[Pending]) -> list[Pending]:
        """Return what there is room for, in order, and answer the rest.

        What follows on a command that is shed is shed with it: by itself it would be refused for good.
        """
        refused = Refused(Refusal.OVERLOADED, "too many commands are waiting; try again in a moment")
        taken: list[Pending] = []
        coming: Counter[str] = Counter()
        shed: set[tuple[str, str]] = set()
        for pending in pendings:
            name = pending.command.workspace_id
            request = (name, getattr(pending.command, "request_id", ""))
            is_hold = isinstance(pending.command, HOLDS)
            is_full = len(self._waiting) + len(taken) >= (HOLDS_CAPACITY if is_hold else CAPACITY)
            limit = WORKSPACE_HOLDS_CAPACITY if is_hold else WORKSPACE_CAPACITY
            if request in shed or is_full or self._by_workspace[name] + coming[name] >= limit:
                shed.add(request)
                pending.outcome = Outcome(refused=refused)
            else:
                coming[name] += 1
                taken.append(pending)
        return taken

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
            self._uncount(batch)
            self._in_work = 0
            self._condition.notify_all()

    def drop(self) -> list[Pending]:
        """Return all that waits and is in no batch yet, and forget it."""
        with self._condition:
            left = list(self._waiting)
            self._waiting.clear()
            self._uncount(left)
            return left

    def _uncount(self, pendings: list[Pending]) -> None:
        """Make room for as many others of the same workspaces."""
        for pending in pendings:
            workspace_id = pending.command.workspace_id
            self._by_workspace[workspace_id] -= 1
            if not self._by_workspace[workspace_id]:
                del self._by_workspace[workspace_id]

    def close(self, drain_seconds: float) -> list[Pending]:
        """Take nothing more, wait for what is waiting within a bound, and return what was not reached in time."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            self._condition.wait_for(lambda: not self._waiting and not self._in_work, drain_seconds)
            left = list(self._waiting)
            self._waiting.clear()
            self._uncount(left)
            return left
