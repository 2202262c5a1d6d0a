"""One call of an upstream, and the way over retries and fallbacks until one of them answers.

Every upstream call that fails is an event of its own. A retry stays on the route, a fallback moves the hold. Once
content has reached the client nothing is tried again.
"""

import asyncio
import random
from time import monotonic, time

import aiohttp
import msgspec

from gateway.books.settler import Settled
from gateway.dialects.answers import AnswerUnreadable, read_answer
from gateway.dialects.calls import CallRefused, write_call
from gateway.dialects.errors import deadline_exceeded, of_refusal, told_error, upstream_failed
from gateway.dialects.failures import UpstreamFailure, read_failure
from gateway.dialects.sse import StreamUnreadable
from gateway.dialects.streams import Piece, StreamReader
from gateway.dialects.surface import usage_dialect
from gateway.dialects.translation.answers import translate_answer
from gateway.dialects.translation.calls import translate_call
from gateway.edge.gateway import Gateway
from gateway.edge.holding import move
from gateway.edge.journey import CallFailed, ClientGone, FailedAttempt, Journey
from gateway.edge.settling import milliseconds_since, released
from gateway.routing.costing import provider_cost
from gateway.routing.pauses import MOVED, RETRIED, pause_seconds
from gateway.routing.sizing import output_limit_of
from gateway.upstream.calling import failure_of
from gateway.usage.reported import ReportedUsage
from gateway.usage.states import UsageDialect
from ledger.core.refusals import Refused
from ledger.request.commands import Failure, RecordAttempt

EVENT_STREAM_TYPE = "text/event-stream"
OK = range(200, 300)
STATUSES = range(100, 600)
"""What HTTP knows; an upstream may say anything."""

ANSWER_BYTES_MAX = 2**26
ERROR_BYTES_MAX = 2**18


class Whole(msgspec.Struct, frozen=True):
    """An answer that came at once, in the client's dialect.

    `delivered_bytes` is its text, for an estimate where it reports no usage.
    """

    body: bytes
    report: ReportedUsage
    delivered_bytes: int
    response_id: str | None


class Opened(msgspec.Struct, frozen=True):
    """A stream whose first content is there. `pieces` are what came by then and is not sent yet."""

    reply: aiohttp.ClientResponse
    reader: StreamReader
    pieces: list[Piece]
    first_token_ms: int


Result = Whole | Opened | FailedAttempt


async def travel(gateway: Gateway, journey: Journey) -> Whole | Opened:
    """Return the first answer that a route gives. Raises CallFailed and ClientGone; the hold is then given back."""
    loop = asyncio.get_running_loop()
    retries = 0
    while True:
        await leave_if_gone(gateway, journey)
        result = await attempt(gateway, journey)
        if not isinstance(result, FailedAttempt):
            return result
        failure = result.failure
        route = journey.target.route.route
        pause = next_pause(gateway, journey, failure, retries, loop.time())
        recording = record_attempt(gateway, journey, result, retried=pause is not None)
        if pause is not None:
            retries += 1
            journey.retries += 1
            gateway.metrics.retries.labels(route).inc()
            started = monotonic()
            await asyncio.sleep(pause)
            journey.waited_seconds += monotonic() - started
            continue
        # The book says why a call moves before it says that it moves.
        await asyncio.wait([recording], timeout=gateway.settings.settlement.charge_wait_seconds)
        if not await moved(gateway, journey, failure, loop.time()):
            await released(gateway, journey, "cancelled" if journey.is_gone else "failed")
            raise failed_call(gateway, journey, result)
        retries = 0


async def leave_if_gone(gateway: Gateway, journey: Journey) -> None:
    """Give the hold back where the client left during a pause or a move: nobody waits for another attempt."""
    if journey.is_gone:
        await released(gateway, journey, "cancelled")
        raise ClientGone(was_served=False)


def next_pause(gateway: Gateway, journey: Journey, failure: UpstreamFailure, retries: int, now: float) -> float | None:
    """Return how long to wait before the same route is called again; None where it is not."""
    route = journey.target.route.route
    if (
        journey.is_gone
        or failure.failure not in RETRIED
        or retries >= journey.candidates.model.num_retries
        or route in gateway.health.conditions().open_circuits
    ):
        return None
    pause = pause_seconds(retries + 1, failure.retry_after_seconds, gateway.settings.retry, random.random())  # noqa: S311
    return pause if pause is not None and now + pause < journey.deadline else None


