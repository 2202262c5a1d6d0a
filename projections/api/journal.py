"""`GET /ledger/v1/journal`: the journal of one workspace or of all as CSV or JSON lines, streamed. For the platform."""

from collections.abc import Generator, Mapping
from typing import Literal

from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import requires, workspace_unknown
from ledger.api.context import ApiContext
from ledger.api.responses import Headers, ReadyResponse, get_handler
from ledger.core.identifiers import WORKSPACE_PATTERN
from ledger.core.refusals import Refusal, Refused
from ledger.store.connection import DATABASE_AWAY
from projections.api.downloads import begin_download
from projections.api.formats import MEDIA_TYPES, Format
from projections.api.parameters import invalid, query_of
from projections.api.periods import understood
from projections.api.sight import SEEING, require_platform_key
from projections.exports.asking import scope_asked
from projections.exports.scope import Scope
from projections.exports.spans import ExportRefused
from projections.exports.writing import stream_journal

__all__ = ["DOWNLOADS_MAX", "create_journal_handler"]

PARAMETERS = frozenset({"format", "workspace_id", "from", "to", "zone", "safe"})
DOWNLOADS_MAX = 2
"""Each holds a snapshot and a connection for as long as it takes; larger exports are for the command line."""


class JournalDownloads:
    """The download, for one ledger."""

    def __init__(self, context: ApiContext) -> None:
        self.context = context
        self.running = 0

    async def read_journal(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer all legs or events of a scope, up to where the journal has followed each book."""
        require_platform_key(scope["user"], "the journal is the platform's; a workspace's key reads its statements")
        query = query_of(scope, PARAMETERS)
        shape = shape_of(query)
        asked = await self._scope(query)
        if self.running >= DOWNLOADS_MAX:
            raise Refused(Refusal.OVERLOADED, f"{DOWNLOADS_MAX} downloads of the journal are running: try again later")
        self.running += 1
        name = "journal" if asked.workspace_id is None else f"journal-{asked.workspace_id}"
        headers: Headers = (
            (b"cache-control", b"no-store"),
            (b"content-disposition", f'attachment; filename="{name}.{shape}"'.encode()),
        )
        blocks = checked(stream_journal(self.context.ledger.url, asked, shape, excel_safe="safe" in query))
        return await begin_download(blocks, self._end, headers, f"{MEDIA_TYPES[Format(shape)]}; charset=utf-8".encode())

    def _end(self) -> None:
        self.running -= 1

    async def _scope(self, query: Mapping[str, str]) -> Scope:
        """Return the scope that is asked for. Refuse an unknown workspace."""
        workspace_id, own_zone = query.get("workspace_id"), None
        if workspace_id is not None:
            known = WORKSPACE_PATTERN.match(workspace_id) and await self.context.ledger.workspace(workspace_id)
            if not known:
                raise workspace_unknown()
            own_zone = known.time_zone
        with understood():
            return scope_asked(query, workspace_id, own_zone)


def shape_of(query: Mapping[str, str]) -> Literal["csv", "jsonl"]:
    """Return the format, CSV where none is named; `safe` goes with CSV only."""
    named = query.get("format", "csv")
    if named not in {"csv", "jsonl"}:
        raise invalid("format", "it is csv or jsonl")
    if query.get("safe", "excel") != "excel" or ("safe" in query and named != "csv"):
        raise invalid("safe", "it is excel, with format=csv")
    return "csv" if named == "csv" else "jsonl"


def checked(blocks: Generator[bytes, None, None]) -> Generator[bytes, None, None]:
    """Yield blocks; what cannot be exported is refused as something that may be mended."""
    try:
        yield from blocks
    except ExportRefused as refused:
        raise Refused(Refusal.UNAVAILABLE, str(refused)) from refused
    except DATABASE_AWAY as error:
        raise Refused(Refusal.UNAVAILABLE, "the database does not answer") from error


def create_journal_handler(context: ApiContext) -> HTTPRouteHandler:
    """Return the handler of the download."""
    return get_handler("/journal", JournalDownloads(context).read_journal, requires(*SEEING))
