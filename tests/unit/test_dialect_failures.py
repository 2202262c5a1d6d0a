"""Error bodies of every upstream, and what each of them means for the call."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.failures import failure_of, read_failure
from gateway.dialects.waiting import read_waiting, span_seconds
from ledger.request.commands import Failure


def openai(message: str, code: str | None = None, kind: str = "invalid_request_error") -> dict[str, Any]:
    """Return OpenAI's error body."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(kind: str, message: str) -> dict[str, Any]:
    """Return Anthropic's error body."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


QUOTA = "You exceeded your current quota, please check your plan and billing details."
LONG = "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens."

BODIES: list[tuple[int, Any, Failure]] = [
    # Our account there is empty.
    (429, openai(QUOTA, "insufficient_quota", "insufficient_quota"), "upstream_account_empty"),
    (429, openai("No credit.", "credit_balance_exhausted", "insufficient_quota"), "upstream_account_empty"),
    (400, openai("Limit.", "billing_hard_limit_reached"), "upstream_account_empty"),
    (403, openai("Limit.", "billing_hard_limit_reached"), "upstream_account_empty"),
    (400, anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
     "upstream_account_empty"),
    (402, anthropic("billing_error", "There is an issue with your billing."), "upstream_account_empty"),
    (402, {"error": {"code": 402, "message": "Insufficient credits."}}, "upstream_account_empty"),
    (402, openai("Insufficient Balance", "invalid_request_error", "unknown_error"), "upstream_account_empty"),
    (403, {"code": "forbidden", "error": "Your team abc has either used all available credits or reached its limit."},
     "upstream_account_empty"),
    (402, b"", "upstream_account_empty"),
    (400, anthropic("invalid_request_error", "You have reached your specified API usage limits. You will regain access "
                    "on 2026-12-01 at 00:00 UTC."), "upstream_account_empty"),
    (400, anthropic("invalid_request_error", "This organization has been disabled."), "upstream_account_empty"),
    (403, anthropic("permission_error", "This organization has been disabled."), "upstream_account_empty"),
    (429, anthropic("rate_limit_error", "You have reached your specified workspace API usage limits."),
     "upstream_account_empty"),
    (429, openai("Your account is not active, please check your billing details.", "billing_not_active"),
     "upstream_account_empty"),
    (400, openai("Your account org-1 is not active, please check your billing details."), "upstream_account_empty"),
    (403, openai("Your account org-1<ak-2> is suspended, please check your plan and billing details."),
     "upstream_account_empty"),
    (429, openai("x", None, "exceeded_current_quota_error"), "upstream_account_empty"),
    (400, openai("Budget has been exceeded! Current cost: 10.1, Max budget: 10.0", "400", "budget_exceeded"),
     "upstream_account_empty"),
    (400, openai("litellm.BudgetExceededError: Budget has been exceeded! Current cost: 10.1", "400", "None"),
     "upstream_account_empty"),
    (400, openai("Over.", "budget_exceeded"), "upstream_account_empty"),
    (400, {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."},
     "upstream_account_empty"),
    (400, openai("Organization has been restricted.", "organization_restricted"), "upstream_account_empty"),
    (403, {"error": {"code": 403, "message": "Key limit exceeded (daily limit)."}}, "upstream_account_empty"),
    (429, [{"error": {"code": 429, "message": "Your prepayment credits are depleted", "status": "RESOURCE_EXHAUSTED"}}],
     "upstream_account_empty"),
    # The prompt is longer than the model's window.
    (400, openai(LONG, "context_length_exceeded"), "context_window"),
    (400, openai("Your input exceeds the context window of this model."), "context_window"),
    (400, anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"), "context_window"),
    (400, [{"error": {"code": 400, "status": "INVALID_ARGUMENT",
                      "message": "The input token count (1048577) exceeds the maximum number of tokens allowed."}}],
     "context_window"),
    (400, {"object": "error", "message": LONG, "type": "BadRequestError", "code": 400}, "context_window"),
    (400, {"object": "error", "message": "The decoder prompt (length 5000) is longer than the maximum model length."},
     "context_window"),
    (400, openai("This endpoint's maximum context length is 8192 tokens. However, you requested about 9000."),
     "context_window"),
    (400, {"code": "x", "error": "This model's maximum prompt length is 131072 but the request contains 170000."},
     "context_window"),
    # The content was refused.
    (400, openai("Rejected.", "content_policy_violation"), "refused_content"),
    (400, {"error": {"code": "content_filter", "message": "m", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
     "refused_content"),
    (400, openai("Content Exists Risk"), "refused_content"),
    (403, {"error": {"code": 403, "message": "Input was flagged", "metadata": {"reasons": ["x"]}}}, "refused_content"),
    # The request itself.
    (400, openai("Unrecognized request argument supplied: foo"), "invalid_request"),
    (413, anthropic("request_too_large", "Request exceeds the maximum size"), "invalid_request"),
    (422, {"detail": "no such field"}, "invalid_request"),
    # Our key and our configuration.
    (401, openai("Incorrect API key provided: sk-a***b.", "invalid_api_key"), "authentication"),
    (403, anthropic("permission_error", "Your API key does not have permission."), "authentication"),
    (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}], "authentication"),
    (404, openai("The model `x` does not exist.", "model_not_found"), "other"),
    (400, openai("Model Not Exist"), "other"),
    (400, {"error": {"code": 400, "message": "acme/x is not a valid model ID"}}, "other"),
    # What passes by itself.
    (429, openai("Rate limit reached.", "rate_limit_exceeded", "requests"), "rate_limited"),
    (429, [{"error": {"code": 429, "message": QUOTA, "status": "RESOURCE_EXHAUSTED"}}], "rate_limited"),
    (402, openai("Held.", "in_flight_budget_exhausted"), "rate_limited"),
    (529, anthropic("overloaded_error", "Overloaded"), "overloaded"),
    (503, b"<html>busy</html>", "overloaded"),
    (408, b"", "timeout"),
    (504, b"", "timeout"),
    (524, b"", "timeout"),
    (500, anthropic("api_error", "Internal server error"), "server_error"),
    (502, {"error": {"code": 502, "message": "Provider returned error"}}, "server_error"),
    (409, b"", "other"),
    (302, b"", "bad_response"),
    (200, {"error": {"code": 429, "message": "busy"}}, "rate_limited"),
]  # fmt: skip

DATE = "Fri, 31 Dec 1999 23:59:59 GMT"
MIDNIGHT = 946684800.0
"""A second later, as Unix counts."""

SPENT = {"x-ratelimit-reset-tokens": "9s", "x-ratelimit-remaining-tokens": "0"}
CALLERS = {"context_window", "refused_content", "invalid_request"}


@pytest.mark.parametrize(("status", "body", "failure"), BODIES)
def test_error_bodies_of_every_upstream_are_told_apart(status: int, body: Any, failure: Failure) -> None:
    """Each upstream's words become one failure of the closed list, and only the caller's faults are the caller's."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    found = read_failure(status, {}, raw)
    assert (found.failure, found.http_status, found.is_callers) == (failure, status, failure in CALLERS)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "Invalid value: 'Your credit balance is too low'"),
        (400, "Unknown member `insufficient_quota`"),
        (422, "You wrote: insufficient balance"),
        (400, "'This organization has been disabled.' is not of type 'object' - 'messages.0'"),
        (400, "messages.0.content: Your account x is not active, please check your billing details"),
        (400, "Invalid role: You have reached your specified API usage limits."),
        (400, "tools.0.name: `Budget has been exceeded` does not match the pattern"),
        (400, "Unsupported value: litellm.BudgetExceededError: Budget has been exceeded!"),
    ],
)
def test_an_echo_of_the_callers_text_does_not_empty_our_account(status: int, message: str) -> None:
    """An error that repeats the prompt can't make us believe that an account of ours is empty."""
    body = json.dumps(openai(message)).encode()
    assert read_failure(status, {}, body).failure == "invalid_request"


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "Bad.", "input": "This organization has been disabled."}},
        {"error": {"message": "Bad.", "details": [{"message": "Your credit balance is too low"}]}},
        {"error": {"message": "Bad."}, "message": "Insufficient Balance"},
        {"detail": [{"loc": ["body"], "msg": "Insufficient Balance", "input": "Insufficient Balance"}]},
        {"prompt": "Insufficient Balance"},
    ],
)
def test_only_the_errors_own_message_empties_our_account(body: Any) -> None:
    """Members beside the error's own message may hold anything; what they hold means nothing."""
    assert read_failure(400, {}, json.dumps(body).encode()).failure == "invalid_request"


