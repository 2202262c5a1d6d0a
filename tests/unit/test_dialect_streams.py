"""Streams on their way through: what goes on to the client, what is kept back, and what is known by then."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.sse import Splitter, data_of
from gateway.dialects.streams import Piece, StreamReader, with_ledger
from gateway.dialects.surface import Interface
from gateway.usage.states import UsageDialect
from gateway.usage.streams import begin, fold, result
from tests.unit.streamed import (
    CHAT,
    MESSAGE,
    STREAMS,
    USAGE,
    call_of,
    chat,
    chunk,
    plain,
    read,
    sse,
)
from tests.unit.test_usage_vectors import OWN, SHARED, Vector

json_texts = st.text(max_size=8) | st.sampled_from(['","usage":null', "usage", '"usage":null,', "\n\n", "中文"])


@pytest.mark.parametrize(
    ("interface", "kinds", "delivered_bytes"),
    [
        ("chat", "other content content other held end", 12),
        ("messages", "other other other content content content content other held end", 15),
        ("responses", "other other content other content content end", 8),
    ],
)
def test_every_event_goes_through_untouched(interface: Interface, kinds: str, delivered_bytes: int) -> None:
    """Asked for usage, the client gets the upstream's bytes; what is generated is told from what isn't."""
    events, usage = STREAMS[interface]
    reader = StreamReader(call_of(interface), interface, usage)
    pieces = read(events, reader)
    assert [piece.kind for piece in pieces] == kinds.split()
    assert b"".join(piece.forward for piece in pieces) == b"".join(events)
    assert (reader.delivered_bytes, reader.has_content, reader.has_ended) == (delivered_bytes, True, True)
    report = reader.usage_report
    assert report.status == "complete"
    assert report.usage is not None
    assert (report.usage.input_tokens, report.usage.output_tokens) == (10, 20)
    assert reader.response_id == ("resp_1" if interface == "responses" else None)


def test_usage_that_nobody_asked_for_is_taken_out() -> None:
    """Not asked, the client gets what an upstream sends that wasn't asked: no chunk for usage, and no null."""
    reader = chat(asked=False)
    pieces = read(CHAT, reader)
    wanted = [
        plain({"role": "assistant", "content": ""}),
        plain({"content": "Hello "}),
        plain({"content": "中文"}),
        plain({}, "stop"),
        b"",
        sse("[DONE]"),
    ]
    assert [piece.forward for piece in pieces] == wanted
    assert [piece.kind for piece in pieces][-2:] == ["held", "end"]
    assert reader.usage_report.status == "complete"


@given(
    content=json_texts,
    nested=st.booleans(),
    first=st.booleans(),
    spaced=st.booleans(),
    value=st.sampled_from([None, USAGE]),
)
def test_only_the_chunks_own_usage_is_taken_out(
    content: str, nested: bool, first: bool, spaced: bool, value: dict[str, int] | None
) -> None:
    """Wherever the usage stands, and whatever looks like it elsewhere, nothing else of the chunk changes."""
    choice: dict[str, Any] = {"index": 0, "delta": {"content": content}, "finish_reason": "stop"}
    if nested:
        choice["usage"] = None
    rest: dict[str, Any] = {"choices": [choice], "obfuscation": content}
    whole = {"usage": value} | rest if first else rest | {"usage": value}
    separators = (", ", ": ") if spaced else (",", ":")
    event = b"data: " + json.dumps(whole, separators=separators).encode() + b"\n\n"
    (piece,) = chat(asked=False).feed(event)
    assert data_of(piece.forward) == json.dumps(rest, separators=separators).encode()


@given(
    data=st.data(),
    interface=st.sampled_from(tuple(STREAMS)),
    asked=st.booleans(),
    newline=st.sampled_from([b"\n", b"\r\n"]),
)
def test_no_split_of_the_bytes_changes_a_piece(
    data: st.DataObject, interface: Interface, asked: bool, newline: bytes
) -> None:
    """Whichever chunks a stream comes in, the pieces, the counts and the report are the same."""
    events, usage = STREAMS[interface]
    whole = b": hello\n\n" + b"".join(events)
    whole = whole.replace(b"\n", newline)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    one = StreamReader(call_of(interface, asked=asked), interface, usage)
    many = StreamReader(call_of(interface, asked=asked), interface, usage)
    assert read([whole], one) == read(chunks, many)
    assert one.usage_report == many.usage_report
    assert (one.delivered_bytes, one.response_id, one.has_ended) == (
        many.delivered_bytes,
        many.response_id,
        many.has_ended,
    )


