"""Errors as the client's dialect has them: OpenAI's and Anthropic's bodies, headers and events.

An `ErrorAnswer` is written in OpenAI's words; Anthropic's follow from its status by one table.
"""

import re
from collections.abc import Collection, Sequence
from math import ceil

import msgspec

from gateway.dialects.failures import CALLERS_STATUSES, UpstreamFailure, error_in, message_of
from gateway.dialects.redaction import without_secrets
from gateway.dialects.surface import Interface
from ledger.core.refusals import Refused
from ledger.request.commands import Failure

Headers = tuple[tuple[bytes, bytes], ...]

INVALID_REQUEST = "invalid_request_error"
INSUFFICIENT_QUOTA = "insufficient_quota"
SERVER_ERROR = "server_error"

ANTHROPIC_TYPES = {
    400: INVALID_REQUEST,
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Anthropic's name for a status. Other 4xx are invalid requests, other 5xx are the server's."""


class ErrorAnswer(msgspec.Struct, frozen=True):
    """What a client is told instead of an answer. `should_retry` overrules what SDKs make of the status."""

    status: int
    type: str
    code: str | None
    message: str
    param: str | None = None
    retry_after_seconds: int | None = None
    should_retry: bool | None = None


class Wording(msgspec.Struct, frozen=True):
    """How a refusal of the ledger is told. Without a message the ledger's own sentence is the message."""

    status: int
    type: str
    code: str | None
    message: str | None = None
    retry_after_seconds: int | None = None


_QUOTA = Wording(402, INSUFFICIENT_QUOTA, "credit_balance_exhausted")
_LEDGER_AWAY = Wording(503, SERVER_ERROR, "ledger_unavailable", "The ledger can't take calls now; try again.", 1)
_NO_KEY = Wording(401, INVALID_REQUEST, "invalid_api_key", "The API key is missing, unknown or revoked.")
_INVALID = Wording(400, INVALID_REQUEST, None)
_INTERNAL = Wording(500, SERVER_ERROR, "internal_error", "The gateway could not take this call.")

REFUSALS: dict[str, Wording] = {
    "insufficient_available": _QUOTA,
    "wallet_unknown": _QUOTA,
    "wallet_frozen": Wording(402, INSUFFICIENT_QUOTA, "wallet_frozen"),
    "api_key_spend_limit_exceeded": Wording(402, INSUFFICIENT_QUOTA, "key_spend_limit_exceeded"),
    "project_spend_limit_exceeded": Wording(402, INSUFFICIENT_QUOTA, "project_spend_limit_exceeded"),
    "available_is_held": Wording(
        429,
        "rate_limit_error",
        "in_flight_budget_exhausted",
        "What is left of the balance is held for calls in flight; try again when they have ended.",
        1,
    ),
    "requests_per_minute_exceeded": Wording(429, "requests", "rate_limit_exceeded", retry_after_seconds=60),
    "tokens_per_minute_exceeded": Wording(429, "tokens", "rate_limit_exceeded", retry_after_seconds=60),
    "overloaded": _LEDGER_AWAY,
    "unavailable": _LEDGER_AWAY,
    "outcome_unknown": _LEDGER_AWAY,
    "api_key_unknown": _NO_KEY,
    "api_key_revoked": _NO_KEY,
    "model_unknown": Wording(404, INVALID_REQUEST, "model_not_found"),
    "model_not_allowed": Wording(403, INVALID_REQUEST, "model_not_allowed"),
    "bucket_not_allowed": Wording(403, INVALID_REQUEST, "bucket_not_allowed"),
    "scope_not_allowed": Wording(403, INVALID_REQUEST, "scope_not_allowed"),
    "project_unknown": Wording(400, INVALID_REQUEST, "project_unknown"),
    "text_invalid": _INVALID,
    "number_out_of_range": _INVALID,
}
"""What the ledger's refusals become at the edge. All others are the gateway's own fault, and say nothing."""

FAILURES: dict[Failure, tuple[int, str, str | None, str]] = {
    "rate_limited": (429, "requests", "upstream_rate_limited", "The upstream limits its rate"),
    "overloaded": (503, SERVER_ERROR, "upstream_overloaded", "The upstream is overloaded"),
    "timeout": (504, SERVER_ERROR, "upstream_timeout", "The upstream did not answer in time"),
    "context_window": (400, INVALID_REQUEST, "context_length_exceeded", "The prompt is too long for the model"),
    "refused_content": (400, INVALID_REQUEST, "content_policy_violation", "The upstream refused the content"),
    "invalid_request": (400, INVALID_REQUEST, None, "The upstream refused the request"),
    # Our account, our key: the customer can't mend them and must not read them as their own.
    "upstream_account_empty": (503, SERVER_ERROR, "upstream_unavailable", "No upstream can take this call now"),
    "authentication": (503, SERVER_ERROR, "upstream_unavailable", "No upstream can take this call now"),
    "circuit_open": (503, SERVER_ERROR, "upstream_unavailable", "No upstream can take this call now"),
    "insufficient_hold": (402, INSUFFICIENT_QUOTA, "credit_balance_exhausted", "The balance does not cover this call"),
    "connection": (502, SERVER_ERROR, "upstream_unreachable", "The upstream can't be reached"),
    "bad_response": (502, SERVER_ERROR, "upstream_bad_response", "The upstream's answer can't be read"),
    "stream_cut": (502, SERVER_ERROR, "upstream_stream_cut", "The upstream broke off its answer"),
}
"""Status, type, code and sentence of a call that no upstream answered; others are `upstream_error`."""

TOLD_LENGTH_MAX = 2000
CODE_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}\Z")
PARAM_LENGTH_MAX = 256

