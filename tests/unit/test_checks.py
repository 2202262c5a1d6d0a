"""Hostile texts and numbers in every field of every command: refused at the door, or harmless to the database."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

from ledger.checks import REASON_REQUIRED, check_command, plan_of
from ledger.commands import COMMAND_TYPES, command_id_of
from ledger.core.commands import Command, to_datetime, to_microseconds
from ledger.core.identifiers import check_text
from ledger.core.refusals import Refusal, Refused
from ledger.events import TAGS, encode_fact
from ledger.request.commands import ExpireRequest
from tests.unit.story import route_request, told
from tests.unit.world import change

WORLD, STORY = told()
KINDS: tuple[type[Command], ...] = (*COMMAND_TYPES, ExpireRequest)
SAMPLES: dict[type[Command], Command] = {type(command): command for command in reversed(STORY)}
TEXTS = (
    "", " ", "\0", "a\0b", "a\n", "\n", "\x1b[2J", "\x7f", "\x85", "\u2028", "\u202e", "\uffff", "\ud800", "a\udfff",
    "a" * 501, "é" * 300, "x" * 100_000, "../../etc", "a/b", "@wallet/credit", "1e5", "NaN", "-Infinity", "-1", "0",
    "-0", "１２", "+1", "01", "1_000", "9" * 18, "9" * 19, "1" + "0" * 30, "0." + "1" * 10, "'; drop table x; --",
    "UTC\0", "UTC/../UTC", "localtime", "right/UTC", "/etc/localtime", "🧾", "a\u200b",
)  # fmt: skip
NUMBERS = (-1, 0, 2**31, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30, -(2**63) - 1, -(10**30))
UNSAFE = {"\0", "\n", "\x1b", "\x7f", "\x85", "\u2028", "\u202e", "\uffff"}
Path = tuple[str | int, ...]


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield (path, value) of every text and number inside plain data; keys of mappings too, as their own."""
    match value:
        case dict():
            for key, inner in value.items():
                yield from leaves(inner, (*path, key))
        case list() | tuple():
            for index, inner in enumerate(value):
                yield from leaves(inner, (*path, index))
        case bool():
            return
        case str() | int():
            yield path, value


def replaced(value: Any, path: Path, new: Any) -> Any:
    """Return plain data with one leaf replaced."""
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


def read(plain: Any, kind: type[Command]) -> Command:
    """Decode a command from JSON bytes, as a body comes."""
    return msgspec.json.decode(json.dumps(plain).encode(), type=kind)


