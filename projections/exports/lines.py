"""The two formats that the server writes whole: CSV of legs, and JSON lines of events with their entries."""

from collections.abc import Sequence
from typing import BinaryIO

from psycopg import Connection
from psycopg.rows import TupleRow

from projections.exports.scope import BookSpan, Scope
from projections.exports.streaming import OnProgress, RowStream

__all__ = ["csv_lines", "jsonl_lines", "write_csv", "write_jsonl"]


def csv_lines(
    connection: Connection[TupleRow], generation: int, scope: Scope, spans: Sequence[BookSpan], *, excel_safe: bool
) -> RowStream:
    """Return the lines of the CSV, the header first."""
    return RowStream(connection, "copy_legs", generation, scope, spans, excel_safe=excel_safe)


def jsonl_lines(
    connection: Connection[TupleRow], generation: int, scope: Scope, spans: Sequence[BookSpan]
) -> RowStream:
    """Return the lines of the evidence."""
    return RowStream(connection, "copy_events", generation, scope, spans)


def write_csv(
    connection: Connection[TupleRow],
    generation: int,
    scope: Scope,
    spans: Sequence[BookSpan],
    out: BinaryIO,
    on_progress: OnProgress,
    *,
    excel_safe: bool = False,
) -> int:
    """Write a line for each leg, in the order of workspace, position, bucket and leg; return how many there are.

    The connection is in a transaction with one snapshot. `excel_safe` puts a ' before a text that a spreadsheet would
    take for a formula: for people, since no machine expects it.
    """
    stream = csv_lines(connection, generation, scope, spans, excel_safe=excel_safe)
    for block in stream.blocks(on_progress):
        out.write(block)
    return stream.rows


def write_jsonl(
    connection: Connection[TupleRow],
    generation: int,
    scope: Scope,
    spans: Sequence[BookSpan],
    out: BinaryIO,
    on_progress: OnProgress,
) -> int:
    """Write the evidence: a line for each event of the spans, whenever it happened; return how many there are.

    `state` holds the stored bytes as text, so that digests can be computed again. Amounts are texts at full scale.
    """
    stream = jsonl_lines(connection, generation, scope, spans)
    for block in stream.blocks(on_progress):
        out.write(block)
    return stream.rows
