"""`GET /ledger/v1/requests`: the route ledger, the latest request first, as JSON pages or as CSV and JSON lines."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import urlencode

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import requires, workspace_unknown
from ledger.api.answers import encode
from ledger.api.context import ApiContext
from ledger.api.responses import REVALIDATE, Headers, ReadyResponse, get_handler
from ledger.catalog.state import Catalog
from projections.api.asked import (
    CHOICES,
    FILTERS,
    LABELLED,
    PLATFORM_FILTERS,
    Asked,
    asked_of,
    next_cursor,
)
from projections.api.catalogs import with_catalog
from projections.api.formats import MEDIA_TYPES, Format, format_of
from projections.api.parameters import (
    AT_LEAST,
    LIMIT_DEFAULT,
    LIMIT_MAX,
    POSITION_MAX,
    behind,
    invalid,
    query_of,
    whole_number,
)
from projections.api.sight import SEEING, Sight, sight_of
from projections.reading import JournalReader
from projections.route_ledger.answers import CustomerRequestLine, CustomerRequestsPage, RequestLine, RequestsPage
from projections.route_ledger.listing import LastRequest, RequestsFound
from projections.route_ledger.reading import RouteLedgerReader
from projections.route_ledger.rows import RequestRow
from projections.route_ledger.shown import customer_line, request_line
from projections.route_ledger.tables import csv_header, csv_rows
from projections.route_ledger.writing import ROUTE_LEDGER

__all__ = ["EXPORT_MAX", "create_requests_handler", "request_lines", "require_followed", "sighted"]

PARAMETERS = frozenset(
    {"workspace_id", *FILTERS, *LABELLED, *CHOICES, "from", "to", AT_LEAST, "cursor", "limit", "format", "safe"}
)
EXPORT_MAX = 10_000
EXPORT_STEP = 100
"""So many rows are made ready at a time; in between, other answers get their turn."""

EXPORT_STEPS_MAX = 100
"""An export of what is rare ends here at the latest; its cursor leads on."""

VARY: Headers = ((b"vary", b"accept"),)


class Page(msgspec.Struct, frozen=True):
    """What a page is made of: its lines, and behind which request the next one begins."""

    lines: list[CustomerRequestLine]
    last: LastRequest | None


class RequestsReads:
    """The listing, for one ledger."""

    def __init__(self, context: ApiContext, reader: JournalReader) -> None:
        self.context = context
        self.reader = reader
        self.rows = RouteLedgerReader(reader)

    async def read_requests(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer a page of requests; a workspace's own key sees its own, without what is the platform's alone."""
        sight, query = sighted(scope, PARAMETERS)
        shape = format_of(scope, query)
        most = LIMIT_MAX if shape is Format.JSON else EXPORT_MAX
        limit = whole_number(query, "limit", LIMIT_DEFAULT if shape is Format.JSON else EXPORT_MAX, 1, most)
        for_excel = is_for_excel(query, shape)
        asked = asked_of(query, sight, "requests")
        await require_followed(self.context, self.reader, sight, query)
        if shape is Format.JSON:
            page = await self._page(asked, sight, limit)
            if not page.lines:
                await require_known(self.context, sight)
            cursor = next_cursor(asked, page.last)
            return answered(scope, query, shape, cursor, encode(page_view(page, sight, cursor)))
        parts = [csv_header(for_platform=sight.is_platform).encode()] if shape is Format.CSV else []
        make = partial(csv_part, for_excel=for_excel) if shape is Format.CSV else lines_part
        last = await self._export(asked, sight, limit, make, parts)
        if not any(parts[shape is Format.CSV :]):
            await require_known(self.context, sight)
        return answered(scope, query, shape, next_cursor(asked, last), b"".join(parts))

    async def _page(self, asked: Asked, sight: Sight, limit: int) -> Page:
        """Return one page of requests."""
        if asked.filters is None:
            return Page([], None)
        found: RequestsFound = await self.rows.requests(asked.filters, asked.after, limit)
        return Page(await request_lines(self.context, found.rows, sight), found.last)

    async def _export(
        self,
        asked: Asked,
        sight: Sight,
        limit: int,
        make: Callable[[list[CustomerRequestLine]], bytes],
        parts: list[bytes],
    ) -> LastRequest | None:
        """Add up to `limit` requests to an export, step by step, and return where it ended."""
        for _ in range(EXPORT_STEPS_MAX):
            page = await self._page(asked, sight, min(limit, EXPORT_STEP))
            parts.append(make(page.lines))
            limit -= len(page.lines)
            if page.last is None or not limit:
                return page.last
            asked = msgspec.structs.replace(asked, after=page.last)
            await asyncio.sleep(0)
        return asked.after


