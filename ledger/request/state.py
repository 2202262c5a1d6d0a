"""Where a request stands: everything its next command needs, folded from its own events."""

from enum import StrEnum

import msgspec

from ledger.pricing.usage import ModelUsage, Usage
from ledger.request import events


class Status(StrEnum):
    """The states of a request. `absent` is a request that was never heard of."""

    ABSENT = "absent"
    OPEN = "open"
    SETTLED = "settled"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    VOIDED = "voided"


class RequestState(msgspec.Struct, frozen=True, omit_defaults=True):
    """A request after its events so far. Money in smallest parts of `unit`.

    paid: what was captured and taken from available, with corrections; refunded: what of it was given back;
    overrun: what no balance could pay. Once it is settled, `usage` and `others` are what is charged for, at most
    `charge_limit_minor`, unless the charge was set by hand since. `minute` is the one in which the request counts
    against its key's limits per minute, with `minute_tokens`; 0 for a key without such limits.
    """

    status: Status
    version: int
    project_id: str = ""
    api_key_id: str = ""
    model: str = ""
    route: str = ""
    upstream_model: str = ""
    tier: str = ""
    bucket: str = ""
    unit: str = ""
    held_minor: int = 0
    expires_at: int = 0
    rate_card: str | None = None
    priced_by: str = "ledger"
    routed_at: int = 0
    budgets: tuple[str, ...] = ()
    failed_attempts: tuple[int, ...] = ()
    reported_model: str = ""
    charge_minor: int = 0
    paid_minor: int = 0
    refunded_minor: int = 0
    overrun_minor: int = 0
    settled_attempt: int = 0
    minute: int = 0
    minute_tokens: int = 0
    usage: Usage | None = None
    others: tuple[ModelUsage, ...] = ()
    charge_limit_minor: int | None = None
    is_charged_by_hand: bool = False


def fold_request(state: RequestState | None, event: events.RequestEvent, happened_at: int) -> RequestState:
    """Return the request after one more event, which happened at `happened_at` (microseconds)."""
    if isinstance(event, events.RequestRouted):
        return routed(event, happened_at)
    if isinstance(event, events.RequestVoided):
        return RequestState(Status.VOIDED, 1)
    if state is None:
        raise ValueError(f"{type(event).__name__} on a request that was never routed")
    if isinstance(event, events.TokensSettled):
        return settled(state, event)
    return msgspec.structs.replace(state, version=state.version + 1, **changes_by(state, event))


def routed(event: events.RequestRouted, happened_at: int) -> RequestState:
    """Return the open request that a routing makes."""
    # By position, here and below: the two events that every request has are folded millions of times.
    return RequestState(
        Status.OPEN, 1, event.project_id, event.api_key_id, event.model, event.route, event.upstream_model,
        event.tier, event.bucket, event.unit, event.hold_minor, event.expires_at, event.rate_card,
        event.priced_by, happened_at, event.budgets,
    )  # fmt: skip


def settled(state: RequestState, event: events.TokensSettled) -> RequestState:
    """Return the settled request that a charge makes; what was refunded of it stays, and it counts in no minute."""
    return RequestState(
        Status.SETTLED, state.version + 1, state.project_id, state.api_key_id, state.model, state.route,
        state.upstream_model, state.tier, state.bucket, state.unit, 0, state.expires_at, state.rate_card,
        state.priced_by, state.routed_at, state.budgets, state.failed_attempts, event.reported_model,
        event.charge_minor, event.captured_minor + event.from_available_minor, state.refunded_minor,
        event.overrun_minor, event.attempt, 0, 0, event.usage, event.others, event.charge_limit_minor,
    )  # fmt: skip


def changes_by(state: RequestState, event: events.RequestEvent) -> dict[str, object]:
    """Return the fields that an event after the routing replaces."""
    match event:
        case events.HoldExtended():
            return {"held_minor": state.held_minor + event.hold_minor, "expires_at": event.expires_at}
        case events.AttemptFailed(attempt=attempt):
            return {"failed_attempts": (*state.failed_attempts, attempt)}
        case events.FallbackTaken():
            return moved(event)
        case events.RequestReleased(cause=cause):
            return {"status": Status(cause), "held_minor": 0}
        case events.ChargeRefunded(refund_minor=minor):
            return {"refunded_minor": state.refunded_minor + minor}
        case events.ChargeCorrected():
            return corrected(state, event)
    raise TypeError(f"{type(event).__name__} is no event of a request")


def corrected(state: RequestState, event: events.ChargeCorrected) -> dict[str, object]:
    """Return the fields that a correction replaces. Another usage is charged for as it is, without a limit."""
    minor, undone = event.difference_minor, event.overrun_minor
    changes: dict[str, object] = {
        "charge_minor": state.charge_minor + minor,
        "paid_minor": state.paid_minor + minor + undone,
        "overrun_minor": state.overrun_minor - undone,
        "is_charged_by_hand": event.rate_card is None,
        # What is corrected next without naming a card is rated by the one that was named last.
        "rate_card": event.rate_card or state.rate_card,
    }
    if event.usage is not None:
        changes |= {"usage": event.usage, "others": event.others, "charge_limit_minor": None}
    return changes


def moved(event: events.FallbackTaken) -> dict[str, object]:
    """Return the fields that a move to another route replaces."""
    return {
        "route": event.to_route,
        "bucket": event.to_bucket,
        "unit": event.to_unit,
        "held_minor": event.hold_minor,
        "expires_at": event.expires_at,
        "tier": event.tier,
        "upstream_model": event.upstream_model,
        "rate_card": event.rate_card,
        "priced_by": event.priced_by,
        "budgets": event.budgets,
    }
