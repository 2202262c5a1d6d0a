"""What may be asked of the route ledger, and how its pages hang together. Pure."""

from collections.abc import Sequence

import msgspec

from projections.route_ledger.rows import RequestRow

__all__ = ["LastRequest", "RequestFilters", "RequestsFound", "WalkedRow", "found_in"]


class RequestFilters(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests are asked for; None is any. They began at `begin` or later and before `end`, in microseconds.

    A key, a project, an end user and a run are those of one workspace, which is then named. `fallback` is whether
    the request moved to another route.
    """

    workspace_id: str | None = None
    project_id: str | None = None
    api_key_id: str | None = None
    end_user: str | None = None
    workflow: str | None = None
    run: str | None = None
    model: str | None = None
    route: str | None = None
    tier: str | None = None
    provider: str | None = None
    bucket: str | None = None
    status: str | None = None
    fallback: bool | None = None
    begin: int
    end: int


class LastRequest(msgspec.Struct, frozen=True, array_like=True):
    """The request at which a page ended: the next one goes on behind it."""

    began_at: int
    workspace_id: str
    request_id: str


class WalkedRow(msgspec.Struct, frozen=True):
    """A row that was met on the way, at which place of the way, and whether it is asked for."""

    row: RequestRow
    is_wanted: bool
    number: int


class RequestsFound(msgspec.Struct, frozen=True):
    """The rows of a page, and behind which request the next one begins; None at the end of the ledger."""

    rows: list[RequestRow]
    last: LastRequest | None


def found_in(walked: Sequence[WalkedRow], limit: int, walked_max: int) -> RequestsFound:
    """Return the page of at most `limit` rows out of one row more than that, in order.

    Where the way ended before the page was full, the next page begins behind the last row of the way.
    """
    rows = [each.row for each in walked if each.is_wanted]
    if len(rows) > limit:
        return RequestsFound(rows[:limit], place_of(rows[limit - 1]))
    is_longer = bool(walked) and walked[-1].number == walked_max
    return RequestsFound(rows, place_of(walked[-1].row) if is_longer else None)


def place_of(row: RequestRow) -> LastRequest:
    """Return where a request stands in the order of time."""
    return LastRequest(row.began_at, row.workspace_id, row.request_id)
