"""What went through the accounts of one book up to a moment, over a connection of the projector."""

from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.store.queries import load_queries
from projections.balances.moments import AsOf
from projections.balances.spans import BookAt, sums_of
from projections.balances.zones import zone_of_book

__all__ = ["AsOf", "journal_position", "read_turnovers"]

QUERIES = load_queries("projections.sql", "balances.sql")


def read_turnovers(
    connection: Connection[TupleRow], generation: int, workspace_id: str, as_of: AsOf
) -> dict[tuple[str, str], tuple[int, int]]:
    """Return (debit, credit) in smallest parts by (bucket, account), of every account that anything went through.

    Exactly what a fold of the book's entries comes to that are not behind the position and happened before the
    instant; without a position, of all entries that the journal has. Raises ValueError for a position that it has
    not reached. `generation` must stay the active one meanwhile: ask for it again afterwards, or be in a transaction
    that holds the book's row of progress.
    """
    rows = fetch(connection, QUERIES["read_books"], generation=generation, workspace_id=workspace_id)
    if not rows:
        return {}
    _, _, followed, beginning = rows[0]
    position = followed if as_of.position is None else as_of.position
    if position > followed:
        raise ValueError(f"the journal has followed {workspace_id} to position {followed}, and not to {position}")
    book = BookAt(workspace_id, zone_of_book(beginning), followed, position, as_of.effective_before)
    asked = {"generation": generation, "by_workspace": False, "bucket": None, "accounts": None, **sums_of([book])}
    found = fetch(connection, QUERIES["read_turnovers"], **asked)
    return {(bucket, account): (int(debit), int(credit)) for _, bucket, account, debit, credit in found}


def journal_position(connection: Connection[TupleRow], generation: int, workspace_id: str) -> int:
    """Return the position up to which a generation of the journal has followed a book."""
    rows = fetch(connection, QUERIES["read_books"], generation=generation, workspace_id=workspace_id)
    return int(rows[0][2]) if rows else 0


def fetch(connection: Connection[TupleRow], query: LiteralString, **parameters: Any) -> list[TupleRow]:
    """Return the rows of a statement, which is planned for what it is asked with."""
    return connection.execute(query, parameters, prepare=False, binary=True).fetchall()
