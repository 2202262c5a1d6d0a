"""`/ledger/v1`, the reads: balances, entries, events, statements, lag, requests, receipts, runs, spend, finance.

The general ledger is the platform's: it names revenue, overrun and promotion. A workspace's own key sees its
wallets' balances and statements, in which no counter-account stands.
"""

from litestar import Router
from litestar.enums import HttpMethod
from litestar.routes import HTTPRoute
from litestar.types import HTTPScope, Receive

from ledger.api.access import requires
from ledger.api.command_table import BASE_PATH
from ledger.api.context import ApiContext
from ledger.api.responses import ReadyResponse, get_handler
from projections.api.actions import create_actions_handler
from projections.api.balances import create_balance_handlers
from projections.api.books import answer, page_of, platform_only, require_followed, require_known, require_platform
from projections.api.change import create_change_handler
from projections.api.finance import create_finance_handlers
from projections.api.journal import create_journal_handler
from projections.api.parameters import AT_LEAST, POSITION_MAX, Place, behind, cursor_of, query_of, whole_number
from projections.api.receipts import create_receipt_handler
from projections.api.requests import create_requests_handler
from projections.api.rerating import create_rerating_handler
from projections.api.runs import create_run_handler
from projections.api.spend import create_spend_handler
from projections.api.statements import create_statement_handler
from projections.api.views import EntriesPage, EventsPage, ProjectionsView, entry_view, event_view
from projections.reading import JournalReader

__all__ = ["create_read_router"]

PAGED = frozenset({AT_LEAST, "cursor", "limit"})
AUDITED = requires("read", "audit")


def create_read_router(context: ApiContext, reader: JournalReader) -> Router:
    """Return the reads of the journal, to be mounted beside the ledger's own router."""
    reads = JournalReads(context, reader)
    handlers = [
        get_handler("/projections", reads.read_projections, AUDITED),
        get_handler("/workspaces/{workspace_id:str}/entries", reads.read_entries, AUDITED),
        get_handler("/workspaces/{workspace_id:str}/events", reads.read_events, AUDITED),
        *create_balance_handlers(context, reader),
        create_requests_handler(context, reader),
        create_receipt_handler(context, reader),
        create_run_handler(context, reader),
        create_spend_handler(context, reader),
        create_change_handler(context, reader),
        create_rerating_handler(context, reader),
        create_actions_handler(context, reader),
        create_journal_handler(context),
        create_statement_handler(context, reader),
        *create_finance_handlers(context, reader),
    ]
    return without_options(Router(path=BASE_PATH, route_handlers=handlers, tags=["journal"]))


def without_options(router: Router) -> Router:
    """Return a router less the framework's own answers to OPTIONS: a path that two routers have may have but one."""
    for route in router.routes:
        if isinstance(route, HTTPRoute):
            own = [each for each in route.route_handlers if HttpMethod.OPTIONS not in each.http_methods]
            route.route_handlers = own
    return router


class JournalReads:
    """The endpoints; each sees the raw request and returns a ready answer."""

    def __init__(self, context: ApiContext, reader: JournalReader) -> None:
        self.context = context
        self.reader = reader

    async def read_projections(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer how far the projections are behind."""
        require_platform(scope)
        query_of(scope, frozenset())
        return answer(ProjectionsView(await self.reader.lag(), await self.reader.failures()))

    async def read_entries(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer a page of a workspace's entries with their legs."""
        workspace_id = platform_only(scope)
        query = query_of(scope, PAGED)
        limit, place = page_of(query, f"entries/{workspace_id}")
        await require_followed(self.context, self.reader, workspace_id, query)
        found = await self.reader.entries(workspace_id, (place.position, place.bucket), limit + 1)
        if not found:
            await require_known(self.context, workspace_id)
        data, more = found[:limit], len(found) > limit
        cursor = cursor_of(Place(place.listing, data[-1].position, data[-1].bucket)) if more else None
        return answer(EntriesPage([entry_view(entry) for entry in data], cursor, more))

    async def read_events(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer a page of a workspace's events as they were recorded. They are read from the book itself."""
        workspace_id = platform_only(scope)
        query = query_of(scope, PAGED)
        limit, place = page_of(query, f"events/{workspace_id}")
        wanted = whole_number(query, AT_LEAST, 0, 0, POSITION_MAX)
        found = await self.reader.events(workspace_id, place.position, limit + 1)
        if not found or wanted:
            await require_known(self.context, workspace_id)
            reached = await self.reader.book_position(workspace_id)
            if reached < wanted:
                raise behind(reached, wanted)
        data, more = found[:limit], len(found) > limit
        cursor = cursor_of(Place(place.listing, data[-1].position)) if more else None
        return answer(EventsPage([event_view(recorded) for recorded in data], cursor, more))
