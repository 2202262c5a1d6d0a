"""`/ledger/v1`: accounts, trial balances, balances and statements, as they are followed now or at an earlier moment."""

from collections.abc import Awaitable, Mapping
from typing import TypeVar

from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import requires
from ledger.api.context import ApiContext
from ledger.api.reading import own_workspace
from ledger.api.responses import ReadyResponse, get_handler
from ledger.core.refusals import Refusal, Refused
from projections.api.books import (
    answer,
    not_for_this_key,
    page_of,
    platform_only,
    require_followed,
    require_known,
    require_platform,
)
from projections.api.parameters import AT_LEAST, Place, behind, cursor_of, invalid, query_of
from projections.api.periods import understood
from projections.api.sight import SEEING
from projections.api.views import (
    AccountsView,
    StatementPage,
    account_view,
    balance_view,
    moment_view,
    statement_lines,
    trial_balance_view,
)
from projections.balances.moments import MOMENTS, Moment, moment_asked
from projections.balances.reading import BalanceReader, NotFollowed, StatementAt
from projections.reading import AccountRow, JournalReader

__all__ = ["MOMENT_PARAMETERS", "create_balance_handlers"]

T = TypeVar("T")

MOMENT_PARAMETERS = frozenset({*MOMENTS, "zone"})
OF_A_BOOK = MOMENT_PARAMETERS | {AT_LEAST}
OF_A_STATEMENT = OF_A_BOOK | {"cursor", "limit"}


def create_balance_handlers(context: ApiContext, reader: JournalReader) -> list[HTTPRouteHandler]:
    """Return the handlers of everything that has a balance."""
    reads = BalanceReads(context, reader)
    seen = requires(*SEEING)
    wallet = "/wallets/{workspace_id:str}/{bucket:str}"
    return [
        get_handler("/trial-balance", reads.read_platform_trial_balance, seen),
        get_handler("/workspaces/{workspace_id:str}/accounts", reads.read_accounts, seen),
        get_handler("/workspaces/{workspace_id:str}/trial-balance", reads.read_trial_balance, seen),
        get_handler(f"{wallet}/balance", reads.read_balance, seen),
        get_handler(f"{wallet}/statement", reads.read_statement, seen),
    ]


