"""The kinds of moment on a receipt's timeline: one per kind of event, called by the event's tag without its version."""

import msgspec

from ledger.core.amounts import StatedAmount


class Posted(msgspec.Struct, frozen=True):
    """Where something counts that happened in a month that was closed: from `at` on, in another `period`."""

    at: str
    period: str


class Moment(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """Something that happened: `at` is when, `recorded_at` when the book had it, `text` a sentence of it.

    `posted` is absent where it counts in the month in which it happened.
    """

    position: int
    at: str
    recorded_at: str
    text: str = ""
    posted: Posted | msgspec.UnsetType = msgspec.UNSET


class InBucket(msgspec.Struct, frozen=True):
    """An amount with the bucket that it is in."""

    bucket: str
    amount: StatedAmount


class HoldPlacedMoment(Moment, frozen=True, kw_only=True, tag="request_routed"):
    """The request got its route and its hold."""

    route: str
    hold: InBucket
    expires_at: str


class HoldExtendedMoment(Moment, frozen=True, kw_only=True, tag="hold_extended"):
    """More was held (`hold` may be zero), or for longer."""

    extension: int
    hold: InBucket
    expires_at: str
    why: str


class AttemptFailedMoment(Moment, frozen=True, kw_only=True, tag="attempt_failed"):
    """An upstream call failed. Nothing is charged for it."""

    attempt: int
    route: str
    failure: str
    retried: bool
    latency_ms: int
    http_status: int | None


class FallbackMoment(Moment, frozen=True, kw_only=True, tag="fallback_taken"):
    """The request moved to another route; its hold moved with it."""

    fallback: int
    from_route: str
    to_route: str
    failure: str
    released: InBucket
    hold: InBucket
    expires_at: str


class SettledMoment(Moment, frozen=True, kw_only=True, tag="tokens_settled"):
    """The request was charged."""

    attempt: int
    route: str
    charge: InBucket
    latency_ms: int
    first_token_ms: int | None


class ReleasedMoment(Moment, frozen=True, kw_only=True, tag="request_released"):
    """The whole hold went back."""

    released: InBucket
    cause: str


class VoidedMoment(Moment, frozen=True, kw_only=True, tag="request_voided"):
    """The request was given up before its hold arrived."""

    cause: str


class RefundedMoment(Moment, frozen=True, kw_only=True, tag="charge_refunded"):
    """A part of what was paid went back."""

    refund_id: str
    refund: InBucket


class RepricedLine(msgspec.Struct, frozen=True):
    """A line of a charge that was worked out anew."""

    part: str
    model: str | None
    tokens: int
    rate: str
    amount: StatedAmount


class CorrectedMoment(Moment, frozen=True, kw_only=True, tag="charge_corrected"):
    """The charge was changed by `change`: more is positive. Where it was rated anew: by which card, and its lines.

    `waived` is what these lines come to above the most that is charged. A workspace sees in it what no balance paid,
    too, which the platform sees as overrun.
    """

    correction_id: str
    change: InBucket
    cause: str
    rate_card: str | None
    lines: list[RepricedLine]
    waived: InBucket | None = None


AnyMoment = (
    HoldPlacedMoment
    | HoldExtendedMoment
    | AttemptFailedMoment
    | FallbackMoment
    | SettledMoment
    | ReleasedMoment
    | VoidedMoment
    | RefundedMoment
    | CorrectedMoment
)
