"""Anthropic's messages: one body, or named server-sent events."""

from collections.abc import Sequence

import msgspec

from gateway.demo.upstream.answers import Answer, Usage
from gateway.demo.upstream.failures import anthropic_error
from gateway.demo.upstream.pieces import Json, Piece, named_event

STOP = {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use"}
THOUGHT = "The demo upstream thinks before it speaks."
SIGNATURE = "ZGVtbw=="


def messages_body(answer: Answer, digest: str) -> bytes:
    """Return a whole message."""
    content = [whole for whole, _, _ in blocks_of(answer, digest)]
    message = message_of(answer, digest, content) | {"stop_reason": STOP[answer.finish], "stop_sequence": None}
    return msgspec.json.encode(message | ({"usage": messages_usage(answer.usage)} if answer.has_usage else {}))


def messages_pieces(answer: Answer, digest: str) -> list[Piece]:
    """Return a message as a stream. The first event has the input's usage, the last but one the totals."""
    counted: Json = {"usage": messages_usage(answer.usage)} if answer.has_usage else {}
    first = {"usage": messages_usage(answer.usage) | {"output_tokens": 1}} if answer.has_usage else {}
    start = message_of(answer, digest, []) | {"stop_reason": None, "stop_sequence": None} | first
    pieces = [Piece(named_event({"type": "message_start", "message": start}))]
    for index, (_, empty, deltas) in enumerate(blocks_of(answer, digest)):
        pieces.append(event("content_block_start", index=index, content_block=empty))
        if index == 0:
            pieces.append(event("ping"))
        pieces += [
            Piece(named_event({"type": "content_block_delta", "index": index, "delta": delta}), content_bytes)
            for delta, content_bytes in deltas
        ]
        pieces.append(event("content_block_stop", index=index))
    stop = {"stop_reason": STOP[answer.finish], "stop_sequence": None}
    return [*pieces, event("message_delta", delta=stop, **counted), event("message_stop")]


def messages_stream_error() -> bytes:
    """Return the event by which a stream of messages says that it failed."""
    body = anthropic_error(529, "The demo upstream was told to fail in the middle of its stream.")
    return b"event: error\ndata: " + body + b"\n\n"


def event(kind: str, **members: object) -> Piece:
    """Return an event without generated text."""
    return Piece(named_event({"type": kind, **members}))


def message_of(answer: Answer, digest: str, content: list[Json]) -> Json:
    """Return the members that a message begins with."""
    return {
        "id": f"msg_{digest}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
    }


def blocks_of(answer: Answer, digest: str) -> list[tuple[Json, Json, list[tuple[Json, int]]]]:
    """Return the blocks of an answer: whole, as it is started in a stream, and its deltas with their sizes."""
    blocks: list[tuple[Json, Json, list[tuple[Json, int]]]] = []
    if answer.usage.reasoning_tokens:
        whole: Json = {"type": "thinking", "thinking": THOUGHT, "signature": SIGNATURE}
        thought: Json = {"type": "thinking_delta", "thinking": THOUGHT}
        signature: Json = {"type": "signature_delta", "signature": SIGNATURE}
        empty: Json = {"type": "thinking", "thinking": "", "signature": ""}
        blocks.append((whole, empty, [(thought, len(THOUGHT)), (signature, 0)]))
    if answer.tool is not None:
        called: Json = {"type": "tool_use", "id": f"toolu_{digest}", "name": answer.tool, "input": {}}
        # Arguments that the limit cut off are no JSON: a whole answer then has none, a stream what there was.
        given = msgspec.Raw(answer.text.encode() if answer.finish == "tool" else b"{}")
        blocks.append((called | {"input": given}, called, deltas_of("input_json_delta", "partial_json", answer.pieces)))
    else:
        spoken: Json = {"type": "text", "text": answer.text}
        blocks.append((spoken, {"type": "text", "text": ""}, deltas_of("text_delta", "text", answer.pieces)))
    return blocks


def deltas_of(kind: str, member: str, texts: Sequence[str]) -> list[tuple[Json, int]]:
    """Return the deltas that carry texts, with their sizes."""
    return [({"type": kind, member: text}, len(text.encode())) for text in texts]


def messages_usage(usage: Usage) -> Json:
    """Return the usage of a message: here the input leaves out what the cache had to do with."""
    return {
        "input_tokens": usage.input_tokens - usage.cached_tokens - usage.written_tokens,
        "cache_creation_input_tokens": usage.written_tokens,
        "cache_read_input_tokens": usage.cached_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.written_tokens, "ephemeral_1h_input_tokens": 0},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
        "service_tier": "standard",
    }
