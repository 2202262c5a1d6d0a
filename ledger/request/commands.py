"""What a gateway may ask of a request. Each kind has one path, one body and one event (`ledger/README.md`).

The identity of a command is its `command_id`: derived from the request's id, so that a repeat after a lost
answer is recognised without any other key.
"""

from hashlib import blake2b
from typing import Annotated, Literal

from msgspec import Meta

from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.pricing.usage import ModelUsage, Usage
from ledger.request.events import Estimate, Why

Failure = Literal[
    "timeout",
    "connection",
    "rate_limited",
    "overloaded",
    "server_error",
    "bad_response",
    "stream_cut",
    "context_window",
    "refused_content",
    "authentication",
    "upstream_account_empty",
    "invalid_request",
    "cancelled",
    "circuit_open",
    "insufficient_hold",
    "other",
]
"""Why an upstream call failed: the closed list."""

UsageSource = Literal["reported", "partial", "estimated"]
SettlementPolicy = Literal[
    "complete",
    "client_gone_drained",
    "client_gone_estimated",
    "stream_cut_estimated",
    "usage_missing_estimated",
    "report_doubted",
]
"""How the gateway came to the usage that it settles: the whole answer, or which rule for the lack of one.

`report_doubted`: the upstream's report can't be right, and is charged as reported, but at most the hold.
"""

ReleaseCause = Literal["failed", "cancelled"]
CorrectionCause = Literal["estimate_replaced", "unpriced_priced", "rerated", "mistake"]

CORRECTION_ID_LENGTH_MAX = 128

Count = Annotated[int, Meta(ge=0, le=10**12)]
Number = Annotated[int, Meta(ge=1, le=1000)]
HoldSeconds = Annotated[int, Meta(ge=1, le=86_400)]
HttpStatus = Annotated[int, Meta(ge=100, le=599)]


class RequestCommand(Command, frozen=True, kw_only=True):
    """Base of all commands on a request."""

    request_id: str = ""


class RouteRequest(RequestCommand, frozen=True, kw_only=True, tag="route_request"):
    """Record the route that the gateway chose; place the hold. `rate_card` defaults to the one in force."""

    project_id: str
    api_key_id: str
    model: str
    route: str
    bucket: str
    hold: StatedAmount
    hold_seconds: HoldSeconds
    why: Why
    rate_card: str | None = None
    estimate: Estimate | None = None
    end_user: str | None = None
    workflow: str | None = None
    run: str | None = None
    step: str | None = None


class ExtendHold(RequestCommand, frozen=True, kw_only=True, tag="extend_hold"):
    """Hold more (`hold`, none when absent) or longer: until `hold_seconds` after this is recorded."""

    extension: Number
    hold_seconds: HoldSeconds
    why: str
    hold: StatedAmount | None = None


class RecordAttempt(RequestCommand, frozen=True, kw_only=True, tag="record_attempt"):
    """Record a failed upstream call, with what it cost the platform where that is known."""

    attempt: Number
    route: str
    failure: Failure
    retried: bool
    latency_ms: Count
    http_status: HttpStatus | None = None
    usage: Usage | None = None
    provider_cost: StatedAmount | None = None


class TakeFallback(RequestCommand, frozen=True, kw_only=True, tag="take_fallback"):
    """Move to another route: the whole hold is released and a new one placed, in this bucket or another."""

    fallback: Number
    from_route: str
    to_route: str
    to_bucket: str
    hold: StatedAmount
    hold_seconds: HoldSeconds
    failure: Failure
    why: Why
    rate_card: str | None = None


class SettleRequest(RequestCommand, frozen=True, kw_only=True, tag="settle_request"):
    """Charge what was used. `charge` only where the route is priced by the caller.

    `charge_limit` is the most that is charged: what the usage costs above it is waived, and recorded as that.
    `others` are tokens that other models used for the same answer, in addition to `usage`. `terms` are words under
    which the upstream billed and which the rate card does not name, such as `service_tier=priority`.
    """

    attempt: Number
    route: str
    reported_model: str
    usage: Usage
    usage_source: UsageSource
    latency_ms: Count
    charge: StatedAmount | None = None
    first_token_ms: Count | None = None
    provider_cost: StatedAmount | None = None
    charge_limit: StatedAmount | None = None
    policy: SettlementPolicy | None = None
    others: tuple[ModelUsage, ...] = ()
    terms: tuple[str, ...] = ()


class ReleaseRequest(RequestCommand, frozen=True, kw_only=True, tag="release_request"):
    """Give the whole hold back; for a request that is not known yet, refuse its hold when it arrives."""

    cause: ReleaseCause


class ExpireRequest(RequestCommand, frozen=True, kw_only=True, tag="expire_request"):
    """Give back a hold whose time has passed. Made by the sweeper only."""


class RefundCharge(RequestCommand, frozen=True, kw_only=True, tag="refund_charge"):
    """Give back a part of what was paid for a request."""

    refund_id: str = ""
    refund: StatedAmount


class CorrectCharge(RequestCommand, frozen=True, kw_only=True, tag="correct_charge"):
    """Change a charge by a signed `difference`, or to what `usage` and `others` cost under `rate_card`.

    With a `rate_card` alone it becomes what the usage that was settled costs under that card: the ledger has both.
    Exactly one of these ways is named. The event keeps the lines that the new charge consists of.
    """

    correction_id: str = ""
    cause: CorrectionCause
    difference: StatedAmount | None = None
    usage: Usage | None = None
    rate_card: str | None = None
    others: tuple[ModelUsage, ...] = ()


def rerating_id(rate_card: str) -> str:
    """Return the `correction_id` under which a card rates a request anew: once, however often it is asked for."""
    name = f"rerate.{rate_card}"
    if len(name) <= CORRECTION_ID_LENGTH_MAX:
        return name
    return f"rerate.{blake2b(rate_card.encode(), digest_size=16).hexdigest()}"


def request_command_id(command: RequestCommand) -> str:
    """Return the identity of a command on a request."""
    request_id = command.request_id
    match command:
        case SettleRequest():
            return f"{request_id}/settle"
        case RouteRequest():
            return f"{request_id}/route"
        case RecordAttempt(attempt=number):
            return f"{request_id}/attempt/{number}"
        case ExtendHold(extension=number):
            return f"{request_id}/extension/{number}"
        case TakeFallback(fallback=number):
            return f"{request_id}/fallback/{number}"
        case ReleaseRequest():
            return f"{request_id}/release"
        case ExpireRequest():
            return f"{request_id}/expire"
        case RefundCharge(refund_id=name):
            return f"{request_id}/refund/{name}"
        case CorrectCharge(correction_id=name):
            return f"{request_id}/correction/{name}"
    raise TypeError(f"{type(command).__name__} is no command on a request")
