"""The upstream as an ASGI application: it finds the endpoint, plans the answer, sends it and remembers the call."""

import asyncio
import hashlib
import hmac
from collections import OrderedDict
from functools import lru_cache

import msgspec
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send
from msgspec import Struct

from gateway.demo.upstream.asked import Interface
from gateway.demo.upstream.behaviour import BehaviourUnreadable, behaviour_of, is_counted, read_rules
from gateway.demo.upstream.failures import FailedAnswer, failed
from gateway.demo.upstream.pieces import CREATED
from gateway.demo.upstream.planning import JSON, Ending, Plan, plan_call, plan_failure
from gateway.demo.upstream.served import Served

ENDPOINTS: dict[str, Interface] = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
    "/v1/embeddings": "embeddings",
}
MODELS = ("gpt-5", "gpt-5-pro", "claude-sonnet-4-6", "deepseek-chat", "text-embedding-3-small")

BODY_BYTES_MAX = 64 * 1024 * 1024
READY_PLANS_MAX = 256
READY_BODY_BYTES_MAX = 16_384
COUNTED_REQUESTS_MAX = 10_000


class Place(Struct, frozen=True):
    """Where a call goes: a provider, and what follows its name in the path."""

    provider: str
    rest: str


class Incoming(Struct, frozen=True):
    """One call as it came in; `told` is the header `x-demo`."""

    interface: Interface
    provider: str
    body: bytes
    told: bytes
    request_id: str


class CallerGone(Exception):
    """The caller closed the connection before the answer ended."""


def create_upstream(required_key: str | None = None, remembered_calls: int = 100_000) -> ASGIApp:
    """Return the upstream. With a key, calls without it are refused as the providers do."""
    upstream = Upstream(required_key, remembered_calls)

    # Servers recognise a function as what it is; a method or an object they take for an older interface.
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await upstream.answer(scope, receive, send)

    return answer


