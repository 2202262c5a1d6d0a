"""Is the process alive, does it take requests, and what has it done: `/livez`, `/readyz`, `/metrics`."""

from litestar import route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import PUBLIC, not_allowed, requires
from ledger.api.context import ApiContext
from ledger.api.metrics import CONTENT_TYPE
from ledger.api.problems import HttpRefused
from ledger.api.refusal_table import HttpRefusal
from ledger.api.responses import ReadyResponse, get_handler, serve

METHODS = [HttpMethod.GET, HttpMethod.HEAD]
OK = b'{"status":"ok"}'
SEEING = frozenset({"read", "audit"})
"""With one of these a key of the platform sees closed metrics."""


def create_health_handlers(context: ApiContext, *, metrics_open: bool) -> list[HTTPRouteHandler]:
    """Return the handlers for whatever watches the server.

    Closed metrics need a platform's key: they tell of all workspaces, and of what no balance paid.
    """

    async def livez(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        return ReadyResponse(200, OK)

    async def readyz(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        if context.draining:
            raise HttpRefused(HttpRefusal.DRAINING, "the server is shutting down")
        await context.ledger.ping()
        return ReadyResponse(200, OK)

    async def metrics(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        if not metrics_open and not scope["user"].is_platform:
            raise not_allowed(SEEING)
        return ReadyResponse(200, context.metrics.render(), (), CONTENT_TYPE)

    return [
        route("/livez", http_method=METHODS, name="livez", opt=PUBLIC, sync_to_thread=False)(serve(livez)),
        route("/readyz", http_method=METHODS, name="readyz", opt=PUBLIC, sync_to_thread=False)(serve(readyz)),
        get_handler("/metrics", metrics, PUBLIC if metrics_open else requires(*SEEING), include_in_schema=False),
    ]
