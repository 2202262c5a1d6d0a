"""Books to project: a database of its own per test, and a pen that writes through the real store."""

from collections.abc import Iterable
from typing import Any

import psycopg

from ledger.catalog import commands as catalog
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.events import Recorded
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.pricing.usage import Usage
from ledger.request import commands as request
from ledger.request.events import Estimate, Why
from ledger.service import Ledger
from ledger.wallet import commands as wallet
from ledger.workspace import commands as workspace

UNITS = {"credit": "CREDIT", "rmb": "CNY"}
ROUTES = {"gpt-5-direct": "credit", "gpt-5-spare": "credit", "gpt-5-cheap": "rmb"}
RATES = {"uncached_input": "1.25", "cache_read": "0.125", "text_output": "10", "reasoning": "10"}


def credit(value: str) -> StatedAmount:
    """Return an amount in the unit of the bucket credit."""
    return StatedAmount(value, "CREDIT")


def rmb(value: str) -> StatedAmount:
    """Return an amount in the unit of the bucket rmb."""
    return StatedAmount(value, "CNY")


def post(ledger: Ledger, *commands: Command) -> list[Recorded]:
    """Record commands in order and return their events. The first refusal is raised."""
    recorded = []
    for start in range(0, len(commands), 1000):
        for outcome in ledger.execute_many(commands[start : start + 1000], "system"):
            if outcome.refused is not None:
                raise outcome.refused
            assert outcome.recorded is not None
            recorded.append(outcome.recorded)
    return recorded


def publish_catalog(ledger: Ledger) -> None:
    """Publish two buckets, a provider, three routes and an alias over all of them."""
    post(ledger, *(catalog.DefineBucket(bucket=name, unit=unit, scale=6) for name, unit in UNITS.items()))
    post(
        ledger,
        catalog.PublishProvider(
            change_id="1", provider="openai", dialect="openai", api_base="https://api.example", cost_unit="USD", cost_scale=9
        )
    )
    for route, bucket in ROUTES.items():
        card = RateCard(f"{route}.1", route, bucket, 0, (ModelRates("*", RATES),), "test")
        post(ledger, catalog.PublishRateCard(card=card))
        post(
        ledger,
            catalog.PublishRoute(
                change_id="1", route=route, provider="openai", upstream_model="gpt-5", bucket=bucket,
                tier="direct" if bucket == "credit" else "ordinary",
            )
        )  # fmt: skip
    targets = tuple(ROUTES)
    post(ledger, catalog.PublishModel(change_id="1", model="gpt-5", targets=targets, allow_bucket_change=True))


def open_workspaces(ledger: Ledger, names: Iterable[str], funds: str = "1000", spend: str | None = None) -> None:
    """Open workspaces with a project, a key, both wallets and funds in each; `spend` limits the key by the day."""
    limits = workspace.StatedKeyLimits(
        spend=() if spend is None else (workspace.StatedSpendLimit("credit", "day", credit(spend)),),
        allow_bucket_change=True,
    )
    commands: list[Command] = []
    for name in names:
        commands += [
            workspace.CreateWorkspace(workspace_id=name),
            workspace.CreateProject(workspace_id=name, project_id="main"),
            workspace.IssueApiKey(
                workspace_id=name, api_key_id="k1", scopes=("call",), limits=limits, secret_hash="0" * 64
            ),
        ]
        for bucket, unit in UNITS.items():
            amount = StatedAmount(funds, unit)
            commands += [
                wallet.OpenWallet(workspace_id=name, bucket=bucket),
                wallet.AddFunds(
                    workspace_id=name, bucket=bucket, amount=amount, source="alipay", reference=f"{bucket}-1"
                ),
            ]
    post(ledger, *commands)


