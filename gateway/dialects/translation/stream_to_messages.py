"""A chat's chunks as Anthropic's events: blocks that come one after the other, each with a start and a stop."""

from gateway.dialects.translation.decoded import Object, index_in, object_in, objects_in, text_in
from gateway.dialects.translation.events import DONE, ClientEvent, broken_off, named
from gateway.dialects.translation.reasons import stop_reason
from gateway.dialects.translation.stream_blocks import Blocks
from gateway.dialects.translation.usage import messages_usage
from gateway.usage.states import UsageDialect
from gateway.usage.streams import begin, fold, result

NOTHING_COUNTED = {"input_tokens": 0, "output_tokens": 0}
"""A chat counts at its end; the last event's counts replace these."""


class MessageEvents:
    """Translates the chunks of one answer."""

    def __init__(self, usage: UsageDialect) -> None:
        self._usage = begin(usage)
        self._blocks = Blocks()
        self._finish: object = None
        self._has_refused = False
        self._has_begun = False
        self._has_ended = False

    def translate(self, event: object) -> list[ClientEvent]:
        """Return the events for one chunk."""
        if self._has_ended:
            return []
        if isinstance(event, str):
            return self._end() if event.strip() == DONE else []
        if not isinstance(event, dict):
            return []
        if event.get("error"):
            self._has_ended = True
            return [broken_off(event, "messages")]
        self._usage = fold(self._usage, event)
        choices = objects_in(event.get("choices"))
        choice = next((each for each in choices if index_in(each.get("index"), 0) == 0), None)
        return [] if choice is None else [*self._begin(event), *self._choice(choice)]

    def close(self) -> list[ClientEvent]:
        """Return the end where the upstream closed without its mark, but had said why it stopped."""
        return [] if self._has_ended or self._finish is None else self._end()

    def _choice(self, choice: Object) -> list[ClientEvent]:
        delta = object_in(choice.get("delta"))
        self._finish = choice.get("finish_reason") or self._finish
        refusal = text_in(delta.get("refusal"))
        self._has_refused = self._has_refused or bool(refusal)
        events: list[ClientEvent] = []
        for text in (text_in(delta.get("content")), refusal):
            events += self._blocks.add_text(text)
        for call in objects_in(delta.get("tool_calls")):
            events += self._blocks.add_call(call)
        return events

    def _begin(self, event: Object) -> list[ClientEvent]:
        if self._has_begun:
            return []
        self._has_begun = True
        self._blocks.answer_id = text_in(event.get("id"))
        message: Object = {
            "id": self._blocks.answer_id,
            "type": "message",
            "role": "assistant",
            "model": text_in(event.get("model")),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": NOTHING_COUNTED,
        }
        return [named({"type": "message_start", "message": message})]

    def _end(self) -> list[ClientEvent]:
        self._has_ended = True
        events = [*self._begin({}), *self._blocks.close()]
        reason = stop_reason(self._finish, has_tools=self._blocks.has_tools, has_refused=self._has_refused)
        ending: Object = {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": None},
            "usage": messages_usage(result(self._usage)),
        }
        return [*events, named(ending), named({"type": "message_stop"})]
