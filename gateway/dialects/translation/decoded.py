"""Members of decoded JSON: what a call holds is checked and refused by name, what an answer holds is taken as it is."""

import msgspec

from gateway.dialects.calls import CallBody, CallRefused
from gateway.dialects.errors import invalid, unsupported

Object = dict[str, object]

NOT_JSON = (msgspec.MsgspecError, RecursionError, UnicodeError)
"""What decoding raises, whatever text it is given."""


def refuse(message: str, param: str) -> CallRefused:
    """Return the refusal of a call that is wrong in itself."""
    return CallRefused(invalid(message, param))


def cannot_say(what: str, param: str) -> CallRefused:
    """Return the refusal of something that the other dialect has no words for: `what` is a plural or a clause."""
    return CallRefused(unsupported(f"{what} on a route that speaks another dialect", param))


def members_of(call: CallBody) -> Object:
    """Return a call's members, decoded; a null says the same as no member."""
    members: Object = {}
    for name, raw in call.members.items():
        try:
            value = msgspec.json.decode(raw)
        except NOT_JSON as problem:
            raise refuse(f"`{name}` is not valid JSON.", name) from problem
        if value is not None:
            members[name] = value
    return members


def check_parameters(members: Object, known: frozenset[str], neutral: dict[str, tuple[object, ...]]) -> None:
    """Refuse a member that is neither known nor holds a value that asks for nothing."""
    for name, value in members.items():
        if name not in known and value not in neutral.get(name, ()):
            raise cannot_say(f"`{name}`" if name not in neutral else f"this value of `{name}`", name)


def as_object(value: object, param: str) -> Object:
    """Return an object of a call."""
    if not isinstance(value, dict):
        raise refuse(f"`{param}` must be an object.", param)
    return value


def as_list(value: object, param: str) -> list[object]:
    """Return a list of a call; an absent one is empty."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise refuse(f"`{param}` must be a list.", param)
    return value


def as_text(value: object, param: str) -> str:
    """Return a text of a call."""
    if not isinstance(value, str):
        raise refuse(f"`{param}` must be a string.", param)
    return value


def as_name(value: object, param: str) -> str:
    """Return a text of a call that must not be empty."""
    if not as_text(value, param):
        raise refuse(f"`{param}` must not be empty.", param)
    return as_text(value, param)


def object_in(value: object) -> Object:
    """Return an object of an answer; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def objects_in(value: object) -> list[Object]:
    """Return the objects of a list of an answer, without what is none."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def text_in(value: object) -> str:
    """Return a text of an answer; anything else is an empty one."""
    return value if isinstance(value, str) else ""


def index_in(value: object, otherwise: int) -> int:
    """Return the number of a block, a choice or a tool call of an answer."""
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise


def is_blank(text: str) -> bool:
    """Tell whether a text has nothing to read: Anthropic takes no block of it."""
    return not text or text.isspace()