def test_tools_thoughts_and_refusals_count_as_generated() -> None:
    """A tool's name is content already; reasoning under two names counts once."""
    reader = chat()
    call = {"index": 0, "id": "t", "type": "function", "function": {"name": "weather", "arguments": ""}}
    pieces = read(
        [
            chunk({"reasoning": "Hm", "reasoning_content": "Hm"}),
            chunk({"tool_calls": [call]}),
            chunk({"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]}),
            chunk({"refusal": "No"}),
            chunk({"content": [{"type": "text", "text": "odd"}]}),
        ],
        reader,
    )
    assert {piece.kind for piece in pieces} == {"content"}
    assert reader.delivered_bytes == 2 + 7 + 2 + 2 + 3


def test_sound_is_content_without_text() -> None:
    """The base64 of a sound is nobody's text."""
    reader = StreamReader(call_of("responses"), "responses", "openai_responses")
    (piece,) = reader.feed(sse({"type": "response.audio.delta", "delta": "AAAA"}))
    assert (piece.kind, reader.delivered_bytes) == ("content", 0)


def test_the_model_that_was_named_last_is_reported() -> None:
    """An upstream that names the model late, or changes it, is heard."""
    reader = chat()
    read([chunk({"content": "a"}, model="first"), chunk({"content": "b"}, model="second")], reader)
    assert reader.usage_report.upstream_model == "second"


def test_usage_beside_choices_is_held_only_at_the_end() -> None:
    """Running totals go through; the one beside the last finish reason is kept back until the charge is known."""
    events = [
        plain({"content": "a"}, usage=USAGE),
        plain({"content": "b"}, "stop", usage=USAGE),
        plain(None, usage=USAGE),
        sse("[DONE]"),
    ]
    assert [piece.kind for piece in read(events, chat(usage="vllm"))] == ["content", "held", "held", "end"]
    unasked = read(events, chat(asked=False, usage="vllm"))
    assert [piece.forward for piece in unasked] == [
        plain({"content": "a"}),
        plain({"content": "b"}, "stop"),
        b"",
        events[-1],
    ]


def test_a_second_alternative_is_waited_for() -> None:
    """With two alternatives the end of one is not the end of the usage."""
    first, second = ({"index": index, "delta": {"content": "a"}, "finish_reason": "stop"} for index in (0, 1))
    reader = chat(choices=2)
    kinds = [piece.kind for each in (first, second) for piece in reader.feed(sse({"choices": [each], "usage": USAGE}))]
    assert kinds == ["content", "held"]


@pytest.mark.parametrize(
    ("interface", "event", "failure"),
    [
        ("chat", sse({"error": {"message": "m", "type": "server_error"}}), "server_error"),
        ("chat", sse({"object": "error", "message": "m", "code": 429}), "rate_limited"),
        ("chat", sse({"choices": [{"index": 0, "delta": {"content": "x"}}], "error": {"code": 502}}), "server_error"),
        ("messages", sse({"type": "error", "error": {"type": "overloaded_error"}}, "error"), "overloaded"),
        ("responses", sse({"type": "error", "code": "rate_limit_exceeded", "message": "m"}, "error"), "rate_limited"),
    ],
)
def test_an_error_inside_a_stream_is_never_output(interface: Interface, event: bytes, failure: str) -> None:
    """The upstream's own error is told apart, and its text counts for nothing."""
    events, usage = STREAMS[interface]
    reader = StreamReader(call_of(interface), interface, usage)
    pieces = read([events[0], event], reader)
    assert [piece.kind for piece in pieces] == ["other", "error"]
    assert pieces[1].failure is not None
    assert pieces[1].failure.failure == failure
    assert (reader.delivered_bytes, reader.has_content, reader.has_ended) == (0, False, False)


def test_a_failed_response_ends_with_its_failure_and_its_usage() -> None:
    """A response that failed was burned all the same."""
    failed = {
        "id": "resp_1",
        "error": {"code": "server_error", "message": "m"},
        "usage": {"input_tokens": 10, "output_tokens": 2},
    }
    reader = StreamReader(call_of("responses"), "responses", "openai_responses")
    (piece,) = reader.feed(sse({"type": "response.failed", "response": failed}))
    assert (piece.kind, piece.failure is not None and piece.failure.failure) == ("end", "server_error")
    assert (reader.has_ended, reader.usage_report.status) == (True, "complete")


@pytest.mark.parametrize("interface", tuple(STREAMS))
def test_a_cut_stream_has_no_end(interface: Interface) -> None:
    """A stream without its end hasn't ended, half of an event is dropped, and the report says that more may come."""
    events, usage = STREAMS[interface]
    reader = StreamReader(call_of(interface), interface, usage)
    whole = 2 if interface == "chat" else 4
    pieces = read([*events[:whole], events[whole][:-9]], reader)
    assert b"".join(piece.forward for piece in pieces) == b"".join(events[:whole])
    assert {"held", "end"}.isdisjoint(piece.kind for piece in pieces)
    assert (reader.has_ended, reader.has_content, reader.usage_report.output_may_grow) == (False, True, True)


def test_a_complete_answer_gets_the_end_that_its_upstream_forgot() -> None:
    """After the last finish reason nothing is missing but the mark, with which the client's stream ends."""
    reader = chat()
    pieces = read(CHAT[:-1], reader)
    assert (pieces[-1], reader.has_ended) == (Piece(b"data: [DONE]\n\n", "end"), True)
    message = StreamReader(call_of("messages"), "messages", "anthropic")
    assert read(MESSAGE[:-1], message)[-1] == Piece(MESSAGE[-1], "end")
    unended = chat()
    assert read([*CHAT[:-1], b"data: [DONE]"], unended)[-1] == Piece(b"data: [DONE]\n\n", "end")


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("interface", tuple(STREAMS))
def test_the_charge_stands_beside_the_usage(interface: Interface, newline: bytes) -> None:
    """`x_ledger` is put behind the usage of the chunk, the event or the response, and all else stays."""
    events, usage = STREAMS[interface]
    reader = StreamReader(call_of(interface), interface, usage)
    pieces = read([event.replace(b"\n", newline) for event in events], reader)
    held = next(piece for piece in pieces if piece.kind in {"held", "end"})
    noted = with_ledger(held, {"charge": "1.00 CREDIT"})
    note = b',"x_ledger":{"charge":"1.00 CREDIT"}'
    before, found, after = noted.partition(note)
    assert (found, before + after) == (note, held.forward)
    assert before.endswith(b"}")
    event = json.loads(data_of(noted) or b"")
    assert "x_ledger" in (event["response"] if interface == "responses" else event)


def test_a_piece_without_usage_gets_no_charge() -> None:
    """Nothing is added where there is no usage to stand beside."""
    for forward in (b"", sse("[DONE]"), chunk({"content": "a"}).replace(b',"usage":null', b""), b": comment\n\n"):
        assert with_ledger(Piece(forward, "held"), {"a": 1}) == forward


STREAMED: list[tuple[UsageDialect, Vector]] = [
    (dialect, vector)
    for dialect, vector in [*OWN, *((vector["dialect"], vector) for vector in SHARED)]
    if "events" in vector and not any("usageMetadata" in event for event in vector["events"] if isinstance(event, dict))
]


@pytest.mark.parametrize(("dialect", "vector"), STREAMED, ids=[vector["name"] for _, vector in STREAMED])
def test_looking_only_at_news_reports_what_looking_at_all_does(dialect: UsageDialect, vector: Vector) -> None:
    """The reader decodes few events whole, and reports the same as a fold over every one."""
    interface: Interface = (
        "messages" if dialect == "anthropic" else "responses" if dialect == "openai_responses" else "chat"
    )
    state = begin(dialect)
    for event in vector["events"]:
        state = fold(state, event)
    reader = StreamReader(call_of(interface), interface, dialect)
    read([sse(event) for event in vector["events"]], reader)
    assert reader.usage_report == result(state)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                "type delta choices index content usage error response item id model tool_calls finish_reason"
                " function name content_block text object".split()
            ),
            inner | st.sampled_from(["response.completed", "message_delta", "x.delta", "content_block_delta", "error"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    events=st.lists(junk.map(lambda value: sse(json.dumps(value))) | st.binary(max_size=20), max_size=6),
    interface=st.sampled_from(tuple(STREAMS)),
    upstream=st.sampled_from(tuple(STREAMS)),
    asked=st.booleans(),
)
def test_no_event_is_too_odd(events: list[bytes], interface: Interface, upstream: Interface, asked: bool) -> None:
    """Whatever an upstream sends, nothing raises, and a client that asked gets all whole events as they came."""
    if "responses" in {interface, upstream} and interface != upstream:
        upstream = interface
    reader = StreamReader(call_of(interface, asked=asked), upstream, STREAMS[upstream][1])
    pieces = read(events, reader)
    assert all(with_ledger(piece, {}).startswith(piece.forward[:5]) for piece in pieces)
    assert reader.usage_report.status in {"complete", "partial", "missing"}
    if interface == upstream and asked:
        splitter = Splitter()
        whole = b"".join(event for chunk in events for event in splitter.feed(chunk))
        assert b"".join(piece.forward for piece in pieces).startswith(whole)


@pytest.mark.parametrize(("interface", "upstream"), [("chat", "messages"), ("messages", "chat")])
@pytest.mark.parametrize("asked", [True, False])
def test_a_translated_stream_is_held_and_ended_like_any_other(
    interface: Interface, upstream: Interface, asked: bool
) -> None:
    """The client's own dialect comes out, its usage and end kept back, and the upstream's counts are kept."""
    events, usage = STREAMS[upstream]
    reader = StreamReader(call_of(interface, asked=asked), upstream, usage)
    pieces = read(events, reader)
    kinds = [piece.kind for piece in pieces]
    assert kinds[-1] == "end"
    assert ("held" in kinds) is (asked or interface == "messages")
    assert (reader.has_content, reader.has_ended, reader.usage_report.status) == (True, True, "complete")
    assert reader.delivered_bytes == (15 if upstream == "messages" else 12)
    held = [with_ledger(piece, {"a": 1}) for piece in pieces if piece.kind == "held"]
    assert all(b'"x_ledger":{"a":1}' in each for each in held)


def test_an_upstreams_error_reaches_a_client_of_the_other_dialect() -> None:
    """An error is told in the client's dialect, and not in the upstream's words."""
    reader = StreamReader(call_of("chat"), "messages", "anthropic")
    error = sse({"type": "error", "error": {"type": "overloaded_error", "message": "secret"}}, "error")
    (piece,) = [piece for piece in read([error], reader) if piece.kind == "error"]
    assert (piece.forward.startswith(b'data: {"error":'), b"secret" in piece.forward) == (True, False)
