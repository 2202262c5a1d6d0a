"""An upstream that says what a test has written down: bodies as the providers send them, which no demo makes up.

A call names the recording that it wants in the header `x-demo`.
"""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import uvicorn
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send
from msgspec import Struct


class Recording(Struct, frozen=True):
    """One answer. It ends by itself unless the connection is cut after its last part."""

    parts: tuple[bytes, ...]
    content_type: bytes = b"application/json"
    status: int = 200
    is_cut: bool = False


def whole(body: object, status: int = 200) -> Recording:
    """Return an answer that is one JSON body."""
    return Recording((json.dumps(body, ensure_ascii=False).encode(),), status=status)


def events(*data: object, is_cut: bool = False, comment: bytes = b"") -> Recording:
    """Return a stream of unnamed events, with [DONE] where that is written so; a comment stands before each."""
    parts = [b"data: %b\n\n" % (each.encode() if isinstance(each, str) else json.dumps(each).encode()) for each in data]
    return Recording(tuple(comment + part for part in parts), b"text/event-stream", is_cut=is_cut)


def named_events(*data: dict[str, Any], is_cut: bool = False) -> Recording:
    """Return a stream of events that are named by their type."""
    parts = (b"event: %b\ndata: %b\n\n" % (each["type"].encode(), json.dumps(each).encode()) for each in data)
    return Recording(tuple(parts), b"text/event-stream", is_cut=is_cut)


class RecordedUpstream:
    """The recordings by name, and by request id the bodies of the calls that came and the headers of the last one."""

    def __init__(self) -> None:
        self.recordings: dict[str, Sequence[Recording]] = {}
        self.calls: dict[str, list[dict[str, Any]]] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.address = ""

    def app(self) -> ASGIApp:
        """Return the application: each further call of a request gets the next recording, the last one for ever."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP:
                return
            headers = dict(scope["headers"])
            body = b""
            while True:
                message: Any = await receive()
                body += message["body"]
                if not message["more_body"]:
                    break
            request_id = headers[b"x-request-id"].decode()
            self.headers[request_id] = {name.decode(): value.decode() for name, value in headers.items()}
            came = self.calls.setdefault(request_id, [])
            recordings = self.recordings[headers[b"x-demo"].decode()]
            recording = recordings[min(len(came), len(recordings) - 1)]
            came.append({"path": scope["path"], **json.loads(body)})
            start: Any = {"type": "http.response.start", "status": recording.status}
            await send(start | {"headers": [(b"content-type", recording.content_type)]})
            for part in recording.parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            if not recording.is_cut:
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        return answer


@contextmanager
def recorded_upstream() -> Iterator[RecordedUpstream]:
    """Serve an upstream without recordings on a free port."""
    upstream = RecordedUpstream()
    # A call that returns without an end is a cut connection, which the server would complain of.
    config = uvicorn.Config(upstream.app(), port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        upstream.address = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield upstream
    finally:
        server.should_exit = True
        thread.join()
