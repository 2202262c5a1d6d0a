"""A stream on its way through: the bytes that go to the client, and what is known of the answer by then."""

from collections.abc import Mapping

import msgspec

from gateway.dialects.calls import CallBody
from gateway.dialects.chat_events import DONE, ChatWatcher
from gateway.dialects.decoding import decoded
from gateway.dialects.errors import error_event, upstream_failed
from gateway.dialects.failures import UpstreamFailure
from gateway.dialects.members import MemberTwice, beside, read_members, replaced, without
from gateway.dialects.seeing import Kind, Seen, Watcher
from gateway.dialects.sse import Splitter, data_of, ended, event_of, with_data
from gateway.dialects.surface import Interface
from gateway.dialects.translation.events import ClientEvent
from gateway.dialects.translation.streams import StreamTranslator
from gateway.dialects.typed_events import MessagesWatcher, ResponsesWatcher
from gateway.usage.chunks import DONE as DONE_TEXT
from gateway.usage.reported import ReportedUsage
from gateway.usage.states import UsageDialect
from gateway.usage.streams import begin, fold, result

LAST_EVENTS: dict[Interface, bytes] = {
    "chat": b"data: [DONE]\n\n",
    "messages": b'event: message_stop\ndata: {"type":"message_stop"}\n\n',
}
"""What is sent where an answer is complete and the upstream closed without saying so."""

UNTOUCHABLE = (MemberTwice, msgspec.MsgspecError, UnicodeDecodeError)
"""Why an event is left as it is rather than changed: its members can't be told apart for sure."""

_NULL_USAGE = b',"usage":null'
_encode = msgspec.json.Encoder().encode


class Piece(msgspec.Struct):
    """One event for the client, or none where `forward` is empty.

    After the first `content` nothing is tried again. `held` carries the final usage and `end` is the last event:
    both are kept back until the charge is known. `error` is the upstream's own and never counts as output; an
    `end` may have a failure too, since a response that failed still says what it used.
    """

    forward: bytes
    kind: Kind
    failure: UpstreamFailure | None = None


def watcher_of(interface: Interface) -> Watcher:
    """Return what sees the events of an interface."""
    if interface == "messages":
        return MessagesWatcher()
    return ResponsesWatcher() if interface == "responses" else ChatWatcher()


