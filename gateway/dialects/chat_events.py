"""Chunks of `/chat/completions`, as OpenAI and all who copied it send them."""

from typing import Any

import msgspec
from msgspec import Raw

from gateway.dialects.decoding import decoded, mended
from gateway.dialects.seeing import NOTHING, UNREADABLE, Seen, broken, size, size_within

DONE = b"[DONE]"
USAGE = ("alone", "beside")


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None
    audio: Any = None
    images: Any = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None
    usage: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    model: str | None = None
    service_tier: str | None = None
    usage: Raw = NOTHING
    x_groq: Any = None
    error: Any = None
    object: str | None = None


_decode = msgspec.json.Decoder(_Chunk).decode


class ChatWatcher:
    """Sees the chunks of one chat."""

    def __init__(self) -> None:
        self._open: set[int] = set()
        self._model: str | None = None
        self._service_tier: str | None = None
        self._has_usage = False

    def see(self, data: bytes) -> Seen:
        """Return what a chunk is."""
        try:
            chunk = _decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            fixed = mended(data)
            if fixed != data:
                return self.see(fixed)
            seen = _see_odd(data)
            self._has_usage = self._has_usage or seen.usage in USAGE
            return seen
        if chunk.error is not None or chunk.object == "error":
            return broken(chunk.error if chunk.error is not None else decoded(data))
        seen = Seen("other")
        for choice in chunk.choices or ():
            self._add_choice(seen, choice)
        if chunk.model != self._model or chunk.service_tier != self._service_tier:
            self._model, self._service_tier = chunk.model, chunk.service_tier
            seen.is_news = True
        if chunk.usage is not NOTHING:
            if bytes(chunk.usage) == b"null":
                seen.usage = "null"
            else:
                seen.usage = "beside" if chunk.choices else "alone"
        self._has_usage = self._has_usage or seen.usage in USAGE or chunk.x_groq is not None
        seen.is_news = seen.is_news or seen.usage in USAGE or chunk.x_groq is not None
        # What comes after a usage is not in it.
        seen.is_news = seen.is_news or (self._has_usage and seen.kind == "content")
        return seen

    def _add_choice(self, seen: Seen, choice: _Choice) -> None:
        if choice.finish_reason or choice.usage is not None or choice.index not in self._open:
            self._open.add(choice.index)
            self._has_usage = self._has_usage or choice.usage is not None
            seen.is_news = True
        delta = choice.delta
        if delta is None:
            return
        text_bytes = size(delta.content)
        if delta.reasoning_content or delta.reasoning or delta.refusal:
            # One thought under two names is one thought.
            text_bytes += size(delta.reasoning_content or delta.reasoning) + size(delta.refusal)
        if delta.tool_calls or delta.function_call:
            functions = [call.function for call in delta.tool_calls or ()] + [delta.function_call]
            text_bytes += sum(size(each.name) + size(each.arguments) for each in functions if each is not None)
            # The name of a tool was generated, and can't be sent twice.
            seen.kind = "content"
        if text_bytes or delta.audio or delta.images:
            seen.kind = "content"
            seen.text_bytes += text_bytes


def _see_odd(data: bytes) -> Seen:
    """Return what a chunk is that has other shapes than OpenAI's, or is none."""
    if data.strip() == DONE:
        return Seen("end", is_news=True)
    chunk = decoded(data)
    if isinstance(chunk, list) and chunk and isinstance(chunk[0], dict) and "error" in chunk[0]:
        chunk = chunk[0]
    if not isinstance(chunk, dict):
        return UNREADABLE
    if chunk.get("error") is not None:
        return broken(chunk["error"])
    choices = chunk.get("choices")
    choices = [each for each in choices if isinstance(each, dict)] if isinstance(choices, list) else []
    text_bytes = sum(size_within(choice.get("delta")) for choice in choices)
    seen = Seen("content" if text_bytes else "other", text_bytes, is_news=True)
    if "usage" in chunk:
        seen.usage = "null" if chunk["usage"] is None else "beside" if choices else "alone"
    return seen
