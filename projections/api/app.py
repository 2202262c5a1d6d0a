"""`/ledger/v1`, the reads: accounts, trial balance, entries, events, statements, lag, requests, receipts, runs, spend.

The general ledger is the platform's: it names revenue, overrun and promotion. A workspace's own key sees its
wallets' statements, in which no counter-account stands.
"""

from collections.abc import Mapping
from typing import Any

from litestar import Router
from litestar.enums import HttpMethod
from litestar.routes import HTTPRoute
from litestar.types import HTTPScope, Receive

from ledger.api.access import require_own_workspace, requires, workspace_unknown
from ledger.api.answers import encode
from ledger.api.command_table import BASE_PATH
from ledger.api.context import ApiContext
from ledger.api.problems import HttpRefused
from ledger.api.reading import own_workspace
from ledger.api.refusal_table import HttpRefusal
from ledger.api.responses import REVALIDATE, ReadyResponse, get_handler
from ledger.core.refusals import Refusal, Refused
from projections.api.change import create_change_handler
from projections.api.parameters import (
    AT_LEAST,
    LIMIT_DEFAULT,
    LIMIT_MAX,
    POSITION_MAX,
    Place,
    behind,
    cursor_of,
    place_of,
    query_of,
    whole_number,
)
from projections.api.receipts import create_receipt_handler
from projections.api.requests import create_requests_handler
from projections.api.runs import create_run_handler
from projections.api.spend import create_spend_handler
from projections.api.views import (
    AccountsView,
    EntriesPage,
    EventsPage,
    ProjectionsView,
    StatementPage,
    account_view,
    entry_view,
    event_view,
    statement_lines,
    trial_balance_view,
)
from projections.reading import AccountRows, JournalReader

__all__ = ["create_read_router"]

ONE = frozenset({AT_LEAST})
PAGED = frozenset({AT_LEAST, "cursor", "limit"})
AUDITED = requires("read", "audit")


