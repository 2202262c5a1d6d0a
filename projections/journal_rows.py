"""The journal in the database: how a page of events becomes rows, a few array statements for any number of books."""

from collections.abc import Iterable
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.store.queries import load_queries
from projections.connections import run
from projections.following import Advance, Page, apply_page
from projections.journal import JOURNAL, JournalBook, JournalWallet

__all__ = ["Journal"]

QUERIES = load_queries("projections.sql", "journal.sql")


class Journal:
    """The journal as a projection that followers can write."""

    name = JOURNAL

    def write(self, connection: Connection[TupleRow], generation: int, pages: list[Page]) -> list[Advance]:
        """Add the pages' rows within the caller's transaction, and return how far each book came."""
        books = read_books(connection, [page.workspace_id for page in pages], generation)
        advances = [apply_page(page, books[page.workspace_id].apply) for page in pages]
        write_books(connection, books.values())
        return advances


def read_books(
    connection: Connection[TupleRow], workspace_ids: list[str], generation: int
) -> dict[str, JournalBook]:
    """Return the books as the last page left them."""
    books = {name: JournalBook(name, generation) for name in workspace_ids}
    for name, bucket, *balances in run(connection, QUERIES["read_wallets"], (workspace_ids, generation)):
        books[name].wallets[bucket] = JournalWallet(bucket, *balances)
    return books


def write_books(connection: Connection[TupleRow], books: Iterable[JournalBook]) -> None:
    """Write what the books gathered. Accounts come before the legs that refer to them."""
    wallets = [(book.workspace_id, wallet) for book in books for wallet in book.changed.values()]
    turnovers = [
        (book.workspace_id, bucket, account, *turnover)
        for book in books
        for (bucket, account), turnover in book.turnovers.items()
    ]
    entries = [entry for book in books for entry in book.entries]
    legs = [leg for book in books for leg in book.legs]
    with connection.pipeline():
        if wallets:
            run(connection, QUERIES["write_wallets"], wallet_columns(wallets, next(iter(books)).generation))
        if turnovers:
            generation = entries[0][1]
            run(connection, QUERIES["move_accounts"], (generation, *columns(turnovers)))
            run(connection, QUERIES["insert_entries"], columns(entries))
            run(connection, QUERIES["insert_legs"], columns(legs))
