"""`GET /ledger/v1/spend`: what was spent, by hour or day and up to three dimensions, always by bucket."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import requires
from ledger.api.answers import encode
from ledger.api.context import ApiContext
from ledger.api.responses import ReadyResponse, get_handler
from ledger.catalog.state import Catalog
from projections.api.asked import FILTERS
from projections.api.catalogs import with_catalog
from projections.api.formats import Format, format_of
from projections.api.parameters import AT_LEAST, whole_number
from projections.api.periods import zone_asked
from projections.api.requests import EXPORT_MAX, answered, is_for_excel, require_followed, sighted
from projections.api.sight import SEEING, Sight
from projections.api.spend_asked import SPEND_LABELLED, SpendAsked, next_spend_cursor, spend_asked
from projections.change.answers import Span
from projections.reading import JournalReader
from projections.spend.answers import CustomerSpendPage, CustomerSpendRow, SpendPage, SpendRow
from projections.spend.found import SpendFound
from projections.spend.reading import SpendReader, knows_refused
from projections.spend.shown import customer_row, platform_row
from projections.spend.tables import spend_header, spend_rows
from projections.spend.zones import stated

__all__ = ["ROWS_DEFAULT", "ROWS_MAX", "create_spend_handler"]

PARAMETERS = frozenset(
    {
        "every", "by", "from", "to", "zone", "workspace_id", *FILTERS, *SPEND_LABELLED, "tier", AT_LEAST, "cursor",
        "limit", "format", "safe",
    }
)  # fmt: skip
ROWS_DEFAULT = 200
ROWS_MAX = 1000


class SpendAnswer(msgspec.Struct, frozen=True):
    """What a page is made of: its rows, whether that is all on record, and how the next one is found."""

    asked: SpendAsked
    rows: Sequence[CustomerSpendRow]
    complete: bool
    cursor: str | None


def create_spend_handler(context: ApiContext, reader: JournalReader) -> HTTPRouteHandler:
    """Return the handler of spend."""

    async def read_spend(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        sight, query = sighted(scope, PARAMETERS)
        shape = format_of(scope, query)
        longest = ROWS_MAX if shape is Format.JSON else EXPORT_MAX
        limit = whole_number(query, "limit", ROWS_DEFAULT if shape is Format.JSON else EXPORT_MAX, 1, longest)
        for_excel = is_for_excel(query, shape)
        asked = spend_asked(query, sight, await zone_asked(context, sight, query))
        await require_followed(context, reader, sight, query)
        found = await found_rows(reader.spend, asked, limit + 1)
        complete = not await reader.spend.events_behind(sight.workspace_id)
        cursor = next_spend_cursor(asked, found[limit - 1].place if len(found) > limit else None)
        rows = await with_catalog(context, partial(shown_rows, found[:limit], asked, sight))
        answer = SpendAnswer(asked, rows, complete, cursor)
        body = await asyncio.to_thread(body_of, answer, sight, shape, for_excel=for_excel)
        return answered(scope, query, shape, cursor, body)

    return get_handler("/spend", read_spend, requires("call", *SEEING))


async def found_rows(spend: SpendReader, asked: SpendAsked, limit: int) -> list[SpendFound]:
    """Return the rows that are asked for."""
    if asked.filters is None:
        return []
    shape = asked.shape
    return await spend.spend(asked.filters, shape.by, shape.edges, shape.end, asked.after, limit)


def shown_rows(
    found: Sequence[SpendFound], asked: SpendAsked, sight: Sight, catalog: Catalog
) -> Sequence[CustomerSpendRow]:
    """Return rows as the key may see them."""
    view = platform_row if sight.is_platform else customer_row
    return [view(row, asked.shape, catalog) for row in found]


def body_of(answer: SpendAnswer, sight: Sight, shape: Format, *, for_excel: bool) -> bytes:
    """Return a page in its format."""
    match shape:
        case Format.CSV:
            header = spend_header(answer.asked.shape.by, for_platform=sight.is_platform)
            return (header + spend_rows(answer.rows, for_excel=for_excel)).encode()
        case Format.JSONL:
            return b"".join(encode(row) + b"\n" for row in answer.rows)
    return encode(page_of(answer, sight))


def page_of(answer: SpendAnswer, sight: Sight) -> CustomerSpendPage | SpendPage:
    """Return a page as it is answered in JSON."""
    asked = answer.asked
    shape, cursor = asked.shape, answer.cursor
    head: dict[str, Any] = {
        "zone": asked.zone_name,
        "period": Span(stated(asked.period.begin, shape.zone), stated(asked.period.end, shape.zone)),
        "every": asked.every,
        "by": list(shape.by),
        "complete": answer.complete,
        "knows_refused_calls": asked.filters is not None and knows_refused(asked.filters, shape.by, shape.edges),
        "next_cursor": cursor,
        "has_more": cursor is not None,
    }
    if sight.is_platform:
        return SpendPage(**head, data=[row for row in answer.rows if isinstance(row, SpendRow)])
    return CustomerSpendPage(**head, data=list(answer.rows))
