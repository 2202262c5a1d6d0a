"""The route ledger in the database: how a page of events changes rows, and what was spent with them."""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Any
from uuid import UUID

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.events import REQUEST_STREAM, Fact
from ledger.store.queries import load_queries
from projections.connections import run
from projections.following import Advance, Page, apply_page
from projections.route_ledger.folding import begin_row, fold_row
from projections.route_ledger.rows import RequestRow
from projections.route_ledger.spending import SpendCell, Spending, Sums, add_row

__all__ = ["ROUTE_LEDGER", "RouteLedger"]

ROUTE_LEDGER = "route_ledger"
"""The projection's name."""

QUERIES = load_queries("projections.sql", "route_ledger.sql")
SUM_FIELDS = tuple(name for name in Sums.__struct_fields__ if name != "lines")
CELL_FIELDS = SpendCell.__struct_fields__

_decode_row = msgspec.json.Decoder(RequestRow).decode
_encode = msgspec.json.Encoder().encode


class RouteLedger:
    """The route ledger as a projection that followers can write."""

    name = ROUTE_LEDGER

    def write(self, connection: Connection[TupleRow], generation: int, pages: list[Page]) -> list[Advance]:
        """Change the rows by the pages' events within the caller's transaction, and return how far each book came."""
        books = {page.workspace_id: RouteBook(page.workspace_id, generation) for page in pages}
        read_rows(connection, generation, pages, books)
        advances = [apply_page(page, books[page.workspace_id].apply) for page in pages]
        write_rows(connection, [row for book in books.values() for row in book.changed.values()])
        write_spending(connection, generation, [book.spending() for book in books.values()])
        return advances


class RouteBook:
    """The requests of one book that a page touches, while its events are applied in order."""

    __slots__ = ("changed", "generation", "rows", "taken", "workspace_id")

    def __init__(self, workspace_id: str, generation: int) -> None:
        self.workspace_id = workspace_id
        self.generation = generation
        self.rows: dict[str, RequestRow] = {}
        self.changed: dict[str, RequestRow] = {}
        self.taken: Spending = {}
        """What the rows had added to spend before they changed, to be taken back."""

    def apply(self, position: int, stream: str, tag: str, recorded_at: int, fact: Fact) -> None:
        """Add one event. Raises, and leaves everything as it was, for an event that cannot be applied."""
        if not stream.startswith(REQUEST_STREAM):
            return
        request_id = stream[len(REQUEST_STREAM) :]
        row = self.rows.get(request_id)
        if row is None:
            begun = begin_row(self.workspace_id, self.generation, request_id, position, recorded_at, fact)
            if begun is not None:
                self.rows[request_id] = self.changed[request_id] = begun
            return
        if request_id not in self.changed:
            add_row(self.taken, row, -1)
            self.changed[request_id] = row
        fold_row(row, position, recorded_at, fact)

    def spending(self) -> Spending:
        """Return what the page changes in what was spent."""
        for row in self.changed.values():
            add_row(self.taken, row, 1)
        return self.taken


def read_rows(
    connection: Connection[TupleRow], generation: int, pages: Iterable[Page], books: dict[str, RouteBook]
) -> None:
    """Read the rows of the requests that the pages' events belong to, where they began before."""
    wanted = {
        (event[0], event[2][len(REQUEST_STREAM) :]): None
        for page in pages
        for event in page.events
        if event[2].startswith(REQUEST_STREAM)
    }
    keys = [key[0] for key in wanted], [key[1] for key in wanted]
    for (text,) in run(connection, QUERIES["read_requests"], (*keys, generation)):
        row = _decode_row(text)
        books[row.workspace_id].rows[row.request_id] = row


def write_rows(connection: Connection[TupleRow], rows: list[RequestRow]) -> None:
    """Write the rows that are new or have changed."""
    if rows:
        run(connection, QUERIES["write_requests"], (_encode(rows).decode(),))


def write_spending(connection: Connection[TupleRow], generation: int, spendings: Iterable[Spending]) -> None:
    """Add to what was spent. What comes to nothing in the page is not written at all."""
    cells: dict[str, dict[str, Any]] = {}
    spend: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for spending in spendings:
        for (quarter, cell), sums in spending.items():
            if sums.is_empty():
                continue
            name = cell_name(cell)
            key = {"workspace_id": cell.workspace_id, "generation": generation, "quarter": quarter, "cell": name}
            cells[name + cell.workspace_id] = {
                **dict(zip(CELL_FIELDS, msgspec.structs.astuple(cell), strict=True)),
                "generation": generation, "cell": name,
            }  # fmt: skip
            spend.append({**key, **{field: getattr(sums, field) for field in SUM_FIELDS}})
            lines += [
                {**key, "part": part, "rate": rate, "tokens": tokens, "rated_minor": rated_minor}
                for (part, rate), (tokens, rated_minor) in sums.lines.items()
                if tokens or rated_minor
            ]
    for query, found in (("add_cells", list(cells.values())), ("add_spend", spend), ("add_lines", lines)):
        if found:
            run(connection, QUERIES[query], (_encode(found).decode(),))
    less = [each for each in spend if any(each[field] < 0 for field in SUM_FIELDS)]
    if less:
        keys = [[each[field] for each in less] for field in ("workspace_id", "quarter", "cell")]
        for query in ("forget_empty_spend", "forget_empty_lines"):
            run(connection, QUERIES[query], (*keys, generation))


@lru_cache(maxsize=65_536)
def cell_name(cell: SpendCell) -> str:
    """Return the name of a combination: the same for ever, whoever meets it first."""
    return str(UUID(bytes=blake2b(msgspec.msgpack.encode(cell), digest_size=16).digest()))
