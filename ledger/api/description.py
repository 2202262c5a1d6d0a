"""The API's own description: OpenAPI 3.1 at `/ledger/v1/openapi.json`, and a page of it at `/ledger/v1/docs`.

The framework lists the paths, those of other parts too. Bodies are read from raw bytes here and answers made of
raw bytes, so what they look like is put in by name, from the types that do the reading and the making.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Litestar, Request
from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.router import Router
from litestar.types import HTTPScope, Receive

from ledger.api.access import PUBLIC
from ledger.api.answers import encode
from ledger.api.command_table import BASE_PATH
from ledger.api.operations import OPERATIONS, PROBLEM_RESPONSE, Operation
from ledger.api.responses import ReadyResponse, get_handler
from ledger.api.schemas import all_schemas

API_VERSION = "1.0.0"
OPENAPI_PATH = f"{BASE_PATH}/openapi.json"
DESCRIPTION = (
    "Posts to the book of record, and reads of its live state. Amounts are decimal text with their unit. "
    "Buckets are never added to each other. Every command is idempotent: repeat it with the same identity."
)


class PartDescription(msgspec.Struct, frozen=True):
    """What a mounted part's operations take and answer, by the operation's name, and the schemas they refer to."""

    operations: Mapping[str, Operation]
    schemas: Mapping[str, dict[str, Any]]


class DescriptionPlugin(OpenAPIRenderPlugin):
    """Answers the framework's own path for the description with the completed one."""

    def __init__(self) -> None:
        super().__init__(path="/openapi.json")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """Return the description as JSON."""
        return description_bytes(request.app)


def openapi_config() -> OpenAPIConfig:
    """Return the framework's settings. Its own pages load scripts from other hosts, so none of them is used."""
    return OpenAPIConfig(
        title="Route Ledger",
        version=API_VERSION,
        description=DESCRIPTION,
        render_plugins=[DescriptionPlugin()],
        openapi_router=Router(f"{BASE_PATH}/description", route_handlers=[], include_in_schema=False, opt=PUBLIC),
        operation_id_creator=operation_id,
    )


def operation_id(handler: HTTPRouteHandler, method: Any, path: list[str | Any]) -> str:
    """Return an operation's name: its handler's, which is the command's kind."""
    name = handler.name or "_".join(str(getattr(part, "name", part)) for part in path)
    return name if method != HttpMethod.HEAD else f"{name}_head"


def create_description_handlers() -> list[HTTPRouteHandler]:
    """Return the handler of the description."""

    async def openapi(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        return ReadyResponse(200, description_bytes(scope["litestar_app"]))

    return [get_handler(OPENAPI_PATH, openapi, PUBLIC, include_in_schema=False)]


def description_bytes(app: Litestar) -> bytes:
    """Return the description as JSON, made once for each application."""
    known = app.state.get("description")
    if known is None:
        known = app.state["description"] = encode(describe(app))
    return bytes(known)


def describe(app: Litestar) -> dict[str, Any]:
    """Return the framework's description, with this API's operations completed by their names."""
    document: dict[str, Any] = app.openapi_schema.to_schema()
    parts: Sequence[PartDescription] = app.state.get("described_parts", ())
    operations = dict(OPERATIONS)
    components = document.setdefault("components", {})
    schemas = components["schemas"] = {**components.get("schemas", {}), **all_schemas()}
    for part in parts:
        operations.update(part.operations)
        schemas.update(part.schemas)
    components["responses"] = {"Problem": PROBLEM_RESPONSE}
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer", "description": "rl_live_…"}}
    document["security"] = [{"key": []}]
    for item in document["paths"].values():
        for operation in item.values():
            own = operations.get(operation.get("operationId", ""))
            if own is not None:
                operation.update(own)
    return document
