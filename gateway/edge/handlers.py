"""`/v1`: the paths that clients of OpenAI and Anthropic call. Keys are checked here, in the dialect's own words."""

from collections.abc import Callable
from typing import Any

from litestar import get, post, route
from litestar.enums import HttpMethod
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from gateway.dialects.errors import ErrorAnswer, error_body, not_authenticated, unsupported
from gateway.dialects.surface import PATHS, Interface
from gateway.edge.conditions import microseconds
from gateway.edge.gateway import Gateway
from gateway.edge.model_list import list_models, one_model
from gateway.edge.serving import Serving
from gateway.edge.ticket import headers_of, new_request_id, token_of
from ledger.api.access import PUBLIC
from ledger.api.responses import ReadyResponse, serve

ANY = [HttpMethod.GET, HttpMethod.POST, HttpMethod.PUT, HttpMethod.PATCH, HttpMethod.DELETE]

FindGateway = Callable[[], Gateway]
"""Returns the gateway of the running application: it is made after the handlers, inside the event loop."""


def create_edge_handlers(find_gateway: FindGateway) -> list[BaseRouteHandler]:
    """Return the handlers of the edge. Each asks for the gateway when it is called."""
    calls = [call_handler(interface, find_gateway) for interface in PATHS]
    reads = ModelReads(find_gateway)
    others = [f"/v1{path}" for path in PATHS.values()]
    return [
        *calls,
        # A path takes its own methods only: without these the answer to another one is not in the dialect.
        unsupported_handler(others, [method for method in ANY if method is not HttpMethod.POST]),
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


def call_handler(interface: Interface, find_gateway: FindGateway) -> BaseRouteHandler:
    """Return the handler of one interface's calls."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        http: Any = scope
        await Serving(find_gateway(), interface, http, receive, send).run()

    def call() -> ASGIApp:
        return application

    return post(f"/v1{PATHS[interface]}", name=interface, opt=PUBLIC, include_in_schema=False, sync_to_thread=False)(
        call
    )


class ModelReads:
    """`GET /v1/models`, as OpenAI's clients read it, with what a model costs and from which balance."""

    def __init__(self, find_gateway: FindGateway) -> None:
        self._find_gateway = find_gateway

    async def read_models(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer the models that the key may use."""
        gateway = self._find_gateway()
        caller = await identified(gateway, scope)
        if caller is None:
            return told(scope, not_authenticated())
        return ReadyResponse(200, list_models(await gateway.books.catalog(), caller.limits, microseconds()))

    async def read_model(self, scope: HTTPScope, receive: Receive) -> ReadyResponse:
        """Answer one model."""
        gateway = self._find_gateway()
        caller = await identified(gateway, scope)
        if caller is None:
            return told(scope, not_authenticated())
        name = str(scope["path_params"]["model"]).strip("/")
        found = one_model(await gateway.books.catalog(), caller.limits, name, microseconds())
        if found is None:
            return told(scope, ErrorAnswer(404, "invalid_request_error", "model_not_found", "There is no such model."))
        return ReadyResponse(200, found)


async def identified(gateway: Gateway, scope: HTTPScope) -> Any:
    """Return who is calling, or None for nobody who may."""
    token = token_of(headers_of(scope["headers"]))
    caller = None if token is None else await gateway.books.identify(token)
    return caller if caller is not None and "call" in caller.scopes else None


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
