"""Rows of spend as the platform or a customer reads them. Pure.

To a customer a charge is what was paid: what no balance could pay is waived, and a correction that undoes such a part
changes nothing. It is the rule of a customer's receipt.
"""

from datetime import tzinfo
from typing import Any

import msgspec

from ledger.catalog.state import Catalog
from ledger.core.amounts import Unit, state_amount
from projections.receipt.folding import CatalogBehind
from projections.route_ledger.spending import Sums
from projections.spend.answers import (
    CustomerSpendRow,
    ProviderCost,
    SpendCharge,
    SpendDiscount,
    SpendPlatform,
    SpendRow,
    SpendTokens,
)
from projections.spend.found import CostFound, SpendFound
from projections.spend.zones import stated

__all__ = ["Shape", "customer_row", "platform_row"]

COUNTS = (
    "requests", "settled", "failed", "cancelled", "expired", "estimated", "unpriced", "retries", "fallbacks",
    "failed_attempts",
)  # fmt: skip


class Shape(msgspec.Struct, frozen=True):
    """How rows are told apart: where their spans of time begin, where the last ends, in which zone, and by what."""

    edges: list[int]
    end: int
    zone: tzinfo
    by: tuple[str, ...]


def platform_row(found: SpendFound, shape: Shape, catalog: Catalog) -> SpendRow:
    """Return a row with all that is known. Raises CatalogBehind for a catalog that is older than the row."""
    sums, unit = found.sums, unit_of_bucket(found.place.bucket, catalog)
    platform = None
    if unit is not None:
        platform = SpendPlatform(
            state_amount(sums.overrun_minor, unit),
            state_amount(sums.undone_minor, unit),
            [provider_cost(cost, catalog) for cost in found.costs if cost.unit],
            sums.without_cost,
            sums.waste_unknown,
        )
    return SpendRow(**alike(found, shape, sums, unit), platform=platform)


def customer_row(found: SpendFound, shape: Shape, catalog: Catalog) -> CustomerSpendRow:
    """Return a row as its workspace sees it. Raises CatalogBehind."""
    unit = unit_of_bucket(found.place.bucket, catalog)
    return CustomerSpendRow(**alike(found, shape, customer_sums(found.sums), unit))


def customer_sums(sums: Sums) -> Sums:
    """Return sums in which what no balance has paid is waived."""
    return msgspec.structs.replace(
        sums,
        charge_minor=sums.charge_minor - sums.overrun_minor,
        corrected_minor=sums.corrected_minor + sums.undone_minor,
        waived_minor=sums.waived_minor + sums.overrun_minor,
    )


def alike(found: SpendFound, shape: Shape, sums: Sums, unit: Unit | None) -> dict[str, Any]:
    """Return the fields that both read alike."""
    place = found.place
    ends = [*shape.edges[1:], shape.end]
    values = (place.first, place.second, place.third)
    return {
        "begins_at": stated(shape.edges[place.span - 1], shape.zone),
        "ends_at": stated(ends[place.span - 1], shape.zone),
        "by": {dimension: value or None for dimension, value in zip(shape.by, values, strict=False)},
        "bucket": place.bucket or None,
        "unit": None if unit is None else unit.code,
        **{name: getattr(sums, name) for name in COUNTS},
        "refused_calls": found.refused_calls,
        "tokens": SpendTokens(sums.input_tokens, sums.output_tokens, dict(sorted(found.parts.items()))),
        "charge": None if unit is None else charge_of(sums, unit),
        "discount": None if unit is None else discount_of(sums, unit),
    }


def charge_of(sums: Sums, unit: Unit) -> SpendCharge:
    """Return what was charged, and what changed it."""
    return SpendCharge(
        state_amount(sums.charge_minor + sums.corrected_minor - sums.refunded_minor, unit),
        state_amount(sums.charge_minor, unit),
        state_amount(sums.corrected_minor, unit),
        state_amount(sums.refunded_minor, unit),
        state_amount(sums.waived_minor, unit),
    )


def discount_of(sums: Sums, unit: Unit) -> SpendDiscount | None:
    """Return the discount; None where nothing has a list price."""
    if not sums.list_minor and not sums.listed_minor:
        return None
    return SpendDiscount(
        state_amount(sums.listed_minor, unit),
        state_amount(sums.list_minor, unit),
        state_amount(sums.list_minor - sums.listed_minor, unit),
    )


def provider_cost(cost: CostFound, catalog: Catalog) -> ProviderCost:
    """Return what is billed in one unit."""
    unit = catalog.units.get(cost.unit)
    if unit is None:
        raise CatalogBehind(cost.unit)
    return ProviderCost(
        cost.unit,
        state_amount(cost.cost_minor, unit),
        cost.requests,
        state_amount(cost.waste_minor, unit),
        cost.failed_attempts,
    )


def unit_of_bucket(bucket: str, catalog: Catalog) -> Unit | None:
    """Return the unit of a bucket; None of no bucket. Raises CatalogBehind."""
    if not bucket:
        return None
    defined = catalog.buckets.get(bucket)
    if defined is None:
        raise CatalogBehind(bucket)
    return Unit(defined.unit, defined.scale)
