"""What is taken from a call's headers: key, project, labels, trace, and what is passed on."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.calls import CallRefused
from gateway.edge.ticket import (
    PASSED_HEADERS,
    headers_of,
    labels_of,
    new_request_id,
    passed_headers,
    project_of,
    token_of,
    trace_id_of,
)
from gateway.settings import Edge
from ledger.core.identifiers import IDENTIFIER_PATTERN, LABEL_LENGTH_MAX, UNSAFE_PATTERN
from ledger.operating import Caller
from ledger.workspace.events import KeyLimits

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ALL_KEYS = Edge(metadata_keys=("workflow", "run", "step"))


def caller(*projects: str, own: str | None = None) -> Caller:
    """Return a caller with these projects."""
    return Caller("acme", "key-1", frozenset({"call"}), own, projects, KeyLimits())


def refused(call: Any) -> tuple[int, str | None, str | None]:
    """Return status, code and named header of a refusal."""
    with pytest.raises(CallRefused) as found:
        call()
    return found.value.error.status, found.value.error.code, found.value.error.param


def test_request_ids_are_unlike_and_in_order() -> None:
    """Each id is new, later ones sort behind, and the ledger takes them."""
    made = [new_request_id() for _ in range(5000)]
    assert (sorted(made), len(set(made))) == (made, 5000)
    assert all(IDENTIFIER_PATTERN.match(each) for each in made)


def test_labels_come_from_headers_else_from_allowed_metadata() -> None:
    """A header goes before metadata; metadata counts only under names that the settings allow."""
    headers = {"x-ledger-workflow": "nightly", "x-ledger-run": ""}
    metadata = {"workflow": "other", "run": "7", "step": "read"}
    found = labels_of(headers, metadata, Edge(metadata_keys=("workflow", "run")))
    assert (found.workflow, found.run, found.step) == ("nightly", "7", None)
    nothing = labels_of({}, metadata, Edge())
    assert (nothing.workflow, nothing.run, nothing.step) == (None, None, None)


@given(st.text(max_size=80), st.booleans())
def test_a_label_is_short_and_printable_or_refused(text: str, in_header: bool) -> None:
    """At most 64 bytes without control characters reach the book; all else is a 400 that names the header."""
    headers, metadata = ({"x-ledger-step": text}, {}) if in_header else ({}, {"step": text})
    is_bad = UNSAFE_PATTERN.search(text) is not None or len(text.encode(errors="replace")) > LABEL_LENGTH_MAX
    if is_bad:
        assert refused(lambda: labels_of(headers, metadata, ALL_KEYS)) == (400, "invalid_label", "x-ledger-step")
    else:
        assert labels_of(headers, metadata, ALL_KEYS).step == (text or None)


def test_chinese_labels_arrive_as_they_were_sent() -> None:
    """Header values are UTF-8 as clients write them; what is no UTF-8 is read as Latin-1."""
    headers = headers_of([(b"x-ledger-workflow", "夜间报告".encode()), (b"x-ledger-run", "Prüfung".encode("latin-1"))])
    found = labels_of(headers, {}, Edge())
    assert (found.workflow, found.run) == ("夜间报告", "Prüfung")


@given(st.binary(max_size=40))
def test_any_bytes_are_a_header(value: bytes) -> None:
    """No value of a header breaks a call, and every value is text that can be sent on."""
    (found,) = headers_of([(b"user-agent", value)]).values()
    assert found.encode() == value or found.encode("latin-1") == value


def test_of_a_header_that_comes_twice_the_last_stands() -> None:
    """Two values of one name are not joined."""
    assert headers_of([(b"x-api-key", b"one"), (b"x-api-key", b"two")]) == {"x-api-key": "two"}


@pytest.mark.parametrize(
    ("named", "projects", "own", "project"),
    [("app", ("app", "web"), None, "app"), (None, ("app",), None, "app"), (None, ("app",), "app", "app"),
     ("", ("app",), None, "app"), ("web", ("app", "web"), "app", "web")],
)  # fmt: skip
def test_a_call_counts_in_one_project(
    named: str | None, projects: tuple[str, ...], own: str | None, project: str
) -> None:
    """The project that a call names, else its key's own, else the only one that there is."""
    headers = {} if named is None else {"x-ledger-project": named}
    assert project_of(caller(*projects, own=own), headers) == project


@pytest.mark.parametrize(
    ("named", "projects", "own", "code"),
    [(None, ("app", "web"), None, "project_required"), (None, (), None, "project_required"),
     ("other", ("app",), None, "project_unknown"), ("web", ("app",), "app", "project_unknown"),
     ("../app", ("app", "../app"), None, "project_unknown"), ("a" * 200, ("app",), None, "project_unknown")],
)  # fmt: skip
def test_a_project_that_is_not_clear_is_refused(
    named: str | None, projects: tuple[str, ...], own: str | None, code: str
) -> None:
    """A call that could count in several projects, or names one that its key may not use, is a 400."""
    headers = {} if named is None else {"x-ledger-project": named}
    assert refused(lambda: project_of(caller(*projects, own=own), headers)) == (400, code, "x-ledger-project")


@pytest.mark.parametrize(
    ("headers", "token"),
    [({"authorization": "Bearer rl_1"}, "rl_1"), ({"authorization": "bearer  rl_1 "}, "rl_1"),
     ({"x-api-key": "rl_2"}, "rl_2"), ({"authorization": "Bearer rl_1", "x-api-key": "rl_2"}, "rl_1"),
     ({"authorization": "Basic dXNlcg==", "x-api-key": "rl_2"}, "rl_2"), ({"authorization": "Bearer"}, None),
     ({"authorization": "rl_1"}, None), ({}, None)],
)  # fmt: skip
def test_a_key_is_found_where_either_dialect_sends_it(headers: dict[str, str], token: str | None) -> None:
    """OpenAI's clients send a bearer token, Anthropic's a header of their own; the bearer token goes first."""
    assert token_of(headers) == token


def test_only_the_dialects_and_named_headers_are_passed_on() -> None:
    """What belongs to the dialect and what the settings name reaches the upstream, once; nothing else does."""
    headers = {
        "anthropic-beta": "tools", "openai-beta": "assistants", "x-demo": "openai:status=503", "cookie": "a=b",
        "x-ledger-run": "7", "user-agent": "sdk",
    }  # fmt: skip
    assert passed_headers(headers, ()) == (("openai-beta", "assistants"), ("anthropic-beta", "tools"))
    passed = passed_headers(headers, ("x-demo", "openai-beta", "absent"))
    assert passed == (("openai-beta", "assistants"), ("anthropic-beta", "tools"), ("x-demo", "openai:status=503"))
    assert not {name for name in PASSED_HEADERS if name.startswith(("authorization", "x-"))}


@pytest.mark.parametrize(
    ("header", "trace"),
    [(f"00-{TRACE}-00f067aa0ba902b7-01", TRACE), (f"01-{TRACE}-00f067aa0ba902b7-00", TRACE),
     (f"ff-{TRACE}-00f067aa0ba902b7-01", None), (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
     (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", None), (f"00-{TRACE}-00f067aa0ba902b7-01\n", None), (TRACE, None),
     ("", None)],
)  # fmt: skip
def test_a_trace_is_read_as_w3c_writes_it(header: str, trace: str | None) -> None:
    """A well-formed traceparent gives the trace's id; an id of zeros, version ff and all else give none."""
    assert trace_id_of({"traceparent": header}) == trace
    assert trace_id_of({}) is None
