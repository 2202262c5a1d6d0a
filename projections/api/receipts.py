"""`GET /ledger/v1/requests/{request_id}`: the receipt of one request, straight from its events, for who may see it."""

from functools import partial

from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import effective_scopes, not_allowed, requires
from ledger.api.context import ApiContext
from ledger.api.reading import tagged, unchanged
from ledger.api.responses import ReadyResponse, get_handler
from ledger.core.identifiers import IDENTIFIER_PATTERN, WORKSPACE_PATTERN
from ledger.core.refusals import Refusal, Refused
from ledger.service import Principal
from projections.api.catalogs import with_catalog
from projections.api.parameters import AT_LEAST, POSITION_MAX, behind, invalid, query_of, whole_number
from projections.api.sight import SEEING
from projections.reading import JournalReader
from projections.receipt.answers import CustomerReceipt, Receipt
from projections.receipt.customer import customer_view
from projections.receipt.folding import receipt_of

__all__ = ["create_receipt_handler"]

WORKSPACE = "workspace_id"
PARAMETERS = frozenset({AT_LEAST, WORKSPACE})


def create_receipt_handler(context: ApiContext, reader: JournalReader) -> HTTPRouteHandler:
    """Return the handler of receipts."""

    async def read_receipt(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        principal: Principal = scope["user"]
        query = query_of(scope, PARAMETERS)
        workspace_id = workspace_of(principal, query.get(WORKSPACE))
        request_id: str = scope["path_params"]["request_id"]
        wanted = whole_number(query, AT_LEAST, 0, 0, POSITION_MAX)
        if not (IDENTIFIER_PATTERN.match(request_id) and WORKSPACE_PATTERN.match(workspace_id)):
            raise request_unknown()
        if wanted:
            await require_position(reader, workspace_id, wanted)
        recorded = await reader.request_events(workspace_id, request_id)
        if not recorded:
            raise request_unknown()
        receipt = await with_catalog(context, partial(receipt_of, request_id, recorded))
        if not may_see(principal, receipt):
            raise request_unknown()
        # The platform's keys see more, so that one tag may not stand for both answers.
        tag = f"{receipt.position}{'p' if principal.is_platform else ''}"
        shown: CustomerReceipt = receipt if principal.is_platform else customer_view(receipt)
        return unchanged(scope, tag) or tagged(shown, tag)

    return get_handler("/requests/{request_id:str}", read_receipt, requires("call", *SEEING))


def workspace_of(principal: Principal, named: str | None) -> str:
    """Return the workspace whose request is asked for: a key's own, or the one that a platform's key names."""
    if principal.is_platform:
        if SEEING.isdisjoint(effective_scopes(principal)):
            raise not_allowed(SEEING)
        if named is None:
            raise invalid(WORKSPACE, "a key of the platform says whose request it is")
        return named
    if named not in {None, principal.workspace_id}:
        raise request_unknown()
    return principal.workspace_id


def may_see(principal: Principal, receipt: Receipt) -> bool:
    """Return whether a receipt is for a key: its project's where it has one, its own where it may only call."""
    if principal.is_platform:
        return True
    if principal.project_id not in {None, receipt.project_id}:
        return False
    return not SEEING.isdisjoint(effective_scopes(principal)) or receipt.api_key_id == principal.api_key_id


async def require_position(reader: JournalReader, workspace_id: str, wanted: int) -> None:
    """Refuse for now what the book has not reached."""
    reached = await reader.book_position(workspace_id)
    if not reached:
        raise request_unknown()
    if reached < wanted:
        raise behind(reached, wanted)


def request_unknown() -> Refused:
    """Return the refusal of a request that does not exist, or not for this key."""
    return Refused(Refusal.REQUEST_UNKNOWN, "there is no such request", field="request_id")
