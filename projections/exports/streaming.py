"""Rows of the journal as the server writes them: each format is one statement that streams through memory."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.store.queries import load_queries
from projections.exports.scope import BookSpan, Scope
from projections.exports.spans import parameters_of

__all__ = ["OnProgress", "RowStream"]

QUERIES = load_queries("projections.sql", "exports.sql")
PAGE = 8192
"""Positions that the server sorts at once; in memory, however many buckets a book has."""

ROWS_PER_BLOCK = 1000

OnProgress = Callable[[int], None]
"""Called with how many rows were written so far."""


class RowStream:
    """The lines of a named COPY, in blocks of whole lines. `rows` is how many there were, once it is at its end."""

    def __init__(
        self,
        connection: Connection[TupleRow],
        query: str,
        generation: int,
        scope: Scope,
        spans: Sequence[BookSpan],
        **parameters: Any,
    ) -> None:
        self._connection = connection
        self._query = query
        self._parameters = {**parameters_of(generation, scope, spans), "page": PAGE, **parameters}
        self.rows = 0

    def blocks(self, on_progress: OnProgress) -> Iterator[bytes]:
        """Yield some thousand lines at a time, those of a header among the first."""
        self._connection.execute(QUERIES["prefer_ranges"])
        cursor = self._connection.cursor()
        with cursor.copy(QUERIES[self._query], self._parameters) as copy:
            # The server sends each row by itself.
            rows = iter(copy)
            while block := b"".join(islice(rows, ROWS_PER_BLOCK)):
                yield block
                self.rows += ROWS_PER_BLOCK
                on_progress(self.rows)
        self.rows = cursor.rowcount
        self._connection.execute(QUERIES["prefer_keys"])
        on_progress(self.rows)
