"""The door for whole answers: what an upstream said, in the dialect that the client speaks."""

import msgspec

from gateway.dialects.answers import AnswerUnreadable
from gateway.dialects.decoding import decoded
from gateway.dialects.surface import Interface
from gateway.dialects.translation.decoded import NOT_JSON, Object, is_blank, object_in, objects_in, text_in
from gateway.dialects.translation.generated import arguments_of, call_id, input_of
from gateway.dialects.translation.reasons import finish_reason, stop_reason
from gateway.dialects.translation.usage import USAGE_DIALECTS, chat_usage, messages_usage
from gateway.usage.states import UsageDialect
from gateway.usage.streams import read_body


def translate_answer(
    body: bytes, to: Interface, *, usage: UsageDialect | None = None, created_at_seconds: int = 0
) -> bytes:
    """Return a whole answer for a client that speaks `to`; raises `AnswerUnreadable` for what is no answer.

    `usage` says whose usage block it is, where that is known. A chat's answer says when it was made and a
    message's doesn't: the caller's clock fills that in.
    """
    try:
        answer = decoded(body)
        if not isinstance(answer, dict):
            raise AnswerUnreadable("The answer is no JSON object.")
        if to == "chat":
            return msgspec.json.encode(_chat(answer, usage or USAGE_DIALECTS["chat"], created_at_seconds))
        return msgspec.json.encode(_message(answer, usage or USAGE_DIALECTS["messages"]))
    except NOT_JSON as problem:
        raise AnswerUnreadable("The answer is not JSON.") from problem


def _chat(answer: Object, usage: UsageDialect, created_at_seconds: int) -> Object:
    if not isinstance(answer.get("content"), list):
        raise AnswerUnreadable("The answer has no content.")
    blocks = objects_in(answer["content"])
    texts = [text_in(block.get("text")) for block in blocks if block.get("type") == "text"]
    answer_id = text_in(answer.get("id"))
    calls = [
        {
            "id": call_id(block.get("id"), answer_id, index),
            "type": "function",
            "function": {"name": text_in(block.get("name")), "arguments": arguments_of(block.get("input"))},
        }
        for index, block in enumerate(block for block in blocks if block.get("type") == "tool_use")
    ]
    content = "".join(texts)
    message: Object = {"role": "assistant", "content": content or (None if calls else ""), "refusal": None}
    if calls:
        message["tool_calls"] = calls
    choice = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": finish_reason(answer.get("stop_reason")),
    }
    said: Object = {
        "id": answer_id,
        "object": "chat.completion",
        "created": created_at_seconds,
        "model": text_in(answer.get("model")),
        "choices": [choice],
    }
    counts = chat_usage(read_body(usage, answer))
    return said if counts is None else {**said, "usage": counts}


def _message(answer: Object, usage: UsageDialect) -> Object:
    if not isinstance(answer.get("choices"), list):
        raise AnswerUnreadable("The answer has no choices.")
    # Without any choice it is an answer without words, as it is for the bill.
    choice = next(iter(objects_in(answer["choices"])), {})
    message = object_in(choice.get("message"))
    answer_id = text_in(answer.get("id"))
    refusal = text_in(message.get("refusal"))
    texts = (text_in(message.get("content")), refusal)
    content: list[Object] = [{"type": "text", "text": text} for text in texts if not is_blank(text)]
    calls = objects_in(message.get("tool_calls"))
    content += [_tool_use(call, answer_id, index) for index, call in enumerate(calls)]
    reason = stop_reason(choice.get("finish_reason"), has_tools=bool(calls), has_refused=bool(refusal))
    return {
        "id": answer_id,
        "type": "message",
        "role": "assistant",
        "model": text_in(answer.get("model")),
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": messages_usage(read_body(usage, answer)),
    }


def _tool_use(call: Object, answer_id: str, index: int) -> Object:
    function = object_in(call.get("function"))
    return {
        "type": "tool_use",
        "id": call_id(call.get("id"), answer_id, index),
        "name": text_in(function.get("name")),
        "input": input_of(function.get("arguments")),
    }
