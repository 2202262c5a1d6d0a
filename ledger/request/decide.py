"""May this happen to a request? Pure: (state, command, situation) → event, or a refusal.

Which command is possible in which state is one table, `TABLE`. Where it allows, the decision asks whether the
catalog, the key, the wallet and the spend limits allow it too.
"""

from collections.abc import Callable
from typing import Any

from ledger.core.refusals import Refusal, Refused
from ledger.pricing.usage import Usage
from ledger.request import commands, events
from ledger.request.correcting import correct
from ledger.request.routing import extend, fall_back, route
from ledger.request.settling import refund, settle
from ledger.request.situation import Situation, provider_cost
from ledger.request.state import RequestState, Status


def attempt(command: commands.RecordAttempt, state: RequestState, situation: Situation) -> events.AttemptFailed:
    """Record a failed upstream call with what is known of its cost."""
    if command.route not in situation.catalog.routes:
        raise Refused(Refusal.ROUTE_UNKNOWN, f"there is no route {command.route[:64]!r}", field="route")
    if command.attempt == state.settled_attempt:
        raise Refused(Refusal.ATTEMPT_ALREADY_SETTLED, f"attempt {command.attempt} was settled", field="attempt")
    usage: Usage | None = command.usage
    return events.AttemptFailed(
        command.attempt,
        command.route,
        command.failure,
        command.retried,
        command.latency_ms,
        command.http_status,
        usage,
        provider_cost(command.provider_cost, command.route, situation),
    )


def release(command: commands.ReleaseRequest, state: RequestState, situation: Situation) -> events.RequestReleased:
    """Give the whole hold back."""
    return events.RequestReleased(state.bucket, state.unit, state.held_minor, command.cause, state.budgets)


def void(command: commands.ReleaseRequest, state: RequestState | None, situation: Situation) -> events.RequestVoided:
    """Record a release that came before its hold."""
    return events.RequestVoided(command.cause)


def expire(command: commands.ExpireRequest, state: RequestState, situation: Situation) -> events.RequestReleased:
    """Give back a hold whose time has passed: checked again here, under the lock."""
    if situation.now < state.expires_at:
        raise Refused(Refusal.HOLD_NOT_EXPIRED, "the hold is still valid: it was extended")
    return events.RequestReleased(state.bucket, state.unit, state.held_minor, "expired", state.budgets)


Decide = Callable[[Any, Any, Situation], events.RequestEvent]
Answer = Decide | Refusal

COMMANDS = (
    commands.RouteRequest,
    commands.ExtendHold,
    commands.RecordAttempt,
    commands.TakeFallback,
    commands.SettleRequest,
    commands.ReleaseRequest,
    commands.ExpireRequest,
    commands.RefundCharge,
    commands.CorrectCharge,
)

SETTLED = Refusal.REQUEST_SETTLED
RELEASED = Refusal.REQUEST_RELEASED
VOIDED = Refusal.REQUEST_VOIDED
UNKNOWN = Refusal.REQUEST_UNKNOWN
EXISTS = Refusal.REQUEST_EXISTS
UNPAID = Refusal.REQUEST_NOT_SETTLED

TABLE: dict[Status, tuple[Answer, ...]] = {
    # state            route   extend    attempt  fallback   settle   release   expire    refund  correct
    Status.ABSENT:    (route,  UNKNOWN,  UNKNOWN, UNKNOWN,   UNKNOWN, void,     UNKNOWN,  UNKNOWN, UNKNOWN),
    Status.OPEN:      (EXISTS, extend,   attempt, fall_back, settle,  release,  expire,   UNPAID,  UNPAID),
    Status.SETTLED:   (EXISTS, SETTLED,  attempt, SETTLED,   SETTLED, SETTLED,  SETTLED,  refund,  correct),
    Status.FAILED:    (EXISTS, RELEASED, attempt, RELEASED,  settle,  RELEASED, RELEASED, UNPAID,  UNPAID),
    Status.CANCELLED: (EXISTS, RELEASED, attempt, RELEASED,  settle,  RELEASED, RELEASED, UNPAID,  UNPAID),
    Status.EXPIRED:   (EXISTS, RELEASED, attempt, RELEASED,  settle,  RELEASED, RELEASED, UNPAID,  UNPAID),
    Status.VOIDED:    (VOIDED, VOIDED,   VOIDED,  VOIDED,    VOIDED,  VOIDED,   VOIDED,   VOIDED,  VOIDED),
}  # fmt: skip
"""The whole life of a request: what each command meets in each state. Tested cell by cell."""

COLUMNS = {kind: column for column, kind in enumerate(COMMANDS)}

SENTENCES = {
    Refusal.REQUEST_SETTLED: "the request is settled",
    Refusal.REQUEST_RELEASED: "the request's hold was given back",
    Refusal.REQUEST_VOIDED: "the request was released before its hold arrived",
    Refusal.REQUEST_UNKNOWN: "the request is not known: route it first",
    Refusal.REQUEST_EXISTS: "the request exists already",
    Refusal.REQUEST_NOT_SETTLED: "the request is not settled",
}


def decide_request(
    command: commands.RequestCommand, state: RequestState | None, situation: Situation
) -> events.RequestEvent:
    """Return the event of a command on a request, or refuse."""
    status = Status.ABSENT if state is None else state.status
    answer = TABLE[status][COLUMNS[type(command)]]
    if isinstance(answer, Refusal):
        raise Refused(answer, SENTENCES[answer], request_id=command.request_id, status=status.value)
    return answer(command, state, situation)
