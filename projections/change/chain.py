"""What is left of an amount as products, one for each leaf, and the change of each split among its factors.

A leaf is a part of the usage, on a route, of requests that began at one spot, of a model, in a workspace's workflow.
What it came to in a period is the product, from the widest link to the narrowest, of

    N  requests of the workflow that ended, over all buckets                               requests
    U  share of the model among them                                                       deep_models, model_mix
    A  share of the model's requests that were answered                                    answered
    F  share of these, over all buckets, whose first route is this one                     moved, deep_models,
                                                                                           discounted_routes, route_mix
    G  share of these that settled here and did not leave by a fallback                    moved
    P  input tokens per request of the model on the route                                  prompt_size
    S  share of the part in the route's input tokens                                       cache_share
    R  price of the part per token                                                         rates
    K  what was billed as a multiple of what the card says (cost alone)                    stated_prices

In place of F and G, requests that came by fallback from one other spot have the share of the model's requests that
did. Output has O, output tokens per request on the route (output_size), in place of P, and its S is
reasoning_share; what is counted has its number per request (counted) and no S. A price that was stated for whole
requests is a part with nothing but a price.

A share or average of nothing takes the value of the other period: what is new or gone is volume or mix, never size or
price. Each product's change is split by the Shapley value (see `shapley`); the change of a share is one factor, and
what it is called is told by where the requests went (see `moving`). A workflow that only one period has is not split:
its whole amount is new or gone.
"""

from collections.abc import Iterable, Mapping
from fractions import Fraction

import msgspec

from projections.change.factors import Chain, Factor, joined, ratio, split_leaf
from projections.change.links import INPUT, OUTPUT, Arrival, ModelUse, PartUse, RouteUse, SegmentUse
from projections.change.moving import Path, counterparts, take_apart
from projections.change.places import Spot
from projections.change.rounding import GRAINS
from projections.change.tables import Tables, moved_about
from projections.change.tallies import Pair, pair

__all__ = ["split_segments"]

COUNTS = {"cache_share": "input", "reasoning_share": "output", "output_size": "output", "prompt_size": "prompts"}
"""Which tokens the parts of a term count, where not all."""


def split_segments(tables: Tables) -> None:
    """Book why what is left of the place's amount changed, workflow by workflow."""
    grains_per_atom = GRAINS // tables.atoms_per_minor
    for (workspace_id, workflow), segment in tables.segments.items():
        first, second = segment.ended
        if workflow is not None and not (first and second):
            about = tables.tally.about(workspace_id, ("workflow", workflow))
            amount = (amount_in(segment, 1) - amount_in(segment, 0)) * grains_per_atom
            tables.tally.add("new_workflows" if second else "gone_workflows", about, amount, "workflow")
        else:
            Splitter(tables, workspace_id, workflow, grains_per_atom).split(segment)


def amount_in(segment: SegmentUse, period: int) -> int:
    """Return what all requests of a workflow came to here in a period, in atoms."""
    return sum(
        use.stated[period] + sum(part.amount[period] for part in use.parts.values())
        for model in segment.models.values()
        for arrival in model.arrivals.values()
        for use in arrival.routes.values()
    )


class PromptSizes(msgspec.Struct, frozen=True):
    """How large a model's prompts are here, whatever the route."""

    model: str
    of_model: Factor


