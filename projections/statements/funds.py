"""Events of wallets → the lines of a statement that are no charges. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import tzinfo
from typing import NamedTuple

from ledger.core.amounts import Unit, state_amount
from ledger.events import TAGS, Fact
from ledger.wallet import events
from projections.spend.zones import stated
from projections.statements.answers import FundsKind, FundsLine, OtherSide, PaidMemo
from projections.statements.asking import Month
from projections.statements.found import PlacedFact

__all__ = ["FUNDS_TAGS", "FundsChange", "changes_of_funds", "funds_line"]

FUNDS_TYPES = (
    events.FundsAdded, events.FundsGranted, events.FundsReversed, events.FundsWithdrawn, events.AdjustmentPosted,
    events.BucketExchanged,
)  # fmt: skip
FUNDS_TAGS = [TAGS[kind] for kind in FUNDS_TYPES]
"""The events of a wallet that move its balance."""


class FundsChange(NamedTuple):
    """What an event did to one bucket's balance, and as what."""

    placed: PlacedFact
    kind: FundsKind
    minor: int


def changes_of_funds(facts: Iterable[PlacedFact], bucket: str, month: Month) -> Iterator[FundsChange]:
    """Yield what events changed in a bucket within a month, in the order of time, then of their positions."""
    within = [placed for placed in facts if month.begin <= placed.fact.effective_at < month.end]
    for placed in sorted(within, key=lambda each: (each.fact.effective_at, each.position)):
        found = change_of(placed.fact, bucket)
        if found is not None:
            yield FundsChange(placed, *found)


def change_of(fact: Fact, bucket: str) -> tuple[FundsKind, int] | None:
    """Return as what, and by how much, a fact changes a bucket's balance; None where it does not."""
    event = fact.event
    if isinstance(event, events.BucketExchanged):
        if bucket == event.from_bucket:
            return "exchange", -event.from_minor
        return ("exchange", event.to_minor) if bucket == event.to_bucket else None
    match event:
        case events.FundsAdded(bucket=own, amount_minor=minor):
            found: tuple[FundsKind, int] = "payment", minor
        case events.FundsGranted(bucket=own, amount_minor=minor):
            found = "grant", minor
        case events.FundsReversed(bucket=own, amount_minor=minor):
            found = "reversal", -minor
        case events.FundsWithdrawn(bucket=own, amount_minor=minor):
            found = "withdrawal", -minor
        case events.AdjustmentPosted(bucket=own, amount_minor=minor):
            found = "adjustment", minor
        case _:
            return None
    return found if own == bucket else None


def funds_line(change: FundsChange, bucket: str, units: Mapping[str, Unit], zone: tzinfo) -> FundsLine:
    """Return a change as the statement lists it."""
    fact = change.placed.fact
    event = fact.event
    return FundsLine(
        change.placed.position,
        change.kind,
        stated(fact.effective_at, zone),
        state_amount(change.minor, units[bucket]),
        getattr(event, "source", None),
        reference_of(event),
        memo_of(event),
        other_side(event, bucket, units) if isinstance(event, events.BucketExchanged) else None,
        None if fact.served_at is None else stated(fact.served_at, zone),
    )


def reference_of(event: object) -> str:
    """Return what identifies an event to the customer."""
    match event:
        case events.FundsGranted(grant_id=name) | events.AdjustmentPosted(adjustment_id=name):
            return name
        case events.BucketExchanged(exchange_id=name):
            return name
        case events.FundsAdded(reference=name) | events.FundsReversed(reference=name):
            return name
        case events.FundsWithdrawn(reference=name):
            return name
    raise TypeError(f"{type(event).__name__} moves no funds")


def memo_of(event: object) -> PaidMemo | None:
    """Return what was paid, where that is known."""
    paid: events.Paid | None = getattr(event, "paid", None)
    return None if paid is None else PaidMemo(paid.amount, paid.currency, paid.fee, paid.external_id)


def other_side(event: events.BucketExchanged, bucket: str, units: Mapping[str, Unit]) -> OtherSide:
    """Return the other bucket of an exchange: what it got where this one gave, and the other way round."""
    if bucket == event.from_bucket:
        return OtherSide(event.to_bucket, state_amount(event.to_minor, units[event.to_bucket]), event.rate)
    return OtherSide(event.from_bucket, state_amount(-event.from_minor, units[event.from_bucket]), event.rate)
