"""The parts that all calls of one process share, and the work that goes on beside them."""

import asyncio
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from gateway.books.protocol import Books
from gateway.books.settler import Settler, SettlerObserver
from gateway.books.spool import Spool
from gateway.edge.conditions import HealthKeeper
from gateway.edge.metrics import EdgeMetrics
from gateway.edge.refusals import RefusedCounter
from gateway.settings import Settings
from gateway.upstream.calling import Upstreams

DRAIN_SECONDS = 8.0
CANCEL_SECONDS = 2.0


class Gateway:
    """One gateway on one event loop: made inside the loop, closed before it ends."""

    def __init__(
        self,
        books: Books,
        settings: Settings,
        keys: Mapping[str, str],
        registry: CollectorRegistry,
    ) -> None:
        self.books = books
        self.settings = settings
        self.metrics = EdgeMetrics(registry)
        self.upstreams = Upstreams({name: key for name, key in keys.items() if key}, settings.edge)
        self.health = HealthKeeper(books, settings.breaker, keys.keys(), self.metrics)
        self.refused = RefusedCounter(books, self.metrics)
        self.spool = Spool(Path(settings.spool.directory))
        observer = SettlerObserver(
            spooled=self.metrics.spooled.inc, delivered=self.metrics.delivered.inc, rejected=self.metrics.rejected.inc
        )
        self.settler = Settler(books, self.spool, observer)
        self.metrics.spool_waiting.set_function(self.spool.waiting)
        self._always: list[asyncio.Task[None]] = []
        self._beside: set[asyncio.Task[None]] = set()

    def beside(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside a call, whatever becomes of the call."""
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)
        return task

    def start(self) -> None:
        """Begin the work beside the calls."""
        self._always = [
            asyncio.create_task(self.health.run(), name="health of routes"),
            asyncio.create_task(self.refused.run(), name="counts of refused calls"),
        ]
        self.settler.start()

    async def close(self) -> None:
        """Let what was begun come to its end within a bound, then close everything."""
        await self.settler.drain(DRAIN_SECONDS)
        await cancel_all({*self._always, *self._beside})
        await self.upstreams.close()
        await self.books.close()


async def cancel_all(tasks: set[asyncio.Task[None]]) -> None:
    """End tasks, asking again where a library has swallowed the cancellation: `asyncio.wait_for` of 3.11 may."""
    running = tasks
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=CANCEL_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
