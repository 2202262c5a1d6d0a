"""Which formats there are, and what writes each. All have one shape, so that any can be asked for beside any other."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import BinaryIO

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from projections.exports.beancount import write_beancount
from projections.exports.hledger import write_hledger
from projections.exports.lines import write_csv, write_jsonl
from projections.exports.scope import BookSpan, Scope
from projections.exports.spans import ExportRefused

__all__ = ["FORMATS", "Writer", "WritingOptions", "progress_total", "require_rows", "writer_of"]

FORMATS = ("csv", "jsonl", "beancount", "hledger", "parquet")

Writer = Callable[[Connection[TupleRow], int, Scope, Sequence[BookSpan], BinaryIO, Callable[[int], None]], int]
"""Writes a scope in a generation of the journal to a file, tells how far it is, and returns how many rows there are."""


class WritingOptions(msgspec.Struct, frozen=True):
    """What some writers want to know: when the export was made, under which note, and whether spreadsheets read it."""

    made_at: int
    checkpoint: str | None = None
    excel_safe: bool = False


def writer_of(name: str, options: WritingOptions) -> Writer:
    """Return what writes a format. Raises ExportRefused for an unknown one, and for Parquet without its library."""
    made_at, note = options.made_at, options.checkpoint
    writers: Mapping[str, Writer] = {
        "csv": partial(write_csv, excel_safe=options.excel_safe),
        "jsonl": write_jsonl,
        "beancount": partial(write_beancount, made_at=made_at, checkpoint=note),
        "hledger": partial(write_hledger, made_at=made_at, checkpoint=note),
    }
    if name == "parquet":
        return parquet_writer()
    if name not in writers:
        raise ExportRefused(f"there is no format {name!r}: choose from {', '.join(FORMATS)}")
    return writers[name]


def parquet_writer() -> Writer:
    """Return what writes Parquet; its library takes half a second and fifty megabytes, so it is loaded only here."""
    try:
        from projections.exports.parquet import write_parquet
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "pyarrow":
            raise
        raise ExportRefused(
            "Parquet needs pyarrow, which is not installed: pip install 'route-ledger[parquet]'"
        ) from error
    return write_parquet


def progress_total(name: str, spans: Sequence[BookSpan]) -> int:
    """Return what a writer of a format has told when it is done: events of jsonl, legs of the others."""
    return sum(span.events if name == "jsonl" else span.legs for span in spans)


def require_rows(name: str, rows: int, spans: Sequence[BookSpan]) -> None:
    """Refuse a file that has more or less than what was counted in the same snapshot."""
    is_text = name in {"beancount", "hledger"}
    expected = sum(span.entries for span in spans) if is_text else progress_total(name, spans)
    if rows != expected:
        raise ExportRefused(f"{name} has {rows} rows where {expected} were counted: run audit verify")
