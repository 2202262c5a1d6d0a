"""Every way in which a call is not answered, in the words and with the headers of the client's own dialect."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from gateway.edge.conditions import EMPTY
from ledger.catalog.commands import PublishModel, SuspendRoute
from ledger.core.amounts import StatedAmount
from ledger.core.identifiers import PLATFORM
from ledger.request.commands import ReleaseRequest, RouteRequest
from ledger.request.events import AttemptFailed, RequestReleased, RequestRouted, Why
from ledger.workspace.commands import IssueApiKey, RevokeApiKey, StatedKeyLimits
from tests.integration.edge_scene import ACME, CLIENT, EdgeScene, beside

HELLO = [{"role": "user", "content": "Hello"}]
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/chat/completions", {"model": "smart", "messages": HELLO}),
    "stream": ("/chat/completions", {"model": "smart", "messages": HELLO, "stream": True}),
    "responses": ("/responses", {"model": "smart", "input": "Hello"}),
    "messages": ("/messages", {"model": "claude", "max_tokens": 50, "messages": HELLO}),
    "embeddings": ("/embeddings", {"model": "embed", "input": "Hello" * 20}),
}
MORE_CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "economy": ("/chat/completions", {"model": "economy", "messages": HELLO}),
    "economy stream": ("/chat/completions", {"model": "economy", "messages": HELLO, "stream": True}),
    "messages stream": ("/messages", {"model": "claude", "max_tokens": 50, "messages": HELLO, "stream": True}),
}
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}
every_call = pytest.mark.parametrize("call", CALLS)


@pytest.fixture(scope="module")
def strict(edge: EdgeScene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeScene]:
    """A second gateway: errors strictly as OpenAI's, small bodies, and a short memory for empty accounts."""
    settings = (
        "edge.strict_openai_errors = true\nedge.body_bytes_max = 2048\nbreaker.account_empty_seconds = 4\n"
        "retry.first_pause_milliseconds = 1\n"
    )
    with beside(edge, tmp_path_factory.mktemp("strict"), settings) as second:
        yield second


def check(answer: httpx.Response, call: str, status: int, code: str | None) -> dict[str, Any]:
    """Assert that an error has the shape of the call's dialect, and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req-")
    body = answer.json()
    error: dict[str, Any] = body["error"]
    if call.startswith("messages"):
        assert set(body) == {"type", "error", "request_id"}
        assert (body["type"], body["request_id"]) == ("error", answer.headers["x-request-id"])
        assert set(error) == {"type", "message"}
        assert error["type"] == ANTHROPIC_TYPES[status]
    else:
        assert set(body) == {"error"}
        assert set(error) == {"message", "type", "param", "code"}
        assert error["code"] == code
    assert error["message"]
    return error


def send(edge: EdgeScene, call: str, key: str | None = None, **headers: str) -> httpx.Response:
    """Make one of the calls."""
    path, body = (CALLS | MORE_CALLS)[call]
    return edge.post(path, body, key=key, **headers)


@every_call
def test_keys_that_open_nothing(edge: EdgeScene, call: str) -> None:
    """Missing, malformed, unknown and of another scope: 401, or 403 for a key that is known."""
    path, body = CALLS[call]
    url = f"{edge.address}/v1{path}"
    wrong = edge.key[:-3] + "AAA"
    bearer = {"Authorization": "Bearer"}
    for headers in ({}, bearer, {"Authorization": f"Basic {edge.key}"}, {"x-api-key": wrong}, {"x-api-key": "中文"}):
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        check(CLIENT.post(url, json=body, headers=raw), call, 401, "invalid_api_key")
    assert CLIENT.post(url, json=body, headers={"x-api-key": edge.key}).status_code == 200
    command = IssueApiKey(workspace_id=ACME, api_key_id=f"reads-{call}", scopes=("read",), limits=StatedKeyLimits())
    check(send(edge, call, edge.issued(command)), call, 403, "not_allowed")
    platform = IssueApiKey(workspace_id=PLATFORM, api_key_id=f"posts-{call}", scopes=("post", "read"))
    check(send(edge, call, edge.issued(platform)), call, 403, "not_allowed")


@every_call
def test_a_revoked_key_opens_nothing_from_the_next_call_on(edge: EdgeScene, call: str) -> None:
    """Whatever a gateway remembers of it: the hold is refused in the book."""
    key = edge.issue(f"leaver-{call}")
    assert send(edge, call, key).status_code == 200
    edge.do(RevokeApiKey(workspace_id=ACME, api_key_id=f"leaver-{call}", reason="gone"))
    check(send(edge, call, key), call, 401, "invalid_api_key")


@every_call
def test_bodies_that_cannot_be_read(edge: EdgeScene, call: str) -> None:
    """Each is a 400 that names what is wrong, and no upstream is called."""
    path, body = CALLS[call]
    headers = {"Authorization": f"Bearer {edge.key}"}
    before = {provider: edge.served(provider)["totals"]["calls"] for provider in ("openai", "anthropic")}
    for raw in (b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe", b'{"model":"smart"', b"[" * 5000):
        check(CLIENT.post(f"{edge.address}/v1{path}", content=raw, headers=headers), call, 400, None)
    for wrong in ({**body, "model": 7}, {name: value for name, value in body.items() if name != "model"}):
        error = check(edge.post(path, wrong), call, 400, None)
        assert "model" in error["message"]
    assert before == {provider: edge.served(provider)["totals"]["calls"] for provider in ("openai", "anthropic")}


@every_call
def test_models_that_are_not_there_or_not_for_this_key(edge: EdgeScene, call: str) -> None:
    """An unknown model is 404; one that the key may not use, or only from another balance, is refused by name."""
    path, body = CALLS[call]
    check(edge.post(path, {**body, "model": "nobody-s"}), call, 404, "model_not_found")
    other = edge.issue(f"other-models-{call}", models=("cheap",))
    check(send(edge, call, other), call, 403, "model_not_allowed")
    check(send(edge, call, edge.issue(f"other-bucket-{call}", buckets=("rmb",))), call, 403, "bucket_not_allowed")


@every_call
def test_a_body_that_is_too_large(strict: EdgeScene, call: str) -> None:
    """413, whether the length is said beforehand or found out while reading."""
    path, body = CALLS[call]
    large = {**body, "padding": "x" * 3000}
    check(strict.post(path, large), call, 413, "request_too_large")
    headers = {"Authorization": f"Bearer {strict.key}"}
    parts = (b"x" * 1000 for _ in range(3))
    answer = CLIENT.post(f"{strict.address}/v1{path}", content=parts, headers=headers)
    check(answer, call, 413, "request_too_large")


@every_call
def test_money_that_is_not_there(edge: EdgeScene, strict: EdgeScene, call: str) -> None:
    """402 in the dialect's words; strictly as OpenAI has it, 429 with the word not to repeat it."""
    key = edge.issue(f"poor-{call}", spend=edge.spend("credit", "0.000001"))
    answer = send(edge, call, key)
    error = check(answer, call, 402, "key_spend_limit_exceeded")
    assert error["type"] in {"insufficient_quota", "billing_error"}
    assert "retry-after" not in answer.headers
    answer = send(strict, call, key)
    assert answer.status_code == 429
    assert answer.headers["x-should-retry"] == "false"
    assert answer.json()["error"]["type"] == error["type"]


