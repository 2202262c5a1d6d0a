"""A call on its way over routes: where it is now, what is held for it, and what has happened so far."""

import asyncio

import msgspec

from gateway.dialects.calls import CallBody
from gateway.dialects.errors import ErrorAnswer
from gateway.dialects.failures import UpstreamFailure
from gateway.edge.ticket import Ticket
from gateway.routing.candidates import Candidates, Target
from gateway.usage.reported import ReportedUsage
from ledger.catalog.events import RoutePublished
from ledger.core.amounts import Unit, format_minor
from projections.receipt.customer import shown_failure


class CallFailed(Exception):
    """A call that gets no answer: what the client is told."""

    def __init__(self, error: ErrorAnswer) -> None:
        super().__init__(error.message)
        self.error = error


class FailedAttempt(msgspec.Struct, frozen=True):
    """An upstream call that gave no answer.

    `body` is what the upstream said, for a fault of the caller's own; `report` is the usage it stated all the same.
    """

    failure: UpstreamFailure
    body: bytes = b""
    report: ReportedUsage | None = None


class ClientGone(Exception):
    """Nobody waits for the answer any more. `was_served` says that an upstream was at work until now."""

    def __init__(self, *, was_served: bool) -> None:
        super().__init__("the client has hung up")
        self.was_served = was_served


class Journey:
    """One call. Lives as long as the call does, in one task."""

    def __init__(
        self,
        ticket: Ticket,
        candidates: Candidates,
        target: Target,
        *,
        call: CallBody,
        hold_minor: int,
        unit: Unit,
        output_limit: int | None,
    ) -> None:
        self.ticket = ticket
        self.candidates = candidates
        self.target = target
        self.call = call
        """The call as it is sized: with the affordable output limit where that is lower than asked."""

        self.hold_minor = hold_minor
        self.unit = unit
        self.output_limit = output_limit
        """The output limit that is put into the call, where the caller's own is not what is sent."""

        self.attempts = 0
        self.retries = 0
        self.fallbacks = 0
        self.moves: list[str] = []
        """Every change of route, and of the balance that pays, in words."""

        self.extensions = 0
        self.hold_until = 0.0
        """When the hold expires, by the event loop's clock."""

        self.deadline = 0.0
        self.waited_seconds = 0.0
        """Time that went to upstreams and pauses, by the monotonic clock: what is left is what the gateway added."""

        self.attempt_started = 0.0
        self.gone_at: float | None = None
        self.drain_seconds = 0.0
        self._scope: asyncio.Timeout | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the client has hung up."""
        return self.gone_at is not None

    def until(self, when: float) -> asyncio.Timeout:
        """Return a time limit that becomes shorter when the client hangs up."""
        self._scope = asyncio.timeout_at(self.not_later(when))
        return self._scope

    def prolong(self, when: float) -> None:
        """Move the time limit that is running, as far as it may be moved."""
        if self._scope is not None:
            self._scope.reschedule(self.not_later(when))

    def not_later(self, when: float) -> float:
        """Return an instant, or the end of the drain where the client is gone and that is earlier."""
        return when if self.gone_at is None else min(when, self.gone_at + self.drain_seconds)

    def client_gone(self, now: float, drain_seconds: float) -> None:
        """Note that the client has hung up: from now on the upstream has only so long."""
        if self.gone_at is not None:
            return
        self.gone_at = now
        self.drain_seconds = drain_seconds
        scope = self._scope
        if scope is not None and not scope.expired() and scope.when() is not None:
            scope.reschedule(min(scope.when() or now, now + drain_seconds))

    def moved_to(self, target: Target, hold_minor: int, unit: Unit, failure: str) -> None:
        """Note a fallback that is on record."""
        self.fallbacks += 1
        self.moves.append(move_text(self.target.route, target.route, shown_failure(failure)))
        self.target = target
        self.hold_minor = hold_minor
        self.unit = unit

    def held(self) -> str:
        """Return what is held, as text with its unit."""
        return f"{format_minor(self.hold_minor, self.unit.scale)} {self.unit.code}"


def move_text(current: RoutePublished, target: RoutePublished, reason: str) -> str:
    """Return a change of route in words, with both buckets where another balance pays."""
    change = "" if current.bucket == target.bucket else f" bucket {current.bucket} -> {target.bucket}"
    return f"{current.route} -> {target.route}{change} ({reason})"
