"""Anthropic's own client pointed at the gateway, on routes of its own dialect and of OpenAI's."""

from collections.abc import Iterator

import pytest
from anthropic import (
    Anthropic,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
)
from anthropic.types import MessageParam, TextBlock, ToolParam, ToolUseBlock

from ledger.request.events import TokensSettled
from tests.integration.edge_scene import EdgeScene

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}
ARGUMENTS = {"city": "Paris", "days": 1}
TOOL: ToolParam = {"name": "forecast", "input_schema": SCHEMA}
WEATHER = "How will the weather be in Paris?"
HELLO: list[MessageParam] = [{"role": "user", "content": "Hello, 世界"}]
ANSWER = "You said: “Hello, 世界”. This is the demo upstream, and it always answers so."
MODELS = ("claude", "smart", "cheap")


@pytest.fixture(scope="module")
def anthropic(edge: EdgeScene) -> Iterator[Anthropic]:
    """Anthropic's client, which sends its key as `x-api-key` and does not repeat by itself."""
    with Anthropic(api_key=edge.key, base_url=edge.address, max_retries=0) as client:
        yield client


def settled(edge: EdgeScene, request_id: str | None) -> TokensSettled:
    """Return the settlement of a request."""
    event = edge.events(request_id or "")[-1]
    assert isinstance(event, TokensSettled)
    return event


@pytest.mark.parametrize("model", MODELS)
def test_messages_answer_whole_and_as_a_stream(edge: EdgeScene, anthropic: Anthropic, model: str) -> None:
    """The client accumulates a stream to the message that it gets in one piece, from each dialect of an upstream."""
    whole = anthropic.messages.create(model=model, max_tokens=100, messages=HELLO)
    with anthropic.messages.stream(
        model=model, max_tokens=100, messages=HELLO, extra_headers={"x-demo": "*:chunks=20;split=11"}
    ) as stream:
        texts = list(stream.text_stream)
        streamed = stream.get_final_message()

    for message in (whole, streamed):
        assert isinstance(message.content[0], TextBlock)
        assert message.content[0].text == "".join(texts) == ANSWER
        assert message.stop_reason == "end_turn"
        assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 21)
    event = settled(edge, stream.response.headers["x-request-id"])
    assert (event.usage.input_tokens, event.usage.output_tokens, event.policy) == (4, 21, "complete")
    assert len(texts) > 5


@pytest.mark.parametrize("model", MODELS)
def test_the_charge_is_said_whole_and_streamed(edge: EdgeScene, anthropic: Anthropic, model: str) -> None:
    """In headers of a whole answer; in a stream beside the usage of its last delta."""
    answer = anthropic.messages.with_raw_response.create(model=model, max_tokens=100, messages=HELLO)
    event = settled(edge, answer.headers["x-request-id"])
    assert answer.headers["x-ledger-charge"] == f"{event.charge_minor / 10**6:.6f} {event.unit}"
    events = list(anthropic.messages.create(model=model, max_tokens=100, messages=HELLO, stream=True))
    notes = [each.model_dump()["x_ledger"] for each in events if each.type == "message_delta"]
    assert [(note["charge"], note["bucket"]) for note in notes] == [
        (answer.headers["x-ledger-charge"], answer.headers["x-ledger-bucket"])
    ]
    assert events[-1].type == "message_stop"


@pytest.mark.parametrize("model", ["claude", "smart"])
def test_tools_are_called_and_their_results_heard(anthropic: Anthropic, model: str) -> None:
    """A tool is called whole and in a stream with arguments of its schema; after its result comes text."""
    whole = anthropic.messages.create(
        model=model, max_tokens=99, messages=[{"role": "user", "content": WEATHER}], tools=[TOOL]
    )
    with anthropic.messages.stream(
        model=model,
        max_tokens=99,
        messages=[{"role": "user", "content": "Go"}],
        tools=[TOOL],
        tool_choice={"type": "any"},
    ) as stream:
        streamed = stream.get_final_message()
    for message in (whole, streamed):
        called = message.content[0]
        assert isinstance(called, ToolUseBlock)
        assert (called.name, called.input, message.stop_reason) == ("forecast", ARGUMENTS, "tool_use")

    told = anthropic.messages.create(
        model=model,
        max_tokens=99,
        messages=[
            {"role": "user", "content": WEATHER},
            {"role": "assistant", "content": whole.content},
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": streamed.content[0].model_dump()["id"], "content": "rain"}
                ],
            },
        ],
        tools=[TOOL],
    )
    assert told.stop_reason == "end_turn"
    assert isinstance(told.content[0], TextBlock)


