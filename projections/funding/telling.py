"""Accounts and events → the tie-out: row by row what both say, and the difference, which is zero. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from functools import partial
from typing import Literal

from ledger.core.accounts import funding
from ledger.core.amounts import Unit, state_amount
from projections.change.answers import Span
from projections.funding.answers import (
    FundingEvents,
    FundingKind,
    FundingPage,
    FundingRow,
    ListedFunding,
    RepeatedId,
    UseOfId,
)
from projections.funding.found import AccountFound, EventFound, FundingFound
from projections.funding.memos import IdKey, lacking, memo_totals, repeated_ids
from projections.spend.asking import PeriodAsked, zone_of
from projections.spend.zones import stated

__all__ = ["LISTED_MAX", "funding_page"]

LISTED_MAX = 1000
"""How many events, and how many ids, are listed; all are counted."""

SIGNS: dict[FundingKind, int] = {"payment": 1, "reversal": -1, "withdrawal": -1}


def funding_page(
    workspace_id: str | None, period: PeriodAsked, zone_name: str, found: FundingFound, units: Mapping[str, Unit]
) -> FundingPage:
    """Return the tie-out of a period; `units` are those of the buckets."""
    zone = zone_of(zone_name)
    accounts: defaultdict[tuple[str, str], list[AccountFound]] = defaultdict(list)
    events: defaultdict[tuple[str, str], list[EventFound]] = defaultdict(list)
    for account in found.accounts:
        accounts[account.bucket, account.source].append(account)
    for event in found.events:
        if event.effective_at < period.end:
            events[event.bucket, event.source].append(event)
    rows = [
        funding_row(bucket, source, units[bucket], accounts[bucket, source], events[bucket, source], period)
        for bucket, source in sorted({*accounts, *events})
    ]
    lacks = [event for event in found.events if is_within(event, period) and lacking(event) is not None]
    lacks.sort(key=lambda event: (event.effective_at, event.workspace_id, event.position))
    repeated = list(repeated_ids(found.events, period.begin, period.end))
    return FundingPage(
        workspace_id=workspace_id,
        zone=zone_name,
        period=Span(stated(period.begin, zone), stated(period.end, zone)),
        position=found.position,
        books=found.books,
        complete=not found.events_behind,
        ties_out=all(row.ties_out for row in rows),
        rows=rows,
        incomplete=len(lacks),
        incomplete_events=[listed(event, units[event.bucket], zone) for event in lacks[:LISTED_MAX]],
        repeated=len(repeated),
        repeated_ids=[repeated_id(key, uses, zone) for key, uses in repeated[:LISTED_MAX]],
    )


def is_within(event: EventFound, period: PeriodAsked) -> bool:
    """Return whether an event happened in the period."""
    return period.begin <= event.effective_at < period.end


def funding_row(
    bucket: str,
    source: str,
    unit: Unit,
    accounts: Sequence[AccountFound],
    events: Sequence[EventFound],
    period: PeriodAsked,
) -> FundingRow:
    """Return one source in one bucket; `events` are those of it until the period's end."""
    amount = partial(state_amount, unit=unit)
    opening = sum(each.debit_before_minor - each.credit_before_minor for each in accounts)
    debit = sum(each.debit_minor - each.debit_before_minor for each in accounts)
    credit = sum(each.credit_minor - each.credit_before_minor for each in accounts)
    own = [event for event in events if event.effective_at >= period.begin]
    difference = debit - credit - net_of(own)
    balance_difference = opening + debit - credit - net_of(events)
    return FundingRow(
        bucket,
        unit.code,
        source,
        funding(source),
        len({each.workspace_id for each in accounts}),
        amount(opening),
        amount(debit),
        amount(credit),
        amount(debit - credit),
        amount(opening + debit - credit),
        events_of("payment", own, unit),
        events_of("reversal", own, unit),
        events_of("withdrawal", own, unit),
        amount(difference),
        amount(balance_difference),
        not difference and not balance_difference,
    )


def net_of(events: Iterable[EventFound]) -> int:
    """Return what events come to: payments less reversals and withdrawals."""
    return sum(SIGNS[event.kind] * event.minor for event in events)


def events_of(kind: FundingKind, events: Iterable[EventFound], unit: Unit) -> FundingEvents:
    """Return the events of one kind, with their memos."""
    own = [event for event in events if event.kind == kind]
    memos = [event.paid for event in own if event.paid is not None]
    return FundingEvents(
        len(own),
        state_amount(sum(event.minor for event in own), unit),
        memo_totals(memos),
        len(own) - len(memos),
        sum(lacking(event) == "external_id" for event in own),
    )


def listed(event: EventFound, unit: Unit, zone: tzinfo) -> ListedFunding:
    """Return an event that lacks something, as it is listed."""
    lacks: Literal["memo", "external_id"] = "memo" if event.paid is None else "external_id"
    return ListedFunding(
        event.workspace_id,
        event.position,
        event.kind,
        stated(event.effective_at, zone),
        event.bucket,
        event.source,
        event.reference,
        state_amount(event.minor, unit),
        lacks,
    )


def repeated_id(key: IdKey, uses: Sequence[EventFound], zone: tzinfo) -> RepeatedId:
    """Return an external id that stands twice, with the events that have it."""
    ordered = sorted(uses, key=lambda event: (event.effective_at, event.workspace_id, event.position))
    return RepeatedId(
        *key,
        [
            UseOfId(each.workspace_id, each.position, each.bucket, each.reference, stated(each.effective_at, zone))
            for each in ordered
        ],
    )
