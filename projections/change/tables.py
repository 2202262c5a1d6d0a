"""What the chain is made from: requests, tokens and amounts counted at each of its links, both periods side by side.

What can be told line by line never gets here: refunds, corrections, waived amounts, waste and the premium of fallbacks
are booked while cells are read. A request that fell back inside the place counts from then on as if it had stayed on
its first route at that route's rates, so that nothing sees its fallback again; where those rates are not known no
premium can be told, and it stays on its own route as one of the mix.
"""

from collections import defaultdict
from collections.abc import Iterable

import msgspec

from projections.change.cells import ChangeCell, Period
from projections.change.lines import ATOM_PLACES, Priced, billed, charged, reprice
from projections.change.links import ModelUse, SegmentUse, add_use
from projections.change.places import Place, Spot, began_at, ended_at, spot_of
from projections.change.prices import PriceList
from projections.change.rounding import GRAINS
from projections.change.tallies import About, Tally
from projections.route_ledger.spending import Sums

__all__ = ["MIXED", "NOT_CLASSIFIED", "Tables", "classes_of", "gather", "moved_about"]

NOT_CLASSIFIED = "not classified"
MIXED = "mixed"


class Tables(msgspec.Struct):
    """All links of the chain, by workspace and workflow, and what classes routes and models are in."""

    place: Place
    prices: PriceList
    tally: Tally
    depths: dict[str, str]
    discounted: dict[str, str]
    segments: dict[tuple[str, str | None], SegmentUse] = msgspec.field(default_factory=lambda: defaultdict(SegmentUse))

    @property
    def atoms_per_minor(self) -> int:
        """Return how many atoms a smallest part of the place's unit has."""
        return int(10 ** (ATOM_PLACES - self.place.scale))

    def route_depth(self, route: str) -> str:
        """Return a route's depth class."""
        return self.prices.depth(route) or NOT_CLASSIFIED

    def add(self, period: int, cell: ChangeCell, sums: Sums) -> None:
        """Count a cell of a period: 0 before, 1 after."""
        here, end = spot_of(self.place), ended_at(cell, self.place)
        if end == here:
            self.add_lines(period, cell, sums)
        if not sums.requests:
            return
        segment = self.segments[cell.workspace_id, cell.workflow]
        segment.ended[period] += sums.requests
        use = segment.models[cell.model]
        use.ended[period] += sums.requests
        use.settled[period] += sums.settled
        self.count_segment(period, cell, sums)
        if not sums.settled:
            return
        begin = began_at(cell, self.place, self.prices)
        if end == here:
            self.add_settled(period, cell, sums, use, None if begin == here else begin)
        elif begin == here:
            use.began_here[cell.first_route][period] += sums.settled
            use.left[cell.first_route][end][period] += sums.settled
            self.count_move(period, cell, sums, end, "out")
        if begin != here:
            discounted = self.discounted.get(cell.first_route, "")
            use.began_elsewhere[begin, discounted][period] += sums.settled
            use.tokens_elsewhere[begin, discounted][period] += sums.input_tokens + sums.output_tokens

    def add_lines(self, period: int, cell: ChangeCell, sums: Sums) -> None:
        """Book what adds up by itself."""
        about = self.tally.about(cell.workspace_id, ("route", cell.route))
        grains = GRAINS if period else -GRAINS
        if self.place.measure == "cost":
            self.tally.add("retry_waste", about, sums.waste_minor * grains, "attempts")
            self.tally.count("attempts", about, period, sums.failed_attempts, 0)
            return
        self.tally.add("refunds", about, -sums.refunded_minor * grains, "route")
        self.tally.add("corrections", about, sums.corrected_minor * grains, "route")
        self.tally.add("waived", about, -sums.waived_minor * grains, "route")

    def add_settled(self, period: int, cell: ChangeCell, sums: Sums, use: ModelUse, begin: Spot | None) -> None:
        """Count what settled here, after the premium of a fallback inside the place."""
        if self.place.measure == "charge":
            priced = charged(sums, self.atoms_per_minor)
        else:
            priced = billed(cell, sums, self.prices, self.place.unit, self.atoms_per_minor)
        route = cell.route
        if begin is None:
            if cell.route != cell.first_route:
                route, priced = self.without_premium(period, cell, sums, priced)
            use.began_here[route][period] += sums.settled
        else:
            self.count_move(period, cell, sums, begin, "in")
        arrival = use.arrivals[begin]
        add_use(arrival, arrival.routes[route], period, sums.settled, priced)
        self.count_here(period, cell, route, sums)

    def without_premium(self, period: int, cell: ChangeCell, sums: Sums, priced: Priced) -> tuple[str, Priced]:
        """Book what a fallback inside the place cost more than its first route, and return it as if on that one."""
        if self.place.measure == "charge":
            rates = self.prices.charge_rates(cell.first_rate_card, cell.reported_model)
        else:
            rates = self.prices.cost_rates(cell.first_rate_card, cell.reported_model, self.place.unit)
        at_first = reprice(priced, rates)
        if at_first is None:
            return cell.route, priced
        about = self.tally.about(cell.workspace_id, ("route", cell.route), ("first_route", cell.first_route))
        premium = (priced.amount() - at_first.amount()) * (GRAINS // self.atoms_per_minor)
        self.tally.add("fallback_premium", about, premium if period else -premium, "fallbacks")
        self.tally.count("fallbacks", about, period, sums.settled, sums.input_tokens + sums.output_tokens)
        return cell.first_route, at_first

    def count_segment(self, period: int, cell: ChangeCell, sums: Sums) -> None:
        """Count requests that ended anywhere, for the parts that are about them."""
        tally, tokens = self.tally, sums.input_tokens + sums.output_tokens
        workflow, model = ("workflow", cell.workflow or ""), ("model", cell.model)
        tally.count("workflow", tally.about(cell.workspace_id, workflow), period, sums.requests, tokens)
        tally.count("model", tally.about(cell.workspace_id, model), period, sums.requests, tokens)
        tally.count("answered", tally.about(cell.workspace_id, model), period, sums.settled, tokens)
        for depth in {self.route_depth(cell.route), self.depths[cell.model]}:
            about = tally.about(cell.workspace_id, workflow, ("depth", depth))
            tally.count("depth", about, period, sums.requests, tokens)

    def count_here(self, period: int, cell: ChangeCell, route: str, sums: Sums) -> None:
        """Count requests that settled here, for the parts that are about their model or route."""
        tally = self.tally
        model = tally.about(cell.workspace_id, ("model", cell.model))
        on_route = tally.about(cell.workspace_id, ("route", route))
        tally.count("prompts", model, period, sums.settled, sums.input_tokens)
        tally.count("input", on_route, period, sums.settled, sums.input_tokens)
        tally.count("output", on_route, period, sums.settled, sums.output_tokens)
        tally.count("route", on_route, period, sums.settled, sums.input_tokens + sums.output_tokens)

    def count_move(self, period: int, cell: ChangeCell, sums: Sums, other: Spot, direction: str) -> None:
        """Count requests that a fallback moved, in requests and tokens alone."""
        about = moved_about(self.tally, cell.workspace_id, other, "fallback", direction, "")
        self.tally.count("moved", about, period, sums.settled, sums.input_tokens + sums.output_tokens)


def moved_about(
    tally: Tally, workspace_id: str, other: Spot, how: str, direction: str, discounted: str, discounted_here: str = ""
) -> About:
    """Return what a part of `moved` is about. What is empty is not known, or does not apply."""
    pairs = (
        ("bucket", other[0]),
        ("unit", other[1]),
        ("how", how),
        ("direction", direction),
        ("discounted", discounted),
        ("discounted_here", discounted_here),
    )
    return tally.about(workspace_id, *((dimension, value) for dimension, value in pairs if value))


def gather(before: Period, after: Period, place: Place, prices: PriceList, tally: Tally) -> Tables:
    """Return both periods' counts at every link of the chain; lines that add up by themselves go to the tally."""
    depths, discounted = classes_of((before, after), prices)
    tables = Tables(place, prices, tally, depths, discounted)
    for period, cells in enumerate((before, after)):
        for cell, sums in cells.items():
            tables.add(period, cell, sums)
    return tables


def classes_of(periods: Iterable[Period], prices: PriceList) -> tuple[dict[str, str], dict[str, str]]:
    """Return each model's depth class, and of each route that settled anything whether it is discounted: yes or no.

    A model is of the depth that all routes have which its requests were sent to first, else `mixed`. A route is
    discounted when in either period its list price came to more than was charged by it.
    """
    seen: dict[str, set[str]] = defaultdict(set)
    discounted: dict[str, str] = {}
    for period in periods:
        discounts: dict[tuple[str, str], int] = defaultdict(int)
        for cell, sums in period.items():
            if sums.requests:
                seen[cell.model].add(prices.depth(cell.first_route) or NOT_CLASSIFIED)
            if sums.settled:
                discounts[cell.route, cell.bucket] += sums.list_minor - sums.listed_minor
        for (route, _), discount in discounts.items():
            discounted[route] = "yes" if discount > 0 or discounted.get(route) == "yes" else "no"
    depths = {model: next(iter(classes)) if len(classes) == 1 else MIXED for model, classes in seen.items()}
    return depths, discounted
