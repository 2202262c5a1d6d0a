"""The demo's upstream over HTTP, called by the providers' own clients: alone, and mounted in another application."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator

import anthropic as anthropic_errors
import httpx
import httpx2
import pytest
import uvicorn
from anthropic import Anthropic
from anthropic.types import TextBlock, ToolParam, ToolUseBlock
from litestar import Litestar, asgi
from litestar.types import ASGIApp
from openai import APIError, AuthenticationError, BadRequestError, InternalServerError, OpenAI, RateLimitError
from openai.types.chat import ChatCompletionToolParam
from openai.types.responses import FunctionToolParam, ResponseFunctionToolCall

from gateway.demo.upstream import create_upstream

KEY = "the-demo-s-key"
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"enum": ["celsius", "kelvin"]}},
    "required": ["city", "days", "unit"],
    "additionalProperties": False,
}
ARGUMENTS = {"city": "Paris", "days": 1, "unit": "celsius"}
CHAT_TOOL: ChatCompletionToolParam = {"type": "function", "function": {"name": "forecast", "parameters": SCHEMA}}
RESPONSES_TOOL: FunctionToolParam = {"type": "function", "name": "forecast", "parameters": SCHEMA, "strict": True}
MESSAGES_TOOL: ToolParam = {"name": "forecast", "input_schema": SCHEMA}
WEATHER = "How will the weather be in Paris?"
ANSWER = "You said: “Hello, 世界”. This is the demo upstream, and it always answers so."


@contextlib.contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve an application in a thread and yield its address."""
    config = uvicorn.Config(app, port=0, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/demo"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module", params=["alone", "mounted"])
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """Where the upstream is served, below its mount point."""
    upstream = create_upstream(required_key=KEY)

    app = upstream
    if request.param == "mounted":
        app = Litestar([asgi("/demo", is_mount=True, copy_scope=True)(upstream)], openapi_config=None)
    with served(app) as where:
        yield where


@pytest.fixture
def openai(address: str) -> Iterator[OpenAI]:
    """OpenAI's client, which does not repeat by itself."""
    with OpenAI(api_key=KEY, base_url=f"{address}/openai/v1", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic(address: str) -> Iterator[Anthropic]:
    """Anthropic's client, which does not repeat by itself. It adds `/v1` itself."""
    with Anthropic(api_key=KEY, base_url=f"{address}/anthropic", max_retries=0) as client:
        yield client


def test_chat_answers_and_streams_the_same(openai: OpenAI) -> None:
    """OpenAI's client accumulates a stream to the very completion that it gets in one piece."""
    whole = openai.chat.completions.create(model="gpt-5", messages=[{"role": "user", "content": "Hello, 世界"}])
    with openai.chat.completions.stream(
        model="gpt-5",
        messages=[{"role": "user", "content": "Hello, 世界"}],
        stream_options={"include_usage": True},
        extra_headers={"x-demo": "openai:chunks=20;split=11"},
    ) as stream:
        streamed = stream.get_final_completion()

    assert whole.choices[0].message.content == streamed.choices[0].message.content == ANSWER
    assert whole.choices[0].finish_reason == streamed.choices[0].finish_reason == "stop"
    assert whole.usage == streamed.usage
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens) == (4, 21)


def test_chat_calls_tools(openai: OpenAI) -> None:
    """Asked for the weather, the tool is called with arguments of its schema; after its result comes text."""
    with openai.chat.completions.stream(
        model="gpt-5", messages=[{"role": "user", "content": WEATHER}], tools=[CHAT_TOOL]
    ) as stream:
        asked = stream.get_final_completion().choices[0]
    assert asked.message.tool_calls is not None
    call = asked.message.tool_calls[0]
    told = openai.chat.completions.create(
        model="gpt-5",
        messages=[
            {"role": "user", "content": WEATHER},
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": call.id, "type": "function", "function": {"name": "forecast", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": call.id, "content": "rain"},
        ],
        tools=[CHAT_TOOL],
    )

    assert asked.finish_reason == "tool_calls"
    assert (call.function.name, json.loads(call.function.arguments)) == ("forecast", ARGUMENTS)
    assert told.choices[0].finish_reason == "stop"
    assert told.choices[0].message.content