class BalanceReads:
    """The endpoints; each sees the raw request and returns a ready answer."""

    def __init__(self, context: ApiContext, reader: JournalReader) -> None:
        self.context = context
        self.reader = reader
        self.balances = BalanceReader(reader)

    async def read_platform_trial_balance(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer the trial balance over all books, per bucket."""
        require_platform(scope)
        moment = asked_moment(query_of(scope, MOMENT_PARAMETERS))
        if moment is None:
            return answer(trial_balance_view(await self.reader.trial_balance()))
        if moment.position is not None:
            raise invalid("position", "a position is one book's: ask for it in a workspace")
        found = await followed(self.balances.accounts(moment))
        positions = {book.workspace_id: book.position for book in found.books}
        return answer(trial_balance_view(found.accounts, as_of=moment_view(moment), positions=positions))

    async def read_accounts(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer a workspace's accounts."""
        workspace_id = platform_only(scope)
        moment, position, rows, zone = await self._accounts(scope, workspace_id)
        views = [account_view(row) for row in rows]
        return answer(AccountsView(workspace_id, position, views, moment_view(moment, zone)))

    async def read_trial_balance(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer a workspace's trial balance, per bucket."""
        workspace_id = platform_only(scope)
        moment, position, rows, zone = await self._accounts(scope, workspace_id)
        return answer(trial_balance_view(rows, workspace_id, position, moment_view(moment, zone)))

    async def read_balance(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer a wallet's balances at a moment; a workspace's own key sees its own."""
        workspace_id = own_workspace(scope)
        bucket = str(scope["path_params"]["bucket"])
        query = query_of(scope, OF_A_BOOK)
        moment = asked_moment(query)
        await require_followed(self.context, self.reader, workspace_id, query)
        if "\0" in bucket:
            raise await self._wallet_unknown(workspace_id)
        found = await followed(self.balances.wallets(moment, workspace_id, bucket))
        if not found.wallets:
            raise await self._wallet_unknown(workspace_id)
        return answer(balance_view(found.wallets[0], moment_view(moment, found.books[0].time_zone)))

    async def read_statement(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer a page of a wallet's statement; a workspace's own key sees its own."""
        workspace_id = own_workspace(scope)
        bucket = str(scope["path_params"]["bucket"])
        if scope["user"].project_id is not None:
            # It would name the requests of all other projects.
            raise not_for_this_key("a statement is the whole workspace's; this key belongs to a project")
        query = query_of(scope, OF_A_STATEMENT)
        moment = asked_moment(query)
        bound = "".join(f"/{name}={query[name]}" for name in sorted(MOMENT_PARAMETERS & query.keys()))
        limit, place = page_of(query, f"statement/{workspace_id}/{bucket}{bound}")
        await require_followed(self.context, self.reader, workspace_id, query)
        if "\0" in bucket:
            raise await self._wallet_unknown(workspace_id)
        found = await self._statement(moment, workspace_id, bucket, (place.position, limit + 1))
        if found.unit is None:
            raise await self._wallet_unknown(workspace_id)
        data, more = found.lines[:limit], len(found.lines) > limit
        cursor = cursor_of(Place(place.listing, data[-1].position)) if more else None
        position, as_of = (
            (found.books[0].position, moment_view(moment, found.books[0].time_zone)) if found.books else (None, None)
        )
        lines = statement_lines(data, found.unit)
        return answer(StatementPage(workspace_id, bucket, lines, cursor, more, position, as_of))

    async def _statement(
        self, moment: Moment | None, workspace_id: str, bucket: str, page: tuple[int, int]
    ) -> StatementAt:
        """Return a part of a statement; all of what is followed needs no look at the books."""
        if moment is not None:
            return await followed(self.balances.statement(moment, workspace_id, bucket, *page))
        unit = await self.reader.wallet_unit(workspace_id, bucket)
        return StatementAt([], unit, await self.reader.statement(workspace_id, bucket, *page) if unit else [])

    async def _accounts(
        self, scope: HTTPScope, workspace_id: str
    ) -> tuple[Moment | None, int, list[AccountRow], str | None]:
        """Return the moment that is asked for, the position that was read, the accounts there, and the time zone."""
        query = query_of(scope, OF_A_BOOK)
        moment = asked_moment(query)
        await require_followed(self.context, self.reader, workspace_id, query)
        if moment is not None:
            found = await followed(self.balances.accounts(moment, workspace_id))
            if found.books:
                return moment, found.books[0].position, found.accounts, found.books[0].time_zone
        elif (rows := await self.reader.accounts(workspace_id)) is not None:
            return None, rows.position, rows.accounts, None
        await require_known(self.context, workspace_id)
        return moment, 0, [], None

    async def _wallet_unknown(self, workspace_id: str) -> Refused:
        await require_known(self.context, workspace_id)
        return Refused(Refusal.WALLET_UNKNOWN, "the workspace has no wallet in this bucket", field="bucket")


def asked_moment(query: Mapping[str, str]) -> Moment | None:
    """Return the moment that a query asks for, else refuse and name the parameter."""
    with understood():
        return moment_asked(query)


async def followed(read: Awaitable[T]) -> T:
    """Return what is read, or refuse for now where the journal has not come to the moment."""
    try:
        return await read
    except NotFollowed as not_yet:
        if not_yet.books > 1:
            raise Refused(
                Refusal.UNAVAILABLE, f"{not_yet.books} books are not followed to this moment yet: see /projections"
            ) from None
        raise behind(not_yet.reached, not_yet.wanted) from None
