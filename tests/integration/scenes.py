"""The set-up that the tests of the store share: a catalog, workspaces with funds, and builders of commands.

Small on purpose and the same everywhere: two buckets, four routes, one alias over all of them.
"""

from collections.abc import Sequence
from time import monotonic, sleep
from typing import Any

import msgspec
import psycopg

from ledger.catalog import commands as catalog
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.core.refusals import Refusal, Refused
from ledger.events import Recorded
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.pricing.usage import Usage
from ledger.request import commands as request
from ledger.request.events import Estimate, Why
from ledger.service import Ledger, Outcome
from ledger.wallet import commands as wallet
from ledger.workspace import commands as workspace

UNITS = {"credit": "CREDIT", "rmb": "CNY"}
ROUTES = {"direct": "credit", "spare": "credit", "own-price": "credit", "cheap": "rmb"}
RATES = {"uncached_input": "2", "text_output": "10"}
WHY = Why("first in order")
ACME = "acme"
KEY = "k1"
PROJECT = "main"
HASH = "ab" * 32


def credit(value: str) -> StatedAmount:
    """Return an amount in the unit of the bucket credit."""
    return StatedAmount(value, "CREDIT")


def cny(value: str) -> StatedAmount:
    """Return an amount in the unit of the bucket rmb."""
    return StatedAmount(value, "CNY")


def used(tokens: int) -> Usage:
    """Return a usage of so many tokens in and as many out: 12 millionths of a unit for each."""
    return Usage(tokens, tokens, {"uncached_input": tokens, "text_output": tokens})


def catalog_commands() -> list[Command]:
    """Return what publishes the buckets, the provider, the routes with their cards, and the alias."""
    commands: list[Command] = [
        *(catalog.DefineBucket(bucket=name, unit=unit, scale=6) for name, unit in UNITS.items()),
        catalog.PublishProvider(
            change_id="1", provider="openai", dialect="openai", api_base="https://api.example",
            cost_unit="USD", cost_scale=9,
        ),
    ]  # fmt: skip
    for route, bucket in ROUTES.items():
        if route != "own-price":
            card = RateCard(f"{route}.1", route, bucket, 0, (ModelRates("*", RATES),), "test")
            commands.append(catalog.PublishRateCard(card=card))
        commands.append(publish_route(route, bucket))
    return [
        *commands,
        catalog.PublishModel(change_id="1", model="gpt-5", targets=tuple(ROUTES), allow_bucket_change=True),
    ]


def publish_route(route: str, bucket: str, change_id: str = "1") -> catalog.PublishRoute:
    """Return what publishes a route; the one called own-price is priced by the caller."""
    return catalog.PublishRoute(
        change_id=change_id, route=route, provider="openai", upstream_model="gpt-5", bucket=bucket,
        tier="ordinary" if bucket == "rmb" else "direct",
        priced_by="caller" if route == "own-price" else "ledger",
    )  # fmt: skip


def spend_limits(day: str | None) -> tuple[workspace.StatedSpendLimit, ...]:
    """Return a daily limit in the bucket credit, or none."""
    return () if day is None else (workspace.StatedSpendLimit("credit", "day", credit(day)),)


def key_limits(day: str | None) -> workspace.StatedKeyLimits:
    """Return limits of a key that may change buckets."""
    return workspace.StatedKeyLimits(spend=spend_limits(day), allow_bucket_change=True)


def issue_key(workspace_id: str, day: str | None = None, api_key_id: str = KEY) -> workspace.IssueApiKey:
    """Return what issues a key, with a daily limit in the bucket credit if one is given."""
    return workspace.IssueApiKey(
        workspace_id=workspace_id, api_key_id=api_key_id, scopes=("call",), limits=key_limits(day), secret_hash=HASH
    )


def pay(workspace_id: str, bucket: str, amount: str, reference: str = "A-1", **more: Any) -> wallet.AddFunds:
    """Return what records a payment by Alipay."""
    return wallet.AddFunds(
        workspace_id=workspace_id, bucket=bucket, amount=StatedAmount(amount, UNITS[bucket]), source="alipay",
        reference=reference, **more,
    )  # fmt: skip


def workspace_commands(
    workspace_id: str = ACME,
    funds: str = "1000",
    day: str | None = None,
    project_day: str | None = None,
    time_zone: str = "UTC",
) -> list[Command]:
    """Return what opens a workspace with a project, a key and two funded wallets."""
    commands: list[Command] = [
        workspace.CreateWorkspace(workspace_id=workspace_id, time_zone=time_zone),
        workspace.CreateProject(workspace_id=workspace_id, project_id=PROJECT, spend_limits=spend_limits(project_day)),
        issue_key(workspace_id, day),
    ]
    for bucket in UNITS:
        commands += [
            wallet.OpenWallet(workspace_id=workspace_id, bucket=bucket),
            pay(workspace_id, bucket, funds, f"{bucket}-1"),
        ]
    return commands