def create_requests_handler(context: ApiContext, reader: JournalReader) -> HTTPRouteHandler:
    """Return the handler of the listing."""
    return get_handler("/requests", RequestsReads(context, reader).read_requests, requires("call", *SEEING))


def sighted(scope: HTTPScope, known: frozenset[str]) -> tuple[Sight, Mapping[str, str]]:
    """Return how far the key sees, and the query; what only the platform may ask for is unknown to others."""
    principal = scope["user"]
    query = query_of(scope, known if principal.is_platform else known - PLATFORM_FILTERS)
    return sight_of(principal, query.get("workspace_id")), query


async def require_followed(context: ApiContext, reader: JournalReader, sight: Sight, query: Mapping[str, str]) -> None:
    """Wait until the route ledger has reached the position that the caller has seen, or refuse for now."""
    wanted = whole_number(query, AT_LEAST, 0, 0, POSITION_MAX)
    if wanted and sight.workspace_id is not None:
        reached = await reader.wait_for(sight.workspace_id, wanted, ROUTE_LEDGER)
        if reached < wanted:
            await require_known(context, sight)
            raise behind(reached, wanted)


async def require_known(context: ApiContext, sight: Sight) -> None:
    """Refuse a workspace that does not exist."""
    if sight.workspace_id is not None and await context.ledger.workspace(sight.workspace_id) is None:
        raise workspace_unknown()


async def request_lines(context: ApiContext, rows: list[RequestRow], sight: Sight) -> list[CustomerRequestLine]:
    """Return rows as the key may see them."""

    def shown(catalog: Catalog) -> list[CustomerRequestLine]:
        view = request_line if sight.is_platform else customer_line
        return [view(row, catalog) for row in rows]

    return await with_catalog(context, shown)


def page_view(page: Page, sight: Sight, cursor: str | None) -> CustomerRequestsPage | RequestsPage:
    """Return a page as it is answered."""
    if sight.is_platform:
        return RequestsPage([line for line in page.lines if isinstance(line, RequestLine)], cursor, cursor is not None)
    return CustomerRequestsPage(page.lines, cursor, cursor is not None)


def is_for_excel(query: Mapping[str, str], shape: Format) -> bool:
    """Return whether cells must be safe for a spreadsheet, else refuse the parameter."""
    named = query.get("safe")
    if named is None:
        return False
    if named != "excel" or shape is not Format.CSV:
        raise invalid("safe", "it is excel, with format=csv")
    return True


def csv_part(lines: list[CustomerRequestLine], *, for_excel: bool) -> bytes:
    """Return lines as rows of CSV."""
    return csv_rows(lines, for_excel=for_excel).encode()


def lines_part(lines: list[CustomerRequestLine]) -> bytes:
    """Return lines as JSON, one below the other."""
    return b"".join(encode(line) + b"\n" for line in lines)


def answered(
    scope: HTTPScope, query: Mapping[str, str], shape: Format, cursor: str | None, body: bytes
) -> ReadyResponse:
    """Return a page in its format, with the way to the next one in its headers."""
    headers = REVALIDATE + VARY
    if cursor is not None:
        following = f"{scope['path']}?{urlencode({**query, 'cursor': cursor})}"
        headers += ((b"link", f'<{following}>; rel="next"'.encode()), (b"x-next-cursor", cursor.encode()))
    media_type = MEDIA_TYPES[shape] + ("; charset=utf-8" if shape is Format.CSV else "")
    return ReadyResponse(200, body, headers, media_type.encode())
