"""Periods for tests of explanations: routes with prices, and cells of requests that are all alike."""

from typing import Any

from ledger.catalog.events import BucketDefined, ProviderPublished, RoutePublished
from ledger.catalog.state import Catalog
from ledger.core.amounts import Unit
from ledger.core.rounding import Rounding
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.pricing.rating import rate_tokens
from ledger.pricing.usage import INPUT_PARTS, OUTPUT_PARTS
from projections.change.cells import ChangeCell, Explained, Part, Period
from projections.change.explaining import Place, explain
from projections.change.prices import PriceList
from projections.route_ledger.spending import Sums

CREDIT = Place("charge", "credit", "CREDIT", 6)
TOKENS = Place("charge", "tokens", "TOKEN", 0)
DOLLARS = Place("cost", None, "USD", 9)

ROUTES: dict[str, tuple[str, str | None, dict[str, str], str]] = {
    "plain": ("credit", None, {"uncached_input": "2", "cache_read": "0.5", "text_output": "10"}, "USD"),
    "cheap": ("credit", None, {"uncached_input": "1", "cache_read": "0.25", "text_output": "5"}, "USD"),
    "spare": ("credit", None, {"uncached_input": "3", "cache_read": "0.5", "text_output": "15"}, "USD"),
    "deep": ("credit", "deep", {"uncached_input": "20", "text_output": "100", "reasoning": "100"}, "USD"),
    "token": ("tokens", None, {"uncached_input": "1000000", "text_output": "1000000"}, "CNY"),
}
"""Bucket, depth, what is charged and in which unit the same is billed, by route. `cheap` is discounted."""

CATALOG = Catalog(
    buckets={"credit": BucketDefined("credit", "CREDIT", 6), "tokens": BucketDefined("tokens", "TOKEN", 0)},
    units={"CREDIT": Unit("CREDIT", 6), "TOKEN": Unit("TOKEN", 0), "USD": Unit("USD", 9), "CNY": Unit("CNY", 6)},
    providers={
        unit: ProviderPublished(unit, "openai", "https://api.example/v1", unit, scale)
        for unit, scale in (("USD", 9), ("CNY", 6))
    },
    routes={
        route: RoutePublished(route, unit, "gpt", bucket, "direct", depth=depth)
        for route, (bucket, depth, _, unit) in ROUTES.items()
    },
    rate_cards={
        f"{route}.1": RateCard(
            f"{route}.1", route, bucket, 0, (ModelRates("*", rates),), "test",
            cost_unit=unit, cost_models=(ModelRates("*", rates),),
        )
        for route, (bucket, _, rates, unit) in ROUTES.items()
    },
)  # fmt: skip
PRICES = PriceList.from_catalog(CATALOG)


def cell_on(route: str, first: str | None = None, **changes: Any) -> ChangeCell:
    """Return the cell of requests on a route, routed to another one first where that is named."""
    start = first or route
    fields = {
        "workspace_id": "w", "workflow": "chat", "model": "smart", "bucket": ROUTES[route][0], "route": route,
        "reported_model": "gpt", "rate_card": f"{route}.1", "first_route": start, "first_bucket": ROUTES[start][0],
        "first_rate_card": f"{start}.1", "cost_unit": ROUTES[route][3],
    }  # fmt: skip
    return ChangeCell(**fields | changes)


def spent(
    requests: int, tokens: dict[str, int], rates: dict[str, str], *, scale: int = 6, failed: int = 0, **changes: Any
) -> Sums:
    """Return the sums of requests that were answered alike, with so many tokens of each part, and of failed ones."""
    lines = {
        (part, rates[part]): [
            count * requests,
            requests * rate_tokens(count, rates[part], scale, Rounding.HALF_EVEN),
        ]
        for part, count in tokens.items()
    }
    charge = sum(minor for _, minor in lines.values())
    fields: dict[str, Any] = {
        "requests": requests + failed, "settled": requests, "failed": failed,
        "input_tokens": requests * sum(count for part, count in tokens.items() if part in INPUT_PARTS),
        "output_tokens": requests * sum(count for part, count in tokens.items() if part in OUTPUT_PARTS),
        "charge_minor": charge, "cost_minor": 1000 * charge, "lines": lines,
    }  # fmt: skip
    return Sums(**fields | changes)


def on(
    route: str, requests: int, prompt: int = 1000, answer: int = 100, *, dearer: int = 1, failed: int = 0,
    first: str | None = None, tokens: dict[str, int] | None = None, **changes: Any,
) -> tuple[ChangeCell, Sums]:  # fmt: skip
    """Return a cell and its sums: requests on a route at its prices, or at so many times as much."""
    rates = {part: str(float(rate) * dearer) for part, rate in ROUTES[route][2].items()}
    used = {"uncached_input": prompt, "text_output": answer} if tokens is None else tokens
    sums = spent(requests, used, rates, scale=6 if ROUTES[route][0] == "credit" else 0, failed=failed)
    if route == "cheap":
        sums.listed_minor, sums.list_minor = sums.charge_minor, 2 * sums.charge_minor
    return cell_on(route, first, **changes), sums


def period(*cells: tuple[ChangeCell, Sums]) -> Period:
    """Return a period of cells that are all different."""
    found = dict(cells)
    assert len(found) == len(cells)
    return found


def terms_of(explained: Explained) -> dict[str, int]:
    """Return the effects of all terms that are not zero, by name, after checking that they add up."""
    assert explained.before_minor + sum(term.effect_minor for term in explained.terms) == explained.after_minor
    for term in explained.terms:
        assert not term.parts or sum(part.effect_minor for part in term.parts) == term.effect_minor
    return {term.name: term.effect_minor for term in explained.terms if term.effect_minor}


def effects(before: Period, after: Period, place: Place = CREDIT) -> dict[str, int]:
    """Return the effects of all terms of an explanation that are not zero."""
    return terms_of(explain(before, after, place, PRICES))


def parts_of(before: Period, after: Period, place: Place, name: str) -> list[Part]:
    """Return the parts of a term."""
    terms = {term.name: term for term in explain(before, after, place, PRICES).terms}
    return list(terms[name].parts)
