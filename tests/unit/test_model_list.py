"""The list of models: what a key may call, at which price, and nothing of who serves it."""

import json
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.model_list import discount_of, list_models, one_model
from gateway.routing.candidates import Conditions, find_candidates
from ledger.catalog.events import (
    BucketDefined,
    CatalogEvent,
    ModelPublished,
    ProviderPublished,
    RateCardPublished,
    RoutePublished,
    RouteSuspended,
)
from ledger.catalog.state import Catalog, fold_catalog
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.workspace.events import KeyLimits
from tests import strategies as drawn

NOW = drawn.ROUTED_AT
ANY_KEY = KeyLimits(allow_bucket_change=True)
RATES = ModelRates(
    "gpt-5*",
    {"uncached_input": "2.5", "cache_read": "0.25", "text_output": "10", "reasoning": "10"},
    {"uncached_input": "3", "text_output": "15"},
)
COSTS = (ModelRates("*", {"uncached_input": "1.2345"}),)
EVENTS: tuple[CatalogEvent, ...] = (
    BucketDefined("credit", "CREDIT", 6),
    BucketDefined("rmb", "CNY", 6),
    ProviderPublished("secret-provider", "openai", "https://secret.example/v1", "USD", 9),
    RoutePublished("direct", "secret-provider", "upstream-name", "credit", "direct", context_tokens=400_000),
    RoutePublished("cheap", "secret-provider", "upstream-name", "rmb", "ordinary"),
    RoutePublished("own", "secret-provider", "upstream-name", "rmb", "ordinary", "caller"),
    RateCardPublished(
        RateCard("card-1", "direct", "credit", 0, (RATES,), "secret source", cost_unit="USD", cost_models=COSTS)
    ),
    RateCardPublished(RateCard("card-2", "cheap", "rmb", NOW, (ModelRates("*", {"text_output": "7"}),), "test")),
    RouteSuspended("cheap"),
    ModelPublished("smart", ("direct", "cheap"), 0, 600, True, True),
    ModelPublished("premium", ("direct",)),
    ModelPublished("own", ("own",)),
)


def catalog_of(*events: CatalogEvent) -> Catalog:
    """Return the catalog after some events."""
    catalog = Catalog()
    for position, event in enumerate(events, start=1):
        catalog = fold_catalog(catalog, event, position)
    return catalog


CATALOG = catalog_of(*EVENTS)


def listed(limits: KeyLimits, catalog: Catalog = CATALOG) -> dict[str, dict[str, Any]]:
    """Return the list that a key sees, by model."""
    answer = json.loads(list_models(catalog, limits, NOW))
    assert answer["object"] == "list"
    return {model["id"]: model for model in answer["data"]}


def test_a_model_is_shown_with_tier_bucket_price_and_discount() -> None:
    """OpenAI's fields, then those of the first route, then every route that a call may take."""
    shown = listed(ANY_KEY)["smart"]
    targets = shown.pop("targets")
    assert shown == {
        "id": "smart", "object": "model", "created": 1_767_225_600, "owned_by": "route-ledger",
        "tier": "direct", "bucket": "credit", "unit": "CREDIT", "discount": "16.6 %",
        "price": {"uncached_input": "2.5", "cache_read": "0.25", "text_output": "10", "per": "1000000 tokens"},
        "allow_bucket_change": True,
    }  # fmt: skip
    assert targets[0]["context_tokens"] == 400_000
    assert targets[1] == {
        "route": "cheap", "tier": "ordinary", "bucket": "rmb", "unit": "CNY", "discount": None,
        "price": {"text_output": "7", "per": "1000000 tokens"}, "context_tokens": None, "suspended": True,
    }  # fmt: skip