@pytest.mark.parametrize(
    ("status", "message", "marks"),
    [
        (402, "This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens.", False),
        (402, "Prompt tokens limit exceeded: 1000 > 500.", False),
        (402, "Insufficient credits. Add more.", True),
        (402, "", True),
        (429, "Insufficient Balance", True),
    ],
)
def test_a_call_too_dear_for_what_is_left_empties_no_account(status: int, message: str, marks: bool) -> None:
    """OpenRouter refuses a call by its own limit: it goes elsewhere, and the provider stays open for smaller ones."""
    found = read_failure(status, {}, json.dumps({"error": {"code": status, "message": message}}).encode())
    assert (found.failure, found.marks_account, found.is_callers) == ("upstream_account_empty", marks, False)
    assert read_failure(500, {}, b"").marks_account


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        ({"type": "invalid_request_error", "message": "Key limit exceeded"}, "upstream_account_empty"),
        ({"message": "Insufficient Balance"}, "upstream_account_empty"),
        ({"type": "overloaded_error", "message": "Overloaded"}, "overloaded"),
        ({"type": "rate_limit_error", "message": "m"}, "rate_limited"),
        ({"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}, "context_window"),
        ({"code": 502, "message": "Upstream error"}, "server_error"),
        ({"code": "server_error", "message": "m"}, "server_error"),
        ({"type": "insufficient_quota", "code": "insufficient_quota"}, "upstream_account_empty"),
        ({"code": "rate_limit_exceeded", "message": "m"}, "rate_limited"),
        ("odd", "server_error"),
    ],
)
def test_errors_inside_a_stream_are_told_apart(error: object, failure: Failure) -> None:
    """Without a status of its own, an error's code or type says what it is."""
    assert failure_of(error).failure == failure


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "20"}, 20),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "20", "retry-after-ms": "250"}, 0.25),
        ({"retry-after": DATE}, None),
        ({"retry-after": "-1"}, None),
        ({"x-ratelimit-reset-requests": "6m0s"}, 360),
        ({"x-ratelimit-reset-requests": "120ms", "x-ratelimit-reset-tokens": "1h2m3.5s"}, 0.12),
        ({"x-ratelimit-reset-requests": "1s", **SPENT}, 9),
        ({}, None),
    ],
)  # fmt: skip
def test_waiting_is_read_in_every_form_without_a_clock(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds and spans are understood; a date is as good as nothing."""
    assert read_waiting(headers) == seconds


@pytest.mark.parametrize(
    ("headers", "now", "seconds"),
    [
        ({"retry-after": DATE}, MIDNIGHT - 1, 0),
        ({"retry-after": DATE}, MIDNIGHT - 31, 30),
        ({"retry-after": DATE}, MIDNIGHT + 5, 0),
        ({"retry-after": "Friday, 31-Dec-99 23:59:59 GMT"}, MIDNIGHT - 31, None),
        ({"retry-after": "Fri, 31 Feb 1999 23:59:59 GMT"}, MIDNIGHT - 31, None),
        ({"retry-after": "Fri, 31 Dec 1999 25:59:59 GMT"}, MIDNIGHT - 31, None),
        ({"retry-after": DATE, "retry-after-ms": "250"}, MIDNIGHT - 31, 0.25),
    ],
)
def test_a_date_is_understood_by_who_knows_the_time(headers: dict[str, str], now: float, seconds: float | None) -> None:
    """A date of HTTP is so many seconds from now, and one that has passed is none; no date is no waiting."""
    assert read_failure(429, headers, b"", now=now).retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"detail": [{"loc": ["body", "n", 0], "msg": "too many", "input": "x"}, {"msg": "bad"}, 3]},
         "body.n.0: too many; bad"),
        ({"detail": [3, {"msg": 3}]}, ""),
        ({"error": {"message": "Bad key sk-abcdefgh for org-xyz"}}, "Bad key [removed] for [removed]"),
    ],
)  # fmt: skip
def test_messages_are_read_without_what_is_ours(body: Any, message: str) -> None:
    """A list of details becomes a sentence, and keys and accounts in a message are taken out of it."""
    assert read_failure(422, {}, json.dumps(body).encode()).message == message


def test_half_a_character_spoils_no_error() -> None:
    """An error that repeats half of a pair of surrogates is read like any other."""
    body = b'{"error":{"message":"Your credit balance is too low \\ud800","type":"invalid_request_error"}}'
    assert read_failure(400, {}, body).failure == "upstream_account_empty"


def test_googles_delay_is_read_from_the_body() -> None:
    """Gemini says in the error's details how long to wait."""
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}
    body = json.dumps([{"error": {"code": 429, "message": "m", "details": ["x", detail]}}]).encode()
    assert read_failure(429, {}, body).retry_after_seconds == 17


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.sampled_from(["error", "code", "type"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "code", "type", "message", "innererror", "details"]), inner)
    ),
)


@given(status=st.integers(100, 599), body=junk.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_no_body_is_too_odd(status: int, body: bytes) -> None:
    """Whatever an upstream answers, it is some failure, and its message is short."""
    found = read_failure(status, {"retry-after": "x"}, body)
    assert len(found.message) <= 1000
    assert found.is_callers is (found.failure in CALLERS)


@given(text=st.text(max_size=12) | st.from_regex(r"[0-9]{1,3}(h|m|s|ms)[0-9.]{0,3}(m|s)?", fullmatch=True))
def test_a_span_of_time_is_never_negative(text: str) -> None:
    """What is no span is none; what is one is a number of seconds from zero up."""
    seconds = span_seconds(text)
    assert seconds is None or seconds >= 0
