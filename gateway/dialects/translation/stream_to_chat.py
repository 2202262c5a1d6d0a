"""Anthropic's events as a chat's chunks."""

import msgspec

from gateway.dialects.translation.decoded import Object, index_in, object_in, text_in
from gateway.dialects.translation.events import DONE, ClientEvent, broken_off
from gateway.dialects.translation.generated import arguments_of, call_id
from gateway.dialects.translation.reasons import finish_reason
from gateway.dialects.translation.usage import chat_usage
from gateway.usage.states import UsageDialect
from gateway.usage.streams import begin, fold, result

UNKNOWN_BLOCK = -1


class Tool(msgspec.Struct):
    """A block that calls a tool. `given` is what its start held: some servers send all arguments there."""

    index: int
    given: object
    has_arguments: bool = False


class ChatChunks:
    """Translates the events of one answer."""

    def __init__(self, usage: UsageDialect, *, asked_usage: bool, created_at_seconds: int) -> None:
        self._usage = begin(usage)
        self._asked_usage = asked_usage
        self._head: Object = {
            "id": "",
            "object": "chat.completion.chunk",
            "created": created_at_seconds,
            "model": "",
        }
        self._tools: dict[int, Tool] = {}
        self._tools_begun = 0
        self._stop_reason: object = None
        self._has_begun = False
        self._has_ended = False

    def translate(self, event: object) -> list[ClientEvent]:
        """Return the chunks for one event; what a chat has no words for gives none."""
        if self._has_ended or not isinstance(event, dict):
            return []
        kind = text_in(event.get("type"))
        if kind == "content_block_delta":
            return self._delta(event)
        if kind == "content_block_start":
            return self._start(event)
        if kind == "content_block_stop":
            return self._stop(event)
        if kind in {"message_start", "message_delta"}:
            return self._message(event)
        if kind == "message_stop":
            return self._end()
        if kind == "error" or (not kind and event.get("error")):
            self._has_ended = True
            return [broken_off(event, "chat")]
        return []

    def close(self) -> list[ClientEvent]:
        """Return the end where the upstream closed without saying it, but had said why it stopped."""
        return [] if self._has_ended or self._stop_reason is None else self._end()

    def _message(self, event: Object) -> list[ClientEvent]:
        self._usage = fold(self._usage, event)
        if event.get("type") == "message_delta":
            # The reason may come in any of several, and a later one holds.
            self._stop_reason = object_in(event.get("delta")).get("stop_reason") or self._stop_reason
            return []
        message = object_in(event.get("message"))
        self._head |= {"id": text_in(message.get("id")), "model": text_in(message.get("model"))}
        return self._begin()

    def _start(self, event: Object) -> list[ClientEvent]:
        block = object_in(event.get("content_block"))
        if block.get("type") == "text":
            return self._text(text_in(block.get("text")))
        if block.get("type") != "tool_use":
            return []
        tool = Tool(self._tools_begun, block.get("input"))
        self._tools[index_in(event.get("index"), UNKNOWN_BLOCK)] = tool
        self._tools_begun += 1
        call: Object = {
            "index": tool.index,
            "id": call_id(block.get("id"), text_in(self._head["id"]), tool.index),
            "type": "function",
            "function": {"name": text_in(block.get("name")), "arguments": ""},
        }
        return [*self._begin(), self._chunk({"tool_calls": [call]})]

    def _delta(self, event: Object) -> list[ClientEvent]:
        delta = object_in(event.get("delta"))
        kind = delta.get("type")
        if kind == "text_delta":
            return self._text(text_in(delta.get("text")))
        tool = self._tools.get(index_in(event.get("index"), UNKNOWN_BLOCK))
        piece = text_in(delta.get("partial_json"))
        if kind != "input_json_delta" or tool is None or not piece:
            return []
        tool.has_arguments = True
        return [self._arguments(tool, piece)]

    def _stop(self, event: Object) -> list[ClientEvent]:
        tool = self._tools.pop(index_in(event.get("index"), UNKNOWN_BLOCK), None)
        # Without a piece the arguments are the start's, most often none: a chat's client reads them as JSON then too.
        return [] if tool is None or tool.has_arguments else [self._arguments(tool, arguments_of(tool.given))]

    def _text(self, text: str) -> list[ClientEvent]:
        return [*self._begin(), self._chunk({"content": text})] if text else []

    def _arguments(self, tool: Tool, piece: str) -> ClientEvent:
        return self._chunk({"tool_calls": [{"index": tool.index, "function": {"arguments": piece}}]})

    def _begin(self) -> list[ClientEvent]:
        if self._has_begun:
            return []
        self._has_begun = True
        return [self._chunk({"role": "assistant", "content": ""})]

    def _end(self) -> list[ClientEvent]:
        self._has_ended = True
        events = [*self._begin(), self._chunk({}, finish_reason(self._stop_reason))]
        counts = chat_usage(result(self._usage)) if self._asked_usage else None
        if counts is not None:
            events.append(ClientEvent(None, {**self._head, "choices": [], "usage": counts}))
        return [*events, ClientEvent(None, DONE)]

    def _chunk(self, delta: Object, finish: str | None = None) -> ClientEvent:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return ClientEvent(None, {**self._head, "choices": [choice]})
