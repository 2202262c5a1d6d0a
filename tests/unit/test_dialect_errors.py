"""What a client is told instead of an answer: bodies, headers and events of both dialects."""

import json
from collections.abc import Callable, Iterable
from typing import Any, get_args

import httpx2
import openai
import pytest
from anthropic import Anthropic, APIStatusError
from openai import APIError, OpenAI

from gateway.dialects.errors import (
    FAILURES,
    REFUSALS,
    ErrorAnswer,
    deadline_exceeded,
    error_body,
    error_event,
    error_headers,
    internal,
    invalid,
    model_not_found,
    no_route,
    not_authenticated,
    of_refusal,
    too_large,
    unsupported,
    upstream_failed,
)
from gateway.dialects.failures import UpstreamFailure
from gateway.dialects.surface import Interface
from ledger.core.refusals import Refusal, Refused
from ledger.request.commands import Failure

EMPTY = of_refusal(Refused(Refusal.INSUFFICIENT_AVAILABLE, "1 needed, 0 available"), strict=False)
LIMITED = upstream_failed(UpstreamFailure("rate_limited", 429, 0.4), 2)


def answering(status: int, body: bytes, headers: dict[str, str]) -> httpx2.Client:
    """Return a client of the SDKs' own library that gets this answer to everything."""
    return httpx2.Client(
        transport=httpx2.MockTransport(lambda _: httpx2.Response(status, content=body, headers=headers))
    )


def ask_openai(client: httpx2.Client, interface: Interface = "chat") -> Any:
    """Call with OpenAI's SDK, read the stream, and return its exception."""
    sdk = OpenAI(api_key="k", base_url="http://gateway.test/v1", http_client=client, max_retries=0)
    calls: dict[str, Callable[[], Iterable[object]]] = {
        "chat": lambda: sdk.chat.completions.create(model="m", messages=[], stream=True),
        "responses": lambda: sdk.responses.create(model="m", input="a", stream=True),
    }
    with pytest.raises(APIError) as raised:
        list(calls[interface]())
    return raised.value


@pytest.mark.parametrize(
    ("refusal", "status", "code", "anthropic"),
    [
        (Refusal.INSUFFICIENT_AVAILABLE, 402, "credit_balance_exhausted", "billing_error"),
        (Refusal.AVAILABLE_IS_HELD, 429, "in_flight_budget_exhausted", "rate_limit_error"),
        (Refusal.API_KEY_SPEND_LIMIT_EXCEEDED, 402, "key_spend_limit_exceeded", "billing_error"),
        (Refusal.PROJECT_SPEND_LIMIT_EXCEEDED, 402, "project_spend_limit_exceeded", "billing_error"),
        (Refusal.REQUESTS_PER_MINUTE_EXCEEDED, 429, "rate_limit_exceeded", "rate_limit_error"),
        (Refusal.TOKENS_PER_MINUTE_EXCEEDED, 429, "rate_limit_exceeded", "rate_limit_error"),
        (Refusal.UNAVAILABLE, 503, "ledger_unavailable", "overloaded_error"),
        (Refusal.API_KEY_REVOKED, 401, "invalid_api_key", "authentication_error"),
        (Refusal.MODEL_UNKNOWN, 404, "model_not_found", "not_found_error"),
        (Refusal.MODEL_NOT_ALLOWED, 403, "model_not_allowed", "permission_error"),
        (Refusal.WALLET_FROZEN, 402, "wallet_frozen", "billing_error"),
        (Refusal.TEXT_INVALID, 400, None, "invalid_request_error"),
        (Refusal.HOLD_NOT_EXPIRED, 500, "internal_error", "api_error"),
    ],
)
def test_a_refusal_has_one_answer_in_each_dialect(
    refusal: Refusal, status: int, code: str | None, anthropic: str
) -> None:
    """The ledger's refusals become the statuses, codes and types that SDKs know."""
    error = of_refusal(Refused(refusal, "because"), strict=False)
    ours = json.loads(error_body("chat", error))["error"]
    theirs = json.loads(error_body("messages", error, "req_1"))
    assert (error.status, ours["code"], theirs["error"]["type"]) == (status, code, anthropic)
    assert set(ours) == {"message", "type", "param", "code"}
    assert (theirs["type"], theirs["request_id"], set(theirs["error"])) == ("error", "req_1", {"type", "message"})


def test_every_refusal_of_the_table_exists() -> None:
    """No refusal is told in words that the ledger doesn't use, and its own faults say nothing to a client."""
    assert sorted(set(REFUSALS) - {refusal.value for refusal in Refusal}) == []
    assert "secret" not in of_refusal(Refused(Refusal.CATALOG_CONFLICT, "secret"), strict=False).message


