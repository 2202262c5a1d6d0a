"""How far the projections are behind the books: measured now and then, shown at `/metrics` as it was measured last."""

import logging
import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from time import monotonic

import msgspec
from prometheus_client import CollectorRegistry, Gauge

from ledger.store.connection import DATABASE_AWAY
from ledger.store.queries import load_queries
from projections.connections import connect_projector, run
from projections.every import every_projection
from projections.reading import Lag

log = logging.getLogger(__name__)

QUERIES = load_queries("projections.sql", "reading.sql")
SHARE_OF_TIME = 50
"""Measuring looks at all books: it takes at most a fiftieth of the time, however many they are."""

SETTINGS = {"statement_timeout": "60s", "jit": "off"}


class LagReport(msgspec.Struct, frozen=True):
    """How far each projection was behind when it was measured."""

    lags: tuple[Lag, ...]

    def figure(self, projection: str, field: str) -> float:
        """Return a figure of a projection; -1 for one that has no generation."""
        found = (float(getattr(lag, field)) for lag in self.lags if lag.projection == projection)
        return next(found, -1.0)


class LagWatch(threading.Thread):
    """Measures the lag every `interval_seconds`, or less often where that takes long, and reports it."""

    def __init__(self, url: str, interval_seconds: float, report: Callable[[LagReport], None]) -> None:
        super().__init__(name="lag", daemon=True)
        self.url = url
        self.report = report
        self.interval_seconds = interval_seconds
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Measure no more."""
        self._stopping.set()

    def run(self) -> None:
        """Measure until stopped."""
        took = 0.0
        while not self._stopping.is_set():
            began = monotonic()
            try:
                self.report(measure_lag(self.url))
            except DATABASE_AWAY as error:
                log.warning("the lag of the projections could not be measured: %s", str(error).strip())
            took = monotonic() - began
            self._stopping.wait(max(self.interval_seconds, SHARE_OF_TIME * took))


def measure_lag(url: str) -> LagReport:
    """Return how far each projection is behind now."""
    with closing(connect_projector(url, "lag", SETTINGS)) as connection:
        return LagReport(tuple(Lag(*row) for row in run(connection, QUERIES["read_lag"])))


def show_lag(registry: CollectorRegistry, read: Callable[[str, str], float]) -> None:
    """Add the gauges of each projection to a registry. `read` returns a figure by projection and field of `Lag`."""
    gauges = {
        "events_behind": Gauge(
            "route_ledger_projection_events_behind",
            "Events that a projection has still to follow, as measured at most some seconds ago; -1 before that.",
            ("projection",),
            registry=registry,
        ),
        "books_failed": Gauge(
            "route_ledger_projection_books_stopped",
            "Books whose projection stands still at an event that cannot be applied; -1 before the first measurement.",
            ("projection",),
            registry=registry,
        ),
    }
    for projection in every_projection():
        for field, gauge in gauges.items():
            gauge.labels(projection.name).set_function(partial(read, projection.name, field))
