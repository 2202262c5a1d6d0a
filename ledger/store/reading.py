"""The first round trip of a batch: take the locks, then read everything its decisions need.

All statements go out together in pipeline mode; each one sees what was committed when the locks were granted.
A second trip is needed only where a cache is stale: the catalog, a workspace's keys, a spend limit never seen.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from psycopg import Connection, Cursor
from psycopg.rows import TupleRow

from ledger.book import BookState
from ledger.catalog.events import CatalogEvent
from ledger.catalog.state import Catalog, fold_catalog
from ledger.core.identifiers import PLATFORM
from ledger.events import Recorded, decode_fact, request_of
from ledger.request.state import RequestState, fold_request
from ledger.store.arrays import BinaryArray, bytea_array, int4_array, text_array
from ledger.store.batch import Batch, Head, Opening, Wanted
from ledger.store.chain import start_digest
from ledger.store.queries import load_queries
from ledger.wallet.events import FundsAdded, FundsReversed
from ledger.wallet.state import WalletState, fold_payment
from ledger.workspace.budgets import Budget
from ledger.workspace.pace import MinuteUse
from ledger.workspace.state import WorkspaceState, fold_workspace

QUERIES = load_queries("ledger.store.sql", "batch.sql")

decode_request_state = msgspec.json.Decoder(RequestState).decode
decode_hold_budgets = msgspec.json.Decoder(list[tuple[str, int, int]]).decode


class Caches:
    """What a writer remembers between batches, each checked against its version under the lock."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.workspaces: dict[str, WorkspaceState] = {}
        self.platform = WorkspaceState(PLATFORM)


def run(connection: Connection[TupleRow], name: str, parameters: tuple[Any, ...] = ()) -> Cursor[TupleRow]:
    """Send one named statement, prepared, with binary results."""
    return connection.execute(QUERIES[name], parameters or None, prepare=True, binary=True)


def columns(pairs: Iterable[tuple[str, str]]) -> tuple[BinaryArray, BinaryArray]:
    """Return pairs of texts as two arrays."""
    rows = list(pairs)
    return text_array([row[0] for row in rows]), text_array([row[1] for row in rows])


def read_batch(connection: Connection[TupleRow], wanted: Wanted, caches: Caches) -> Batch:
    """Begin the transaction, lock the books in order and return them with all that was read."""
    batch = Batch()
    with connection.pipeline():
        run(connection, "begin")
        if wanted.new_books:
            new = sorted(wanted.new_books)
            run(
                connection,
                "insert_missing_books",
                (text_array(new), bytea_array([start_digest(name) for name in new])),
            )
        books = run(connection, "lock_books", (text_array(sorted(wanted.books)),))
        clock = run(connection, "read_clock")
        wallets = run(connection, "read_wallets", (text_array(wanted.books),))
        requests = columns(wanted.requests)
        holds = run(connection, "read_holds", requests) if wanted.requests else None
        ended = run(connection, "read_ended", requests) if wanted.requests else None
        known = run(connection, "read_known", columns(wanted.commands))
        budgets = run(connection, "read_budgets", columns(wanted.budgets)) if wanted.budgets else None
        minutes = run(connection, "read_minutes", columns(wanted.paces)) if wanted.paces else None
        payments = run(connection, "read_payments", columns(wanted.payments)) if wanted.payments else None
        take_books(batch, books)
        batch.clock, platform_position, _ = clock.fetchone() or (0, 0, "")
        take_wallets(batch, wallets)
        if holds is not None and ended is not None:
            take_holds(batch, holds)
            take_ended(batch, ended)
        for row in known.fetchall():
            batch.known[row[0], row[5]] = Recorded(*row)
        if minutes is not None:
            take_minutes(batch, wanted.paces, minutes)
        if payments is not None:
            take_payments(batch, payments)
    refresh(connection, batch, caches, platform_position)
    take_budgets(batch, wanted.budgets, budgets)
    late = budgets_of_ended(batch)
    if late:
        read_more_budgets(connection, batch, late)
    for workspace_id, book in batch.books.items():
        batch.opening[workspace_id] = Opening(dict(book.wallets), dict(book.budgets), dict(book.pace))
    return batch


def take_books(batch: Batch, cursor: Cursor[TupleRow]) -> None:
    """Keep the locked books and where their chains end."""
    for workspace_id, position, digest, recorded_at, workspace_version, catalog_version in cursor.fetchall():
        batch.heads[workspace_id] = Head(position, digest, recorded_at, workspace_version, catalog_version)
        book = BookState(workspace_id)
        book.position = position
        book.recorded_at = recorded_at
        batch.books[workspace_id] = book


def take_wallets(batch: Batch, cursor: Cursor[TupleRow]) -> None:
    """Keep every wallet of the locked books."""
    for workspace_id, *row in cursor.fetchall():
        batch.books[workspace_id].wallets[row[0]] = WalletState(*row)


def take_holds(batch: Batch, cursor: Cursor[TupleRow]) -> None:
    """Keep open requests, and the budgets that they count in."""
    for workspace_id, request_id, state, budgets in cursor.fetchall():
        book = batch.books[workspace_id]
        book.requests[request_id] = decode_request_state(state)
        batch.holds.add((workspace_id, request_id))
        if budgets is not None:
            for name, held, charged in decode_hold_budgets(budgets):
                book.budgets[name] = Budget(held, charged)


