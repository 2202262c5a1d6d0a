"""What is charged where an answer did not end as it should: one rule for each way, and each stands in the book."""

import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ledger.events import Event
from ledger.request.events import AttemptFailed, RequestReleased, RequestRouted, TokensSettled
from tests.integration.edge_scene import CLIENT, EdgeScene, beside

TEXT = "Hello, 世界"
HELLO = [{"role": "user", "content": TEXT}]
INPUT_ESTIMATE = -(-len(TEXT.encode()) // 4)
CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "chat": ("openai", "/chat/completions", {"model": "smart", "messages": HELLO}),
    "responses": ("openai", "/responses", {"model": "smart", "input": TEXT}),
    "messages": ("anthropic", "/messages", {"model": "claude", "max_tokens": 400, "messages": HELLO}),
    "chat to messages": ("anthropic", "/chat/completions", {"model": "claude", "messages": HELLO}),
    "messages to chat": ("openai", "/messages", {"model": "smart", "max_tokens": 400, "messages": HELLO}),
}
every_call = pytest.mark.parametrize("call", CALLS)
KNOWN_INPUT = {"messages", "chat to messages"}
"""Streams that state their input at their beginning."""


@pytest.fixture(scope="module")
def hasty(edge: EdgeScene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeScene]:
    """A second gateway, which drains for a moment only, and gives holds back where usage is not known."""
    settings = (
        'settlement.drain_seconds = 0.2\nsettlement.stream_cut = "release"\nsettlement.usage_missing = "release"\n'
        "retry.first_pause_milliseconds = 1\n"
    )
    with beside(edge, tmp_path_factory.mktemp("hasty"), settings) as second:
        yield second


@pytest.fixture(scope="module")
def incurious(edge: EdgeScene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeScene]:
    """A third one, which reads nothing on for clients who are gone."""
    with beside(edge, tmp_path_factory.mktemp("incurious"), 'settlement.client_gone = "estimate"\n') as third:
        yield third


def settled(events: list[Event]) -> TokensSettled:
    """Return the settlement, which is one and the last event; its sums must hold."""
    last = events[-1]
    assert isinstance(last, TokensSettled), events
    assert not any(isinstance(event, TokensSettled | RequestReleased) for event in events[:-1])
    routed = events[0]
    assert isinstance(routed, RequestRouted)
    assert last.captured_minor + last.released_minor == routed.hold_minor
    assert sum(line.charge_minor for line in last.lines) == last.charge_minor + last.waived_minor
    return last


def stream(edge: EdgeScene, call: str, told: str, **more: Any) -> httpx.Response:
    """Make a call that streams, and return all of its answer."""
    _, path, body = CALLS[call]
    headers = {"Authorization": f"Bearer {edge.key}", "x-demo": told}
    return CLIENT.post(f"{edge.address}/v1{path}", json={**body, "stream": True, **more}, headers=headers)


def delivered_bytes(answer: str) -> int:
    """Return how many bytes of generated text a stream has, in any of the dialects."""
    text = ""
    for line in re.findall(r"^data: (\{.*)$", answer, re.MULTILINE):
        data = json.loads(line)
        for choice in data.get("choices", ()):
            text += choice["delta"].get("content") or ""
        if data.get("type") == "content_block_delta":
            text += data["delta"]["text"]
        elif data.get("type") == "response.output_text.delta":
            text += data["delta"]
    return len(text.encode())


@every_call
def test_an_answer_whose_client_hung_up_is_read_to_its_end(edge: EdgeScene, call: str) -> None:
    """Only its end says what it cost: the upstream is drained, and what it reports is charged."""
    provider, path, body = CALLS[call]
    request_id = edge.hang_up(path, body, f"{provider}:chunks=10;delay_ms=20")
    event = settled(edge.ended(request_id))
    assert (event.policy, event.usage_source) == ("client_gone_drained", "reported")
    assert (event.usage.input_tokens, event.usage.output_tokens) == (4, 21)
    served = edge.served(provider)["requests"][request_id]
    assert [each["ending"] for each in served] == ["complete"]


