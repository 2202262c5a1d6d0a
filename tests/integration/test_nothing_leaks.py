"""No key of a workspace learns what is the platform's alone: cost, margin, provider accounts, overrun.

Facts that must not be told carry digits and names that occur nowhere else. Every read that the API describes is then
asked with every parameter that it describes, in every format, by keys of every kind, and calls go through the edge.
"""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger.catalog import commands as catalog
from ledger.core.amounts import StatedAmount
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.pricing.usage import Usage
from ledger.request import commands as request
from ledger.request.events import SkippedRoute, Why
from ledger.service import SYSTEM, Ledger
from ledger.store.live import NEW_KEY_SECONDS
from ledger.wallet.commands import AddFunds, OpenWallet
from ledger.workspace.commands import CreateProject, CreateWorkspace, IssueApiKey
from projections.followers import Follower
from projections.route_ledger.writing import RouteLedger
from tests.integration.edge_scene import ACME, CLIENT, EdgeScene, open_edge

OTHER = "rival-workspace"
PROVIDER = "hidden-house"
COST = "0.000777123"
WASTE = "0.000888321"
OVERRUN = "0.424242"
LIMITED = "2.000000"
"""What the overdrawn request may hold: its charge is that much more."""

COST_RATE = "0.777001"
PRICE_FACTOR = "6.66001"
HIDDEN = (
    PROVIDER, COST, WASTE, COST_RATE, PRICE_FACTOR, OTHER, "USD", "secret-price-list", "demo-openai",
    "demo-azure", "demo-anthropic", "demo-deepseek", "overrun", "margin", "provider_cost", "waste",
)  # fmt: skip
"""Texts that no answer to a workspace may hold, in its body or in any header.

What no balance has paid is told as waived, like what the gateway waives: how much of it is the platform's loss is not.
"""

ALLOWED_IN = {"/ledger/v1/openapi.json", "/ledger/v1/docs"}
"""What is told to everybody: the description of the API names what platforms may see, and no fact."""

OWN_PAYMENTS = ("/statements/", "USD")
"""A statement tells a customer what it paid itself, in the currency of the payment: here also that of our bills."""

FIELDS: dict[str, tuple[str, ...]] = {
    "workspace_id": (ACME,), "bucket": ("credit", "rmb"), "request_id": ("spent", "moved", "over"),
    "rate_card": ("house.1",), "month": (f"{datetime.now(UTC):%Y-%m}",),
}  # fmt: skip
VALUES: dict[str, tuple[str, ...]] = {
    "format": ("json", "csv", "jsonl", "html"),
    "by": ("provider", "workspace", "key", "model", "route", "tier", "workflow", "run", "end_user", "provider,model"),
    "every": ("hour", "day", "none"),
    "measure": ("charge", "cost"),
    "unit": ("USD", "CREDIT"),
    "provider": (PROVIDER, "demo-openai"),
    "workspace_id": (ACME, OTHER, "platform"),
    "run": ("run-1",),
    "route": ("house", "house-spare"),
    "fallback": ("yes", "no"),
    "status": ("settled", "failed"),
    "safe": ("excel",),
    "zone": ("Asia/Shanghai",),
    "bucket": ("credit", "rmb"),
    "position": ("1", "20"),
    "recorded_at": ("2099-01-01",),
    "effective_at": ("2099-01-01T00:00:00Z",),
}
REQUIRED: dict[str, dict[str, str]] = {"/ledger/v1/runs": {"run": "run-1"}}
SCOPES: tuple[tuple[str, ...], ...] = (("call",), ("read",), ("call", "read"), ("read", "audit"), ("audit",))
WHY = Why("first target", (SkippedRoute("smart-direct", f"our account at {PROVIDER} is empty"),))


def used(tokens: int) -> Usage:
    """Return a usage of so many tokens in and as many out."""
    return Usage(tokens, tokens, {"uncached_input": tokens, "text_output": tokens})


def house_commands() -> Iterator[Any]:
    """Yield what publishes a provider with two routes whose cost and price sources must stay hidden."""
    rates = {"uncached_input": "2", "text_output": "10"}
    yield catalog.PublishProvider(
        change_id="h", provider=PROVIDER, dialect="openai", api_base=f"https://{PROVIDER}.example", cost_unit="USD",
        cost_scale=9,
    )  # fmt: skip
    for route in ("house", "house-spare"):
        card = RateCard(
            f"{route}.1", route, "credit", 0, (ModelRates("*", rates, rates),), "secret-price-list",
            units_per_source_unit=PRICE_FACTOR, source_unit="USD", cost_unit="USD",
            cost_models=(ModelRates("*", {"uncached_input": COST_RATE, "text_output": COST_RATE}),),
        )  # fmt: skip
        yield catalog.PublishRateCard(card=card)
        yield catalog.PublishRoute(
            change_id="h", route=route, provider=PROVIDER, upstream_model="gpt-5", bucket="credit", tier="direct"
        )
    yield catalog.PublishModel(change_id="h", model="house", targets=("house", "house-spare"))


