"""What one event of a stream is, seen in one cheap decoding: most events are a few words and nothing else."""

from typing import Any, Literal, Protocol

import msgspec
from msgspec import Raw

from gateway.dialects.failures import UpstreamFailure, failure_of

Kind = Literal["content", "other", "held", "end", "error"]
"""`content` carries what was generated, `held` the final usage, `end` is the last event, `error` the upstream's."""


class Seen(msgspec.Struct):
    """An event. `text_bytes` is what was generated in it; `is_news` says that the usage's fold has to see it.

    `usage` is where a chat's chunk has it: `alone` in a chunk made for it, `beside` choices, or `null`.
    """

    kind: Kind
    text_bytes: int = 0
    is_news: bool = False
    usage: Literal["absent", "null", "alone", "beside"] = "absent"
    failure: UpstreamFailure | None = None
    response_id: str | None = None


class Watcher(Protocol):
    """Sees the events of one stream in their order."""

    def see(self, data: bytes) -> Seen:
        """Return what an event's data is. Never raises, whatever the data are."""


OTHER = Seen("other")
UNREADABLE = Seen("other", is_news=True)
NOTHING = Raw(b"")


def size(text: str | None) -> int:
    """Return how many bytes a text has in UTF-8."""
    if not text:
        return 0
    return len(text) if text.isascii() else len(text.encode())


def size_within(value: object) -> int:
    """Return how many bytes of text stand anywhere in a value of a shape that isn't known."""
    if isinstance(value, str):
        return size(value)
    if isinstance(value, dict):
        return sum(size_within(each) for name, each in value.items() if name not in {"role", "type", "id"})
    return sum(map(size_within, value)) if isinstance(value, list) else 0


def broken(error: Any) -> Seen:
    """Return an event that is the upstream's error."""
    return Seen("error", is_news=False, failure=failure_of(error))
