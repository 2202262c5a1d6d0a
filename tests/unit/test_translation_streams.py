"""Streams for a client of the other dialect, accumulated by the stream helpers of the official SDKs."""

import json
from typing import Any

import pytest
from anthropic import APIStatusError
from openai import APIError

from gateway.dialects.surface import Interface
from gateway.dialects.translation.streams import StreamTranslator
from tests.unit.translation import Json, calls_of, read_completion, read_message, translate_all
from tests.unit.translation_events import (
    PING,
    STOP,
    TEXT,
    USAGE,
    begun,
    chunk,
    delta,
    piece,
    start,
    stop,
    stopped,
    tool_use,
)

MESSAGE: list[Json] = [
    begun(cache_read_input_tokens=20, cache_creation_input_tokens=3),
    PING,
    start(0, {"type": "thinking", "thinking": "", "signature": ""}),
    delta(0, "thinking_delta", thinking="Hm"),
    delta(0, "signature_delta", signature="s"),
    stop(0),
    start(1, TEXT),
    delta(1, "text_delta", text="It is "),
    {"type": "something_new", "index": 1},
    delta(1, "text_delta", text="cold."),
    stop(1),
    start(2, tool_use("toolu_1", "f")),
    delta(2, "input_json_delta", partial_json=""),
    delta(2, "input_json_delta", partial_json='{"n":'),
    delta(2, "input_json_delta", partial_json=" 1}"),
    stop(2),
    start(3, {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}),
    delta(3, "input_json_delta", partial_json='{"query": "x"}'),
    stop(3),
    start(4, tool_use("toolu_2", "g")),
    stop(4),
    start(5, tool_use("toolu_3", "h", {"at": "start"})),
    stop(5),
    stopped(None, output_tokens=3),
    stopped("tool_use", output_tokens=9),
    STOP,
]


def test_a_message_streams_as_a_chat() -> None:
    """Texts and parallel calls come in pieces, other blocks and unknown events are passed over, usage comes last."""
    answer = read_completion(translate_all("chat", MESSAGE))
    assert (answer.id, answer.model) == ("msg_1", "claude-x")
    assert answer.choices[0].message.content == "It is cold."
    assert calls_of(answer) == [
        ("toolu_1", "f", '{"n": 1}'),
        ("toolu_2", "g", "{}"),
        ("toolu_3", "h", '{"at":"start"}'),
    ]
    assert answer.choices[0].finish_reason == "tool_calls"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (33, 9, 42)
    assert answer.usage.prompt_tokens_details is not None
    assert answer.usage.prompt_tokens_details.cached_tokens == 20


def test_the_order_of_a_chats_chunks() -> None:
    """The role comes first, then content, the reason, the usage where it was asked for, and the mark."""
    events = [begun(), start(0, TEXT), delta(0, "text_delta", text="Hi"), stopped("end_turn", output_tokens=2), STOP]
    for asked_usage in (True, False):
        data = [event.data for event in translate_all("chat", events, asked_usage=asked_usage)]
        chunks: list[Any] = [each for each in data if isinstance(each, dict) and each["choices"]]
        assert [each["choices"][0]["delta"] for each in chunks] == [
            {"role": "assistant", "content": ""},
            {"content": "Hi"},
            {},
        ]
        assert [each["choices"][0]["finish_reason"] for each in chunks] == [None, None, "stop"]
        ending: list[Any] = data[3:]
        assert [each if isinstance(each, str) else sorted(each) for each in ending] == (
            [["choices", "created", "id", "model", "object", "usage"]] if asked_usage else []
        ) + ["[DONE]"]


def test_a_tool_without_arguments_has_an_empty_object() -> None:
    """A chat's client reads arguments as JSON: where pieces were empty or none came, an object is sent."""
    empty = delta(0, "input_json_delta", partial_json="")
    events = [begun(), start(0, tool_use("a", "f")), empty, stop(0), stopped("tool_use", output_tokens=1), STOP]
    assert calls_of(read_completion(translate_all("chat", events))) == [("a", "f", "{}")]


def test_the_last_reason_that_was_given_holds() -> None:
    """A later event without a reason takes none away, in either dialect."""
    said: list[object] = [begun(), stopped("tool_use", output_tokens=1), stopped(None, output_tokens=1), STOP]
    assert read_completion(translate_all("chat", said)).choices[0].finish_reason == "tool_calls"
    said = [chunk({"content": "Hi"}), chunk({}, "content_filter"), chunk({}), "[DONE]"]
    assert read_message(translate_all("messages", said)).stop_reason == "refusal"


def test_an_upstreams_habits_and_the_callers_clock_are_heard() -> None:
    """Counts are read in the dialect that is named, and chunks bear the date that they are given."""
    translator = StreamTranslator("messages", asked_usage=True, usage="xai")
    counts = {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 3}}
    said = [
        event for each in (chunk({}, "stop"), chunk(usage=counts), "[DONE]") for event in translator.translate(each)
    ]
    assert read_message(said).usage.output_tokens == 8
    dated = StreamTranslator("chat", asked_usage=True, created_at_seconds=7).translate(begun())[0].data
    assert isinstance(dated, dict)
    assert dated["created"] == 7


