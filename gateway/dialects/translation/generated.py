"""What a model generated, where both whole answers and streams have it: arguments of tools and their identifiers."""

import msgspec

from gateway.dialects.translation.decoded import Object, object_in, text_in
from gateway.dialects.translation.tools import tool_input

INVALID_JSON = "INVALID_JSON"
"""Under this name Anthropic's guide puts arguments that a model did not finish or got wrong."""

_encode = msgspec.json.Encoder().encode


def input_of(arguments: object) -> msgspec.Raw | Object:
    """Return the input of a tool for the arguments a model wrote, whatever they are: a cut answer has half of them."""
    text = _encode(arguments).decode() if isinstance(arguments, dict) else text_in(arguments)
    given = tool_input(text)
    return {INVALID_JSON: text} if given is None else given


def arguments_of(given: object) -> str:
    """Return the arguments of a tool for its input."""
    return _encode(object_in(given)).decode()


def call_id(value: object, answer_id: str, index: int) -> str:
    """Return the identifier of a tool call; a server that sends none gets one that is its own in every answer."""
    return text_in(value) or f"call_{answer_id[-24:]}_{index}"
