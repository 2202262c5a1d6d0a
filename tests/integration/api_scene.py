"""The API on a real ledger, as its tests call it: a client with keys of every kind, and posts made of commands."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, get_args

import httpx
import msgspec
from litestar import Litestar
from litestar.testing import TestClient

from ledger.api.app import create_app
from ledger.api.command_table import BASE_PATH, COMMAND_ROUTES, CommandRoute, path_of
from ledger.api.context import ApiContext
from ledger.core.commands import Command
from ledger.core.identifiers import PLATFORM
from ledger.service import Ledger
from ledger.workspace.commands import IssueApiKey, Scope
from tests.integration import scenes

ALL_SCOPES: tuple[Scope, ...] = get_args(Scope)
ROUTE_OF: dict[type[Command], CommandRoute] = {route.command: route for route in COMMAND_ROUTES}


class Api:
    """A client of the API. `root` is the token of a platform key with every scope."""

    def __init__(self, ledger: Ledger, client: TestClient[Litestar], context: ApiContext) -> None:
        self.ledger = ledger
        self.client = client
        self.context = context
        issued = ledger.issue_key(IssueApiKey(workspace_id=PLATFORM, api_key_id="root", scopes=ALL_SCOPES), "system")
        assert issued.token is not None, issued
        self.root = issued.token

    def key(self, api_key_id: str, scopes: tuple[Scope, ...], workspace_id: str = PLATFORM, **more: Any) -> str:
        """Issue a key over HTTP, so that it is known at once, and return its token."""
        response = self.command(IssueApiKey(workspace_id=workspace_id, api_key_id=api_key_id, scopes=scopes, **more))
        assert response.status_code == 201, response.text
        return str(response.json()["token"])

    def send(self, method: str, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        """Send a request below the base path, as root unless another token is given."""
        headers = {"Authorization": f"Bearer {token or self.root}"} | more.pop("headers", {})
        return self.client.request(method, BASE_PATH + path, headers=headers, **more)

    def get(self, path: str, token: str | None = None, **headers: str) -> httpx.Response:
        """Read a path."""
        return self.send("GET", path, token, headers=headers)

    def post(self, path: str, body: Any, token: str | None = None, key: str | None = None) -> httpx.Response:
        """Post a body, with an Idempotency-Key where one is given."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.send("POST", path, token, json=body, headers=headers)

    def post_bytes(self, path: str, body: bytes, content_type: str = "application/json") -> httpx.Response:
        """Post raw bytes."""
        return self.send("POST", path, content=body, headers={"Content-Type": content_type})

    def command(self, command: Command, token: str | None = None) -> httpx.Response:
        """Post a command to its path: its ids in the path and the Idempotency-Key, the rest in the body."""
        route = ROUTE_OF[type(command)]
        body = msgspec.to_builtins(command)
        for name in (*route.path_fields, route.key_field, "kind", "secret_hash"):
            body.pop(name, None)
        key = getattr(command, route.key_field) if route.key_field else None
        return self.post(path_of(command).removeprefix(BASE_PATH), body, token, key)


@contextmanager
def open_api(ledger: Ledger, **options: Any) -> Iterator[Api]:
    """Serve a ledger's API in this process, without a catalog or any workspace."""

    @asynccontextmanager
    async def reads(app: Litestar) -> AsyncIterator[None]:
        yield
        await ledger.close_reads()

    context = ApiContext(ledger)
    app = create_app(ledger, context=context, lifespan=[reads], **options)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Api(ledger, client, context)


@contextmanager
def open_scene(ledger: Ledger) -> Iterator[Api]:
    """The same with the catalog published and the workspace acme opened and funded."""
    scenes.set_up(ledger)
    with open_api(ledger) as api:
        yield api


def refusal(response: httpx.Response) -> tuple[int, str, str | None]:
    """Return the status of a problem, its code, and the field that it names."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    problem = response.json()
    assert problem["status"] == response.status_code
    return response.status_code, problem["code"], problem.get("field")
