"""Passing a stream on while it comes, and settling it before its last words go out.

What was generated is sent at once. The usage and the end of the stream are kept back until the charge is known, or
until two seconds have passed. A client that hangs up does not stop the upstream at once: for a while the rest is
read, because only its end says what it cost.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import aiohttp

from gateway.books.settler import Settled
from gateway.dialects.errors import ErrorAnswer, error_event, upstream_failed
from gateway.dialects.sse import StreamUnreadable, comment
from gateway.dialects.streams import Piece, with_ledger
from gateway.edge.attempting import Opened
from gateway.edge.gateway import Gateway
from gateway.edge.journey import Journey
from gateway.edge.settling import Charged, Ending, charge_of, settle
from gateway.edge.telling import ledger_note, note_text
from gateway.usage.reported import ReportedUsage
from ledger.core.refusals import Refused
from ledger.request.commands import ExtendHold, UsageSource

Start = Callable[[], Awaitable[None]]
"""Sends the status and the headers."""

Pin = Callable[[Journey, str | None, ReportedUsage], asyncio.Future[None] | None]
"""Begins to note where a stored response lives."""

SendBody = Callable[[bytes, bool], Awaitable[None]]
"""Sends some bytes of the body; the second argument says whether more come."""

CUT = ErrorAnswer(502, "server_error", "upstream_stream_cut", "The provider ended the stream before its end.")
AFTER_USAGE_SECONDS = 3.0
"""How long the end of a stream is waited for after its final usage: there is nothing left that could be missed."""

REST_SECONDS = 0.1
"""How long the end of a connection is waited for after the end of the answer, so that it can be used again."""

EXTENSION_SECONDS = 180
EXTENSIONS_MAX = 1000
EARLY_SECONDS = 30.0
"""How long before its expiry a hold is extended, or half of its time where that is less."""


class Relay:
    """One stream on its way to the client."""

    def __init__(
        self, gateway: Gateway, journey: Journey, opened: Opened, *, start: Start, send: SendBody, pin: Pin
    ) -> None:
        self.gateway = gateway
        self.journey = journey
        self.opened = opened
        self.kept: list[Piece] = []
        self.is_cut = False
        self.error: ErrorAnswer | None = None
        self._start = start
        self._send = send
        self._pin = pin
        self._is_sending = False
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> Charged:
        """Send everything that comes, settle, and send the end. The upstream's answer is closed in any case."""
        try:
            await self._start()
            await self.forward()
        except asyncio.CancelledError:
            # The server is going down: what was delivered is charged, and the client hears that this was not the end.
            _, source = self.settle("stream_cut")
            if not self.journey.is_gone:
                await self._send(self.last_words(Charged("settling", source)), False)
            raise
        except BaseException:
            _ = self.settle("stream_cut")
            raise
        finally:
            self.stop_timer()
            if not self.opened.reader.has_ended:
                self.opened.reply.close()
        task, source = self.settle(self.ending())
        reader = self.opened.reader
        pinning = self._pin(self.journey, reader.response_id, reader.usage_report)
        charged = await charge_of(self.gateway, self.journey, task, source, pinning)
        if not self.journey.is_gone:
            await self._send(self.last_words(charged), False)
        await self.finish()
        return charged

    def ending(self) -> Ending:
        """Return how the stream came to its end."""
        if self.opened.reader.has_ended:
            return "client_gone" if self.journey.is_gone else "complete"
        return "client_gone" if self.journey.is_gone else "stream_cut"

    def settle(self, ending: Ending) -> tuple[asyncio.Future[Settled], UsageSource]:
        """Begin to settle what the stream has delivered."""
        reader = self.opened.reader
        report: ReportedUsage = reader.usage_report
        return settle(self.gateway, self.journey, report, reader.delivered_bytes, ending, self.opened.first_token_ms)

    async def forward(self) -> None:
        """Send what was generated as it comes, until the stream ends, is cut, or nobody listens any longer."""
        loop = asyncio.get_running_loop()
        edge = self.gateway.settings.edge
        began = monotonic()
        last = loop.time() + edge.stream_seconds_max
        reader, content = self.opened.reader, self.opened.reply.content
        self.set_timer(loop)
        try:
            async with self.journey.until(min(last, loop.time() + edge.stream_idle_seconds)):
                await self.pass_on(self.opened.pieces)
                while not reader.has_ended and self.error is None:
                    chunk = await content.readany()
                    if not chunk:
                        break
                    await self.pass_on(reader.feed(chunk))
                    patience_seconds = AFTER_USAGE_SECONDS if self.kept else edge.stream_idle_seconds
                    self.journey.prolong(min(last, loop.time() + patience_seconds))
        except TimeoutError:
            if self._is_sending:
                # The upstream is well; it is the client who takes nothing any more.
                self.journey.client_gone(loop.time(), 0.0)
        except (aiohttp.ClientError, OSError, StreamUnreadable):
            pass
        if self.error is None and not reader.has_ended:
            await self.pass_on(reader.close())
        self.is_cut = not reader.has_ended
        self.journey.waited_seconds += monotonic() - began

    async def pass_on(self, pieces: list[Piece]) -> None:
        """Send the pieces that may go out now and keep the others."""
        out = bytearray()
        for piece in pieces:
            if piece.kind in {"held", "end"}:
                self.kept.append(piece)
            elif piece.kind == "error":
                self.error = CUT if piece.failure is None else upstream_failed(piece.failure, 1)
                break
            else:
                out += piece.forward
        if out and not self.journey.is_gone:
            self._is_sending = True
            await self._send(bytes(out), True)
            self._is_sending = False

    def set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have the hold extended in time, whether or not anything comes by then."""
        left_seconds = self.journey.hold_until - loop.time()
        when = self.journey.hold_until - min(EARLY_SECONDS, left_seconds / 2)
        self._timer = loop.call_at(when, lambda: self.gateway.beside(self.extend_hold()))

    def stop_timer(self) -> None:
        """The stream has ended: its hold is settled."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def extend_hold(self) -> None:
        """Keep the hold alive for as long as the stream lives."""
        journey, loop = self.journey, asyncio.get_running_loop()
        if self._timer is None or journey.extensions >= EXTENSIONS_MAX:
            return
        ticket = journey.ticket
        command = ExtendHold(
            workspace_id=ticket.caller.workspace_id,
            request_id=ticket.request_id,
            trace_id=ticket.trace_id,
            extension=journey.extensions + 1,
            hold_seconds=EXTENSION_SECONDS,
            why="the stream goes on",
        )
        began = loop.time()
        try:
            await self.gateway.books.post(command)
        except Refused as refused:
            if not refused.transient:
                # A key that was revoked meanwhile, for example: what was delivered is charged, no more comes.
                self.error = ErrorAnswer(403, "invalid_request_error", refused.code.value, refused.detail)
                journey.prolong(loop.time())
                return
        else:
            journey.extensions += 1
            journey.hold_until = began + EXTENSION_SECONDS
        if self._timer is not None:
            self.set_timer(loop)

    def last_words(self, charged: Charged) -> bytes:
        """Return what was kept back, with the charge beside the usage and in a comment before the end."""
        note = ledger_note(self.journey, charged)
        held = b"".join(with_ledger(piece, note) for piece in self.kept if piece.kind == "held")
        # The last event of a response carries its usage itself; other last events are left as they are.
        end = b"".join(with_ledger(piece, note) for piece in self.kept if piece.kind == "end")
        if not self.opened.reader.has_ended:
            end = error_event(self.journey.ticket.call.interface, self.error or CUT)
        return held + comment(note_text(note)) + end

    async def finish(self) -> None:
        """Read the end of the connection where it is near, so that it serves the next call."""
        reply = self.opened.reply
        if reply.closed or reply.content.at_eof():
            return
        try:
            async with asyncio.timeout(REST_SECONDS):
                await reply.content.read()
        except (TimeoutError, aiohttp.ClientError, OSError):
            reply.close()