async def moved(gateway: Gateway, journey: Journey, failure: UpstreamFailure, now: float) -> bool:
    """Return whether the call goes on on another route; its hold is there by then."""
    is_callers = failure.is_callers and failure.failure != "context_window"
    if journey.is_gone or is_callers or now >= journey.deadline or failure.failure not in MOVED:
        return False
    try:
        return await move(gateway, journey, failure.failure)
    except Refused as refused:
        await released(gateway, journey, "failed")
        raise CallFailed(of_refusal(refused, strict=gateway.settings.edge.strict_openai_errors)) from refused


def failed_call(gateway: Gateway, journey: Journey, result: FailedAttempt) -> CallFailed | ClientGone:
    """Return what ends a call that no route has answered."""
    failure = result.failure
    if journey.is_gone:
        return ClientGone(was_served=False)
    if failure.is_callers:
        interface, status = journey.ticket.call.interface, failure.http_status or 400
        secrets = gateway.upstreams.secrets_of(journey.target.provider.provider)
        # An error within a stream has no body of its own, only its words.
        body = result.body or msgspec.json.encode({"error": {"message": failure.message}})
        return CallFailed(told_error(interface, failure, status, body, secrets))
    if failure.failure == "timeout" and asyncio.get_running_loop().time() >= journey.deadline:
        return CallFailed(deadline_exceeded())
    return CallFailed(upstream_failed(failure, journey.attempts))


def record_attempt(
    gateway: Gateway, journey: Journey, result: FailedAttempt, *, retried: bool
) -> asyncio.Future[Settled]:
    """Begin to put a failed attempt on record, with what it cost us where the upstream said."""
    ticket, target, failure = journey.ticket, journey.target, result.failure
    route = target.route.route
    report = result.report
    gateway.metrics.attempts.labels(route, failure.failure).inc()
    command = RecordAttempt(
        workspace_id=ticket.caller.workspace_id,
        request_id=ticket.request_id,
        trace_id=ticket.trace_id,
        attempt=journey.attempts,
        route=route,
        failure=failure.failure,
        retried=retried,
        latency_ms=milliseconds_since(journey.attempt_started),
        http_status=failure.http_status if failure.http_status in STATUSES else None,
        usage=None if report is None else report.usage,
        provider_cost=None
        if report is None
        else provider_cost(report.entries, target.card, target.provider, report.cost),
    )
    return gateway.settler.settle([command])


async def attempt(gateway: Gateway, journey: Journey) -> Result:
    """Call the route that the journey is on, once. Raises CallFailed where the call can't be put to it."""
    target = journey.target
    try:
        body = upstream_body(gateway, journey)
    except CallRefused as refused:
        await released(gateway, journey, "failed")
        raise CallFailed(refused.error) from None
    journey.attempts += 1
    journey.attempt_started = started = monotonic()
    gateway.health.called(target.route.route)
    result: Result
    try:
        async with journey.until(journey.deadline):
            result = await exchange(gateway, journey, body)
    except (TimeoutError, aiohttp.ClientError, OSError, StreamUnreadable) as error:
        # A time limit of the connection's own says that nothing was sent yet.
        is_over = isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ServerTimeoutError)
        if journey.is_gone and is_over:
            raise ClientGone(was_served=True) from None
        failure: Failure = "bad_response" if isinstance(error, StreamUnreadable) else failure_of(error)
        result = failed(failure)
    except asyncio.CancelledError:
        # The server is going down. The upstream was called all the same, and every call is on record.
        _ = record_attempt(gateway, journey, failed("cancelled"), retried=False)
        raise
    finally:
        journey.waited_seconds += monotonic() - started
    if isinstance(result, FailedAttempt):
        gateway.health.failed(
            target.route.route,
            target.provider.provider,
            result.failure.failure,
            marks_account=result.failure.marks_account,
        )
    else:
        gateway.health.succeeded(target.route.route, target.provider.provider)
        gateway.metrics.attempts.labels(target.route.route, "served").inc()
    return result


