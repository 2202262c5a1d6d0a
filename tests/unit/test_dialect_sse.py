"""Streams of events as bytes: split into whole events whatever chunks they come in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.sse import EVENT_BYTES_MAX, Splitter, StreamUnreadable, comment, data_of


@given(
    lines=st.lists(st.sampled_from([b"data: a", b"data", b"x", b"", b"", b"\xff"]), max_size=12),
    ends=st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"]), min_size=12, max_size=12),
    cuts=st.lists(st.integers(0, 60), max_size=8),
)
def test_events_are_split_alike_with_every_end_of_line(lines: list[bytes], ends: list[bytes], cuts: list[int]) -> None:
    """Any mixture of ends of lines in any chunks gives the same events, and nothing is lost."""
    whole = b"".join(line + end for line, end in zip(lines, ends, strict=False))
    bounds = sorted(min(cut, len(whole)) for cut in cuts)
    one, many = Splitter(), Splitter()
    at_once = one.feed(whole)
    in_chunks = [
        event
        for start, end in zip([0, *bounds], [*bounds, len(whole)], strict=True)
        for event in many.feed(whole[start:end])
    ]
    rest = one.close()
    assert (at_once, rest) == (in_chunks, many.close())
    assert b"".join(at_once) + rest == whole


def test_a_blank_line_ends_an_event() -> None:
    """Both bytes of one end of a line are not two, and every kind of blank line ends an event."""
    events = [b"data: a\r\ndata: b\r\n\r\n", b"data: c\r\r", b"data: d\n\n", b"data: e\n\r\n"]
    assert Splitter().feed(b"".join(events)) == events


def test_an_event_without_end_is_given_up() -> None:
    """An event above the limit is no event, in one chunk or in many."""
    with pytest.raises(StreamUnreadable):
        Splitter().feed(b"data: " + b"x" * EVENT_BYTES_MAX + b"\n\n")
    splitter = Splitter()
    with pytest.raises(StreamUnreadable):
        _ = [splitter.feed(b"x" * 65_536) for _ in range(200)]


def test_data_are_joined_and_comments_carry_none() -> None:
    """Several lines of data are one text; a comment has none and stays one line."""
    assert data_of(b"event: x\r\ndata:a\r\ndata: b\r\n\r\n") == b"a\nb"
    assert data_of(b'event: x\ndata: {"a":1}\n\n') == b'{"a":1}'
    assert data_of(comment("two\nlines")) is None
    assert comment("two\nlines") == b": two lines\n\n"