class Upstream:
    """All providers at once: each is a part of the path. What they served and counted is kept in memory."""

    def __init__(self, required_key: str | None, remembered_calls: int) -> None:
        self._key = None if required_key is None else required_key.encode()
        self._remembered_calls = remembered_calls
        self._served: dict[str, Served] = {}
        self._ready: dict[tuple[Interface, str, bytes, bytes], Plan] = {}
        self._ordinals: OrderedDict[tuple[str, str], int] = OrderedDict()

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call, as an ASGI application does."""
        if scope["type"] != ScopeType.HTTP:
            return
        place = place_of(scope["path"])
        interface = None if place is None else ENDPOINTS.get(place.rest)
        if place is None or interface is None or scope["method"] != "POST":
            await send_whole(send, *self.answer_question(place, scope))
            return
        headers = dict(scope["headers"])
        try:
            body = await read_body(receive)
        except CallerGone:
            return
        call = Incoming(
            interface,
            place.provider,
            body,
            headers.get(b"x-demo", b""),
            headers.get(b"x-request-id", b"").decode("latin-1"),
        )
        plan = self.plan(call, headers)
        await self.carry_out(call, plan, receive, send)

    def answer_question(self, place: Place | None, scope: HTTPScope) -> tuple[int, bytes]:
        """Return status and body for what is no call: the list of models, or what was served."""
        if place is not None and place.rest == "/v1/models" and scope["method"] == "GET":
            return 200, models_body()
        if place is not None and place.rest == "/calls" and scope["method"] == "GET":
            return 200, self.served_by(place.provider).report()
        if place is not None and place.rest == "/calls" and scope["method"] == "DELETE":
            self._served.pop(place.provider, None)
            return 200, b"{}"
        return 404, failed("chat", 404, "The demo upstream has no such endpoint.").body

    def plan(self, call: Incoming, headers: dict[bytes, bytes]) -> Plan:
        """Return the plan for a call: one that is ready where the same was asked before and nothing is counted."""
        if refusal := self.refusal(call, headers):
            return plan_failure(refusal)
        ready_key = (call.interface, call.provider, call.told, call.body)
        plan = self._ready.get(ready_key)
        if plan is not None:
            return plan
        try:
            rules = read_rules(call.told)
        except BehaviourUnreadable as error:
            return plan_failure(failed(call.interface, 400, str(error)))
        if is_counted(rules, call.provider):
            key, ordinal = self.count(call)
            return plan_call(call.interface, call.provider, call.body, behaviour_of(rules, call.provider, key, ordinal))
        plan = plan_call(call.interface, call.provider, call.body, behaviour_of(rules, call.provider))
        if len(call.body) <= READY_BODY_BYTES_MAX:
            if len(self._ready) >= READY_PLANS_MAX:
                self._ready.clear()
            self._ready[ready_key] = plan
        return plan

    def refusal(self, call: Incoming, headers: dict[bytes, bytes]) -> FailedAnswer | None:
        """Return why a call is not answered at all: it has not the key, or its body is too large."""
        if len(call.body) > BODY_BYTES_MAX:
            return failed(call.interface, 413, "The body is too large.")
        if self._key is None:
            return None
        given = headers.get(b"authorization", b"").removeprefix(b"Bearer ")
        if call.interface == "messages":
            given = headers.get(b"x-api-key", given)
        if hmac.compare_digest(given, self._key):
            return None
        return failed(call.interface, 401, "Incorrect API key provided.")

    def count(self, call: Incoming) -> tuple[str, int]:
        """Return what a request is known by, and how often a provider was called for it by now."""
        key = call.request_id or hashlib.sha256(call.body).hexdigest()
        place = (call.provider, key)
        ordinal = self._ordinals.pop(place, 0) + 1
        self._ordinals[place] = ordinal
        if len(self._ordinals) > COUNTED_REQUESTS_MAX:
            self._ordinals.popitem(last=False)
        return key, ordinal

    def served_by(self, provider: str) -> Served:
        """Return what a provider has served."""
        served = self._served.get(provider)
        if served is None:
            served = self._served[provider] = Served(self._remembered_calls)
        return served

    async def carry_out(self, call: Incoming, plan: Plan, receive: Receive, send: Send) -> None:
        """Send what was planned and remember how it ended.

        A call that returns before its last message makes the server close the connection: that is the cut.
        """
        sent = 0
        ending: Ending | None = None
        try:
            if plan.stall_seconds:
                await pause(receive, plan.stall_seconds)
            await send({"type": "http.response.start", "status": plan.status, "headers": list(plan.headers)})
            last = len(plan.pieces) - 1 if plan.ending in {"complete", "error", "failed"} else None
            for number, piece in enumerate(plan.pieces):
                if plan.delay_seconds and piece.content_bytes:
                    await pause(receive, plan.delay_seconds)
                await send({"type": "http.response.body", "body": piece.data, "more_body": number != last})
                sent += piece.content_bytes
            if plan.ending == "hung":
                await pause(receive, None)
            ending = plan.ending
        except CallerGone:
            ending = "hung" if plan.ending == "hung" else "caller_gone"
        finally:
            self.served_by(call.provider).add(call.request_id, call.interface, plan, ending or "caller_gone", sent)


@lru_cache(maxsize=1024)
def place_of(path: str) -> Place | None:
    """Return the place that the end of a path names: `…/<provider>/v1/…` or `…/<provider>/calls`."""
    before, mark, after = path.partition("/v1/")
    if mark:
        return Place(before.rpartition("/")[2], f"/v1/{after.rstrip('/')}")
    before, _, after = path.rstrip("/").rpartition("/")
    return Place(before.rpartition("/")[2], f"/{after}") if before else None


async def read_body(receive: Receive) -> bytes:
    """Return the whole body; of one that is too large only so much that this shows."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise CallerGone
        if size <= BODY_BYTES_MAX:
            parts.append(message["body"])
            size += len(message["body"])
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def pause(receive: Receive, seconds: float | None) -> None:
    """Wait; without a number until the caller goes. Raises CallerGone as soon as that happens."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                if (await receive())["type"] == "http.disconnect":
                    raise CallerGone
    except TimeoutError:
        return


async def send_whole(send: Send, status: int, body: bytes) -> None:
    """Send a short answer."""
    headers = [JSON, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def models_body() -> bytes:
    """Return the list of models, in the shape of both dialects at once."""
    data = [
        {"id": name, "object": "model", "type": "model", "display_name": name, "created": CREATED} for name in MODELS
    ]
    more = {"has_more": False, "first_id": MODELS[0], "last_id": MODELS[-1]}
    return msgspec.json.encode({"object": "list", "data": data, **more})
