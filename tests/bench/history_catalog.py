"""What a history's requests are routed by: five models, six routes over two buckets and two tiers, two of them deep.

Made up, with prices of the size that such models have.
"""

from collections.abc import Mapping

import msgspec

from ledger.catalog import commands as catalog
from ledger.catalog.commands import Tier
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.pricing.rate_cards import ModelRates, RateCard

UNITS = {"credit": "CREDIT", "rmb": "CNY"}
PROVIDERS = {"openai": "USD", "qwen": "CNY"}
"""Who is called, and the unit of their bills."""

SCALES = {"CREDIT": 6, "CNY": 6, "USD": 9}
Rates = Mapping[str, str]


class HistoryRoute(msgspec.Struct, frozen=True):
    """A route with its rates for a million tokens: the customer's, their list prices if any, and the provider's."""

    provider: str
    upstream_model: str
    bucket: str
    tier: Tier
    depth: str | None
    rates: Rates
    cost_rates: Rates
    list_rates: Rates = {}


def rates(uncached: str, cached: str, output: str) -> dict[str, str]:
    """Return rates by part. Reasoning costs what text does."""
    return {"uncached_input": uncached, "cache_read": cached, "text_output": output, "reasoning": output}


ROUTES: dict[str, HistoryRoute] = {
    "gpt-direct": HistoryRoute(
        "openai", "gpt-5", "credit", "direct", "standard", rates("1.5", "0.15", "12"), rates("1.25", "0.125", "10"),
    ),
    "gpt-spare": HistoryRoute(
        "openai", "gpt-5-pool", "credit", "ordinary", "standard", rates("1.8", "0.18", "14"),
        rates("1.25", "0.125", "10"),
    ),
    "mini-direct": HistoryRoute(
        "openai", "gpt-5-mini", "credit", "direct", None, rates("0.3", "0.03", "2.4"), rates("0.25", "0.025", "2"),
    ),
    "deep-direct": HistoryRoute(
        "openai", "gpt-5-deep", "credit", "direct", "deep", rates("18", "1.8", "144"), rates("15", "1.5", "120"),
    ),
    "deep-reserve": HistoryRoute(
        "qwen", "qwen-deep", "rmb", "direct", "deep", rates("60", "6", "240"), rates("48", "4.8", "192"),
    ),
    "qwen-ordinary": HistoryRoute(
        "qwen", "qwen-max", "rmb", "ordinary", "standard", rates("1.92", "0.192", "7.68"), rates("1.6", "0.16", "6.4"),
        rates("2.4", "0.24", "9.6"),
    ),
}  # fmt: skip
MODELS: dict[str, tuple[str, str]] = {
    "smart": ("gpt-direct", "gpt-spare"),
    "fast": ("mini-direct", "qwen-ordinary"),
    "deep": ("deep-direct", "deep-reserve"),
    "chat": ("qwen-ordinary", "mini-direct"),
    "translate": ("qwen-ordinary", "gpt-spare"),
}
"""Each model's route, and where a fallback leads."""

COMMON_ROUTE, RARE_ROUTE = "gpt-direct", "deep-reserve"
"""Two fifths of all requests end on the one, one in a thousand on the other."""


def cost_of(route: HistoryRoute, parts: Mapping[str, int]) -> StatedAmount:
    """Return what the provider bills for tokens by part."""
    unit = PROVIDERS[route.provider]
    scale = SCALES[unit]
    exact = sum(tokens * float(route.cost_rates[part]) for part, tokens in parts.items()) * 10 ** (scale - 6)
    whole, rest = divmod(round(exact), 10**scale)
    return StatedAmount(f"{whole}.{rest:0{scale}d}", unit)


def catalog_of_history() -> list[Command]:
    """Return what publishes buckets, providers, rate cards, routes and models."""
    commands: list[Command] = [
        catalog.DefineBucket(bucket=name, unit=unit, scale=SCALES[unit]) for name, unit in UNITS.items()
    ]
    commands += [
        catalog.PublishProvider(
            change_id="1", provider=name, dialect="openai", api_base="https://api.example", cost_unit=unit,
            cost_scale=SCALES[unit],
        )
        for name, unit in PROVIDERS.items()
    ]  # fmt: skip
    for name, route in ROUTES.items():
        commands += [catalog.PublishRateCard(card=card_of(name, route)), publish(name, route)]
    commands += [
        catalog.PublishModel(
            change_id="1", model=name, targets=targets, allow_bucket_change=True, allow_model_change=True
        )
        for name, targets in MODELS.items()
    ]
    return commands


def card_of(name: str, route: HistoryRoute) -> RateCard:
    """Return the one rate card of a route, in force since 1970."""
    return RateCard(
        f"{name}.1", name, route.bucket, 0, (ModelRates("*", dict(route.rates), dict(route.list_rates)),), "bench",
        cost_unit=PROVIDERS[route.provider], cost_models=(ModelRates("*", dict(route.cost_rates)),),
    )  # fmt: skip


def publish(name: str, route: HistoryRoute) -> catalog.PublishRoute:
    """Return what publishes a route."""
    return catalog.PublishRoute(
        change_id="1", route=name, provider=route.provider, upstream_model=route.upstream_model, bucket=route.bucket,
        tier=route.tier, depth=route.depth,
    )  # fmt: skip
