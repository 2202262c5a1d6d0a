"""Finds holds whose time has passed and has them released by ordinary commands.

Every process may run one: each expiry has one identity, and is decided again under the lock.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from time import time

import psycopg

from ledger.core.commands import Command
from ledger.core.refusals import Refused
from ledger.request.commands import ExpireRequest
from ledger.store.connection import connect_writer
from ledger.store.queries import load_queries

log = logging.getLogger(__name__)
QUERIES = load_queries("ledger.store.sql", "batch.sql")

PAGE = 1000
SYSTEM = "system"
SLACK_MICROSECONDS = 100_000
"""The database's clock decides; asking a little late spares refusals where ours runs ahead."""


class Sweeper(threading.Thread):
    """Looks for expired holds every `interval_seconds`. `execute` runs commands and waits for their outcomes."""

    def __init__(
        self, url: str, execute: Callable[[Sequence[Command], str], object], interval_seconds: float
    ) -> None:
        super().__init__(name="ledger-sweeper", daemon=True)
        self.url = url
        self.execute = execute
        self.interval_seconds = interval_seconds
        self._stop = threading.Event()

    def stop(self) -> None:
        """Finish after the page in hand."""
        self._stop.set()

    def run(self) -> None:
        """Sweep until stopped; a database that is down is asked again at the next turn."""
        while not self._stop.wait(self.interval_seconds):
            try:
                self.sweep()
            except (psycopg.Error, Refused) as error:
                log.warning("expired holds could not be swept: %s", str(error).strip())

    def sweep(self) -> int:
        """Release everything that has expired by now; returns how many holds were found."""
        swept = 0
        with connect_writer(self.url) as connection:
            while not self._stop.is_set():
                now = int(time() * 1_000_000) - SLACK_MICROSECONDS
                found = connection.execute(QUERIES["find_expired"], (now, PAGE)).fetchall()
                if not found:
                    break
                self.execute([ExpireRequest(workspace_id=row[0], request_id=row[1]) for row in found], SYSTEM)
                swept += len(found)
                if len(found) < PAGE:
                    break
        return swept
