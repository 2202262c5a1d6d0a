"""Two periods of spend → why they differ, as it is answered. Pure.

Each place is explained by itself; the work is done by `projections.change`.
"""

from ledger.catalog.state import Catalog
from projections.change.answers import Change, Span
from projections.change.explaining import customer_period, explain, places_of
from projections.change.places import Place
from projections.change.prices import PriceList
from projections.change.telling import Compared, tell
from projections.change.words import METHOD
from projections.receipt.folding import CatalogBehind
from projections.spend.asking import AskedWrongly, ChangeQuestion, PeriodAsked, Seen, zone_of
from projections.spend.found import Comparison
from projections.spend.zones import stated

__all__ = ["change_of", "require_names"]


def require_names(comparison: Comparison, catalog: Catalog) -> Catalog:
    """Return a catalog that knows all that the cells name. Raises CatalogBehind for an older one."""
    for period in (comparison.before, comparison.after):
        for cell in period:
            for name, known in (
                (cell.bucket, catalog.buckets), (cell.route, catalog.routes), (cell.first_route, catalog.routes),
                (cell.rate_card, catalog.rate_cards), (cell.first_rate_card, catalog.rate_cards),
                (cell.cost_unit, catalog.units),
            ):  # fmt: skip
                if name is not None and name not in known:
                    raise CatalogBehind(name)
    return catalog


def change_of(question: ChangeQuestion, seen: Seen, comparison: Comparison, catalog: Catalog) -> Change:
    """Return the answer to a question. Raises AskedWrongly for a bucket or unit that there is not."""
    before, after = comparison.before, comparison.after
    if seen.is_customer:
        before, after = customer_period(before), customer_period(after)
    require_place(question, catalog)
    prices = PriceList.from_catalog(catalog)
    before_span, after_span = span_of(question.before, question.zone), span_of(question.after, question.zone)
    compared = Compared(before, after, before_span, after_span, parameters_of(seen))
    counts = {group.spot: group.groups for group in comparison.groups}
    places = places_of(before, after, question.measure, question.bucket, question.unit, catalog)
    return Change(
        measure=question.measure,
        workspace_id=seen.workspace_id,
        zone=question.zone,
        before=before_span,
        after=after_span,
        by=question.by,
        complete=comparison.complete,
        places=[
            tell(
                place,
                compared,
                explain(before, after, place, prices),
                prices,
                grouped=question.by is not None,
                groups=counts.get(spot_name(place), 0),
            )
            for place in places
        ],
        method=METHOD,
    )


def require_place(question: ChangeQuestion, catalog: Catalog) -> None:
    """Refuse a bucket or a unit that nothing is charged in, or billed in under `cost`."""
    charged = {bucket.unit for bucket in catalog.buckets.values()}
    billed = {provider.cost_unit for provider in catalog.providers.values()} & catalog.units.keys()
    units = charged if question.measure == "charge" else billed
    for name, asked, known in (("bucket", question.bucket, catalog.buckets), ("unit", question.unit, units)):
        if asked is not None and asked not in known:
            raise AskedWrongly(name, f"there is no such {name}")


def parameters_of(seen: Seen) -> dict[str, str]:
    """Return what is seen, as the parameters under which its requests are listed."""
    asked = {"workspace_id": seen.workspace_id, "project": seen.project_id, "key": seen.api_key_id}
    return {name: value for name, value in asked.items() if value is not None}


def spot_name(place: Place) -> str:
    """Return the name by which groups of a place are found."""
    return place.unit if place.measure == "cost" else place.bucket or ""


def span_of(period: PeriodAsked, zone_name: str) -> Span:
    """Return a period as the clocks of its zone show it."""
    zone = zone_of(zone_name)
    return Span(stated(period.begin, zone), stated(period.end, zone))
