"""One call from its first byte to its last: read, identified, held, answered, settled."""

import asyncio
import logging
from collections.abc import Mapping
from time import monotonic

import msgspec
from litestar.types import HTTPScope, Receive, Send

from gateway.dialects.calls import CallBody, CallRefused, read_call
from gateway.dialects.errors import (
    ErrorAnswer,
    error_body,
    error_headers,
    internal,
    model_not_found,
    not_authenticated,
    of_refusal,
    too_large,
)
from gateway.dialects.surface import Interface
from gateway.edge.attempting import Whole, travel
from gateway.edge.conditions import microseconds
from gateway.edge.gateway import Gateway
from gateway.edge.holding import place_hold
from gateway.edge.journey import CallFailed, ClientGone, Journey
from gateway.edge.relaying import Relay
from gateway.edge.settling import Ending, charge_of, release, settle
from gateway.edge.telling import EVENT_STREAM, JSON, Headers, charge_headers, journey_headers
from gateway.edge.ticket import (
    Ticket,
    headers_of,
    labels_of,
    new_request_id,
    passed_headers,
    project_of,
    token_of,
    trace_id_of,
)
from gateway.edge.turning_away import turned_away
from gateway.routing.candidates import find_candidates
from gateway.usage.reported import ReportedUsage
from ledger.core.refusals import Refusal, Refused
from ledger.operating import Caller, PinnedResponse
from ledger.request.commands import ReleaseCause

log = logging.getLogger(__name__)

NOTHING = ReportedUsage(status="missing")
"""What is known of an answer that never came."""

SHUTTING_DOWN = ErrorAnswer(
    503, "server_error", "shutting_down", "The gateway is shutting down.", retry_after_seconds=1
)
"""What a call hears that was not answered when the server stopped."""

WATCH_AFTER_SECONDS = 0.1
"""A call that is answered sooner is not watched: who hangs up so soon gets its answer settled as delivered."""

COUNTED_STATUSES = frozenset({402, 429})
"""Refused calls with these statuses are counted by reason."""


class TooLarge(Exception):
    """The body is larger than a call may be."""


