"""Pieces of text and of tool calls, put into blocks of which only one is open at a time.

A chat may interleave the pieces of parallel calls; Anthropic's blocks follow one another. What comes while the
arguments of an open call are not complete therefore waits for them; without interleaving nothing ever waits.
"""

import msgspec

from gateway.dialects.translation.decoded import Object, index_in, is_blank, object_in, text_in
from gateway.dialects.translation.events import ClientEvent, named
from gateway.dialects.translation.generated import call_id
from gateway.dialects.translation.tools import tool_input

NO_INDEX = -1


class Call(msgspec.Struct, eq=False):
    """A call of a tool by now. `is_over` says that its block was closed."""

    id: str
    name: str
    pieces: list[str] = []
    is_over: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether the arguments are a whole JSON object; none at all may still come."""
        text = "".join(self.pieces).rstrip()
        return text.endswith("}") and tool_input(text) is not None


class Piece(msgspec.Struct, frozen=True):
    """Text, or arguments of a call."""

    call: Call | None
    text: str


class Blocks:
    """The blocks of one answer."""

    def __init__(self) -> None:
        self.answer_id = ""
        self.has_tools = False
        self._calls: dict[int, Call] = {}
        self._count = 0
        self._tools_count = 0
        self._open: Call | None = None
        self._is_open = False
        self._waiting: list[Piece] = []
        self._blank = ""

    def add_text(self, text: str) -> list[ClientEvent]:
        """Return the events for a piece of text."""
        return self._add(Piece(None, text)) if text else []

    def add_call(self, said: Object) -> list[ClientEvent]:
        """Return the events for a piece of a tool call."""
        function = object_in(said.get("function"))
        call = self._call_of(said, text_in(function.get("name")))
        return self._add(Piece(call, text_in(function.get("arguments"))))

    def close(self) -> list[ClientEvent]:
        """Return what still waits, call by call, and the stop of the last block."""
        events: list[ClientEvent] = []
        for call in dict.fromkeys(piece.call for piece in self._waiting):
            for piece in self._waiting:
                if piece.call is call:
                    events += self._write(piece)
        self._waiting = []
        return events + self._stop()

    def _call_of(self, said: Object, name: str) -> Call:
        index = index_in(said.get("index"), NO_INDEX)
        given_id = text_in(said.get("id"))
        known = self._calls.get(index)
        if known is not None and not _is_other(known, index, given_id, name):
            return known
        call = Call(call_id(given_id, self.answer_id, self._tools_count), name)
        self._tools_count += 1
        self.has_tools = True
        self._calls[index] = call
        return call

    def _add(self, piece: Piece) -> list[ClientEvent]:
        is_elsewhere = self._is_open and piece.call is not self._open
        if is_elsewhere and self._open is not None and not self._open.is_complete:
            self._waiting.append(piece)
            return []
        events = self._write(piece)
        if self._waiting and self._open is not None and self._open.is_complete:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                events += self._add(each)
        return events

    def _write(self, piece: Piece) -> list[ClientEvent]:
        if piece.call is not None and piece.call.is_over:
            return []
        events: list[ClientEvent] = []
        text = piece.text
        if not self._is_open or piece.call is not self._open:
            if piece.call is None:
                # A block of white space alone is refused when the client sends it back.
                self._blank = text = self._blank + text
                if is_blank(text):
                    return []
            self._blank = ""
            events = [*self._stop(), self._start(piece.call)]
        if not text:
            return events
        delta: Object = {"type": "text_delta", "text": text}
        if piece.call is not None:
            piece.call.pieces.append(piece.text)
            delta = {"type": "input_json_delta", "partial_json": piece.text}
        return [*events, named({"type": "content_block_delta", "index": self._count - 1, "delta": delta})]

    def _start(self, call: Call | None) -> ClientEvent:
        self._is_open, self._open = True, call
        block: Object = {"type": "text", "text": ""}
        if call is not None:
            block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        self._count += 1
        return named({"type": "content_block_start", "index": self._count - 1, "content_block": block})

    def _stop(self) -> list[ClientEvent]:
        if not self._is_open:
            return []
        if self._open is not None:
            self._open.is_over = True
        self._is_open, self._open = False, None
        return [named({"type": "content_block_stop", "index": self._count - 1})]


def _is_other(known: Call, index: int, given_id: str, name: str) -> bool:
    # Some servers number all calls of an answer the same, or not at all; some send a new id with every piece. A call
    # begins with its name.
    if given_id:
        return given_id != known.id and (index == NO_INDEX or bool(name))
    return index == NO_INDEX and bool(name)
