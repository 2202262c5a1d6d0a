"""Histories with a planted cause: two weeks that are alike but for what one of them is about, through the real ledger.

A history is what was asked in each week, request by request; `post` puts it into the book with `effective_at` in those
weeks and returns what each of them came to. The catalog has round prices, to be reckoned with by hand.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from gateway.routing.costing import provider_cost
from gateway.usage.reported import ModelUsage
from ledger.catalog import commands as catalog
from ledger.catalog.commands import Tier
from ledger.catalog.events import ProviderPublished
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.events import Fact
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.pricing.usage import Usage
from ledger.request import commands as request
from ledger.request import events
from ledger.request.commands import Failure
from ledger.service import Ledger
from tests.integration.read_side import ask
from tests.integration.scenes import ACME, KEY, PROJECT, UNITS, WHY, record, workspace_commands

WEEK = timedelta(days=7)
FIRST_WEEK = datetime(2025, 6, 2, tzinfo=UTC)
SECOND_WEEK = FIRST_WEEK + WEEK
SCALES = {"CREDIT": 6, "CNY": 6, "USD": 9}


class RouteOf(msgspec.Struct, frozen=True):
    """A route of the histories: rates for a million uncached tokens of input, cached ones, and ones of output."""

    provider: str
    upstream_model: str
    bucket: str
    tier: Tier
    rates: tuple[str, str, str]
    cost: tuple[str, str, str]
    listed: tuple[str, str, str] | None = None
    depth: str | None = None


PROVIDERS = {"openai": ("USD", 9), "azure": ("USD", 9), "deepseek": ("CNY", 6), "qwen": ("CNY", 6)}
ROUTES = {
    "smart-direct": RouteOf("openai", "gpt-5", "credit", "direct", ("10", "1", "50"), ("2", "0.2", "10")),
    "smart-backup": RouteOf("azure", "gpt-5", "credit", "direct", ("12", "1.2", "60"), ("2", "0.2", "10")),
    "deep-direct": RouteOf(
        "openai", "gpt-5-pro", "credit", "direct", ("100", "100", "800"), ("15", "15", "120"), depth="deep"
    ),
    "sale": RouteOf(
        "deepseek", "v3", "rmb", "ordinary", ("1.6", "0.16", "4.8"), ("1.2", "0.12", "3.6"), ("2", "0.2", "6")
    ),
    "plain": RouteOf("qwen", "v3", "rmb", "ordinary", ("2", "0.2", "6"), ("1.4", "0.14", "4.2")),
}
MODELS = {
    "smart": ("smart-direct", "smart-backup"),
    "deep": ("deep-direct",),
    "economy": ("sale", "plain", "smart-backup"),
}


def rates_of(rates: tuple[str, str, str]) -> dict[str, str]:
    """Return rates by part. Reasoning costs what text does."""
    return {"uncached_input": rates[0], "cache_read": rates[1], "text_output": rates[2], "reasoning": rates[2]}


def card_of(name: str) -> RateCard:
    """Return the card of a route, in force since 1970."""
    route = ROUTES[name]
    listed = {} if route.listed is None else rates_of(route.listed)
    return RateCard(
        f"{name}.1", name, route.bucket, 0, (ModelRates("*", rates_of(route.rates), listed),), "test",
        cost_unit=PROVIDERS[route.provider][0], cost_models=(ModelRates("*", rates_of(route.cost)),),
    )  # fmt: skip


def catalog_commands() -> list[Command]:
    """Return what publishes the buckets, providers, routes with their prices, and models."""
    commands: list[Command] = [catalog.DefineBucket(bucket=name, unit=unit, scale=6) for name, unit in UNITS.items()]
    for name, (unit, scale) in PROVIDERS.items():
        commands.append(
            catalog.PublishProvider(
                change_id="1", provider=name, dialect="openai", api_base="https://api.example", cost_unit=unit,
                cost_scale=scale,
            )
        )  # fmt: skip
    for name, route in ROUTES.items():
        commands.append(catalog.PublishRateCard(card=card_of(name)))
        commands.append(
            catalog.PublishRoute(
                change_id="1", route=name, provider=route.provider, upstream_model=route.upstream_model,
                bucket=route.bucket, tier=route.tier, depth=route.depth,
            )
        )  # fmt: skip
    for model, targets in MODELS.items():
        commands.append(catalog.PublishModel(change_id="1", model=model, targets=targets, allow_bucket_change=True))
    return commands


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request. Each of the `failed` attempts on its first route says whether it was billed; `moved_to` took over."""

    model: str = "smart"
    route: str = "smart-direct"
    input_tokens: int = 1000
    cached_tokens: int = 0
    output_tokens: int = 100
    reasoning_tokens: int = 0
    workflow: str | None = None
    run: str | None = None
    failed: tuple[bool, ...] = ()
    moved_to: str | None = None

    @property
    def usage(self) -> Usage:
        """Return the tokens by part."""
        parts = {
            "uncached_input": self.input_tokens - self.cached_tokens,
            "cache_read": self.cached_tokens,
            "text_output": self.output_tokens,
            "reasoning": self.reasoning_tokens,
        }
        return Usage(self.input_tokens, self.output_tokens + self.reasoning_tokens, parts)


