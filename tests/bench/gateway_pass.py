"""What a gateway without books costs: the same server, framework and client, and nothing in between.

The body goes on as it came, the answer comes back as it is. Nobody is identified, nothing is counted or kept.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, asgi
from litestar.types import Receive, Scope, Send

from gateway.demo.upstream.application import read_body
from gateway.settings import Edge
from gateway.upstream.calling import Upstreams
from ledger.catalog.events import ProviderPublished
from tests.bench.http_posts import HOST

CHAT_PATH = "/v1/chat/completions"
DEMO_PATH = "/demo/{}/v1"
"""Where the upstream answers for a provider of any name: what it has served is counted by these names."""


def create_pass_through(upstream_port: int) -> Litestar:
    """Return an application that hands chat completions on to the demo's upstream."""
    base = f"http://{HOST}:{upstream_port}" + DEMO_PATH.format("pass")
    provider = ProviderPublished(provider="pass", dialect="openai", api_base=base, cost_unit="USD", cost_scale=9)
    opened: list[Upstreams] = []

    @asynccontextmanager
    async def upstreams(app: Litestar) -> AsyncIterator[None]:
        opened.append(Upstreams({}, Edge()))
        yield
        await opened.pop().close()

    @asgi(CHAT_PATH)
    async def pass_on(scope: Scope, receive: Receive, send: Send) -> None:
        told = next(value for name, value in scope["headers"] if name == b"x-demo")
        body = await read_body(receive)
        reply = await opened[0].open(provider, "chat", body, (("x-demo", told.decode()),))
        kept = [(b"content-type", reply.headers["content-type"].encode())]
        length = reply.headers.get("content-length")
        if length is not None:
            content = await reply.read()
            kept.append((b"content-length", length.encode()))
            await send({"type": "http.response.start", "status": reply.status, "headers": kept})
            await send({"type": "http.response.body", "body": content, "more_body": False})
            return
        await send({"type": "http.response.start", "status": reply.status, "headers": kept})
        while chunk := await reply.content.readany():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return Litestar([pass_on], lifespan=[upstreams], openapi_config=None, logging_config=None, debug=False)
