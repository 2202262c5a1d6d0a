"""The whole service on a real port: ledger, edge and the built-in upstream, with a workspace that may call."""

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import psycopg
import uvicorn

from gateway.app import Edge, create_service_app
from gateway.configuration import apply_configuration, parse_configuration
from gateway.demo.configuration import demo_configuration, upstream_key
from gateway.demo.scene import SCENE
from gateway.tools.demo import upstream_part
from gateway.tools.edge import edge_of
from ledger.api.context import ApiContext
from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.events import Event, decode_fact
from ledger.request.events import RequestReleased, TokensSettled
from ledger.service import SYSTEM, Ledger
from ledger.store.live import FRESH_SECONDS, NEW_KEY_SECONDS
from ledger.workspace.commands import IssueApiKey, StatedKeyLimits, StatedSpendLimit
from projections.reading import JournalReader

ACME = "acme"
START_SECONDS = 20.0

CLIENT = httpx.Client(timeout=60, limits=httpx.Limits(max_keepalive_connections=0))
"""One for all calls: making a client reads the certificates of the world, which takes longer than a call."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class EdgeScene:
    """A running service. `key` may call everything, changes of buckets included."""

    ledger: Ledger
    address: str
    key: str
    spool: Path

    def post(self, path: str, body: Any, *, key: str | None = None, **headers: str) -> httpx.Response:
        """Post a call; header names are written with underscores."""
        sent = {"Authorization": f"Bearer {key or self.key}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return CLIENT.post(f"{self.address}/v1{path}", json=body, headers=sent)

    def chat(self, model: str = "smart", text: str = "Hello", **more: Any) -> httpx.Response:
        """Call a model with one message; a member that ends in `_header` is a header."""
        headers = {name.removesuffix("_header"): more.pop(name) for name in list(more) if name.endswith("_header")}
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.post("/chat/completions", body, **headers)

    def issue(self, api_key_id: str, **limits: Any) -> str:
        """Issue a key of the workspace with limits and return its token."""
        command = IssueApiKey(
            workspace_id=ACME, api_key_id=api_key_id, scopes=("call", "read"), limits=StatedKeyLimits(**limits)
        )
        return self.issued(command)

    def issued(self, command: IssueApiKey) -> str:
        """Return the token of a new key, once every gateway would find it."""
        token = self.ledger.issue_key(command, SYSTEM).token
        assert token is not None
        time.sleep(NEW_KEY_SECONDS)
        return token

    def spend(self, bucket: str, limit: str) -> tuple[StatedSpendLimit, ...]:
        """Return a limit on what a key may spend in a day."""
        unit = {"credit": "CREDIT", "rmb": "CNY"}[bucket]
        return (StatedSpendLimit(bucket, "day", StatedAmount(limit, unit)),)

    def served(self, provider: str) -> dict[str, Any]:
        """Return what the upstream says it has served, in sums and by request."""
        answer: dict[str, Any] = CLIENT.get(f"{self.address}/demo/{provider}/calls").json()
        return answer

    def hang_up(self, path: str, body: Any, told: str, *, after_bytes: int = 1) -> str:
        """Make a streaming call, hang up after some bytes of its answer, and return the request's id."""
        headers = {"Authorization": f"Bearer {self.key}", "x-demo": told}
        url = f"{self.address}/v1{path}"
        with CLIENT.stream("POST", url, json={**body, "stream": True}, headers=headers) as answer:
            assert answer.status_code == 200, answer.read()
            come = 0
            for part in answer.iter_raw():
                come += len(part)
                if come >= after_bytes:
                    break
            request_id: str = answer.headers["x-request-id"]
        return request_id

    def ended(self, request_id: str) -> list[Event]:
        """Return what happened to a request, once it has come to its end."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            events = self.events(request_id)
            if events and isinstance(events[-1], TokensSettled | RequestReleased):
                return events
            assert time.monotonic() < deadline, events
            time.sleep(0.02)

    def request_of(self, end_user: str) -> str:
        """Return the id of the one request of an end user, once it is in the book."""
        hashed = self.ledger.hash_end_user(ACME, end_user)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with psycopg.connect(self.ledger.url) as connection:
                rows = connection.execute(
                    "select stream from ledger.event where workspace_id = %s and tag = 'request_routed.v1'"
                    " and convert_from(state, 'UTF8') like %s",
                    (ACME, f"%{hashed}%"),
                ).fetchall()
            if rows:
                assert len(rows) == 1, rows
                return str(rows[0][0]).removeprefix("request/")
            time.sleep(0.02)
        raise AssertionError("the request never came into the book")

    def follow_catalog(self) -> None:
        """Wait for as long as the gateway may know an older catalog."""
        time.sleep(FRESH_SECONDS + 0.1)

    def do(self, *commands: Command) -> None:
        """Execute commands, all of which must be accepted."""
        for outcome in self.ledger.execute_many(commands, SYSTEM):
            assert outcome.refused is None, outcome.refused

    def events(self, request_id: str, workspace_id: str = ACME) -> list[Event]:
        """Return what happened to a request, in order."""
        with psycopg.connect(self.ledger.url) as connection:
            rows = connection.execute(
                "select state from ledger.event where workspace_id = %s and stream = %s order by version",
                (workspace_id, f"request/{request_id}"),
            ).fetchall()
        return [decode_fact(bytes(state)).event for (state,) in rows]


@contextmanager
def open_edge(
    ledger: Ledger, directory: Path, settings: str = "", commands: Sequence[Command] = (), port: int | None = None
) -> Iterator[EdgeScene]:
    """Serve everything on a free port. `settings` is appended to the demo's configuration."""
    port = port or free_port()
    address = f"http://127.0.0.1:{port}"
    upstream_key()
    text = demo_configuration("127.0.0.1", port) + settings
    apply_configuration(ledger, parse_configuration(text), actor=SYSTEM)
    for outcome in ledger.execute_many([*SCENE, *commands], SYSTEM):
        assert outcome.refused is None, outcome.refused
    limits = StatedKeyLimits(allow_bucket_change=True)
    issue = IssueApiKey(workspace_id=ACME, api_key_id="app", scopes=("call", "read"), limits=limits)
    token = ledger.issue_key(issue, SYSTEM).token or ""
    with serving(ledger, edge_of(text, directory / "spool"), port):
        yield EdgeScene(ledger, address, token, directory / "spool")


@contextmanager
def serving(ledger: Ledger, edge: Edge, port: int) -> Iterator[None]:
    """Serve the application of a ledger from a thread."""
    service: Any = SimpleNamespace(ledger=ledger, reader=JournalReader(ledger.url), context=ApiContext(ledger))
    app = create_service_app(service, edge, [upstream_part(upstream_key())])
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            assert thread.is_alive(), "the server has not started"
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def beside(first: EdgeScene, directory: Path, settings: str = "") -> Iterator[EdgeScene]:
    """Serve a second gateway with settings of its own on the same database, as another machine does."""
    port = free_port()
    text = demo_configuration("127.0.0.1", port) + settings
    with Ledger.open(first.ledger.url) as ledger, serving(ledger, edge_of(text, directory / "spool"), port):
        yield EdgeScene(ledger, f"http://127.0.0.1:{port}", first.key, directory / "spool")
