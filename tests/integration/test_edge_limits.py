"""What a key, a project and a wallet may spend, exactly and over several gateways; and the labels of calls."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.core.amounts import StatedAmount
from ledger.request.events import RequestReleased, RequestRouted, TokensSettled
from ledger.service import Ledger
from ledger.wallet.commands import AddFunds, OpenWallet
from ledger.workspace.commands import CreateProject, CreateWorkspace, IssueApiKey, StatedKeyLimits, StatedSpendLimit
from tests.integration.edge_scene import CLIENT, EdgeScene, beside, open_edge

ROOM_SECONDS = 8


@pytest.fixture(scope="module")
def edge(module_ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeScene]:
    """The demo's configuration, with two members of metadata that become labels."""
    settings_text = 'edge.metadata_keys = ["workflow", "run"]\nretry.first_pause_milliseconds = 1\n'
    with open_edge(module_ledger, tmp_path_factory.mktemp("limits"), settings_text) as opened:
        yield opened


@pytest.fixture(scope="module")
def other(edge: EdgeScene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeScene]:
    """A second gateway with a ledger of its own on the same database."""
    with beside(edge, tmp_path_factory.mktemp("other"), 'edge.metadata_keys = ["workflow"]\n') as opened:
        yield opened


def workspace(edge: EdgeScene, name: str, credit: str, projects: tuple[CreateProject, ...] = ()) -> str:
    """Make a workspace with a little money and return a key of it."""
    edge.do(
        CreateWorkspace(workspace_id=name),
        *(projects or (CreateProject(workspace_id=name, project_id="main"),)),
        OpenWallet(workspace_id=name, bucket="credit"),
        AddFunds(
            workspace_id=name, bucket="credit", amount=StatedAmount(credit, "CREDIT"), source="stripe", reference="r"
        ),
    )
    return edge.issued(
        IssueApiKey(workspace_id=name, api_key_id="k", scopes=("call", "read"), limits=StatedKeyLimits())
    )


def chat(edge: EdgeScene, key: str, text: str = "Hello", told: str = "", **more: Any) -> httpx.Response:
    """Call the model smart."""
    body = {"model": "smart", "messages": [{"role": "user", "content": text}], **more}
    return edge.post("/chat/completions", body, key=key, x_demo=told)


def history(edge: EdgeScene, name: str, request_id: str) -> list[Any]:
    """Return what happened to a request of a workspace, once it has ended."""
    events = edge.events(request_id, name)
    for _ in range(500):
        if events and isinstance(events[-1], TokensSettled | RequestReleased):
            break
        time.sleep(0.01)
        events = edge.events(request_id, name)
    return list(events)


def await_room() -> None:
    """Wait until the minute has some time left, so that what follows happens within it."""
    left = 60 - time.time() % 60
    if left < ROOM_SECONDS:
        time.sleep(left + 0.1)


def test_the_affordable_output_is_what_is_asked_of_the_upstream(edge: EdgeScene) -> None:
    """A small balance gets a shorter answer: the limit goes upstream, into a header, and into the book's why."""
    key = workspace(edge, "small", "0.02")
    answer = chat(edge, key, told="openai:answer_bytes=8000")
    limit = int(answer.headers["x-ledger-output-limit"])
    events = history(edge, "small", answer.headers["x-request-id"])
    routed, settled = events[0], events[-1]
    assert answer.json()["choices"][0]["finish_reason"] == "length"
    assert settled.usage.output_tokens == limit
    assert routed.estimate.output_tokens == limit
    assert str(limit) in routed.why.rule
    # 2 tokens of input and the output at their dearest: the next token would not have fitted.
    assert routed.hold_minor <= 20_000 < routed.hold_minor + 75 + 1
    assert (settled.from_available_minor, settled.overrun_minor) == (0, 0)


@pytest.mark.parametrize(
    ("path", "model", "member"),
    [
        ("/chat/completions", "smart", "max_completion_tokens"),
        ("/responses", "smart", "max_output_tokens"),
        ("/messages", "claude", "max_tokens"),
        ("/chat/completions", "claude", "max_tokens"),
        ("/messages", "smart", "max_completion_tokens"),
    ],
)
@pytest.mark.parametrize("is_stream", [True, False])
def test_the_limit_is_obeyed_in_every_interface(
    edge: EdgeScene, path: str, model: str, member: str, is_stream: bool
) -> None:
    """Whatever member says it there: the answer is not longer than the balance reaches."""
    name = f"tiny-{path.strip('/').partition('/')[0]}-{model}-{is_stream}".lower()
    key = workspace(edge, name, "0.03")
    text = "Hello" if path == "/responses" else [{"role": "user", "content": "Hello"}]
    body: dict[str, Any] = {"model": model, "input" if path == "/responses" else "messages": text}
    body |= {"stream": is_stream} | ({"max_tokens": 4000} if path == "/messages" else {})
    answer = edge.post(path, body, key=key, x_demo="*:answer_bytes=16000")
    assert answer.status_code == 200, answer.text
    limit = int(answer.headers["x-ledger-output-limit"])
    assert 64 <= limit < 500
    settled = history(edge, name, answer.headers["x-request-id"])[-1]
    assert isinstance(settled, TokensSettled)
    assert (settled.usage.output_tokens, settled.overrun_minor, settled.policy) == (limit, 0, "complete")


