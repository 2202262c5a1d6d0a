"""`/v1`: the paths that clients of OpenAI and Anthropic call. Keys are checked here, in the dialect's own words."""

from collections.abc import Callable
from typing import Any

from litestar import Litestar, get, route
from litestar.enums import HttpMethod
from litestar.handlers import BaseRouteHandler
from litestar.types import HTTPScope, Receive, Scope, Send

from gateway.dialects.errors import ErrorAnswer, error_body, not_authenticated, of_refusal, unsupported
from gateway.dialects.surface import PATHS, Interface
from gateway.edge.conditions import microseconds
from gateway.edge.gateway import Gateway
from gateway.edge.model_list import list_models, one_model
from gateway.edge.serving import Serving
from gateway.edge.ticket import headers_of, new_request_id, token_of
from ledger.api.access import PUBLIC
from ledger.api.responses import ReadyResponse, serve
from ledger.catalog.state import Catalog
from ledger.core.refusals import Refused
from ledger.workspace.events import KeyLimits

ANY = [HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH, HttpMethod.DELETE]

CALLS: dict[str, Interface] = {f"/v1{path}": interface for interface, path in PATHS.items()}

ReadModels = Callable[[Catalog, KeyLimits, int], bytes | None]
"""Reads something of the catalog for a key, at an instant; None for what is not there."""

FindGateway = Callable[[], Gateway]
"""Returns the gateway of the running application: it is made after the handlers, inside the event loop."""


def create_edge_handlers(find_gateway: FindGateway) -> list[BaseRouteHandler]:
    """Return the handlers of everything under `/v1` but the calls. Each asks for the gateway when it is called."""
    reads = ModelReads(find_gateway)
    return [
        # A path takes its own methods only: without this the answer to another one is not in the dialect.
        unsupported_handler(
            ["/v1/models", "/v1/models/{model:path}"], [method for method in ANY if method is not HttpMethod.GET]
        ),
        get("/v1/models", opt=PUBLIC, include_in_schema=False, sync_to_thread=False)(serve(reads.read_models)),
        get("/v1/models/{model:path}", opt=PUBLIC, include_in_schema=False, sync_to_thread=False)(
            serve(reads.read_model)
        ),
        unsupported_handler(["/v1", "/v1/{path:path}"], ANY),
    ]


def unsupported_handler(paths: list[str], methods: list[HttpMethod]) -> BaseRouteHandler:
    """Return the handler of what is not offered."""
    return route(
        paths, http_method=methods, opt=PUBLIC, include_in_schema=False, sync_to_thread=False, status_code=400
    )(serve(answer_unsupported))


def take_calls(app: Litestar, find_gateway: FindGateway) -> None:
    """Let an application hand every call to the edge before it looks for a route.

    A call passes on what an upstream sends and is known by its path alone: the framework's routing, guards and
    exception handling would take a fifteenth of its time and do nothing for it. Its answer's headers stay the
    application's.
    """
    beyond = app.asgi_handler

    async def take(scope: Scope, receive: Receive, send: Send) -> None:
        http: Any = scope
        interface = CALLS.get(http["path"]) if http.get("method") == "POST" else None
        if interface is None:
            await beyond(scope, receive, send)
        else:
            await Serving(find_gateway(), interface, http, receive, send).run()

    app.asgi_handler = take


class ModelReads:
    """`GET /v1/models`, as OpenAI's clients read it, with what a model costs and from which balance."""

    def __init__(self, find_gateway: FindGateway) -> None:
        self._find_gateway = find_gateway

    async def read_models(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer the models that the key may use."""
        return await self._answer(scope, list_models)

    async def read_model(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer one model."""
        name = str(scope["path_params"]["model"]).strip("/")
        return await self._answer(scope, lambda catalog, limits, now: one_model(catalog, limits, name, now))

    async def _answer(self, scope: HTTPScope, read: ReadModels) -> ReadyResponse:
        """Answer a caller what is read of the catalog, or why not in the dialect's words."""
        gateway = self._find_gateway()
        token = token_of(headers_of(scope["headers"]))
        try:
            caller = None if token is None else await gateway.books.identify(token)
            if caller is None or "call" not in caller.scopes:
                return told(scope, not_authenticated())
            found = read(await gateway.books.catalog(), caller.limits, microseconds())
        except Refused as refused:
            return told(scope, of_refusal(refused, strict=gateway.settings.edge.strict_openai_errors))
        if found is None:
            return told(scope, ErrorAnswer(404, "invalid_request_error", "model_not_found", "There is no such model."))
        return ReadyResponse(200, found)


async def answer_unsupported(scope: HTTPScope, receive: Receive) -> ReadyResponse:
    """Answer what this gateway does not offer, in the dialect of the path."""
    path = scope["path"]
    return told(scope, unsupported(f"{scope['method']} {path[:100]}"))


def told(scope: HTTPScope, error: ErrorAnswer) -> ReadyResponse:
    """Return an error in the dialect of the path."""
    request_id = new_request_id()
    scope["state"]["request_id"] = request_id
    interface: Interface = "messages" if scope["path"].startswith("/v1/messages") else "chat"
    return ReadyResponse(error.status, error_body(interface, error, request_id))
