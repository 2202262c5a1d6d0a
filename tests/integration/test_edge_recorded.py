"""Answers as the providers send them, each through the whole gateway and into the book."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ledger.request.events import AttemptFailed, RequestReleased, TokensSettled
from ledger.service import Ledger
from tests.integration.edge_scene import CLIENT, EdgeScene, open_edge
from tests.integration.recorded_upstream import (
    RecordedUpstream,
    Recording,
    events,
    named_events,
    recorded_upstream,
    whole,
)

VECTORS = Path(__file__).parents[1] / "golden" / "usage"
DIALECTS = ("openai", "anthropic", "gemini", "deepseek", "openrouter", "xai", "vllm")
PARTS = (
    "uncached_input cache_read cache_write_5m cache_write_1h audio_input audio_cache_read image_input video_input"
    " text_output reasoning audio_output image_output requests web_searches tool_calls"
).split()
ROUTE = """
[[providers]]
name = "at-{dialect}"
dialect = "{dialect}"
api_base = "{address}/{dialect}/v1"
cost_unit = "USD"
[[routes]]
name = "via-{dialect}"
provider = "at-{dialect}"
model = "main-model"
bucket = "credit"
tier = "direct"
[routes.price]
source = "test"
valid_from = 2026-01-01T00:00:00Z
[[routes.price.models]]
pattern = "helper-*"
rates = {{ {helper} }}
[[routes.price.models]]
pattern = "*"
rates = {{ {rates} }}
[[model_list]]
model_name = "{dialect}"
targets = ["via-{dialect}"]
num_retries = 1
timeout_seconds = 10
"""
HI = [{"role": "user", "content": "Hello"}]
USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


@pytest.fixture(scope="module")
def upstream() -> Iterator[RecordedUpstream]:
    """An upstream that answers in every dialect what a test has written down."""
    with recorded_upstream() as opened:
        yield opened


@pytest.fixture(scope="module")
def edge(
    module_ledger: Ledger, upstream: RecordedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EdgeScene]:
    """A service with a route to the recorded upstream for each dialect; a helper model costs ten times as much."""
    rates = ", ".join(f'{part} = "{number}.5"' for number, part in enumerate(PARTS, start=1))
    helper = ", ".join(f'{part} = "{number}5"' for number, part in enumerate(PARTS, start=1))
    settings = "retry.first_pause_milliseconds = 1\nbreaker.failures = 1000\nbreaker.account_empty_seconds = 0\n"
    for dialect in DIALECTS:
        settings += ROUTE.format(dialect=dialect, address=upstream.address, rates=rates, helper=helper)
    with open_edge(module_ledger, tmp_path_factory.mktemp("recorded"), settings) as opened:
        yield opened


def completion(content: str = "Hi there", **more: Any) -> dict[str, Any]:
    """Return a chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return {"id": "c1", "object": "chat.completion", "model": "main-model", "choices": [choice], **more}


def chunk(content: str = "", finish: str | None = None, **more: Any) -> dict[str, Any]:
    """Return a chunk of a chat completion."""
    choice = {"index": 0, "delta": {"content": content} if content else {}, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "main-model", "choices": [choice], **more}


def message(content: object, **more: Any) -> dict[str, Any]:
    """Return a message of Anthropic's."""
    head = {"id": "m1", "type": "message", "role": "assistant", "model": "main-model", "content": content}
    return {**head, "stop_reason": "end_turn", "stop_sequence": None, **more}


def ask(
    edge: EdgeScene, upstream: RecordedUpstream, dialect: str, *recordings: Recording, path: str = "", **more: Any
) -> httpx.Response:
    """Make a call that is answered by recordings, one after the other."""
    name = f"recording-{len(upstream.recordings)}"
    upstream.recordings[name] = recordings
    path = path or ("/messages" if dialect == "anthropic" else "/chat/completions")
    body: dict[str, Any] = {"model": dialect}
    body |= {"input": "Hello"} if path in {"/responses", "/embeddings"} else {"messages": HI}
    body |= {"max_tokens": 10_000} if path == "/messages" else {}
    return edge.post(path, body | more, x_demo=name)