def hold(workspace_id: str, request_id: str, amount: str = "1", route: str = "gpt-5-direct", **more: Any) -> request.RouteRequest:
    """Return the command that routes a request and places its hold."""
    bucket = ROUTES[route]
    return request.RouteRequest(
        workspace_id=workspace_id, request_id=request_id, project_id="main", api_key_id="k1", model="gpt-5",
        route=route, bucket=bucket, hold=StatedAmount(amount, UNITS[bucket]), hold_seconds=600,
        why=Why("cheapest"), estimate=Estimate(1000, 500), end_user="ab" * 32, workflow="support", run="run-1",
        step="answer", trace_id="4bf92f3577b34da6a3ce929d0e0e4736", **more,
    )  # fmt: skip


def settle(workspace_id: str, request_id: str, tokens: int = 1000, route: str = "gpt-5-direct") -> request.SettleRequest:
    """Return the command that settles a request for so many tokens in, and half as many out."""
    usage = Usage(tokens, tokens // 2, {"uncached_input": tokens, "text_output": tokens // 2})
    return request.SettleRequest(
        workspace_id=workspace_id, request_id=request_id, attempt=1, route=route, reported_model="gpt-5-2026",
        usage=usage, usage_source="reported", latency_ms=812, first_token_ms=103,
        provider_cost=StatedAmount("0.005", "USD"), trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    )  # fmt: skip


def live_a_little(ledger: Ledger, name: str) -> None:
    """Let a workspace see every event that moves money, an open hold, a late settlement and an overrun."""
    cny = {"workspace_id": name, "bucket": "rmb"}
    cr = {"workspace_id": name, "bucket": "credit"}
    post(
        ledger,
        wallet.GrantFunds(**cr, grant_id="g1", amount=credit("5")),
        wallet.ReverseFunds(**cny, amount=rmb("10"), source="alipay", reference="rmb-1", reason="chargeback"),
        wallet.WithdrawFunds(**cny, amount=rmb("3"), source="alipay", reference="out-1"),
        wallet.PostAdjustment(**cr, adjustment_id="a1", amount=credit("-1.5"), reason="goodwill taken back"),
        wallet.SetCreditLimit(**cr, change_id="c1", credit_limit=credit("20"), reason="trusted"),
        wallet.ExchangeBuckets(
            **cny, exchange_id="x1", amount=rmb("14"), to_bucket="credit", to_amount=credit("2"), rate="0.142857142857"
        ),
        hold(name, "r-settled"), settle(name, "r-settled"),
        hold(name, "r-open", "2.5"),
        request.ExtendHold(workspace_id=name, request_id="r-open", extension=1, hold_seconds=900, why="long", hold=credit("1")),
        request.RecordAttempt(
            workspace_id=name, request_id="r-open", attempt=1, route="gpt-5-direct", failure="timeout", retried=True,
            latency_ms=30000,
        ),
        hold(name, "r-moved"),
        request.TakeFallback(
            workspace_id=name, request_id="r-moved", fallback=1, from_route="gpt-5-direct", to_route="gpt-5-cheap",
            to_bucket="rmb", hold=rmb("7"), hold_seconds=600, failure="overloaded", why=Why("next"),
        ),
        hold(name, "r-late"),
        request.ReleaseRequest(workspace_id=name, request_id="r-late", cause="cancelled"),
        settle(name, "r-late"),
        hold(name, "r-over", "0.000001"), settle(name, "r-over", 10**9),
        request.ReleaseRequest(workspace_id=name, request_id="r-void", cause="failed"),
        request.RefundCharge(workspace_id=name, request_id="r-settled", refund_id="1", refund=credit("0.001"), reason="slow"),
        request.CorrectCharge(
            workspace_id=name, request_id="r-settled", correction_id="1", cause="mistake", difference=credit("0.002"),
            reason="miscounted",
        ),
        wallet.FreezeWallet(**cny, change_id="f1", reason="under review"),
        workspace.RevokeApiKey(workspace_id=name, api_key_id="k1", reason="leaked"),
    )  # fmt: skip


def one(url: str, query: str, *parameters: object) -> Any:
    """Return the first column of the only row of a query, asked by the owner."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(query.encode(), parameters or None).fetchone()
    return None if row is None else row[0]
