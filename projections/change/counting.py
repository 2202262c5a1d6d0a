"""What a change is counted by, beside money: how many requests, how large, on which routes. Pure.

Averages are kept as whole numbers of `FINENESS`-th parts, so that they come out the same in any order of cells.
"""

from collections.abc import Hashable, Iterable, Mapping

import msgspec

from projections.change.cells import ChangeCell, Period
from projections.change.places import Place, Spot, began_at, ended_at, spot_of
from projections.change.prices import PriceList

__all__ = [
    "FINENESS",
    "Scope",
    "Stream",
    "alike",
    "deep_requests",
    "discounted_requests",
    "fallen_back",
    "input_tokens",
    "requests_here",
    "requests_of_users",
    "retries",
    "scope_of",
    "share_of",
    "stream_of",
]

FINENESS = 10**9
"""Into how many parts a whole is divided in an average or a share."""

Stream = tuple[str, str | None, str]
"""A workspace, a workflow and a model."""

Ratios = Mapping[Hashable, tuple[int, int]]
"""A count, and the requests that it is of, by what both are weighed apart by."""


class Scope(msgspec.Struct, frozen=True):
    """What the questions look at around a place: routes that are discounted, streams of requests that come to it."""

    place: Place
    spot: Spot
    prices: PriceList
    discounted: frozenset[str]
    streams: frozenset[Stream]

    def is_here(self, cell: ChangeCell) -> bool:
        """Return whether what a cell holds is charged, or billed, in the place."""
        return ended_at(cell, self.place) == self.spot

    def began_here(self, cell: ChangeCell) -> bool:
        """Return whether requests were first routed to the place."""
        return began_at(cell, self.place, self.prices) == self.spot

    def tried_here(self, cell: ChangeCell) -> bool:
        """Return whether attempts were made in the place. What a failed one cost may be unknown: its route tells."""
        if self.place.bucket not in (None, cell.bucket):
            return False
        unit = cell.cost_unit or self.prices.bill_unit(cell.route, cell.rate_card)
        return self.place.measure == "charge" or unit == self.place.unit


def stream_of(cell: ChangeCell) -> Stream:
    """Return the stream of requests that a cell is of."""
    return cell.workspace_id, cell.workflow, cell.model


def scope_of(place: Place, before: Period, after: Period, prices: PriceList) -> Scope:
    """Return what the questions look at."""
    cells = [(cell, sums) for period in (before, after) for cell, sums in period.items() if sums.settled]
    discounted = frozenset(cell.route for cell, sums in cells if sums.list_minor > sums.listed_minor)
    scope = Scope(place, spot_of(place), prices, discounted, frozenset())
    streams = frozenset(stream_of(cell) for cell, _ in cells if scope.is_here(cell) or scope.began_here(cell))
    return msgspec.structs.replace(scope, streams=streams)


def requests_here(period: Period, place: Place) -> int:
    """Return how many requests were settled in a place."""
    spot = spot_of(place)
    return sum(sums.settled for cell, sums in period.items() if ended_at(cell, place) == spot)


def requests_of_users(period: Period, scope: Scope) -> int:
    """Return how many requests ended, in all buckets, of the workflows that come to the place."""
    senders = {(workspace_id, workflow) for workspace_id, workflow, _ in scope.streams}
    return sum(sums.requests for cell, sums in period.items() if (cell.workspace_id, cell.workflow) in senders)


def input_tokens(period: Period, scope: Scope) -> Ratios:
    """Return the input tokens of the requests that were settled in the place.

    What came by fallback from elsewhere is weighed apart, and so is each first route.
    """
    found: dict[Hashable, tuple[int, int]] = {}
    for cell, sums in period.items():
        if sums.settled and scope.is_here(cell):
            key = (stream_of(cell), scope.began_here(cell), cell.first_route)
            found[key] = plus(found.get(key), sums.input_tokens, sums.settled)
    return found


def fallen_back(period: Period, scope: Scope) -> Ratios:
    """Return how many of the streams' requests fell back within the place, into it or out of it."""
    found: dict[Hashable, tuple[int, int]] = {}
    for cell, sums in period.items():
        if sums.settled and stream_of(cell) in scope.streams:
            moved = cell.route != cell.first_route and (scope.is_here(cell) or scope.began_here(cell))
            found[stream_of(cell)] = plus(found.get(stream_of(cell)), sums.settled * moved, sums.settled)
    return found


def discounted_requests(period: Period, scope: Scope) -> Ratios:
    """Return how many of the streams' requests were routed to a discounted route, over all buckets.

    A request counts for its first route: where a fallback led is another question.
    """
    found: dict[Hashable, tuple[int, int]] = {}
    for cell, sums in period.items():
        if sums.settled and stream_of(cell) in scope.streams:
            discounted = sums.settled if cell.first_route in scope.discounted else 0
            found[stream_of(cell)] = plus(found.get(stream_of(cell)), discounted, sums.settled)
    return found


def retries(period: Period, scope: Scope) -> tuple[int, int]:
    """Return how many attempts were tried again on the same route of the place, and how many requests ended there."""
    found = (0, 0)
    for cell, sums in period.items():
        if scope.tried_here(cell):
            found = plus(found, sums.retries, sums.requests)
    return found


def deep_requests(period: Period, prices: PriceList) -> dict[tuple[str | None, str], tuple[int, int]]:
    """Return how many requests of each named workflow ended on deep routes, by workspace and workflow.

    Under the workspace None stands the workflow in whatever workspace.
    """
    found: dict[tuple[str | None, str], tuple[int, int]] = {}
    for cell, sums in period.items():
        if not cell.workflow or not sums.requests:
            continue
        deep = sums.requests if prices.depth(cell.route) == "deep" else 0
        for workspace_id in (cell.workspace_id, None):
            key = (workspace_id, cell.workflow)
            found[key] = plus(found.get(key), deep, sums.requests)
    return found


def share_of(
    found: Mapping[tuple[str | None, str], tuple[int, int]], workflow: tuple[str | None, str] | None = None
) -> int | None:
    """Return the share of deep requests of one workflow, or of all; None where it sent none."""
    if workflow is not None:
        return average([found[workflow]]) if workflow in found else None
    return average(counts for (workspace_id, _), counts in found.items() if workspace_id is None)


def plus(counted: tuple[int, int] | None, count: int, requests: int) -> tuple[int, int]:
    """Return a count and its requests with more added to both."""
    so_far, of_requests = counted or (0, 0)
    return so_far + count, of_requests + requests


def alike(before: Ratios, after: Ratios) -> tuple[int | None, int | None]:
    """Return both periods' averages with each stream weighed alike: by the requests that both have of it together.

    So they differ only where a stream itself has changed, not where one grew beside another. A stream that only one
    period has can't be compared; where that is so for all, the averages are plain. None where there is no request.
    """
    weights = {key: before[key][1] + after[key][1] for key in before.keys() & after.keys()}
    if not weights:
        return average(before.values()), average(after.values())
    whole = sum(weights.values())
    first, second = (
        sum(FINENESS * ratios[key][0] * weight // ratios[key][1] for key, weight in weights.items()) // whole
        for ratios in (before, after)
    )
    return first, second


def average(ratios: Iterable[tuple[int, int]]) -> int | None:
    """Return one average over everything, None where there is no request."""
    count = requests = 0
    for each, of_requests in ratios:
        count += each
        requests += of_requests
    return FINENESS * count // requests if requests else None