def test_an_empty_balance_and_one_that_is_held_are_told_apart(edge: EdgeScene) -> None:
    """402 is for good, 429 with Retry-After passes; the wallet of the other bucket is not asked."""
    with psycopg.connect(edge.ledger.url) as connection:
        row = connection.execute("select posted_minor - held_minor from ledger.wallet where bucket = 'rmb'").fetchone()
    assert row is not None
    hold = RouteRequest(
        workspace_id=ACME,
        request_id="holds-rmb",
        project_id="assistant",
        api_key_id="app",
        model="cheap",
        route="cheap-ordinary",
        bucket="rmb",
        hold=StatedAmount(f"{row[0] / 10**6:.6f}", "CNY"),
        hold_seconds=60,
        why=Why("test"),
    )
    edge.do(hold)
    answer = edge.chat("cheap")
    edge.do(ReleaseRequest(workspace_id=ACME, request_id="holds-rmb", cause="cancelled"))
    check(answer, "chat", 429, "in_flight_budget_exhausted")
    assert answer.headers["retry-after"] == "1"
    huge = edge.chat("cheap", "x" * 20_000, n=128, max_tokens=2_000_000)
    assert huge.status_code == 200
    assert int(huge.headers["x-ledger-output-limit"]) < 2_000_000


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/files"),
        ("GET", "/files/file-1/content"),
        ("POST", "/batches"),
        ("POST", "/messages/batches"),
        ("POST", "/images/generations"),
        ("GET", "/responses/resp_1"),
        ("DELETE", "/chat/completions"),
        ("GET", "/messages"),
        ("POST", "/models"),
        ("DELETE", "/models/smart"),
        ("POST", ""),
    ],
)
def test_what_is_not_offered_is_said_in_the_dialect(edge: EdgeScene, method: str, path: str) -> None:
    """Files, batches and the rest are a clear 400, and a wrong method is one too."""
    headers = {"Authorization": f"Bearer {edge.key}"}
    answer = CLIENT.request(method, f"{edge.address}/v1{path}", headers=headers)
    call = "messages" if path.startswith("/messages") else "chat"
    error = check(answer, call, 400, "unsupported_parameter")
    assert method in error["message"]


