"""Streams of every dialect, made by hand, and what reads them."""

import json
from collections.abc import Sequence
from typing import Any

from gateway.dialects.calls import CallBody, read_call
from gateway.dialects.streams import Piece, StreamReader
from gateway.dialects.surface import Interface
from gateway.usage.states import UsageDialect

USAGE = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}


def call_of(interface: Interface, *, asked: bool = True, choices: int = 1) -> CallBody:
    """Return a call of a stream."""
    body: dict[str, Any] = {"model": "m", "stream": True, ("input" if interface == "responses" else "messages"): []}
    if interface == "chat":
        body |= {"stream_options": {"include_usage": asked}, "n": choices}
    return read_call(interface, json.dumps(body).encode())


def sse(data: dict[str, Any] | str, name: str | None = None) -> bytes:
    """Return an event as OpenAI writes it, or with a name as Anthropic does."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    return ("" if name is None else f"event: {name}\n").encode() + f"data: {text}\n\n".encode()


def chunk(delta: dict[str, Any] | None, finish: str | None = None, **members: Any) -> bytes:
    """Return a chunk of a chat; without a delta it has no choices. `usage` is null if nothing is said."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return sse(CHUNK | {"choices": choices, "usage": None} | members)


def plain(delta: dict[str, Any] | None, finish: str | None = None, **members: Any) -> bytes:
    """Return a chunk that never had a usage."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return sse(CHUNK | {"choices": choices} | members)


def read(events: Sequence[bytes], reader: StreamReader) -> list[Piece]:
    """Return all pieces of a stream that is closed after its last event."""
    pieces = [piece for event in events for piece in reader.feed(event)]
    return pieces + reader.close()


def chat(*, asked: bool = True, choices: int = 1, usage: UsageDialect = "openai_chat") -> StreamReader:
    """Return the reader of a chat."""
    return StreamReader(call_of("chat", asked=asked, choices=choices), "chat", usage)


CHAT = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"content": "Hello "}),
    chunk({"content": "中文"}),
    chunk({}, "stop"),
    chunk(None, usage=USAGE),
    sse("[DONE]"),
]


def named(kind: str, **members: Any) -> bytes:
    """Return an event that names its type twice, as messages and responses do."""
    return sse({"type": kind} | members, kind)


def block_delta(index: int, kind: str, **members: Any) -> bytes:
    """Return a part of a message's block."""
    return named("content_block_delta", index=index, delta={"type": kind} | members)


MESSAGE_USAGE = {"input_tokens": 10, "output_tokens": 1}
MESSAGE = [
    named("message_start", message={"id": "m1", "model": "claude", "usage": MESSAGE_USAGE}),
    named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    named("ping"),
    block_delta(0, "text_delta", text="Hello"),
    block_delta(0, "thinking_delta", thinking="Hm"),
    named("content_block_start", index=1, content_block={"type": "tool_use", "id": "t", "name": "f", "input": {}}),
    block_delta(1, "input_json_delta", partial_json='{"a":1}'),
    named("content_block_stop", index=1),
    named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 20}),
    named("message_stop"),
]

RESPONSE_USAGE = {"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}
RESPONSE = [
    named("response.created", response={"id": "resp_1", "model": "m", "usage": None}),
    named("response.output_item.added", item={"type": "message", "id": "i"}),
    named("response.output_text.delta", delta="Hello"),
    named("response.output_text.done", text="Hello"),
    named("response.output_item.added", item={"type": "function_call", "name": "f"}),
    named("response.function_call_arguments.delta", delta="{}"),
    named("response.completed", response={"id": "resp_1", "model": "m", "usage": RESPONSE_USAGE}),
]

STREAMS: dict[Interface, tuple[list[bytes], UsageDialect]] = {
    "chat": (CHAT, "openai_chat"),
    "messages": (MESSAGE, "anthropic"),
    "responses": (RESPONSE, "openai_responses"),
}