class Serving:
    """One call on one connection."""

    def __init__(self, gateway: Gateway, interface: Interface, scope: HTTPScope, receive: Receive, send: Send) -> None:
        self.gateway = gateway
        self.interface = interface
        self.scope = scope
        self._receive = receive
        self._raw_send = send
        self.request_id = new_request_id()
        self.started = monotonic()
        self.journey: Journey | None = None
        self.caller: Caller | None = None
        self.model = ""
        self._has_started = False
        self._watching: asyncio.Task[None] | None = None
        # The gateway mints the id, whatever the caller sent: it names the request in the books.
        scope["state"]["request_id"] = self.request_id

    async def run(self) -> None:
        """Answer the call, whatever happens."""
        try:
            await self.serve()
        except CallRefused as refused:
            await self.tell(refused.error)
        except CallFailed as failed:
            await self.tell(failed.error)
        except Refused as refused:
            error = of_refusal(refused, strict=self.gateway.settings.edge.strict_openai_errors)
            if error.status in COUNTED_STATUSES:
                self.count_refused(refused.code.value)
            await self.tell(error)
        except ClientGone as gone:
            self.outcome("client_gone")
            if gone.was_served and self.journey is not None:
                _ = settle(self.gateway, self.journey, NOTHING, 0, "client_gone", None)
        except TooLarge:
            await self.tell(too_large(self.gateway.settings.edge.body_bytes_max))
        except asyncio.CancelledError:
            # Only a server that ends does this, to calls that took longer than it waits. Nobody hears of an exception.
            self.give_up("cancelled")
            await self.tell(SHUTTING_DOWN)
        except Exception:
            log.exception("call %s failed", self.request_id)
            self.give_up("failed")
            await self.tell(internal())

    def give_up(self, cause: ReleaseCause) -> None:
        """Give the hold back after something that should not happen; a settlement that is under way goes first."""
        if self.journey is not None and not self._has_started:
            release(self.gateway, self.journey, cause)

    def count_refused(self, reason: str) -> None:
        """Count a refused call for its key."""
        if self.caller is not None:
            self.gateway.refused.count(self.caller, self.model, reason, microseconds())

    def outcome(self, outcome: str) -> None:
        """Count how the call ended."""
        self.gateway.metrics.calls.labels(self.interface, outcome).inc()

    async def serve(self) -> None:
        """Answer the call. Raises what `run` translates."""
        headers = headers_of(self.scope["headers"])
        token = token_of(headers)
        self.caller = caller = None if token is None else await self.gateway.books.identify(token)
        if caller is None:
            raise CallRefused(not_authenticated())
        if "call" not in caller.scopes:
            raise CallRefused(ErrorAnswer(403, "invalid_request_error", "not_allowed", "The key has no scope call."))
        call = read_call(self.interface, await self.read_body(headers))
        journey = self.journey = await self.begin(caller, call, headers)
        watch = self.watch_later(journey)
        try:
            result = await travel(self.gateway, journey)
            if isinstance(result, Whole):
                await self.send_whole(journey, result)
            else:
                relay = Relay(self.gateway, journey, result, start=self.begin_stream, send=self.send_body, pin=self.pin)
                await relay.run()
                self.observe(journey)
                self.outcome("cut" if relay.is_cut else "served")
        finally:
            watch.cancel()
            if self._watching is not None:
                self._watching.cancel()

    async def begin_stream(self) -> None:
        """Send the headers of a stream."""
        way = [] if self.journey is None else journey_headers(self.journey)
        await self.send_start(200, [*EVENT_STREAM, *way])

    async def read_body(self, headers: Mapping[str, str]) -> bytes:
        """Return the whole body. Raises TooLarge, and ClientGone where it never comes."""
        body_bytes_max = self.gateway.settings.edge.body_bytes_max
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > body_bytes_max:
            raise TooLarge
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise ClientGone(was_served=False)
            part = message.get("body", b"")
            size += len(part)
            if size > body_bytes_max:
                raise TooLarge
            parts.append(part)
            if not message.get("more_body", False):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    async def begin(self, caller: Caller, call: CallBody, headers: Mapping[str, str]) -> Journey:
        """Find the routes of a call and place its hold. Raises CallRefused, CallFailed, Refused."""
        gateway = self.gateway
        catalog = await gateway.books.catalog()
        model = catalog.models.get(call.model)
        if model is None:
            self.count_refused("model_unknown")
            raise CallRefused(model_not_found(call.model))
        self.model = call.model
        if caller.limits.models is not None and call.model not in caller.limits.models:
            raise Refused(Refusal.MODEL_NOT_ALLOWED, f"the key may not use model {call.model}")
        pinned = await self.pinned(caller, call)
        if pinned is not None:
            # What the earlier answer has said and read is read again, and paid for again.
            earlier_bytes = pinned.tokens * gateway.settings.hold.bytes_per_token
            call = msgspec.structs.replace(call, text_bytes=call.text_bytes + earlier_bytes)
        settings = gateway.settings.edge
        ticket = Ticket(
            self.request_id,
            caller,
            call,
            project_of(caller, headers),
            labels_of(headers, call.metadata, settings),
            passed_headers(headers, settings.forward_headers),
            call.end_user,
            trace_id_of(headers),
        )
        candidates = find_candidates(
            catalog,
            model,
            self.interface,
            caller.limits,
            gateway.health.conditions(),
            None if pinned is None else pinned.route,
        )
        if not candidates.targets:
            refused = turned_away(catalog, model, self.interface, caller.limits, candidates.skipped)
            if isinstance(refused, CallFailed):
                self.count_refused("no_route")
            raise refused
        return await place_hold(gateway, ticket, candidates, catalog)

    async def pinned(self, caller: Caller, call: CallBody) -> PinnedResponse | None:
        """Return where the answer lives that a call continues. Raises CallRefused for one not known."""
        response_id = call.previous_response_id
        if response_id is None:
            return None
        pinned = await self.gateway.books.pinned_response(caller.workspace_id, response_id)
        if pinned is None:
            raise CallRefused(
                ErrorAnswer(
                    400,
                    "invalid_request_error",
                    "previous_response_not_found",
                    "There is no such response of this workspace.",
                    "previous_response_id",
                )
            )
        return pinned

    def watch_later(self, journey: Journey) -> asyncio.TimerHandle:
        """Begin to watch the client once the call takes long enough for anybody to lose patience."""

        def begin() -> None:
            self._watching = asyncio.create_task(self.watch(journey))

        return asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, begin)

    async def watch(self, journey: Journey) -> None:
        """Note when the client hangs up."""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                settings = self.gateway.settings.settlement
                seconds = settings.drain_seconds if settings.client_gone == "drain" else 0.0
                journey.client_gone(asyncio.get_running_loop().time(), seconds)
                return

    async def send_whole(self, journey: Journey, whole: Whole) -> None:
        """Settle an answer that came at once, and send it with its charge."""
        gateway = self.gateway
        ending: Ending = "client_gone" if journey.is_gone else "complete"
        task, source = settle(gateway, journey, whole.report, whole.delivered_bytes, ending, None)
        self._has_started = True
        body = whole.body
        pinning = self.pin(journey, whole.response_id, whole.report)
        charged = await charge_of(gateway, journey, task, source, pinning)
        headers = [JSON, *journey_headers(journey), *charge_headers(charged)]
        self.observe(journey)
        self.outcome("client_gone" if journey.is_gone else "served")
        await self.send_start(200, [*headers, (b"content-length", b"%d" % len(body))])
        await self.send_body(body, False)

    def pin(self, journey: Journey, response_id: str | None, report: ReportedUsage) -> asyncio.Future[None] | None:
        """Begin to note where a response lives that a later call may continue; None where there is none."""
        if response_id is None or self.interface != "responses":
            return None
        pinned = PinnedResponse(
            journey.ticket.caller.workspace_id,
            response_id,
            journey.target.route.route,
            self.request_id,
            sum(side.tokens for side in (report.input, report.output) if side is not None),
        )
        return self.gateway.beside(self.note_pin(pinned))

    async def note_pin(self, pinned: PinnedResponse) -> None:
        """Note where a response lives."""
        try:
            await self.gateway.books.pin_response(pinned)
        except Refused as refused:
            log.warning("a response of call %s can't be continued: %s", self.request_id, refused.detail)

    def observe(self, journey: Journey) -> None:
        """Note how much time the gateway has added."""
        seconds = monotonic() - self.started - journey.waited_seconds
        self.gateway.metrics.added.labels(self.interface).observe(max(0.0, seconds))

    async def tell(self, error: ErrorAnswer) -> None:
        """Send an error in the dialect's own shape."""
        self.outcome("refused" if error.status < 500 else "failed")
        if self._has_started:
            return
        content = error_body(self.interface, error, self.request_id)
        way = [] if self.journey is None else journey_headers(self.journey)
        headers = [JSON, *error_headers(error), *way, (b"content-length", b"%d" % len(content))]
        await self.send_start(error.status, headers)
        await self.send_body(content, False)

    async def send_start(self, status: int, headers: Headers) -> None:
        """Send the status and the headers."""
        self._has_started = True
        await self._raw_send({"type": "http.response.start", "status": status, "headers": headers})

    async def send_body(self, body: bytes, more: bool) -> None:
        """Send a part of the body. A connection that broke meanwhile is noted by `watch`."""
        await self._raw_send({"type": "http.response.body", "body": body, "more_body": more})
