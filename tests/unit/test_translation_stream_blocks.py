"""Blocks of a streamed message: one at a time, whatever order a chat's pieces came in, and back again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.surface import Interface
from gateway.dialects.translation.events import ClientEvent
from tests import strategies as drawn
from tests.unit.translation import Json, calls_of, read_completion, read_message, translate_all
from tests.unit.translation_events import USAGE, chunk, piece


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


def test_calls_without_number_and_id_are_told_apart_by_their_names() -> None:
    """Where a server sends neither, a name begins a call, and each gets an id of its own."""
    pieces = [piece(None, '{"n":', "f"), piece(None, "1}"), piece(None, "{}", "g")]
    answer = read_message(translate_all("messages", [*(chunk(each) for each in pieces), chunk({}, "tool_calls")]))
    assert [block.to_dict() for block in answer.content] == [
        {"type": "tool_use", "id": "call_chatcmpl-1_0", "name": "f", "input": {"n": 1}},
        {"type": "tool_use", "id": "call_chatcmpl-1_1", "name": "g", "input": {}},
    ]


def test_what_still_waits_at_the_end_is_sent() -> None:
    """Calls behind one whose arguments were cut off come at the end, each in one block."""
    pieces = [
        piece(0, '{"n":', "f", "a"),
        piece(1, '{"m":', "g", "b"),
        piece(2, '{"o":', "h", "c"),
        piece(1, "2}"),
        piece(2, "3}"),
    ]
    events = translate_all("messages", [*(chunk(each) for each in pieces), chunk({}, "length"), "[DONE]"])
    assert [block.to_dict()["input"] for block in read_message(events).content] == [{}, {"m": 2}, {"o": 3}]
    assert one_block_at_a_time(events)


def test_a_piece_behind_complete_arguments_opens_no_second_block() -> None:
    """White space that trails in for a call whose block was stopped says nothing."""
    pieces = [piece(0, "{}", "f", "a"), piece(1, '{"m":2}', "g", "b"), piece(0, "\n")]
    events = translate_all("messages", [*(chunk(each) for each in pieces), chunk({}, "tool_calls"), "[DONE]"])
    assert [block.to_dict()["input"] for block in read_message(events).content] == [{}, {"m": 2}]


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
def test_a_stream_survives_there_and_back(answer_and_blocks: tuple[list[Json], list[Json]]) -> None:
    """Chunks become a message's blocks, and as chunks again the same text and calls, wherever they were cut."""
    chunks, blocks = answer_and_blocks
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
