"""Bodies, decoded strictly: the framework's own decoding takes any content type, converts, and keeps the last
of two equal keys. Money must not be read like that.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Generic, NoReturn, TypeVar

import msgspec
from litestar.types import Receive

from ledger.api.problems import HttpRefused
from ledger.api.refusal_table import HttpRefusal

BODY_BYTES_MAX = 1_000_000
DETAIL_LENGTH_MAX = 200
CONTENT_TYPE_PATTERN = re.compile(rb"application/json *(?:; *charset=\"?utf-8\"? *)?\Z", re.IGNORECASE)
PLACE_PATTERN = re.compile(r" - at `\$\.?(?P<path>[^`]*)`\Z")
NAMED_PATTERN = re.compile(r"(?:missing required|contains unknown) field `(?P<name>[^`]*)`\Z")

CONTAINERS = frozenset({dict, list})

T = TypeVar("T")


class RepeatedKey(ValueError):
    """An object has one key twice."""


class BodyDecoder(Generic[T]):
    """Decodes bodies into one type, or says which field is wrong."""

    __slots__ = ("_decoder",)

    def __init__(self, body_type: Any) -> None:
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(body_type, strict=True)

    def decode(self, body: bytes | msgspec.Raw, place: str = "") -> T:
        """Return the decoded body, else refuse. `place` is where the body itself stands in a larger one."""
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise invalid_field(str(error), place) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise malformed(error) from None


async def read_body(headers: Mapping[bytes, bytes], receive: Receive) -> bytes:
    """Return the whole body of a post that is declared as JSON and is not too large, else refuse."""
    content_type = headers.get(b"content-type", b"")
    if content_type != b"application/json" and not CONTENT_TYPE_PATTERN.match(content_type):
        raise HttpRefused(HttpRefusal.CONTENT_TYPE_UNSUPPORTED, "the content type must be application/json")
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise HttpRefused(HttpRefusal.CONTENT_TYPE_UNSUPPORTED, "the body must not be compressed")
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length[:20]) > BODY_BYTES_MAX:
        raise too_large()
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise HttpRefused(HttpRefusal.BODY_MALFORMED, "the body ended early")
        body += message["body"]
        if len(body) > BODY_BYTES_MAX:
            raise too_large()
        if not message.get("more_body", False):
            return body


def too_large() -> HttpRefused:
    """Return the refusal of a large body."""
    return HttpRefused(HttpRefusal.BODY_TOO_LARGE, f"a body has at most {BODY_BYTES_MAX} bytes", limit=BODY_BYTES_MAX)


def invalid_field(message: str, place: str = "") -> HttpRefused:
    """Return the refusal of a field, from what the decoder says of it."""
    where = PLACE_PATTERN.search(message)
    path = where["path"] if where else ""
    text = message[: where.start()] if where else message
    named = NAMED_PATTERN.search(text)
    steps = [step for step in (place, path, named["name"] if named else "") if step]
    field = ".".join(steps).replace(".[", "[")[:DETAIL_LENGTH_MAX]
    text = text[:DETAIL_LENGTH_MAX]
    if not field:
        return HttpRefused(HttpRefusal.FIELD_INVALID, text)
    return HttpRefused(HttpRefusal.FIELD_INVALID, f"{field}: {text}", field=field)


def malformed(error: Exception) -> HttpRefused:
    """Return the refusal of bytes that are no JSON."""
    match error:
        case UnicodeDecodeError():
            detail = "the body is not UTF-8"
        case RecursionError():
            detail = "the body is nested too deeply"
        case _:
            detail = str(error)[:DETAIL_LENGTH_MAX]
    return HttpRefused(HttpRefusal.BODY_MALFORMED, detail)


def require_unique_keys(body: bytes) -> None:
    """Refuse JSON in which an object has one key twice, at any depth. The body was decoded before: it is JSON.

    Decoding keeps the last of two equal keys, and every pair has a colon: when as many keys are left as colons
    were written, nothing was lost. Where a text holds a colon too, the slow way looks at every pair.
    """
    if keys_left(_plain_decoder.decode(body)) == body.count(b":"):
        return
    try:
        _unique_decoder.decode(body.decode())
    except RepeatedKey:
        refuse_repeated_key(body)
    except (ValueError, RecursionError) as error:
        raise malformed(error) from None


def keys_left(value: Any) -> int:
    """Return how many keys a decoded value has, at all depths."""
    keys = 0
    if type(value) is dict:
        keys = len(value)
        value = value.values()
    for inner in value:
        if type(inner) in CONTAINERS:
            keys += keys_left(inner)
    return keys


def unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of its pairs; raise RepeatedKey when two have one key."""
    unique = dict(pairs)
    if len(unique) != len(pairs):
        raise RepeatedKey
    return unique


_plain_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_unique_decoder = json.JSONDecoder(object_pairs_hook=unique_pairs)


def refuse_repeated_key(body: bytes) -> NoReturn:
    """Refuse, naming the path of the first key that stands twice in one object."""
    field = repeated_key(json.loads(body, object_pairs_hook=Pairs)) or ""
    field = field[:DETAIL_LENGTH_MAX]
    raise HttpRefused(HttpRefusal.KEY_REPEATED, f"{field} stands twice in one object", field=field)


class Pairs(list[tuple[str, Any]]):
    """An object as its pairs, so that repeated keys are still there."""


def repeated_key(value: Any, path: str = "") -> str | None:
    """Return the path of the first repeated key of a value, or None."""
    if isinstance(value, Pairs):
        seen = set()
        for key, inner in value:
            here = f"{path}.{key}" if path else key
            if key in seen:
                return here
            seen.add(key)
            if (found := repeated_key(inner, here)) is not None:
                return found
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            if (found := repeated_key(inner, f"{path}[{index}]")) is not None:
                return found
    return None
