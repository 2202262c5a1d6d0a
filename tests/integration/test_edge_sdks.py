"""OpenAI's own client pointed at the gateway: nothing is changed but its address and its key."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from openai import (
    APIError,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    PermissionDeniedError,
    RateLimitError,
)
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from openai.types.responses import FunctionToolParam, ResponseFunctionToolCall

from ledger.core.amounts import StatedAmount
from ledger.request.commands import ReleaseRequest, RouteRequest
from ledger.request.events import RequestRouted, TokensSettled, Why
from tests.integration.edge_scene import ACME, EdgeScene

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
ARGUMENTS = {"city": "Paris", "days": 1}
CHAT_TOOL: ChatCompletionToolParam = {"type": "function", "function": {"name": "forecast", "parameters": SCHEMA}}
RESPONSES_TOOL: FunctionToolParam = {"type": "function", "name": "forecast", "parameters": SCHEMA, "strict": True}
WEATHER = "How will the weather be in Paris?"
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello, 世界"}]
ANSWER = "You said: “Hello, 世界”. This is the demo upstream, and it always answers so."


@pytest.fixture(scope="module")
def openai(edge: EdgeScene) -> Iterator[OpenAI]:
    """OpenAI's client, which does not repeat by itself."""
    with OpenAI(api_key=edge.key, base_url=f"{edge.address}/v1", max_retries=0) as client:
        yield client


def settled(edge: EdgeScene, request_id: str | None) -> TokensSettled:
    """Return the settlement of a request."""
    event = edge.events(request_id or "")[-1]
    assert isinstance(event, TokensSettled)
    return event


@pytest.mark.parametrize("model", ["smart", "claude", "cheap"])
def test_chat_answers_whole_and_as_a_stream(edge: EdgeScene, openai: OpenAI, model: str) -> None:
    """The client accumulates a stream to the completion that it gets in one piece, from each dialect of an upstream."""
    whole = openai.chat.completions.create(model=model, messages=HELLO)
    with openai.chat.completions.stream(
        model=model,
        messages=HELLO,
        stream_options={"include_usage": True},
        extra_headers={"x-demo": "*:chunks=20;split=11"},
    ) as stream:
        streamed = stream.get_final_completion()

    assert whole.choices[0].message.content == streamed.choices[0].message.content == ANSWER
    assert whole.choices[0].finish_reason == streamed.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert streamed.usage is not None
    counts = (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens)
    assert counts == (streamed.usage.prompt_tokens, streamed.usage.completion_tokens, streamed.usage.total_tokens)
    assert counts == (4, 21, 25)
    event = settled(edge, whole._request_id)
    assert (event.usage.input_tokens, event.usage.output_tokens, event.policy) == (4, 21, "complete")


