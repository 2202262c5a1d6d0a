"""A row of the route ledger → the line that the platform or a customer reads. Pure.

What a customer is told, and in which words, is what the customer's receipt tells: the rules are taken from there.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ledger.api.answers import instant
from ledger.catalog.state import Catalog
from ledger.core.amounts import StatedAmount, Unit, state_amount
from projections.receipt.answers import PriceSource, RouteProvider, SkippedCandidate, TokenCount
from projections.receipt.customer import OWN_RULE, UNREACHABLE, Reveal, revealing, shown_failure, shown_status
from projections.receipt.folding import CatalogBehind
from projections.receipt.pricing import price_source
from projections.route_ledger.answers import (
    CustomerRequestLine,
    EntryPlace,
    FailedCall,
    FailedCost,
    FallbackStep,
    RequestLine,
    RequestPlatform,
    ServedCost,
)
from projections.route_ledger.rows import FailedAttempt, Move, PlacedEntry, RequestRow

__all__ = ["customer_line", "request_line", "unit_of"]


def request_line(row: RequestRow, catalog: Catalog) -> RequestLine:
    """Return a row as the platform sees it. Raises CatalogBehind for a catalog that is older than the row."""
    unit = unit_of(row.unit, catalog)
    return RequestLine(
        **common(row, unit),
        rule=row.rule,
        skipped=[SkippedCandidate(each.route, each.reason) for each in row.detail.skipped],
        fallback_chain=[fallback_step(each, each.failure) for each in row.detail.moves],
        failures=[failed_call(each, each.failure, each.http_status) for each in row.detail.failures],
        terms=row.detail.terms,
        charge=stated(row.charge_minor, unit),
        waived=stated(row.waived_minor, unit),
        corrected=None if row.charge_minor is None else stated(sum(change for change, _ in corrections(row)), unit),
        platform=platform_part(row, unit, catalog),
    )


def customer_line(row: RequestRow, catalog: Catalog) -> CustomerRequestLine:
    """Return a row as its workspace sees it: the charge is what was paid, all the rest of it is waived.

    What no balance paid is not told from what the gateway waived, as on a customer's receipt. Raises CatalogBehind.
    """
    unit = unit_of(row.unit, catalog)
    reveal = revealing_for(tuple(providers_of(row, catalog).values()))
    is_settled = row.charge_minor is not None
    undone = sum(undone for _, undone in corrections(row))
    moved = sum(change + undone for change, undone in corrections(row))
    return CustomerRequestLine(
        **common(row, unit),
        rule=reveal(row.rule, OWN_RULE),
        skipped=[SkippedCandidate(each.route, reveal(each.reason, UNREACHABLE)) for each in row.detail.skipped],
        fallback_chain=[fallback_step(each, shown_failure(each.failure)) for each in row.detail.moves],
        failures=[
            failed_call(each, shown_failure(each.failure), shown_status(each.failure, each.http_status))
            for each in row.detail.failures
        ],
        terms=[term for term in row.detail.terms if reveal(term, "")],
        charge=stated(row.paid_minor, unit),
        waived=stated((row.waived_minor or 0) + (row.overrun_minor or 0) + undone, unit) if is_settled else None,
        corrected=stated(moved, unit) if is_settled else None,
    )


def common(row: RequestRow, unit: Unit) -> dict[str, Any]:
    """Return the fields that both read alike."""
    is_settled = row.charge_minor is not None
    discount = None if row.list_minor is None else row.list_minor - (row.listed_minor or 0)
    return {
        **{name: getattr(row, name) for name in ALIKE},
        "began_at": instant(row.began_at),
        "ended_at": None if row.ended_at is None else instant(row.detail.served_at or row.ended_at),
        "changed_at": instant(row.changed_at),
        "expires_at": instant(row.expires_at),
        "tokens": [TokenCount(line.part, line.tokens, line.model) for line in row.detail.lines],
        "held": state_amount(row.held_minor, unit),
        "list_price": stated(row.list_minor, unit),
        "discount": stated(discount, unit),
        "refunded": stated(row.refunded_minor, unit) if is_settled else None,
        "paid": stated((row.paid_minor or 0) - row.refunded_minor, unit) if is_settled else None,
        "entries": places(row.detail.entries),
    }


ALIKE = (
    "workspace_id", "request_id", "status", "position", "last_position", "project_id", "api_key_id", "end_user",
    "workflow", "run", "step", "trace_id", "model", "route", "tier", "upstream_model", "reported_model", "bucket",
    "unit", "attempts", "retries", "fallbacks", "input_tokens", "output_tokens", "usage_source", "policy", "priced_by",
    "rate_card", "model_mismatch", "unpriced", "latency_ms", "first_token_ms",
)  # fmt: skip
"""Fields that a line has as its row has them."""


def platform_part(row: RequestRow, unit: Unit, catalog: Catalog) -> RequestPlatform:
    """Return what only the platform may see."""
    providers = providers_of(row, catalog)
    return RequestPlatform(
        provider=row.provider,
        providers=[RouteProvider(route, provider) for route, provider in providers.items()],
        served_cost=served_cost(row, catalog),
        failed_costs=[
            FailedCost(each.attempt, each.route, each.provider, cost_of(each.cost_minor, each.cost_unit, catalog))
            for each in row.detail.failures
        ],
        overrun=stated(row.overrun_minor, unit),
        price_sources=price_sources(row, catalog),
        entries=places(row.detail.own_entries),
    )


def served_cost(row: RequestRow, catalog: Catalog) -> ServedCost | None:
    """Return what the attempt that served cost; None while there is none."""
    if row.charge_minor is None:
        return None
    return ServedCost(row.route, row.provider, cost_of(row.cost_minor, row.cost_unit, catalog))


def price_sources(row: RequestRow, catalog: Catalog) -> list[PriceSource]:
    """Return the sources of the rate cards of its first and its last route."""
    named = dict.fromkeys(name for name in (row.first_rate_card, row.rate_card) if name is not None)
    missing = [name for name in named if name not in catalog.rate_cards]
    if missing:
        raise CatalogBehind(*missing)
    return [price_source(catalog.rate_cards[name]) for name in named]


def providers_of(row: RequestRow, catalog: Catalog) -> dict[str, str]:
    """Return who serves each route that the row names: as its events said, else as the catalog does."""
    providers = {each.route: each.provider for each in row.detail.routes}
    for skipped in row.detail.skipped:
        published = catalog.routes.get(skipped.route)
        if published is not None:
            providers.setdefault(skipped.route, published.provider)
    return providers


@lru_cache(maxsize=1024)
def revealing_for(providers: tuple[str, ...]) -> Reveal:
    """Return what lets a gateway's own words through, for these providers."""
    return revealing(list(providers))


