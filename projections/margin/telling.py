"""Sums → margins per route: two columns, and a third only where an admin stated the rate. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import reduce

from ledger.catalog.state import Catalog
from ledger.core.amounts import StatedAmount, Unit, state_amount
from ledger.core.rounding import Rounding, divide
from ledger.pricing.rate_cards import RateCard, parse_rate
from projections.change.answers import Span
from projections.margin.answers import MarginCard, MarginCharge, MarginCost, MarginPage, MarginRow, Restated
from projections.margin.found import MarginFound, MarginSums, plus_sums
from projections.receipt.folding import CatalogBehind
from projections.spend.asking import PeriodAsked, zone_of
from projections.spend.zones import stated

__all__ = ["ROUNDING", "margin_page", "restate", "stated_rate"]

ROUNDING = Rounding.HALF_EVEN

RowKey = tuple[str, str, str]
"""Bucket, route, unit of the bills; empty where no cost is known."""


def margin_page(
    workspace_id: str | None,
    period: PeriodAsked,
    zone_name: str,
    found: Iterable[MarginFound],
    catalog: Catalog,
    *,
    complete: bool,
) -> MarginPage:
    """Return the margins of a period. Raises CatalogBehind for a catalog that is older than what was found."""
    zone = zone_of(zone_name)
    rows: defaultdict[RowKey, list[MarginFound]] = defaultdict(list)
    for each in found:
        rows[each.bucket, each.route, each.cost_unit or ""].append(each)
    return MarginPage(
        workspace_id=workspace_id,
        zone=zone_name,
        period=Span(stated(period.begin, zone), stated(period.end, zone)),
        complete=complete,
        rounding=ROUNDING,
        rows=[margin_row(rows[key], catalog) for key in sorted(rows)],
    )


def margin_row(found: Sequence[MarginFound], catalog: Catalog) -> MarginRow:
    """Return one row out of the parts that each card has priced."""
    first = found[0]
    unit, cost_unit = unit_of_bucket(first.bucket, catalog), unit_of_bill(first.cost_unit, catalog)
    cards = [margin_card(each, unit, cost_unit, catalog) for each in sorted(found, key=name_of_card)]
    sums = reduce(plus_sums, (each.sums for each in found))
    restated = [card.restated for card in cards if has_cost(card)]
    cost_minor = sum(count(each.cost) + count(each.waste) for each in restated if each is not None)
    is_known = cost_unit is not None and None not in restated and not (sums.without_cost or sums.waste_unknown)
    margin_minor = sums.owed_minor - sums.unpaid_minor - cost_minor
    return MarginRow(
        first.route,
        first.bucket,
        unit.code,
        first.cost_unit,
        sums.requests,
        sums.failed_attempts,
        charge_of(sums, unit),
        cost_of(sums, cost_unit),
        sums.without_cost,
        sums.waste_unknown,
        state_amount(cost_minor, unit) if is_known else None,
        state_amount(margin_minor, unit) if is_known else None,
        cards,
    )


def name_of_card(found: MarginFound) -> str:
    """Return where a card stands: the part without one comes first."""
    return found.rate_card or ""


def has_cost(card: MarginCard) -> bool:
    """Return whether a part of a row has any cost that a rate is needed for."""
    return card.cost is not None and bool(count(card.cost.cost) or count(card.cost.waste))


def count(amount: StatedAmount) -> int:
    """Return the smallest parts of an amount at full scale."""
    return int(amount.value.replace(".", ""))


def margin_card(found: MarginFound, unit: Unit, cost_unit: Unit | None, catalog: Catalog) -> MarginCard:
    """Return the part of a row that one card has priced, restated where that card states the rate."""
    sums = found.sums
    rate = None
    if found.rate_card is not None and cost_unit is not None:
        card = catalog.rate_cards.get(found.rate_card)
        if card is None:
            raise CatalogBehind(found.rate_card)
        rate = stated_rate(card, cost_unit)
    restated = None
    if rate is not None and cost_unit is not None and not (sums.without_cost or sums.waste_unknown):
        restated = restated_at(rate, sums, unit, cost_unit)
    return MarginCard(
        found.rate_card,
        sums.requests,
        sums.failed_attempts,
        charge_of(sums, unit),
        cost_of(sums, cost_unit),
        sums.without_cost,
        sums.waste_unknown,
        restated,
    )


def stated_rate(card: RateCard, cost_unit: Unit) -> str | None:
    """Return the rate that a card states between its source unit and the bucket's, where bills are in that unit."""
    return card.units_per_source_unit if card.source_unit == cost_unit.code else None


def restated_at(rate: str, sums: MarginSums, unit: Unit, cost_unit: Unit) -> Restated:
    """Return costs in the bucket's unit at a rate, and what is left of what was paid."""
    cost = restate(sums.cost_minor, cost_unit, rate, unit)
    waste = restate(sums.waste_minor, cost_unit, rate, unit)
    paid = sums.owed_minor - sums.unpaid_minor
    return Restated(
        rate, state_amount(cost, unit), state_amount(waste, unit), state_amount(paid - cost - waste, unit)
    )  # fmt: skip


def restate(minor: int, source: Unit, rate: str, target: Unit) -> int:
    """Return an amount of one unit in another at a stated rate: exact, then rounded once, half to even."""
    factor, digits = parse_rate(rate)
    numerator, denominator = minor * factor * 10**target.scale, 10 ** (source.scale + digits)
    return divide(numerator, denominator, ROUNDING)


def charge_of(sums: MarginSums, unit: Unit) -> MarginCharge:
    """Return what customers owe and paid."""
    return MarginCharge(
        state_amount(sums.owed_minor, unit),
        state_amount(sums.owed_minor - sums.unpaid_minor, unit),
        state_amount(sums.unpaid_minor, unit),
    )


def cost_of(sums: MarginSums, unit: Unit | None) -> MarginCost | None:
    """Return what the provider bills; None where no cost is known."""
    if unit is None:
        return None
    return MarginCost(state_amount(sums.cost_minor, unit), state_amount(sums.waste_minor, unit))


def unit_of_bucket(bucket: str, catalog: Catalog) -> Unit:
    """Return the unit of a bucket. Raises CatalogBehind."""
    defined = catalog.buckets.get(bucket)
    if defined is None:
        raise CatalogBehind(bucket)
    return Unit(defined.unit, defined.scale)


def unit_of_bill(code: str | None, catalog: Catalog) -> Unit | None:
    """Return the unit of a provider's bills. Raises CatalogBehind."""
    if code is None:
        return None
    unit = catalog.units.get(code)
    if unit is None:
        raise CatalogBehind(code)
    return unit