@every_call
def test_when_the_drain_is_over_what_came_is_estimated(hasty: EdgeScene, call: str) -> None:
    """The upstream is left, and input and delivered text are charged by their bytes, flagged as partial."""
    provider, path, body = CALLS[call]
    started = time.monotonic()
    request_id = hasty.hang_up(path, body, f"{provider}:chunks=20;delay_ms=100;answer_bytes=400")
    event = settled(hasty.ended(request_id))
    assert time.monotonic() - started < 1.8
    assert (event.policy, event.usage_source) == ("client_gone_estimated", "partial")
    assert event.usage.input_tokens == INPUT_ESTIMATE
    assert 0 < event.usage.output_tokens < 100
    assert event.charge_limit_minor is not None
    assert event.charge_minor <= event.charge_limit_minor
    [served] = await_served(hasty, provider, request_id)
    assert served["ending"] == "caller_gone"
    assert event.usage.output_tokens <= -(-served["content_bytes"] // 4) <= event.usage.output_tokens + 5


def await_served(edge: EdgeScene, provider: str, request_id: str) -> list[dict[str, Any]]:
    """Return the upstream's calls of a request, once it has noticed their end."""
    for _ in range(200):
        answer = CLIENT.get(f"{upstream_address(edge)}/demo/{provider}/calls").json()
        served: list[dict[str, Any]] = answer["requests"].get(request_id, [])
        if served:
            return served
        time.sleep(0.02)
    return []


def upstream_address(edge: EdgeScene) -> str:
    """Return where the upstream of all gateways of this module is served."""
    base = edge.ledger.read_catalog().providers["demo-openai"].api_base
    return base.partition("/demo/")[0]


def test_nothing_is_read_on_where_the_configuration_says_so(incurious: EdgeScene) -> None:
    """`estimate`: the upstream is left as soon as the client is."""
    provider, path, body = CALLS["chat"]
    started = time.monotonic()
    request_id = incurious.hang_up(path, body, f"{provider}:chunks=20;delay_ms=100")
    event = settled(incurious.ended(request_id))
    assert time.monotonic() - started < 1.5
    assert (event.policy, event.usage_source) == ("client_gone_estimated", "partial")


def leave_during(edge: EdgeScene, body: dict[str, Any], told: str, seconds: float) -> None:
    """Make a call and hang up after some time, without having read anything."""
    port = int(edge.address.rpartition(":")[2])
    content = json.dumps(body).encode()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\nauthorization: Bearer %b\r\n"
            b"x-demo: %b\r\n\r\n%b" % (len(content), edge.key.encode(), told.encode(), content)
        )
        time.sleep(seconds)


def newest(edge: EdgeScene, end_user: str) -> list[Event]:
    """Return what happened to the one request of an end user, once it has come to its end."""
    request_id = edge.request_of(end_user)
    return edge.ended(request_id)


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_client_who_leaves_before_the_first_word_pays_what_is_served(edge: EdgeScene, is_stream: bool) -> None:
    """The upstream is at work by then: its answer is read, and charged as it reports."""
    name = f"leaves-early-{is_stream}"
    body = {"model": "smart", "messages": HELLO, "stream": is_stream, "user": name}
    leave_during(edge, body, "openai:stall_ms=500", 0.2)
    event = settled(newest(edge, name))
    assert (event.policy, event.usage_source) == ("client_gone_drained", "reported")
    assert event.usage.output_tokens == 21


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_client_who_leaves_an_upstream_that_says_nothing_pays_the_input(hasty: EdgeScene, is_stream: bool) -> None:
    """After the drain the input is estimated, and no output is charged."""
    name = f"leaves-silence-{is_stream}"
    body = {"model": "smart", "messages": HELLO, "stream": is_stream, "user": name}
    leave_during(hasty, body, "openai:stall_ms=3000", 0.2)
    event = settled(newest(hasty, name))
    assert (event.policy, event.usage_source) == ("client_gone_estimated", "partial")
    assert (event.usage.input_tokens, event.usage.output_tokens) == (INPUT_ESTIMATE, 0)


def test_nobody_is_called_for_a_client_who_left_during_a_pause(edge: EdgeScene) -> None:
    """The hold goes back without another attempt: nobody waits for it, and nobody pays for it."""
    body = {"model": "smart", "messages": HELLO, "user": "leaves-pause"}
    leave_during(edge, body, "openai:status=429;retry_after=1", 0.3)
    events = newest(edge, "leaves-pause")
    assert isinstance(events[-1], RequestReleased)
    assert events[-1].cause == "cancelled"
    assert len([event for event in events if isinstance(event, AttemptFailed)]) == 1