def settlement(edge: EdgeScene, answer: httpx.Response) -> TokensSettled:
    """Return the settlement of a call, rated line by line and rounded half to even as it should be."""
    event = edge.ended(answer.headers["x-request-id"])[-1]
    assert isinstance(event, TokensSettled), event
    for line in event.lines:
        number = PARTS.index(line.part) + 1
        # Ten thousand parts of a smallest part: rates are n.5 and n5 for a million tokens, of a unit with six places.
        tenths = line.tokens * (number * 100 + 50 if (line.model or "").startswith("helper") else number * 10 + 5)
        expected = tenths // 10 + (1 if tenths % 10 > 5 or (tenths % 10 == 5 and tenths // 10 % 2) else 0)
        assert line.charge_minor == expected
    assert sum(line.charge_minor for line in event.lines) == event.charge_minor + event.waived_minor
    return event


def golden(*names: str) -> list[Any]:
    """Return the golden usage blocks of dialects whose usage is complete."""
    return [
        pytest.param(name, vector, id=f"{name}: {vector['name']}")
        for name in names
        for vector in json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
        if vector["expect"]["status"] == "complete" and "usageMetadata" not in json.dumps(vector)
    ]


PLACES = {
    "openai_chat": ("openai", "/chat/completions"),
    "openai_responses": ("openai", "/responses"),
    "embeddings": ("openai", "/embeddings"),
}


@pytest.mark.parametrize(
    ("name", "vector"),
    golden(*PLACES, "anthropic", "gemini", "deepseek", "openrouter", "xai", "vllm"),
)
def test_every_known_usage_block_is_charged_as_it_is_meant(
    edge: EdgeScene, upstream: RecordedUpstream, name: str, vector: dict[str, Any]
) -> None:
    """What a provider reports, whole or at the end of a stream, stands part by part in the settlement."""
    dialect, path = PLACES.get(name, (name, ""))
    if "events" in vector:
        recording = (named_events if name in {"anthropic", "openai_responses"} else events)(*vector["events"])
    elif name == "anthropic":
        recording = whole({**message([{"type": "text", "text": "Hi"}]), **vector["body"]})
    elif name == "openai_responses":
        recording = whole({"id": "r1", "output": [], "status": "completed", **vector["body"]})
    elif name == "embeddings":
        recording = whole({"data": [{"index": 0, "embedding": [0.5]}], **vector["body"]})
    else:
        # An output of nothing is believed where nothing came.
        said = "Hi there" if any((vector["expect"].get("output") or {}).values()) else ""
        recording = whole({**completion(said), **vector["body"]})
    answer = ask(edge, upstream, dialect, recording, path=path, stream="events" in vector)
    assert answer.status_code == 200, answer.text
    event = settlement(edge, answer)
    expect = vector["expect"]
    parts = {**(expect.get("input") or {}), **(expect.get("output") or {}), **expect.get("counted", {})}
    assert {part: tokens for part, tokens in event.usage.parts.items() if tokens} == {
        part: tokens for part, tokens in parts.items() if tokens
    }
    assert (event.usage_source, event.policy, event.attempt) == ("reported", "complete", 1)
    others = [[model or "unnamed", parts] for model, parts in expect.get("others", [])]
    assert [[each.model, each.usage.parts] for each in event.others] == others
    cost = expect.get("cost")
    assert (event.provider_cost is None) == (cost is None)
    if cost is not None and event.provider_cost is not None:
        assert event.provider_cost.unit == cost[1] == "USD"
        assert event.provider_cost.minor == round(float(cost[0]) * 10**9)


def test_several_models_in_one_answer_are_rated_entry_by_entry(edge: EdgeScene, upstream: RecordedUpstream) -> None:
    """An advisor's tokens have the advisor's rates, and its lines say so."""
    own = {"type": "message", "model": "main-model", "input_tokens": 100, "output_tokens": 20}
    advisor = {"type": "advisor_message", "model": "helper-1", "input_tokens": 1000, "output_tokens": 300}
    usage = {"input_tokens": 100, "output_tokens": 20, "iterations": [own, advisor]}
    answer = ask(edge, upstream, "anthropic", whole(message([{"type": "text", "text": "Hi"}], usage=usage)))
    event = settlement(edge, answer)
    assert {(line.model, line.part): line.charge_minor for line in event.lines} == {
        (None, "uncached_input"): 150,
        (None, "text_output"): 190,
        ("helper-1", "uncached_input"): 15_000,
        ("helper-1", "text_output"): 28_500,
    }
    assert (event.usage.input_tokens, event.usage.output_tokens) == (100, 20)
    assert answer.headers["x-ledger-charge"] == "0.043840 CREDIT"


