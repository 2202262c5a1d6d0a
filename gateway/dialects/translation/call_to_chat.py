"""A call of Anthropic's messages as a chat's call."""

import msgspec

from gateway.dialects.calls import LIMIT_MEMBERS, CallBody
from gateway.dialects.translation.decoded import (
    Object,
    as_list,
    as_name,
    as_object,
    as_text,
    cannot_say,
    check_parameters,
    members_of,
    refuse,
)
from gateway.dialects.translation.images import image_part
from gateway.dialects.translation.parameters import MESSAGES_LEFT_OUT, MESSAGES_NEUTRAL, MESSAGES_TRANSLATED
from gateway.dialects.translation.tools import chat_choice, chat_tool, chat_tool_call

USER_CHARACTERS_MAX = 64
PARAGRAPH = "\n\n"
"""Stands between texts that were blocks of their own: many upstreams take only one text per message."""

ERROR_MARK = "Error: "
"""Begins the result of a tool that failed: a chat has no other place to say so."""

STOPS_MAX = {"openai": 4}
TOP_K_DIALECTS = frozenset({"vllm", "openrouter"})
NO_SCHEMA_DIALECTS = frozenset({"deepseek"})
FORGOTTEN = ("thinking", "redacted_thinking")
"""Blocks of a history whose signatures mean nothing to another upstream."""


def call_to_chat(call: CallBody, *, model: str, output_limit: int, dialect: str) -> bytes:
    """Return the body for `/chat/completions`, or raise `CallRefused` for what can't be said there."""
    members = members_of(call)
    check_parameters(members, MESSAGES_TRANSLATED | MESSAGES_LEFT_OUT, MESSAGES_NEUTRAL)
    body: Object = {"model": model, "messages": _messages(members)}
    body[LIMIT_MEMBERS["chat"][0 if dialect == "openai" else 1]] = output_limit
    body |= _sampling(members, dialect) | _tools(members) | _format(members, dialect)
    if call.is_stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if call.end_user and len(call.end_user) <= USER_CHARACTERS_MAX:
        body["safety_identifier" if dialect == "openai" else "user"] = call.end_user
    return msgspec.json.encode(body)


def _messages(members: Object) -> list[Object]:
    system = _joined(members.get("system"), "system", PARAGRAPH)
    said: list[Object] = [{"role": "system", "content": system}] if system else []
    messages = as_list(members.get("messages"), "messages")
    for number, value in enumerate(messages):
        param = f"messages[{number}]"
        message = as_object(value, param)
        role = message.get("role")
        if role == "user":
            said += _user(message, param)
        elif role == "assistant":
            said.append(_assistant(message, param))
        elif role == "system":
            said.append({"role": "system", "content": _joined(message.get("content"), f"{param}.content", PARAGRAPH)})
        else:
            raise refuse("A message's role must be user, assistant or system.", f"{param}.role")
    if not messages:
        raise refuse("`messages` must not be empty.", "messages")
    if said[-1]["role"] == "assistant":
        # Anthropic goes on from there; a chat begins an answer of its own, so that the beginning would be missing.
        raise cannot_say("answers that are begun by the caller", f"messages[{len(messages) - 1}]")
    return said


def _user(message: Object, param: str) -> list[Object]:
    if isinstance(message.get("content"), str):
        return [{"role": "user", "content": message["content"]}]
    results: list[Object] = []
    parts: list[Object] = []
    for block, place in _blocks(message.get("content"), f"{param}.content"):
        if block.get("type") == "tool_result":
            results.append(_tool_message(block, place))
        else:
            parts.append(_part(block, place))
    if not parts and results:
        return results
    if all(part["type"] == "text" for part in parts):
        return [*results, {"role": "user", "content": PARAGRAPH.join(str(part["text"]) for part in parts)}]
    return [*results, {"role": "user", "content": parts}]


def _assistant(message: Object, param: str) -> Object:
    if isinstance(message.get("content"), str):
        return {"role": "assistant", "content": message["content"]}
    text = ""
    calls: list[Object] = []
    for block, place in _blocks(message.get("content"), f"{param}.content"):
        kind = block.get("type")
        if kind == "text":
            # Blocks of an answer are pieces of one text, cut where a source was cited.
            text += as_text(block.get("text"), f"{place}.text")
        elif kind == "tool_use":
            calls.append(chat_tool_call(block, place))
        elif kind not in FORGOTTEN:
            raise cannot_say(f"content of the type `{kind}`", f"{place}.type")
    if not calls:
        return {"role": "assistant", "content": text}
    return {"role": "assistant", "content": text or None, "tool_calls": calls}


def _tool_message(block: Object, param: str) -> Object:
    text = _joined(block.get("content"), f"{param}.content", PARAGRAPH)
    call_id = as_name(block.get("tool_use_id"), f"{param}.tool_use_id")
    return {"role": "tool", "tool_call_id": call_id, "content": ERROR_MARK + text if block.get("is_error") else text}


def _part(block: Object, param: str) -> Object:
    kind = block.get("type")
    if kind == "text":
        return {"type": "text", "text": as_text(block.get("text"), f"{param}.text")}
    if kind == "image":
        return image_part(block, param)
    raise cannot_say(f"content of the type `{kind}`", f"{param}.type")


def _joined(value: object, param: str, between: str) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    texts = []
    for block, place in _blocks(value, param):
        if block.get("type") != "text":
            raise cannot_say(f"content of the type `{block.get('type')}` here", f"{place}.type")
        texts.append(as_text(block.get("text"), f"{place}.text"))
    return between.join(texts)


def _blocks(value: object, param: str) -> list[tuple[Object, str]]:
    return [(as_object(each, f"{param}[{at}]"), f"{param}[{at}]") for at, each in enumerate(as_list(value, param))]


def _sampling(members: Object, dialect: str) -> Object:
    said: Object = {name: members[name] for name in ("temperature", "top_p") if name in members}
    if "top_k" in members:
        if dialect not in TOP_K_DIALECTS:
            raise cannot_say("`top_k`", "top_k")
        said["top_k"] = members["top_k"]
    stops = as_list(members.get("stop_sequences"), "stop_sequences")
    if len(stops) > STOPS_MAX.get(dialect, len(stops)):
        raise cannot_say(f"more than {STOPS_MAX[dialect]} `stop_sequences`", "stop_sequences")
    return {**said, "stop": stops} if stops else said


def _tools(members: Object) -> Object:
    tools = [chat_tool(each, f"tools[{at}]") for at, each in enumerate(as_list(members.get("tools"), "tools"))]
    choice = chat_choice(members.get("tool_choice"), has_tools=bool(tools))
    return {"tools": tools, **choice} if tools else {}


def _format(members: Object, dialect: str) -> Object:
    config = as_object(members.get("output_config", {}), "output_config")
    param = "output_format" if config.get("format") is None else "output_config.format"
    wanted = members.get("output_format") if config.get("format") is None else config["format"]
    if wanted is None:
        return {}
    form = as_object(wanted, param)
    if form.get("type") != "json_schema" or dialect in NO_SCHEMA_DIALECTS:
        raise cannot_say("this form of output", param)
    schema = as_object(form.get("schema"), f"{param}.schema")
    named = {"name": "answer", "schema": schema, "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": named}}