def test_without_include_usage_a_stream_has_no_word_of_usage(openai: OpenAI) -> None:
    """It is asked for upstream and taken out again; the comment about the charge does not disturb the client."""
    chunks = list(openai.chat.completions.create(model="smart", messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == ANSWER
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    assert all("x_ledger" not in chunk.model_dump() for chunk in chunks)


def test_with_include_usage_the_charge_stands_beside_it(edge: EdgeScene, openai: OpenAI) -> None:
    """The last chunk has no choices, OpenAI's usage, and what was charged for it from which balance."""
    answer = openai.chat.completions.with_raw_response.create(
        model="smart", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    *others, last = list(answer.parse())
    event = settled(edge, answer.headers["x-request-id"])
    note = last.model_dump()["x_ledger"]

    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (4, 21)
    assert all(chunk.usage is None for chunk in others)
    assert note["request_id"] == answer.headers["x-request-id"]
    assert note["charge"] == f"{event.charge_minor / 10**6:.6f} CREDIT"
    assert (note["status"], note["usage"], note["bucket"]) == ("settled", "reported", "credit")
    assert answer.headers["x-ledger-route"] == note["route"] == "smart-direct"


def test_a_whole_answer_says_in_headers_what_was_charged(edge: EdgeScene, openai: OpenAI) -> None:
    """The raw response has the request id and every fact of the call's way."""
    answer = openai.chat.completions.with_raw_response.create(model="cheap", messages=HELLO)
    event = settled(edge, answer.headers["x-request-id"])
    said = {name: value for name, value in answer.headers.items() if name.startswith("x-ledger")}
    assert said == {
        "x-ledger-route": "cheap-ordinary",
        "x-ledger-tier": "ordinary",
        "x-ledger-bucket": "rmb",
        "x-ledger-hold": said["x-ledger-hold"],
        "x-ledger-attempts": "1",
        "x-ledger-retries": "0",
        "x-ledger-fallback": "none",
        "x-ledger-status": "settled",
        "x-ledger-charge": f"{event.charge_minor / 10**6:.6f} CNY",
        "x-ledger-usage": "reported",
    }
    assert said["x-ledger-hold"].endswith(" CNY")
    assert answer.parse()._request_id == answer.headers["x-request-id"]


@pytest.mark.parametrize("model", ["smart", "claude"])
def test_chat_calls_tools_and_hears_their_results(openai: OpenAI, model: str) -> None:
    """A tool is called whole and in a stream, with arguments of its schema; after its result comes text."""
    whole = openai.chat.completions.create(
        model=model, messages=[{"role": "user", "content": WEATHER}], tools=[CHAT_TOOL]
    )
    with openai.chat.completions.stream(
        model=model, messages=[{"role": "user", "content": "Go"}], tools=[CHAT_TOOL], tool_choice="required"
    ) as stream:
        streamed = stream.get_final_completion().choices[0]
    assert whole.choices[0].finish_reason == streamed.finish_reason == "tool_calls"
    assert streamed.message.tool_calls is not None
    called = streamed.message.tool_calls[0]
    assert (called.function.name, json.loads(called.function.arguments)) == ("forecast", ARGUMENTS)
    assert (whole.choices[0].message.tool_calls or [])[0].type == "function"

    told = openai.chat.completions.create(
        model=model,
        messages=[
            {"role": "user", "content": WEATHER},
            {
                "role": "assistant",
                "tool_calls": [
                    {
                        "id": called.id,
                        "type": "function",
                        "function": {"name": "forecast", "arguments": called.function.arguments},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": called.id, "content": "rain"},
        ],
        tools=[CHAT_TOOL],
    )
    assert told.choices[0].finish_reason == "stop"
    assert told.choices[0].message.content


def test_responses_answer_whole_and_as_a_stream(edge: EdgeScene, openai: OpenAI) -> None:
    """Reasoning is counted, the charge stands beside the usage, and a response can be continued on its route."""
    whole = openai.responses.create(model="smart", input="Hello, 世界", reasoning={"effort": "low"})
    with openai.responses.stream(model="smart", input="Hello, 世界", reasoning={"effort": "low"}) as stream:
        streamed = stream.get_final_response()
    assert whole.output_text == streamed.output_text == ANSWER
    assert whole.usage is not None
    assert whole.usage == streamed.usage
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (4, 21 + 32)
    assert streamed.model_dump()["x_ledger"]["bucket"] == "credit"
    assert settled(edge, whole._request_id).usage.parts["reasoning"] == 32

    next_one = openai.responses.create(model="smart", input="And?", previous_response_id=streamed.id)
    assert next_one.status == "completed"
    routed = edge.events(str(next_one._request_id))[0]
    assert isinstance(routed, RequestRouted)
    assert routed.estimate is not None
    # What the earlier answer read and said is held again, beside the new words and the body around them.
    assert 2 + 4 + 21 + 32 <= routed.estimate.input_tokens < 200
    with pytest.raises(BadRequestError) as unknown:
        openai.responses.create(model="smart", input="And?", previous_response_id="resp_of_nobody")
    assert (unknown.value.code, unknown.value.param) == ("previous_response_not_found", "previous_response_id")


def test_responses_call_tools(openai: OpenAI) -> None:
    """A function is called whole and in a stream."""
    whole = openai.responses.create(model="smart", input=WEATHER, tools=[RESPONSES_TOOL])
    with openai.responses.stream(model="smart", input="Go", tools=[RESPONSES_TOOL], tool_choice="required") as stream:
        streamed = stream.get_final_response()
    for called in (whole.output[0], streamed.output[0]):
        assert isinstance(called, ResponseFunctionToolCall)
        assert (called.name, json.loads(called.arguments)) == ("forecast", ARGUMENTS)


def test_embeddings_come_as_numbers(edge: EdgeScene, openai: OpenAI) -> None:
    """Each input has its vector, in both encodings, and only input is charged."""
    found = openai.embeddings.create(model="embed", input=["a" * 4000, "b"], dimensions=16)
    answer = openai.embeddings.with_raw_response.create(model="embed", input="a" * 4000, encoding_format="float")
    assert [len(each.embedding) for each in found.data] == [16, 16]
    event = settled(edge, answer.headers["x-request-id"])
    assert (event.usage.input_tokens, event.usage.output_tokens, event.charge_minor) == (1000, 0, 125)


def test_models_are_listed_with_their_prices(openai: OpenAI) -> None:
    """The list has OpenAI's fields, and in further ones bucket, tier, price and discount."""
    models = {model.id: model.model_dump() for model in openai.models.list()}
    assert set(models) >= {"smart", "claude", "embed", "cheap", "economy"}
    assert (models["cheap"]["bucket"], models["cheap"]["tier"], models["cheap"]["discount"]) == (
        "rmb",
        "ordinary",
        "20.0 %",
    )
    assert openai.models.retrieve("smart").model_dump()["price"]["text_output"] == "62.5"
    assert "demo-openai" not in json.dumps(models)
    with pytest.raises(NotFoundError):
        openai.models.retrieve("nobody-s")


def test_errors_are_the_clients_own(edge: EdgeScene, openai: OpenAI) -> None:
    """Keys, models, faults of the caller and failures of all routes are raised as the client names them."""
    wrong = openai.with_options(api_key="rl_live_wrong_key")
    with pytest.raises(AuthenticationError) as refused:
        wrong.chat.completions.create(model="smart", messages=HELLO)
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(NotFoundError) as unknown:
        openai.chat.completions.create(model="nobody-s", messages=HELLO)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert unknown.value.request_id is not None
    with pytest.raises(BadRequestError) as background:
        openai.responses.create(model="smart", input="Hi", background=True)
    assert background.value.param == "background"
    with pytest.raises(InternalServerError) as failed:
        openai.chat.completions.create(model="smart", messages=HELLO, extra_headers={"x-demo": "*:status=401"})
    assert failed.value.code == "upstream_unavailable"
    narrow = openai.with_options(api_key=edge.issue("sdk-narrow", models=("cheap",)))
    with pytest.raises(PermissionDeniedError) as denied:
        narrow.chat.completions.create(model="smart", messages=HELLO)
    assert denied.value.code == "model_not_allowed"


def test_an_error_within_a_stream_is_raised(edge: EdgeScene, openai: OpenAI) -> None:
    """The upstream's error event and a broken connection both reach the client's loop as its own exception."""
    for word, code in (("error_after=3", "upstream_error"), ("cut_after=3", "upstream_stream_cut")):
        answer = openai.chat.completions.with_raw_response.create(
            model="smart", messages=HELLO, stream=True, extra_headers={"x-demo": f"openai:{word}"}
        )
        text = ""
        with pytest.raises(APIError) as failure:  # noqa: PT012 - what came before the error counts too
            for chunk in answer.parse():
                text += chunk.choices[0].delta.content or ""
        assert failure.value.code == code
        assert len(text) > 0
        assert ANSWER.startswith(text)
        assert settled(edge, answer.headers["x-request-id"]).policy == "stream_cut_estimated"


def test_an_empty_balance_is_no_reason_to_repeat(edge: EdgeScene, openai: OpenAI) -> None:
    """The client raises the 402 at its first sight, although it repeats what may pass."""
    key = edge.issue("sdk-poor", spend=edge.spend("credit", "0.000001"))
    with (
        OpenAI(api_key=key, base_url=f"{edge.address}/v1", max_retries=5) as client,
        pytest.raises(APIStatusError) as refused,
    ):
        client.chat.completions.create(model="smart", messages=HELLO, extra_headers={"x-request-id": "caller-s"})
    assert (refused.value.status_code, refused.value.code) == (402, "key_spend_limit_exceeded")
    assert refused.value.type == "insufficient_quota"
    assert refused.value.request_id != "caller-s"
    assert refused.value.response.request.headers["x-stainless-retry-count"] == "0"


def test_calls_in_flight_are_waited_for(edge: EdgeScene, openai: OpenAI) -> None:
    """Where only other holds are in the way the client hears 429 with Retry-After, and its repeat succeeds."""
    with psycopg.connect(edge.ledger.url) as connection:
        row = connection.execute(
            "select posted_minor - held_minor from ledger.wallet where bucket = 'credit'"
        ).fetchone()
    assert row is not None
    rest = StatedAmount(f"{row[0] / 10**6:.6f}", "CREDIT")
    edge.do(
        RouteRequest(
            workspace_id=ACME,
            request_id="holds-all",
            project_id="assistant",
            api_key_id="app",
            model="smart",
            route="smart-direct",
            bucket="credit",
            hold=rest,
            hold_seconds=60,
            why=Why("test"),
        )
    )
    release = ReleaseRequest(workspace_id=ACME, request_id="holds-all", cause="cancelled")
    with pytest.raises(RateLimitError) as busy:
        openai.chat.completions.create(model="smart", messages=HELLO)
    with ThreadPoolExecutor(1) as beside:
        waiting = beside.submit(
            openai.with_options(max_retries=2).chat.completions.with_raw_response.create, model="smart", messages=HELLO
        )
        time.sleep(0.3)
        edge.do(release)
        answer = waiting.result()
    assert busy.value.code == "in_flight_budget_exhausted"
    assert busy.value.response.headers["retry-after"] == "1"
    assert answer.parse().choices[0].message.content == ANSWER
    assert answer.http_request.headers["x-stainless-retry-count"] == "1"
