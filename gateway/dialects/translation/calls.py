"""The door for calls: a body for an upstream that speaks the other dialect."""

import msgspec

from gateway.dialects.calls import CallBody, CallRefused
from gateway.dialects.errors import invalid
from gateway.dialects.surface import Interface
from gateway.dialects.translation.call_to_chat import call_to_chat
from gateway.dialects.translation.call_to_messages import call_to_messages
from gateway.dialects.translation.decoded import cannot_say


def translate_call(call: CallBody, to: Interface, *, model: str, output_limit: int, dialect: str) -> bytes:
    """Return the body for an upstream that is called in `to`.

    Raises `CallRefused` (400, with the member at fault) for what can't be said there; nothing that matters is lost
    in silence.
    """
    try:
        if call.interface == "chat" and to == "messages":
            return call_to_messages(call, model=model, output_limit=output_limit)
        if call.interface == "messages" and to == "chat":
            return call_to_chat(call, model=model, output_limit=output_limit, dialect=dialect)
    except (RecursionError, msgspec.MsgspecError):
        raise CallRefused(invalid("The body is nested too deeply.")) from None
    raise cannot_say(f"{call.interface}", "model")
