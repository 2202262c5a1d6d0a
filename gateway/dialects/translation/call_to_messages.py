"""A chat's call as a call of Anthropic's messages."""

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
    is_blank,
    members_of,
    refuse,
)
from gateway.dialects.translation.images import image_block
from gateway.dialects.translation.parameters import CHAT_LEFT_OUT, CHAT_NEUTRAL, CHAT_TRANSLATED
from gateway.dialects.translation.tools import (
    messages_choice,
    tool_definition,
    tool_use_block,
    tool_use_id,
    with_cache_control,
)

USER_ID_CHARACTERS_MAX = 256


class Turn(msgspec.Struct):
    """What one side says until the other does: Anthropic wants all results of parallel calls in one."""

    role: str
    content: list[Object]


class Conversation(msgspec.Struct):
    """Messages by now; what the system says stands apart, wherever it was said."""

    system: list[Object] = []
    turns: list[Turn] = []

    def say(self, role: str, blocks: list[Object]) -> None:
        """Add what is said to the last turn if it is the same side's. Nothing said is no turn."""
        if not blocks:
            return
        if self.turns and self.turns[-1].role == role:
            self.turns[-1].content += blocks
        else:
            self.turns.append(Turn(role, blocks))


def call_to_messages(call: CallBody, *, model: str, output_limit: int) -> bytes:
    """Return the body for `/messages`, or raise `CallRefused` for what can't be said there."""
    members = members_of(call)
    check_parameters(members, CHAT_TRANSLATED | CHAT_LEFT_OUT, CHAT_NEUTRAL)
    conversation = _conversation(as_list(members.get("messages"), "messages"))
    stated = [limit for name in LIMIT_MEMBERS["chat"] if isinstance(limit := members.get(name), int)]
    body: Object = {"model": model, "max_tokens": min([output_limit, *stated]), "messages": conversation.turns}
    if conversation.system:
        body["system"] = conversation.system
    body |= _sampling(members) | _tools(members) | _format(members.get("response_format"))
    if call.is_stream:
        body["stream"] = True
    if call.end_user and len(call.end_user) <= USER_ID_CHARACTERS_MAX:
        body["metadata"] = {"user_id": call.end_user}
    return msgspec.json.encode(body)


def _conversation(messages: list[object]) -> Conversation:
    conversation = Conversation()
    for number, value in enumerate(messages):
        _hear(conversation, as_object(value, f"messages[{number}]"), f"messages[{number}]")
    if not conversation.turns:
        raise refuse("`messages` must hold something that the user said.", "messages")
    if conversation.turns[-1].role == "assistant":
        # Anthropic would take it as the beginning of the answer and go on from there.
        raise cannot_say("conversations that end with the assistant", f"messages[{len(messages) - 1}]")
    return conversation


def _hear(conversation: Conversation, message: Object, param: str) -> None:
    role = message.get("role")
    if role in ("system", "developer"):
        conversation.system += _content(message.get("content"), f"{param}.content")
    elif role == "user":
        conversation.say("user", _content(message.get("content"), f"{param}.content"))
    elif role == "assistant":
        conversation.say("assistant", _assistant(message, param))
    elif role == "tool":
        conversation.say("user", [_tool_result(message, param)])
    else:
        raise cannot_say(f"messages with the role `{role}`", f"{param}.role")


def _assistant(message: Object, param: str) -> list[Object]:
    for name in ("audio", "function_call"):
        if message.get(name) is not None:
            raise cannot_say(f"`{name}` in messages", f"{param}.{name}")
    blocks = _content(message.get("content"), f"{param}.content")
    blocks += _texts(message.get("refusal"), f"{param}.refusal")
    calls = as_list(message.get("tool_calls"), f"{param}.tool_calls")
    return blocks + [tool_use_block(each, f"{param}.tool_calls[{at}]") for at, each in enumerate(calls)]


def _tool_result(message: Object, param: str) -> Object:
    result: Object = {
        "type": "tool_result",
        "tool_use_id": tool_use_id(message.get("tool_call_id"), f"{param}.tool_call_id"),
    }
    content = _content(message.get("content"), f"{param}.content")
    return with_cache_control({**result, "content": content} if content else result, message)


def _content(value: object, param: str) -> list[Object]:
    if value is None or isinstance(value, str):
        return _texts(value, param)
    blocks: list[Object] = []
    for at, each in enumerate(as_list(value, param)):
        part = as_object(each, f"{param}[{at}]")
        blocks += [with_cache_control(block, part) for block in _part(part, f"{param}[{at}]")]
    return blocks


def _part(part: Object, param: str) -> list[Object]:
    kind = part.get("type")
    if kind in ("text", "refusal"):
        return _texts(part.get(str(kind)), f"{param}.{kind}")
    if kind == "image_url":
        return [image_block(part, param)]
    raise cannot_say(f"content of the type `{kind}`", f"{param}.type")


def _texts(value: object, param: str) -> list[Object]:
    text = "" if value is None else as_text(value, param)
    return [] if is_blank(text) else [{"type": "text", "text": text}]


def _sampling(members: Object) -> Object:
    said: Object = {name: members[name] for name in ("temperature", "top_p", "top_k") if name in members}
    temperature = said.get("temperature")
    if isinstance(temperature, int | float) and temperature > 1:
        raise cannot_say("a `temperature` above 1", "temperature")
    stop = members.get("stop")
    sequences = [stop] if isinstance(stop, str) else as_list(stop, "stop")
    if any(is_blank(as_text(each, "stop")) for each in sequences):
        raise cannot_say("a `stop` of white space only", "stop")
    return {**said, "stop_sequences": sequences} if sequences else said


def _tools(members: Object) -> Object:
    tools = [tool_definition(each, f"tools[{at}]") for at, each in enumerate(as_list(members.get("tools"), "tools"))]
    is_parallel = members.get("parallel_tool_calls")
    choice = messages_choice(members.get("tool_choice"), is_parallel=is_parallel, has_tools=bool(tools))
    said: Object = {"tools": tools} if tools else {}
    return said if choice is None else {**said, "tool_choice": choice}


def _format(value: object) -> Object:
    if value is None:
        return {}
    wanted = as_object(value, "response_format")
    kind = as_name(wanted.get("type"), "response_format.type")
    if kind == "text":
        return {}
    if kind != "json_schema":
        raise cannot_say("JSON without a schema", "response_format")
    named = as_object(wanted.get("json_schema"), "response_format.json_schema")
    schema = as_object(named.get("schema"), "response_format.json_schema.schema")
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}