def test_thoughts_and_the_cache_are_charged_at_their_own_rates(edge: EdgeScene, anthropic: Anthropic) -> None:
    """What the dialect counts beside its input is part of ours, rated part by part."""
    prompt = "x" * 392 + "[cached]" + "y" * 387 + "[cache-write]" + "z" * 400
    answer = anthropic.messages.with_raw_response.create(
        model="claude",
        max_tokens=2000,
        thinking={"type": "enabled", "budget_tokens": 1024},
        system=[{"type": "text", "text": prompt, "cache_control": {"type": "ephemeral"}}],
        messages=[{"role": "user", "content": ""}],
    )
    event = settled(edge, answer.headers["x-request-id"])
    usage = answer.parse().usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (100, 100, 100)
    assert event.usage.input_tokens == 300
    assert {part: event.usage.parts[part] for part in ("uncached_input", "cache_read", "cache_write_5m")} == {
        "uncached_input": 100,
        "cache_read": 100,
        "cache_write_5m": 100,
    }
    assert event.usage.parts["reasoning"] == 64
    assert event.unpriced == ()


def test_errors_are_the_clients_own(edge: EdgeScene, anthropic: Anthropic) -> None:
    """Keys, models, scopes and faults of the caller are raised as Anthropic's client names them."""
    with pytest.raises(AuthenticationError) as refused:
        anthropic.with_options(api_key="rl_live_wrong_key").messages.create(
            model="claude", max_tokens=9, messages=HELLO
        )
    assert refused.value.type == "authentication_error"
    with pytest.raises(NotFoundError) as unknown:
        anthropic.messages.create(model="nobody-s", max_tokens=9, messages=HELLO)
    assert unknown.value.type == "not_found_error"
    body = unknown.value.response.json()
    assert body["request_id"] == unknown.value.response.headers["x-request-id"]
    narrow = anthropic.with_options(api_key=edge.issue("claude-narrow", models=("cheap",)))
    with pytest.raises(PermissionDeniedError):
        narrow.messages.create(model="claude", max_tokens=9, messages=HELLO)
    with pytest.raises(BadRequestError) as mine:
        anthropic.messages.create(
            model="claude", max_tokens=9, messages=HELLO, extra_headers={"x-demo": "anthropic:refused"}
        )
    assert mine.value.type == "invalid_request_error"
    assert "policy" in mine.value.message
    with pytest.raises(BadRequestError, match="count_tokens"):
        anthropic.messages.count_tokens(model="claude", messages=HELLO)


def test_money_and_pace_are_said_in_anthropics_words(edge: EdgeScene) -> None:
    """A spend limit is a billing error that is not repeated, a limit per minute a rate limit with Retry-After."""
    poor = edge.issue("claude-poor", spend=edge.spend("credit", "0.000001"))
    slow = edge.issue("claude-slow", tokens_per_minute=1)
    with Anthropic(api_key=poor, base_url=edge.address, max_retries=5) as client:
        with pytest.raises(APIStatusError) as broke:
            client.messages.create(model="claude", max_tokens=9, messages=HELLO)
        assert (broke.value.status_code, broke.value.type) == (402, "billing_error")
        assert broke.value.response.request.headers["x-stainless-retry-count"] == "0"
    with (
        Anthropic(api_key=slow, base_url=edge.address, max_retries=0) as client,
        pytest.raises(RateLimitError) as limited,
    ):
        client.messages.create(model="claude", max_tokens=9, messages=HELLO)
    assert limited.value.type == "rate_limit_error"
    assert 1 <= int(limited.value.response.headers["retry-after"]) <= 60


@pytest.mark.parametrize(("model", "provider"), [("claude", "anthropic"), ("smart", "openai")])
@pytest.mark.parametrize("word", ["error_after=3", "cut_after=3"])
def test_an_error_within_a_stream_is_raised(
    edge: EdgeScene, anthropic: Anthropic, model: str, provider: str, word: str
) -> None:
    """The upstream's error event and a broken connection both reach the client's loop as its own exception."""
    texts = []
    with (
        pytest.raises(APIStatusError) as failure,
        anthropic.messages.stream(
            model=model, max_tokens=100, messages=HELLO, extra_headers={"x-demo": f"{provider}:{word}"}
        ) as stream,
    ):
        texts += list(stream.text_stream)
    assert failure.value.body is not None
    event = settled(edge, stream.response.headers["x-request-id"])
    assert (event.policy, event.usage_source) == ("stream_cut_estimated", "partial")
