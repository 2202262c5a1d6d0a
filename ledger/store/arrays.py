"""PostgreSQL arrays in their binary form, made here because a batch is made of them.

Half of what a batch costs its process would otherwise be spent in the driver's general array code, which looks
at every element's type. The format is that of PostgreSQL's `array_send`: dimensions, a null flag, the element's
type; the length and lower bound of the dimension; then each element with its length.
"""

from collections.abc import Iterable, Sequence
from struct import Struct, pack
from typing import Any

from psycopg.adapt import Dumper
from psycopg.pq import Format

HEADER = Struct(">iiIii")
LENGTH = Struct(">i")

BOOL, BYTEA, INT8, INT4, TEXT = 16, 17, 20, 23, 25
ARRAY_OF = {BOOL: 1000, BYTEA: 1001, INT8: 1016, INT4: 1007, TEXT: 1009}


class BinaryArray:
    """An array as it goes over the wire, with its type."""

    __slots__ = ("content", "oid")

    def __init__(self, element_oid: int, length: int, elements: bytes) -> None:
        self.oid = ARRAY_OF[element_oid]
        self.content = HEADER.pack(1, 0, element_oid, length, 1) + elements


class BinaryArrayDumper(Dumper):
    """Hands the bytes over as they are. The statement names the type, so that one dumper serves all."""

    format = Format.BINARY

    def dump(self, obj: BinaryArray) -> bytes:
        """Return the array's bytes."""
        return obj.content

    def get_key(self, obj: BinaryArray, format: Any) -> Any:  # noqa: A002 - the driver's own name
        """Return what tells dumpers of different array types apart."""
        return BinaryArray, obj.oid

    def upgrade(self, obj: BinaryArray, format: Any) -> "BinaryArrayDumper":  # noqa: A002
        """Return a dumper that announces the type of this array."""
        dumper = BinaryArrayDumper(BinaryArray)
        dumper.oid = obj.oid
        return dumper


def text_array(values: Iterable[str]) -> BinaryArray:
    """Return texts as a text[]. Raises UnicodeEncodeError for a text that is no Unicode."""
    return of_bytes(TEXT, [value.encode() for value in values])


def bytea_array(values: Sequence[bytes]) -> BinaryArray:
    """Return byte strings as a bytea[]."""
    return of_bytes(BYTEA, values)


def of_bytes(element_oid: int, values: Sequence[bytes]) -> BinaryArray:
    """Return encoded elements, each behind its length."""
    length_of = LENGTH.pack
    pieces: list[bytes] = []
    for value in values:
        pieces.append(length_of(len(value)))
        pieces.append(value)
    return BinaryArray(element_oid, len(values), b"".join(pieces))


def int8_array(values: Sequence[int]) -> BinaryArray:
    """Return integers as an int8[]. Raises struct.error for one beyond 64 bits."""
    elements = [part for value in values for part in (8, value)]
    return BinaryArray(INT8, len(values), pack(">" + "iq" * len(values), *elements))


def int4_array(values: Sequence[int]) -> BinaryArray:
    """Return integers as an int4[]. Raises struct.error for one beyond 32 bits."""
    elements = [part for value in values for part in (4, value)]
    return BinaryArray(INT4, len(values), pack(">" + "ii" * len(values), *elements))


def bool_array(values: Sequence[bool]) -> BinaryArray:
    """Return truth values as a bool[]."""
    return of_bytes(BOOL, [b"\x01" if value else b"\x00" for value in values])