class Splitter(msgspec.Struct):
    """Splits one workspace's workflow, and books what its factors contribute."""

    tables: Tables
    workspace_id: str
    workflow: str | None
    grains_per_atom: int

    def split(self, segment: SegmentUse) -> None:
        """Book the change of a workflow's amount here."""
        requests = Factor(segment.ended[0], segment.ended[1])
        shares: dict[str, Factor] = {}
        for model, use in segment.models.items():
            share, answered = ratio(use.ended, segment.ended, is_share=True), ratio(use.settled, use.ended)
            if share is not None and answered is not None:
                shares[model] = share
                self.split_model(model, use, (requests, share, answered))
                self.book("answered", ("model", model), answered, "answered")
        self.book("requests", ("workflow", self.workflow or ""), requests, "workflow")
        self.book_models(segment, shares)

    def split_model(self, model: str, use: ModelUse, chain: Chain) -> None:
        """Book the change of a model's amount here."""
        for begin, arrival in use.arrivals.items():
            prompts = ratio(arrival.input_tokens, arrival.settled)
            if prompts is None:
                continue
            sizes = PromptSizes(model, prompts)
            if begin is None:
                self.split_direct(use, arrival, chain, sizes)
            else:
                self.split_fallen(use, begin, arrival, chain, sizes)

    def split_direct(self, use: ModelUse, arrival: Arrival, chain: Chain, sizes: PromptSizes) -> None:
        """Book the change of what began and settled here.

        In a period in which nothing began on a route, as many stay there as of all that began here: what left another
        route by a fallback is not told as a change of this one.
        """
        shares: dict[str, Factor] = {}
        all_began, all_left = whole_of(use.began_here.values()), left_of(use.left)
        for route, on_route in arrival.routes.items():
            began, own = use.began_here[route], use.left.get(route, {})
            base, kept = chosen(began, began, all_began), chosen(began, on_route.settled, arrival.settled)
            share, stayed = ratio(began, use.settled, is_share=True), ratio(kept, base, is_share=True)
            if share is not None and stayed is not None:
                shares[route] = share
                self.split_route(route, on_route, arrival, (*chain, share, stayed), sizes)
                left = {spot: chosen(began, own.get(spot, pair()), gone) for spot, gone in all_left.items()}
                self.book_left(base, left, stayed)
        self.book_routing(use, shares)

    def split_fallen(self, use: ModelUse, begin: Spot, arrival: Arrival, chain: Chain, sizes: PromptSizes) -> None:
        """Book the change of what came by fallback from one other spot."""
        shares: dict[str, Factor] = {}
        for route, on_route in arrival.routes.items():
            share = ratio(on_route.settled, use.settled, is_share=True)
            if share is not None:
                shares[route] = share
                self.split_route(route, on_route, arrival, (*chain, share), sizes)
        about = moved_about(self.tables.tally, self.workspace_id, begin, "fallback", "in", "")
        changes = {route: change_of(on_route.settled, use.settled) for route, on_route in arrival.routes.items()}
        for route, causes in self.by_cause(changes).items():
            over = use.settled[0] * use.settled[1]
            moved = causes.pop("moved", Fraction(0))
            self.tables.tally.add("moved", about, shares[route].effect_of(moved, over), "moved")
            self.book_mix(route, causes, shares[route], over)

    def split_route(self, route: str, use: RouteUse, arrival: Arrival, chain: Chain, sizes: PromptSizes) -> None:
        """Book the change of what settled on a route, part by part."""
        # Where nothing settled on it, the route's prompts are to the model's what they are in the other period.
        relative = ratio(
            [use.input_tokens[period] * arrival.settled[period] for period in (0, 1)],
            [use.settled[period] * arrival.input_tokens[period] for period in (0, 1)],
        )
        prompts = None if relative is None else joined(sizes.of_model, relative)
        answers = ratio(use.output_tokens, use.settled)
        for name, part in use.parts.items():
            if name in INPUT and prompts is not None:
                self.split_part(route, "cache_share", part, use.input_tokens, (*chain, prompts))
            elif name in OUTPUT and answers is not None:
                self.split_part(route, "reasoning_share", part, use.output_tokens, (*chain, answers))
            elif name not in INPUT and name not in OUTPUT:
                self.split_part(route, "counted", part, use.settled, chain)
        stated = ratio(use.stated, use.settled) if any(use.stated) else None
        if stated is not None:
            split_leaf((*chain, stated), self.grains_per_atom)
        about = ("route", route)
        self.book("stated_prices", about, stated)
        self.book("prompt_size", ("model", sizes.model), prompts)
        self.book("output_size", about, answers)

    def split_part(self, route: str, cause: str, part: PartUse, of: Pair, chain: Chain) -> None:
        """Book the change of one part's amount: its share, or its number per request, is the cause."""
        share, price, billed = ratio(part.tokens, of), ratio(part.carded, part.tokens), ratio(part.amount, part.carded)
        if share is None or price is None or billed is None:
            return
        split_leaf((*chain, share, price, billed), self.grains_per_atom)
        about = ("route", route)
        self.book(cause, about, share)
        self.book("rates", about, price)
        self.book("stated_prices", about, billed)

    def book(self, term: str, about: tuple[str, str], each: Factor | None, kind: str | None = None) -> None:
        """Book what a factor contributes."""
        if each is not None and each.effect:
            key = self.tables.tally.about(self.workspace_id, about)
            self.tables.tally.add(term, key, each.effect, kind or COUNTS.get(term, "route"))

    def book_models(self, segment: SegmentUse, shares: Mapping[str, Factor]) -> None:
        """Book what models contribute that are called more or less than before."""
        depths, over = self.tables.depths, segment.ended[0] * segment.ended[1]
        changes: dict[Path, int] = {
            (depths[model], model): change_of(use.ended, segment.ended) for model, use in segment.models.items()
        }
        for (depth, model), causes in take_apart(changes, ("deep_models", "model_mix"), "").items():
            if model in shares:
                self.book_depth(depth, causes.get("deep_models"), shares[model], over)
                self.book_change("model_mix", ("model", model), causes.get("model_mix"), shares[model], over, "model")

    def book_routing(self, use: ModelUse, shares: Mapping[str, Factor]) -> None:
        """Book what routes contribute that more or fewer requests were routed to at first."""
        tally, over = self.tables.tally, use.settled[0] * use.settled[1]
        for (spot, discounted), began in use.began_elsewhere.items():
            # Counted here, so that what never comes to this place is not.
            counted = moved_about(tally, self.workspace_id, spot, "routing", "", discounted)
            for period, tokens in enumerate(use.tokens_elsewhere[spot, discounted]):
                tally.count("moved", counted, period, began[period], tokens)
        changes = {route: change_of(began, use.settled) for route, began in use.began_here.items()}
        here = sum(changes.values())
        others = counterparts(
            here, {other: change_of(began, use.settled) for other, began in use.began_elsewhere.items()}
        )
        for route, causes in self.by_cause(changes).items():
            share = shares.get(route)
            if share is None:
                continue
            moved = causes.pop("moved", Fraction(0))
            for (spot, discounted), part in others.items() if moved else ():
                own = self.tables.discounted.get(route, "")
                direction = "in" if here > 0 else "out"
                about = moved_about(tally, self.workspace_id, spot, "routing", direction, discounted, own)
                counted = moved_about(tally, self.workspace_id, spot, "routing", "", discounted)
                tally.add("moved", about, share.effect_of(moved * part, over), "moved", counted)
            self.book_mix(route, causes, share, over)

    def book_left(self, began: Pair, left: Mapping[Spot, Pair], stayed: Factor) -> None:
        """Book what requests contribute that left a first route here by a fallback to elsewhere."""
        tally = self.tables.tally
        for spot, gone in left.items():
            about = moved_about(tally, self.workspace_id, spot, "fallback", "out", "")
            change = Fraction(-change_of(gone, began))
            if change:
                tally.add("moved", about, stayed.effect_of(change, began[0] * began[1]), "moved")

    def by_cause(self, changes: Mapping[str, int]) -> dict[str, dict[str, Fraction]]:
        """Return changes of routes' shares here by cause. What they come to together is `moved`."""
        paths: dict[Path, int] = {
            (self.tables.route_depth(route), self.tables.discounted.get(route, ""), route): change
            for route, change in changes.items()
            if change
        }
        found = take_apart(paths, ("deep_models", "discounted_routes", "route_mix"), "moved")
        return {route: causes for (_, _, route), causes in found.items()}

    def book_mix(self, route: str, causes: Mapping[str, Fraction], share: Factor, over: int) -> None:
        """Book what a route contributes that was chosen more or less among those here."""
        self.book_depth(self.tables.route_depth(route), causes.get("deep_models"), share, over)
        for term in ("discounted_routes", "route_mix"):
            self.book_change(term, ("route", route), causes.get(term), share, over, "route")

    def book_depth(self, depth: str, change: Fraction | None, share: Factor, over: int) -> None:
        """Book what more or fewer requests of a depth class contribute."""
        if change is not None:
            about = self.tables.tally.about(self.workspace_id, ("workflow", self.workflow or ""), ("depth", depth))
            self.tables.tally.add("deep_models", about, share.effect_of(change, over), "depth")

    def book_change(
        self, term: str, about: tuple[str, str], change: Fraction | None, share: Factor, over: int, kind: str
    ) -> None:
        """Book what a part of a share's change contributes."""
        if change is not None:
            key = self.tables.tally.about(self.workspace_id, about)
            self.tables.tally.add(term, key, share.effect_of(change, over), kind)


def chosen(by: Pair, own: Pair, other: Pair) -> Pair:
    """Return in each period the one count, or where nothing is counted by what chooses, the other."""
    return [own[period] if by[period] else other[period] for period in (0, 1)]


def whole_of(counts: Iterable[Pair]) -> Pair:
    """Return the sum of counts, period by period."""
    whole = pair()
    for each in counts:
        whole[0] += each[0]
        whole[1] += each[1]
    return whole


def left_of(left: Mapping[str, Mapping[Spot, Pair]]) -> dict[Spot, Pair]:
    """Return how many requests left by a fallback, whatever their first route, by where it led."""
    spots = {spot for of_route in left.values() for spot in of_route}
    return {spot: whole_of(of_route[spot] for of_route in left.values() if spot in of_route) for spot in sorted(spots)}


def change_of(part: Pair, whole: Pair) -> int:
    """Return how a share changed, over the product of both wholes; not at all where one of them is nothing."""
    return part[1] * whole[0] - part[0] * whole[1] if whole[0] and whole[1] else 0
