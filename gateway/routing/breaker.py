"""A circuit breaker per route, and which providers have no money of ours left. No clock: the moment comes in.

A route that fails several times in a row within a window has its circuit opened: it is not called for a while.
Then one call tries it, and its success closes the circuit. What one gateway finds is told to the others through the
database.
"""

import msgspec

from gateway.settings import Breaker as BreakerSettings

COUNTED = frozenset({"timeout", "connection", "overloaded", "server_error", "bad_response", "stream_cut"})
"""Failures that speak against a route. Limits, long prompts and empty accounts do not."""

MICROSECONDS = 1_000_000


class Circuit(msgspec.Struct):
    """One route's failures in a row, and when the recent ones were; instants in microseconds."""

    failures: int = 0
    recent: list[int] = []
    open_until: int = 0
    probed_at: int = 0


class Breaker:
    """The circuits of one gateway's routes."""

    def __init__(self, settings: BreakerSettings) -> None:
        self.settings = settings
        self.circuits: dict[str, Circuit] = {}

    def open_circuits(self, now: int) -> dict[str, str]:
        """Return the routes that are not called now, with words for the record."""
        return {
            name: f"its circuit is open after {circuit.failures} failures in a row"
            for name, circuit in self.circuits.items()
            if circuit.open_until and not self._may_probe(circuit, now)
        }

    def _may_probe(self, circuit: Circuit, now: int) -> bool:
        """Return whether a route with an open circuit may be tried once."""
        pause = int(self.settings.open_seconds * MICROSECONDS)
        return now >= circuit.open_until and now - circuit.probed_at >= pause

    def called(self, route: str, now: int) -> None:
        """Note that a route is being called: where the pause of its open circuit is over, that is the one try."""
        circuit = self.circuits.get(route)
        if circuit is not None and circuit.open_until and now >= circuit.open_until:
            circuit.probed_at = now

    def succeeded(self, route: str) -> bool:
        """Note a success; return whether its circuit was open until now."""
        circuit = self.circuits.pop(route, None)
        return circuit is not None and circuit.open_until > 0

    def failed(self, route: str, failure: str, now: int) -> bool:
        """Note a failure; return whether it opens the circuit, or keeps it open."""
        if failure not in COUNTED:
            return False
        circuit = self.circuits.setdefault(route, Circuit())
        circuit.failures += 1
        if not circuit.open_until:
            earliest = now - int(self.settings.window_seconds * MICROSECONDS)
            circuit.recent = [at for at in circuit.recent if at >= earliest] + [now]
            if len(circuit.recent) < self.settings.failures:
                return False
        circuit.open_until = max(circuit.open_until, now + int(self.settings.open_seconds * MICROSECONDS))
        return True

    def learn(self, route: str, open_until: int, now: int) -> None:
        """Take over what another gateway found: its circuit is open until then. What is over says nothing."""
        if open_until <= now:
            return
        circuit = self.circuits.setdefault(route, Circuit(failures=self.settings.failures))
        circuit.open_until = max(circuit.open_until, open_until)
