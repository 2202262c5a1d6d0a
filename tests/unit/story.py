"""Commands with every field filled, in an order in which a new ledger accepts them all."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from ledger.catalog import commands as catalog
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.core.rounding import Rounding
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.pricing.usage import ModelUsage, Usage
from ledger.request import commands as request
from ledger.request.events import Estimate, SkippedRoute, Why
from ledger.wallet import commands as wallet
from ledger.wallet.events import Paid
from ledger.workspace import commands as workspace
from tests.unit.world import World

ACME = "acme"
ZONE = "Asia/Shanghai"
HASH = "ab" * 32
WHEN = datetime(2026, 9, 21, 14, 0, 0, 123456, tzinfo=UTC)
UNTIL = datetime(2099, 1, 1, tzinfo=UTC)
COMMON: dict[str, Any] = {
    "effective_at": WHEN, "valid_until": UNTIL, "trace_id": "trace-1", "reason": "客户　asked ¥",
}  # fmt: skip
MINE: dict[str, Any] = {**COMMON, "workspace_id": ACME}
WHY = Why("cheapest first", (SkippedRoute("own-price", "not in this tier"),))
PAID = Paid("200.00", "CNY", "1.20", "alipay-77")
USAGE = Usage(
    1500, 300, {"uncached_input": 1000, "cache_read": 500, "text_output": 250, "reasoning": 50, "requests": 1}
)

TERMS = ("service_tier=priority",)
OTHERS = (ModelUsage("gpt-4o", Usage(100, 20, {"uncached_input": 100, "text_output": 20})),)


def credit(value: str) -> StatedAmount:
    """Return an amount in CREDIT."""
    return StatedAmount(value, "CREDIT")


def cny(value: str) -> StatedAmount:
    """Return an amount in CNY."""
    return StatedAmount(value, "CNY")


def points(value: str) -> StatedAmount:
    """Return an amount in POINT, a unit without decimals."""
    return StatedAmount(value, "POINT")


def card(name: str, route: str, bucket: str, **fields: Any) -> RateCard:
    """Return a rate card: 2.50 and 0.25 in, 10 out, with list prices for some and no rate for audio."""
    rates = {"uncached_input": "2.50", "cache_read": "0.25", "text_output": "10", "reasoning": "10"}
    listed = {"uncached_input": "3.125", "text_output": "12.5"}
    models = (ModelRates("gpt-5*", rates, listed), ModelRates("gpt-4o", {"uncached_input": "5"}))
    settings: dict[str, Any] = {
        "source_unit": "USD", "units_per_source_unit": "7.1", "factor": "1.25", "snapshot_digest": "sha256:1",
        "valid_from": 1_700_000_000_000_000, **fields,
    }  # fmt: skip
    return RateCard(name, route, bucket, models=models, source="price list of 2026-09", **settings)


def catalog_commands() -> list[Command]:
    """Return the commands of the platform's book: three buckets, two providers, five routes, two models."""
    tell: dict[str, Any] = {**COMMON, "change_id": "c1"}
    route: dict[str, tuple[str, str, str, Any]] = {
        "gpt-direct": ("openai", "gpt-5", "credit", "direct"),
        "gpt-azure": ("azure", "gpt-5", "credit", "direct"),
        "gpt-mini": ("openai", "gpt-5-mini", "credit", "direct"),
        "gpt-ordinary": ("azure", "gpt-5", "rmb", "ordinary"),
    }
    commands: list[Command] = [
        workspace.CreateWorkspace(workspace_id="platform", time_zone="UTC"),
        catalog.DefineBucket(**COMMON, bucket="credit", unit="CREDIT", scale=6, symbol="©"),
        catalog.DefineBucket(**COMMON, bucket="rmb", unit="CNY", scale=6, symbol="¥"),
        catalog.DefineBucket(**COMMON, bucket="points", unit="POINT", scale=0, symbol="p"),
        catalog.PublishProvider(
            **tell, provider="openai", dialect="openai", api_base="https://api.example/v1",
            cost_unit="USD", cost_scale=9,
        ),
        catalog.PublishProvider(
            **tell, provider="azure", dialect="openai", api_base="https://azure.example", cost_unit="CNY",
            cost_scale=6,
        ),
    ]  # fmt: skip
    for name, (provider, upstream, bucket, tier) in route.items():
        commands += [
            catalog.PublishRateCard(**COMMON, card=card(f"{name}.1", name, bucket)),
            catalog.PublishRoute(
                **tell, route=name, provider=provider, upstream_model=upstream, bucket=bucket,
                tier=tier, depth="deep", default_output_limit=4096, context_tokens=128_000,
            ),
        ]  # fmt: skip
    targets = (*route, "own-price")
    return [
        *commands,
        catalog.PublishRoute(
            **tell, route="own-price", provider="openai", upstream_model="gpt-5", bucket="credit",
            tier="ordinary", priced_by="caller",
        ),
        catalog.PublishModel(
            **tell, model="gpt-5", targets=targets, num_retries=2, timeout_seconds=60,
            allow_bucket_change=True, allow_model_change=True,
        ),
        catalog.PublishModel(**tell, model="strict", targets=targets, allow_bucket_change=True),
        catalog.SuspendRoute(**{**tell, "change_id": "s1"}, route="gpt-mini"),
        catalog.ResumeRoute(**{**tell, "change_id": "s2"}, route="gpt-mini"),
        catalog.RecordConfig(**tell, digest=HASH, changes=12),
    ]  # fmt: skip


