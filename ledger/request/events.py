"""What can happen to a request. Stored for ever: fields are only ever added, with a default.

Money fields end in `_minor` and count smallest parts of the event's own `unit`, the unit of its `bucket`.
Instants are microseconds since 1970 (UTC). `budgets` names the spend limits that the event's money moves.
"""

import msgspec

from ledger.core.amounts import Amount
from ledger.pricing.rating import ChargeLine, UnpricedLine
from ledger.pricing.usage import ModelUsage, Usage


class SkippedRoute(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A candidate that was not taken, and the caller's reason."""

    route: str
    reason: str


class Why(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Why this route and bucket: the rule that chose, and every candidate skipped on the way."""

    rule: str
    skipped: tuple[SkippedRoute, ...] = ()


class Estimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tokens that the hold was sized for."""

    input_tokens: int
    output_tokens: int


def estimated_tokens(estimate: Estimate | None) -> int:
    """Return how many tokens a request counts for in its key's minute until its usage is known."""
    return 0 if estimate is None else estimate.input_tokens + estimate.output_tokens


class RequestEvent(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="tag"):
    """Base of all events in a request's stream."""


class RequestRouted(RequestEvent, frozen=True, tag="request_routed.v1"):
    """A request was given a route, and its hold was placed."""

    project_id: str
    api_key_id: str
    model: str
    route: str
    tier: str
    provider: str
    upstream_model: str
    bucket: str
    unit: str
    hold_minor: int
    hold_seconds: int
    expires_at: int
    why: Why
    rate_card: str | None = None
    priced_by: str = "ledger"
    estimate: Estimate | None = None
    end_user: str | None = None
    workflow: str | None = None
    run: str | None = None
    step: str | None = None
    budgets: tuple[str, ...] = ()


class HoldExtended(RequestEvent, frozen=True, tag="hold_extended.v1"):
    """More was reserved, or the hold lives longer."""

    extension: int
    bucket: str
    unit: str
    hold_minor: int
    hold_seconds: int
    expires_at: int
    why: str
    budgets: tuple[str, ...] = ()


class AttemptFailed(RequestEvent, frozen=True, tag="attempt_failed.v1"):
    """One upstream call failed. Never charged to the customer; its provider cost is the platform's waste."""

    attempt: int
    route: str
    failure: str
    retried: bool
    latency_ms: int
    http_status: int | None = None
    usage: Usage | None = None
    provider_cost: Amount | None = None


class FallbackTaken(RequestEvent, frozen=True, tag="fallback_taken.v1"):
    """The request moved to another route: the old hold was released and the new one placed in one step."""

    fallback: int
    from_route: str
    to_route: str
    from_bucket: str
    to_bucket: str
    from_unit: str
    to_unit: str
    released_minor: int
    hold_minor: int
    hold_seconds: int
    expires_at: int
    failure: str
    why: Why
    tier: str
    provider: str
    upstream_model: str
    rate_card: str | None = None
    priced_by: str = "ledger"
    released_budgets: tuple[str, ...] = ()
    budgets: tuple[str, ...] = ()


class TokensSettled(RequestEvent, frozen=True, tag="tokens_settled.v1"):
    """The request was charged: charge = captured + from available + overrun, hold = captured + released.

    `status_before` is `open`, or the way in which the hold had ended when the settlement came late. Where the
    caller set `charge_limit_minor`, what the usage costs above it is `waived_minor`: the lines, or the charge that
    a caller's own price came to, sum to charge + waived. `terms` are what the upstream billed under, where the rate
    card does not name it.
    """

    attempt: int
    route: str
    bucket: str
    unit: str
    reported_model: str
    usage: Usage
    usage_source: str
    charge_minor: int
    captured_minor: int
    released_minor: int
    from_available_minor: int
    overrun_minor: int
    latency_ms: int
    status_before: str = "open"
    list_minor: int | None = None
    lines: tuple[ChargeLine, ...] = ()
    unpriced: tuple[UnpricedLine, ...] = ()
    model_mismatch: bool = False
    rate_card: str | None = None
    priced_by: str = "ledger"
    first_token_ms: int | None = None
    provider_cost: Amount | None = None
    budgets: tuple[str, ...] = ()
    waived_minor: int = 0
    charge_limit_minor: int | None = None
    policy: str | None = None
    others: tuple[ModelUsage, ...] = ()
    terms: tuple[str, ...] = ()


def settled_tokens(event: TokensSettled) -> int:
    """Return how many tokens were used, those of other models with them."""
    used = event.usage.input_tokens + event.usage.output_tokens
    return used + sum(other.usage.input_tokens + other.usage.output_tokens for other in event.others)


class RequestReleased(RequestEvent, frozen=True, tag="request_released.v1"):
    """The whole hold was given back. `cause` is `failed`, `cancelled` or `expired`."""

    bucket: str
    unit: str
    released_minor: int
    cause: str
    budgets: tuple[str, ...] = ()


class RequestVoided(RequestEvent, frozen=True, tag="request_voided.v1"):
    """A release came before its hold: a hold that arrives later is refused."""

    cause: str


class ChargeRefunded(RequestEvent, frozen=True, tag="charge_refunded.v1"):
    """A part of what was paid was given back."""

    refund_id: str
    route: str
    bucket: str
    unit: str
    refund_minor: int
    budgets: tuple[str, ...] = ()


class ChargeCorrected(RequestEvent, frozen=True, tag="charge_corrected.v1"):
    """The charge was changed by a signed difference: more is positive.

    A charge that falls first undoes what no balance had paid (`overrun_minor`); only the rest is given back.
    `cause` is `estimate_replaced`, `unpriced_priced`, `rerated` or `mistake`. With a rate card and no usage, the usage
    that the request had was rated anew; the lines then come to the new charge and `waived_minor` above its limit.
    """

    correction_id: str
    route: str
    bucket: str
    unit: str
    difference_minor: int
    cause: str
    usage: Usage | None = None
    rate_card: str | None = None
    lines: tuple[ChargeLine, ...] = ()
    unpriced: tuple[UnpricedLine, ...] = ()
    overrun_minor: int = 0
    budgets: tuple[str, ...] = ()
    others: tuple[ModelUsage, ...] = ()
    waived_minor: int = 0
