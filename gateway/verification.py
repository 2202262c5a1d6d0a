"""The scheduled proof that what is live is what the events say: reported, never silent."""

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from ledger.store.connection import DATABASE_AWAY
from projections.replay import ReplayReport, replay

log = logging.getLogger(__name__)

FIRST_AFTER_SECONDS = 30.0


class VerificationResult(msgspec.Struct, frozen=True):
    """What a verification found, and when."""

    verified_at: str
    books: int
    events: int
    differences: int
    first_difference: str | None = None


class Verification(threading.Thread):
    """Replays all books every `interval_seconds` (0 is never) and reports each result."""

    def __init__(self, url: str, interval_seconds: float, report: Callable[[VerificationResult], None]) -> None:
        super().__init__(name="verification", daemon=True)
        self.url = url
        self.interval_seconds = interval_seconds
        self.report = report
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Begin no further run. One that is running ends with the process: it only reads."""
        self._stopping.set()

    def run(self) -> None:
        """Verify until stopped."""
        if self.interval_seconds <= 0:
            return
        wait = min(FIRST_AFTER_SECONDS, self.interval_seconds)
        while not self._stopping.wait(wait):
            wait = self.interval_seconds
            try:
                result = summarise(replay(self.url, verify=True))
            except DATABASE_AWAY as error:
                log.warning("the books could not be verified: %s", str(error).strip())
                continue
            if result.differences:
                log.error("VERIFICATION FAILED: %d differences; %s", result.differences, result.first_difference)
            self.report(result)


def summarise(report: ReplayReport) -> VerificationResult:
    """Return the numbers of a report, and its first difference in words."""
    first = str(report.differences[0]) if report.differences else None
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return VerificationResult(now, report.books, report.events, len(report.differences), first)
