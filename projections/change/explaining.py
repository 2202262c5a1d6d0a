"""Why a period came to another amount than the one before: terms that add up to the difference, to the last unit.

What adds up line by line is told first (see `tables`): refunds, corrections, waived amounts, waste, and what fallbacks
inside the place cost beyond their first routes. What is left is products of numbers, shares, sizes and prices, and the
change of each is split by the Shapley value (see `chain` and `shapley`). Every term is rounded once, half to even;
`rounding` is what is then left of the difference, mostly what the charges' own lines were rounded by.

Nothing depends on the order of cells, on any name, or on how cells are grouped: cells that differ in their group alone
are one. Swapping the periods negates every term.
"""

from msgspec import structs

from projections.change.cells import Explained, Period
from projections.change.chain import split_segments
from projections.change.places import Place, ended_at, places_of, spot_of
from projections.change.prices import PriceList
from projections.change.tables import gather
from projections.change.tallies import Tally
from projections.route_ledger.spending import Sums

__all__ = ["Place", "amount_of", "customer_period", "explain", "places_of"]


def explain(before: Period, after: Period, place: Place, prices: PriceList) -> Explained:
    """Return why the amount of a place differs between two periods."""
    first, second = ungrouped(before), ungrouped(after)
    workspaces = {cell.workspace_id for period in (first, second) for cell in period}
    tally = Tally(len(workspaces) > 1)
    split_segments(gather(first, second, place, prices, tally))
    before_minor, after_minor = amount_of(first, place), amount_of(second, place)
    return Explained(before_minor, after_minor, tally.terms(after_minor - before_minor))


def amount_of(period: Period, place: Place) -> int:
    """Return what a period came to in a place, in smallest parts.

    Under `charge` what is owed: as settled, corrected, less what was refunded. Under `cost` what is billed to us, waste
    with it.
    """
    here = spot_of(place)
    found = [sums for cell, sums in period.items() if ended_at(cell, place) == here]
    if place.measure == "charge":
        return sum(sums.charge_minor + sums.corrected_minor - sums.refunded_minor for sums in found)
    return sum(sums.cost_minor + sums.waste_minor for sums in found)


def customer_period(period: Period) -> Period:
    """Return a period as a customer may see it: what was paid, without cost and without what no balance had paid."""
    cells: Period = {}
    for cell, sums in period.items():
        key = structs.replace(cell, cost_unit=None)
        add_sums(cells.setdefault(key, Sums()), sums)
    return {cell: paid(sums) for cell, sums in cells.items()}


def paid(sums: Sums) -> Sums:
    """Return sums in which what no balance had paid is waived, and corrections leave out what they undid of it."""
    return structs.replace(
        sums,
        charge_minor=sums.charge_minor - sums.overrun_minor,
        waived_minor=sums.waived_minor + sums.overrun_minor,
        corrected_minor=sums.corrected_minor + sums.undone_minor,
        overrun_minor=0,
        undone_minor=0,
        cost_minor=0,
        waste_minor=0,
        without_cost=0,
        waste_unknown=0,
    )


def ungrouped(period: Period) -> Period:
    """Return a period whose cells differ in more than their group."""
    if not any(cell.group for cell in period):
        return period
    cells: Period = {}
    for cell, sums in period.items():
        add_sums(cells.setdefault(structs.replace(cell, group=""), Sums()), sums)
    return cells


def add_sums(whole: Sums, sums: Sums) -> None:
    """Add sums to others of the same unit."""
    for name in NUMBERS:
        setattr(whole, name, getattr(whole, name) + getattr(sums, name))
    for line, (tokens, minor) in sums.lines.items():
        so_far = whole.lines.setdefault(line, [0, 0])
        so_far[0] += tokens
        so_far[1] += minor


NUMBERS = tuple(name for name in Sums.__struct_fields__ if name != "lines")
