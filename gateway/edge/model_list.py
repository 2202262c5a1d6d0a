"""The models that a key may call, with the fields of OpenAI's list and what this gateway adds. Pure."""

from typing import Any

import msgspec

from gateway.routing.candidates import not_permitted
from ledger.catalog.events import ModelPublished, RoutePublished
from ledger.catalog.state import Catalog, card_in_force
from ledger.pricing.rate_cards import ModelRates, RateCard, parse_rate
from ledger.workspace.events import KeyLimits

CREATED = 1_767_225_600
"""OpenAI's clients want a date; aliases have none, so all have the same: 2026-01-01."""

SHOWN_PARTS = ("uncached_input", "cache_read", "text_output")


def list_models(catalog: Catalog, limits: KeyLimits, now: int) -> bytes:
    """Return the list of all models that a key may call."""
    permitted = ((model, permitted_routes(catalog, model, limits)) for model in catalog.models.values())
    models = [shown(catalog, model, routes, now) for model, routes in permitted if routes]
    return msgspec.json.encode({"object": "list", "data": models})


def one_model(catalog: Catalog, limits: KeyLimits, name: str, now: int) -> bytes | None:
    """Return one model, or None where the key has none of that name."""
    model = catalog.models.get(name)
    routes = [] if model is None else permitted_routes(catalog, model, limits)
    if model is None or not routes:
        return None
    return msgspec.json.encode(shown(catalog, model, routes, now))


def permitted_routes(catalog: Catalog, model: ModelPublished, limits: KeyLimits) -> list[RoutePublished]:
    """Return the targets of a model that a key may ever be routed to; none where it may not call the model."""
    routes = [catalog.routes[name] for name in model.targets if name in catalog.routes]
    if limits.models is not None and model.model not in limits.models:
        return []
    return [route for route in routes if not_permitted(model, limits, routes[0], route) is None]


def shown(catalog: Catalog, model: ModelPublished, routes: list[RoutePublished], now: int) -> dict[str, Any]:
    """Return a model as it is shown: its first route says tier, bucket and price; `targets` has all of them."""
    targets = [shown_route(catalog, route, now) for route in routes]
    home = targets[0]
    return {
        "id": model.model,
        "object": "model",
        "created": CREATED,
        "owned_by": "route-ledger",
        **{name: home[name] for name in ("tier", "bucket", "unit", "price", "discount")},
        "allow_bucket_change": model.allow_bucket_change,
        "targets": targets,
    }


def shown_route(catalog: Catalog, route: RoutePublished, now: int) -> dict[str, Any]:
    """Return a route as it is shown to customers: nothing of providers and costs."""
    card = card_in_force(catalog, route.route, now)
    price, discount = (None, None) if card is None else prices(card)
    return {
        "route": route.route,
        "tier": route.tier,
        "bucket": route.bucket,
        "unit": catalog.buckets[route.bucket].unit,
        "price": price,
        "discount": discount,
        "context_tokens": route.context_tokens,
        "suspended": route.route in catalog.suspended,
    }


def prices(card: RateCard) -> tuple[dict[str, str], str | None]:
    """Return the rates per million tokens of a card's own model, and its discount in percent where one is stated."""
    rates = card.models[0]
    shown_rates = {part: rates.rates[part] for part in SHOWN_PARTS if part in rates.rates}
    return {**shown_rates, "per": "1000000 tokens"}, discount_of(rates)


def discount_of(rates: ModelRates) -> str | None:
    """Return how much less the input costs than its list price, in percent with one place; None where it does not."""
    listed = rates.list_rates.get("uncached_input")
    if listed is None:
        return None
    price, price_places = parse_rate(rates.rates["uncached_input"])
    base, base_places = parse_rate(listed)
    price, base = price * int(10**base_places), base * int(10**price_places)
    if price > base or base == 0:
        return None
    # Rounded down: a discount is never stated higher than it is.
    permille = 1000 - -(-price * 1000 // base)
    return f"{permille // 10}.{permille % 10} %"
