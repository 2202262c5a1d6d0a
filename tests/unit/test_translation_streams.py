"""Streams for a client of the other dialect, accumulated by the stream helpers of the official SDKs."""

import json
from typing import Any

import pytest
from anthropic import APIStatusError
from hypothesis import given
from hypothesis import strategies as st
from openai import APIError
from openai.types.chat import ChatCompletion

from gateway.dialects.surface import Interface
from gateway.dialects.translation.events import ClientEvent
from gateway.dialects.translation.streams import StreamTranslator
from tests import strategies as drawn
from tests.unit.translation import Json, read_completion, read_message, translate_all

USAGE = {"prompt_tokens": 30, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 20}}


def chunk(delta: Json | None = None, finish: str | None = None, **members: object) -> Json:
    """Return a chat's chunk."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-x"}
    return {**head, "choices": choices, "usage": None, **members}


def piece(index: int | None, arguments: str, name: str | None = None, call_id: str | None = None) -> Json:
    """Return a delta with a piece of a tool call."""
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    call: Json = {"function": function}
    if index is not None:
        call["index"] = index
    if call_id is not None:
        call |= {"id": call_id, "type": "function"}
    return {"tool_calls": [call]}


def start(index: int, block: Json) -> Json:
    """Return the start of a block of a message."""
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **said: str) -> Json:
    """Return a piece of a block of a message."""
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **said}}


def stop(index: int) -> Json:
    """Return the stop of a block of a message."""
    return {"type": "content_block_stop", "index": index}


def begun(**usage: int) -> Json:
    """Return the start of a message."""
    counts = {"input_tokens": 10, "output_tokens": 1, **usage}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": []}
    return {"type": "message_start", "message": {**head, "stop_reason": None, "stop_sequence": None, "usage": counts}}


def stopped(reason: str | None, **usage: int) -> Json:
    """Return the last counts of a message."""
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


STOP = {"type": "message_stop"}
TEXT = {"type": "text", "text": ""}
PING = {"type": "ping"}


def tool_use(call_id: str, name: str, given: Json | None = None) -> Json:
    """Return the start of a use of a tool."""
    return {"type": "tool_use", "id": call_id, "name": name, "input": given or {}}


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


def calls_of(answer: ChatCompletion) -> list[tuple[str, str, str]]:
    """Return the calls of an answer as (id, name, arguments)."""
    calls = answer.choices[0].message.tool_calls or []
    return [(call.id, call.function.name, call.function.arguments) for call in calls if call.type == "function"]


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


@pytest.mark.parametrize(
    "pieces",
    [
        [
            piece(0, "", "f", "a"),
            piece(1, "", "g", "b"),
            piece(0, '{"n":'),
            piece(1, '{"m"'),
            piece(0, "1}"),
            piece(1, ":2}"),
        ],
        [piece(0, '{"n":', "f", "a"), piece(1, '{"m":2}', "g", "b"), piece(0, "1}")],
        [piece(0, '{"n":1}', "f", "a"), piece(0, '{"m":2}', "g", "b")],
        [piece(None, '{"n":1}', "f", "a"), piece(None, '{"m":2}', "g", "b")],
        [piece(0, '{"n"', "f", "a"), piece(0, ":1}", None, "changed"), piece(1, '{"m":2}', "g", "b")],
        [{"tool_calls": [*piece(0, '{"n":1}', "f", "a")["tool_calls"], *piece(1, '{"m":2}', "g", "b")["tool_calls"]]}],
    ],
    ids=["interleaved", "interrupted", "one number", "no number", "changing id", "one chunk"],
)
def test_pieces_of_parallel_calls_find_their_call(pieces: list[Json]) -> None:
    """However a server mixes and numbers the pieces of its calls, each call is one block with its own arguments."""
    events = translate_all("messages", [*(chunk(each) for each in pieces), chunk({}, "tool_calls"), "[DONE]"])
    answer = read_message(events)
    assert [block.to_dict() for block in answer.content] == [
        {"type": "tool_use", "id": "a", "name": "f", "input": {"n": 1}},
        {"type": "tool_use", "id": "b", "name": "g", "input": {"m": 2}},
    ]
    assert one_block_at_a_time(events)


def one_block_at_a_time(events: list[ClientEvent]) -> bool:
    """Tell whether blocks are numbered from zero, and each is stopped before the next one starts."""
    blocks = [event.data for event in events if event.name is not None and event.name.startswith("content_block")]
    count, is_open = 0, False
    for data in blocks:
        assert isinstance(data, dict)
        if data["type"] == "content_block_start":
            if is_open or data["index"] != count:
                return False
            count, is_open = count + 1, True
        elif not is_open or data["index"] != count - 1:
            return False
        is_open = is_open and data["type"] != "content_block_stop"
    return not is_open


def test_text_between_calls_keeps_its_place() -> None:
    """White space alone is no block; text after a call is one of its own, behind it."""
    pieces = [{"content": "\n\n"}, piece(0, "{}", "f", "a"), {"content": "\n"}, {"content": "Done"}, {"refusal": "!"}]
    answer = read_message(translate_all("messages", [*(chunk(each) for each in pieces), chunk({}, "stop"), "[DONE]"]))
    assert [block.to_dict() for block in answer.content] == [
        {"type": "tool_use", "id": "a", "name": "f", "input": {}},
        {"type": "text", "text": "\nDone!"},
    ]


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


odd_values: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers(-2, 3) | drawn.any_text | st.just([]) | st.just({})
)
odd_events = st.recursive(
    odd_values,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "type index delta content_block message usage choices tool_calls function name arguments content id"
                " finish_reason stop_reason text partial_json input error".split()
            ),
            inner
            | st.sampled_from(
                "content_block_start content_block_delta content_block_stop message_start message_delta tool_use text"
                " text_delta input_json_delta".split()
            ),
            max_size=5,
        )
    ),
    max_leaves=10,
)


@given(st.lists(odd_events, max_size=8), st.sampled_from(["chat", "messages"]))
def test_no_event_breaks_a_stream(events: list[Any], to: Interface) -> None:
    """Whatever an upstream sends between its events, nothing is raised and all that comes out is JSON."""
    for event in translate_all(to, events):
        assert json.loads(json.dumps(event.data)) == event.data


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[Json], list[Json]]:
    """Draw a chat's answer in chunks, cut anywhere, and the blocks that it is."""
    said = draw(st.text(max_size=12))
    chunks = [chunk({"content": each}) for each in cut(draw, said)]
    blocks: list[Json] = [{"type": "text", "text": said}] if said.strip() else []
    for index in range(draw(st.integers(0, 3))):
        given_input = draw(st.dictionaries(st.text(max_size=4), st.text(max_size=4) | st.integers(), max_size=3))
        pieces = cut(draw, json.dumps(given_input))
        chunks.append(chunk(piece(index, "", f"f{index}", f"call_{index}")))
        chunks += [chunk(piece(index, each)) for each in pieces]
        blocks.append({"type": "tool_use", "id": f"call_{index}", "name": f"f{index}", "input": given_input})
    return [*chunks, chunk({}, "tool_calls" if len(blocks) > 1 else "stop")], blocks


def cut(draw: st.DrawFn, text: str) -> list[str]:
    """Return a text in pieces."""
    at = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[begin:end] for begin, end in zip([0, *at], [*at, len(text)], strict=True)]


@given(answers())
def test_a_stream_survives_there_and_back(drawn: tuple[list[Json], list[Json]]) -> None:
    """Chunks become a message's blocks, and as chunks again the same text and calls, wherever they were cut."""
    chunks, blocks = drawn
    events = translate_all("messages", [*chunks, chunk(usage=USAGE), "[DONE]"])
    assert one_block_at_a_time(events)
    assert [block.to_dict() for block in read_message(events).content] == blocks
    answer = read_completion(translate_all("chat", [event.data for event in events]))
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    assert answer.choices[0].message.content == "".join(texts)
    assert [(call_id, json.loads(arguments)) for call_id, _, arguments in calls_of(answer)] == [
        (block["id"], block["input"]) for block in blocks if block["type"] == "tool_use"
    ]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (30, 7)
