"""Tools, the choice among them, and calls of them, in both directions."""

import re

import msgspec

from gateway.dialects.translation.decoded import (
    NOT_JSON,
    Object,
    as_name,
    as_object,
    as_text,
    cannot_say,
    refuse,
)

CHOICES = {"auto": "auto", "required": "any", "none": "none"}
CHAT_CHOICES = {word: choice for choice, word in CHOICES.items()}

ODD_CHARACTER = re.compile(r"[^A-Za-z0-9_-]")

_encode = msgspec.json.Encoder().encode


def tool_definition(value: object, param: str) -> Object:
    """Return Anthropic's definition of a chat's tool."""
    tool = as_object(value, param)
    if tool.get("type", "function") != "function":
        raise cannot_say("tools that are no functions", f"{param}.type")
    function = as_object(tool.get("function"), f"{param}.function")
    schema = function.get("parameters")
    # A function without parameters may leave them out there; here the schema is an object in any case.
    schema = {} if schema is None else as_object(schema, f"{param}.function.parameters")
    definition: Object = {"name": as_name(function.get("name"), f"{param}.function.name")}
    if function.get("description") is not None:
        definition["description"] = as_text(function["description"], f"{param}.function.description")
    definition["input_schema"] = schema if "type" in schema else {"type": "object", "properties": {}, **schema}
    if function.get("strict"):
        definition["strict"] = True
    return with_cache_control(definition, tool)


def chat_tool(value: object, param: str) -> Object:
    """Return a chat's tool of Anthropic's definition."""
    tool = as_object(value, param)
    if tool.get("type") not in (None, "custom"):
        raise cannot_say("tools that run at the upstream", f"{param}.type")
    function: Object = {"name": as_name(tool.get("name"), f"{param}.name")}
    if tool.get("description") is not None:
        function["description"] = as_text(tool["description"], f"{param}.description")
    function["parameters"] = as_object(tool.get("input_schema"), f"{param}.input_schema")
    if tool.get("strict"):
        function["strict"] = True
    return {"type": "function", "function": function}


def messages_choice(value: object, *, is_parallel: object, has_tools: bool) -> Object | None:
    """Return Anthropic's choice of tools for a chat's; None says nothing, which is `auto`."""
    if not has_tools:
        if value not in (None, "auto", "none"):
            raise refuse("`tool_choice` needs `tools`.", "tool_choice")
        return None
    choice: Object | None = None
    if isinstance(value, str):
        if value not in CHOICES:
            raise refuse("`tool_choice` must be auto, required, none or a function.", "tool_choice")
        choice = {"type": CHOICES[value]}
    elif value is not None:
        named = as_object(value, "tool_choice")
        if named.get("type") != "function":
            raise cannot_say("this `tool_choice`", "tool_choice")
        function = as_object(named.get("function"), "tool_choice.function")
        choice = {"type": "tool", "name": as_name(function.get("name"), "tool_choice.function.name")}
    if is_parallel is False and choice != {"type": "none"}:
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return choice


def chat_choice(value: object, *, has_tools: bool) -> Object:
    """Return the members of a chat that say Anthropic's choice of tools."""
    if value is None:
        return {}
    choice = as_object(value, "tool_choice")
    kind = as_text(choice.get("type"), "tool_choice.type")
    if not has_tools:
        if kind not in ("auto", "none"):
            raise refuse("`tool_choice` needs `tools`.", "tool_choice")
        return {}
    said: Object = {"parallel_tool_calls": False} if choice.get("disable_parallel_tool_use") else {}
    if kind == "tool":
        name = as_name(choice.get("name"), "tool_choice.name")
        return {"tool_choice": {"type": "function", "function": {"name": name}}, **said}
    if kind not in CHAT_CHOICES:
        raise refuse("`tool_choice.type` must be auto, any, tool or none.", "tool_choice.type")
    return {"tool_choice": CHAT_CHOICES[kind], **said}


def tool_use_block(value: object, param: str) -> Object:
    """Return Anthropic's block of a call of a tool in a chat's history."""
    call = as_object(value, param)
    if call.get("type", "function") != "function":
        raise cannot_say("calls of tools that are no functions", f"{param}.type")
    function = as_object(call.get("function"), f"{param}.function")
    arguments = as_text(function.get("arguments", ""), f"{param}.function.arguments")
    given = tool_input(arguments)
    if given is None:
        raise refuse("The arguments of a tool call must be a JSON object.", f"{param}.function.arguments")
    return {
        "type": "tool_use",
        "id": tool_use_id(call.get("id"), f"{param}.id"),
        "name": as_name(function.get("name"), f"{param}.function.name"),
        "input": given,
    }


def chat_tool_call(block: Object, param: str) -> Object:
    """Return a chat's call of a tool for Anthropic's block in a history."""
    arguments = _encode(as_object(block.get("input", {}), f"{param}.input")).decode()
    function = {"name": as_name(block.get("name"), f"{param}.name"), "arguments": arguments}
    return {"id": as_name(block.get("id"), f"{param}.id"), "type": "function", "function": function}


def tool_input(arguments: str) -> msgspec.Raw | None:
    """Return a tool's arguments as JSON that needs no second writing, or None where they are no object."""
    if not arguments or arguments.isspace():
        return msgspec.Raw(b"{}")
    try:
        encoded = arguments.encode()
        return msgspec.Raw(encoded) if isinstance(msgspec.json.decode(encoded), dict) else None
    except NOT_JSON:
        return None


def tool_use_id(value: object, param: str) -> str:
    """Return an identifier as Anthropic takes it: what it has no room for is spelled out, the same way every time."""
    return ODD_CHARACTER.sub(lambda odd: f"_{ord(odd[0]):x}_", as_name(value, param))


def with_cache_control(block: Object, said: Object) -> Object:
    """Return a block with the mark that ends a cached prefix, where a chat's client has set Anthropic's."""
    mark = said.get("cache_control")
    return {**block, "cache_control": mark} if isinstance(mark, dict) else block
