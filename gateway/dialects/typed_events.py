"""Events that name their type: OpenAI's responses and Anthropic's messages."""

from typing import Any

import msgspec
from msgspec import Raw

from gateway.dialects.decoding import decoded, mended
from gateway.dialects.seeing import NOTHING, OTHER, UNREADABLE, Seen, broken, size, size_within
from gateway.usage.messages import BLOCKS, RESPONSE_ENDS

SOUND = "response.audio.delta"
"""Its delta is base64 and no text."""

PLAIN_ITEMS = frozenset({"message", "reasoning"})
"""Items that say nothing by being added; of all others the name was generated."""


class _ResponseEvent(msgspec.Struct):
    type: str = ""
    delta: Any = None
    response: Raw = NOTHING
    item: Raw = NOTHING
    error: Any = None


class _Response(msgspec.Struct):
    id: str | None = None
    error: Any = None


class _Item(msgspec.Struct):
    type: str | None = None
    name: str | None = None


class _Delta(msgspec.Struct):
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _MessageEvent(msgspec.Struct):
    type: str = ""
    delta: _Delta | None = None
    content_block: Any = None
    error: Any = None


_decode_response_event = msgspec.json.Decoder(_ResponseEvent).decode
_decode_response = msgspec.json.Decoder(_Response).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_decode_message_event = msgspec.json.Decoder(_MessageEvent).decode
_Unreadable = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class ResponsesWatcher:
    """Sees the events of one response."""

    def see(self, data: bytes) -> Seen:
        """Return what an event is."""
        try:
            event = _decode_response_event(data)
            if event.type.endswith(".delta") and isinstance(event.delta, str):
                return Seen("content", 0 if event.type == SOUND else size(event.delta))
            if event.response is not NOTHING:
                return _see_response(event)
            if event.type == "error" or event.error is not None:
                return broken(event.error if event.error is not None else decoded(data))
            if event.type == "response.output_item.added" and event.item is not NOTHING:
                return _see_item(_decode_item(event.item))
        except _Unreadable:
            fixed = mended(data)
            if fixed != data:
                return self.see(fixed)
            # `[DONE]`, with which some copies end a response too, is no end: that is an event of its own.
            return UNREADABLE if data.strip() != b"[DONE]" else OTHER
        return Seen("content") if event.type.endswith(".partial_image") else OTHER


class MessagesWatcher:
    """Sees the events of one message."""

    def __init__(self) -> None:
        self._has_usage = False

    def see(self, data: bytes) -> Seen:
        """Return what an event is."""
        try:
            event = _decode_message_event(data)
        except _Unreadable:
            fixed = mended(data)
            return UNREADABLE if fixed == data else self.see(fixed)
        delta = event.delta
        if event.type in BLOCKS:
            seen = _see_delta(delta) if delta is not None else _see_block(event.content_block)
            # What comes after a usage is not in it.
            return Seen(seen.kind, seen.text_bytes, is_news=True) if self._has_usage else seen
        if event.type == "message_delta":
            self._has_usage = True
            return Seen("held" if delta is not None and delta.stop_reason else "other", is_news=True)
        if event.type == "message_stop":
            return Seen("end", is_news=True)
        if event.type == "error" or event.error is not None:
            return broken(event.error)
        return Seen("other", is_news=True) if event.type == "message_start" else OTHER


def _see_response(event: _ResponseEvent) -> Seen:
    response = _decode_response(event.response)
    if event.type not in RESPONSE_ENDS:
        return Seen("other", is_news=True, response_id=response.id)
    seen = Seen("end", is_news=True, response_id=response.id)
    if event.type == "response.failed":
        seen.failure = broken(response.error).failure
    return seen


def _see_item(item: _Item) -> Seen:
    return OTHER if item.type in PLAIN_ITEMS else Seen("content", size(item.name))


def _see_delta(delta: _Delta) -> Seen:
    text_bytes = size(delta.text) + size(delta.thinking) + size(delta.partial_json)
    return Seen("content", text_bytes) if text_bytes else OTHER


def _see_block(block: object) -> Seen:
    if not isinstance(block, dict):
        return OTHER
    # The input of a tool is empty here and comes in deltas.
    text_bytes = sum(size_within(block.get(name)) for name in ("text", "thinking", "name"))
    return Seen("content", text_bytes) if text_bytes or block.get("type") == "redacted_thinking" else OTHER
