"""Counts and durations at `/metrics`, in a registry of the server's own."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from ledger.api.refusal_table import MEANINGS, Code

BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds: a commit takes one to ten milliseconds where all is well."""

CONTENT_TYPE = CONTENT_TYPE_LATEST.encode()


class Timer:
    """What one kind of command did: recorded, repeated or refused, and how long posts of it took.

    The children of each label are looked up once: on the hot path a lookup costs more than the count.
    """

    __slots__ = ("observe", "recorded", "refused", "repeated")

    def __init__(self, outcomes: Counter, durations: Histogram, kind: str) -> None:
        self.recorded: Callable[[], None] = outcomes.labels(kind, "recorded").inc
        self.repeated: Callable[[], None] = outcomes.labels(kind, "repeated").inc
        self.refused: Callable[[], None] = outcomes.labels(kind, "refused").inc
        self.observe: Callable[[float], None] = durations.labels(kind).observe


class ApiMetrics:
    """The server's registry. Other parts register their own metrics in it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._outcomes = Counter(
            "route_ledger_commands", "Commands by kind and outcome.", ("kind", "outcome"), registry=self.registry
        )
        self._refusals = Counter(
            "route_ledger_refusals", "Refused commands by code.", ("code",), registry=self.registry
        )
        self._durations = Histogram(
            "route_ledger_post_seconds",
            "Time from the first byte of a post's body to its answer, by kind.",
            ("kind",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._refused: dict[Any, Callable[[], None]] = {
            code: self._refusals.labels(code.value).inc for code in MEANINGS
        }

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a figure that is read when somebody asks."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def timer(self, kind: str) -> Timer:
        """Return the counters of one kind of command."""
        return Timer(self._outcomes, self._durations, kind)

    def refused(self, code: Code) -> None:
        """Count a refusal."""
        self._refused[code]()

    def render(self) -> bytes:
        """Return all of it as text, as Prometheus reads it."""
        return generate_latest(self.registry)
