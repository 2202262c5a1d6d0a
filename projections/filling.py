"""Filling a generation of the journal from the books: the part of a rebuild that can run in several processes.

One connection reads events, two take rows by COPY: reading, folding and writing go on at the same time.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import msgspec
from psycopg import Connection, Copy
from psycopg.rows import TupleRow

from ledger.store.queries import load_queries
from projections.building import Book, OnEvents
from projections.collecting import rare_collections
from projections.connections import connect_projector, fetch_books
from projections.copying import HEADER, TRAILER, encode_entries, encode_legs, open_copy
from projections.following import Advance, Page, PagedEvent, apply_page
from projections.journal import EntryRow, JournalBook, LegRow
from projections.journal_rows import movement_rows, turnover_rows, wallet_rows

__all__ = ["Filled", "fill"]

QUERIES = load_queries("projections.sql", "rebuild.sql")
EVENTS_PER_FETCH = 2000
ROWS_PER_WRITE = 2000
FILLING_SETTINGS = {"synchronous_commit": "off", "jit": "off", "enable_seqscan": "off", "enable_bitmapscan": "off"}
TYPES_OF_ACCOUNTS = ("text", "int4", "text", "text", "numeric", "numeric")
TYPES_OF_MOVEMENTS = ("text", "int4", "text", "text", "int4", "int8", "numeric", "numeric")
TYPES_OF_WALLETS = ("text", "int4", "text", "text", "int4", "int8")


class Filled(msgspec.Struct, frozen=True):
    """What one share came to: how far each book was applied, and how many events that were."""

    advances: tuple[Advance, ...]
    events: int


def fill(url: str, generation: int, books: list[Book], on_events: OnEvents) -> Filled:
    """Apply all events of some books to a generation that has no keys yet."""
    advances: dict[str, Advance] = {}
    with rare_collections(), ExitStack() as stack:
        reading = stack.enter_context(connect_projector(url, "rebuild", FILLING_SETTINGS))
        sink = stack.enter_context(Sink(url, generation))
        book = JournalBook("", generation)
        for workspace_id, events in read_events(reading, [name for name, _ in books]):
            if workspace_id != book.workspace_id:
                sink.end(book)
                book = JournalBook(workspace_id, generation)
            before = advances.get(workspace_id) or Advance(workspace_id, 0, 0)
            if before.failure is None:
                advances[workspace_id] = apply_page(Page(workspace_id, before.position, events), book.apply)
                sink.take(book)
            on_events(len(events))
        sink.end(book)
    return Filled(tuple(advances.values()), sum(advance.position for advance in advances.values()))


def read_events(connection: Connection[TupleRow], workspace_ids: list[str]) -> Iterator[tuple[str, list[PagedEvent]]]:
    """Yield the events of books in order, in pages."""
    with connection.transaction(), connection.cursor("events") as cursor:
        cursor.execute(QUERIES["read_events"], (workspace_ids,), binary=True)
        yield from fetch_books(cursor, EVENTS_PER_FETCH)


class Sink:
    """Where the rows of a share go: two open COPYs for entries and legs, and lists for the few other rows."""

    def __init__(self, url: str, generation: int) -> None:
        self._url = url
        self._generation = generation
        self._stack = ExitStack()
        self._entry_rows: list[EntryRow] = []
        self._leg_rows: list[LegRow] = []
        self._accounts: list[tuple[Any, ...]] = []
        self._movements: list[tuple[Any, ...]] = []
        self._wallets: list[tuple[Any, ...]] = []

    def __enter__(self) -> "Sink":
        self._entries = self._open("copy_entries", "entry")
        self._legs = self._open("copy_legs", "leg")
        self._entries.write(HEADER)
        self._legs.write(HEADER)
        return self

    def _open(self, query: str, part: str) -> Copy:
        connection = self._stack.enter_context(connect_projector(self._url, "rebuild", FILLING_SETTINGS))
        return self._stack.enter_context(open_copy(connection, query, f"{part}_{self._generation}"))

    def take(self, book: JournalBook) -> None:
        """Take the entries and legs that a book has gathered, and send them when there are many."""
        self._entry_rows += book.entries
        self._leg_rows += book.legs
        book.entries.clear()
        book.legs.clear()
        if len(self._leg_rows) >= ROWS_PER_WRITE:
            self._flush()

    def end(self, book: JournalBook) -> None:
        """Keep the accounts, movements and wallets of a book that is complete."""
        self._accounts += turnover_rows(book)
        self._movements += movement_rows(book)
        self._wallets += wallet_rows(book)

    def _flush(self, end: bytes = b"") -> None:
        self._entries.write(encode_entries(self._entry_rows) + end)
        self._legs.write(encode_legs(self._leg_rows) + end)
        self._entry_rows.clear()
        self._leg_rows.clear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            # Each COPY is told, and takes back what it was sent.
            self._stack.__exit__(kind, error, traceback)
            return
        with self._stack:
            self._flush(TRAILER)
            self._send(self._open("copy_accounts", "account"), TYPES_OF_ACCOUNTS, self._accounts)
            self._send(self._open("copy_movements", "movement"), TYPES_OF_MOVEMENTS, self._movements)
            self._send(self._open("copy_wallets", "wallet"), TYPES_OF_WALLETS, self._wallets)

    def _send(self, copy: Copy, types: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)
