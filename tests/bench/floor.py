"""The floor: the rows of our events, inserted into an identical table by arrays and nothing else.

Identical are columns, checks, keys and indexes; our triggers are left away, so it is hard to come near to it.
One commit per batch, every durability setting on.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.events import Recorded
from ledger.store.arrays import BinaryArray, BinaryArrayDumper, bytea_array, int4_array, int8_array, text_array
from tests.bench.measure import timed

LISTS, ARRAYS = "event_by_lists", "event_by_arrays"
CREATE = """
create table floor.{table} (like ledger.event including all) with (autovacuum_vacuum_insert_scale_factor = 0.4);
insert into floor.{table} select * from ledger.event;
"""
INSERT = """
insert into floor.{table} (workspace_id, position, stream, version, tag, command_id, recorded_at, state, digest)
select * from unnest(
    %b::text[], %b::int8[], %b::text[], %b::int4[], %b::text[], %b::text[], %b::int8[], %b::bytea[], %b::bytea[])
"""
OUR_ARRAYS: tuple[Callable[[Any], BinaryArray], ...] = (
    text_array, int8_array, text_array, int4_array, text_array, text_array, int8_array, bytea_array, bytea_array,
)  # fmt: skip


class Floor:
    """Inserts events into two tables of its own: through psycopg's list adaptation, and through our arrays.

    Both begin as copies of the ledger's table and grow with it, so that their indexes are as large.
    """

    def __init__(self, url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute("create schema floor")
            for table in (LISTS, ARRAYS):
                connection.execute(CREATE.format(table=table).encode())
        self._connection: Connection[TupleRow] = psycopg.connect(url, autocommit=True, prepare_threshold=0)
        self._connection.adapters.register_dumper(BinaryArray, BinaryArrayDumper)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def insert_lists(self, events: Sequence[Recorded], batch_size: int) -> float:
        """Insert events in batches of plain lists; return the rows per second."""
        insert = INSERT.format(table=LISTS).encode()
        batches = [columns(events[start : start + batch_size]) for start in range(0, len(events), batch_size)]
        return len(events) / timed(lambda: [self._connection.execute(insert, batch) for batch in batches])[1]

    def insert_arrays(self, events: Sequence[Recorded], batch_size: int) -> float:
        """Insert events in batches of our own arrays; return the rows per second."""
        insert = INSERT.format(table=ARRAYS).encode()
        batches = [columns(events[start : start + batch_size]) for start in range(0, len(events), batch_size)]

        def insert_all() -> None:
            for batch in batches:
                self._connection.execute(insert, [of(column) for of, column in zip(OUR_ARRAYS, batch, strict=True)])

        return len(events) / timed(insert_all)[1]


def columns(events: Sequence[Recorded]) -> list[Any]:
    """Return the values of events as one list per column."""
    return [list(column) for column in zip(*map(msgspec.structs.astuple, events), strict=True)]
