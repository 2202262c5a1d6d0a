"""Actions as they are read: of one book or of all, the newest first, by keyset."""

import msgspec

from projections.actions.showing import ActionRow
from projections.reading import JournalReader

__all__ = ["WALKED_MAX", "ActionFilters", "ActionsFound", "LastAction", "read_actions"]

WALKED_MAX = 20_000
"""How many actions of a book one statement looks at: what is rare is found over several pages."""

LATEST = 2**63 - 1


class ActionFilters(msgspec.Struct, frozen=True, kw_only=True):
    """Which actions are asked for; None is any. They were recorded at `begin` or later and before `end`."""

    workspace_id: str | None = None
    actor: str | None = None
    tags: tuple[str, ...] | None = None
    begin: int = 0
    end: int = LATEST


class LastAction(msgspec.Struct, frozen=True, array_like=True):
    """The action at which a page ended: the next one goes on behind it."""

    recorded_at: int
    workspace_id: str
    position: int


class ActionsFound(msgspec.Struct, frozen=True):
    """The rows of a page, and behind which action the next one begins; None at the end."""

    rows: list[ActionRow]
    last: LastAction | None


async def read_actions(
    reader: JournalReader, filters: ActionFilters, after: LastAction | None, limit: int
) -> ActionsFound:
    """Return at most `limit` actions behind a place. Raises Refused(UNAVAILABLE) when the database is away."""
    if filters.workspace_id is None:
        return await read_of_all(reader, filters, after, limit)
    rows = await reader.fetch(
        "read_actions",
        **parameters_of(filters),
        last_position=LATEST if after is None else after.position,
        walked_max=WALKED_MAX,
        limit=limit + 1,
    )
    found = [ActionRow(*row[:7]) for row in rows if row[7]]
    if len(found) > limit:
        return ActionsFound(found[:limit], place_of(found[limit - 1]))
    end = ActionRow(*rows[-1][:7]) if rows and rows[-1][8] == WALKED_MAX else None
    # Times never go back in a book: what is further down is older still.
    is_end = end is None or end.recorded_at < filters.begin
    return ActionsFound(found, None if end is None or is_end else place_of(end))


async def read_of_all(
    reader: JournalReader, filters: ActionFilters, after: LastAction | None, limit: int
) -> ActionsFound:
    """Return actions of every book."""
    last = after or LastAction(LATEST, "", 0)
    rows = await reader.fetch(
        "read_actions_of_all",
        **{name: value for name, value in parameters_of(filters).items() if name != "workspace_id"},
        last_recorded_at=last.recorded_at,
        last_workspace_id=last.workspace_id,
        last_position=last.position,
        limit=limit + 1,
    )
    found = [ActionRow(*row) for row in rows]
    return ActionsFound(found[:limit], place_of(found[limit - 1]) if len(found) > limit else None)


def parameters_of(filters: ActionFilters) -> dict[str, object]:
    """Return filters as a statement takes them."""
    tags = None if filters.tags is None else list(filters.tags)
    return {**msgspec.structs.asdict(filters), "tags": tags}


def place_of(row: ActionRow) -> LastAction:
    """Return where an action stands."""
    return LastAction(row.recorded_at, row.workspace_id, row.position)
