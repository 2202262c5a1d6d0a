"""Actions as CSV: RFC 4180, a header row; the event itself is a cell of JSON. Pure."""

from collections.abc import Iterable

from projections.actions.answers import Action
from projections.route_ledger.tables import row_of, text_of

__all__ = ["ACTION_COLUMNS", "actions_header", "actions_rows"]

ACTION_COLUMNS = (
    "recorded_at", "workspace_id", "position", "actor", "actor_name", "tag", "text", "reason", "request_id",
    "effective_at", "served_at", "command_id", "trace_id", "event",
)  # fmt: skip


def actions_header() -> str:
    """Return the header row."""
    return row_of(ACTION_COLUMNS)


def actions_rows(actions: Iterable[Action], *, for_excel: bool = False) -> str:
    """Return actions as rows."""
    return "".join(
        row_of(text_of(cell_of(each, name), for_excel=for_excel) for name in ACTION_COLUMNS) for each in actions
    )


def cell_of(action: Action, name: str) -> str | int | None:
    """Return what stands in a column."""
    if name == "event":
        return bytes(action.event).decode()
    cell: str | int | None = getattr(action, name)
    return cell
