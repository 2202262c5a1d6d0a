"""How an upstream says no: each interface's own shape, and for empty accounts each provider's own words."""

import msgspec

from gateway.demo.upstream.asked import Interface
from gateway.demo.upstream.behaviour import Behaviour

PAYMENT_REQUIRED = frozenset({"deepseek", "openrouter"})
"""Providers that answer 402 when our balance with them is gone."""

CONTEXT_TOKENS = 128_000
RETRY_LATER = 429

OPENAI_TYPES = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    402: ("insufficient_quota", "credit_balance_exhausted"),
    403: ("invalid_request_error", "permission_denied"),
    404: ("invalid_request_error", "model_not_found"),
    413: ("invalid_request_error", "request_too_large"),
    429: ("requests", "rate_limit_exceeded"),
    503: ("server_error", "overloaded"),
}
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class FailedAnswer(msgspec.Struct, frozen=True):
    """An answer that is an error."""

    status: int
    body: bytes
    retry_after_seconds: int | None = None


def openai_error(status: int, message: str, code: str | None = None, kind: str | None = None) -> bytes:
    """Return OpenAI's error body."""
    usual_kind, usual_code = OPENAI_TYPES.get(status, ("server_error", None))
    error = {"message": message, "type": kind or usual_kind, "param": None, "code": code or usual_code}
    return msgspec.json.encode({"error": error})


def anthropic_error(status: int, message: str) -> bytes:
    """Return Anthropic's error body."""
    error = {"type": ANTHROPIC_TYPES.get(status, "api_error"), "message": message}
    return msgspec.json.encode({"type": "error", "error": error, "request_id": "req_demo"})


def failed(interface: Interface, status: int, message: str, retry_after_seconds: int | None = None) -> FailedAnswer:
    """Return an error in an interface's shape."""
    body = anthropic_error(status, message) if interface == "messages" else openai_error(status, message)
    return FailedAnswer(status, body, retry_after_seconds)


def told_failure(interface: Interface, provider: str, behaviour: Behaviour) -> FailedAnswer | None:
    """Return the error that a caller told the upstream to answer with, if any."""
    is_messages = interface == "messages"
    if behaviour.account_empty:
        return empty_account(interface, provider)
    if behaviour.context_window:
        message = (
            f"prompt is too long: {CONTEXT_TOKENS + 1} tokens > {CONTEXT_TOKENS} maximum"
            if is_messages
            else f"This model's maximum context length is {CONTEXT_TOKENS} tokens. Please reduce the messages."
        )
        body = anthropic_error(400, message) if is_messages else openai_error(400, message, "context_length_exceeded")
        return FailedAnswer(400, body)
    if behaviour.refused:
        message = "Your request was rejected by the demo's content policy."
        body = anthropic_error(400, message) if is_messages else openai_error(400, message, "content_policy_violation")
        return FailedAnswer(400, body)
    status = behaviour.status or (None if behaviour.retry_after is None else RETRY_LATER)
    if status is None:
        return None
    return failed(interface, status, f"The demo upstream was told to answer {status}.", behaviour.retry_after)


def empty_account(interface: Interface, provider: str) -> FailedAnswer:
    """Return what a provider says when our own account there is empty."""
    if interface == "messages":
        message = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
        return FailedAnswer(400, anthropic_error(400, message))
    if provider in PAYMENT_REQUIRED:
        return FailedAnswer(402, openai_error(402, "Insufficient Balance", "invalid_request_error", "unknown_error"))
    message = "You exceeded your current quota, please check your plan and billing details."
    return FailedAnswer(429, openai_error(429, message, "insufficient_quota", "insufficient_quota"))
