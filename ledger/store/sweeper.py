"""Finds holds whose time has passed and has them released by ordinary commands.

Every process may run one: each expiry has one identity, and is decided again under the lock.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from time import monotonic

import psycopg

from ledger.core.commands import Command
from ledger.core.refusals import Refused
from ledger.request.commands import ExpireRequest
from ledger.store.batch import Outcome
from ledger.store.connection import connect_writer
from ledger.store.queries import load_queries

log = logging.getLogger(__name__)
QUERIES = load_queries("ledger.store.sql", "batch.sql")

PAGE = 1000
SYSTEM = "system"
FORGET_SECONDS = 600.0
"""How often old rows that nobody asks for any more are deleted."""


class Sweeper(threading.Thread):
    """Looks for expired holds every `interval_seconds`. `execute` runs commands and waits for their outcomes.

    Now and then it deletes what is kept for a limited time, too.
    """

    def __init__(
        self, url: str, execute: Callable[[Sequence[Command], str], Sequence[Outcome]], interval_seconds: float
    ) -> None:
        super().__init__(name="ledger-sweeper", daemon=True)
        self.url = url
        self.execute = execute
        self.interval_seconds = interval_seconds
        self._stopping = threading.Event()
        self._forget_at = 0.0
        self.expired = 0
        """Holds that this sweeper has given back: whoever held them never said what became of the call."""

    def stop(self) -> None:
        """Finish after the page in hand."""
        self._stopping.set()

    def run(self) -> None:
        """Sweep until stopped; a database that is down is asked again at the next turn."""
        while not self._stopping.wait(self.interval_seconds):
            try:
                self.sweep()
            except (psycopg.Error, Refused) as error:
                log.warning("expired holds could not be swept: %s", str(error).strip())
            except Exception:
                log.exception("expired holds could not be swept")

    def sweep(self) -> int:
        """Release everything that has expired by now; returns how many holds were released.

        Ends at a page of which nothing could be released: it would be the same page again.
        """
        swept = 0
        with connect_writer(self.url) as connection:
            while not self._stopping.is_set():
                found = connection.execute(QUERIES["find_expired"], (PAGE,)).fetchall()
                expiries = [ExpireRequest(workspace_id=row[0], request_id=row[1]) for row in found]
                outcomes = self.execute(expiries, SYSTEM) if expiries else ()
                released = sum(outcome.recorded is not None for outcome in outcomes)
                swept += released
                self.expired += sum(outcome.recorded is not None and not outcome.repeated for outcome in outcomes)
                if len(found) < PAGE or not released:
                    break
            if monotonic() >= self._forget_at:
                connection.execute(QUERIES["forget_pins"])
                self._forget_at = monotonic() + FORGET_SECONDS
        return swept
