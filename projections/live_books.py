"""What is live of some books, read in the snapshot in which they are replayed."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.core.accounts import WALLET_HELD, overrun, refunds, revenue
from ledger.request.state import RequestState
from ledger.store.queries import load_queries
from ledger.wallet.state import WalletState
from ledger.workspace.budgets import Budget
from projections.comparing import Balances, LiveBook, LiveHold
from projections.connections import run
from projections.journal import JOURNAL
from projections.route_ledger.writing import ROUTE_LEDGER

__all__ = ["Rows", "decode_state", "read_accounts", "read_decisions", "read_live", "read_route_ledger", "rows_of"]

QUERIES = load_queries("projections.sql", "replay.sql")

Rows = Callable[[str], Iterator[tuple[LiveBook, list[Any]]]]
"""Returns the rows of a named query, each with the book that it belongs to."""

_decode_state = msgspec.json.Decoder(RequestState).decode


def read_live(connection: Connection[TupleRow], names: list[str]) -> dict[str, LiveBook]:
    """Return what is live of some books."""
    books = {name: LiveBook() for name in names}
    rows = rows_of(connection, books)
    read_decisions(rows)
    read_holds(rows)
    for book, (projection, position) in rows("read_progress"):
        if projection == JOURNAL:
            book.journal_position = position
        elif projection == ROUTE_LEDGER:
            book.route_position = position
    read_accounts(rows)
    read_legs(rows)
    read_route_ledger(rows)
    return books


def rows_of(connection: Connection[TupleRow], books: Mapping[str, LiveBook]) -> Rows:
    """Return what reads the rows that a named query finds of some books."""
    names = list(books)

    def rows(query: str) -> Iterator[tuple[LiveBook, list[Any]]]:
        for name, *row in run(connection, QUERIES[query], (names,)):
            yield books[name], row

    return rows


def read_decisions(rows: Rows) -> None:
    """Read the heads of the books, and what decisions are made on beside the open requests."""
    for book, row in rows("read_heads"):
        book.position, book.digest, book.recorded_at, book.workspace_version, book.catalog_version = row
    for book, row in rows("read_wallets"):
        book.wallets[row[0]] = WalletState(*row)
    for book, (name, held, charged) in rows("read_budgets"):
        book.budgets[name] = Budget(held, charged)


def read_holds(rows: Rows) -> None:
    """Read the open requests."""
    for book, (request_id, bucket, held, expires_at, budgets, state) in rows("read_holds"):
        book.holds[request_id] = LiveHold(bucket, held, expires_at, tuple(budgets), decode_state(state))


def decode_state(state: bytes) -> RequestState | None:
    """Return the state that a hold's row has, None for bytes that are none."""
    try:
        return _decode_state(state)
    except msgspec.MsgspecError:
        return None


def read_accounts(rows: Rows) -> None:
    """Read what has gone through the accounts."""
    for book, (bucket, account, debit, credit) in rows("read_accounts"):
        book.accounts[bucket, account] = [int(debit), int(credit)]


def read_legs(rows: Rows) -> None:
    """Read what the legs come to."""
    for book, (bucket, debit_account, credit_account, minor) in rows("read_leg_sums"):
        book.leg_sums.setdefault((bucket, debit_account), [0, 0])[0] += int(minor)
        book.leg_sums.setdefault((bucket, credit_account), [0, 0])[1] += int(minor)


def read_route_ledger(rows: Rows) -> None:
    """Read what the requests come to, and what was spent."""
    for book, (bucket, route, *sums, held) in rows("read_request_sums"):
        add_route(book.request_balances, bucket, route, *map(int, sums))
        add_balance(book.request_balances, (bucket, WALLET_HELD), -int(held))
    for book, (bucket, route, *sums) in rows("read_spend_sums"):
        add_route(book.spend_balances, bucket, route, *map(int, sums))


def add_route(balances: Balances, bucket: str, route: str, charge: int, unpaid: int, refunded: int) -> None:
    """Add what a route's requests come to, in smallest parts, to the accounts that their events have moved."""
    add_balance(balances, (bucket, revenue(route)), -charge)
    add_balance(balances, (bucket, overrun(route)), unpaid)
    add_balance(balances, (bucket, refunds(route)), refunded)


def add_balance(balances: Balances, account: tuple[str, str], minor: int) -> None:
    """Add to an account of a bucket."""
    balances[account] = balances.get(account, 0) + minor