def test_an_answer_that_never_began_has_a_role_all_the_same() -> None:
    """Where an upstream left the start out, the first chunk still says whose answer it is."""
    first = translate_all("chat", [stopped("end_turn", output_tokens=1), STOP])[0].data
    assert isinstance(first, dict)
    assert first["choices"] == [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}
    ]


def test_nothing_follows_the_end() -> None:
    """Events behind the last one are not the client's: an end is sent once."""
    assert translate_all("chat", [*MESSAGE, *MESSAGE]) == translate_all("chat", MESSAGE)
    said: list[object] = [chunk({"content": "Hi"}), chunk({}, "stop"), "[DONE]"]
    assert translate_all("messages", [*said, *said]) == translate_all("messages", said)


def test_a_refusal_streams_as_text_with_its_reason() -> None:
    """A model that refuses ends a chat with `stop`; a message's reason tells it apart."""
    answer = read_message(translate_all("messages", [chunk({"refusal": "No"}), chunk({"refusal": "."}, "stop")]))
    assert [block.to_dict() for block in answer.content] == [{"type": "text", "text": "No."}]
    assert answer.stop_reason == "refusal"


def test_only_the_first_alternative_is_an_answer() -> None:
    """Chunks of another choice are passed over: a message has no alternatives."""
    other = {**chunk(), "choices": [{"index": 1, "delta": {"content": "No"}, "finish_reason": "length"}]}
    answer = read_message(translate_all("messages", [chunk({"content": "Yes"}), other, chunk({}, "stop"), "[DONE]"]))
    assert [block.to_dict() for block in answer.content] == [{"type": "text", "text": "Yes"}]
    assert answer.stop_reason == "end_turn"


def test_a_chat_streams_as_a_message() -> None:
    """Blocks follow one another with a start and a stop each, and the last counts are a message's."""
    events = translate_all(
        "messages",
        [
            {"id": "", "model": "", "choices": [], "prompt_filter_results": []},
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": "It is "}),
            chunk({"reasoning_content": "Hm"}),
            chunk({"content": "cold."}),
            chunk(piece(0, "", "f", "call_1")),
            chunk(piece(0, '{"n"')),
            chunk(piece(0, ": 1}")),
            chunk(piece(1, "", "g", "call_2")),
            chunk(piece(1, "{}")),
            chunk({}, "tool_calls"),
            chunk(usage=USAGE),
            "[DONE]",
        ],
    )
    assert [event.name for event in events] == [
        "message_start",
        *("content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
        "message_delta",
        "message_stop",
    ]
    answer = read_message(events)
    assert [block.to_dict() for block in answer.content] == [
        {"type": "text", "text": "It is cold."},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"n": 1}},
        {"type": "tool_use", "id": "call_2", "name": "g", "input": {}},
    ]
    assert (answer.id, answer.model, answer.stop_reason) == ("chatcmpl-1", "gpt-x", "tool_use")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (10, 7)
    assert answer.usage.cache_read_input_tokens == 20


@pytest.mark.parametrize("ending", [[], ["[DONE]"], [chunk(usage=USAGE)]])
def test_an_answer_that_said_why_it_ended_gets_its_end(ending: list[object]) -> None:
    """A server that closes without its last event has answered all the same, once it gave a reason."""
    events = translate_all("messages", [chunk({"content": "Hi"}), chunk({}, "content_filter"), *ending])
    assert read_message(events).stop_reason == "refusal"
    events = translate_all("chat", [*MESSAGE[:11], stopped("stop_sequence", output_tokens=4)])
    assert read_completion(events).choices[0].finish_reason == "stop"
    assert events[-1].data == "[DONE]"


@pytest.mark.parametrize(
    ("to", "events"), [("messages", [chunk({"content": "Hi"})]), ("chat", MESSAGE[:8])], ids=["messages", "chat"]
)
def test_a_stream_that_was_cut_gets_no_end(to: Interface, events: list[object]) -> None:
    """A stream without a reason is cut: nothing is made up that would look like an answer's end."""
    last = translate_all(to, events)[-1]
    assert last.name != "message_stop"
    assert last.data != "[DONE]"
    assert StreamTranslator(to, asked_usage=True).close() == []


def test_a_chat_without_any_chunk_is_an_empty_message() -> None:
    """The mark alone is an answer without words, in which the SDK finds its start and its end."""
    assert read_message(translate_all("messages", ["[DONE]"])).content == []


def test_errors_inside_a_stream_reach_the_chats_client() -> None:
    """The SDK raises the kind of the upstream's error without its words, and no mark follows."""
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Our org 7 is overloaded"}}
    events = translate_all("chat", [*MESSAGE[:8], error, *MESSAGE[8:]])
    with pytest.raises(APIError) as caught:
        read_completion(events)
    assert caught.value.code == "upstream_overloaded"
    assert "org 7" not in json.dumps(events[-1].data)


def test_errors_inside_a_stream_reach_the_messages_client() -> None:
    """A chunk with an error becomes Anthropic's event, and nothing follows."""
    error = chunk({}, "error", error={"code": 429, "message": "Our org 7 is limited"})
    events = translate_all("messages", [chunk({"content": "Hi"}), error, chunk({"content": "x"}), "[DONE]"])
    with pytest.raises(APIStatusError) as caught:
        read_message(events)
    body = caught.value.body
    assert isinstance(body, dict)
    assert body["error"]["type"] == "rate_limit_error"
    assert "org 7" not in json.dumps(events[-1].data)
