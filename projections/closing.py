"""What the read side knows of a book's balances when a period of it is closed."""

from contextlib import closing

from psycopg import Connection, IsolationLevel
from psycopg.rows import TupleRow

from ledger.workspace.periods import Basis, ReadBasis, nothing_read
from projections.balances.summing import AsOf, journal_position, read_turnovers
from projections.connections import connect_projector
from projections.followers import read_generation
from projections.journal import JOURNAL

__all__ = ["basis_reader"]

SETTINGS = {"statement_timeout": "60s", "idle_in_transaction_session_timeout": "60s", "jit": "off"}


def basis_reader(url: str) -> ReadBasis:
    """Return what reads the basis of closing balances from the journal of a database.

    A database without a journal gives an empty basis: the ledger then adds up the book itself, if it is short.
    """

    def read_basis(workspace_id: str, until: int) -> Basis:
        with closing(connect_projector(url, "closing", SETTINGS)) as connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            while True:
                try:
                    generation = read_generation(connection, JOURNAL)
                except LookupError:
                    return nothing_read(workspace_id, until)
                basis = read_snapshot(connection, generation, workspace_id, until)
                # A generation that was dropped meanwhile would have been read as one without entries.
                if read_generation(connection, JOURNAL) == generation:
                    return basis

    return read_basis


def read_snapshot(connection: Connection[TupleRow], generation: int, workspace_id: str, until: int) -> Basis:
    """Return how far a generation of the journal has come with a book, and its balances there, in one snapshot."""
    with connection.transaction():
        position = journal_position(connection, generation, workspace_id)
        turnovers = read_turnovers(connection, generation, workspace_id, AsOf(position, until))
    return Basis(position, until, {account: debit - credit for account, (debit, credit) in turnovers.items()})
