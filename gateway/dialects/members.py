"""Members of a JSON object as the bytes that they are: found, cut out and put in, with all else untouched."""

import re
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Raw

_NAME = re.compile(rb'[ \t\n\r]*("(?:[^"\\]|\\.)*+")[ \t\n\r]*:[ \t\n\r]*', re.DOTALL)
_NEXT = re.compile(rb"[ \t\n\r]*([,}])")
_encode = msgspec.json.Encoder().encode
_decode_name = msgspec.json.Decoder(str).decode
read_members = msgspec.json.Decoder(dict[str, Raw]).decode
"""Decode an object into its top level. Of equal names the last is kept."""


class MemberTwice(Exception):
    """A name stands twice: parsers differ on which of both counts, so the object says two things."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Span(msgspec.Struct, frozen=True):
    """Where a member stands: from its name's first byte, or its value's, to behind its value."""

    name: str
    start: int
    value_start: int
    end: int


def spans(text: bytes, members: Mapping[str, Raw]) -> Iterator[Span]:
    """Yield where the members of an object stand, in order; raise `MemberTwice` at a name that stands twice.

    `members` are what `read_members` made of the text. Values are compared with them and not parsed again.
    """
    position = text.index(b"{") + 1
    seen: set[str] = set()
    while found := _NAME.match(text, position):
        name = _decode_name(found[1])
        value = bytes(members[name])
        end = found.end() + len(value)
        after = _NEXT.match(text, end)
        # At the first of two, the bytes of the last either differ or are followed by something else.
        if name in seen or after is None or not text.startswith(value, found.end()):
            raise MemberTwice(name)
        yield Span(name, found.start(1), found.end(), end)
        if after[1] == b"}":
            return
        seen.add(name)
        position = after.end()


def duplicate_member(text: bytes, members: Mapping[str, Raw]) -> str | None:
    """Return a name that stands twice in an object's top level, or None."""
    # Most clients send compact JSON: what the members become is then all that came.
    if _encode(members) == text:
        return None
    try:
        for _ in spans(text, members):
            pass
    except MemberTwice as twice:
        return twice.name
    return None


def without(text: bytes, name: str) -> bytes:
    """Return an object without a member and one comma beside it; all else byte for byte."""
    members = read_members(text)
    if name not in members:
        return text
    before = None
    for span in spans(text, members):
        if span.name == name:
            if before is not None:
                return text[: before.end] + text[span.end :]
            # The first member goes with the comma behind it, if there is another.
            after = _NEXT.match(text, span.end)
            has_next = after is not None and after[1] == b","
            return text[: span.start] + text[after.end() if after is not None and has_next else span.end :].lstrip()
        before = span
    return text


def beside(text: bytes, name: str, added: str, value: bytes) -> bytes:
    """Return an object with another member put right behind one that is there."""
    for span in spans(text, read_members(text)):
        if span.name == name:
            return b'%b,"%b":%b%b' % (text[: span.end], added.encode(), value, text[span.end :])
    return text


def replaced(text: bytes, name: str, value: bytes) -> bytes:
    """Return an object with another value for a member that is there."""
    for span in spans(text, read_members(text)):
        if span.name == name:
            return text[: span.value_start] + value + text[span.end :]
    return text
