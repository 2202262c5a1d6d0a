"""What the reads of a book have in common: who may read it, whether it is there, and how far it is followed."""

from collections.abc import Mapping
from typing import Any

from litestar.types import HTTPScope

from ledger.api.access import require_own_workspace, workspace_unknown
from ledger.api.answers import encode
from ledger.api.context import ApiContext
from ledger.api.problems import HttpRefused
from ledger.api.reading import own_workspace
from ledger.api.refusal_table import HttpRefusal
from ledger.api.responses import REVALIDATE, ReadyResponse
from projections.api.parameters import (
    AT_LEAST,
    LIMIT_DEFAULT,
    LIMIT_MAX,
    POSITION_MAX,
    Place,
    behind,
    place_of,
    whole_number,
)
from projections.reading import JournalReader

__all__ = [
    "answer", "not_for_this_key", "page_of", "platform_only", "require_followed", "require_known", "require_platform",
]  # fmt: skip


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


async def require_known(context: ApiContext, workspace_id: str) -> None:
    """Refuse a workspace that does not exist."""
    if await context.ledger.workspace(workspace_id) is None:
        raise workspace_unknown()


async def require_followed(
    context: ApiContext, reader: JournalReader, workspace_id: str, query: Mapping[str, str]
) -> None:
    """Wait until the journal has reached the position that the caller has seen, or refuse for now."""
    wanted = whole_number(query, AT_LEAST, 0, 0, POSITION_MAX)
    if not wanted:
        return
    reached = await reader.wait_for(workspace_id, wanted)
    if reached < wanted:
        await require_known(context, workspace_id)
        raise behind(reached, wanted)