def test_a_price_that_is_not_known_is_not_shown() -> None:
    """A route that its caller prices, or whose card is not in force yet, has no price: that is not 0."""
    own = listed(ANY_KEY)["own"]
    assert (own["price"], own["discount"]) == (None, None)
    before = json.loads(list_models(CATALOG, ANY_KEY, NOW - 1))["data"][0]["targets"]
    assert (before[0]["price"] is None, before[1]["price"]) == (False, None)


def test_one_model_is_shown_as_in_the_list() -> None:
    """A model that is asked for by name is the same as in the list; one that is not there is none."""
    for name, shown in listed(ANY_KEY).items():
        assert json.loads(one_model(CATALOG, ANY_KEY, name, NOW) or b"") == shown
    assert one_model(CATALOG, ANY_KEY, "unheard-of", NOW) is None


def test_a_key_sees_what_it_may_call() -> None:
    """Models and buckets that a key may not use are not shown to it, nor routes that no call of its may take."""
    assert set(listed(KeyLimits(models=("premium",)))) == {"premium"}
    assert one_model(CATALOG, KeyLimits(models=("premium",)), "smart", NOW) is None
    assert set(listed(KeyLimits(buckets=("credit",)))) == {"smart", "premium"}
    assert set(listed(KeyLimits(buckets=("rmb",)))) == {"own"}
    assert one_model(CATALOG, KeyLimits(buckets=("rmb",)), "smart", NOW) is None
    routes = [[each["route"] for each in listed(limits)["smart"]["targets"]] for limits in (KeyLimits(), ANY_KEY)]
    assert routes == [["direct"], ["direct", "cheap"]]
    moved = listed(KeyLimits(buckets=("rmb",), allow_bucket_change=True))["smart"]
    assert (moved["bucket"], moved["tier"], [each["route"] for each in moved["targets"]]) == (
        "rmb", "ordinary", ["cheap"],
    )  # fmt: skip


def test_nobody_sees_who_serves_and_what_it_costs_us() -> None:
    """Neither provider nor upstream model, neither our costs nor the source of a price is in the list."""
    text = list_models(CATALOG, ANY_KEY, NOW).decode()
    assert not [word for word in ("secret", "upstream-name", "1.2345", "cost", "USD") if word in text]


@given(drawn.catalogs(), drawn.key_limits, st.sampled_from(drawn.INTERFACES))
def test_every_route_of_a_plan_was_in_the_list(catalog: Catalog, limits: KeyLimits, interface: Any) -> None:
    """Where a key's call may go now is shown to that key, whatever the catalog and the key's limits."""
    everywhere = Conditions(NOW, frozenset(catalog.providers))
    plan = find_candidates(catalog, catalog.models["smart"], interface, limits, everywhere)
    shown = listed(limits, catalog)
    may_call = limits.models is None or "smart" in limits.models
    assert may_call or not shown
    if may_call and plan.targets:
        routes = [each["route"] for each in shown["smart"]["targets"]]
        assert [each.route.route for each in plan.targets if each.route.route not in routes] == []


@given(drawn.rate_texts(9999), drawn.rate_texts(9999))
def test_a_discount_is_never_overstated(price: str, base: str) -> None:
    """A discount is the exact one rounded down to a tenth of a percent; a price above its list price has none."""
    stated = discount_of(ModelRates("*", {"uncached_input": price}, {"uncached_input": base}))
    if Fraction(base) == 0 or Fraction(price) > Fraction(base):
        assert stated is None
    else:
        exact = (1 - Fraction(price) / Fraction(base)) * 100
        assert stated is not None
        shown = Fraction(stated.removesuffix(" %"))
        assert shown <= exact < shown + Fraction(1, 10)


def test_without_a_list_price_there_is_no_discount() -> None:
    """A discount has a base: the input's list price."""
    assert discount_of(ModelRates("*", {"uncached_input": "1"})) is None
    assert discount_of(ModelRates("*", {"text_output": "1"}, {"text_output": "2"})) is None
    assert discount_of(ModelRates("*", {"uncached_input": "0.5"}, {"uncached_input": "1"})) == "50.0 %"