def take_ended(batch: Batch, cursor: Cursor[TupleRow]) -> None:
    """Fold requests that have no hold any more from their own events."""
    for row in cursor.fetchall():
        recorded = Recorded(*row)
        request_id = request_of(recorded.stream)
        if request_id is None:
            continue
        requests = batch.books[recorded.workspace_id].requests
        fact = recorded.fact
        event: Any = fact.event
        requests[request_id] = fold_request(requests.get(request_id), event, fact.happened_at)


def take_payments(batch: Batch, cursor: Cursor[TupleRow]) -> None:
    """Keep payments that a command wants to reverse, with what was reversed before."""
    for workspace_id, state in cursor.fetchall():
        event = decode_fact(state).event
        if isinstance(event, FundsAdded | FundsReversed):
            payments = batch.books[workspace_id].payments
            key = (event.source, event.reference)
            payments[key] = fold_payment(payments.get(key), event)


def take_budgets(batch: Batch, wanted: Iterable[tuple[str, str]], cursor: Cursor[TupleRow] | None) -> None:
    """Keep the budgets that were asked for; one that has no row yet is empty."""
    if cursor is None:
        return
    for workspace_id, name in wanted:
        if workspace_id in batch.books:
            batch.books[workspace_id].budgets.setdefault(name, Budget())
    for workspace_id, name, held, charged in cursor.fetchall():
        batch.books[workspace_id].budgets[name] = Budget(held, charged)


def take_minutes(batch: Batch, wanted: Iterable[tuple[str, str]], cursor: Cursor[TupleRow]) -> None:
    """Keep the latest minute of the keys that were asked for; one that has no row yet used nothing."""
    for workspace_id, api_key_id in wanted:
        if workspace_id in batch.books:
            batch.books[workspace_id].pace[api_key_id] = MinuteUse(is_whole=True)
    for workspace_id, api_key_id, minute, requests, tokens in cursor.fetchall():
        batch.books[workspace_id].pace[api_key_id] = MinuteUse(minute, requests, tokens, is_whole=True)


def refresh(connection: Connection[TupleRow], batch: Batch, caches: Caches, platform_position: int | None) -> None:
    """Bring the catalog and the workspaces of the batch to what the locked books say."""
    if platform_position != caches.catalog.position:
        catalog = read_catalog(connection, caches.catalog)
        # Something may have been published since the position was read, and is in the catalog now.
        position = max(catalog.position, platform_position or 0)
        caches.platform = read_workspace(connection, caches.platform)
        closed_period = caches.platform.closed_period
        caches.catalog = msgspec.structs.replace(catalog, position=position, closed_period=closed_period)
    batch.catalog = caches.catalog
    stale: dict[str, int] = {}
    for workspace_id, head in batch.heads.items():
        workspace = caches.workspaces.get(workspace_id)
        if workspace is None or workspace.version > head.workspace_version:
            workspace = WorkspaceState(workspace_id)
        if workspace.version != head.workspace_version:
            stale[workspace_id] = workspace.version
        batch.books[workspace_id].workspace = workspace
        batch.books[workspace_id].catalog = batch.catalog
    if stale:
        parameters = (text_array(stale), int4_array(list(stale.values())))
        for workspace_id, _, state in run(connection, "read_workspace_events", parameters).fetchall():
            event: Any = decode_fact(state).event
            book = batch.books[workspace_id]
            book.workspace = fold_workspace(book.workspace, event)
        for workspace_id in stale:
            caches.workspaces[workspace_id] = batch.books[workspace_id].workspace


def read_catalog(connection: Connection[TupleRow], catalog: Catalog) -> Catalog:
    """Return the catalog with everything published since it was read last."""
    for position, state in run(connection, "read_catalog_events", (catalog.version,)).fetchall():
        event: Any = decode_fact(state).event
        catalog = fold_catalog(catalog, catalog_event(event), position)
    return catalog


def read_workspace(connection: Connection[TupleRow], workspace: WorkspaceState) -> WorkspaceState:
    """Return a workspace with everything that happened to it since it was read last."""
    parameters = (text_array([workspace.workspace_id]), int4_array([workspace.version]))
    for _, _, state in run(connection, "read_workspace_events", parameters).fetchall():
        event: Any = decode_fact(state).event
        workspace = fold_workspace(workspace, event)
    return workspace


def catalog_event(event: Any) -> CatalogEvent:
    """Return an event of the catalog's stream as what it is. Raises TypeError for any other."""
    if not isinstance(event, CatalogEvent):
        raise TypeError(f"{type(event).__name__} is no event of the catalog")
    return event


def budgets_of_ended(batch: Batch) -> list[tuple[str, str]]:
    """Return the budgets that ended requests count in and that were not read with any hold."""
    return [
        (workspace_id, name)
        for workspace_id, book in batch.books.items()
        for state in book.requests.values()
        for name in state.budgets
        if name not in book.budgets
    ]


def read_more_budgets(connection: Connection[TupleRow], batch: Batch, budgets: Iterable[tuple[str, str]]) -> None:
    """Read budgets that turned out to be needed only after the first trip."""
    pairs = list(dict.fromkeys(budgets))
    take_budgets(batch, pairs, run(connection, "read_budgets", columns(pairs)))
