"""Where amounts are: a bucket under `charge`, a unit of the providers' bills (in a bucket, if asked) under `cost`."""

from typing import Literal

import msgspec

from ledger.catalog.state import Catalog
from projections.change.cells import ChangeCell, Period
from projections.change.prices import PriceList

__all__ = ["UNKNOWN_UNIT", "Place", "Spot", "began_at", "ended_at", "places_of", "spot_of"]

UNKNOWN_UNIT = "unknown"
"""Stands for the unit of a bill that nobody knows the amount of. No unit's code is in small letters."""

Spot = tuple[str, str]
"""A bucket and a unit of bills; empty where the place isn't told apart by it."""


class Place(msgspec.Struct, frozen=True):
    """Whose amount is explained: what is owed in a bucket, or what providers bill in a unit (and a bucket, if named).

    `unit` and `scale` are those of every amount in it.
    """

    measure: Literal["charge", "cost"]
    bucket: str | None
    unit: str
    scale: int


def spot_of(place: Place) -> Spot:
    """Return the spot that a place is."""
    return (place.bucket or "", "") if place.measure == "charge" else (place.bucket or "", place.unit)


def ended_at(cell: ChangeCell, place: Place) -> Spot:
    """Return the spot where a cell's amounts stand, told apart as the place is."""
    if place.measure == "charge":
        return cell.bucket, ""
    return cell.bucket if place.bucket is not None else "", cell.cost_unit or UNKNOWN_UNIT


def began_at(cell: ChangeCell, place: Place, prices: PriceList) -> Spot:
    """Return the spot to which a cell's requests were routed before any fallback.

    Under `cost` the unit of a first route's bill is that of its card, else of its provider; where neither is known, no
    move between units is claimed.
    """
    if place.measure == "charge":
        return cell.first_bucket, ""
    end = ended_at(cell, place)
    if cell.route == cell.first_route:
        return end
    unit = prices.bill_unit(cell.first_route, cell.first_rate_card) or end[1]
    return cell.first_bucket if place.bucket is not None else "", unit


def places_of(
    before: Period, after: Period, measure: Literal["charge", "cost"], bucket: str | None, unit: str | None,
    catalog: Catalog,
) -> list[Place]:  # fmt: skip
    """Return the places that occur in either period, by name: buckets under `charge`, units of bills under `cost`.

    `bucket` and `unit` narrow them. Names that the catalog doesn't have are left out.
    """
    cells = [cell for period in (before, after) for cell in period if bucket in (None, cell.bucket)]
    if measure == "charge":
        buckets = [catalog.buckets[name] for name in sorted({cell.bucket for cell in cells} & catalog.buckets.keys())]
        return [Place("charge", each.bucket, each.unit, each.scale) for each in buckets if unit in (None, each.unit)]
    codes = sorted({cell.cost_unit for cell in cells if cell.cost_unit in catalog.units and cell.cost_unit is not None})
    return [Place("cost", bucket, code, catalog.units[code].scale) for code in codes if unit in (None, code)]