def failed(failure: Failure, status: int | None = None) -> FailedAttempt:
    """Return an attempt that failed without an upstream's own words."""
    return FailedAttempt(UpstreamFailure(failure, status, None, False, failure.replace("_", " ")))


def upstream_body(gateway: Gateway, journey: Journey) -> bytes:
    """Return the call as the target's interface has it. Raises CallRefused where it can't be said there."""
    call, target = journey.ticket.call, journey.target
    model = target.route.upstream_model
    if target.interface == call.interface:
        return write_call(call, model=model, output_limit=journey.output_limit, dialect=target.provider.dialect)
    return translate_call(
        call,
        target.interface,
        model=model,
        output_limit=journey.output_limit or output_limit_of(journey.call, target, gateway.settings.hold),
        dialect=target.provider.dialect,
    )


async def exchange(gateway: Gateway, journey: Journey, body: bytes) -> Result:
    """Send the call and read what comes: a whole answer, the beginning of a stream, or an error."""
    target, call = journey.target, journey.ticket.call
    headers = (*journey.ticket.passed, ("x-request-id", journey.ticket.request_id))
    reply = await gateway.upstreams.open(target.provider, target.interface, body, headers)
    try:
        if reply.status not in OK:
            content = await read_up_to(reply, ERROR_BYTES_MAX)
            return FailedAttempt(read_failure(reply.status, reply.headers, content, now=time()), content)
        usage = usage_dialect(target.interface, target.provider.dialect)
        if not call.is_stream:
            content = await read_up_to(reply, ANSWER_BYTES_MAX)
            return read_whole(journey, usage, content)
        if not reply.headers.get("content-type", "").startswith(EVENT_STREAM_TYPE):
            return failed("bad_response", reply.status)
        reader = StreamReader(call, target.interface, usage, created_at_seconds=int(time()))
        result = await begin_stream(journey, reply, reader)
    except BaseException:
        reply.close()
        raise
    if isinstance(result, FailedAttempt):
        reply.close()
    return result


async def read_up_to(reply: aiohttp.ClientResponse, bytes_max: int) -> bytes:
    """Return a whole body, or its beginning where it is longer than anything that is meant to be read."""
    parts: list[bytes] = []
    size = 0
    async for part in reply.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > bytes_max:
            reply.close()
            break
    return parts[0] if len(parts) == 1 else b"".join(parts)


def read_whole(journey: Journey, usage: UsageDialect, content: bytes) -> Whole | FailedAttempt:
    """Return an answer that came at once, in the client's dialect; what can't be read is no answer."""
    interface = journey.ticket.call.interface
    try:
        report, response_id, delivered = read_answer(usage, content)
        if journey.target.interface != interface:
            content = translate_answer(content, interface, usage=usage, created_at_seconds=int(time()))
    except AnswerUnreadable as unreadable:
        return FailedAttempt(unreadable.failure, content, unreadable.report)
    return Whole(content, report, delivered, response_id)


async def begin_stream(journey: Journey, reply: aiohttp.ClientResponse, reader: StreamReader) -> Opened | FailedAttempt:
    """Read a stream until its first content, or until it is clear that none comes."""
    pieces: list[Piece] = []
    async for chunk in reply.content.iter_any():
        pieces += reader.feed(chunk)
        if not reader.has_content:
            failure = next((piece.failure for piece in pieces if piece.failure is not None), None)
            if failure is not None:
                return with_report(FailedAttempt(failure), reader)
            if any(piece.kind == "error" for piece in pieces):
                return with_report(failed("server_error"), reader)
        if reader.has_content or reader.has_ended:
            return Opened(reply, reader, pieces, milliseconds_since(journey.attempt_started))
    pieces += reader.close()
    if reader.has_ended:
        return Opened(reply, reader, pieces, milliseconds_since(journey.attempt_started))
    return with_report(failed("stream_cut"), reader)


def with_report(result: FailedAttempt, reader: StreamReader) -> FailedAttempt:
    """Return a failed attempt with the usage that its stream has reported, if it has: such a call may cost us."""
    report = reader.usage_report
    return result if report.usage is None else msgspec.structs.replace(result, report=report)
