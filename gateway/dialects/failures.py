"""What went wrong upstream, in one closed list, whatever words the upstream has for it.

Codes and types are believed before sentences, and sentences only from their beginning: an upstream may repeat
the caller's own text in its error, and nobody may declare our account empty by writing so.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.dialects.decoding import decoded
from gateway.dialects.redaction import without_secrets
from gateway.dialects.waiting import read_waiting
from ledger.request.commands import Failure

MESSAGE_LENGTH_MAX = 1000
DETAILS_MAX = 20
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
            "budget_exceeded",
            "exceeded_current_quota_error",
            "insufficient_user_quota",
            "arrearage",
            "accountoverdueerror",
            "organization_restricted",
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

VAGUE: frozenset[Failure | None] = frozenset({None, "authentication", "rate_limited", "other"})
"""What a code leaves open: an account without money is told as a missing permission, or as a rate, too."""

EMPTY_ACCOUNT = re.compile(
    r"(?:litellm\.\w{1,40}: )?(?:"
    r"(?:your )?credit balance is too low|insufficient (?:account )?(?:balance|credits?|funds)"
    r"|your (?:newly created )?team (?:\S+ )?(?:has (?:either )?used all|doesn't have any)"
    r"|you have reached your specified (?:workspace )?api usage limits"
    r"|(?:this|your) organization has been (?:disabled|restricted)"
    r"|your account (?:\S{1,80} )?(?:is|has been) (?:not active|inactive|suspended|disabled|deactivated)"
    r"|budget has been exceeded|billing hard limit has been reached|key limit exceeded"
    r"|your prepayment credits are depleted|your project has exceeded its (?:monthly )?spending cap"
    r"|this api method requires billing)",
    re.IGNORECASE,
)
TOO_DEAR = re.compile(r"this request requires more credits|prompt tokens limit exceeded", re.IGNORECASE)
"""What is left would pay a smaller call: how much this one may cost is the caller's own wish."""

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


class UpstreamFailure(msgspec.Struct, frozen=True):
    """A call that an upstream did not answer well.

    `is_callers` says that the request itself is at fault: the client then gets the upstream's own words. `message`
    may be shown to a client only then. `marks_account` says that nobody's calls are paid there any longer, where an
    account is empty: a call that is merely too dear for what is left says nothing of others.
    """

    failure: Failure
    http_status: int | None = None
    retry_after_seconds: float | None = None
    is_callers: bool = False
    message: str = ""
    marks_account: bool = True


def read_failure(status: int, headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> UpstreamFailure:
    """Return what an answer that is none means. Names of headers are lower case, or case doesn't matter in them.

    `now`, in seconds as Unix counts them, lets a date in Retry-After be understood.
    """
    error = error_in(body)
    # Some answer 200 and put the status into the error.
    shown = status if status >= 400 else _status_of(error) or status
    failure = _failure(shown, _words(error), message_of(error))
    return _told(failure, status, read_waiting(headers, error, now=now), error)


def failure_of(error: object) -> UpstreamFailure:
    """Return what an error inside a stream or an answer means: there is no status but its own."""
    error = {"message": error} if isinstance(error, str) else error
    status = _status_of(error)
    words, message = _words(error), message_of(error)
    if status is None and EMPTY_ACCOUNT.match(message):
        return _told("upstream_account_empty", None, None, error)
    failure = _failure(status or (400 if "invalid_request_error" in words else 500), words, message)
    return _told(failure, status, read_waiting({}, error), error)


def _told(failure: Failure, status: int | None, waiting_seconds: float | None, error: object) -> UpstreamFailure:
    message = message_of(error)
    return UpstreamFailure(
        failure=failure,
        http_status=status,
        retry_after_seconds=waiting_seconds,
        is_callers=failure in CALLERS,
        message=without_secrets(message)[:MESSAGE_LENGTH_MAX],
        marks_account=TOO_DEAR.match(message) is None,
    )


def _failure(status: int, words: tuple[str, ...], message: str) -> Failure:
    named = next((CODES[word] for word in words if word in CODES), None)
    # 402 is money whatever else is said, except that of calls in flight, which passes.
    if status == 402 and named != "rate_limited":
        return "upstream_account_empty"
    if named in VAGUE and status in MONEY_STATUSES and (EMPTY_ACCOUNT.match(message) or TOO_DEAR.match(message)):
        return "upstream_account_empty"
    if named is not None:
        return named
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


def error_in(body: bytes) -> object:
    """Return the error's own object: `error`, the first of a list, or the whole body."""
    answer = decoded(body)
    if isinstance(answer, list) and answer:
        answer = answer[0]
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    if isinstance(error, str):
        return {**answer, "message": error}
    return error if isinstance(error, dict) else answer


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


def message_of(error: object) -> str:
    """Return an error's own sentence, or nothing. Of a list of details each one says where and what."""
    fields: dict[str, Any] = error if isinstance(error, dict) else {}
    for name in ("message", "detail"):
        if isinstance(fields.get(name), str):
            return str(fields[name])
    details = fields.get("detail")
    sentences = map(_detail, details[:DETAILS_MAX]) if isinstance(details, list) else ()
    return "; ".join(filter(None, sentences))


def _detail(detail: object) -> str:
    sentence = detail.get("msg") if isinstance(detail, dict) else None
    if not isinstance(detail, dict) or not isinstance(sentence, str):
        return ""
    way = detail.get("loc")
    place = ".".join(str(each) for each in way if isinstance(each, str | int)) if isinstance(way, list) else ""
    return f"{place}: {sentence}" if place else sentence