@every_call
@pytest.mark.parametrize("word", ["cut_after=3", "error_after=3"])
def test_a_stream_that_breaks_after_content_ends_with_an_error(edge: EdgeScene, call: str, word: str) -> None:
    """No retry, the dialect's error event, and input and delivered text are charged; the error's text is not."""
    provider, _, _ = CALLS[call]
    answer = stream(edge, call, f"{provider}:{word}")
    last = answer.text.strip().rpartition("\n\n")[2]
    error = json.loads(last.rpartition("data: ")[2])
    if call.startswith("messages"):
        assert last.startswith("event: error\n")
        assert error["type"] == "error"
        assert error["error"]["type"] in {"api_error", "overloaded_error"}
    else:
        assert error["error"]["type"] == "server_error"
    assert "[DONE]" not in answer.text
    assert "message_stop" not in answer.text
    assert answer.headers["x-ledger-attempts"] == "1"
    event = settled(edge.ended(answer.headers["x-request-id"]))
    assert (event.policy, event.usage_source) == ("stream_cut_estimated", "partial")
    delivered = delivered_bytes(answer.text)
    assert delivered > 0
    assert "was told to fail" not in answer.text
    assert (event.usage.input_tokens, event.usage.output_tokens) == (INPUT_ESTIMATE, -(-delivered // 4))
    assert f'"charge":"{event.charge_minor / 10**6:.6f} CREDIT"' in answer.text


@every_call
@pytest.mark.parametrize("word", ["cut_after=0", "error_after=0", "status=500"])
def test_a_stream_that_breaks_before_content_is_tried_again(edge: EdgeScene, call: str, word: str) -> None:
    """The client sees nothing of it but a header, and pays for the answer that came."""
    provider, _, _ = CALLS[call]
    answer = stream(edge, call, f"{provider}:{word};times=1")
    assert answer.headers["x-ledger-retries"] == "1"
    assert delivered_bytes(answer.text) == 83
    events = edge.ended(answer.headers["x-request-id"])
    event = settled(events)
    assert (event.policy, event.attempt, event.usage.output_tokens) == ("complete", 2, 21)
    failed = [each for each in events if isinstance(each, AttemptFailed)]
    assert [(each.attempt, each.retried) for each in failed] == [(1, True)]


@every_call
@pytest.mark.parametrize("is_stream", [True, False])
def test_an_answer_without_usage_is_estimated(edge: EdgeScene, call: str, is_stream: bool) -> None:
    """Four bytes a token, for what was asked and what was answered; flagged, and never more than the hold."""
    provider, _, _ = CALLS[call]
    answer = stream(edge, call, f"{provider}:no_usage", stream=is_stream)
    assert answer.status_code == 200, answer.text
    event = settled(edge.ended(answer.headers["x-request-id"]))
    assert (event.policy, event.usage_source) == ("usage_missing_estimated", "estimated")
    assert (event.usage.input_tokens, event.usage.output_tokens) == (INPUT_ESTIMATE, 21)
    if not is_stream:
        assert answer.headers["x-ledger-usage"] == "estimated"
    else:
        assert '"usage":"estimated"' in answer.text


@pytest.mark.parametrize("call", ["chat", "messages", "messages to chat"])
@pytest.mark.parametrize("word", ["cut_after=3", "no_usage"])
def test_the_configuration_may_give_back_what_is_not_known(hasty: EdgeScene, call: str, word: str) -> None:
    """`release`: nothing is charged, and the answer says so."""
    provider, _, _ = CALLS[call]
    answer = stream(hasty, call, f"{provider}:{word}")
    events = hasty.ended(answer.headers["x-request-id"])
    assert isinstance(events[-1], RequestReleased)
    assert '"status":"released","charge":"0.000000 CREDIT"' in answer.text
    if word == "no_usage":
        whole = stream(hasty, call, f"{provider}:{word}", stream=False)
        assert (whole.headers["x-ledger-status"], whole.headers["x-ledger-charge"]) == ("released", "0.000000 CREDIT")