def test_running_totals_are_not_added(edge: EdgeScene, upstream: RecordedUpstream) -> None:
    """Each chunk of vLLM may carry all that was used so far; the client sees of it only what it asked for."""
    chunks = [
        chunk("a", usage={"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}),
        chunk("b", usage={"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}),
        chunk("", "stop", usage={"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}),
    ]
    answer = ask(edge, upstream, "vllm", events(*chunks, "[DONE]"), stream=True)
    event = settlement(edge, answer)
    assert (event.usage.input_tokens, event.usage.output_tokens) == (9, 2)
    assert '"usage":' not in answer.text.replace('"usage":"reported"', "")
    cut = settlement(edge, ask(edge, upstream, "vllm", events(*chunks[:2], is_cut=True), stream=True))
    assert (cut.usage.input_tokens, cut.usage.output_tokens) == (9, 2)
    assert (cut.usage_source, cut.policy) == ("partial", "stream_cut_estimated")


def test_an_estimate_is_never_charged_above_the_hold(edge: EdgeScene, upstream: RecordedUpstream) -> None:
    """An upstream that heeds no limit and reports nothing: the rest is waived, not taken."""
    long = "x" * 40_000
    for recording, is_stream in (
        (whole(completion(long)), False),
        (events(chunk(long), chunk("", "stop"), "[DONE]"), True),
        (events(chunk(long), is_cut=True), True),
    ):
        answer = ask(edge, upstream, "openai", recording, stream=is_stream, max_tokens=10)
        event = settlement(edge, answer)
        assert event.usage.output_tokens == 10_000
        assert event.usage_source in {"estimated", "partial"}
        assert event.charge_minor == event.charge_limit_minor == event.captured_minor
        assert event.waived_minor > 0
        assert answer.headers["x-ledger-hold"] == f"{event.charge_minor / 10**6:.6f} CREDIT"
    reported = ask(edge, upstream, "openai", whole(completion(long, usage={**USAGE, "completion_tokens": 9000})))
    event = settlement(edge, reported)
    assert (event.waived_minor, event.charge_limit_minor) == (0, None)


def test_a_model_that_was_not_asked_for_is_flagged(edge: EdgeScene, upstream: RecordedUpstream) -> None:
    """Its name stands in the book as the upstream said it."""
    event = settlement(edge, ask(edge, upstream, "openai", whole(completion(model="other-model", usage=USAGE))))
    assert event.reported_model == "other-model"
    assert event.charge_minor > 0


def test_comments_of_an_upstream_pass(edge: EdgeScene, upstream: RecordedUpstream) -> None:
    """OpenRouter keeps connections alive with comments, before the first word too."""
    recording = events(
        chunk("a"), chunk("", "stop", usage={**USAGE, "cost": 0.25}), "[DONE]", comment=b": OPENROUTER PROCESSING\n\n"
    )
    answer = ask(edge, upstream, "openrouter", recording, stream=True)
    assert answer.text.count(": OPENROUTER PROCESSING\n\n") >= 2
    event = settlement(edge, answer)
    assert event.provider_cost is not None
    assert event.provider_cost.minor == 250_000_000


UNREADABLE = {
    "html": Recording((b"<html>busy</html>",), b"text/html"),
    "empty": Recording((b"",)),
    "no answer": whole({"hello": "world"}),
    "cut": Recording((b'{"choices":[{"index":0,"mess',), is_cut=True),
    "number": whole(7),
    "redirect": Recording((b"",), status=302),
}


@pytest.mark.parametrize("recording", UNREADABLE.values(), ids=UNREADABLE.keys())
@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_what_is_no_answer_is_tried_again_and_never_charged(
    edge: EdgeScene, upstream: RecordedUpstream, recording: Recording, dialect: str, is_stream: bool
) -> None:
    """A page, nothing, half a body: the second call of the route may do better; if not, the hold goes back."""
    answer = ask(edge, upstream, dialect, recording, stream=is_stream)
    assert answer.status_code == 502, answer.text
    assert answer.json()["error"]["message"]
    happened = edge.ended(answer.headers["x-request-id"])
    assert isinstance(happened[-1], RequestReleased)
    assert len([event for event in happened if isinstance(event, AttemptFailed)]) in {1, 2}
    assert len(upstream.calls[answer.headers["x-request-id"]]) == len(happened) - 2


def test_an_odd_answer_is_translated_as_far_as_it_goes(edge: EdgeScene, upstream: RecordedUpstream) -> None:
    """What it lacks or has too much of is no reason to lose what was paid for; its usage is charged as reported."""
    usage = {"input_tokens": 1, "output_tokens": 1}
    for content in ([], [7], ["text"], [{"type": "text", "text": 7}], [{"type": "tool_use"}]):
        answer = ask(edge, upstream, "anthropic", whole(message(content, usage=usage)), path="/chat/completions")
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["choices"]) == 1
        assert settlement(edge, answer).usage.output_tokens == 1
    answer = ask(edge, upstream, "openai", whole({**completion(usage=USAGE), "choices": []}), path="/messages")
    assert answer.json()["content"] == []
    assert settlement(edge, answer).usage.output_tokens == 7


INVALID = "invalid_request_error"
FAULTS: dict[str, tuple[dict[str, Any], int]] = {
    "policy": ({"message": "No.", "type": INVALID, "code": "content_policy_violation"}, 400),
    "context": ({"message": "Too long.", "type": INVALID, "code": "context_length_exceeded"}, 400),
    "account": ({"message": "Quota.", "type": "insufficient_quota", "code": "insufficient_quota"}, 503),
    "overload": ({"message": "Slow down.", "type": "server_error", "code": "slow_down"}, 503),
}


@pytest.mark.parametrize(("error", "status"), FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("path", ["/chat/completions", "/messages"])
def test_an_error_as_the_first_event_is_an_error_of_the_call(
    edge: EdgeScene, upstream: RecordedUpstream, error: dict[str, Any], status: int, path: str
) -> None:
    """The stream has not begun for the client: it gets a status and a body in its dialect, of a stream and of a 200."""
    for recording, is_stream in ((events({"error": error}), True), (whole({"error": error}), False)):
        answer = ask(edge, upstream, "openai", recording, stream=is_stream, path=path)
        assert answer.status_code == status, answer.text
        told = answer.json()["error"]
        assert {"message", "type"} <= set(told)
        assert ("code" in told) == (path == "/chat/completions")
        assert (told["message"] == error["message"]) == (status == 400)
        assert isinstance(edge.ended(answer.headers["x-request-id"])[-1], RequestReleased)


def test_a_retry_gets_the_same_call(edge: EdgeScene, upstream: RecordedUpstream) -> None:
    """After a broken answer the route is asked again, with the same body and the same id."""
    good = whole(completion(usage=USAGE))
    answer = ask(edge, upstream, "openai", UNREADABLE["html"], good, temperature=0.5)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ledger-retries"] == "1"
    first, second = upstream.calls[answer.headers["x-request-id"]]
    assert first == second
    assert first == {"path": "/openai/v1/chat/completions", "model": "main-model", "messages": HI, "temperature": 0.5}
    assert settlement(edge, answer).attempt == 2


def test_only_what_belongs_there_is_sent_on(edge: EdgeScene, upstream: RecordedUpstream) -> None:
    """The dialect's own headers reach the upstream; the caller's key, labels and cookies do not."""
    upstream.recordings["headers"] = [whole(message([{"type": "text", "text": "Hi"}]))]
    sent = {
        "anthropic-beta": "context-1m",
        "anthropic-version": "2023-01-01",
        "x-api-key": edge.key,
        "cookie": f"session={edge.key}",
        "x-ledger-workflow": "secret-plan",
        "x-request-id": "caller-s",
        "x-demo": "headers",
        "x-forwarded-for": "10.0.0.7",
    }
    body = {"model": "anthropic", "max_tokens": 9, "messages": HI}
    answer = CLIENT.post(f"{edge.address}/v1/messages", json=body, headers=sent)
    assert answer.status_code == 200, answer.text
    came = upstream.headers[answer.headers["x-request-id"]]
    allowed = {"accept", "accept-encoding", "content-length", "content-type", "host", "user-agent", "x-demo"}
    assert set(came) - allowed == {"anthropic-beta", "anthropic-version", "x-request-id"}
    assert (came["anthropic-beta"], came["anthropic-version"]) == ("context-1m", "2023-01-01")
    assert edge.key not in str(came)
