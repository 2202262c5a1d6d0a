"""Balances at any moment, read asynchronously: accounts and wallets of one workspace or of all, and statements.

A moment becomes a position of each book first; then all books are summed at once, in the same snapshot. Rows come
back in smallest parts.
"""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from ledger.core.amounts import Unit
from ledger.store.reader_pool import Fetch
from projections import journal, reading
from projections.balances.moments import Moment
from projections.balances.spans import EVER, BookAt, days_before, sums_of
from projections.balances.wallets import LIMITING_TAGS, WALLET_ACCOUNTS, WalletAt, limits_at, wallet_at
from projections.balances.zones import zone_of_book
from projections.reading import AccountRow, JournalReader, StatementRow

__all__ = ["AccountsAt", "BalanceReader", "NotFollowed", "StatementAt", "WalletsAt"]

T = TypeVar("T")


class NotFollowed(LookupError):
    """The journal has not reached a moment: how many books are behind, and where the first of them is."""

    def __init__(self, books: int, reached: int, wanted: int) -> None:
        super().__init__(f"{books} books are not followed to this moment yet")
        self.books = books
        self.reached = reached
        self.wanted = wanted


class AccountsAt(msgspec.Struct, frozen=True):
    """Accounts with what had gone through them, bucket by bucket, over these books at their positions."""

    books: list[BookAt]
    accounts: list[AccountRow]


class WalletsAt(msgspec.Struct, frozen=True):
    """The wallets of these books at their positions."""

    books: list[BookAt]
    wallets: list[WalletAt]


class StatementAt(msgspec.Struct, frozen=True):
    """Some lines of a wallet's statement up to a moment; `unit` is None where the book has no such wallet."""

    books: list[BookAt]
    unit: Unit | None
    lines: list[StatementRow]


class Snapshot(msgspec.Struct, frozen=True):
    """Some books at a moment, what reads more of it, and of whom they are: a workspace, or all."""

    fetch: Fetch
    generation: int
    books: list[BookAt]
    workspace_id: str | None


class StatementPlace(msgspec.Struct, frozen=True):
    """Which part of a statement is read: of a bucket, after a position, so many lines at most."""

    bucket: str
    after: int
    limit: int


class BalanceReader:
    """Reads over the journal's connections. Every method raises Refused(UNAVAILABLE) when the database is away.

    Without a moment the books are read as far as they are followed. A moment that is not followed yet is waited for,
    5 s at most or as long as stated; then NotFollowed is raised. A workspace without a book is answered with no books.
    """

    def __init__(self, reader: JournalReader, wait_seconds: float | None = None) -> None:
        self._reader = reader
        self._wait_seconds = wait_seconds

    async def accounts(self, moment: Moment | None, workspace_id: str | None = None) -> AccountsAt:
        """Return the accounts of a workspace, or summed over all books: then not at a position, which is one book's."""
        return await self._read(moment, workspace_id, read_accounts)

    async def wallets(
        self, moment: Moment | None, workspace_id: str | None = None, bucket: str | None = None
    ) -> WalletsAt:
        """Return the wallets of a workspace or of all, or those in one bucket."""
        return await self._read(moment, workspace_id, lambda snapshot: read_wallets(snapshot, bucket))

    async def statement(self, moment: Moment, workspace_id: str, bucket: str, after: int, limit: int) -> StatementAt:
        """Return what moved a wallet after a position and up to a moment, in order of position."""
        place = StatementPlace(bucket, after, limit)
        return await self._read(moment, workspace_id, lambda snapshot: read_statement(snapshot, place))

    async def _read(
        self, moment: Moment | None, workspace_id: str | None, read: Callable[[Snapshot], Awaitable[T]]
    ) -> T:
        """Return what is read of the books at a moment, once they are followed that far."""
        wait_seconds = reading.WAIT_SECONDS_MAX if self._wait_seconds is None else self._wait_seconds
        deadline = monotonic() + wait_seconds
        pause, longest = reading.POLL_SECONDS
        while True:
            generation = await self._generation()
            async with self._reader.snapshot() as fetch:
                books = await books_at(fetch, generation, moment, workspace_id)
                behind = [book for book in books if book.followed < book.position]
                found = None if behind else await read(Snapshot(fetch, generation, books, workspace_id))
            # A generation that was dropped meanwhile would have been read as one without entries.
            if found is not None and await self._generation() == generation:
                return found
            if behind and monotonic() >= deadline:
                raise NotFollowed(len(behind), behind[0].followed, behind[0].position)
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)

    async def _generation(self) -> int:
        rows = await self._reader.fetch("read_active_generation")
        return int(rows[0][0])


