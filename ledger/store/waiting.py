"""Callers who wait for commands: threads by an event, event loops by a future, each told once per batch."""

import asyncio
import threading
from collections.abc import Sequence

from ledger.core.refusals import Refused
from ledger.store.batch import Outcome, Pending, answer
from ledger.store.queue import CommandQueue


class Group:
    """The commands of one call, in order, and who waits for all of them."""

    __slots__ = ("future", "left", "pendings", "ready")

    def __init__(self, future: asyncio.Future[list[Outcome]] | None) -> None:
        self.pendings: Sequence[Pending] = ()
        self.left = 0
        self.future = future
        self.ready = None if future is not None else threading.Event()

    def hold(self, pendings: Sequence[Pending]) -> None:
        """Note the commands to wait for, before they are queued."""
        self.pendings = pendings
        self.left = len(pendings)

    def arrived(self) -> None:
        """Count one command as answered; the last one wakes the caller."""
        self.left -= 1
        if self.left:
            return
        if self.ready is not None:
            self.ready.set()
        elif self.future is not None and not self.future.done():
            self.future.set_result([pending.outcome for pending in self.pendings])


def tell_threads(pendings: list[Pending]) -> None:
    """Wake waiting threads. Runs in the writer's thread."""
    for pending in pendings:
        pending.group.arrived()


class LoopDoor:
    """Brings the commands of one event loop to the queue and their answers back, many at a time.

    What callers send within one turn of the loop is queued together, under one lock and with one waking of the
    writer; a batch comes back with one call into the loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, queue: CommandQueue) -> None:
        self.loop = loop
        self.queue = queue
        self._coming: list[Pending] = []

    def send(self, pendings: list[Pending]) -> None:
        """Queue commands at the end of this turn of the loop."""
        if not self._coming:
            self.loop.call_soon(self._flush)
        self._coming += pendings

    def _flush(self) -> None:
        coming, self._coming = self._coming, []
        taken: list[Pending] = []
        try:
            taken = self.queue.put(coming, expect_nothing)
        except Refused as refused:
            answer(coming, refused)
        if len(taken) < len(coming):
            left = set(map(id, taken))
            tell_threads([pending for pending in coming if id(pending) not in left])

    def __call__(self, pendings: list[Pending]) -> None:
        """Hand the answered commands over to the loop. Raises RuntimeError when the loop is closed."""
        self.loop.call_soon_threadsafe(tell_threads, pendings)


def expect_nothing(taken: list[Pending]) -> None:
    """The groups of a loop count their commands before they are queued, and are told in the loop alone."""