_encode = msgspec.json.Encoder().encode


def error_body(interface: Interface, error: ErrorAnswer, request_id: str | None = None) -> bytes:
    """Return the body of an error in the client's dialect."""
    if interface == "messages":
        body: dict[str, object] = {"type": "error", "error": _anthropic(error)}
        return _encode(body if request_id is None else {**body, "request_id": request_id})
    return _encode({"error": _openai(error)})


def error_headers(error: ErrorAnswer) -> Headers:
    """Return the headers that tell a client whether and when to try again."""
    headers: list[tuple[bytes, bytes]] = []
    if error.retry_after_seconds is not None:
        headers.append((b"retry-after", b"%d" % error.retry_after_seconds))
    if error.should_retry is not None:
        headers.append((b"x-should-retry", b"true" if error.should_retry else b"false"))
    return tuple(headers)


def error_event(interface: Interface, error: ErrorAnswer, sequence_number: int = 0) -> bytes:
    """Return the event that ends a stream with an error. No `[DONE]` follows it."""
    if interface == "messages":
        return b"event: error\ndata: %b\n\n" % _encode({"type": "error", "error": _anthropic(error)})
    if interface == "responses":
        # The members at the top are the documented event; SDKs raise on the object, which OpenAI sends too.
        event = {
            "type": "error",
            "code": error.code,
            "message": error.message,
            "param": error.param,
            "sequence_number": sequence_number,
            "error": _openai(error),
        }
        return b"event: error\ndata: %b\n\n" % _encode(event)
    return b"data: %b\n\n" % _encode({"error": _openai(error)})


def of_refusal(refused: Refused, *, strict: bool) -> ErrorAnswer:
    """Return what a refusal of the ledger becomes; strictly as OpenAI has it, an empty balance is a 429."""
    wording = REFUSALS.get(refused.code, _INTERNAL)
    said_seconds = refused.facts.get("retry_after_seconds")
    retry_after_seconds = wording.retry_after_seconds
    if retry_after_seconds is not None and isinstance(said_seconds, int):
        retry_after_seconds = max(1, said_seconds)
    is_broke = strict and wording.status == 402
    return ErrorAnswer(
        status=429 if is_broke else wording.status,
        type=wording.type,
        code=wording.code,
        message=wording.message or refused.detail,
        retry_after_seconds=retry_after_seconds,
        should_retry=False if is_broke else None,
    )


def invalid(message: str, param: str | None = None, code: str | None = None) -> ErrorAnswer:
    """Return the answer to a call that can't be read; `param` names the member at fault."""
    return ErrorAnswer(400, INVALID_REQUEST, code, message, param)


