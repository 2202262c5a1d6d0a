"""What was found → the statement, which ties out to the last unit or says what does not. Pure.

To a customer a charge is what was paid: what no balance could pay was never taken, and a correction that undoes such a
part changes nothing. It is the rule of a customer's receipt.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import tzinfo
from functools import partial

from ledger.core.accounts import WALLET_AVAILABLE, WALLET_HELD
from ledger.core.amounts import StatedAmount, Unit, state_amount
from ledger.core.entries import Entry
from ledger.events import TAGS, request_of
from ledger.posting_rules import post
from ledger.request import events as request
from ledger.workspace.events import PeriodClosed, PeriodReopened
from projections.change.answers import Span
from projections.spend.asking import zone_of
from projections.spend.zones import stated
from projections.statements.answers import (
    ChargeLine,
    Closing,
    MovedPosting,
    Statement,
    StatementBalance,
    StatementChanges,
)
from projections.statements.asking import Month
from projections.statements.found import BalanceFound, ChargesFound, PlacedFact, StatementFound
from projections.statements.funds import FUNDS_TAGS, changes_of_funds, funds_line

__all__ = ["MOVED_WORDS", "NOTICE", "PERIOD_TAGS", "statement_of"]

NOTICE = "This is a statement of a prepaid balance. It is not a tax invoice."
PERIOD_TAGS = [TAGS[PeriodClosed], TAGS[PeriodReopened]]
MOVED_WORDS = {
    TAGS[request.TokensSettled]: "charge",
    TAGS[request.ChargeRefunded]: "refund",
    TAGS[request.ChargeCorrected]: "correction",
    **dict(zip(FUNDS_TAGS, ("payment", "grant", "reversal", "withdrawal", "adjustment", "exchange"), strict=True)),
}
"""What the events that change a balance are called, by tag."""

OWN_ACCOUNTS = frozenset({WALLET_AVAILABLE, WALLET_HELD})
COLUMN_OF_KIND = {
    "payment": "payments", "grant": "grants", "reversal": "reversals", "withdrawal": "withdrawals",
    "exchange": "exchanges", "adjustment": "adjustments",
}  # fmt: skip


def statement_of(
    workspace_id: str, bucket: str, month: Month, found: StatementFound, platform_closed: str = ""
) -> Statement:
    """Return the statement of a bucket and month. `found.units` has the bucket, and those of its exchanges.

    `platform_closed` is the last month that the platform has closed: a book that is younger has no event of its own.
    """
    zone, unit = zone_of(month.zone_name), found.units[bucket]
    amount = partial(state_amount, unit=unit)
    funds = list(changes_of_funds(found.facts, bucket, month))
    changes = Counter(charge_changes(found.charges))
    for change in funds:
        changes[COLUMN_OF_KIND[change.kind]] += change.minor
    closing_event = closing_of(found.facts, month.name)
    difference = found.opening.posted_minor + changes.total() - found.closing.posted_minor
    problems = list(problems_of(found, bucket, month, difference, closing_event))
    return Statement(
        notice=NOTICE,
        workspace_id=workspace_id,
        bucket=bucket,
        unit=unit.code,
        month=month.name,
        zone=month.zone_name,
        period=Span(stated(month.begin, zone), stated(month.end, zone)),
        status="open" if closing_event is None and month.name > platform_closed else "closed",
        closed=None
        if closing_event is None
        else Closing(closing_event.position, stated(closing_event.recorded_at, zone)),
        position=found.position,
        events_behind=found.events_behind,
        complete=not problems and not found.events_behind,
        problems=problems,
        opening=balance_shown(found.opening, unit),
        changes=StatementChanges(**{name: amount(changes[name]) for name in StatementChanges.__struct_fields__}),
        closing=balance_shown(found.closing, unit),
        difference=amount(difference),
        funds=[funds_line(change, bucket, found.units, zone) for change in funds],
        charges=[charge_line(each, unit) for each in sorted(found.charges, key=place) if not is_empty(each)],
        moved=[moved_posting(placed, bucket, unit, zone) for placed in found.moved],
        has_more_moved=found.has_more_moved,
    )


def charge_changes(charges: Iterable[ChargesFound]) -> dict[str, int]:
    """Return what charges, corrections and refunds did to the balance."""
    sums: Counter[str] = Counter()
    for each in charges:
        sums["charges"] -= each.charge_minor - each.overrun_minor
        sums["corrections"] -= each.corrected_minor + each.undone_minor
        sums["refunds"] += each.refunded_minor
    return dict(sums)


def closing_of(facts: Iterable[PlacedFact], month: str) -> PlacedFact | None:
    """Return the event that closed a month, or else a later one, which closes all before it; None for an open month."""
    closed: dict[str, PlacedFact] = {}
    for placed in facts:
        match placed.fact.event:
            case PeriodClosed(period=name):
                closed[name] = placed
            case PeriodReopened(period=name):
                closed.pop(name, None)
    later = [name for name in closed if name >= month]
    return closed[min(later)] if later else None


def problems_of(
    found: StatementFound, bucket: str, month: Month, difference: int, closing_event: PlacedFact | None
) -> Iterator[str]:
    """Yield what does not tie out, in words."""
    unit = found.units[bucket]
    if difference:
        yield f"opening and changes are not the closing balance: the difference is {said(difference, unit)}"
    event = None if closing_event is None else closing_event.fact.event
    if isinstance(event, PeriodClosed) and event.period == month.name:
        own = [each for each in event.balances if each.bucket == bucket and each.account in OWN_ACCOUNTS]
        when_closed = -sum(each.balance_minor for each in own)
        if when_closed != found.closing.posted_minor:
            yield (
                f"the month was closed with {said(when_closed, unit)}, "
                f"and its closing balance is {said(found.closing.posted_minor, unit)}"
            )


def said(minor: int, unit: Unit) -> str:
    """Return an amount in words."""
    shown: StatedAmount = state_amount(minor, unit)
    return f"{shown.value} {shown.unit}"


def balance_shown(balance: BalanceFound, unit: Unit) -> StatementBalance:
    """Return a balance as it is shown."""
    return StatementBalance(state_amount(balance.posted_minor, unit), state_amount(balance.held_minor, unit))


def place(charges: ChargesFound) -> tuple[str, str]:
    """Return where a line of charges stands."""
    return charges.project, charges.model


def is_empty(charges: ChargesFound) -> bool:
    """Return whether a line tells nothing to the customer: nobody was charged, and nothing was given back."""
    paid = charges.charge_minor - charges.overrun_minor
    corrected = charges.corrected_minor + charges.undone_minor
    return not (charges.requests or paid or corrected or charges.refunded_minor)


def charge_line(charges: ChargesFound, unit: Unit) -> ChargeLine:
    """Return a line of charges as it is shown: what was paid, and what changed that."""
    paid = charges.charge_minor - charges.overrun_minor
    corrected = charges.corrected_minor + charges.undone_minor
    return ChargeLine(
        charges.project,
        charges.model,
        charges.requests,
        charges.input_tokens,
        charges.output_tokens,
        state_amount(paid, unit),
        state_amount(corrected, unit),
        state_amount(charges.refunded_minor, unit),
        state_amount(paid + corrected - charges.refunded_minor, unit),
    )


def moved_posting(placed: PlacedFact, bucket: str, unit: Unit, zone: tzinfo) -> MovedPosting:
    """Return a posting that a closed period moved, with what it did to the balance."""
    fact = placed.fact
    minor = sum(balance_change(entry) for entry in post(fact.event) if entry.bucket == bucket)
    return MovedPosting(
        placed.position,
        MOVED_WORDS[placed.tag],
        request_of(placed.stream),
        stated(fact.happened_at, zone),
        state_amount(minor, unit),
    )


def balance_change(entry: Entry) -> int:
    """Return by how much an entry changes the wallet that it is of."""
    return sum(
        leg.minor * ((leg.credit_account in OWN_ACCOUNTS) - (leg.debit_account in OWN_ACCOUNTS)) for leg in entry.legs
    )
