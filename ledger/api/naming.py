"""Names for people. They stand in an erasable table outside the books: nothing personal enters the chain."""

import msgspec
from litestar import delete, put
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import requires, workspace_unknown
from ledger.api.context import ApiContext
from ledger.api.decoding import BodyDecoder, read_body, require_unique_keys
from ledger.api.reading import own_workspace
from ledger.api.responses import ReadyResponse, serve
from ledger.core.refusals import Refusal, Refused

ADMIN = requires("admin")
WORKSPACE = "/workspaces/{workspace_id:str}"

NAMED_THINGS: tuple[tuple[str, str, str], ...] = (
    ("workspace", "workspace_id", WORKSPACE),
    ("project", "project_id", WORKSPACE + "/projects/{project_id:str}"),
    ("api_key", "api_key_id", WORKSPACE + "/keys/{api_key_id:str}"),
)
"""Kind, field of the path that names it, and path of everything that may have a display name."""


class DisplayNameBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people call it: 1 to 200 bytes, no control characters."""

    display_name: str


_decoder: BodyDecoder[DisplayNameBody] = BodyDecoder(DisplayNameBody)


def create_naming_handlers(context: ApiContext) -> list[HTTPRouteHandler]:
    """Return the handlers that put and erase display names."""
    return [handler for thing in NAMED_THINGS for handler in create_handlers_of(*thing, context)]


def create_handlers_of(
    kind: str, field: str, path: str, context: ApiContext
) -> tuple[HTTPRouteHandler, HTTPRouteHandler]:
    """Return the two handlers of one kind of thing."""

    async def put_name(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        body = await read_body(dict(scope["headers"]), receive)
        display_name = _decoder.decode(body).display_name
        require_unique_keys(body)
        if not display_name:
            raise Refused(Refusal.TEXT_INVALID, "display_name is empty: DELETE erases it", field="display_name")
        return await name_thing(scope, display_name)

    async def erase_name(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        return await name_thing(scope, None)

    async def name_thing(scope: HTTPScope, display_name: str | None) -> ReadyResponse:
        workspace_id, name = own_workspace(scope), scope["path_params"][field]
        await require_named(context, workspace_id, kind, name)
        await context.ledger.set_display_name(workspace_id, kind, name, display_name)
        return ReadyResponse(204, b"")

    # Both answer 204; the framework believes that of no handler that makes its answers itself.
    path += "/display-name"
    return (
        put(path, name=f"put_{kind}_name", opt=ADMIN, sync_to_thread=False)(serve(put_name)),
        delete(path, name=f"erase_{kind}_name", opt=ADMIN, status_code=200, sync_to_thread=False)(serve(erase_name)),
    )


async def require_named(context: ApiContext, workspace_id: str, kind: str, name: str) -> None:
    """Refuse a name for something that does not exist."""
    state = await context.ledger.workspace(workspace_id)
    if state is None:
        raise workspace_unknown()
    if kind == "project" and name not in state.projects:
        raise Refused(Refusal.PROJECT_UNKNOWN, "there is no such project", field="project_id")
    if kind == "api_key" and name not in state.api_keys:
        raise Refused(Refusal.API_KEY_UNKNOWN, "there is no such key", field="api_key_id")