def spend(workspace_id: str, project_id: str, api_key_id: str) -> Iterator[Any]:
    """Yield requests that failed, moved, cost something, and one whose charge no balance could pay."""
    common: dict[str, Any] = {"workspace_id": workspace_id}
    routed: dict[str, Any] = {
        **common, "project_id": project_id, "api_key_id": api_key_id, "model": "house", "route": "house",
        "bucket": "credit", "hold_seconds": 600, "why": WHY, "workflow": "agent", "run": "run-1",
    }  # fmt: skip
    settled: dict[str, Any] = {
        **common, "reported_model": "gpt-5", "usage_source": "reported", "latency_ms": 900,
        "provider_cost": StatedAmount(COST, "USD"),
    }  # fmt: skip
    yield request.RouteRequest(**routed, request_id="spent", hold=StatedAmount("1", "CREDIT"))
    yield request.SettleRequest(**settled, request_id="spent", attempt=1, route="house", usage=used(1000))
    yield request.RouteRequest(**routed, request_id="moved", hold=StatedAmount("1", "CREDIT"))
    yield request.RecordAttempt(
        **common, request_id="moved", attempt=1, route="house", failure="upstream_account_empty", retried=False,
        latency_ms=80, http_status=402, provider_cost=StatedAmount(WASTE, "USD"),
    )  # fmt: skip
    yield request.TakeFallback(
        **common, request_id="moved", fallback=1, from_route="house", to_route="house-spare", to_bucket="credit",
        hold=StatedAmount("1", "CREDIT"), hold_seconds=600, failure="upstream_account_empty", why=WHY,
    )  # fmt: skip
    yield request.SettleRequest(**settled, request_id="moved", attempt=2, route="house-spare", usage=used(2000))
    yield request.RouteRequest(
        **{**routed, "route": "own-house"}, request_id="over", hold=StatedAmount(LIMITED, "CREDIT")
    )


@pytest.fixture(scope="module")
def scene(module_ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeScene]:
    """A service with two workspaces, and both projections followed."""
    directory: Path = tmp_path_factory.mktemp("leaks")
    with open_edge(module_ledger, directory) as edge:
        edge.do(*house_commands(), *own_price_commands())
        edge.follow_catalog()
        edge.do(CreateProject(workspace_id=ACME, project_id="side"), *spend(ACME, "assistant", "app"))
        edge.do(
            CreateWorkspace(workspace_id=OTHER),
            CreateProject(workspace_id=OTHER, project_id="theirs"),
            OpenWallet(workspace_id=OTHER, bucket="credit"),
            AddFunds(
                workspace_id=OTHER, bucket="credit", amount=StatedAmount("50", "CREDIT"), source="bank", reference="x"
            ),
        )
        edge.do(IssueApiKey(workspace_id=OTHER, api_key_id="app", scopes=("call",), secret_hash="cd" * 32))
        edge.do(*spend(OTHER, "theirs", "app"))
        overdraw(edge)
        followers = [Follower(module_ledger.url), Follower(module_ledger.url, RouteLedger())]
        for follower in followers:
            follower.start()
        try:
            yield edge
        finally:
            for follower in followers:
                follower.stop()


def own_price_commands() -> Iterator[Any]:
    """Yield a route that its caller prices, so that a charge can be made as large as is wanted."""
    yield catalog.PublishRoute(
        change_id="h", route="own-house", provider=PROVIDER, upstream_model="gpt-5", bucket="credit", tier="direct",
        priced_by="caller",
    )  # fmt: skip
    yield catalog.PublishModel(change_id="h2", model="house", targets=("house", "house-spare", "own-house"))


def overdraw(edge: EdgeScene) -> None:
    """Charge a request more than its hold and all that is left, by an amount that can be recognised."""
    left = CLIENT.get(f"{edge.address}/ledger/v1/wallets/{ACME}", headers={"Authorization": f"Bearer {edge.key}"})
    available = next(each["available"] for each in left.json()["wallets"] if each["bucket"] == "credit")
    charge = sum(map(micros, (available["value"], LIMITED, OVERRUN)))
    edge.do(
        request.SettleRequest(
            workspace_id=ACME, request_id="over", attempt=1, route="own-house", reported_model="gpt-5",
            usage=used(10), usage_source="reported", latency_ms=5, provider_cost=StatedAmount(COST, "USD"),
            charge=StatedAmount(f"{charge // 10**6}.{charge % 10**6:06d}", "CREDIT"),
        )
    )  # fmt: skip


