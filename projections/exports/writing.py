"""An export: files of one snapshot in a directory, with a manifest that says what they hold.

Everything is read in one repeatable-read transaction, so that every file, count and digest is of the same moment,
whatever is posted meanwhile.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from time import time_ns
from typing import Literal

import msgspec
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.core.identifiers import PLATFORM
from ledger.store.checkpoints import Checkpoint, Head, read_checkpoint, read_heads, tree_of
from ledger.store.queries import load_queries
from projections.collecting import rare_collections
from projections.connections import connect_projector
from projections.exports.directory import ExportDirectory
from projections.exports.formats import Writer, WritingOptions, progress_total, require_rows, writer_of
from projections.exports.lines import csv_lines, jsonl_lines
from projections.exports.manifest import BookProof, ExportedFile, Manifest, manifest_of
from projections.exports.scope import BookSpan, Scope
from projections.exports.spans import ExportRefused, read_spans
from projections.followers import read_generation
from projections.journal import JOURNAL

__all__ = ["NEWEST", "ExportAsked", "OnFileProgress", "Snapshot", "export", "open_snapshot", "stream_journal"]

QUERIES = load_queries("projections.sql", "exports.sql")
EXPORT_SETTINGS = {
    "jit": "off",
    "work_mem": "32MB",
    "lock_timeout": "10s",
    # Instants are written by the server; our days are made by our own zones.
    "timezone": "UTC",
    "client_encoding": "UTF8",
    # Rows are known by key, whatever the statistics of a table say that was filled a moment ago; and in their order.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "max_parallel_workers_per_gather": "0",
}
NEWEST = 0
"""Instead of a checkpoint's number: the newest one, if there is any."""

OnFileProgress = Callable[[str, int, int], None]
"""Called with a format, the rows that were written of it, and all there will be."""


class ExportAsked(msgspec.Struct, frozen=True):
    """What is to be exported: which entries, in which formats, up to which checkpoint; None is each book's end."""

    scope: Scope
    formats: tuple[str, ...]
    checkpoint: int | None = NEWEST
    excel_safe: bool = False


class Snapshot(msgspec.Struct, frozen=True):
    """One moment of the books: what can be written of them, and the checkpoint that they were followed to."""

    connection: Connection[TupleRow]
    generation: int
    scope: Scope
    spans: list[BookSpan]
    checkpoint: Checkpoint | None
    heads: list[Head] | None


def export(url: str, path: Path, asked: ExportAsked, on_progress: OnFileProgress) -> Manifest:
    """Write an export to a directory that does not exist yet or is empty, and return its manifest.

    Raises ExportRefused with nothing left behind; NotFollowed where the journal is behind a checkpoint.
    """
    if not asked.formats or len(set(asked.formats)) < len(asked.formats):
        raise ExportRefused("name each format once, and one at least")
    made_at = time_ns() // 1000
    # Before anything is read: a format that cannot be written is known at once.
    for name in asked.formats:
        writer_of(name, WritingOptions(made_at))
    with rare_collections(), ExportDirectory(path) as directory:
        with open_snapshot(url, asked.scope, asked.checkpoint) as snapshot:
            note = None if snapshot.checkpoint is None else snapshot.checkpoint.note
            options = WritingOptions(made_at, note, asked.excel_safe)
            files = [
                write_file(directory, snapshot, name, writer_of(name, options), on_progress) for name in asked.formats
            ]
            proofs = proofs_of(snapshot.spans, snapshot.heads)
        manifest = manifest_of(made_at, asked.scope, snapshot.spans, proofs, files, note)
        directory.finish(manifest.encode())
    return manifest


@contextmanager
def open_snapshot(url: str, scope: Scope, checkpoint: int | None) -> Iterator[Snapshot]:
    """See one moment of the journal until the end of the block, as the projector, who can change no book."""
    with closing(connect_projector(url, "export", EXPORT_SETTINGS)) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        with connection.transaction():
            connection.execute(QUERIES["hold_journal"], {"workspace_id": scope.workspace_id or PLATFORM})
            generation = read_generation(connection, JOURNAL)
            found = None if checkpoint is None else read_checkpoint(connection, checkpoint or None)
            if checkpoint and found is None:
                raise ExportRefused(f"there is no checkpoint {checkpoint}")
            heads = None if found is None else read_heads(connection, found.checkpoint)
            spans = read_spans(connection, generation, scope, heads)
            yield Snapshot(connection, generation, scope, spans, found, heads)


def stream_journal(
    url: str, scope: Scope, name: Literal["csv", "jsonl"], *, excel_safe: bool
) -> Generator[bytes, None, None]:
    """Yield the lines of one format in blocks, up to where the journal has followed each book.

    Closing it ends the statement. Raises ExportRefused before the first block.
    """
    with open_snapshot(url, scope, None) as snapshot:
        where = (snapshot.connection, snapshot.generation, scope, snapshot.spans)
        if name == "csv":
            yield from csv_lines(*where, excel_safe=excel_safe).blocks(lambda done: None)
        else:
            yield from jsonl_lines(*where).blocks(lambda done: None)


def write_file(
    directory: ExportDirectory, snapshot: Snapshot, name: str, write: Writer, on_progress: OnFileProgress
) -> ExportedFile:
    """Write one format and return what its file came to."""
    total = progress_total(name, snapshot.spans)
    file_name = f"journal.{name}"
    with directory.new_file(file_name) as (out, file):
        rows = write(
            snapshot.connection, snapshot.generation, snapshot.scope, snapshot.spans, out,
            lambda done: on_progress(name, min(done, total), total),
        )  # fmt: skip
    require_rows(name, rows, snapshot.spans)
    return ExportedFile(file_name, name, rows, file.size, file.sha256)


def proofs_of(spans: Sequence[BookSpan], heads: Sequence[Head] | None) -> list[BookProof | None]:
    """Return the proof of each span's head, none without a checkpoint."""
    if heads is None:
        return [None] * len(spans)
    tree = tree_of(heads)
    places = {head.workspace_id: place for place, head in enumerate(heads)}
    return [
        BookProof(place, [neighbour.hex() for neighbour in tree.path(place)])
        for place in (places[span.workspace_id] for span in spans)
    ]
