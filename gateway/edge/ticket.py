"""Who calls, what they ask for, and under which labels it goes into the book."""

import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import count

import msgspec

from gateway.dialects.calls import CallBody, CallRefused
from gateway.dialects.errors import ErrorAnswer
from gateway.settings import Edge
from ledger.core.identifiers import IDENTIFIER_PATTERN, check_label
from ledger.core.refusals import Refused
from ledger.operating import Caller

LABEL_HEADERS = {"x-ledger-workflow": "workflow", "x-ledger-run": "run", "x-ledger-step": "step"}
PROJECT_HEADER = "x-ledger-project"
PASSED_HEADERS = ("openai-beta", "anthropic-beta", "anthropic-version")
"""What belongs to the dialect and reaches the upstream as the caller sent it."""

TRACE_PATTERN = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}\Z")
_mark = secrets.token_hex(4)
_numbers = count(1)


class Labels(msgspec.Struct, frozen=True):
    """What a caller calls its work: stable name of the job, one instance of it, a part of that."""

    workflow: str | None = None
    run: str | None = None
    step: str | None = None


class Ticket(msgspec.Struct, frozen=True):
    """One call as it was accepted."""

    request_id: str
    caller: Caller
    call: CallBody
    project_id: str
    labels: Labels
    passed: tuple[tuple[str, str], ...]
    end_user: str | None = None
    trace_id: str | None = None


def new_request_id() -> str:
    """Return an id that nobody else makes, in the order of time: eleven digits of milliseconds, process, number."""
    return f"req-{time.time_ns() // 1_000_000:011x}{_mark}{next(_numbers):06x}"


def labels_of(headers: Mapping[str, str], metadata: Mapping[str, str], settings: Edge) -> Labels:
    """Return the labels of a call: its headers, else allowed members of its metadata. Raises CallRefused."""
    found: dict[str, str | None] = {}
    for header, name in LABEL_HEADERS.items():
        value = headers.get(header) or (metadata.get(name) if name in settings.metadata_keys else None)
        try:
            found[name] = check_label(value or None, header)
        except Refused as refused:
            raise CallRefused(
                ErrorAnswer(400, "invalid_request_error", "invalid_label", refused.detail, header)
            ) from None
    return Labels(**found)


def project_of(caller: Caller, headers: Mapping[str, str]) -> str:
    """Return the project that a call counts in: the one it names, its key's, or the only one. Raises CallRefused."""
    named = headers.get(PROJECT_HEADER) or caller.project_id
    if named is None and len(caller.projects) == 1:
        named = caller.projects[0]
    if named is None:
        raise CallRefused(
            ErrorAnswer(
                400,
                "invalid_request_error",
                "project_required",
                f"the workspace has {len(caller.projects)} projects: name one with the header {PROJECT_HEADER}",
                PROJECT_HEADER,
            )
        )
    if IDENTIFIER_PATTERN.match(named) is None or named not in caller.projects:
        raise CallRefused(
            ErrorAnswer(
                400,
                "invalid_request_error",
                "project_unknown",
                "there is no such project for this key",
                PROJECT_HEADER,
            )
        )
    return named


def passed_headers(headers: Mapping[str, str], forwarded: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return the headers that go on to the upstream."""
    names = dict.fromkeys((*PASSED_HEADERS, *forwarded))
    return tuple((name, headers[name]) for name in names if name in headers)


def headers_of(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers by lower-case name; of one that comes twice the last stands."""
    return {name.decode("latin-1"): text_of(value) for name, value in raw}


def text_of(value: bytes) -> str:
    """Return a header's value: UTF-8 where it is that, as most clients write Chinese, else Latin-1."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def token_of(headers: Mapping[str, str]) -> str | None:
    """Return the key of a call, from where either dialect's clients send it."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return headers.get("x-api-key")


def trace_id_of(headers: Mapping[str, str]) -> str | None:
    """Return the trace that a call belongs to (W3C Trace Context), or None."""
    match = TRACE_PATTERN.match(headers.get("traceparent", ""))
    return None if match is None else match.group(1)
