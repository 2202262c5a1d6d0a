"""Bodies are read strictly: what is not exactly JSON of the right shape is refused, and the wrong field is named."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.api.command_table import BASE_PATH, path_of
from ledger.api.decoding import BODY_BYTES_MAX, BodyDecoder, read_body, require_unique_keys
from ledger.api.problems import HttpRefused
from ledger.request.commands import RouteRequest
from ledger.service import Ledger
from tests.integration.api_scene import ROUTE_OF, Api, open_scene, refusal
from tests.integration.scenes import hold
from tests.integration.test_api_posting import every_command

ROUTE: BodyDecoder[RouteRequest] = BodyDecoder(RouteRequest)
BODY = msgspec.json.encode(hold("r1"))
TEXTS = ("a\u0000b", "a\nb", "\u202e", "x" * 5_000, "")
NUMBERS = (2**63, -(2**63), 10**30, -1)


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The API of an opened workspace."""
    with open_scene(ledger) as opened:
        yield opened


def refused(body: bytes) -> tuple[str, str | None]:
    """Return why a body of a route_request is refused, and the field that is named."""
    try:
        ROUTE.decode(body)
        require_unique_keys(body)
    except HttpRefused as error:
        return error.code.value, error.facts.get("field")
    raise AssertionError("the body was taken")


def changed(**fields: Any) -> bytes:
    """Return a good body with some fields replaced."""
    return json.dumps(json.loads(BODY) | fields).encode()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"hold_seconds": "60"}, "hold_seconds"),
        ({"hold_seconds": 60.0}, "hold_seconds"),
        ({"hold_seconds": True}, "hold_seconds"),
        ({"hold_seconds": 0}, "hold_seconds"),
        ({"hold_seconds": 2**63}, "hold_seconds"),
        ({"hold": {"value": 1, "unit": "CREDIT"}}, "hold.value"),
        ({"hold": {"value": "1"}}, "hold.unit"),
        ({"hold": {"value": "1", "unit": "CREDIT", "scale": 6}}, "hold.scale"),
        ({"hold": "1 CREDIT"}, "hold"),
        ({"why": {"rule": "x", "skipped": [{"route": "a"}]}}, "why.skipped[0].reason"),
        ({"bucket": None}, "bucket"),
        ({"surprise": 1}, "surprise"),
        ({"effective_at": "2026-01-01T00:00:00"}, "effective_at"),
        ({"effective_at": 1_700_000_000}, "effective_at"),
        ({"effective_at": "yesterday"}, "effective_at"),
        ({"kind": "settle_request"}, "kind"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], field: str) -> None:
    """No value is converted into the right type, and the path of the wrong one is told."""
    assert refused(changed(**fields)) == ("field_invalid", field)


def test_a_missing_field_is_named() -> None:
    """The first field that is missing is told."""
    body = json.loads(BODY)
    del body["hold"]
    assert refused(json.dumps(body).encode()) == ("field_invalid", "hold")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        BODY[:-1],
        BODY + b"x",
        BODY + BODY,
        b"\xef\xbb\xbf" + BODY,
        BODY.replace(b'"gpt-5"', b'"\xff"'),
        BODY.replace(b'"gpt-5"', b'"\xed\xa0\x80"'),
        BODY.replace(b'"gpt-5"', b'"\\ud800"'),
        BODY.replace(b'"gpt-5"', b'"\\udc00"'),
        BODY.replace(b'"gpt-5"', b'"a\x01b"'),
        BODY.replace(b'"hold_seconds":600', b'"hold_seconds":NaN'),
        BODY.replace(b'"hold_seconds":600', b'"hold_seconds":Infinity'),
        BODY.replace(b'"hold_seconds":600', b'"hold_seconds":0600'),
        BODY.replace(b"{", b"{'x':1,", 1),
        BODY.replace(b"{", b"{/**/", 1),
        BODY.decode().encode("utf-16"),
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    """Other encodings, comments, bare constants and broken texts are no JSON in UTF-8."""
    assert refused(body) == ("body_malformed", None)


@pytest.mark.parametrize("body", [b"[]", b"null", b"1", b'"x"', b"[" * 100_000])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    """A command is an object; a deep nest of anything else ends at its first byte."""
    assert refused(body) == ("field_invalid", None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (BODY.replace(b'"bucket":', b'"bucket":"rmb","bucket":'), "bucket"),
        (BODY.replace(b'"bucket":', b'"b\\u0075cket":"rmb","bucket":'), "bucket"),
        (BODY.replace(b'"value":', b'"value":"9","value":'), "hold.value"),
        (BODY.replace(b'"value":', b'"value" : ":9","value":'), "hold.value"),
        (changed(why={"rule": ":", "skipped": [{"route": "a", "reason": "x"}]}).replace(
            b'"reason"', b'"reason":"y","reason"'), "why.skipped[0].reason"),
    ],
)  # fmt: skip
def test_a_repeated_key_is_refused_at_any_depth(body: bytes, field: str) -> None:
    """The decoder would keep the last of two; here both are refused, however the key is written."""
    assert refused(body) == ("key_repeated", field)


