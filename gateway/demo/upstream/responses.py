"""OpenAI's responses: one body, or named and numbered server-sent events."""

import msgspec

from gateway.demo.upstream.answers import Answer, Usage
from gateway.demo.upstream.pieces import CREATED, Json, Piece, named_event


def responses_body(answer: Answer, digest: str) -> bytes:
    """Return a whole response."""
    return msgspec.json.encode(finished_response(answer, digest))


def responses_pieces(answer: Answer, digest: str) -> list[Piece]:
    """Return a response as a stream of events."""
    begun = response_of(answer, digest, "in_progress", [])
    events: list[tuple[Json, int]] = [
        ({"type": "response.created", "response": begun}, 0),
        ({"type": "response.in_progress", "response": begun}, 0),
    ]
    items = items_of(answer, digest)
    if len(items) > 1:
        events += item_events(0, items[0] | {"status": "in_progress"}, items[0], [])
    index = len(items) - 1
    events += function_events(index, answer, items[-1]) if answer.tool else text_events(index, answer, items[-1])
    last = "response.incomplete" if answer.finish == "length" else "response.completed"
    events.append(({"type": last, "response": finished_response(answer, digest)}, 0))
    return [Piece(named_event(event | {"sequence_number": n}), size) for n, (event, size) in enumerate(events)]


def responses_stream_error() -> bytes:
    """Return the event by which a stream of a response says that it failed."""
    message = "The demo upstream was told to fail in the middle of its stream."
    return named_event(
        {"type": "error", "code": "server_error", "message": message, "param": None, "sequence_number": 0}
    )


def item_events(index: int, begun: Json, done: Json, between: list[tuple[Json, int]]) -> list[tuple[Json, int]]:
    """Return the events of one item: that it begins, what happens to it, that it is done."""
    added: Json = {"type": "response.output_item.added", "output_index": index, "item": begun}
    ended: Json = {"type": "response.output_item.done", "output_index": index, "item": done}
    return [(added, 0), *between, (ended, 0)]


def text_events(index: int, answer: Answer, item: Json) -> list[tuple[Json, int]]:
    """Return the events of a message of the assistant."""
    place: Json = {"item_id": item["id"], "output_index": index, "content_index": 0}

    def part(kind: str, text: str) -> Json:
        return {"type": f"response.content_part.{kind}", **place, "part": text_part(text)}

    deltas: list[tuple[Json, int]] = [
        ({"type": "response.output_text.delta", **place, "delta": text, "logprobs": []}, len(text.encode()))
        for text in answer.pieces
    ]
    done: Json = {"type": "response.output_text.done", **place, "text": answer.text, "logprobs": []}
    between = [(part("added", ""), 0), *deltas, (done, 0), (part("done", answer.text), 0)]
    return item_events(index, item | {"status": "in_progress", "content": []}, item, between)


def function_events(index: int, answer: Answer, item: Json) -> list[tuple[Json, int]]:
    """Return the events of a call of a function."""
    place: Json = {"item_id": item["id"], "output_index": index}
    kind = "response.function_call_arguments"
    deltas: list[tuple[Json, int]] = [
        ({"type": f"{kind}.delta", **place, "delta": text}, len(text.encode())) for text in answer.pieces
    ]
    done: Json = {"type": f"{kind}.done", **place, "name": answer.tool, "arguments": answer.text}
    return item_events(index, item | {"status": "in_progress", "arguments": ""}, item, [*deltas, (done, 0)])


def text_part(text: str) -> Json:
    """Return a text as a part of a message's content."""
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def items_of(answer: Answer, digest: str) -> list[Json]:
    """Return the items of a finished response."""
    items: list[Json] = []
    status = "incomplete" if answer.finish == "length" else "completed"
    if answer.usage.reasoning_tokens:
        items.append({"id": f"rs_{digest}", "type": "reasoning", "summary": [], "status": "completed"})
    if answer.tool is None:
        message: Json = {"id": f"msg_{digest}", "type": "message", "role": "assistant", "status": status}
        return [*items, message | {"content": [text_part(answer.text)]}]
    call: Json = {"id": f"fc_{digest}", "type": "function_call", "call_id": f"call_{digest}", "status": status}
    return [*items, call | {"name": answer.tool, "arguments": answer.text}]


def finished_response(answer: Answer, digest: str) -> Json:
    """Return a response that has ended, at its limit or by itself."""
    if answer.finish == "length":
        body = response_of(answer, digest, "incomplete", items_of(answer, digest))
        body["incomplete_details"] = {"reason": "max_output_tokens"}
    else:
        body = response_of(answer, digest, "completed", items_of(answer, digest))
    return body | {"usage": responses_usage(answer.usage) if answer.has_usage else None}


def response_of(answer: Answer, digest: str, status: str, output: list[Json]) -> Json:
    """Return a response without usage."""
    return {
        "id": f"resp_{digest}",
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": answer.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "service_tier": "default",
        "store": True,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
    }


def responses_usage(usage: Usage) -> Json:
    """Return the usage of a response."""
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.written_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