def test_chat_keeps_to_what_was_asked(openai: OpenAI) -> None:
    """Choices, the limit, JSON by schema and probabilities come as asked for."""
    cut = openai.chat.completions.create(
        model="gpt-5", messages=[{"role": "user", "content": "Hi"}], n=2, max_completion_tokens=3, logprobs=True
    )
    formed = openai.chat.completions.create(
        model="gpt-5",
        messages=[{"role": "user", "content": "Hi"}],
        response_format={"type": "json_schema", "json_schema": {"name": "forecast", "schema": SCHEMA}},
    )

    assert [(each.index, each.finish_reason, each.message.content) for each in cut.choices] == [
        (0, "length", "You said: "),
        (1, "length", "You said: "),
    ]
    assert cut.usage is not None
    assert cut.usage.completion_tokens == 6
    assert cut.choices[0].logprobs is not None
    assert cut.choices[0].logprobs.content is not None
    assert json.loads(formed.choices[0].message.content or "") == ARGUMENTS


def test_responses_answer_and_stream_the_same(openai: OpenAI) -> None:
    """OpenAI's client gets the same response whole and as a stream, with reasoning if asked for."""
    whole = openai.responses.create(model="gpt-5", input="Hello, 世界", reasoning={"effort": "low"})
    with openai.responses.stream(model="gpt-5", input="Hello, 世界", reasoning={"effort": "low"}) as stream:
        streamed = stream.get_final_response()

    assert whole.output_text == streamed.output_text == ANSWER
    assert whole.status == streamed.status == "completed"
    assert whole.usage == streamed.usage
    assert whole.usage is not None
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (4, 21 + 32)
    assert whole.usage.output_tokens_details.reasoning_tokens == 32


