"""A call's whole answer, planned before its first byte is sent: what is sent, when, and how it ends."""

import hashlib
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from gateway.demo.upstream.answers import Answer, Usage, answer_of, usage_of
from gateway.demo.upstream.asked import Asked, BodyUnreadable, Interface, read_asked
from gateway.demo.upstream.behaviour import Behaviour
from gateway.demo.upstream.chat import chat_body, chat_pieces, chat_stream_error
from gateway.demo.upstream.embeddings import embeddings_body
from gateway.demo.upstream.failures import FailedAnswer, failed, told_failure
from gateway.demo.upstream.messages import messages_body, messages_pieces, messages_stream_error
from gateway.demo.upstream.pieces import Piece
from gateway.demo.upstream.responses import responses_body, responses_pieces, responses_stream_error

Ending = Literal["complete", "cut", "error", "hung", "failed", "caller_gone"]
Headers = tuple[tuple[bytes, bytes], ...]

NO_USAGE = Usage(0, 0)
JSON = (b"content-type", b"application/json")
EVENTS = ((b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache"))


class Plan(Struct, frozen=True):
    """What one call is answered with."""

    status: int
    headers: Headers
    pieces: tuple[Piece, ...]
    ending: Ending
    model: str = ""
    usage: Usage = NO_USAGE
    body_digest: str = ""
    stall_seconds: float = 0.0
    delay_seconds: float = 0.0


def plan_call(interface: Interface, provider: str, body: bytes, behaviour: Behaviour) -> Plan:
    """Return the plan for a call."""
    failure = told_failure(interface, provider, behaviour)
    digest = hashlib.sha256(body).hexdigest()
    try:
        asked = read_asked(interface, body)
    except BodyUnreadable as error:
        failure = failed(interface, 400, f"The body can't be read: {error}")
        return replace(plan_failure(failure), body_digest=digest)
    told = Plan(0, (), (), "complete", asked.model, NO_USAGE, digest, behaviour.stall_ms / 1000)
    if failure is not None:
        refusal = plan_failure(failure)
        return replace(told, status=refusal.status, headers=refusal.headers, pieces=refusal.pieces, ending="failed")
    if interface != "embeddings" and asked.is_stream:
        return plan_stream(told, interface, provider, asked, behaviour)
    return plan_whole(told, interface, provider, asked, behaviour)


def plan_failure(failure: FailedAnswer) -> Plan:
    """Return the plan for an error."""
    headers: Headers = (JSON, (b"content-length", b"%d" % len(failure.body)))
    if failure.retry_after_seconds is not None:
        headers += ((b"retry-after", b"%d" % failure.retry_after_seconds),)
    if failure.status == 401:
        headers += ((b"www-authenticate", b"Bearer"),)
    return Plan(failure.status, headers, (Piece(failure.body),), "failed")


def plan_whole(told: Plan, interface: Interface, provider: str, asked: Asked, behaviour: Behaviour) -> Plan:
    """Return the plan for an answer that is one body. Cut, half of it comes."""
    short = told.body_digest[:24]
    if interface == "embeddings":
        usage = usage_of(asked, 0, 0)
        model = behaviour.model or asked.model
        body, size = embeddings_body(asked, model, None if behaviour.no_usage else usage), 0
    else:
        answer = answer_of(asked, behaviour)
        usage, size = answer.usage, len(answer.text.encode()) * asked.choices
        body = whole_body(interface, provider, asked, answer, short)
    headers = (JSON, (b"content-length", b"%d" % len(body)), (b"x-request-id", b"req_" + short.encode()))
    pieces: tuple[Piece, ...] = (Piece(body, size),)
    ending: Ending = "complete"
    if behaviour.cut_after is not None:
        pieces, ending = (Piece(body[: len(body) // 2]),), "cut"
    elif behaviour.hang_after is not None:
        pieces, ending = (Piece(body[: len(body) // 2]),), "hung"
    return replace(told, status=200, headers=headers, pieces=pieces, ending=ending, usage=usage)


def whole_body(interface: Interface, provider: str, asked: Asked, answer: Answer, short: str) -> bytes:
    """Return an answer as one body."""
    match interface:
        case "messages":
            return messages_body(answer, short)
        case "responses":
            return responses_body(answer, short)
        case _:
            return chat_body(asked, answer, short, provider)


def plan_stream(told: Plan, interface: Interface, provider: str, asked: Asked, behaviour: Behaviour) -> Plan:
    """Return the plan for an answer that streams."""
    answer = answer_of(asked, behaviour)
    short = told.body_digest[:24]
    match interface:
        case "messages":
            pieces, error = messages_pieces(answer, short), messages_stream_error()
        case "responses":
            pieces, error = responses_pieces(answer, short), responses_stream_error()
        case _:
            pieces, error = chat_pieces(asked, answer, short, provider), chat_stream_error()
    ending: Ending = "complete"
    if behaviour.error_after is not None:
        pieces, ending = [*first_of(pieces, behaviour.error_after), Piece(error)], "error"
    elif behaviour.cut_after is not None:
        pieces, ending = first_of(pieces, behaviour.cut_after), "cut"
    elif behaviour.hang_after is not None:
        pieces, ending = first_of(pieces, behaviour.hang_after), "hung"
    if behaviour.split is not None:
        pieces = resplit(pieces, behaviour.split)
    return replace(
        told,
        status=200,
        headers=(*EVENTS, (b"x-request-id", b"req_" + short.encode())),
        pieces=tuple(pieces),
        ending=ending,
        usage=answer.usage,
        delay_seconds=behaviour.delay_ms / 1000,
    )


def first_of(pieces: Sequence[Piece], count: int) -> list[Piece]:
    """Return the pieces up to and including so many that carry generated text."""
    carrying = [index for index, piece in enumerate(pieces) if piece.content_bytes]
    if not carrying:
        return []
    count = min(count, len(carrying))
    return list(pieces[: carrying[count - 1] + 1 if count else carrying[0]])


def resplit(pieces: Sequence[Piece], size: int) -> list[Piece]:
    """Return the same bytes in pieces of one size, wherever that cuts events and characters."""
    data = b"".join(piece.data for piece in pieces)
    parts = [Piece(data[start : start + size]) for start in range(0, len(data), size)]
    if parts:
        parts[-1] = Piece(parts[-1].data, sum(piece.content_bytes for piece in pieces))
    return parts