def test_members_that_are_not_offered_are_named(edge: EdgeScene) -> None:
    """Background responses, stored conversations and what no translation can say are 400 with the member's name."""
    request_id = ""
    for path, body, param in (
        ("/responses", {"model": "smart", "input": "Hi", "background": True}, "background"),
        ("/responses", {"model": "smart", "input": "Hi", "conversation": "conv_1"}, "conversation"),
        ("/embeddings", {"model": "embed", "input": "Hi", "stream": True}, "stream"),
        ("/chat/completions", {"model": "claude", "messages": HELLO, "n": 2}, "n"),
        ("/chat/completions", {"model": "claude", "messages": HELLO, "logprobs": True}, "logprobs"),
    ):
        answer = edge.post(path, body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["param"] == param
        request_id = answer.headers["x-request-id"]
    events = edge.events(request_id)
    assert [type(event) for event in events] == [RequestRouted, RequestReleased]


def test_an_interface_that_a_model_does_not_have_is_the_callers_mistake(edge: EdgeScene) -> None:
    """Asking again would not help: 400, and no word of who is behind the route."""
    for path, model, more in (
        ("/embeddings", "claude", {"input": "Hi"}),
        ("/responses", "cheap", {"input": "Hi"}),
    ):
        answer = edge.post(path, {"model": model, **more})
        error = check(answer, "chat", 400, "unsupported_parameter")
        assert error["param"] == "model"
        assert "demo-" not in answer.text


ROUNDS = {
    "whole": {"chat": "openai", "economy": "deepseek", "messages": "anthropic"},
    "streamed": {"stream": "openai", "economy stream": "deepseek", "messages stream": "anthropic"},
    "others": {"responses": "openai", "embeddings": "openai"},
}
ALONE = {"messages", "messages stream", "embeddings"}
"""Calls of models that have one route only."""


@pytest.mark.parametrize("calls", ROUNDS.values(), ids=ROUNDS.keys())
def test_our_own_empty_account_is_never_the_callers_matter(
    edge: EdgeScene, strict: EdgeScene, calls: dict[str, str]
) -> None:
    """Whatever words a provider has for it: another route serves, or 503; for a while nobody calls the provider."""
    await_open(edge)
    for call, provider in calls.items():
        answer = send(strict, call, x_demo=f"{provider}:account_empty")
        if call in ALONE:
            assert answer.status_code == 503
        else:
            assert answer.headers["x-ledger-route"] == "smart-backup"
        events = strict.events(answer.headers["x-request-id"])
        failed = [event for event in events if isinstance(event, AttemptFailed)]
        assert [(each.failure, each.retried) for each in failed] in ([("upstream_account_empty", False)], [])
        assert len(failed) == 1 or (call in ALONE and events == [])
    before = {provider: edge.served(provider)["totals"]["calls"] for provider in calls.values()}
    for gateway, learns_seconds in ((strict, 0.0), (edge, 1.3)):
        # The other gateway asks the database every second.
        time.sleep(learns_seconds)
        for call in calls:
            answer = send(gateway, call)
            if call in ALONE:
                check(answer, call, 503, "no_route")
                assert not any(word in answer.text for word in ("account", "demo-"))
                continue
            assert answer.headers["x-ledger-route"] == "smart-backup"
            routed = gateway.events(answer.headers["x-request-id"])[0]
            assert isinstance(routed, RequestRouted)
            assert EMPTY in [each.reason for each in routed.why.skipped]
    assert before == {provider: edge.served(provider)["totals"]["calls"] for provider in calls.values()}


def await_open(edge: EdgeScene) -> None:
    """Wait until no provider counts as empty any more."""
    with psycopg.connect(edge.ledger.url) as connection:
        row = connection.execute("select max(account_empty_until) from ledger.provider_health").fetchone()
    if row is not None and row[0] is not None:
        time.sleep(max(0.0, row[0] / 10**6 - time.time()) + 0.05)


def test_refused_calls_are_counted_by_reason(edge: EdgeScene, tmp_path_factory: pytest.TempPathFactory) -> None:
    """402, 429 and no route, by key, model and hour; faults of the caller are not among them."""
    poor = edge.issue("counted-poor", spend=edge.spend("credit", "0.000001"))
    slow = edge.issue("counted-slow", tokens_per_minute=1)
    narrow = edge.issue("counted-narrow", models=("paused",))
    paused = PublishModel(model="paused", targets=("deep-direct",), num_retries=0, change_id="paused")
    edge.do(paused, SuspendRoute(route="deep-direct", change_id="paused", reason="incident"))
    edge.follow_catalog()
    with beside(edge, tmp_path_factory.mktemp("counted")) as gateway:
        for key, times in ((poor, 3), (slow, 2), (narrow, 1)):
            for _ in range(times):
                body = {"model": "paused" if key == narrow else "smart", "messages": HELLO}
                answer = gateway.post("/chat/completions", body, key=key)
                assert answer.status_code in {402, 429, 503}
            assert gateway.post("/chat/completions", {"model": "smart"}, key=key).status_code == 400
    headers = {"Authorization": f"Bearer {edge.key}"}
    page = CLIENT.get(f"{edge.address}/ledger/v1/refused-calls", headers=headers).json()
    counted = {
        each["api_key_id"]: (each["model"], each["reason"], each["calls"])
        for each in page["data"]
        if each["api_key_id"].startswith("counted")
    }
    assert counted == {
        "counted-poor": ("smart", "api_key_spend_limit_exceeded", 3),
        "counted-slow": ("smart", "tokens_per_minute_exceeded", 2),
        "counted-narrow": ("paused", "no_route", 1),
    }
