"""Chunks of a chat and events of a message, as upstreams send them."""

from tests.unit.translation import Json

USAGE = {"prompt_tokens": 30, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 20}}


def chunk(delta: Json | None = None, finish: str | None = None, **members: object) -> Json:
    """Return a chat's chunk."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-x"}
    return {**head, "choices": choices, "usage": None, **members}


def piece(index: int | None, arguments: str, name: str | None = None, call_id: str | None = None) -> Json:
    """Return a delta with a piece of a tool call."""
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    call: Json = {"function": function}
    if index is not None:
        call["index"] = index
    if call_id is not None:
        call |= {"id": call_id, "type": "function"}
    return {"tool_calls": [call]}


def start(index: int, block: Json) -> Json:
    """Return the start of a block of a message."""
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, kind: str, **said: str) -> Json:
    """Return a piece of a block of a message."""
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **said}}


def stop(index: int) -> Json:
    """Return the stop of a block of a message."""
    return {"type": "content_block_stop", "index": index}


def begun(**usage: int) -> Json:
    """Return the start of a message."""
    counts = {"input_tokens": 10, "output_tokens": 1, **usage}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": []}
    return {"type": "message_start", "message": {**head, "stop_reason": None, "stop_sequence": None, "usage": counts}}


def stopped(reason: str | None, **usage: int) -> Json:
    """Return the last counts of a message."""
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


STOP = {"type": "message_stop"}
TEXT = {"type": "text", "text": ""}
PING = {"type": "ping"}


def tool_use(call_id: str, name: str, given: Json | None = None) -> Json:
    """Return the start of a use of a tool."""
    return {"type": "tool_use", "id": call_id, "name": name, "input": given or {}}
