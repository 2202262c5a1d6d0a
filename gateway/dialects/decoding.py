"""JSON of upstreams as plain objects, as far as it can be read at all."""

import re

import msgspec

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""An escape; the group is half of a pair of surrogates, which is no character."""

_REPLACEMENT = rb"\ufffd"

_decode = msgspec.json.Decoder().decode


def decoded(data: bytes) -> object:
    """Return JSON as plain objects; None where it is none. Half a character becomes the one that stands for none."""
    try:
        value: object = _decode(data)
    except msgspec.DecodeError:
        fixed = mended(data)
        return None if fixed == data else decoded(fixed)
    except (UnicodeDecodeError, RecursionError):
        return None
    return value


def mended(data: bytes) -> bytes:
    """Return JSON without escapes of half a pair of surrogates: strict readers stop there."""
    if rb"\u" not in data:
        return data
    return _ESCAPE.sub(lambda found: _REPLACEMENT if found[1] else found[0], data)
