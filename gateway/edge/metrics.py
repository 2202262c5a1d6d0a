"""What the edge counts for Prometheus. Amounts are counted per bucket; nothing adds two buckets."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.001, 0.002, 0.004, 0.006, 0.01, 0.02, 0.04, 0.06, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the time that the gateway adds: a hold and a settlement take a few milliseconds."""


class Labelled:
    """A metric whose children are looked up once: the library's own look-up costs more than the count."""

    def __init__(self, metric: Counter | Histogram) -> None:
        self._metric = metric
        self._children: dict[tuple[str, ...], Any] = {}

    def labels(self, *labels: str) -> Any:
        """Return the child with these labels."""
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._metric.labels(*labels)
        return child


class EdgeMetrics:
    """The counters of one process, in the server's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def plain(name: str, text: str) -> Counter:
            return Counter(f"route_ledger_{name}", text, registry=registry)

        def counter(name: str, text: str, *labels: str) -> Labelled:
            return Labelled(Counter(f"route_ledger_{name}", text, labels, registry=registry))

        self.registry = registry
        self.calls = counter("calls", "Calls by interface and outcome.", "interface", "outcome")
        self.attempts = counter("attempts", "Upstream calls by route and outcome.", "route", "outcome")
        self.retries = counter("retries", "Further calls on the same route.", "route")
        self.fallbacks = counter("fallbacks", "Moves to another route.", "from_route", "to_route", "failure")
        self.held = counter("held", "Amounts held, in the bucket's unit.", "bucket", "unit")
        self.settled = counter("settled", "Amounts charged, in the bucket's unit.", "bucket", "unit")
        self.overrun = counter("overrun", "Charges that no balance paid, in the bucket's unit.", "bucket", "unit")
        self.settlements = counter("settlements", "Settled requests by the source of their usage.", "source", "policy")
        self.unpriced = counter("unpriced", "Tokens that no rate priced.", "route", "part")
        self.mismatches = counter("model_mismatches", "Answers of a model that its card does not list.", "route")
        self.terms = counter("unnamed_terms", "Answers billed under terms that no card names.", "route", "term")
        self.refused = counter("refused_calls", "Calls refused before any upstream was called.", "reason")
        self.added = Labelled(
            Histogram(
                "route_ledger_added_seconds",
                "Time that the gateway adds to an answer: all of it less the upstream's.",
                ("interface",),
                buckets=SECONDS,
                registry=registry,
            )
        )
        self.spooled = plain("spooled", "Requests whose last words went to the spool.")
        self.delivered = plain("spool_delivered", "Requests that came from the spool into the books.")
        self.rejected = plain("spool_rejected", "Requests with last words that the books refused for good.")
        self.spool_waiting = Gauge(
            "route_ledger_spool_waiting", "Requests whose last words wait in the spool.", registry=registry
        )
        self.open_circuits = Gauge(
            "route_ledger_open_circuits", "Routes that are left alone at the moment.", registry=registry
        )
