"""Events as a client gets them, before they are bytes."""

import msgspec

from gateway.dialects.errors import error_body, upstream_failed
from gateway.dialects.failures import failure_of
from gateway.dialects.surface import Interface
from gateway.dialects.translation.decoded import Object, text_in

DONE = "[DONE]"


class ClientEvent(msgspec.Struct, frozen=True):
    """An event: its name where the dialect has names, and its data; a text only for the mark after a chat."""

    name: str | None
    data: Object | str


def named(data: Object) -> ClientEvent:
    """Return an event of messages: its name is its type."""
    return ClientEvent(text_in(data.get("type")), data)


def broken_off(event: Object, to: Interface) -> ClientEvent:
    """Return the client's error for the upstream's own inside a stream: its kind, not its words about our account."""
    answer = upstream_failed(failure_of(event.get("error")), 1)
    data = msgspec.json.decode(error_body(to, answer), type=dict[str, object])
    return ClientEvent("error" if to == "messages" else None, data)