def limits(**fields: Any) -> workspace.StatedKeyLimits:
    """Return limits with every field filled, wide enough for the story."""
    spend = (
        workspace.StatedSpendLimit("credit", "day", credit("500")),
        workspace.StatedSpendLimit("rmb", "month", cny("900")),
    )
    stated = workspace.StatedKeyLimits(
        spend=spend, models=("gpt-5", "strict"), buckets=("credit", "rmb"), allow_bucket_change=True,
        requests_per_minute=6000, tokens_per_minute=100_000_000,
    )  # fmt: skip
    return msgspec.structs.replace(stated, **fields)


def workspace_commands() -> list[Command]:
    """Return the commands that open a workspace with a project, two keys and three funded wallets."""
    spend = (workspace.StatedSpendLimit("credit", "month", credit("1000")),)
    return [
        workspace.CreateWorkspace(**MINE, time_zone=ZONE),
        workspace.CreateProject(**MINE, project_id="web", spend_limits=spend),
        workspace.SetProjectLimits(**MINE, change_id="l1", project_id="web", spend_limits=spend),
        workspace.IssueApiKey(
            **MINE, api_key_id="k1", scopes=("call", "read"), project_id="web", limits=limits(), secret_hash=HASH
        ),
        workspace.IssueApiKey(**MINE, api_key_id="k2", scopes=("call",), secret_hash="cd" * 32),
        workspace.SetApiKeyLimits(**MINE, change_id="l2", api_key_id="k1", limits=limits()),
        wallet.OpenWallet(**MINE, bucket="credit", credit_limit=credit("5")),
        wallet.OpenWallet(**MINE, bucket="rmb"),
        wallet.OpenWallet(**MINE, bucket="points"),
        wallet.AddFunds(
            **MINE, bucket="credit", amount=credit("100"), source="alipay", reference="A-1", paid=PAID
        ),
        wallet.AddFunds(**MINE, bucket="rmb", amount=cny("700.5"), source="wechat", reference="W-1", paid=PAID),
    ]  # fmt: skip


def wallet_commands() -> list[Command]:
    """Return the commands of finance, after the workspace's own."""
    return [
        wallet.SetCreditLimit(**MINE, bucket="credit", change_id="w1", credit_limit=credit("7")),
        wallet.FreezeWallet(**MINE, bucket="credit", change_id="w2"),
        wallet.UnfreezeWallet(**MINE, bucket="credit", change_id="w3"),
        wallet.GrantFunds(**MINE, bucket="credit", grant_id="g1", amount=credit("2.5")),
        wallet.ReverseFunds(
            **MINE, bucket="credit", amount=credit("1"), source="alipay", reference="A-1", reversal_id="r1",
            paid=PAID,
        ),
        wallet.WithdrawFunds(
            **MINE, bucket="credit", amount=credit("1"), source="bank", reference="B-1", paid=PAID
        ),
        wallet.PostAdjustment(**MINE, bucket="credit", adjustment_id="a1", amount=credit("-0.5")),
        wallet.ExchangeBuckets(
            **MINE, bucket="credit", exchange_id="x1", amount=credit("10"), to_bucket="points",
            to_amount=points("13"), rate="1.25", rounding=Rounding.HALF_UP,
        ),
    ]  # fmt: skip


def route_request(request_id: str = "r1", **fields: Any) -> request.RouteRequest:
    """Return a routing with every field filled."""
    command = request.RouteRequest(
        **MINE, request_id=request_id, project_id="web", api_key_id="k1", model="gpt-5", route="gpt-direct",
        bucket="credit", hold=credit("10"), hold_seconds=600, why=WHY, rate_card="gpt-direct.1",
        estimate=Estimate(1000, 400), end_user=HASH, workflow="invoice bot", run="run-7", step="extract",
    )  # fmt: skip
    return msgspec.structs.replace(command, **fields)


def settle_request(request_id: str = "r1", **fields: Any) -> request.SettleRequest:
    """Return a settlement with every field filled but the charge."""
    command = request.SettleRequest(
        **MINE, request_id=request_id, attempt=2, route="gpt-direct", reported_model="gpt-5-2026-08",
        usage=USAGE, usage_source="reported", latency_ms=1234, first_token_ms=210,
        provider_cost=StatedAmount("0.004", "USD"),
    )  # fmt: skip
    return msgspec.structs.replace(command, **fields)


