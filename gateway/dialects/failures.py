"""What went wrong upstream, in one closed list, whatever words the upstream has for it.

Codes and types are believed before sentences, and sentences only from their beginning: an upstream may repeat
the caller's own text in its error, and nobody may declare our account empty by writing so.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.dialects.waiting import read_waiting
from ledger.request.commands import Failure

MESSAGE_LENGTH_MAX = 1000
MONEY_STATUSES = frozenset({400, 402, 403, 429})
CALLERS_STATUSES = frozenset({400, 413, 415, 422})
CALLERS: frozenset[Failure] = frozenset({"context_window", "refused_content", "invalid_request"})

CODES: dict[str, Failure] = {
    **dict.fromkeys(
        (
            "insufficient_quota",
            "credit_balance_exhausted",
            "billing_hard_limit_reached",
            "billing_not_active",
            "billing_error",
            "insufficient_balance",
            "insufficient_credits",
            "key_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_spend_limit_exceeded",
        ),
        "upstream_account_empty",
    ),
    **dict.fromkeys(("context_length_exceeded", "context_window_exceeded", "model_max_length"), "context_window"),
    **dict.fromkeys(
        (
            "content_filter",
            "content_policy_violation",
            "moderation_blocked",
            "responsibleaipolicyviolation",
            "invalid_prompt",
        ),
        "refused_content",
    ),
    **dict.fromkeys(
        ("invalid_api_key", "authentication_error", "permission_error", "account_deactivated"), "authentication"
    ),
    # A model that we name and the upstream doesn't know is our configuration's fault.
    **dict.fromkeys(("model_not_found", "not_found_error", "notfounderror"), "other"),
    **dict.fromkeys(("rate_limit_error", "rate_limit_exceeded", "in_flight_budget_exhausted"), "rate_limited"),
    **dict.fromkeys(("overloaded_error", "server_is_overloaded", "slow_down"), "overloaded"),
    "timeout_error": "timeout",
}
"""Codes, types and statuses that name a failure whatever the HTTP status is."""

EMPTY_ACCOUNT = re.compile(
    r"(?:your )?credit balance is too low|insufficient (?:account )?(?:balance|credits?|funds)"
    r"|your (?:newly created )?team (?:\S+ )?(?:has (?:either )?used all|doesn't have any)"
    r"|this request requires more credits",
    re.IGNORECASE,
)
CONTEXT = re.compile(
    r"prompt is too long|input is too long|input length and `max_tokens` exceed context limit"
    r"|the input token count|the input \(?\d+ tokens\)? is longer|input tokens exceed"
    r"|this (?:model|endpoint)'s maximum (?:context|prompt) length|the (?:decoder )?prompt \(.{0,40}\) is longer"
    r"|your input exceeds the context window|request too large for (?:model )?context",
    re.IGNORECASE,
)
CONTENT = re.compile(
    r"content exists risk|content violates|output blocked by content filter|input was flagged"
    r"|\S+ requires moderation",
    re.IGNORECASE,
)
OUR_KEY = re.compile(r"incorrect api key|api key not valid|invalid api key", re.IGNORECASE)
OUR_MODEL = re.compile(r"model not exist|\S+ is not a valid model id|the model `?\S+ does not exist", re.IGNORECASE)

_decode = msgspec.json.Decoder().decode


class UpstreamFailure(msgspec.Struct, frozen=True):
    """A call that an upstream did not answer well.

    `is_callers` says that the request itself is at fault: the client then gets the upstream's own words. `message`
    may be shown to a client only then.
    """

    failure: Failure
    http_status: int | None = None
    retry_after_seconds: float | None = None
    is_callers: bool = False
    message: str = ""


def read_failure(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFailure:
    """Return what an answer that is none means. Names of headers are lower case, or case doesn't matter in them."""
    error = _error_in(body)
    words = _words(error)
    # Some answer 200 and put the status into the error.
    shown = status if status >= 400 else _status_of(error) or status
    failure = _failure(shown, words, _message_of(error))
    return UpstreamFailure(
        failure=failure,
        http_status=status,
        retry_after_seconds=read_waiting(headers, error),
        is_callers=failure in CALLERS,
        message=_message_of(error)[:MESSAGE_LENGTH_MAX],
    )


def failure_of(error: object) -> UpstreamFailure:
    """Return what an error inside a stream or an answer means: there is no status but its own."""
    status = _status_of(error)
    words, message = _words(error), _message_of(error)
    failure = _failure(status or (400 if "invalid_request_error" in words else 500), words, message)
    return UpstreamFailure(
        failure=failure,
        http_status=status,
        retry_after_seconds=read_waiting({}, error),
        is_callers=failure in CALLERS,
        message=message[:MESSAGE_LENGTH_MAX],
    )


def _failure(status: int, words: tuple[str, ...], message: str) -> Failure:
    named = next((CODES[word] for word in words if word in CODES), None)
    # 402 is money whatever else is said, except that of calls in flight, which passes.
    if status == 402 and named != "rate_limited":
        return "upstream_account_empty"
    if named is not None:
        return named
    if status in MONEY_STATUSES and EMPTY_ACCOUNT.match(message):
        return "upstream_account_empty"
    if status in CALLERS_STATUSES and CONTEXT.match(message):
        return "context_window"
    if status in CALLERS_STATUSES | {403} and CONTENT.match(message):
        return "refused_content"
    if status == 400 and OUR_KEY.match(message):
        return "authentication"
    if status == 400 and OUR_MODEL.match(message):
        return "other"
    return _by_status(status)


def _by_status(status: int) -> Failure:
    if status in CALLERS_STATUSES:
        return "invalid_request"
    if status in {401, 403}:
        return "authentication"
    if status == 429:
        return "rate_limited"
    if status in {503, 529}:
        return "overloaded"
    if status in {408, 504, 522, 524}:
        return "timeout"
    if status >= 500:
        return "server_error"
    return "other" if status >= 400 else "bad_response"


def _error_in(body: bytes) -> object:
    """Return the error's own object: `error`, the first of a list, or the whole body."""
    try:
        decoded: object = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(decoded, list) and decoded:
        decoded = decoded[0]
    if not isinstance(decoded, dict):
        return None
    error = decoded.get("error")
    if isinstance(error, str):
        return {**decoded, "message": error}
    return error if isinstance(error, dict) else decoded


def _words(error: object) -> tuple[str, ...]:
    fields: dict[str, Any] = error if isinstance(error, dict) else {}
    inner = fields.get("innererror")
    coded = [fields.get("code"), inner.get("code") if isinstance(inner, dict) else None, fields.get("type")]
    return tuple(word.lower() for word in coded if isinstance(word, str))


def _status_of(error: object) -> int | None:
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, str) and code.isascii() and code.isdigit() and len(code) == 3:
        code = int(code)
    return code if isinstance(code, int) and 400 <= code <= 599 else None


def _message_of(error: object) -> str:
    fields: dict[str, Any] = error if isinstance(error, dict) else {}
    for name in ("message", "detail"):
        if isinstance(fields.get(name), str):
            return str(fields[name])
    return ""
