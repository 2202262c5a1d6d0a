"""Memos of payments: totals by currency, what they lack, and external ids that stand twice. Pure, exact decimals."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Context, Decimal

from ledger.wallet.events import Paid
from projections.funding.answers import FundingKind, MemoTotal
from projections.funding.found import EventFound

__all__ = ["lacking", "memo_totals", "repeated_ids"]

EXACT = Context(prec=80)
"""A memo has at most 18 digits before the point and 9 behind it: no sum of them is rounded."""

USED_ONCE: frozenset[FundingKind] = frozenset({"payment", "withdrawal"})
"""What an external id is of alone. Reversals may name that of the payment that they take back, again and again."""

IdKey = tuple[FundingKind, str, str]
"""Kind, source, external id."""


def memo_totals(memos: Iterable[Paid]) -> list[MemoTotal]:
    """Return what memos come to, each currency by itself."""
    by_currency: defaultdict[str, list[Paid]] = defaultdict(list)
    for paid in memos:
        by_currency[paid.currency].append(paid)
    return [total_of(currency, by_currency[currency]) for currency in sorted(by_currency)]


def total_of(currency: str, memos: Sequence[Paid]) -> MemoTotal:
    """Return the total of memos in one currency."""
    fees = [paid.fee for paid in memos if paid.fee is not None]
    fee = sum_of(fees) if fees else None
    return MemoTotal(currency, sum_of(paid.amount for paid in memos), fee, len(memos), len(memos) - len(fees))


def sum_of(texts: Iterable[str]) -> str:
    """Return the exact sum of decimal texts, with as many digits behind the point as the longest of them."""
    total = Decimal(0)
    for text in texts:
        total = EXACT.add(total, Decimal(text))
    return f"{total:f}"


def lacking(event: EventFound) -> str | None:
    """Return what an event's memo lacks; None where nothing does."""
    if event.paid is None:
        return "memo"
    return None if event.paid.external_id else "external_id"


def repeated_ids(events: Iterable[EventFound], begin: int, end: int) -> Iterator[tuple[IdKey, Sequence[EventFound]]]:
    """Yield external ids that several events of one kind and source have, of which one happened in the period."""
    uses: defaultdict[IdKey, list[EventFound]] = defaultdict(list)
    for event in events:
        if event.kind in USED_ONCE and event.paid is not None and event.paid.external_id:
            uses[event.kind, event.source, event.paid.external_id].append(event)
    for key in sorted(twice(uses)):
        if any(begin <= event.effective_at < end for event in uses[key]):
            yield key, uses[key]


def twice(uses: Mapping[IdKey, Sequence[EventFound]]) -> Iterator[IdKey]:
    """Yield the ids that stand more than once."""
    return (key for key, events in uses.items() if len(events) > 1)
