"""A gateway apart from its ledger: the same edge, with the books over HTTP and pages for whoever watches it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, route
from litestar.types import HTTPScope, Receive
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from gateway.app import Doorstep, Edge
from gateway.books.remote import RemoteBooks
from gateway.edge.gateway import Gateway
from gateway.edge.handlers import create_edge_handlers, take_calls
from gateway.ledger_client import AsyncLedgerClient
from gateway.metrics_door import MetricsDoor
from ledger.api.access import PUBLIC, bearer_token
from ledger.api.health import METHODS, OK
from ledger.api.metrics import CONTENT_TYPE
from ledger.api.problems import HttpRefused, exception_handlers
from ledger.api.refusal_table import HttpRefusal
from ledger.api.responses import ReadyResponse, finish_headers, get_handler, serve


class Draining:
    """Whether the server was told to stop."""

    def __init__(self) -> None:
        self.draining = False

    def begin(self) -> None:
        """Turn further requests away."""
        self.draining = True


def create_gateway_app(
    ledger_url: str, ledger_key: str, edge: Edge, draining: Draining, *, metrics_open: bool = False
) -> Litestar:
    """Return the application of a gateway whose books are at a ledger elsewhere."""
    doorstep = Doorstep()
    door = MetricsDoor()
    registry = CollectorRegistry(auto_describe=True)

    @asynccontextmanager
    async def gateway(app: Litestar) -> AsyncIterator[None]:
        books = RemoteBooks(AsyncLedgerClient(ledger_url, ledger_key))
        doorstep.gateway = Gateway(books, edge.settings, edge.keys, registry)
        doorstep.gateway.start()
        try:
            yield
        finally:
            await doorstep.gateway.close()

    async def livez(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        return ReadyResponse(200, OK)

    async def readyz(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        if draining.draining:
            raise HttpRefused(HttpRefusal.DRAINING, "the server is shutting down")
        await doorstep.find().books.ping()
        return ReadyResponse(200, OK)

    async def metrics(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        if not metrics_open:
            await door.require_watcher(doorstep.find().books, bearer_token(scope["headers"]))
        return ReadyResponse(200, generate_latest(registry), (), CONTENT_TYPE)

    app = Litestar(
        route_handlers=[
            *create_edge_handlers(doorstep.find),
            route("/livez", http_method=METHODS, opt=PUBLIC, include_in_schema=False, sync_to_thread=False)(
                serve(livez)
            ),
            route("/readyz", http_method=METHODS, opt=PUBLIC, include_in_schema=False, sync_to_thread=False)(
                serve(readyz)
            ),
            get_handler("/metrics", metrics, PUBLIC, include_in_schema=False),
        ],
        exception_handlers=exception_handlers(lambda code: None),
        before_send=[finish_headers],
        lifespan=[gateway],
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    take_calls(app, doorstep.find)
    return app