def micros(value: str) -> int:
    """Return a decimal text with six digits as millionths."""
    return int(value.replace(".", ""))


def keys_of(edge: EdgeScene) -> dict[str, str]:
    """Return tokens of the workspace's keys of every kind, by what they are."""
    tokens = {"app": edge.key}
    for scopes, project in product(SCOPES, (None, "assistant")):
        name = "-".join((*scopes, project or "all"))
        command = IssueApiKey(workspace_id=ACME, api_key_id=name, scopes=scopes, project_id=project)  # type: ignore[arg-type]
        tokens[name] = edge.ledger.issue_key(command, SYSTEM).token or ""
    time.sleep(NEW_KEY_SECONDS)
    return tokens


def asked(edge: EdgeScene) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield every read with every parameter that the API describes, and pairs of a format with each."""
    document = CLIENT.get(f"{edge.address}/ledger/v1/openapi.json").json()
    for template, item in document["paths"].items():
        operation = item.get("get")
        if operation is None:
            continue
        parameters = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        needed = REQUIRED.get(template, {})
        for path in filled(template):
            yield path, needed
            for name in sorted(parameters):
                for value in VALUES.get(name, ()):
                    yield path, {**needed, name: value}
                    if "format" in parameters and name != "format":
                        yield path, {**needed, name: value, "format": "csv"}


def filled(template: str) -> Iterator[str]:
    """Yield a path with each combination of known values in its places."""
    names = [part.split("}")[0] for part in template.split("{")[1:]]
    for values in product(*(FIELDS.get(name.partition(":")[0], ("unknown",)) for name in names)):
        path = template
        for name, value in zip(names, values, strict=True):
            path = path.replace("{" + name + "}", value)
        yield path


def told(answer: httpx.Response) -> list[str]:
    """Return what an answer tells and must not."""
    text = answer.text + json.dumps(list(answer.headers.items()))
    sent = str(answer.request.url)
    path, currency = OWN_PAYMENTS
    own = currency if path in sent else ""
    return [hidden for hidden in HIDDEN if hidden in text and hidden not in sent and hidden != own]


def test_no_read_tells_a_workspace_what_is_the_platforms(scene: EdgeScene) -> None:
    """Bodies, exports, headers and refusals of all reads hold nothing of cost, providers or other workspaces."""
    leaks: list[tuple[str, str, dict[str, str], list[str]]] = []
    answered: set[str] = set()
    everything = list(asked(scene))
    for kind, token in keys_of(scene).items():
        for path, query in everything:
            answer = CLIENT.get(scene.address + path, params=query, headers={"Authorization": f"Bearer {token}"})
            assert answer.status_code < 500, (path, query, answer.text)
            if answer.status_code == 200:
                answered.add(path)
            if path not in ALLOWED_IN and (found := told(answer)):
                leaks.append((kind, path, query, found))
    assert leaks == []
    month = f"wallets/{ACME}/credit/statements/{FIELDS['month'][0]}"
    balance = f"wallets/{ACME}/credit/balance"
    for path in (
        "requests",
        "runs",
        "spend",
        "spend/change",
        "requests/spent",
        f"wallets/{ACME}",
        "catalog",
        month,
        balance,
    ):
        assert f"/ledger/v1/{path}" in answered, sorted(answered)


def test_the_platform_is_told_what_is_hidden(scene: EdgeScene) -> None:
    """The facts that are looked for are there: a key of the platform reads each of them somewhere."""
    token = scene.issued(IssueApiKey(workspace_id="platform", api_key_id="all", scopes=("read", "audit")))
    seen = ""
    for path, query in asked(scene):
        headers = {"Authorization": f"Bearer {token}"}
        seen += CLIENT.get(scene.address + path, params=query, headers=headers).text
        seen += CLIENT.get(scene.address + path, params={**query, "workspace_id": ACME}, headers=headers).text
    assert [
        hidden for hidden in (PROVIDER, COST, WASTE, OVERRUN, COST_RATE, PRICE_FACTOR, OTHER) if hidden not in seen
    ] == []


def test_the_edge_tells_nothing_of_providers(scene: EdgeScene) -> None:
    """Answers, streams, failures and headers of calls name no provider, cost or account."""
    headers = ("", "openai:status=401", "openai:status=402", "openai:status=503", "openai:status=400")
    for told_upstream, stream in product(headers, (False, True)):
        more = {"x_demo_header": told_upstream} if told_upstream else {}
        answer = scene.chat("smart", stream=stream, **more)
        assert told(answer) == [], (told_upstream, stream, answer.text, answer.headers)
