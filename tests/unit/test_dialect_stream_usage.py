"""What a stream reports when its usage comes too early, and when a character comes by half."""

import pytest

from gateway.dialects.streams import StreamReader
from gateway.dialects.surface import Interface
from tests.unit.streamed import CHAT, MESSAGE, STREAMS, USAGE, block_delta, call_of, named, plain, read, sse

EARLY = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


@pytest.mark.parametrize(
    ("interface", "events", "output"),
    [
        # Usage first, then everything else.
        ("chat", [plain(None, usage=EARLY), plain({"content": "a"}), plain({}, "stop"), sse("[DONE]")], 1),
        ("chat", [CHAT[1], plain(None, usage=EARLY), plain({"content": "b"}, "stop"), sse("[DONE]")], 1),
        ("chat", [plain({"content": "a"}, "stop", usage=EARLY), plain({"content": "b"}), sse("[DONE]")], 1),
        ("chat", [plain(None, usage=EARLY), plain({"tool_calls": [{"function": {"name": "f"}}]}), sse("[DONE]")], 1),
        ("chat", [plain(None, usage=EARLY), plain({"reasoning": "hm"}, "stop")], 1),
        ("messages", [*MESSAGE[:4], MESSAGE[-2], MESSAGE[3], MESSAGE[-1]], 20),
        ("messages", [*MESSAGE[:4], MESSAGE[-2], MESSAGE[5], MESSAGE[-1]], 20),
    ],
)
def test_usage_before_more_content_is_not_the_last_word(interface: Interface, events: list[bytes], output: int) -> None:
    """What was generated after a usage is not in it: the report is partial, and its output a lower bound."""
    reader = StreamReader(call_of(interface), interface, STREAMS[interface][1])
    read(events, reader)
    report = reader.usage_report
    assert (reader.has_ended, report.status, report.output_may_grow) == (True, "partial", True)
    assert report.output is not None
    assert report.output.tokens == output


@pytest.mark.parametrize(
    ("interface", "events"),
    [
        # A running total in every chunk but the last; nothing is said after it.
        ("chat", [plain({"content": "a"}, usage=USAGE), plain({}, "stop"), sse("[DONE]")]),
        ("chat", [plain({"content": "a"}, usage=EARLY), plain({"content": "b"}, usage=USAGE), plain({}, "stop"),
                  sse("[DONE]")]),
        ("chat", [plain(None, usage=EARLY), plain({"content": "a"}), plain({}, "stop", usage=USAGE), sse("[DONE]")]),
        ("chat", [plain({"content": "a"}, "stop"), plain({"role": "assistant", "content": ""}, usage=USAGE),
                  sse("[DONE]")]),
        ("messages", [*MESSAGE[:5], MESSAGE[-2], MESSAGE[4], MESSAGE[-2], MESSAGE[-1]]),
    ],
)  # fmt: skip
def test_usage_with_or_after_the_last_content_is(interface: Interface, events: list[bytes]) -> None:
    """A usage beside the last words or behind them is complete, whatever came before."""
    reader = StreamReader(call_of(interface), interface, STREAMS[interface][1])
    read(events, reader)
    report = reader.usage_report
    assert (report.status, report.output and report.output.tokens) == ("complete", 20)


HALF = "Hello \ud800"


@pytest.mark.parametrize(
    ("interface", "event"),
    [
        ("chat", plain({"content": HALF})),
        ("messages", block_delta(0, "text_delta", text=HALF)),
        ("responses", named("response.output_text.delta", delta=HALF)),
    ],
)
def test_half_a_character_is_content_like_any_other(interface: Interface, event: bytes) -> None:
    """A delta with half of a pair of surrogates goes on as it came, and is counted."""
    reader = StreamReader(call_of(interface), interface, STREAMS[interface][1])
    (piece,) = reader.feed(event)
    assert (piece.kind, piece.forward, reader.delivered_bytes) == ("content", event, 9)


@pytest.mark.parametrize(("to", "upstream"), [("chat", "messages"), ("messages", "chat")])
def test_half_a_character_is_translated(to: Interface, upstream: Interface) -> None:
    """In the other dialect it is the character that stands for none."""
    event = plain({"content": HALF}) if upstream == "chat" else block_delta(0, "text_delta", text=HALF)
    reader = StreamReader(call_of(to), upstream, STREAMS[upstream][1])
    assert "Hello \ufffd".encode() in b"".join(piece.forward for piece in reader.feed(event))
