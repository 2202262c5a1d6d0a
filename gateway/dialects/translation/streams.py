"""The door for streams: the upstream's events, decoded, in; the client's out."""

from gateway.dialects.surface import Interface
from gateway.dialects.translation.events import ClientEvent
from gateway.dialects.translation.stream_to_chat import ChatChunks
from gateway.dialects.translation.stream_to_messages import MessageEvents
from gateway.dialects.translation.usage import USAGE_DIALECTS
from gateway.usage.states import UsageDialect


class StreamTranslator:
    """Translates one stream for a client that speaks `to`. Whatever an upstream sends, nothing here raises.

    `usage` says whose usage block it is, where that is known. The events after the last one, or after an error,
    are empty.
    """

    def __init__(
        self, to: Interface, *, asked_usage: bool, usage: UsageDialect | None = None, created_at_seconds: int = 0
    ) -> None:
        dialect = usage or USAGE_DIALECTS[to]
        self._translator: ChatChunks | MessageEvents = (
            ChatChunks(dialect, asked_usage=asked_usage, created_at_seconds=created_at_seconds)
            if to == "chat"
            else MessageEvents(dialect)
        )

    def translate(self, event: object) -> list[ClientEvent]:
        """Return the client's events for one of the upstream's: decoded JSON, or the text `[DONE]`."""
        return self._translator.translate(event)

    def close(self) -> list[ClientEvent]:
        """Return what is still to be sent when the upstream closed. A stream that was cut gets no end here."""
        return self._translator.close()
