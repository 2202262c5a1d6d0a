"""A caller's own fault in the upstream's words: what it keeps, and what never leaves this house."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.errors import ErrorAnswer, error_body, told_error
from gateway.dialects.failures import CALLERS, UpstreamFailure, read_failure
from gateway.dialects.redaction import without_secrets
from gateway.dialects.surface import PATHS, Interface

CONFIGURED = "plain-looking-key"
KEPT = (
    "messages.1.content: Field required",
    "Invalid value: 'x'. Supported values are: 'low' and 'high'.",
    "metadata.user_id: too long",
    "The tool call call_9f8b7c6d5e has no answer; max_tokens must be < 4096.",
    "`toolu_01A09q90qw90lq917835lq9` has no result",
    "the account is not the problem; see projects, org and team",
)
TAKEN = (
    "sk-SECRET",
    "sk-proj-abc_DEF-123",
    "sk-a***b",
    "org-SECRET",
    "org-abc123XYZ",
    "proj_abc123",
    "Bearer abc.def",
    "bearer t0ken",
    "AIzaSyA-1234567",
    "AKIAABCDEFGHIJKL",
    "eyJhbGciOiJIUzI1NiJ9.eyJ.x-y",
    "rl_live_acme_app_0123",
    "project 123456789",
    "projects/123456789",
    "organization acme-12345",
    "0f8fad5b-d9cb-469f-a165-70867728950e",
    "d41d8cd98f00b204e9800998ecf8427e",
    "billing@acme.example",
    "10.0.0.5:8000",
    "localhost:8000",
    "acme.openai.azure.com",
    "api.deepseek.com",
    CONFIGURED,
)


def told(interface: Interface, status: int, body: Any) -> ErrorAnswer:
    """Return what a client is told of an upstream's answer."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return told_error(interface, read_failure(status, {}, raw), status, raw, [CONFIGURED])


@pytest.mark.parametrize("sentence", KEPT)
def test_a_sentence_without_secrets_stays_as_it_is(sentence: str) -> None:
    """Names of members, calls and limits are what a caller needs to mend the call."""
    assert without_secrets(sentence, [CONFIGURED]) == sentence


@pytest.mark.parametrize("secret", TAKEN)
def test_what_looks_like_a_key_or_an_account_is_taken_out(secret: str) -> None:
    """Keys, accounts, projects, addresses and hosts leave no trace wherever they stand, and all else does."""
    assert without_secrets(f"Bad thing: {secret}, try `{secret}`.", [CONFIGURED]) == (
        "Bad thing: [removed], try `[removed]`."
    )


def test_of_an_address_only_the_path_stays() -> None:
    """The host and the query of a URL are taken out; a caller knows a picture by its path."""
    url = "https://user:pass@eu.vault.example:8443/cats/1.png?sig=abc#x"
    assert without_secrets(f'Can\'t load "{url}".') == 'Can\'t load "https://[removed]/cats/1.png".'


@given(secret=st.text("abcdef-_.0123456789", min_size=4, max_size=30), before=st.text(), after=st.text())
def test_a_configured_key_is_never_told(secret: str, before: str, after: str) -> None:
    """Whatever a key looks like and whatever stands around it, it is not in what a client reads."""
    words = {"message": before + secret + after, "param": secret, "code": secret}
    raw = json.dumps({"error": words}).encode()
    error = told_error("chat", read_failure(400, {}, raw), 400, raw, [secret])
    said = f"{error.message} {error.param} {error.code}".replace("[removed]", "").replace("The upstream refused", "")
    assert secret not in said or secret in " None the request."


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (400, {"message": "Bad n.", "type": "invalid_request_error", "param": "n", "code": "too_big"},
         (400, "invalid_request_error", "too_big", "Bad n.", "n")),
        (413, {"message": "Too large", "code": 413}, (413, "invalid_request_error", None, "Too large", None)),
        (422, {"message": "No.", "type": "weird", "param": ["x"], "code": "a b"},
         (422, "invalid_request_error", None, "No.", None)),
        (400, {"message": "prompt is too long: 9 > 8", "type": "invalid_request_error"},
         (400, "invalid_request_error", "context_length_exceeded", "prompt is too long: 9 > 8", None)),
        (500, {"message": "long", "code": "context_length_exceeded"},
         (400, "invalid_request_error", "context_length_exceeded", "long", None)),
        (403, {"message": "Input was flagged"},
         (403, "invalid_request_error", "content_policy_violation", "Input was flagged", None)),
        (200, {"message": "Rejected", "code": "content_filter"},
         (400, "invalid_request_error", "content_filter", "Rejected", None)),
    ],
)  # fmt: skip
def test_message_param_and_code_are_kept(status: int, error: dict[str, Any], expected: tuple[object, ...]) -> None:
    """What SDKs read of an error is the upstream's own where it can be read, and ours where it can't."""
    found = told("chat", status, {"error": error})
    assert (found.status, found.type, found.code, found.message, found.param) == expected


@pytest.mark.parametrize("body", [b"", b"<html>sk-abcdef</html>", b"[]", b'{"error":{"message":7}}', b'{"error":{}}'])
def test_without_words_there_is_a_plain_sentence(body: bytes) -> None:
    """A page of HTML, or nothing, becomes our own sentence."""
    assert told("chat", 400, body).message == "The upstream refused the request."


def test_a_fault_of_ours_is_told_without_the_upstreams_words() -> None:
    """Whoever calls this for another failure tells nothing of it."""
    body = {"error": {"message": "Your credit balance is too low", "code": "billing_error", "param": "x"}}
    found = told("chat", 400, body)
    assert (found.status, found.code, found.param) == (503, "upstream_unavailable", None)
    assert "credit" not in found.message


@given(
    interface=st.sampled_from(tuple(PATHS)),
    status=st.integers(100, 599),
    failure=st.sampled_from(sorted(CALLERS)),
    error=st.dictionaries(
        st.sampled_from(["message", "param", "code", "type", "detail"]),
        st.text() | st.integers() | st.none() | st.text("sk-org_ab.1 ", min_size=1900, max_size=2500),
    )
    | st.text(),
)
def test_every_client_gets_its_own_shape_and_not_too_much(
    interface: Interface, status: int, failure: Any, error: Any
) -> None:
    """Whatever came, the answer is an error in the client's dialect, short, and with a status of errors."""
    raw = json.dumps({"error": error}).encode()
    found = told_error(interface, UpstreamFailure(failure, status, None, True, ""), status, raw)
    assert 400 <= found.status < 500
    assert 0 < len(found.message) <= 2000
    shown = msgspec.json.decode(error_body(interface, found))["error"]
    assert set(shown) == ({"type", "message"} if interface == "messages" else {"message", "type", "param", "code"})
