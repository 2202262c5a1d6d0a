"""Two workspaces whose months end where their clocks say so, with money of every kind at the edges of months."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from ledger.catalog.commands import PublishProvider, PublishRateCard
from ledger.core.accounts import WALLET_AVAILABLE, WALLET_HELD
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command, to_microseconds
from ledger.events import Fact, decode_fact
from ledger.posting_rules import post
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.request.commands import CorrectCharge
from ledger.service import Ledger
from ledger.wallet import commands as wallet
from ledger.wallet.events import Paid
from ledger.workspace.commands import CreateProject
from projections.connections import connect_projector
from projections.followers import find_news, follow_group, groups_of, read_generation
from projections.following import Projection
from projections.journal_rows import Journal
from projections.route_ledger.writing import RouteLedger
from tests.integration.read_side import ask, follow
from tests.integration.scenes import (
    ACME,
    RATES,
    UNITS,
    catalog_commands,
    change,
    cny,
    credit,
    do,
    fail_attempt,
    fall_back,
    hold,
    issue_key,
    pay,
    record,
    refund,
    settle,
    workspace_commands,
)

NEW_YORK = "liberty"
ZONES = {ACME: "Asia/Shanghai", NEW_YORK: "America/New_York"}
EDGES = {
    ACME: {
        "2025-10": datetime(2025, 9, 30, 16, tzinfo=UTC),
        "2025-11": datetime(2025, 10, 31, 16, tzinfo=UTC),
        "2025-12": datetime(2025, 11, 30, 16, tzinfo=UTC),
        "2026-01": datetime(2025, 12, 31, 16, tzinfo=UTC),
    },
    NEW_YORK: {
        "2025-10": datetime(2025, 10, 1, 4, tzinfo=UTC),
        "2025-11": datetime(2025, 11, 1, 4, tzinfo=UTC),
        "2025-12": datetime(2025, 12, 1, 5, tzinfo=UTC),
        "2026-01": datetime(2026, 1, 1, 5, tzinfo=UTC),
    },
}
"""The first instant of each month; clocks in New York are put back in the November between."""

MONTHS = ("2025-10", "2025-11", "2025-12")
INSTANT = timedelta(microseconds=1)
FORMULA = "=HYPERLINK(1)"
SCRIPT = "<script>alert(1)</script>"
COST = StatedAmount("0.005", "USD")
WASTE = StatedAmount("0.001", "USD")


def priced_card() -> RateCard:
    """Return a card of the direct route that states what a dollar is worth in CREDIT."""
    return RateCard(
        "direct.2", "direct", "credit", 1, (ModelRates("*", RATES),), "test", source_unit="USD",
        units_per_source_unit="1.5", factor="1.2",
    )  # fmt: skip


def requests_at(name: str, edge: datetime, workspace_id: str) -> Iterator[Command]:
    """Yield requests that are settled just before an instant and just at it, and what amended them afterwards."""
    at: dict[str, Any] = {"workspace_id": workspace_id}
    for side, when in (("before", edge - INSTANT), ("at", edge)):
        for route in ("direct", "cheap"):
            request_id = f"{name}-{side}-{route}"
            yield hold(request_id, "0.5", route=route, effective_at=when - timedelta(hours=1), **at)
            yield settle(request_id, 1000, route=route, effective_at=when, provider_cost=COST, **at)
    yield refund(f"{name}-before-direct", "0.002", effective_at=edge + timedelta(days=1), **at)
    yield CorrectCharge(
        **at, request_id=f"{name}-at-cheap", correction_id="1", cause="mistake", difference=cny("0.003"),
        reason="miscounted", effective_at=edge + timedelta(days=2),
    )  # fmt: skip


def money_at(name: str, edge: datetime, workspace_id: str) -> Iterator[Command]:
    """Yield every way in which money comes and goes beside charges, on both sides of an instant."""
    at: dict[str, Any] = {"workspace_id": workspace_id}
    before, after = {**at, "effective_at": edge - INSTANT}, {**at, "effective_at": edge}
    memo = Paid("200.00", "CNY", "1.20", f"trade-{name}")
    yield change(pay(workspace_id, "credit", "30", f"{name}-1", paid=memo), effective_at=edge - INSTANT)
    yield change(pay(workspace_id, "credit", "7", f"{name}-2", paid=Paid("5", "USD")), effective_at=edge)
    yield wallet.GrantFunds(**before, bucket="rmb", grant_id=f"{name}-g", amount=cny("4"))
    yield wallet.ReverseFunds(
        **after, bucket="credit", amount=credit("3"), source="alipay", reference=f"{name}-1", reason="chargeback"
    )
    yield wallet.WithdrawFunds(**before, bucket="rmb", amount=cny("2"), source="bank", reference=f"{name}-w")
    yield wallet.PostAdjustment(
        **after, bucket="rmb", adjustment_id=f"{name}-a", amount=cny("-0.5"), reason="taken back"
    )
    yield wallet.ExchangeBuckets(
        **before, bucket="rmb", exchange_id=f"{name}-x", amount=cny("14"), to_bucket="credit", to_amount=credit("2"),
        rate="0.142857142857",
    )  # fmt: skip


def tell_finance(ledger: Ledger) -> None:
    """Record all of it: funds first, then money and requests around every edge of a month; follow nothing."""
    record(ledger, [*catalog_commands(), PublishRateCard(card=priced_card()), second_provider()])
    for workspace_id, edges in EDGES.items():
        opening = workspace_commands(workspace_id, time_zone=ZONES[workspace_id])
        early = edges["2025-10"] - timedelta(days=40)
        record(ledger, [change(each, effective_at=early) if is_payment(each) else each for each in opening])
        do(ledger, CreateProject(workspace_id=workspace_id, project_id="lab"), issue_key(workspace_id, api_key_id="k2"))
        for name, edge in edges.items():
            record(ledger, list(money_at(name, edge, workspace_id)))
            record(ledger, list(requests_at(name, edge, workspace_id)))
        record(ledger, list(hard_cases(edges["2025-11"] + timedelta(days=10), workspace_id)))


def is_payment(command: Command) -> bool:
    """Return whether a command brings funds in."""
    return isinstance(command, wallet.AddFunds)


def second_provider() -> Command:
    """Return what publishes a provider whose bills are in another unit."""
    return PublishProvider(
        change_id="1", provider="deepseek", dialect="openai", api_base="https://api.example", cost_unit="EUR",
        cost_scale=4,
    )  # fmt: skip


def hard_cases(when: datetime, workspace_id: str) -> Iterator[Command]:
    """Yield a charge that no balance could pay and its correction, waste, another project, and texts with a purpose."""
    at: dict[str, Any] = {"workspace_id": workspace_id, "effective_at": when}
    memo = Paid("1", "CNY", None, FORMULA)
    yield change(pay(workspace_id, "credit", "1", "formula", paid=memo), effective_at=when)
    yield change(pay(workspace_id, "credit", "1", "script", paid=Paid("1", "CNY", None, SCRIPT)), effective_at=when)
    yield change(pay(workspace_id, "credit", "1", "again", paid=memo), effective_at=when)
    yield hold("lab-1", "0.5", **at)
    yield fail_attempt("lab-1", provider_cost=WASTE, **at)
    yield fall_back("lab-1", "0.5", to_route="spare", **at)
    yield settle("lab-1", route="spare", attempt=2, provider_cost=None, **at)
    yield change(hold("lab-2", "0.5", **at), project_id="lab", api_key_id="k2")
    yield settle("lab-2", 500, provider_cost=COST, **at)
    yield hold("over", "0.000001", **at)
    yield settle("over", 2 * 10**8, **at)
    yield CorrectCharge(
        **at, request_id="over", correction_id="1", cause="mistake", difference=credit("-0.5"), reason="miscounted"
    )


def follow_both(ledger: Ledger) -> None:
    """Follow all books to their ends with both projections."""
    follow(ledger.url)
    follow(ledger.url, projection=RouteLedger())


def follow_page(ledger: Ledger, projection: Projection, events: int) -> int:
    """Follow one page of each book that has news, and return how many events that were."""
    with closing(connect_projector(ledger.url, "test")) as connection:
        generation = read_generation(connection, projection.name)
        news = find_news(connection, projection, generation)
        return sum(follow_group(connection, projection, generation, group, events) for group in groups_of(news, events))


def facts_of(url: str, workspace_id: str) -> list[Fact]:
    """Return all facts of a book in order: the first has position 1."""
    rows = ask(url, "select state from ledger.event where workspace_id = %s order by position", workspace_id)
    return [decode_fact(bytes(state)) for (state,) in rows]


def balance_of(facts: list[Fact], bucket: str, before: datetime, position: int | None = None) -> tuple[int, int]:
    """Return posted and held of a wallet by what facts up to a position post that happened before an instant."""
    sums: defaultdict[str, int] = defaultdict(int)
    for fact in facts[:position]:
        if fact.effective_at < to_microseconds(before):
            for entry in post(fact.event):
                for leg in entry.legs if entry.bucket == bucket else ():
                    sums[leg.credit_account] += leg.minor
                    sums[leg.debit_account] -= leg.minor
    return sums[WALLET_AVAILABLE] + sums[WALLET_HELD], sums[WALLET_HELD]


JOURNAL, ROUTE_LEDGER = Journal(), RouteLedger()
BUCKETS = tuple(UNITS)
