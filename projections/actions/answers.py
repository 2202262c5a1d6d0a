"""What the list of actions answers, as plain structs: for the server that makes it and for clients that read it.

No framework and no database driver is imported.
"""

import msgspec

__all__ = ["Action", "ActionsPage"]


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was done, as it stands in a book.

    `actor` is the id of the key that was used, or `system` for what was done on the ledger's own machine;
    `actor_name` is what people call that key now, and can be erased. `text` says in words what changed, `event` is
    what was recorded, less secrets. Recorded is when it was done, effective from when it counts; where a closed period
    moved that, `served_at` is when it happened.
    """

    workspace_id: str
    position: int
    recorded_at: str
    effective_at: str
    served_at: str | None
    actor: str
    actor_name: str | None
    tag: str
    text: str
    reason: str | None
    request_id: str | None
    command_id: str
    trace_id: str | None
    event: msgspec.Raw


class ActionsPage(msgspec.Struct, frozen=True):
    """Some actions, the newest first. `next_cursor` leads on while `has_more`, even from a page that is short."""

    data: list[Action]
    next_cursor: str | None
    has_more: bool