def hold(
    request_id: str, amount: str = "1", *, workspace_id: str = ACME, route: str = "direct", **more: Any
) -> request.RouteRequest:
    """Return what routes a request and places its hold."""
    bucket = ROUTES[route]
    fields: dict[str, Any] = {"hold_seconds": 600, "estimate": Estimate(1000, 500), **more}
    return request.RouteRequest(
        workspace_id=workspace_id, request_id=request_id, project_id=PROJECT, api_key_id=KEY, model="gpt-5",
        route=route, bucket=bucket, hold=StatedAmount(amount, UNITS[bucket]), why=WHY, **fields,
    )  # fmt: skip


def settle(
    request_id: str, tokens: int = 1000, *, workspace_id: str = ACME, route: str = "direct", **more: Any
) -> request.SettleRequest:
    """Return what settles a request: 1000 tokens in and out are 0.012 units."""
    fields: dict[str, Any] = {"attempt": 1, "usage": used(tokens), **more}
    return request.SettleRequest(
        workspace_id=workspace_id, request_id=request_id, route=route, reported_model="gpt-5-2026",
        usage_source="reported", latency_ms=812, **fields,
    )  # fmt: skip


def release(request_id: str, *, workspace_id: str = ACME, **more: Any) -> request.ReleaseRequest:
    """Return what gives a request's hold back."""
    return request.ReleaseRequest(workspace_id=workspace_id, request_id=request_id, cause="cancelled", **more)


def extend(request_id: str, amount: str | None = "1", *, workspace_id: str = ACME, **more: Any) -> request.ExtendHold:
    """Return what makes a hold larger and lets it live longer."""
    fields: dict[str, Any] = {"extension": 1, "hold_seconds": 600, **more}
    return request.ExtendHold(
        workspace_id=workspace_id, request_id=request_id, why="more output",
        hold=None if amount is None else credit(amount), **fields,
    )  # fmt: skip


def fail_attempt(request_id: str, *, workspace_id: str = ACME, **more: Any) -> request.RecordAttempt:
    """Return what records a failed upstream call."""
    fields: dict[str, Any] = {"attempt": 1, "route": "direct", **more}
    return request.RecordAttempt(
        workspace_id=workspace_id, request_id=request_id, failure="timeout", retried=True, latency_ms=30_000,
        **fields,
    )  # fmt: skip


def fall_back(
    request_id: str, amount: str = "1", *, workspace_id: str = ACME, to_route: str = "spare", **more: Any
) -> request.TakeFallback:
    """Return what moves a request from the direct route to another one."""
    bucket = ROUTES[to_route]
    return request.TakeFallback(
        workspace_id=workspace_id, request_id=request_id, fallback=1, from_route="direct", to_route=to_route,
        to_bucket=bucket, hold=StatedAmount(amount, UNITS[bucket]), hold_seconds=600, failure="overloaded",
        why=WHY, **more,
    )  # fmt: skip


def refund(request_id: str, amount: str = "0.001", *, workspace_id: str = ACME, **more: Any) -> request.RefundCharge:
    """Return what gives back a part of a charge."""
    fields: dict[str, Any] = {"refund_id": "1", "refund": credit(amount), **more}
    return request.RefundCharge(workspace_id=workspace_id, request_id=request_id, reason="slow", **fields)


def record(ledger: Ledger, commands: Sequence[Command]) -> list[Recorded]:
    """Record commands in order and return their events; a refusal fails the test."""
    events = []
    for start in range(0, len(commands), 1000):
        for outcome in ledger.execute_many(commands[start : start + 1000], "system"):
            events.append(recorded(outcome))
    return events


def do(ledger: Ledger, *commands: Command) -> list[Recorded]:
    """Record a few commands; a refusal fails the test."""
    return record(ledger, commands)


def recorded(outcome: Outcome) -> Recorded:
    """Return the event of an outcome; a refusal fails the test."""
    assert outcome.refused is None, repr(outcome.refused)
    assert outcome.recorded is not None
    return outcome.recorded


def refusal(outcome: Outcome) -> tuple[Refusal, str | None]:
    """Return the reason of a refused outcome and the field that it names."""
    assert outcome.refused is not None, outcome
    return outcome.refused.code, outcome.refused.facts.get("field")


def refusals(ledger: Ledger, *commands: Command) -> list[Refusal | None]:
    """Return the reason for which each command was refused, None for those that were recorded."""
    outcomes = ledger.execute_many(commands, "system")
    return [None if outcome.refused is None else outcome.refused.code for outcome in outcomes]


def refused(code: Refusal = Refusal.OVERLOADED) -> Refused:
    """Return a refusal such as the service makes."""
    return Refused(code, "refused by a test")


def set_up(ledger: Ledger, *names: str, **workspace_fields: Any) -> None:
    """Publish the catalog and open workspaces, one called acme when none is named."""
    record(ledger, catalog_commands())
    for name in names or (ACME,):
        record(ledger, workspace_commands(name, **workspace_fields))


def drop_database(server_url: str, name: str) -> None:
    """Drop a database; a vacuum that happens to run there may be ended by nobody but time."""
    deadline = monotonic() + 20
    with psycopg.connect(server_url, autocommit=True) as connection:
        while True:
            try:
                connection.execute(f'drop database if exists "{name}" with (force)'.encode())
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.ObjectInUse):
                if monotonic() > deadline:
                    raise
                sleep(0.1)
            else:
                return


def change(command: Any, **fields: Any) -> Any:
    """Return a command with some fields replaced."""
    return msgspec.structs.replace(command, **fields)
