"""Circuits of routes, against a plain model that keeps every failure there ever was."""

from typing import Any, get_args

import pytest
from hypothesis import settings as limits
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.routing.breaker import COUNTED, MICROSECONDS, Breaker
from gateway.settings import Breaker as BreakerSettings
from ledger.request.commands import Failure
from tests.unit.world import NOW

ROUTES = ("direct", "backup")
counted = st.sampled_from(sorted(COUNTED))
uncounted = st.sampled_from(sorted(set(get_args(Failure)) - COUNTED))
routes = st.sampled_from(ROUTES)


class Remembered:
    """What happened on a route since its last success: instants of failures, openings and tries."""

    def __init__(self) -> None:
        self.failures: list[int] = []
        self.open_until: list[int] = []
        self.tries: list[int] = []


class Circuits(RuleBasedStateMachine):
    """Calls that fail and succeed at any moment, on two routes that must not touch each other."""

    @initialize(failures=st.integers(1, 4), window=st.integers(0, 5), pause=st.integers(0, 5))
    def begin(self, failures: int, window: int, pause: int) -> None:
        """Choose the settings, in whole seconds."""
        self.settings = BreakerSettings(failures, window, pause)
        self.window, self.pause = window * MICROSECONDS, pause * MICROSECONDS
        self.breaker = Breaker(self.settings)
        self.now = NOW
        self.routes = {name: Remembered() for name in ROUTES}

    @rule(step=st.integers(0, 3) | st.integers(0, 6 * MICROSECONDS) | st.integers(0, 6).map(MICROSECONDS.__mul__))
    def wait(self, step: int) -> None:
        """Let time pass, often by whole seconds so that bounds are met exactly."""
        self.now += step

    @rule(route=routes, failure=counted)
    def fail(self, route: str, failure: str) -> None:
        """A failure opens a circuit when it is the Nth in a row within the window, or when it was open already."""
        known = self.routes[route]
        known.failures.append(self.now)
        last = known.failures[-self.settings.failures :]
        opens = bool(known.open_until) or (len(last) == self.settings.failures and self.now - last[0] <= self.window)
        if opens:
            known.open_until.append(self.now + self.pause)
        assert self.breaker.failed(route, failure, self.now) == opens

    @rule(route=routes, failure=uncounted)
    def fail_for_another_reason(self, route: str, failure: str) -> None:
        """A failure that does not speak against the route opens nothing."""
        assert not self.breaker.failed(route, failure, self.now)

    @rule(route=routes)
    def succeed(self, route: str) -> None:
        """A success closes the circuit, and the next row of failures begins anew."""
        assert self.breaker.succeeded(route) == bool(self.routes[route].open_until)
        self.routes[route] = Remembered()

    @rule(route=routes)
    def call(self, route: str) -> None:
        """A call after the pause is the one try; one that was under way before it is none."""
        known = self.routes[route]
        if known.open_until and self.now >= max(known.open_until):
            known.tries.append(self.now)
        self.breaker.called(route, self.now)

    @rule(route=routes, ahead=st.integers(-5, 10))
    def learn(self, route: str, ahead: int) -> None:
        """Another gateway's circuit counts as our own, as long as it is open."""
        until = self.now + ahead * MICROSECONDS
        if until > self.now:
            self.routes[route].open_until.append(until)
        self.breaker.learn(route, until, self.now)

    @invariant()
    def routes_are_left_alone_while_their_circuit_is_open(self) -> None:
        """A route is left alone during its pause, and again for as long after each try that has not succeeded."""
        if not hasattr(self, "routes"):
            return
        closed = {
            name
            for name, known in self.routes.items()
            if known.open_until
            and (self.now < max(known.open_until) or any(self.now < at + self.pause for at in known.tries))
        }
        assert set(self.breaker.open_circuits(self.now)) == closed


TestCircuits: Any = Circuits.TestCase
TestCircuits.settings = limits(stateful_step_count=60)


def after(seconds: float) -> int:
    """Return an instant."""
    return NOW + int(seconds * MICROSECONDS)


def broken(*seconds: float) -> Breaker:
    """Return a breaker with the default settings, after failures at these seconds."""
    breaker = Breaker(BreakerSettings())
    for second in seconds:
        breaker.failed("direct", "timeout", after(second))
    return breaker


@pytest.mark.parametrize(
    ("seconds", "is_open"),
    [((0, 1, 2, 3), False), ((0, 1, 2, 3, 4), True), ((0, 10, 20, 25, 30), True), ((0, 10, 20, 25, 30.1), False),
     ((0, 29, 29.1, 29.2, 31, 32), True)],
)  # fmt: skip
def test_five_failures_in_half_a_minute_open_a_circuit(seconds: tuple[float, ...], is_open: bool) -> None:
    """Any five in a row within thirty seconds count, wherever an older failure lies."""
    assert bool(broken(*seconds).open_circuits(after(seconds[-1]))) is is_open


def test_one_call_tries_a_route_after_its_pause() -> None:
    """Half a minute nobody calls; then one does, and the others wait for it as long again."""
    breaker = broken(0, 0, 0, 0, 0)
    assert breaker.open_circuits(after(29.9)) == {"direct": "its circuit is open after 5 failures in a row"}
    assert breaker.open_circuits(after(30)) == {}
    breaker.called("direct", after(30))
    assert list(breaker.open_circuits(after(30))) == list(breaker.open_circuits(after(59.9))) == ["direct"]
    assert breaker.open_circuits(after(60)) == {}


def test_a_failed_try_keeps_the_circuit_open_and_a_good_one_closes_it() -> None:
    """One failure after the pause is enough for another pause; one success and it takes five again."""
    breaker = broken(0, 0, 0, 0, 0)
    breaker.called("direct", after(30))
    assert breaker.failed("direct", "timeout", after(31))
    assert list(breaker.open_circuits(after(60.9))) == ["direct"]
    assert breaker.open_circuits(after(61)) == {}
    assert breaker.succeeded("direct")
    assert not breaker.succeeded("direct")
    assert not any(breaker.failed("direct", "timeout", after(61)) for _ in range(4))
    assert breaker.failed("direct", "timeout", after(61))


def test_a_call_that_was_under_way_does_not_put_off_the_try() -> None:
    """A call planned before the circuit opened may still go out; the pause ends when it was said to."""
    breaker = broken(0, 0, 0, 0, 0)
    breaker.called("direct", after(20))
    assert breaker.open_circuits(after(30)) == {}


def test_what_another_gateway_found_is_believed_until_it_ends() -> None:
    """A circuit that is open elsewhere is open here until the same instant; one that was, says nothing."""
    breaker = Breaker(BreakerSettings())
    breaker.learn("direct", after(10), after(0))
    breaker.learn("direct", after(5), after(0))
    breaker.learn("backup", after(0), after(1))
    assert list(breaker.open_circuits(after(9))) == ["direct"]
    assert breaker.open_circuits(after(10)) == {}
    assert not breaker.failed("backup", "timeout", after(10))
    assert breaker.failed("direct", "timeout", after(10))