def test_an_empty_balance_can_be_told_strictly_as_openai_does() -> None:
    """Strictly, an empty balance is a 429 that must not be repeated; calls in flight stay one that may."""
    strict = of_refusal(Refused(Refusal.INSUFFICIENT_AVAILABLE, "no"), strict=True)
    held = of_refusal(Refused(Refusal.AVAILABLE_IS_HELD, "no"), strict=True)
    assert (strict.status, strict.type, error_headers(strict)) == (
        429,
        "insufficient_quota",
        ((b"x-should-retry", b"false"),),
    )
    assert json.loads(error_body("messages", strict))["error"]["type"] == "billing_error"
    assert (held.status, error_headers(held)) == (429, ((b"retry-after", b"1"),))


def test_a_limit_by_the_minute_says_when_it_ends() -> None:
    """The ledger's own seconds are passed on as Retry-After."""
    refused = Refused(Refusal.REQUESTS_PER_MINUTE_EXCEEDED, "60 a minute", retry_after_seconds=17)
    assert error_headers(of_refusal(refused, strict=False)) == ((b"retry-after", b"17"),)


@pytest.mark.parametrize("failure", get_args(Failure))
def test_no_upstream_failure_blames_or_bills_the_caller_wrongly(failure: Failure) -> None:
    """Whatever failed upstream has an answer; our account and our key are nobody else's, and their words stay here."""
    error = upstream_failed(UpstreamFailure(failure, 402, None, False, "key sk-1 is broke"), 3)
    assert "sk-1" not in error.message
    assert (error.status >= 500) is (
        failure not in {"rate_limited", "context_window", "refused_content", "invalid_request", "insufficient_hold"}
    )
    assert failure in FAILURES or error.code == "upstream_error"


def test_a_callers_fault_is_told_in_the_upstreams_words() -> None:
    """What the caller can mend is said as the upstream says it."""
    error = upstream_failed(UpstreamFailure("context_window", 400, None, True, "prompt is too long"), 1)
    assert (error.status, error.code, error.message) == (400, "context_length_exceeded", "prompt is too long")


def test_waiting_is_told_in_whole_seconds() -> None:
    """A pause of less than a second is a second."""
    assert error_headers(LIMITED) == ((b"retry-after", b"1"),)


def test_the_edge_has_words_for_its_own_errors() -> None:
    """Each has a status, and the model is named where it matters."""
    errors = [
        not_authenticated(),
        model_not_found("m"),
        no_route("m", ["r is suspended"]),
        deadline_exceeded(),
        unsupported("files"),
        internal(),
        invalid("no"),
        too_large(9),
    ]
    assert [error.status for error in errors] == [401, 404, 503, 504, 400, 500, 400, 413]
    assert "`m`" in errors[1].message
    assert "r is suspended" in errors[2].message


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (EMPTY, openai.APIStatusError),
        (not_authenticated(), openai.AuthenticationError),
        (model_not_found("m"), openai.NotFoundError),
        (LIMITED, openai.RateLimitError),
        (internal(), openai.InternalServerError),
    ],
)
def test_the_openai_sdk_reads_the_body(error: ErrorAnswer, raised: type[APIError]) -> None:
    """The SDK raises its own exception with our code and type."""
    headers = {name.decode(): value.decode() for name, value in error_headers(error)}
    found = ask_openai(answering(error.status, error_body("chat", error), headers))
    assert isinstance(found, raised)
    assert (found.code, found.type) == (error.code, error.type)


def test_the_anthropic_sdk_reads_the_body() -> None:
    """The SDK raises its exception with Anthropic's type and our request id."""
    client = answering(402, error_body("messages", EMPTY, "req_1"), {"content-type": "application/json"})
    sdk = Anthropic(api_key="k", base_url="http://gateway.test", http_client=client, max_retries=0)
    with pytest.raises(APIStatusError) as raised:
        sdk.messages.create(model="m", max_tokens=1, messages=[])
    assert (raised.value.status_code, raised.value.type) == (402, "billing_error")


@pytest.mark.parametrize("interface", ["chat", "responses"])
def test_the_openai_sdk_raises_at_an_error_in_a_stream(interface: Interface) -> None:
    """A stream that breaks off raises with our code, and doesn't end as if it were whole."""
    client = answering(200, error_event(interface, LIMITED), {"content-type": "text/event-stream"})
    assert ask_openai(client, interface).code == LIMITED.code


def test_the_anthropic_sdk_raises_at_an_error_in_a_stream() -> None:
    """The same of a stream of messages."""
    client = answering(200, error_event("messages", LIMITED), {"content-type": "text/event-stream"})
    sdk = Anthropic(api_key="k", base_url="http://gateway.test", http_client=client, max_retries=0)
    with pytest.raises(APIStatusError) as raised:
        list(sdk.messages.create(model="m", max_tokens=1, messages=[], stream=True))
    assert raised.value.type == "rate_limit_error"
