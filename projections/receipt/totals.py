"""What a request did to its wallets: totals bucket by bucket, and its entries as the posting rules make them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ledger.core.accounts import WALLET_AVAILABLE, WALLET_HELD
from ledger.core.amounts import Unit, state_amount
from ledger.core.entries import Entry, account_movement
from ledger.events import Event, Fact, Recorded
from ledger.posting_rules import post
from ledger.request import events
from projections.api.answers import EntryLeg
from projections.receipt.answers import BucketTotals, LedgerEntry, WalletEntry

Movement = tuple[str, str, int]
"""A bucket, which of its totals, and by how much in smallest parts."""


def movements(event: object) -> tuple[Movement, ...]:
    """Return what an event adds to the totals of its buckets."""
    match event:
        case events.RequestRouted(bucket=bucket) | events.HoldExtended(bucket=bucket):
            return ((bucket, "held", event.hold_minor),)
        case events.FallbackTaken():
            return (event.from_bucket, "released", event.released_minor), (event.to_bucket, "held", event.hold_minor)
        case events.TokensSettled(bucket=bucket):
            return (
                (bucket, "captured", event.captured_minor),
                (bucket, "released", event.released_minor),
                (bucket, "from_available", event.from_available_minor),
            )
        case events.RequestReleased(bucket=bucket):
            return ((bucket, "released", event.released_minor),)
        case events.ChargeRefunded(bucket=bucket):
            return ((bucket, "refunded", event.refund_minor),)
        case events.ChargeCorrected(bucket=bucket):
            return ((bucket, "corrected", event.difference_minor + event.overrun_minor),)
    return ()


def buckets_of(facts: Iterable[Fact]) -> dict[str, str]:
    """Return the unit of each bucket that a request touched, in the order in which it did."""
    units: dict[str, str] = {}
    for fact in facts:
        event = fact.event
        if isinstance(event, events.FallbackTaken):
            units |= {event.from_bucket: event.from_unit, event.to_bucket: event.to_unit}
        elif isinstance(event, events.RequestRouted):
            units[event.bucket] = event.unit
    return units


def totals_of(facts: Sequence[Fact], units: Mapping[str, Unit]) -> list[BucketTotals]:
    """Return the totals of every bucket that a request touched; no sum is of two."""
    sums: dict[str, Counter[str]] = {bucket: Counter() for bucket in buckets_of(facts)}
    for fact in facts:
        for bucket, total, minor in movements(fact.event):
            sums[bucket][total] += minor
    return [bucket_totals(bucket, sums[bucket], units[bucket]) for bucket in sums]


def bucket_totals(bucket: str, own: Counter[str], unit: Unit) -> BucketTotals:
    """Return one bucket's totals as they are shown."""
    still_held = own["held"] - own["captured"] - own["released"]
    paid = own["captured"] + own["from_available"] + own["corrected"] - own["refunded"]
    return BucketTotals(
        bucket,
        state_amount(own["held"], unit),
        state_amount(own["released"], unit),
        state_amount(own["captured"], unit),
        state_amount(still_held, unit),
        state_amount(own["from_available"], unit),
        state_amount(own["corrected"], unit),
        state_amount(own["refunded"], unit),
        state_amount(paid, unit),
    )


def entries_of(recorded: Sequence[Recorded], facts: Sequence[Fact]) -> Iterator[tuple[Recorded, Entry]]:
    """Yield the entries of a request's events, each with its event's place."""
    for each, fact in zip(recorded, facts, strict=True):
        event: Event = fact.event
        for entry in post(event):
            yield each, entry


def wallet_entry(recorded: Recorded, entry: Entry, unit: Unit) -> WalletEntry:
    """Return what an entry did to its wallet. Both accounts of a wallet are credited when it grows."""
    held = -account_movement(entry, WALLET_HELD)
    posted = held - account_movement(entry, WALLET_AVAILABLE)
    return WalletEntry(
        recorded.position,
        recorded.tag,
        entry.bucket,
        state_amount(posted, unit),
        state_amount(held, unit),
        recorded.digest.hex(),
    )


def ledger_entry(recorded: Recorded, entry: Entry, unit: Unit) -> LedgerEntry:
    """Return an entry with the accounts of the general ledger."""
    legs = [EntryLeg(leg.debit_account, leg.credit_account, state_amount(leg.minor, unit)) for leg in entry.legs]
    return LedgerEntry(recorded.position, recorded.tag, entry.bucket, legs)
