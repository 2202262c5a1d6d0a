"""The route ledger in the database: how a page of events changes rows, and what was spent with them."""

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.events import REQUEST_STREAM
from ledger.store.queries import load_queries
from projections.change.cells import ChangeCell
from projections.connections import run, run_anew
from projections.copying import copy_rows
from projections.following import Advance, Page, apply_page
from projections.route_ledger.book import RouteBook
from projections.route_ledger.encoding import encode_requests
from projections.route_ledger.rows import Detail, RequestRow
from projections.route_ledger.spending import SpendCell, Sums

__all__ = ["ROUTE_LEDGER", "RouteLedger"]

ROUTE_LEDGER = "route_ledger"
"""The projection's name."""

QUERIES = load_queries("projections.sql", "route_ledger.sql")
SUM_FIELDS = tuple(name for name in Sums.__struct_fields__ if name != "lines")
CELL_FIELDS = SpendCell.__struct_fields__
told_apart = attrgetter(*(name for name in ChangeCell.__struct_fields__ if name != "group"))
"""What of a combination an explanation tells apart."""

BEGINNING = "request_routed."
"""How the tag of an event begins that no other of its request can come before."""

_decode_detail = msgspec.json.Decoder(Detail).decode
_encode = msgspec.json.Encoder().encode

SpendRow = dict[str, Any]
"""A row of a table of spend, by column."""


class RouteLedger:
    """The route ledger as a projection that followers can write."""

    name = ROUTE_LEDGER

    def write(self, connection: Connection[TupleRow], generation: int, pages: list[Page]) -> list[Advance]:
        """Change the rows by the pages' events within the caller's transaction, and return how far each book came."""
        books = {page.workspace_id: RouteBook(page.workspace_id, generation) for page in pages}
        for row in read_rows(connection, generation, pages):
            books[row.workspace_id].rows[row.request_id] = row
        advances = [apply_page(page, books[page.workspace_id].apply) for page in pages]
        begun = [row for book in books.values() for row in book.begun.values()]
        if begun:
            copy_rows(connection, "copy_requests", "request", encode_requests(begun))
        # Sent without waiting for one another: the server writes while the next statement is put together.
        with connection.pipeline():
            write_books(connection, generation, books.values())
        return advances


def read_rows(connection: Connection[TupleRow], generation: int, pages: Iterable[Page]) -> Iterator[RequestRow]:
    """Yield the rows of the requests that the pages' events belong to, where they began before."""
    began_before: dict[tuple[str, str], bool] = {}
    for page in pages:
        for workspace_id, _, stream, tag, _, _ in page.events:
            if stream.startswith(REQUEST_STREAM):
                began_before.setdefault((workspace_id, stream), not tag.startswith(BEGINNING))
    wanted = [key for key, is_wanted in began_before.items() if is_wanted]
    if wanted:
        workspace_ids = [workspace_id for workspace_id, _ in wanted]
        request_ids = [stream[len(REQUEST_STREAM) :] for _, stream in wanted]
        for *columns, detail in run_anew(
            connection, QUERIES["read_requests"], (workspace_ids, request_ids, generation)
        ):
            yield RequestRow(*columns, _decode_detail(detail))  # type: ignore[call-arg]


def write_books(connection: Connection[TupleRow], generation: int, books: Collection[RouteBook]) -> None:
    """Write the rows that changed, and what the books add to spend."""
    changed = [row for book in books for row in book.changed.values()]
    if changed:
        run(connection, QUERIES["change_requests"], (_encode(changed).decode(),))
    rows = SpendRows(generation)
    for book in books:
        for (quarter, cell), sums in book.spending().items():
            rows.take(quarter, cell, sums)
    rows.write(connection)


class SpendRows:
    """What pages add to the tables of spend, and the keys of what may be left empty by it.

    Lines are never left empty: what a settlement used does not change, and nothing takes a settlement back.
    """

    def __init__(self, generation: int) -> None:
        self.generation = generation
        self.cells: dict[tuple[str, str], SpendRow] = {}
        self.spend: list[SpendRow] = []
        self.lines: list[SpendRow] = []
        self.thinned: list[tuple[Any, ...]] = []

    def take(self, quarter: int, cell: SpendCell, sums: Sums) -> None:
        """Take what was added to a cell in a quarter; what comes to nothing is not written at all."""
        if sums.is_empty():
            return
        workspace_id, generation, name = cell.workspace_id, self.generation, cell_name(cell)
        if (workspace_id, name) not in self.cells:
            columns = zip(CELL_FIELDS, msgspec.structs.astuple(cell), strict=True)
            self.cells[workspace_id, name] = dict(columns, generation=generation, cell=name)
        key = {"workspace_id": workspace_id, "generation": generation, "quarter": quarter, "cell": name}
        # The last field are the lines.
        self.spend.append({**key, **dict(zip(SUM_FIELDS, msgspec.structs.astuple(sums), strict=False))})
        if sums.may_end_empty():
            self.thinned.append(tuple(key.values()))
        for (part, rate), (tokens, rated_minor) in sums.lines.items():
            if tokens or rated_minor:
                self.lines.append({**key, "part": part, "rate": rate, "tokens": tokens, "rated_minor": rated_minor})

    def write(self, connection: Connection[TupleRow]) -> None:
        """Add the rows, and remove those of nothing."""
        cells = list(self.cells.values())
        for query, rows in (("add_cells", cells), ("add_spend", self.spend), ("add_lines", self.lines)):
            if rows:
                run(connection, QUERIES[query], (_encode(rows).decode(),))
        for key in self.thinned:
            run_anew(connection, QUERIES["forget_empty_spend"], key)


@lru_cache(maxsize=65_536)
def cell_name(cell: SpendCell) -> str:
    """Return the name of a combination: the same for ever, whoever meets it first.

    Its first nine bytes are a digest of what an explanation tells apart: what begins alike is summed by that alone. Of
    these the first two are the bucket's and the unit of the bill's own: no label that a caller thinks of reaches them,
    so that none can be made for which two buckets begin alike.
    """
    units = blake2b(msgspec.msgpack.encode((cell.bucket, cell.cost_unit)), digest_size=2)
    place = blake2b(msgspec.msgpack.encode(told_apart(cell)), digest_size=7)
    return units.hexdigest() + place.hexdigest() + blake2b(msgspec.msgpack.encode(cell), digest_size=7).hexdigest()