def corrections(row: RequestRow) -> list[tuple[int, int]]:
    """Return each correction's change of what is owed, and how much of it undid what no balance had paid."""
    return [(each.change_minor, each.undone_minor) for each in row.detail.amendments if each.kind == "correction"]


def fallback_step(move: Move, failure: str) -> FallbackStep:
    """Return a move as it is shown."""
    return FallbackStep(
        move.position, instant(move.happened_at), move.from_route, move.from_bucket, move.to_route, move.to_bucket,
        failure,
    )  # fmt: skip


def failed_call(attempt: FailedAttempt, failure: str, http_status: int | None) -> FailedCall:
    """Return a failed attempt as it is shown."""
    return FailedCall(
        attempt.attempt, attempt.route, attempt.bucket, failure, http_status, attempt.retried,
        instant(attempt.served_at or attempt.happened_at), attempt.latency_ms,
    )  # fmt: skip


def places(entries: Iterable[PlacedEntry]) -> list[EntryPlace]:
    """Return where entries stand."""
    return [EntryPlace(each.bucket, each.position) for each in entries]


def stated(minor: int | None, unit: Unit) -> StatedAmount | None:
    """Return an amount as it is written; what is not known stays so."""
    return None if minor is None else state_amount(minor, unit)


def cost_of(minor: int | None, unit: str | None, catalog: Catalog) -> StatedAmount | None:
    """Return a provider's bill in its own unit; None where nobody stated it."""
    return None if minor is None or unit is None else state_amount(minor, unit_of(unit, catalog))


def unit_of(code: str, catalog: Catalog) -> Unit:
    """Return a unit with its scale. Raises CatalogBehind."""
    found = catalog.units.get(code)
    if found is None:
        raise CatalogBehind(code)
    return found