def create_read_router(context: ApiContext, reader: JournalReader) -> Router:
    """Return the reads of the journal, to be mounted beside the ledger's own router."""
    reads = JournalReads(context, reader)
    handlers = [
        get_handler("/trial-balance", reads.read_platform_trial_balance, AUDITED),
        get_handler("/projections", reads.read_projections, AUDITED),
        get_handler("/workspaces/{workspace_id:str}/accounts", reads.read_accounts, AUDITED),
        get_handler("/workspaces/{workspace_id:str}/trial-balance", reads.read_trial_balance, AUDITED),
        get_handler("/workspaces/{workspace_id:str}/entries", reads.read_entries, AUDITED),
        get_handler("/workspaces/{workspace_id:str}/events", reads.read_events, AUDITED),
        get_handler("/wallets/{workspace_id:str}/{bucket:str}/statement", reads.read_statement, AUDITED),
        create_requests_handler(context, reader),
        create_receipt_handler(context, reader),
        create_run_handler(context, reader),
        create_spend_handler(context, reader),
        create_change_handler(context, reader),
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

    async def read_platform_trial_balance(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer the trial balance over all books, per bucket."""
        require_platform(scope)
        query_of(scope, frozenset())
        return answer(trial_balance_view(await self.reader.trial_balance()))

    async def read_projections(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer how far the projections are behind."""
        require_platform(scope)
        query_of(scope, frozenset())
        return answer(ProjectionsView(await self.reader.lag(), await self.reader.failures()))

    async def read_accounts(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer a workspace's accounts."""
        workspace_id = platform_only(scope)
        rows = await self._accounts(scope, workspace_id)
        views = [account_view(row) for row in rows.accounts]
        return answer(AccountsView(workspace_id, rows.position, views))

    async def read_trial_balance(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer a workspace's trial balance, per bucket."""
        workspace_id = platform_only(scope)
        rows = await self._accounts(scope, workspace_id)
        return answer(trial_balance_view(rows.accounts, workspace_id, rows.position))

    async def read_entries(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer a page of a workspace's entries with their legs."""
        workspace_id = platform_only(scope)
        query = query_of(scope, PAGED)
        limit, place = page_of(query, f"entries/{workspace_id}")
        await self._require_followed(workspace_id, query)
        found = await self.reader.entries(workspace_id, (place.position, place.bucket), limit + 1)
        if not found:
            await self._require_known(workspace_id)
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
            await self._require_known(workspace_id)
            reached = await self.reader.book_position(workspace_id)
            if reached < wanted:
                raise behind(reached, wanted)
        data, more = found[:limit], len(found) > limit
        cursor = cursor_of(Place(place.listing, data[-1].position)) if more else None
        return answer(EventsPage([event_view(recorded) for recorded in data], cursor, more))

    async def read_statement(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer a page of a wallet's statement; a workspace's own key sees its own."""
        workspace_id = own_workspace(scope)
        bucket = str(scope["path_params"]["bucket"])
        if scope["user"].project_id is not None:
            # It would name the requests of all other projects.
            raise not_for_this_key("a statement is the whole workspace's; this key belongs to a project")
        query = query_of(scope, PAGED)
        limit, place = page_of(query, f"statement/{workspace_id}/{bucket}")
        await self._require_followed(workspace_id, query)
        unit = await self.reader.wallet_unit(workspace_id, bucket) if "\0" not in bucket else None
        if unit is None:
            await self._require_known(workspace_id)
            raise Refused(Refusal.WALLET_UNKNOWN, "the workspace has no wallet in this bucket", field="bucket")
        found = await self.reader.statement(workspace_id, bucket, place.position, limit + 1)
        data, more = found[:limit], len(found) > limit
        cursor = cursor_of(Place(place.listing, data[-1].position)) if more else None
        return answer(StatementPage(workspace_id, bucket, statement_lines(data, unit), cursor, more))

    async def _accounts(self, scope: HTTPScope, workspace_id: str) -> AccountRows:
        query = query_of(scope, ONE)
        await self._require_followed(workspace_id, query)
        rows = await self.reader.accounts(workspace_id)
        if rows is None:
            await self._require_known(workspace_id)
            return AccountRows(0, [])
        return rows

    async def _require_known(self, workspace_id: str) -> None:
        if await self.context.ledger.workspace(workspace_id) is None:
            raise workspace_unknown()

    async def _require_followed(self, workspace_id: str, query: Mapping[str, str]) -> None:
        """Wait until the journal has reached the position that the caller has seen, or refuse for now."""
        wanted = whole_number(query, AT_LEAST, 0, 0, POSITION_MAX)
        if not wanted:
            return
        reached = await self.reader.wait_for(workspace_id, wanted)
        if reached < wanted:
            await self._require_known(workspace_id)
            raise behind(reached, wanted)


def answer(view: Any) -> ReadyResponse:
    """Return a view as JSON that nobody keeps without asking again."""
    return ReadyResponse(200, encode(view), REVALIDATE)


def page_of(query: Mapping[str, str], listing: str) -> tuple[int, Place]:
    """Return how long a page is and after which place it begins."""
    return whole_number(query, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX), place_of(query, listing)


def platform_only(scope: HTTPScope) -> str:
    """Return the path's workspace for a platform's key, else refuse: another workspace is not even there."""
    require_own_workspace(scope["user"], scope["path_params"]["workspace_id"])
    require_platform(scope)
    return own_workspace(scope)


def require_platform(scope: HTTPScope) -> None:
    """Refuse a workspace's own key: the general ledger names cost, margin and overrun."""
    if not scope["user"].is_platform:
        raise not_for_this_key("the general ledger is the platform's; a workspace's key reads wallets and statements")


def not_for_this_key(detail: str) -> HttpRefused:
    """Return the refusal of a key that has the scope, but not for this."""
    return HttpRefused(HttpRefusal.NOT_ALLOWED, detail)