def test_equal_keys_of_different_objects_are_fine() -> None:
    """A key may stand again in another object, and texts may hold colons and escapes."""
    skipped = [{"route": "a", "reason": 'is: "down"'}, {"route": "b", "reason": "::"}]
    body = changed(why={"rule": "a:b", "skipped": skipped})
    assert ROUTE.decode(body).why.skipped[0].reason == 'is: "down"'
    require_unique_keys(body)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@given(json_values.filter(lambda value: isinstance(value, dict | list)), st.booleans())
def test_json_without_repeated_keys_is_never_refused(value: Any, ascii_only: bool) -> None:
    """Whatever texts and nesting it has."""
    require_unique_keys(json.dumps(value, ensure_ascii=ascii_only).encode())


@given(st.text(max_size=4), json_values, json_values, st.lists(st.text(max_size=3), max_size=3))
def test_a_repeated_key_is_always_found(key: str, first: Any, second: Any, around: list[str]) -> None:
    """Wherever it stands and whatever its values are."""
    pair = json.dumps(key)
    body = f"{{{pair} : {json.dumps(first)},{pair}:{json.dumps(second)}}}"
    for name in around:
        body = f"[{{{json.dumps(name)}: {body}}}, 1]"
    with pytest.raises(HttpRefused):
        require_unique_keys(body.encode())


def read(chunks: list[bytes], headers: dict[bytes, bytes]) -> bytes:
    """Return what reading a body in chunks gives."""
    last = len(chunks) - 1
    messages: Iterator[Any] = iter(
        [{"type": "http.request", "body": chunk, "more_body": at < last} for at, chunk in enumerate(chunks)]
    )

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    return asyncio.run(read_body({b"content-type": b"application/json"} | headers, receive))


@pytest.mark.parametrize(
    "content_type", [b"application/json", b"application/json; charset=utf-8", b'Application/JSON;charset="UTF-8"']
)
def test_json_may_say_that_it_is_utf_8(content_type: bytes) -> None:
    """The content type may name the one charset that JSON has."""
    assert read([b"{", b"}"], {b"content-type": content_type}) == b"{}"


@pytest.mark.parametrize(
    "headers",
    [
        {b"content-type": b""},
        {b"content-type": b"text/plain"},
        {b"content-type": b"application/x-www-form-urlencoded"},
        {b"content-type": b"application/json; charset=latin-1"},
        {b"content-type": b"application/json\n"},
        {b"content-encoding": b"gzip"},
    ],
)
def test_other_content_types_are_refused(headers: dict[bytes, bytes]) -> None:
    """Anything that is not declared as plain JSON is 415, even if it happens to be JSON."""
    with pytest.raises(HttpRefused) as error:
        read([b"{}"], headers)
    assert error.value.code.value == "content_type_unsupported"


@pytest.mark.parametrize(
    ("chunks", "headers"),
    [
        ([b"x"], {b"content-length": b"2000000"}),
        ([b"x" * 400_000] * 3, {}),
        ([b"x" * 400_000] * 3, {b"content-length": b"9"}),
    ],
)
def test_a_large_body_is_refused_before_it_is_read_whole(chunks: list[bytes], headers: dict[bytes, bytes]) -> None:
    """By its declared length, or as soon as more than the limit has arrived."""
    with pytest.raises(HttpRefused) as error:
        read(chunks, headers)
    assert error.value.code.value == "body_too_large"


def test_a_body_that_ends_early_is_refused() -> None:
    """A caller that goes away in the middle has stated nothing."""
    with pytest.raises(HttpRefused):
        read([], {})


def test_limits_hold_over_http(api: Api) -> None:
    """A body of two megabytes is 413, one at the limit is read, text is 415, deep nesting is 400."""
    path = "/workspaces"
    assert refusal(api.post_bytes(path, b" " * 2_000_000)) == (413, "body_too_large", None)
    body = b'{"workspace_id":"zeta"}'
    assert api.post_bytes(path, body + b" " * (BODY_BYTES_MAX - len(body))).status_code == 201
    assert refusal(api.post_bytes(path, body, "text/plain")) == (415, "content_type_unsupported", None)
    assert refusal(api.post_bytes("/commands", b"[" * 100_000)) == (400, "body_malformed", None)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all texts and numbers of a body."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, key))
    elif isinstance(value, str | int):
        yield path


def replaced(value: Any, path: tuple[Any, ...], leaf: Any) -> Any:
    """Return a body with one leaf replaced."""
    if not path:
        return leaf
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], leaf)
    return copy


def test_no_strange_value_in_any_field_breaks_the_server(api: Api) -> None:
    """NUL, endless texts, 2^63 and their like in every field of every command: a clear answer, never a 500."""
    answers = []
    for command in every_command():
        route = ROUTE_OF[type(command)]
        body = msgspec.to_builtins(command)
        for name in (*route.path_fields, route.key_field, "secret_hash"):
            body.pop(name, None)
        for path in leaves(body):
            for leaf in (*TEXTS, *NUMBERS):
                strange = replaced(body, path, leaf)
                key = getattr(command, route.key_field) if route.key_field else None
                response = api.post(path_of(command).removeprefix(BASE_PATH), strange, key=key)
                if response.status_code not in {200, 201, 400, 402, 404, 409, 422}:
                    answers.append((route.kind, path, leaf, response.text))
    assert answers == []
