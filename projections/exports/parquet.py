"""The journal as Parquet, a row for each leg: the lines of the CSV, typed. Needs the extra `parquet`."""

from collections.abc import Sequence
from io import BytesIO
from typing import BinaryIO

import pyarrow
from psycopg import Connection
from psycopg.rows import TupleRow
from pyarrow import compute, csv, parquet

from projections.exports.scope import BookSpan, Scope
from projections.exports.streaming import OnProgress, RowStream

__all__ = ["SCHEMA", "write_parquet"]

INSTANT = pyarrow.timestamp("us", tz="UTC")
AMOUNT = pyarrow.decimal128(38, 9)
"""A unit has at most nine digits, so that every amount is exact."""

SCHEMA = pyarrow.schema(
    [
        ("workspace_id", pyarrow.string()),
        ("position", pyarrow.int64()),
        ("bucket", pyarrow.string()),
        ("leg", pyarrow.int16()),
        ("tag", pyarrow.string()),
        ("request_id", pyarrow.string()),
        ("effective_at", INSTANT),
        ("recorded_at", INSTANT),
        ("debit_account", pyarrow.string()),
        ("credit_account", pyarrow.string()),
        ("amount", AMOUNT),
        ("unit", pyarrow.string()),
        ("minor", pyarrow.int64()),
    ]
)
LINE_TYPES = {field.name: field.type for field in SCHEMA if field.name != "minor"} | {"amount": pyarrow.string()}
BYTES_PER_GROUP = 16 * 2**20
"""So much CSV becomes one row group, some hundred thousand rows: what is in memory at once."""


def write_parquet(
    connection: Connection[TupleRow],
    generation: int,
    scope: Scope,
    spans: Sequence[BookSpan],
    out: BinaryIO,
    on_progress: OnProgress,
) -> int:
    """Write a row for each leg in the order of the CSV and return how many there are.

    `amount` is in whole units, `minor` in the unit's smallest parts: never to be added over two units.
    """
    stream = RowStream(connection, "copy_legs", generation, scope, spans, excel_safe=False)
    with parquet.ParquetWriter(out, SCHEMA, compression="zstd") as writer:
        lines, header_lines = BytesIO(), 1
        for block in stream.blocks(on_progress):
            lines.write(block)
            if lines.tell() >= BYTES_PER_GROUP:
                writer.write_table(table_of(lines, header_lines))
                lines, header_lines = BytesIO(), 0
        if lines.tell():
            writer.write_table(table_of(lines, header_lines))
    return stream.rows


def table_of(lines: BytesIO, header_lines: int) -> pyarrow.Table:
    """Return lines of CSV as typed columns. Nothing is guessed: a text that is no number of its column fails."""
    lines.seek(0)
    table = csv.read_csv(
        lines,
        csv.ReadOptions(use_threads=False, column_names=list(LINE_TYPES), skip_rows=header_lines),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types=LINE_TYPES, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    amounts = table["amount"]
    # At full scale the digits without the point are the smallest parts.
    minors = compute.replace_substring(amounts, ".", "").cast(pyarrow.int64())
    place = table.schema.get_field_index("amount")
    return table.set_column(place, SCHEMA.field("amount"), amounts.cast(AMOUNT)).append_column(
        SCHEMA.field("minor"), minors
    )