def test_a_balance_that_affords_no_useful_answer_is_refused(edge: EdgeScene) -> None:
    """Less than the least output, or than what the caller asked for where that is less: 402, and nothing is called."""
    key = workspace(edge, "poor", "0.004")
    before = edge.served("openai")["totals"]["calls"]
    assert chat(edge, key).status_code == 402
    assert chat(edge, key, max_completion_tokens=60).status_code == 402
    assert edge.served("openai")["totals"]["calls"] == before
    assert chat(edge, key, max_completion_tokens=40).status_code == 200


def test_several_limits_at_once_leave_what_all_of_them_afford(edge: EdgeScene) -> None:
    """The wallet has less than asked for, the key's day even less: the answer fits into both."""
    workspace(edge, "double", "0.2")
    spend = (StatedSpendLimit("credit", "day", StatedAmount("0.01", "CREDIT")),)
    limits = StatedKeyLimits(spend=spend)
    key = edge.issued(IssueApiKey(workspace_id="double", api_key_id="k2", scopes=("call",), limits=limits))
    answer = chat(edge, key, told="openai:answer_bytes=8000")
    assert answer.status_code == 200, answer.text
    settled = history(edge, "double", answer.headers["x-request-id"])[-1]
    assert settled.charge_minor <= 10_000


@pytest.fixture(scope="module")
def farm(edge: EdgeScene) -> str:
    """A workspace whose calls try to get more than they pay for; returns its key."""
    return workspace(edge, "farm", "0.5")


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["a", "中", "🜚"]).flatmap(lambda sign: st.integers(1, 400).map(lambda n: sign * n)),
        st.none() | st.integers(1, 600),
        st.integers(1, 3),
        st.sampled_from(["", "openai:answer_bytes=6000", "openai:no_usage", "openai:status=401", "openai:cut_after=2"]),
        st.booleans(),
    ),
    min_size=4,
    max_size=8,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS, topped_up=st.integers(1_000, 60_000))
def test_no_mix_of_calls_makes_the_platform_pay(edge: EdgeScene, farm: str, calls: list[Any], topped_up: int) -> None:
    """Long answers, many choices, cut streams, missing usage, all at once on a small balance: never any overrun."""
    reference = f"top-up-{time.monotonic_ns()}"
    amount = StatedAmount(f"{topped_up / 10**6:.6f}", "CREDIT")
    edge.do(AddFunds(workspace_id="farm", bucket="credit", amount=amount, source="stripe", reference=reference))

    def call(asked: Any) -> httpx.Response:
        text, limit, choices, told, is_stream = asked
        more = {"n": choices, "stream": is_stream} | ({} if limit is None else {"max_completion_tokens": limit})
        return chat(edge, farm, text, told, **more)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(call, calls))
    assert {answer.status_code for answer in answers} <= {200, 402, 429}
    for answer in answers:
        events = history(edge, "farm", answer.headers["x-request-id"]) if answer.status_code == 200 else []
        for settled in (event for event in events if isinstance(event, TokensSettled)):
            assert settled.overrun_minor == 0
            assert settled.from_available_minor == 0
    with psycopg.connect(edge.ledger.url) as connection:
        wallet = connection.execute(
            "select posted_minor, held_minor from ledger.wallet where workspace_id = 'farm'"
        ).fetchone()
    assert wallet is not None
    assert wallet[0] >= wallet[1] >= 0


def test_requests_per_minute_are_exact_over_two_gateways(edge: EdgeScene, other: EdgeScene) -> None:
    """Forty calls at once at two gateways: exactly the limit is served, the rest hears when to come back."""
    key = edge.issue("rpm", requests_per_minute=13)
    await_room()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda at: chat((edge, other)[at % 2], key, told="*:stall_ms=50"), range(40)))
    assert Counter(answer.status_code for answer in answers) == {200: 13, 429: 27}
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.json()["error"]["code"] for answer in refused} == {"rate_limit_exceeded"}
    assert {answer.json()["error"]["type"] for answer in refused} == {"requests"}
    assert all(1 <= int(answer.headers["retry-after"]) <= 60 for answer in refused)


def test_tokens_per_minute_count_what_was_used(edge: EdgeScene, other: EdgeScene) -> None:
    """Admitted by the estimate, counted by the usage: two gateways together never admit more than the limit."""
    key = edge.issue("tpm", tokens_per_minute=1000)
    await_room()
    # 3 tokens of input and 400 of output are estimated: two fit beside each other, a third does not.
    with ThreadPoolExecutor(6) as pool:
        answers = list(
            pool.map(
                lambda at: chat((edge, other)[at % 2], key, told="*:stall_ms=700", max_completion_tokens=400), range(6)
            )
        )
    assert Counter(answer.status_code for answer in answers) == {200: 2, 429: 4}
    assert {each.json()["error"]["type"] for each in answers if each.status_code == 429} == {"tokens"}
    # What they really used leaves room again.
    assert chat(other, key, max_completion_tokens=400).status_code == 200


