"""Callers who wait for commands: threads by an event, event loops by a future, each told once per batch."""

import asyncio
import threading
from collections.abc import Sequence

from ledger.store.batch import Outcome, Pending


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


class LoopTeller:
    """Wakes the callers of one event loop, with one call into the loop for a whole batch."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop

    def __call__(self, pendings: list[Pending]) -> None:
        """Hand the answered commands over to the loop. Raises RuntimeError when the loop is closed."""
        self.loop.call_soon_threadsafe(tell_threads, pendings)
