"""The requests behind a reason: how many, and the parameters under which the route ledger lists them. Pure."""

from collections.abc import Mapping, Set
from datetime import UTC, datetime

import msgspec

from projections.change.answers import RequestsBehind, Span
from projections.change.cells import ChangeCell, Period
from projections.change.counting import Stream, stream_of
from projections.change.places import Place, ended_at, spot_of
from projections.change.prices import PriceList
from projections.change.sentences import Lead

__all__ = ["Compared", "behind", "in_utc"]

PARAMETERS = {"workspace": "workspace_id", "workflow": "workflow", "model": "model", "route": "route"}
"""Dimensions of a part, and the parameters that ask for a value of them."""

OF_WHOLE_WORKFLOWS = frozenset({"requests", "answered", "deep_models", "model_mix", "new_workflows", "gone_workflows"})
"""Terms about all buckets: what the place is paid from would leave out some of what they speak of."""

OF_CELLS = ("workspace_id", "workflow", "model", "route", "bucket")
"""Parameters that are fields of a cell."""

ALL_ENDS = frozenset({"requests", "answered", "new_workflows", "gone_workflows", "retry_waste"})
"""Terms that also speak of requests that were not answered."""

OF_ONE_REQUEST = frozenset(
    {"prompt_size", "output_size", "cache_share", "reasoning_share", "counted", "rates", "stated_prices", "answered"}
)
"""Terms about what each request was like: the later ones show it. Of others, the more numerous ones do."""


class Compared(msgspec.Struct, frozen=True):
    """Two periods with what they hold, and the filters that were asked for."""

    before: Period
    after: Period
    before_span: Span
    after_span: Span
    asked: Mapping[str, str] = {}


def behind(lead: Lead, place: Place, compared: Compared, prices: PriceList) -> RequestsBehind:
    """Return the requests that a sentence speaks of, in the period that shows it."""
    query = query_of(lead, place, compared.asked)
    if lead.term.name == "moved":
        query |= moving(lead, place, compared, query)
    elif lead.term.name == "deep_models":
        query |= of_depth(lead.about.get("depth"), compared, prices, query)
    earlier, later = (count_of(period, query) for period in (compared.before, compared.after))
    shows_earlier = not later if lead.term.name in OF_ONE_REQUEST else earlier > later
    span = compared.before_span if shows_earlier else compared.after_span
    requests = earlier if shows_earlier else later
    return RequestsBehind(requests, {**query, "from": in_utc(span.begins_at), "to": in_utc(span.ends_at)})


def in_utc(text: str) -> str:
    """Return an instant as it stands in an address, where a plus sign would be taken for a blank."""
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def query_of(lead: Lead, place: Place, asked: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters without the period. No parameter asks for requests without a workflow: all are listed."""
    name = lead.term.name
    query = dict(asked)
    query |= {parameter: lead.about[each] for each, parameter in PARAMETERS.items() if lead.about.get(each)}
    if name == "moved" and not arrived(lead):
        query |= {"bucket": lead.about["bucket"]} if "bucket" in lead.about else {}
    elif name not in OF_WHOLE_WORKFLOWS and place.bucket is not None:
        query["bucket"] = place.bucket
    if name == "fallback_premium" or lead.about.get("how") == "fallback":
        query["fallback"] = "yes"
    if name not in ALL_ENDS:
        query["status"] = "settled"
    return query


def arrived(lead: Lead) -> bool:
    """Return whether requests that moved are in the place now, and not in the other one."""
    return lead.about.get("direction", "in" if lead.term.effect_minor > 0 else "out") == "in"


def moving(lead: Lead, place: Place, compared: Compared, query: Mapping[str, str]) -> dict[str, str]:
    """Return which workflow and model requests that moved are of, where most of them have the same.

    Those move that are in the place as well as elsewhere; what changed least among them is left out.
    """
    here, listed = spot_of(place), arrived(lead)
    sides: tuple[set[Stream], set[Stream]] = (set(), set())
    changes: dict[Stream, int] = {}
    for sign, period in ((-1, compared.before), (1, compared.after)):
        for cell, sums in period.items():
            if not sums.settled:
                continue
            stream, is_here = stream_of(cell), ended_at(cell, place) == here
            sides[is_here].add(stream)
            if is_here is listed and fits(cell, query):
                changes[stream] = changes.get(stream, 0) + sign * sums.settled
    most = most_of({stream: change for stream, change in changes.items() if stream in sides[0] & sides[1]})
    return only("workflow", {each[1] for each in most}) | only("model", {each[2] for each in most})


def of_depth(depth: str | None, compared: Compared, prices: PriceList, query: Mapping[str, str]) -> dict[str, str]:
    """Return the route of a depth that requests were on, or their model where there are several such routes."""
    cells = [
        cell
        for period in (compared.before, compared.after)
        for cell, sums in period.items()
        if depth is not None and sums.settled and prices.depth(cell.route) == depth and fits(cell, query)
    ]
    return only("route", {cell.route for cell in cells}) or only("model", {cell.model for cell in cells})


def only(parameter: str, values: Set[str | None]) -> dict[str, str]:
    """Return a parameter that asks for the one value that there is, nothing where there are several or none."""
    (value, *more) = values or (None,)
    return {} if more or not value else {parameter: value}


def most_of(changes: Mapping[Stream, int]) -> list[Stream]:
    """Return those that changed most, up to nine tenths of all that changed."""
    left = 10 * sum(abs(change) for change in changes.values())
    found = []
    for stream in sorted(changes, key=lambda each: (-abs(changes[each]), each[0], each[1] or "", each[2])):
        if left <= sum(abs(change) for change in changes.values()):
            break
        found.append(stream)
        left -= 10 * abs(changes[stream])
    return found


def count_of(period: Period, query: Mapping[str, str]) -> int:
    """Return how many requests of a period the parameters list."""
    settled = query.get("status") == "settled"
    return sum(sums.settled if settled else sums.requests for cell, sums in period.items() if fits(cell, query))


def fits(cell: ChangeCell, query: Mapping[str, str]) -> bool:
    """Return whether the parameters list a cell's requests, as far as they are about what cells tell apart."""
    if query.get("fallback") == "yes" and cell.route == cell.first_route:
        return False
    return all(getattr(cell, name) == query[name] for name in OF_CELLS if name in query)