Week = list[Ask]


class History(msgspec.Struct, frozen=True):
    """What was asked in the first week and in the second."""

    before: Week
    after: Week


class Booked(msgspec.Struct, frozen=True):
    """What one week came to: taken from the wallets by bucket, billed by the providers' units, in smallest parts."""

    charged: Counter[str]
    billed: Counter[str]


def open_books(ledger: Ledger) -> None:
    """Publish the catalog and open the workspace."""
    record(ledger, [*catalog_commands(), *workspace_commands(funds="100000")])


def post(ledger: Ledger, history: History) -> tuple[Booked, Booked]:
    """Put both weeks into the book and return what each of them came to."""
    return (
        post_week(ledger, history.before, FIRST_WEEK, "before"),
        post_week(ledger, history.after, SECOND_WEEK, "after"),
    )


def post_week(ledger: Ledger, week: Sequence[Ask], begins_at: datetime, prefix: str) -> Booked:
    """Put one week's requests into the book, spread over all of it."""
    commands: list[Command] = []
    for number, asked in enumerate(week):
        commands += commands_of(asked, f"{prefix}-{number:04d}", begins_at + WEEK * number / len(week))
    before = posted(ledger)
    recorded = record(ledger, commands)
    before.subtract(posted(ledger))
    return Booked(+before, billed([each.fact for each in recorded]))


def posted(ledger: Ledger) -> Counter[str]:
    """Return what the wallets hold, in smallest parts by bucket."""
    rows = ask(ledger.url, "select bucket, posted_minor from ledger.wallet where workspace_id = %s", ACME)
    return Counter(dict(rows))


def commands_of(asked: Ask, request_id: str, at: datetime) -> Iterator[Command]:
    """Yield what a gateway posts for a request, all of it at one instant."""
    yield request.RouteRequest(
        workspace_id=ACME, request_id=request_id, project_id=PROJECT, api_key_id=KEY, model=asked.model,
        route=asked.route, bucket=ROUTES[asked.route].bucket, hold=amount_on(asked.route, "20"), hold_seconds=600,
        why=WHY, workflow=asked.workflow, run=asked.run, effective_at=at,
    )  # fmt: skip
    failure: Failure = "overloaded"
    for attempt, is_billed in enumerate(asked.failed, 1):
        yield request.RecordAttempt(
            workspace_id=ACME, request_id=request_id, attempt=attempt, route=asked.route, failure=failure,
            retried=asked.moved_to is None or attempt < len(asked.failed), latency_ms=30,
            provider_cost=cost_on(asked.route, asked.usage) if is_billed else None, effective_at=at,
        )  # fmt: skip
    if asked.moved_to is not None:
        yield request.TakeFallback(
            workspace_id=ACME, request_id=request_id, fallback=1, from_route=asked.route, to_route=asked.moved_to,
            to_bucket=ROUTES[asked.moved_to].bucket, hold=amount_on(asked.moved_to, "20"), hold_seconds=600,
            failure=failure, why=WHY, effective_at=at,
        )  # fmt: skip
    route = asked.moved_to or asked.route
    yield request.SettleRequest(
        workspace_id=ACME, request_id=request_id, attempt=len(asked.failed) + 1, route=route,
        reported_model=ROUTES[route].upstream_model, usage=asked.usage, usage_source="reported", latency_ms=500,
        provider_cost=cost_on(route, asked.usage), effective_at=at,
    )  # fmt: skip


def amount_on(route: str, value: str) -> StatedAmount:
    """Return an amount in the unit that a route is paid in."""
    return StatedAmount(value, UNITS[ROUTES[route].bucket])


def cost_on(route: str, usage: Usage) -> StatedAmount | None:
    """Return what the provider of a route bills for tokens."""
    name = ROUTES[route].provider
    provider = ProviderPublished(name, "openai", "https://api.example", *PROVIDERS[name])
    return provider_cost((ModelUsage(None, usage),), card_of(route), provider, None)


def billed(facts: Sequence[Fact]) -> Counter[str]:
    """Return what providers bill according to events, by unit in smallest parts."""
    costs: Counter[str] = Counter()
    for fact in facts:
        if isinstance(fact.event, events.TokensSettled | events.AttemptFailed) and fact.event.provider_cost is not None:
            costs[fact.event.provider_cost.unit] += fact.event.provider_cost.minor
    return costs