def test_a_days_spend_of_a_key_ends_with_its_limit(edge: EdgeScene, other: EdgeScene) -> None:
    """Held amounts count; what is left affords a shorter answer, then none, at any gateway."""
    key = edge.issue("daily", spend=edge.spend("credit", "0.02"))
    charged = 0
    answers = []
    for at in range(12):
        answer = chat((edge, other)[at % 2], key, told="openai:answer_bytes=400")
        answers.append(answer.status_code)
        if answer.status_code != 200:
            assert answer.json()["error"]["code"] == "key_spend_limit_exceeded"
            break
        charged += round(float(answer.headers["x-ledger-charge"].partition(" ")[0]) * 10**6)
    assert answers[-1] == 402
    assert 0.6 * 20_000 < charged <= 20_000
    economy = {"model": "cheap", "messages": [{"role": "user", "content": "Hi"}]}
    assert other.post("/chat/completions", economy, key=key).status_code == 200


def test_projects_are_named_found_and_limited(edge: EdgeScene) -> None:
    """A key's own project or the only one is taken; among several the call must name one, and each has its limit."""
    limit = (StatedSpendLimit("credit", "day", StatedAmount("0.000001", "CREDIT")),)
    projects = (
        CreateProject(workspace_id="globex", project_id="one"),
        CreateProject(workspace_id="globex", project_id="two", spend_limits=limit),
    )
    key = workspace(edge, "globex", "5", projects)
    own = IssueApiKey(
        workspace_id="globex", api_key_id="own", project_id="one", scopes=("call",), limits=StatedKeyLimits()
    )
    bound = edge.issued(own)
    body = {"model": "smart", "messages": [{"role": "user", "content": "Hello"}]}

    def call(token: str, **headers: str) -> tuple[int, str | None, str]:
        answer = edge.post("/chat/completions", body, key=token, **headers)
        error = answer.json().get("error", {})
        return answer.status_code, error.get("code"), answer.headers["x-request-id"]

    assert call(key)[:2] == (400, "project_required")
    status, _, request_id = call(key, x_ledger_project="one")
    assert status == 200
    assert history(edge, "globex", request_id)[0].project_id == "one"
    assert call(key, x_ledger_project="three")[:2] == (400, "project_unknown")
    assert call(key, x_ledger_project="a b")[:2] == (400, "project_unknown")
    assert call(key, x_ledger_project="two")[:2] == (402, "project_spend_limit_exceeded")
    status, _, request_id = call(bound)
    assert status == 200
    assert history(edge, "globex", request_id)[0].project_id == "one"
    assert call(bound, x_ledger_project="two")[:2] == (400, "project_unknown")
    assert call(edge.key)[0] == 200


def test_labels_come_from_headers_and_allowed_metadata(edge: EdgeScene, other: EdgeScene) -> None:
    """A header wins; of the metadata only what the configuration allows; up to 64 bytes, Chinese too."""
    metadata = {"workflow": "nightly", "run": "run-7", "step": "never", "secret": "x"}
    body = {"model": "smart", "messages": [{"role": "user", "content": "Hi"}], "metadata": metadata}

    def labels(gateway: EdgeScene, **headers: str) -> tuple[str | None, str | None, str | None]:
        sent = {"Authorization": f"Bearer {edge.key}"} | {f"x-ledger-{name}": text for name, text in headers.items()}
        raw = [(name.encode(), text.encode()) for name, text in sent.items()]
        answer = CLIENT.post(f"{gateway.address}/v1/chat/completions", json=body, headers=raw)
        assert answer.status_code == 200, answer.text
        routed = edge.events(answer.headers["x-request-id"])[0]
        assert isinstance(routed, RequestRouted)
        return routed.workflow, routed.run, routed.step

    assert labels(edge) == ("nightly", "run-7", None)
    assert labels(other) == ("nightly", None, None)
    assert labels(edge, workflow="每日报告", step="s1") == ("每日报告", "run-7", "s1")
    assert labels(edge, workflow="汉" * 21) == ("汉" * 21, "run-7", None)
    for header, text in (("x_ledger_step", "s" * 65), ("x_ledger_run", "a\tb")):
        answer = edge.post("/chat/completions", body, **{header: text})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_label")
        assert answer.json()["error"]["param"] == header.replace("_", "-")


def test_an_unstated_limit_is_sent_where_available_is_short(ledger: Ledger, tmp_path: Path) -> None:
    """With little left beside the hold the held limit goes upstream and is said; else the body stays as it came."""
    with open_edge(ledger, tmp_path, "\n[gateway.hold]\nheadroom = 1000\n") as short:
        assert short.chat("smart", "Hello").headers["x-ledger-output-limit"] == "4096"
        assert "x-ledger-output-limit" not in short.chat("cheap", "Hello").headers
        assert "x-ledger-output-limit" not in short.chat("smart", "Hello", max_tokens=50).headers
