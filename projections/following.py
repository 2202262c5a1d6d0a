"""What a follower and its projection tell each other: pages of a book, and how far it came.

An event that cannot be applied ends its page: what came before it is kept, and the event is named.
"""

import logging
from collections.abc import Callable
from typing import Protocol

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.events import Fact, decode_fact

__all__ = ["Advance", "Apply", "Page", "PagedEvent", "Projection", "apply_page", "describe"]

log = logging.getLogger(__name__)

FAILURE_LENGTH_MAX = 500

Apply = Callable[[int, str, str, int, Fact], None]
"""Adds one event (position, stream, tag, recorded at, fact), or raises and leaves everything as it was."""


PagedEvent = tuple[str, int, str, str, int, bytes]
"""Workspace, position, stream, tag, recorded at and state of an event."""


class Page(msgspec.Struct):
    """The next events of one book after `position`."""

    workspace_id: str
    position: int
    events: list[PagedEvent]


class Advance(msgspec.Struct, frozen=True):
    """How far one book came: from `old_position` to `position`, and why not further when an event failed."""

    workspace_id: str
    old_position: int
    position: int
    failed_position: int | None = None
    failure: str | None = None


class Projection(Protocol):
    """A read model that followers can keep up to date."""

    @property
    def name(self) -> str:
        """The name under which progress and generations are kept."""

    def write(self, connection: Connection[TupleRow], generation: int, pages: list[Page]) -> list[Advance]:
        """Add the pages' rows within the caller's transaction, and return how far each book came."""


def apply_page(page: Page, apply: Apply) -> Advance:
    """Apply the events of a page in order, up to the first that cannot be applied."""
    position = page.position
    for workspace_id, next_position, stream, tag, recorded_at, state in page.events:
        try:
            if next_position != position + 1:
                raise LookupError(f"position {position + 1} is missing")
            apply(next_position, stream, tag, recorded_at, decode_fact(state))
        except (msgspec.MsgspecError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            log.exception("event %d of book %s cannot be applied", position + 1, workspace_id)
            return Advance(workspace_id, page.position, position, position + 1, describe(error))
        position = next_position
    return Advance(page.workspace_id, page.position, position)


def describe(error: Exception) -> str:
    """Return an error's kind and text, short and clean enough for a row."""
    text = f"{type(error).__name__}: {error}"[:FAILURE_LENGTH_MAX]
    return text.encode(errors="replace").decode().replace("\0", "?")