class StreamReader:
    """Reads one stream of an upstream for one call. Nothing but `StreamUnreadable` is raised, whatever comes.

    `delivered_bytes` counts generated text, thoughts and tool arguments. `has_ended` is true once the upstream
    said that it was done, or closed after a complete answer. `created_at_seconds` dates chunks that are translated.
    """

    def __init__(
        self, call: CallBody, upstream: Interface, usage: UsageDialect, *, created_at_seconds: int = 0
    ) -> None:
        self.delivered_bytes = 0
        self.has_content = False
        self.has_ended = False
        self.response_id: str | None = None
        self._call = call
        self._splitter = Splitter()
        self._watcher = watcher_of(upstream)
        self._usage = begin(usage)
        self._client_watcher: Watcher | None = None
        self._translator: StreamTranslator | None = None
        if upstream != call.interface:
            self._client_watcher = watcher_of(call.interface)
            self._translator = StreamTranslator(
                call.interface,
                asked_usage=call.asked_usage,
                usage=usage,
                created_at_seconds=created_at_seconds,
            )

    @property
    def usage_report(self) -> ReportedUsage:
        """What the upstream has reported by now."""
        return result(self._usage)

    def feed(self, chunk: bytes) -> list[Piece]:
        """Return the pieces that a chunk completes."""
        pieces: list[Piece] = []
        for event in self._splitter.feed(chunk):
            self._read(event, pieces)
        return pieces

    def close(self) -> list[Piece]:
        """Return what is left now that the upstream has closed: an event without its blank line, a missing end."""
        pieces: list[Piece] = []
        rest = ended(self._splitter.close())
        data = None if rest is None else data_of(rest)
        # The broken half of an event would spoil the one that follows it.
        if rest is not None and data is not None and (data.strip() == DONE or decoded(data) is not None):
            self._read(rest, pieces)
        if self._translator is not None:
            self._translated(self._translator.close(), pieces)
        if self._usage.ended and not self.has_ended:
            self.has_ended = True
            if self._call.interface in LAST_EVENTS:
                pieces.append(Piece(LAST_EVENTS[self._call.interface], "end"))
        return pieces

    def _read(self, event: bytes, pieces: list[Piece]) -> None:
        data = data_of(event)
        if data is None:
            if self._translator is None:
                pieces.append(Piece(event, "other"))
            return
        seen = self._watcher.see(data)
        if seen.is_news:
            self._usage = fold(self._usage, DONE_TEXT if data.strip() == DONE else decoded(data))
        self.delivered_bytes += seen.text_bytes
        if seen.response_id is not None:
            self.response_id = seen.response_id
        if self._translator is not None:
            self._read_foreign(self._translator, data, seen, pieces)
            return
        piece = self._native(event, data, seen)
        if seen.kind == "content":
            self.has_content = True
        elif seen.kind == "end":
            self.has_ended = True
        pieces.append(piece)

    def _native(self, event: bytes, data: bytes, seen: Seen) -> Piece:
        if seen.usage == "absent":
            return Piece(event, seen.kind, seen.failure)
        if seen.usage == "null":
            return Piece(event if self._call.asked_usage else _without_null(event, data), seen.kind)
        is_final = self._usage.is_final and len(self._usage.closed_choices) >= self._call.choices
        if seen.usage == "alone":
            return Piece(event if self._call.asked_usage else b"", "held" if is_final else "other")
        if self._call.asked_usage:
            return Piece(event, "held" if is_final else seen.kind)
        return Piece(_without_usage(event, data), seen.kind)

    def _read_foreign(self, translator: StreamTranslator, data: bytes, seen: Seen, pieces: list[Piece]) -> None:
        if seen.kind == "error" and seen.failure is not None:
            told = error_event(self._call.interface, upstream_failed(seen.failure, 1))
            pieces.append(Piece(told, "error", seen.failure))
            return
        self._translated(translator.translate(DONE_TEXT if data.strip() == DONE else decoded(data)), pieces)

    def _translated(self, events: list[ClientEvent], pieces: list[Piece]) -> None:
        for each in events:
            data = DONE if isinstance(each.data, str) else _encode(each.data)
            seen = self._client_watcher.see(data) if self._client_watcher is not None else Seen("other")
            kind: Kind = "held" if seen.usage in {"alone", "beside"} else seen.kind
            self.has_content = self.has_content or seen.kind == "content"
            self.has_ended = self.has_ended or kind == "end"
            pieces.append(Piece(event_of(each.name, data), kind, seen.failure))


def with_ledger(piece: Piece, ledger: Mapping[str, object]) -> bytes:
    """Return a piece with `x_ledger` beside its usage: in the chunk, the event, or the response in the event."""
    data = data_of(piece.forward)
    if data is None or not data.startswith(b"{"):
        return piece.forward
    note = _encode(ledger)
    try:
        members = read_members(data)
        if "usage" in members:
            return with_data(piece.forward, data, beside(data, "usage", "x_ledger", note))
        response = bytes(members["response"]) if "response" in members else b""
        if response.startswith(b"{"):
            noted = beside(response, "usage", "x_ledger", note)
            return with_data(piece.forward, data, replaced(data, "response", noted))
    except UNTOUCHABLE:
        pass
    return piece.forward


def _without_null(event: bytes, data: bytes) -> bytes:
    # Named once in all the event, it is the chunk's own: no need to look where it stands.
    at = event.find(_NULL_USAGE)
    if at >= 0 and event.count(b'"usage"') == 1:
        return event[:at] + event[at + len(_NULL_USAGE) :]
    return _without_usage(event, data)


def _without_usage(event: bytes, data: bytes) -> bytes:
    try:
        return with_data(event, data, without(data, "usage"))
    except UNTOUCHABLE:
        return event
