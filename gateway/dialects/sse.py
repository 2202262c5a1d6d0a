"""Server-sent events as bytes: a stream split into whole events, and what one holds."""

import re

EVENT_BYTES_MAX = 8 * 1024 * 1024
"""A larger event is no event: nothing that a model says at once is that long."""

DATA = b"data:"
_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_ENDED = re.compile(_END.pattern + rb"\Z")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_OVERLAP = 3
"""An end of an event that wasn't seen yet began at most so many bytes ago."""


class StreamUnreadable(Exception):
    """What came is no stream of events."""


class Splitter:
    """Takes a stream apart into events, each with the blank line that ends it. Nothing is lost or made up."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._searched = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the events that are complete now; the remainder waits."""
        if self._pending or b"\r" in chunk or len(chunk) > EVENT_BYTES_MAX:
            return self._feed_slowly(chunk)
        events = chunk.split(b"\n\n")
        rest = events.pop()
        if rest:
            self._pending += rest
        return [event + b"\n\n" for event in events]

    def close(self) -> bytes:
        """Return what is left when the stream is over: an event that was not ended, or nothing."""
        rest = bytes(self._pending)
        self._pending.clear()
        self._searched = 0
        return rest

    def _feed_slowly(self, chunk: bytes) -> list[bytes]:
        pending = self._pending
        pending += chunk
        events: list[bytes] = []
        start = 0
        while found := _END.search(pending, max(start, self._searched)):
            end = found.end()
            # A carriage return at the very end may be half of a line's end.
            if end == len(pending) and pending.endswith(b"\r"):
                break
            _check_size(end - start)
            events.append(bytes(pending[start:end]))
            start = self._searched = end
        del pending[:start]
        _check_size(len(pending))
        self._searched = max(0, len(pending) - _OVERLAP)
        return events


def _check_size(size_bytes: int) -> None:
    if size_bytes > EVENT_BYTES_MAX:
        raise StreamUnreadable(f"an event is larger than {EVENT_BYTES_MAX} bytes")


def data_of(event: bytes) -> bytes | None:
    """Return what an event carries, its lines joined; None where it carries nothing."""
    if event.startswith(b"data: ") and event.find(b"\n") == len(event) - 2 and b"\r" not in event:
        return event[6:-2]
    if event.startswith(b"event: ") and b"\r" not in event:
        at = event.find(b"\ndata: ")
        if at == event.find(b"\n") and event.find(b"\n", at + 1) == len(event) - 2:
            return event[at + 7 : -2]
    lines = [line for line in _LINE_END.split(event.removeprefix(b"\xef\xbb\xbf")) if line.startswith(DATA)]
    if not lines:
        return None
    return b"\n".join(line[len(DATA) :].removeprefix(b" ") for line in lines)


def comment(text: str) -> bytes:
    """Return a comment, which clients of a stream skip."""
    return b": %b\n\n" % " ".join(text.split()).encode()


def event_of(name: str | None, data: bytes) -> bytes:
    """Return an event with one line of data."""
    return b"data: %b\n\n" % data if name is None else b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def with_data(event: bytes, old: bytes, new: bytes) -> bytes:
    """Return an event with other data; everything else in it stays."""
    if event.count(old) == 1:
        return event.replace(old, new)
    # Data in several lines: its lines become one, at the end.
    others = [line for line in _LINE_END.split(event) if line and not line.startswith(DATA)]
    return b"".join(line + b"\n" for line in others) + b"data: %b\n\n" % new


def ended(rest: bytes) -> bytes | None:
    """Return what was left of a stream as an event with its blank line; None where nothing was left."""
    if not rest.strip():
        return None
    return rest if _ENDED.search(rest) else rest.rstrip(b"\r\n") + b"\n\n"