def unsupported(what: str, param: str | None = None) -> ErrorAnswer:
    """Return the answer to a call of something that this gateway does not do: `what` is a plural or a clause."""
    return invalid(f"This gateway does not support {what}.", param, "unsupported_parameter")


def too_large(bytes_max: int) -> ErrorAnswer:
    """Return the answer to a body above the limit."""
    return ErrorAnswer(413, INVALID_REQUEST, "request_too_large", f"The body is larger than {bytes_max} bytes.")


def not_authenticated() -> ErrorAnswer:
    """Return the answer to a call without a key that is known; it never says which of both."""
    return ErrorAnswer(_NO_KEY.status, _NO_KEY.type, _NO_KEY.code, _NO_KEY.message or "")


def model_not_found(model: str) -> ErrorAnswer:
    """Return the answer to a call of a model that is not in the catalog, or not for this key to see."""
    message = f"The model `{model}` does not exist or you do not have access to it."
    return ErrorAnswer(404, INVALID_REQUEST, "model_not_found", message, "model")


def no_route(model: str, reasons: Sequence[str]) -> ErrorAnswer:
    """Return the answer when none of a model's targets may be tried now."""
    why = f": {'; '.join(reasons)}" if reasons else ""
    return ErrorAnswer(503, SERVER_ERROR, "no_route", f"No route of the model `{model}` can take this call{why}.")


def upstream_failed(failure: UpstreamFailure, attempts: int) -> ErrorAnswer:
    """Return the answer after the last attempt failed, without a word of the upstream's unless it is the caller's."""
    unknown = (502, SERVER_ERROR, "upstream_error", "The upstream failed")
    status, kind, code, sentence = FAILURES.get(failure.failure, unknown)
    tries = "" if attempts <= 1 else f" ({attempts} attempts)"
    seconds = failure.retry_after_seconds
    waits = status in {429, 503} and seconds is not None
    return ErrorAnswer(
        status,
        kind,
        code,
        failure.message if failure.is_callers and failure.message else f"{sentence}{tries}.",
        retry_after_seconds=max(1, ceil(seconds)) if waits and seconds is not None else None,
    )


def told_error(
    interface: Interface, failure: UpstreamFailure, status: int, body: bytes, secrets: Collection[str] = ()
) -> ErrorAnswer:
    """Return a caller's fault as the upstream tells it in an answer: its sentence, member and code.

    The given secrets and all that looks like a key, an account or a host are taken out. A failure that is not the
    caller's is told without the upstream's words.
    """
    plain = upstream_failed(msgspec.structs.replace(failure, message=""), 1)
    if not failure.is_callers:
        return plain
    error = error_in(body)
    fields = error if isinstance(error, dict) else {}
    code, param = (without_secrets(_text(fields.get(name)), secrets) for name in ("code", "param"))
    return msgspec.structs.replace(
        plain,
        status=status if status in CALLERS_STATUSES | {403} else plain.status,
        code=code if CODE_PATTERN.match(code) else plain.code,
        message=without_secrets(message_of(error), secrets)[:TOLD_LENGTH_MAX].strip() or plain.message,
        # Anthropic's errors name no member.
        param=None if interface == "messages" else param[:PARAM_LENGTH_MAX] or None,
    )


def deadline_exceeded() -> ErrorAnswer:
    """Return the answer when the time for all attempts together is over."""
    return ErrorAnswer(504, SERVER_ERROR, "deadline_exceeded", "The call was not answered before its deadline.")


def internal() -> ErrorAnswer:
    """Return the answer to a fault of the gateway itself."""
    return ErrorAnswer(_INTERNAL.status, _INTERNAL.type, _INTERNAL.code, _INTERNAL.message or "")


def anthropic_type(error: ErrorAnswer) -> str:
    """Return Anthropic's type of an error: an empty balance is one whatever its status is."""
    if error.type == INSUFFICIENT_QUOTA:
        return "billing_error"
    fallback = "api_error" if error.status >= 500 else INVALID_REQUEST
    return ANTHROPIC_TYPES.get(error.status, fallback)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _openai(error: ErrorAnswer) -> dict[str, object]:
    return {"message": error.message, "type": error.type, "param": error.param, "code": error.code}


def _anthropic(error: ErrorAnswer) -> dict[str, object]:
    return {"type": anthropic_type(error), "message": error.message}
