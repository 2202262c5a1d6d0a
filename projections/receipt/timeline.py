"""Event → moment: what happened to a request, in order, in words."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from ledger.api.answers import instant
from ledger.core.amounts import Unit, state_amount
from ledger.events import Fact, Recorded
from ledger.request import events
from ledger.workspace.periods import period_begun_at
from projections.receipt.moments import (
    AnyMoment,
    AttemptFailedMoment,
    CorrectedMoment,
    FallbackMoment,
    HoldExtendedMoment,
    HoldPlacedMoment,
    InBucket,
    Posted,
    RefundedMoment,
    ReleasedMoment,
    SettledMoment,
    VoidedMoment,
)
from projections.receipt.pricing import repriced_lines
from projections.receipt.words import text_of

Units = Mapping[str, Unit]


def moment_of(recorded: Recorded, fact: Fact, units: Units) -> AnyMoment:
    """Return what an event of a request says on its timeline."""
    when: dict[str, Any] = {
        "position": recorded.position,
        "at": instant(fact.happened_at),
        "recorded_at": instant(recorded.recorded_at),
    }
    if fact.served_at is not None:
        when["posted"] = Posted(instant(fact.effective_at), period_begun_at(fact.effective_at))
    return worded(bare_moment(fact.event, units, when))


def worded(moment: AnyMoment) -> AnyMoment:
    """Return a moment with its sentence."""
    return replace(moment, text=text_of(moment))


def in_bucket(bucket: str, unit: str, minor: int, units: Units) -> InBucket:
    """Return an amount with its bucket."""
    return InBucket(bucket, state_amount(minor, units[unit]))


def bare_moment(event: object, units: Units, when: dict[str, Any]) -> AnyMoment:
    """Return a moment without its sentence."""
    match event:
        case events.RequestRouted(bucket=bucket, unit=unit, hold_minor=minor):
            return HoldPlacedMoment(
                **when,
                route=event.route,
                hold=in_bucket(bucket, unit, minor, units),
                expires_at=instant(event.expires_at),
            )
        case events.HoldExtended(bucket=bucket, unit=unit, hold_minor=minor):
            return HoldExtendedMoment(
                **when,
                extension=event.extension,
                hold=in_bucket(bucket, unit, minor, units),
                expires_at=instant(event.expires_at),
                why=event.why,
            )
        case events.RequestReleased(bucket=bucket, unit=unit, released_minor=minor):
            return ReleasedMoment(**when, released=in_bucket(bucket, unit, minor, units), cause=event.cause)
        case events.RequestVoided():
            return VoidedMoment(**when, cause=event.cause)
        case events.AttemptFailed() | events.FallbackTaken():
            return trouble(event, units, when)
    return charging(event, units, when)


def trouble(event: events.AttemptFailed | events.FallbackTaken, units: Units, when: dict[str, Any]) -> AnyMoment:
    """Return the moment of a failed attempt or of a move to another route."""
    if isinstance(event, events.AttemptFailed):
        return AttemptFailedMoment(
            **when,
            attempt=event.attempt,
            route=event.route,
            failure=event.failure,
            retried=event.retried,
            latency_ms=event.latency_ms,
            http_status=event.http_status,
        )
    return FallbackMoment(
        **when,
        fallback=event.fallback,
        from_route=event.from_route,
        to_route=event.to_route,
        failure=event.failure,
        released=in_bucket(event.from_bucket, event.from_unit, event.released_minor, units),
        hold=in_bucket(event.to_bucket, event.to_unit, event.hold_minor, units),
        expires_at=instant(event.expires_at),
    )


def charging(event: object, units: Units, when: dict[str, Any]) -> AnyMoment:
    """Return the moment of a charge, a refund or a correction."""
    match event:
        case events.TokensSettled(bucket=bucket, unit=unit, charge_minor=minor):
            return SettledMoment(
                **when,
                attempt=event.attempt,
                route=event.route,
                charge=in_bucket(bucket, unit, minor, units),
                latency_ms=event.latency_ms,
                first_token_ms=event.first_token_ms,
            )
        case events.ChargeRefunded(bucket=bucket, unit=unit, refund_minor=minor):
            return RefundedMoment(**when, refund_id=event.refund_id, refund=in_bucket(bucket, unit, minor, units))
        case events.ChargeCorrected(bucket=bucket, unit=unit, difference_minor=minor):
            return CorrectedMoment(
                **when,
                correction_id=event.correction_id,
                change=in_bucket(bucket, unit, minor, units),
                cause=event.cause,
                rate_card=event.rate_card,
                lines=repriced_lines(event, units[unit]),
                waived=in_bucket(bucket, unit, event.waived_minor, units) if event.waived_minor else None,
            )
    raise TypeError(f"{type(event).__name__} is no event of a request")
