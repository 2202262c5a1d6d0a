"""Rows as PostgreSQL's binary COPY takes them: those of the journal, and what others need to encode theirs.

Written by hand because it is the one place where millions of rows leave Python: the driver's own row and array
writers cost two to three times as much. The format is that of the manual's page on COPY: each field is its
length (4 bytes, big-endian) and its bytes; -1 is null.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import lru_cache
from struct import Struct

from psycopg import Connection, Copy, sql
from psycopg.rows import TupleRow

from ledger.store.queries import load_queries
from projections.journal import EntryRow, LegRow

__all__ = ["HEADER", "NULL", "TRAILER", "copy_rows", "encode_entries", "encode_legs", "open_copy", "text_field"]

QUERIES = load_queries("projections.sql", "copying.sql")

HEADER = b"PGCOPY\n\xff\r\n\0" + b"\0" * 8
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"

pack_length = Struct("!i").pack
pack_int4 = Struct("!ii").pack
pack_int8 = Struct("!iq").pack
pack_leg = Struct("!iqih").pack
pack_instants_and_balances = Struct("!iqiqiqiqiq").pack


@lru_cache(maxsize=65_536)
def text_field(text: str) -> bytes:
    """Return a text as a field. Cached: for names that come back, not for ids."""
    encoded = text.encode()
    return pack_length(len(encoded)) + encoded


@lru_cache(maxsize=65_536)
def row_start(fields: int, workspace_id: str, generation: int, bucket: str) -> bytes:
    """Return the beginning of a row, which many rows share."""
    key = text_field(workspace_id) + pack_int4(4, generation) + text_field(bucket)
    return fields.to_bytes(2, "big") + key


@lru_cache(maxsize=65_536)
def accounts_fields(debit_account: str, credit_account: str) -> bytes:
    """Return a leg's two accounts as fields."""
    return text_field(debit_account) + text_field(credit_account)


def encode_entries(entries: Iterable[EntryRow]) -> bytes:
    """Return entries in the order of the columns of `copy_entries`."""
    parts: list[bytes] = []
    add = parts.append
    for (
        workspace_id, generation, bucket, position, tag, request_id,
        effective_at, recorded_at, posted, held, available,
    ) in entries:  # fmt: skip
        add(row_start(11, workspace_id, generation, bucket))
        add(pack_int8(8, position))
        add(text_field(tag))
        if request_id is None:
            add(NULL)
        else:
            encoded = request_id.encode()
            add(pack_length(len(encoded)))
            add(encoded)
        add(pack_instants_and_balances(8, effective_at, 8, recorded_at, 8, posted, 8, held, 8, available))
    return b"".join(parts)


def encode_legs(legs: Iterable[LegRow]) -> bytes:
    """Return legs in the order of the columns of `copy_legs`."""
    parts: list[bytes] = []
    add = parts.append
    for workspace_id, generation, bucket, position, leg, debit, credit, minor in legs:
        add(row_start(8, workspace_id, generation, bucket))
        add(pack_leg(8, position, 2, leg))
        add(accounts_fields(debit, credit))
        add(pack_int8(8, minor))
    return b"".join(parts)


def open_copy(connection: Connection[TupleRow], query: str, table: str) -> AbstractContextManager[Copy]:
    """Return the named COPY into a table, to be entered; what is written to it must be encoded rows."""
    statement = sql.SQL(QUERIES[query]).format(table=sql.Identifier("projections", table))
    return connection.cursor().copy(statement)


def copy_rows(connection: Connection[TupleRow], query: str, table: str, rows: bytes) -> None:
    """Send encoded rows to a table by the named COPY."""
    with open_copy(connection, query, table) as copy:
        copy.write(HEADER + rows + TRAILER)
