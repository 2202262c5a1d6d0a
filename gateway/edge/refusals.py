"""Counts of refused calls by hour, key, model and reason, told to the ledger every few seconds."""

import asyncio
import logging
from collections import Counter

from gateway.books.protocol import Books
from gateway.edge.metrics import EdgeMetrics
from ledger.core.refusals import Refused
from ledger.operating import HOUR_MICROSECONDS, Caller, RefusedCalls

log = logging.getLogger(__name__)

TELL_SECONDS = 5.0
DIFFERENT_MAX = 10_000
"""A caller who makes up models must not fill this process: beyond it a model counts as unnamed."""

Key = tuple[str, str, int, str, str]


class RefusedCounter:
    """What was refused and is not told yet."""

    def __init__(self, books: Books, metrics: EdgeMetrics) -> None:
        self._books = books
        self._metrics = metrics
        self._counts: Counter[Key] = Counter()

    def count(self, caller: Caller, model: str, reason: str, now: int) -> None:
        """Count one refused call at an instant (microseconds). `model` is empty for one that does not exist."""
        hour = now - now % HOUR_MICROSECONDS
        key = (caller.workspace_id, caller.api_key_id, hour, model, reason)
        if key not in self._counts and len(self._counts) >= DIFFERENT_MAX:
            key = (caller.workspace_id, caller.api_key_id, hour, "", reason)
        self._counts[key] += 1
        self._metrics.refused.labels(reason).inc()

    async def tell(self) -> None:
        """Tell the ledger what was counted; what can't be told now is kept."""
        counts, self._counts = self._counts, Counter()
        if not counts:
            return
        told = [RefusedCalls(*key, calls) for key, calls in counts.items()]
        try:
            await self._books.count_refused_calls(told)
        except Refused as refused:
            log.warning("refused calls could not be counted: %s", refused.detail)
            self._counts.update(counts)
        except Exception:
            log.exception("refused calls could not be counted")

    async def run(self) -> None:
        """Tell the ledger every few seconds, and once more when cancelled."""
        try:
            while True:
                await asyncio.sleep(TELL_SECONDS)
                await self.tell()
        finally:
            await self.tell()