def is_safe(text: str) -> bool:
    """Return whether PostgreSQL and a log take a text: no control character, valid UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not UNSAFE & set(text)


def try_at_the_door(command: Command) -> None:
    """Check and decide a command: it is refused with a field or words, or all that it leaves is storable."""
    book = WORLD.books.get(command.workspace_id) or WORLD.books["acme"]
    try:
        check_command(command)
        identity = command_id_of(command)
        decided = WORLD.decide(command, "tester", book)
    except Refused as refused:
        found = refused
        assert is_safe(found.detail.encode(errors="replace").decode())
        return
    assert 0 < len(identity) <= 400
    assert 0 < len(decided.stream) <= 200
    kept = [identity, decided.stream, encode_fact(decided.fact), *leaves(msgspec.to_builtins(decided.fact))]
    for path, value in leaves(msgspec.to_builtins([kept[0], kept[1], decided.fact])):
        if isinstance(value, str):
            assert is_safe(value), path
            assert len(value.encode()) <= 500
        else:
            assert -(2**63) <= value < 2**63, path
    assert len(kept[2]) < 100_000


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_hostile_values_from_outside_never_pass(kind: type[Command]) -> None:
    """Each text and number of a body, replaced by each hostile one, is refused or is harmless."""
    plain = msgspec.to_builtins(SAMPLES[kind])
    for path, value in leaves(plain):
        for hostile in TEXTS if isinstance(value, str) else NUMBERS:
            try:
                command = read(replaced(plain, path, hostile), kind)
            except msgspec.DecodeError:
                continue
            try_at_the_door(command)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_hostile_values_from_inside_never_pass(kind: type[Command]) -> None:
    """A command built in this process, past every decoder, is checked all the same."""
    hints = get_type_hints(kind)
    for field in kind.__struct_fields__:
        options = set(get_args(hints[field])) | {hints[field]}
        hostile: tuple[Any, ...] = ()
        if str in options or isinstance(getattr(SAMPLES[kind], field), str):
            hostile = TEXTS
        elif isinstance(getattr(SAMPLES[kind], field), int) and bool not in options:
            hostile = NUMBERS
        for value in hostile:
            if field == "rounding":
                continue
            try_at_the_door(change(SAMPLES[kind], **{field: value}))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_text_field_is_looked_at(kind: type[Command]) -> None:
    """A NUL in any text of a command, at any depth, is never accepted by the door or the decoder."""
    plain = msgspec.to_builtins(SAMPLES[kind])
    unlooked = []
    for path, value in leaves(plain):
        if not isinstance(value, str):
            continue
        try:
            check_command(read(replaced(plain, path, value + "\0"), kind))
        except (msgspec.DecodeError, Refused):
            continue
        unlooked.append(path)
    assert unlooked == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_number_has_bounds(kind: type[Command]) -> None:
    """2^63 and 10^30 in any number of a command are refused by the door or the decoder, and so are negatives."""
    plain = msgspec.to_builtins(SAMPLES[kind])
    unbounded = []
    for path, value in leaves(plain):
        for number in (2**63, 10**30, -1) if isinstance(value, int) else ():
            try:
                check_command(read(replaced(plain, path, number), kind))
            except (msgspec.DecodeError, Refused):
                continue
            unbounded.append((path, number))
    assert unbounded == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_unknown_fields_are_not_taken(kind: type[Command]) -> None:
    """A field that a command or a struct inside it doesn't have is an error of decoding, at any depth."""
    plain = msgspec.to_builtins(SAMPLES[kind])
    mappings = {path[:depth] for path, _ in leaves(plain) for depth in range(len(path))}
    for path in mappings:
        inner = plain
        for step in path:
            inner = inner[step]
        if not isinstance(inner, dict) or path[-1:] in (("parts",), ("rates",), ("list_rates",)):
            continue
        with pytest.raises(msgspec.ValidationError):
            read(replaced(plain, path, {**inner, "colour": "red"}), kind)


@pytest.mark.parametrize("name", ["effective_at", "valid_until"])
def test_a_moment_needs_a_time_zone(name: str) -> None:
    """A moment without a time zone is refused by the decoder and by the door, never guessed."""
    naive = datetime(2026, 9, 21)  # noqa: DTZ001
    with pytest.raises(Refused) as refused:
        check_command(change(route_request(), **{name: naive}))
    assert (refused.value.code, refused.value.facts["field"]) == (Refusal.TEXT_INVALID, name)
    plain = msgspec.to_builtins(route_request())
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**plain, name: "2026-09-21T00:00:00"}, type(route_request()))


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-12:00"])
@pytest.mark.parametrize("name", ["effective_at", "valid_until"])
def test_the_ends_of_time_are_answered(name: str, text: str) -> None:
    """The first and the last moment that can be written overflow nothing."""
    plain = msgspec.to_builtins(route_request("r-end"))
    command = msgspec.convert({**plain, name: text}, type(route_request()))
    try_at_the_door(command)
    assert to_datetime(to_microseconds(route_request().effective_at)) == route_request().effective_at  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", REASON_REQUIRED, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("reason", [None, "", "  ", "\u3000"])
def test_acts_of_a_person_need_words(kind: type[Command], reason: str | None) -> None:
    """What takes money, permission or service away is refused without a reason that says something."""
    with pytest.raises(Refused) as refused:
        check_command(change(SAMPLES[kind], reason=reason))
    assert refused.value.facts["field"] == "reason"


def test_words_of_all_languages_pass() -> None:
    """Accents, Chinese with its wide space, joined emoji and right-to-left text are words like others."""
    for text in ("Überweisung", "客户　要求退款", "👩‍💻 🫨", "تعديل", "नमस्ते"):
        assert check_text(text, "reason") == text


def test_a_plan_covers_every_field_that_is_free() -> None:
    """Only truth values and names of a rounding go unchecked: every other field of a command has its check."""
    unchecked = {
        field
        for kind in KINDS
        for field in kind.__struct_fields__
        if field not in Command.__struct_fields__ and field not in {name for _, name in plan_of(kind)}
    }
    assert unchecked == {"retried", "rounding", "allow_bucket_change", "allow_model_change"}
    assert len(TAGS) >= len(KINDS)
