"""The journal in the database: how a page of events becomes rows, a few array statements for any number of books."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.events import decode_fact
from ledger.store.queries import load_queries
from ledger.workspace.events import WorkspaceCreated
from projections.connections import run
from projections.copying import copy_rows, encode_entries, encode_legs
from projections.days import Calendar
from projections.following import Advance, Page, apply_page
from projections.journal import JOURNAL, JournalBook, JournalWallet

__all__ = ["Journal", "movement_rows", "turnover_rows", "wallet_rows"]

WalletRow = tuple[str, int, str, str, int, int]
"""Workspace, generation, bucket, unit, scale, credit limit."""

TurnoverRow = tuple[str, int, str, str, Decimal, Decimal]
"""Workspace, generation, bucket, account, debit, credit."""

MovementRow = tuple[str, int, str, str, int, int, Decimal, Decimal]
"""Workspace, generation, bucket, account, day, block, debit, credit."""

QUERIES = load_queries("projections.sql", "journal.sql")


class Journal:
    """The journal as a projection that followers can write."""

    name = JOURNAL

    def __init__(self) -> None:
        self._zones: dict[str, str] = {}

    def write(self, connection: Connection[TupleRow], generation: int, pages: list[Page]) -> list[Advance]:
        """Add the pages' rows within the caller's transaction, and return how far each book came."""
        names = [page.workspace_id for page in pages]
        books = read_books(connection, names, generation, self._read_zones(connection, names))
        advances = [apply_page(page, books[page.workspace_id].apply) for page in pages]
        write_books(connection, books.values())
        return advances

    def _read_zones(self, connection: Connection[TupleRow], workspace_ids: list[str]) -> dict[str, str]:
        """Return the books' time zones. They never change, so each is read once."""
        unknown = [name for name in workspace_ids if name not in self._zones]
        if unknown:
            for name, state in run(connection, QUERIES["read_beginnings"], (unknown,)):
                event = decode_fact(state).event
                self._zones[name] = event.time_zone if isinstance(event, WorkspaceCreated) else "UTC"
        return self._zones


def read_books(
    connection: Connection[TupleRow], workspace_ids: list[str], generation: int, zones: Mapping[str, str]
) -> dict[str, JournalBook]:
    """Return the books as the last page left them."""
    books = {name: JournalBook(name, generation, Calendar(zones.get(name, "UTC"))) for name in workspace_ids}
    for name, bucket, *balances in run(connection, QUERIES["read_wallets"], (workspace_ids, generation)):
        books[name].wallets[bucket] = JournalWallet(bucket, *balances)
    return books


def write_books(connection: Connection[TupleRow], books: Collection[JournalBook]) -> None:
    """Write what the books gathered. Accounts come before the legs that refer to them."""
    wallets: list[WalletRow] = [row for book in books for row in wallet_rows(book)]
    turnovers: list[TurnoverRow] = [row for book in books for row in turnover_rows(book)]
    movements: list[MovementRow] = [row for book in books for row in movement_rows(book)]
    for name, rows in (("write_wallets", wallets), ("move_accounts", turnovers), ("move_days", movements)):
        if rows:
            run(connection, QUERIES[name], columns(rows))
    if turnovers:
        entries = b"".join([encode_entries(book.entries) for book in books])
        copy_rows(connection, "copy_entries", "entry", entries)
        legs = b"".join([encode_legs(book.legs) for book in books])
        copy_rows(connection, "copy_legs", "leg", legs)


def wallet_rows(book: JournalBook) -> Iterator[WalletRow]:
    """Yield the rows of the wallets that were opened or have a new credit limit."""
    for wallet in book.changed.values():
        yield book.workspace_id, book.generation, wallet.bucket, wallet.unit, wallet.scale, wallet.credit_limit_minor


def turnover_rows(book: JournalBook) -> Iterator[TurnoverRow]:
    """Yield what each account moved. Decimal, because a sum of legs need not fit a bigint."""
    for bucket, account, debit, credit in book.turnovers():
        yield book.workspace_id, book.generation, bucket, account, Decimal(debit), Decimal(credit)


def movement_rows(book: JournalBook) -> Iterator[MovementRow]:
    """Yield what each account moved, by day and block."""
    for bucket, account, day, block, debit, credit in book.movements():
        yield book.workspace_id, book.generation, bucket, account, day, block, Decimal(debit), Decimal(credit)


def columns(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    """Return rows as one list per column."""
    return tuple(map(list, zip(*rows, strict=True)))