def test_responses_call_tools_and_keep_to_the_limit(openai: OpenAI) -> None:
    """A function is called in both ways, and a response at its limit is incomplete."""
    whole = openai.responses.create(model="gpt-5", input=WEATHER, tools=[RESPONSES_TOOL])
    with openai.responses.stream(model="gpt-5", input="Go", tools=[RESPONSES_TOOL], tool_choice="required") as stream:
        streamed = stream.get_final_response()
    short = openai.responses.create(model="gpt-5", input="Hello", max_output_tokens=16, reasoning={"effort": "low"})
    events = list(openai.responses.create(model="gpt-5", input="Hello", max_output_tokens=2, stream=True))

    for called in (whole.output[0], streamed.output[0]):
        assert isinstance(called, ResponseFunctionToolCall)
        assert (called.name, json.loads(called.arguments)) == ("forecast", ARGUMENTS)
    assert short.incomplete_details is not None
    assert (short.status, short.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert short.usage is not None
    assert short.usage.output_tokens == 16
    assert events[-1].type == "response.incomplete"


def test_embeddings_come_as_numbers(openai: OpenAI) -> None:
    """Each input has its vector, the same in both encodings; equal texts have equal vectors."""
    found = openai.embeddings.create(model="embed", input=["a", "b", "a"], dimensions=16)
    plain = openai.embeddings.create(model="embed", input="a", dimensions=16, encoding_format="float")

    assert [len(each.embedding) for each in found.data] == [16, 16, 16]
    assert found.data[0].embedding == found.data[2].embedding != found.data[1].embedding
    assert found.data[0].embedding == pytest.approx(plain.data[0].embedding)
    assert found.usage.prompt_tokens == 1


def test_messages_answer_and_stream_the_same(anthropic: Anthropic) -> None:
    """Anthropic's client accumulates a stream to the very message that it gets in one piece."""
    whole = anthropic.messages.create(
        model="claude-sonnet-4-6", max_tokens=100, messages=[{"role": "user", "content": "Hello, 世界"}]
    )
    with anthropic.messages.stream(
        model="claude-sonnet-4-6", max_tokens=100, messages=[{"role": "user", "content": "Hello, 世界"}]
    ) as stream:
        streamed = stream.get_final_message()

    for message in (whole, streamed):
        assert isinstance(message.content[0], TextBlock)
        assert message.content[0].text == ANSWER
        assert message.stop_reason == "end_turn"
        assert (message.usage.input_tokens, message.usage.output_tokens) == (4, 21)


def test_messages_call_tools_and_think(anthropic: Anthropic) -> None:
    """A tool is called in both ways, after a thought where thinking is on; the limit stops the answer."""
    whole = anthropic.messages.create(
        model="claude", max_tokens=99, messages=[{"role": "user", "content": WEATHER}], tools=[MESSAGES_TOOL]
    )
    with anthropic.messages.stream(
        model="claude",
        max_tokens=2000,
        messages=[{"role": "user", "content": "Go"}],
        tools=[MESSAGES_TOOL],
        tool_choice={"type": "any"},
        thinking={"type": "enabled", "budget_tokens": 1024},
    ) as stream:
        streamed = stream.get_final_message()
    short = anthropic.messages.create(model="claude", max_tokens=2, messages=[{"role": "user", "content": "Hi"}])

    assert streamed.content[0].type == "thinking"
    for called in (whole.content[0], streamed.content[1]):
        assert isinstance(called, ToolUseBlock)
        assert (called.name, called.input) == ("forecast", ARGUMENTS)
    assert (whole.stop_reason, streamed.stop_reason, short.stop_reason) == ("tool_use", "tool_use", "max_tokens")
    assert short.usage.output_tokens == 2


def test_failures_are_those_of_the_interface(openai: OpenAI, anthropic: Anthropic) -> None:
    """The clients raise their own exceptions, with codes and Retry-After."""
    for word, kind, code in (
        ("status=503", InternalServerError, "overloaded"),
        ("account_empty", RateLimitError, "insufficient_quota"),
        ("context_window", BadRequestError, "context_length_exceeded"),
        ("refused", BadRequestError, "content_policy_violation"),
    ):
        with pytest.raises(kind) as failure:
            openai.responses.create(model="gpt-5", input="Hi", extra_headers={"x-demo": f"*:{word}"})
        assert failure.value.code == code
    with pytest.raises(RateLimitError) as limited:
        openai.responses.create(model="gpt-5", input="Hi", extra_headers={"x-demo": "*:retry_after=3"})
    with pytest.raises(anthropic_errors.APIStatusError) as overloaded:
        anthropic.messages.create(
            model="claude",
            max_tokens=9,
            messages=[{"role": "user", "content": "Hi"}],
            extra_headers={"x-demo": "anthropic:status=529"},
        )

    assert limited.value.response.headers["retry-after"] == "3"
    assert (overloaded.value.status_code, overloaded.value.type) == (529, "overloaded_error")


def test_a_call_without_the_key_is_refused_and_the_key_not_echoed(address: str) -> None:
    """Neither a wrong key nor the right one ever stands in an answer."""
    with (
        OpenAI(api_key="wrong-key", base_url=f"{address}/openai/v1", max_retries=0) as client,
        pytest.raises(AuthenticationError) as refused,
    ):
        client.responses.create(model="gpt-5", input="Hi")
    assert "wrong-key" not in refused.value.response.text
    assert httpx.post(f"{address}/anthropic/v1/messages", json={}).json()["error"]["type"] == "authentication_error"
    assert KEY not in httpx.get(f"{address}/openai/calls").text


def test_streams_break_as_told(openai: OpenAI, anthropic: Anthropic) -> None:
    """A cut stream ends without its last chunk; a failing one says so in the interface's own event."""
    for word, kind in (("cut_after=3", APIError), ("error_after=3", APIError)):
        texts = []
        with pytest.raises((kind, httpx2.RemoteProtocolError)):  # noqa: PT012 - the text comes before the break
            for chunk in openai.chat.completions.create(
                model="gpt-5",
                messages=[{"role": "user", "content": "Hi"}],
                stream=True,
                extra_headers={"x-demo": f"*:{word};delay_ms=1"},
            ):
                texts.append(chunk.choices[0].delta.content)
        assert len([text for text in texts if text]) == 3
    with (
        pytest.raises(anthropic_errors.APIStatusError),
        anthropic.messages.stream(
            model="claude",
            max_tokens=99,
            messages=[{"role": "user", "content": "Hi"}],
            extra_headers={"x-demo": "*:error_after=1"},
        ) as stream,
    ):
        stream.until_done()


def test_times_count_per_request_and_provider(address: str) -> None:
    """The first call of a request fails and its repeat succeeds; another request begins anew."""
    body = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hi"}]}
    statuses = []
    for provider, request_id in (("openai", "a"), ("openai", "a"), ("azure", "a"), ("openai", "b"), ("openai", "b")):
        headers = {"authorization": f"Bearer {KEY}", "x-request-id": request_id, "x-demo": "*:status=503;times=1"}
        answer = httpx.post(f"{address}/{provider}/v1/chat/completions", json=body, headers=headers)
        statuses.append(answer.status_code)

    assert statuses == [503, 200, 503, 503, 200]


def test_what_was_served_is_told(address: str) -> None:
    """Each call is listed under its request with its tokens and its end; the sums are of complete answers."""
    httpx.delete(f"{address}/counted/calls").raise_for_status()
    body = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hello, 世界"}], "stream": True}
    for told in ("", "*:cut_after=2", "*:status=500"):
        headers = {"authorization": f"Bearer {KEY}", "x-request-id": "r", "x-demo": told}
        with contextlib.suppress(httpx.RemoteProtocolError):
            httpx.post(f"{address}/counted/v1/chat/completions", json=body, headers=headers)

    report = httpx.get(f"{address}/counted/calls").json()

    assert report["totals"] | {"calls": 3, "complete": 1, "input_tokens": 4, "output_tokens": 21} == report["totals"]
    calls = report["requests"]["r"]
    assert [(each["ending"], each["status"], each["output_tokens"]) for each in calls] == [
        ("complete", 200, 21),
        ("cut", 200, 21),
        ("failed", 500, 0),
    ]
    assert [each["content_bytes"] for each in calls] == [
        len(ANSWER.encode()),
        len(ANSWER[: len(ANSWER) * 2 // 8].encode()),
        0,
    ]
    assert "世界" not in json.dumps(report, ensure_ascii=False)


@pytest.mark.parametrize("word", ["hang_after=1", "delay_ms=5000", "stall_ms=60000"])
def test_a_caller_that_goes_is_noticed(address: str, word: str) -> None:
    """An upstream that waits ends the call as soon as its caller closes the connection."""
    body = {"model": "gpt-5", "messages": [{"role": "user", "content": word}], "stream": True}
    headers = {"authorization": f"Bearer {KEY}", "x-request-id": word, "x-demo": f"*:{word}"}
    with contextlib.suppress(httpx.ReadTimeout):
        httpx.post(f"{address}/left/v1/chat/completions", json=body, headers=headers, timeout=0.3)

    calls: list[dict[str, object]] = []
    deadline = time.monotonic() + 5
    while not calls and time.monotonic() < deadline:
        time.sleep(0.02)
        calls = httpx.get(f"{address}/left/calls").json()["requests"].get(word, [])
    assert [each["ending"] for each in calls] == ["hung" if "hang" in word else "caller_gone"]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("openai/v1/chat/completions", b"{", "body"),
        ("openai/v1/chat/completions", b'{"model": "m"}', "messages"),
        ("openai/v1/audio/speech", b"{}", "no such endpoint"),
    ],
)
def test_what_is_not_understood_is_said(address: str, path: str, body: bytes, words: str) -> None:
    """A body that is none, and an endpoint that is not there, are answered in words."""
    answer = httpx.post(f"{address}/{path}", content=body, headers={"authorization": f"Bearer {KEY}"})

    assert answer.status_code in {400, 404}
    assert words in answer.json()["error"]["message"]


def test_models_are_listed(openai: OpenAI, anthropic: Anthropic) -> None:
    """Both clients can list the demo's models."""
    assert [each.id for each in openai.models.list()] == [each.id for each in anthropic.models.list()]