async def books_at(fetch: Fetch, generation: int, moment: Moment | None, workspace_id: str | None) -> list[BookAt]:
    """Return the books at a moment. Some may not be followed that far."""
    rows = await fetch("read_books", generation=generation, workspace_id=workspace_id)
    books = [BookAt(name, zone_of_book(state), followed, followed) for name, _, followed, state in rows]
    if moment is None:
        return books
    if moment.position is not None:
        return [replace(book, position=moment.position) for book in books]
    befores = [moment.before(book.time_zone) for book in books]
    if moment.kind == "effective":
        return [replace(book, effective_before=before) for book, before in zip(books, befores, strict=True)]
    names = [book.workspace_id for book in books]
    positions: dict[str, int] = dict(await fetch("find_positions", workspace_ids=names, befores=befores))
    return [replace(book, position=positions[book.workspace_id]) for book in books]


async def read_accounts(snapshot: Snapshot) -> AccountsAt:
    """Return the accounts of all of a snapshot's books together."""
    own = {"generation": snapshot.generation, "workspace_id": snapshot.workspace_id}
    units = {bucket: Unit(unit, scale) for bucket, unit, scale in await snapshot.fetch("read_units", **own)}
    sums = sums_of(snapshot.books, in_snapshot=True, are_all=snapshot.workspace_id is None)
    rows = await snapshot.fetch(
        "read_turnovers", generation=snapshot.generation, by_workspace=False, bucket=None, accounts=None, **sums
    )
    accounts = [
        AccountRow(bucket, units[bucket], account, int(debit), int(credit))
        for _, bucket, account, debit, credit in rows
    ]
    return AccountsAt(snapshot.books, accounts)


async def read_wallets(snapshot: Snapshot, bucket: str | None) -> WalletsAt:
    """Return the wallets of a snapshot's books, or those in one bucket."""
    books = {book.workspace_id: book for book in snapshot.books}
    own = {"generation": snapshot.generation, "bucket": bucket}
    places = {**own, "workspace_ids": list(books)}
    positions = [book.position for book in snapshot.books]
    units = await snapshot.fetch("read_wallets_of_books", **places)
    stated = await snapshot.fetch("read_limits", **places, positions=positions, tags=LIMITING_TAGS)
    sums = sums_of(snapshot.books, in_snapshot=True, are_all=snapshot.workspace_id is None)
    rows = await snapshot.fetch("read_turnovers", **own, by_workspace=True, accounts=WALLET_ACCOUNTS, **sums)
    limits = limits_at(books, stated)
    turnovers: dict[tuple[str, str], dict[str, tuple[int, int]]] = {}
    for name, of_bucket, account, debit, credit in rows:
        turnovers.setdefault((name, of_bucket), {})[account] = (int(debit), int(credit))
    wallets = [
        wallet_at(books[name], own, Unit(unit, scale), turnovers.get((name, own), {}), limits.get((name, own)))
        for name, own, unit, scale in units
    ]
    return WalletsAt(snapshot.books, wallets)


async def read_statement(snapshot: Snapshot, place: StatementPlace) -> StatementAt:
    """Return a part of a statement."""
    if not snapshot.books:
        return StatementAt([], None, [])
    (book,) = snapshot.books
    own = {"generation": snapshot.generation, "bucket": place.bucket}
    units = await snapshot.fetch("read_wallets_of_books", **own, workspace_ids=[book.workspace_id])
    rows = await snapshot.fetch(
        "read_statement_until", **own, workspace_id=book.workspace_id, accounts=WALLET_ACCOUNTS, after=place.after,
        limit=place.limit, position=book.position, days_before=days_before(book), block_bits=journal.BLOCK_BITS,
        effective_before=EVER if book.effective_before is None else book.effective_before,
    )  # fmt: skip
    unit = Unit(*units[0][2:]) if units else None
    return StatementAt(snapshot.books, unit, [StatementRow(*row) for row in rows])
