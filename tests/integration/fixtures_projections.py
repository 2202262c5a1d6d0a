"""Books to project: a database of its own per test, and a pen that writes through the real store."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import psycopg

from ledger.catalog import commands as catalog
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.core.identifiers import PLATFORM
from ledger.events import Recorded
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.pricing.usage import Usage
from ledger.request import commands as request
from ledger.request.events import Estimate, Why
from ledger.store.batch import Pending, gather
from ledger.store.connection import connect_writer
from ledger.store.deciding import decide_batch
from ledger.store.reading import Caches, read_batch, read_more_budgets
from ledger.store.writing import write_batch
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


class Pen:
    """Posts commands through the store's own batch, one call one commit. Refusals are raised."""

    def __init__(self, url: str) -> None:
        self.connection = connect_writer(url)
        self.caches = Caches()

    def post(self, *commands: Command) -> list[Recorded]:
        """Record the commands in one batch and return their events."""
        pendings = [Pending(command, "system", lambda _: None) for command in commands]
        batch = read_batch(self.connection, gather(pendings, self.caches.workspaces, datetime.now(UTC)), self.caches)
        decided = decide_batch(batch, pendings)
        while decided.not_loaded:
            read_more_budgets(self.connection, batch, decided.not_loaded)
            decided = decide_batch(batch, pendings)
        refusals = [outcome.refused for outcome in decided.outcomes if outcome.refused is not None]
        if refusals:
            self.connection.execute("rollback")
            raise refusals[0]
        write_batch(self.connection, batch, decided)
        self.caches.catalog = batch.catalog
        for name, book in batch.books.items():
            self.caches.workspaces[name] = book.workspace
        return [outcome.recorded for outcome in decided.outcomes if outcome.recorded is not None]

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()


def publish_catalog(pen: Pen) -> None:
    """Begin the platform's book: two buckets, a provider, three routes and an alias over all of them."""
    pen.post(workspace.CreateWorkspace(workspace_id=PLATFORM))
    pen.post(*(catalog.DefineBucket(bucket=name, unit=unit, scale=6) for name, unit in UNITS.items()))
    pen.post(
        catalog.PublishProvider(
            change_id="1", provider="openai", dialect="openai", api_base="https://api.example", cost_unit="USD", cost_scale=9
        )
    )
    for route, bucket in ROUTES.items():
        card = RateCard(f"{route}.1", route, bucket, 0, (ModelRates("*", RATES),), "test")
        pen.post(catalog.PublishRateCard(card=card))
        pen.post(
            catalog.PublishRoute(
                change_id="1", route=route, provider="openai", upstream_model="gpt-5", bucket=bucket,
                tier="direct" if bucket == "credit" else "ordinary",
            )
        )  # fmt: skip
    targets = tuple(ROUTES)
    pen.post(catalog.PublishModel(change_id="1", model="gpt-5", targets=targets, allow_bucket_change=True))


def open_workspaces(pen: Pen, names: Iterable[str], funds: str = "1000", spend: str | None = None) -> None:
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
    for start in range(0, len(commands), 2000):
        pen.post(*commands[start : start + 2000])


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


def live_a_little(pen: Pen, name: str) -> None:
    """Let a workspace see every event that moves money, an open hold, a late settlement and an overrun."""
    cny = {"workspace_id": name, "bucket": "rmb"}
    cr = {"workspace_id": name, "bucket": "credit"}
    pen.post(
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
