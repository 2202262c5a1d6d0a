"""Reads that the write side answers itself: the catalog, a workspace, balances as they are now.

Each answer has a weak ETag; a reader that names it gets 304 while nothing has changed.
"""

from typing import Any

from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import require_own_workspace, requires, workspace_unknown
from ledger.api.answers import encode
from ledger.api.context import ApiContext
from ledger.api.period_views import periods_view
from ledger.api.responses import REVALIDATE, ReadyResponse, get_handler
from ledger.api.views import balance_view, balances_view, catalog_view, workspace_view
from ledger.core.identifiers import PLATFORM, WORKSPACE_PATTERN
from ledger.core.refusals import Refusal, Refused
from ledger.service import LiveWallets, Principal

READ = requires("read")


def create_read_handlers(context: ApiContext) -> list[HTTPRouteHandler]:
    """Return the handlers of all reads."""

    async def read_catalog(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        principal: Principal = scope["user"]
        catalog = await context.ledger.catalog()
        # The platform's keys see more, so that one tag may not stand for both answers.
        tag = f"{catalog.position}{'p' if principal.is_platform else ''}"
        return unchanged(scope, tag) or tagged(catalog_view(catalog, principal), tag)

    async def read_workspace(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        return await answer_workspace(scope, context)

    async def read_periods(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        return await answer_periods(scope, context)

    async def read_wallets(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        live = await live_wallets(scope, context)
        return unchanged(scope, str(live.position)) or tagged(balances_view(live), str(live.position))

    async def read_wallet(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        live = await live_wallets(scope, context)
        bucket = scope["path_params"]["bucket"]
        for wallet in live.wallets:
            if wallet.bucket == bucket:
                tag = str(live.position)
                return unchanged(scope, tag) or tagged(balance_view(wallet, live.position), tag)
        raise Refused(Refusal.WALLET_UNKNOWN, "the workspace has no wallet in this bucket", field="bucket")

    return [
        get_handler("/catalog", read_catalog, READ),
        get_handler("/workspaces/{workspace_id:str}", read_workspace, READ),
        get_handler("/workspaces/{workspace_id:str}/periods", read_periods, READ),
        get_handler("/wallets/{workspace_id:str}", read_wallets, READ),
        get_handler("/wallets/{workspace_id:str}/{bucket:str}", read_wallet, READ),
    ]


async def answer_workspace(scope: HTTPScope, context: ApiContext) -> ReadyResponse:
    """Return a workspace's projects and keys. Names change without an event, so nothing is tagged here."""
    workspace_id = own_workspace(scope)
    state = await context.ledger.workspace(workspace_id)
    if state is None:
        raise workspace_unknown()
    catalog = await context.ledger.catalog()
    rows = await context.ledger.display_names(workspace_id)
    names = {(row.kind, row.name): row.display_name for row in rows}
    return ReadyResponse(200, encode(workspace_view(state, catalog, names, scope["user"])), REVALIDATE)


async def answer_periods(scope: HTTPScope, context: ApiContext) -> ReadyResponse:
    """Return the months that a book has closed."""
    workspace_id = own_workspace(scope)
    state = await context.ledger.workspace(workspace_id)
    if state is None:
        raise workspace_unknown()
    of_platform = await context.ledger.period_events(PLATFORM)
    events = await context.ledger.period_events(workspace_id)
    # Read after the events, the catalog knows the buckets that they name.
    view = periods_view(state, events, of_platform, await context.ledger.catalog(), scope["user"])
    return ReadyResponse(200, encode(view), REVALIDATE)


async def live_wallets(scope: HTTPScope, context: ApiContext) -> LiveWallets:
    """Return the wallets of the path's workspace, else refuse."""
    live = await context.ledger.live_wallets(own_workspace(scope))
    if live is None:
        raise workspace_unknown()
    return live


def own_workspace(scope: HTTPScope) -> str:
    """Return the path's workspace when the key may see it, else refuse."""
    workspace_id: str = scope["path_params"]["workspace_id"]
    require_own_workspace(scope["user"], workspace_id)
    if not WORKSPACE_PATTERN.match(workspace_id):
        raise workspace_unknown()
    return workspace_id


def unchanged(scope: HTTPScope, tag: str) -> ReadyResponse | None:
    """Return 304 when the reader has this very state, else None."""
    for name, value in scope["headers"]:
        if name == b"if-none-match":
            known = [each.strip().removeprefix(b"W/").strip(b'"') for each in value.split(b",")]
            if tag.encode() in known:
                return ReadyResponse(304, b"", (etag(tag), *REVALIDATE))
    return None


def tagged(view: Any, tag: str) -> ReadyResponse:
    """Return a state with its tag."""
    return ReadyResponse(200, encode(view), (etag(tag), *REVALIDATE))


def etag(tag: str) -> tuple[bytes, bytes]:
    """Return the header that names a state."""
    return b"etag", f'W/"{tag}"'.encode()
