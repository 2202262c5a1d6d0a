"""`GET /ledger/v1/funding` and `/margin`: how payments tie out, and what routes earn. The platform's alone."""

import asyncio
from collections.abc import Mapping
from functools import partial

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import requires
from ledger.api.answers import encode
from ledger.api.context import ApiContext
from ledger.api.problems import HttpRefused
from ledger.api.refusal_table import HttpRefusal
from ledger.api.responses import REVALIDATE, ReadyResponse, get_handler
from projections.api.catalogs import with_catalog
from projections.api.formats import Format, format_of
from projections.api.parameters import AT_LEAST, POSITION_MAX, behind, invalid, query_of, whole_number
from projections.api.periods import microseconds_now, understood, zone_asked
from projections.api.requests import answered, is_for_excel
from projections.api.sight import SEEING, Sight, sight_of
from projections.funding.reading import FundingReader, told_funding
from projections.journal import JOURNAL
from projections.margin.reading import read_margin
from projections.margin.tables import margin_csv
from projections.margin.telling import margin_page
from projections.reading import JournalReader
from projections.route_ledger.writing import ROUTE_LEDGER
from projections.spend.asking import PeriodAsked, spend_period, zone_of

__all__ = ["create_finance_handlers"]

PARAMETERS = frozenset({"from", "to", "zone", "workspace_id", AT_LEAST})
SHAPED = PARAMETERS | {"format", "safe"}


class FinanceAsked(msgspec.Struct, frozen=True):
    """Of which workspace, None of all, and of which period in which zone."""

    sight: Sight
    query: Mapping[str, str]
    period: PeriodAsked
    zone_name: str


def create_finance_handlers(context: ApiContext, reader: JournalReader) -> list[HTTPRouteHandler]:
    """Return the handlers of what is the platform's own finance."""
    funding = FundingReader(reader)

    async def read_funding(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        asked = await finance_asked(context, scope, PARAMETERS)
        await require_followed(reader, asked, JOURNAL)
        workspace_id = asked.sight.workspace_id
        found = await funding.find(workspace_id, asked.period)
        page = await with_catalog(context, partial(told_funding, workspace_id, asked.period, asked.zone_name, found))
        return ReadyResponse(200, encode(page), REVALIDATE)

    async def read_margin_page(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        asked = await finance_asked(context, scope, SHAPED)
        shape = format_of(scope, asked.query)
        for_excel = is_for_excel(asked.query, shape)
        await require_followed(reader, asked, ROUTE_LEDGER)
        workspace_id = asked.sight.workspace_id
        found = await read_margin(reader.spend, workspace_id, asked.period)
        complete = not await reader.spend.events_behind(workspace_id)
        make = partial(margin_page, workspace_id, asked.period, asked.zone_name, found, complete=complete)
        page = await with_catalog(context, make)
        match shape:
            case Format.CSV:
                body = (await asyncio.to_thread(margin_csv, page, for_excel=for_excel)).encode()
            case Format.JSONL:
                body = b"".join(encode(row) + b"\n" for row in page.rows)
            case _:
                body = encode(page)
        return answered(scope, asked.query, shape, None, body)

    allowed = requires(*SEEING)
    return [
        get_handler("/funding", read_funding, allowed),
        get_handler("/margin", read_margin_page, allowed),
    ]


async def finance_asked(context: ApiContext, scope: HTTPScope, known: frozenset[str]) -> FinanceAsked:
    """Return what is asked for, else refuse: a workspace's own key too."""
    if not scope["user"].is_platform:
        raise HttpRefused(
            HttpRefusal.NOT_ALLOWED, "this is the platform's; a workspace's key reads statements and spend"
        )
    query = query_of(scope, known)
    sight = sight_of(scope["user"], query.get("workspace_id"))
    if AT_LEAST in query and sight.workspace_id is None:
        raise invalid("workspace_id", f"say in which workspace {AT_LEAST} is meant")
    zone_name = await zone_asked(context, sight, query)
    with understood():
        period = spend_period(query, zone_of(zone_name), microseconds_now())
    return FinanceAsked(sight, query, period, zone_name)


async def require_followed(reader: JournalReader, asked: FinanceAsked, projection: str) -> None:
    """Wait until a projection has reached the position that the caller has seen, or refuse for now."""
    wanted = whole_number(asked.query, AT_LEAST, 0, 0, POSITION_MAX)
    if wanted and asked.sight.workspace_id is not None:
        reached = await reader.wait_for(asked.sight.workspace_id, wanted, projection)
        if reached < wanted:
            raise behind(reached, wanted)
