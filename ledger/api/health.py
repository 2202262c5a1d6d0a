"""Is the process alive, does it take requests, and what has it done: `/livez`, `/readyz`, `/metrics`."""

from typing import Any

from litestar import Request, get, route
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp

from ledger.api.access import PUBLIC, requires
from ledger.api.context import ApiContext
from ledger.api.metrics import CONTENT_TYPE
from ledger.api.problems import HttpRefused
from ledger.api.refusal_table import HttpRefusal
from ledger.api.responses import ReadyResponse

METHODS = [HttpMethod.GET, HttpMethod.HEAD]
OK = b'{"status":"ok"}'


def create_health_handlers(context: ApiContext, *, metrics_open: bool) -> list[HTTPRouteHandler]:
    """Return the handlers for whatever watches the server. Closed metrics need a key with scope `audit`."""

    async def livez(request: Request[Any, Any, Any]) -> ASGIApp:
        return ReadyResponse(200, OK)

    async def readyz(request: Request[Any, Any, Any]) -> ASGIApp:
        if context.draining:
            raise HttpRefused(HttpRefusal.DRAINING, "the server is shutting down")
        await context.ledger.ping()
        return ReadyResponse(200, OK)

    async def metrics(request: Request[Any, Any, Any]) -> ASGIApp:
        return ReadyResponse(200, context.metrics.render(), (), CONTENT_TYPE)

    return [
        route("/livez", http_method=METHODS, name="livez", opt=PUBLIC)(livez),
        route("/readyz", http_method=METHODS, name="readyz", opt=PUBLIC)(readyz),
        get("/metrics", name="metrics", opt=PUBLIC if metrics_open else requires("audit"))(metrics),
    ]
