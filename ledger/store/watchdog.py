"""Cuts a writer's connection when the database has stopped answering without closing it.

A backend that hangs (a frozen disk, a stopped process) answers nothing and breaks nothing: no timeout of the
database fires. The cut makes it an ordinary lost connection, which the writer knows how to handle.
"""

import logging
import os
import socket
import threading
from time import monotonic

from psycopg import Connection
from psycopg.rows import TupleRow

log = logging.getLogger(__name__)

HANGING_SECONDS = 15.0
"""Longer than any wait for a lock, and than any batch takes."""

LOOK_SECONDS = 1.0


class Watchdog(threading.Thread):
    """Watches one connection at a time, from `began` to `ended`."""

    def __init__(self, hanging_seconds: float = HANGING_SECONDS) -> None:
        super().__init__(name="ledger-watchdog", daemon=True)
        self.hanging_seconds = hanging_seconds
        self._watched: tuple[float, Connection[TupleRow]] | None = None
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def began(self, connection: Connection[TupleRow]) -> None:
        """Watch a connection from now on."""
        with self._lock:
            self._watched = (monotonic(), connection)

    def ended(self) -> None:
        """Watch nothing. Called before the connection is closed, so that its socket is still its own."""
        with self._lock:
            self._watched = None

    def stop(self) -> None:
        """End at the next look."""
        self._stopping.set()

    def run(self) -> None:
        """Look until stopped."""
        while not self._stopping.wait(min(LOOK_SECONDS, self.hanging_seconds / 4)):
            with self._lock:
                if self._watched is not None and monotonic() - self._watched[0] > self.hanging_seconds:
                    log.error("the database has not answered for %.0f s: the connection is cut", self.hanging_seconds)
                    cut(self._watched[1])
                    self._watched = None


def cut(connection: Connection[TupleRow]) -> None:
    """End a connection at its socket, under whoever waits for it."""
    if connection.closed:
        return
    with socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)
