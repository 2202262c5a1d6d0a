"""Answers of ready bytes, and the headers that every answer carries.

Posts are many, so their answers go to the server as they are; the framework's own response classes encode and
look up what is known here before.
"""

import re
import secrets
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, cast

from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.types import (
    ASGIApp,
    HTTPResponseBodyEvent,
    HTTPResponseStartEvent,
    HTTPScope,
    Message,
    Receive,
    Scope,
    Send,
)

Headers = tuple[tuple[bytes, bytes], ...]

JSON = b"application/json"
REQUEST_ID_PATTERN = re.compile(rb"[A-Za-z0-9._:-]{1,128}\Z")
SECURITY_HEADERS: Headers = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
PROCESS_MARK = secrets.token_hex(7)
"""Begins every request id that this process makes. A number follows: asking the system for chance each time lets
go of the interpreter, and costs a tenth of a post's time when other threads are busy."""

_request_numbers = count(1)

REVALIDATE: Headers = ((b"cache-control", b"private, no-cache"),)


class ReadyResponse:
    """A status, headers and a body, sent as they are."""

    __slots__ = ("body", "headers", "media_type", "status")

    def __init__(self, status: int, body: bytes, headers: Headers = (), media_type: bytes = JSON) -> None:
        self.status = status
        self.body = body
        self.headers = headers
        self.media_type = media_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer: to a HEAD and with 204 or 304 without its body."""
        headers = list(self.headers)
        if self.status not in {204, 304}:
            headers += ((b"content-type", self.media_type), (b"content-length", b"%d" % len(self.body)))
        start: HTTPResponseStartEvent = {
            "type": "http.response.start",
            "status": self.status,
            "headers": headers,
        }
        body = b"" if cast(HTTPScope, scope)["method"] == "HEAD" else self.body
        content: HTTPResponseBodyEvent = {"type": "http.response.body", "body": body, "more_body": False}
        await send(start)
        await send(content)


Endpoint = Callable[[HTTPScope, Receive], Awaitable[ReadyResponse]]
"""What answers a request: it sees the raw request and returns a ready answer, or raises a refusal."""


def serve(endpoint: Endpoint) -> Callable[[], ASGIApp]:
    """Return a route's function. It takes nothing and returns an application that the framework then calls.

    A function that takes the framework's request object costs a fifth of a post's time for filling the argument.
    """

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        response = await endpoint(cast(HTTPScope, scope), receive)
        await response(scope, receive, send)

    def route() -> ASGIApp:
        return application

    return route


def get_handler(
    path: str, endpoint: Endpoint, opt: dict[str, Any], *, include_in_schema: bool = True
) -> HTTPRouteHandler:
    """Return the handler of a GET, called by its endpoint's own name."""
    return get(path, name=endpoint.__name__, opt=opt, include_in_schema=include_in_schema, sync_to_thread=False)(
        serve(endpoint)
    )


def request_id_of(scope: Scope) -> str:
    """Return the id of a request: the caller's own where it is well formed, else a new one. Always the same one."""
    state = scope["state"]
    known = state.get("request_id")
    if known is not None:
        return str(known)
    request_id = ""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and REQUEST_ID_PATTERN.match(value):
            request_id = value.decode()
            break
    if not request_id:
        request_id = f"{PROCESS_MARK}{next(_request_numbers):010x}"
    state["request_id"] = request_id
    return request_id


async def finish_headers(message: Message, scope: Scope) -> None:
    """Add the headers that every answer has, those of 404, 405 and 500 too: middleware does not run for them."""
    if message["type"] == "http.response.start":
        message["headers"] = [
            *message.get("headers", ()),
            (b"x-request-id", request_id_of(scope).encode()),
            *SECURITY_HEADERS,
        ]