def extend_hold(request_id: str = "r1", **fields: Any) -> request.ExtendHold:
    """Return an extension with every field filled."""
    command = request.ExtendHold(
        **MINE, request_id=request_id, extension=1, hold_seconds=900, why="more output", hold=credit("2")
    )
    return msgspec.structs.replace(command, **fields)


def record_attempt(request_id: str = "r1", **fields: Any) -> request.RecordAttempt:
    """Return a failed attempt with every field filled."""
    command = request.RecordAttempt(
        **MINE, request_id=request_id, attempt=1, route="gpt-direct", failure="timeout", retried=True,
        latency_ms=30_000, http_status=504, usage=USAGE, provider_cost=StatedAmount("0.001", "USD"),
    )  # fmt: skip
    return msgspec.structs.replace(command, **fields)


def take_fallback(request_id: str = "r1", **fields: Any) -> request.TakeFallback:
    """Return a fallback into another bucket with every field filled."""
    command = request.TakeFallback(
        **MINE, request_id=request_id, fallback=1, from_route="gpt-direct", to_route="gpt-ordinary",
        to_bucket="rmb", hold=cny("30"), hold_seconds=700, failure="timeout", why=WHY,
        rate_card="gpt-ordinary.1",
    )  # fmt: skip
    return msgspec.structs.replace(command, **fields)


def release_request(request_id: str = "r1", cause: Any = "cancelled") -> request.ReleaseRequest:
    """Return a release."""
    return request.ReleaseRequest(**MINE, request_id=request_id, cause=cause)


def expire_request(request_id: str = "r1") -> request.ExpireRequest:
    """Return the sweeper's release."""
    return request.ExpireRequest(workspace_id=ACME, request_id=request_id)


def refund_charge(request_id: str = "r1", **fields: Any) -> request.RefundCharge:
    """Return a refund."""
    command = request.RefundCharge(**MINE, request_id=request_id, refund_id="f1", refund=credit("0.001"))
    return msgspec.structs.replace(command, **fields)


def correct_charge(request_id: str = "r1", **fields: Any) -> request.CorrectCharge:
    """Return a correction by a stated difference."""
    command = request.CorrectCharge(
        **MINE, request_id=request_id, correction_id="n1", cause="mistake", difference=credit("-0.001")
    )
    return msgspec.structs.replace(command, **fields)


def request_commands() -> list[Command]:
    """Return the commands of several requests, so that each kind is there and is accepted."""
    again = Usage(2000, 300, {"uncached_input": 2000, "text_output": 300})
    return [
        route_request(),
        extend_hold(),
        record_attempt(),
        settle_request(),
        refund_charge(),
        correct_charge(),
        correct_charge(correction_id="n2", cause="rerated", difference=None, usage=again, rate_card="gpt-direct.1"),
        correct_charge(correction_id="n3", cause="rerated", difference=None, usage=again, others=OTHERS),
        route_request("r2", route="own-price", rate_card=None),
        settle_request("r2", route="own-price", charge=credit("0.25")),
        route_request("r3"),
        take_fallback("r3"),
        release_request("r3", "failed"),
        release_request("r4"),
        route_request("r5", hold_seconds=1),
        route_request("r6"),
        settle_request("r6", charge_limit=credit("0.001"), policy="stream_cut_estimated", others=OTHERS, terms=TERMS),
        route_request("r7", route="own-price", rate_card=None),
        settle_request("r7", route="own-price", charge=credit("0.25"), charge_limit=credit("0.1")),
    ]


def publish_signing_key(**fields: Any) -> Any:
    """Return the publication of the first key that signs checkpoints."""
    command = workspace.PublishSigningKey(
        key_id="944bb3ff", name="ledger.example", public_key="AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
    )
    return msgspec.structs.replace(command, **fields)


def told() -> tuple[World, list[Command]]:
    """Return a world in which the whole story happened, with the commands that told it."""
    world = World()
    commands = [*catalog_commands(), *workspace_commands(), *wallet_commands(), *request_commands()]
    world.all(*commands)
    world.now += 10_000_000
    last = [
        expire_request("r5"),
        workspace.RevokeApiKey(**MINE, api_key_id="k2"),
        publish_signing_key(),
        workspace.ClosePeriod(**MINE, period="2026-08", closing=1),
        workspace.ReopenPeriod(**MINE, period="2026-08", closing=1),
    ]
    return world.all(*last), [*commands, *last]


def opened(**state: int) -> World:
    """Return a world with the catalog and the funded workspace, and nothing else."""
    return World(**state).all(*catalog_commands(), *workspace_commands())
