"""Names and texts that come from outside: what they may look like and how long they may be.

No text with a NUL, a lone surrogate or a control character passes, so that none can reach the database.
"""

import re

from ledger.core.refusals import Refusal, Refused

WORKSPACE_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")
"""No underscore: it separates the parts of an API key."""

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}\Z")
"""Buckets, providers, routes and sources. They are parts of account names, hence so narrow."""

IDENTIFIER_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z")
"""Requests, projects, references, rate cards: made by a caller, opaque to us."""

PERIOD_PATTERN = re.compile(r"(?:19[7-9][0-9]|2[0-9]{3})-(?:0[1-9]|1[0-2])\Z")
"""A month of finance, `2026-10`: as texts they are in the order of time."""

API_KEY_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}\Z")
MODEL_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}\Z")
CURRENCY_PATTERN = re.compile(r"[A-Z]{3}\Z")
SIGNING_KEY_PATTERN = re.compile(r"[0-9a-f]{8}\Z")
SIGNER_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}\Z")
PUBLIC_KEY_PATTERN = re.compile(r"[A-Za-z0-9+/]{43}=\Z")
HASH_PATTERN = re.compile(r"[0-9a-f]{64}\Z")

UNSAFE_PATTERN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Control characters, line breaks, reordering of text, lone surrogates: the same on every Python."""

LABEL_LENGTH_MAX = 64
TEXT_LENGTH_MAX = 500

PLATFORM = "platform"
"""The workspace name of the platform's own book."""


def check_pattern(text: str, pattern: re.Pattern[str], field: str) -> str:
    """Return the text when it has the pattern, else refuse and name the field."""
    if pattern.match(text) is None:
        raise Refused(
            Refusal.TEXT_INVALID,
            f"{field} must look like {pattern.pattern.removesuffix(chr(92) + 'Z')}",
            field=field,
        )
    return text


def check_text(text: str, field: str, length_max: int = TEXT_LENGTH_MAX) -> str:
    """Return free text without control characters and of limited length (in UTF-8 bytes), else refuse."""
    if UNSAFE_PATTERN.search(text) is not None:
        raise Refused(Refusal.TEXT_INVALID, f"{field} holds a control character", field=field)
    if len(text.encode(errors="replace")) > length_max:
        raise Refused(Refusal.TEXT_INVALID, f"{field} is longer than {length_max} bytes", field=field)
    return text


def check_label(text: str | None, field: str) -> str | None:
    """Return a short label such as a workflow's name, or None; else refuse."""
    if text is None:
        return None
    if not text:
        raise Refused(Refusal.TEXT_INVALID, f"{field} is empty", field=field)
    return check_text(text, field, LABEL_LENGTH_MAX)


def check_count(number: int, field: str, minimum: int, maximum: int) -> int:
    """Return a number within its bounds, else refuse."""
    if not minimum <= number <= maximum:
        raise Refused(Refusal.NUMBER_OUT_OF_RANGE, f"{field} must be between {minimum} and {maximum}", field=field)
    return number
