"""What the read side can be asked, asynchronously: balances, entries, events, statements, and how far it is.

Rows come back as structs in smallest parts; how they look to a caller is the business of `projections.api`.
"""

import asyncio
from contextlib import AbstractAsyncContextManager
from time import monotonic
from typing import Any

import msgspec
from psycopg.rows import TupleRow

from ledger.core.amounts import Unit
from ledger.events import REQUEST_STREAM, Recorded
from ledger.store.queries import load_queries
from ledger.store.reader_pool import Fetch, ReaderPool
from projections.connections import PROJECTOR_ROLE
from projections.spend.reading import SpendReader

__all__ = [
    "AccountRow", "AccountRows", "EntryWithLegs", "Failure", "JournalReader", "Lag", "LegOfEntry", "StatementRow",
]  # fmt: skip

QUERIES = {
    name: query
    for file in (
        "reading.sql",
        "requests.sql",
        "rerating.sql",
        "actions.sql",
        "statements.sql",
        "funding.sql",
        "balances.sql",
    )
    for name, query in load_queries("projections.sql", file).items()
}
WAIT_SECONDS_MAX = 5.0
POLL_SECONDS = (0.005, 0.1)
"""The first and the longest pause between two looks at a position."""


class AccountRow(msgspec.Struct, frozen=True):
    """One account's turnovers, of one book or of all of them. `books` is how many books have it."""

    bucket: str
    unit: Unit
    account: str
    debit_minor: int
    credit_minor: int
    books: int = 1


class AccountRows(msgspec.Struct, frozen=True):
    """A book's accounts at the position that was followed."""

    position: int
    accounts: list[AccountRow]


class LegOfEntry(msgspec.Struct, frozen=True):
    """One movement of an entry."""

    debit_account: str
    credit_account: str
    minor: int


class EntryWithLegs(msgspec.Struct, frozen=True):
    """An entry as the general ledger has it. Instants are microseconds since 1970."""

    bucket: str
    unit: Unit
    position: int
    tag: str
    request_id: str | None
    effective_at: int
    recorded_at: int
    legs: list[LegOfEntry]


class StatementRow(msgspec.Struct, frozen=True):
    """What an entry did to a wallet (`*_change_minor`), and the wallet's balances after it."""

    position: int
    tag: str
    request_id: str | None
    effective_at: int
    recorded_at: int
    posted_change_minor: int
    held_change_minor: int
    posted_minor: int
    held_minor: int
    available_minor: int


class Lag(msgspec.Struct, frozen=True):
    """How far a projection is behind the books, all together."""

    projection: str
    generation: int
    events_behind: int
    books_behind: int
    books_failed: int


class Failure(msgspec.Struct, frozen=True):
    """A book whose projection stands still at an event that cannot be applied."""

    projection: str
    workspace_id: str
    failed_position: int
    failure: str


class JournalReader:
    """Reads over a small pool. Every method raises Refused(UNAVAILABLE) when the database is away."""

    def __init__(self, url: str) -> None:
        # Conditions that are left out must not cost the ones that are given their index.
        plans = "-c plan_cache_mode=force_custom_plan"
        options = f"-c role={PROJECTOR_ROLE} -c default_transaction_read_only=on -c statement_timeout=30s {plans}"
        self._pool = ReaderPool(url, QUERIES, "journal reader", options)
        self.spend = SpendReader(url)

    async def close(self) -> None:
        """Close the connections, if there were any."""
        await self._pool.close()
        await self.spend.close()

    async def fetch(self, query: str, /, **parameters: Any) -> list[TupleRow]:
        """Return the rows of a named query."""
        return await self._pool.fetch(query, **parameters)

    def snapshot(self) -> AbstractAsyncContextManager[Fetch]:
        """Return what yields a `fetch` of which all rows are of one moment."""
        return self._pool.snapshot()

    async def accounts(self, workspace_id: str) -> AccountRows | None:
        """Return a book's accounts, or None for a book that was not followed yet."""
        rows = await self.fetch("read_accounts", workspace_id=workspace_id)
        if not rows:
            return None
        accounts = [
            AccountRow(bucket, Unit(unit, scale), account, int(debit), int(credit))
            for _, bucket, unit, scale, account, debit, credit in rows
            if account is not None
        ]
        return AccountRows(rows[0][0], accounts)

    async def trial_balance(self) -> list[AccountRow]:
        """Return every account summed over all books, bucket by bucket."""
        return [
            AccountRow(bucket, Unit(unit, scale), account, int(debit), int(credit), books)
            for bucket, unit, scale, account, debit, credit, books in await self.fetch("read_trial_balance")
        ]

    async def entries(self, workspace_id: str, after: tuple[int, str], limit: int) -> list[EntryWithLegs]:
        """Return a book's entries after a place (position, bucket), in order."""
        position, bucket = after
        rows = await self.fetch(
            "read_entries", workspace_id=workspace_id, position=position, bucket=bucket, limit=limit
        )
        return [
            EntryWithLegs(
                row[0],
                Unit(row[1], row[2]),
                row[3],
                row[4],
                row[5],
                row[6],
                row[7],
                [LegOfEntry(*leg) for leg in zip(*row[8:11], strict=True)],
            )
            for row in rows
        ]

    async def events(self, workspace_id: str, after: int, limit: int) -> list[Recorded]:
        """Return a book's events after a position, as they were recorded."""
        rows = await self.fetch("read_events", workspace_id=workspace_id, position=after, limit=limit)
        return [Recorded(*row) for row in rows]

    async def request_events(self, workspace_id: str, request_id: str) -> list[Recorded]:
        """Return all events of a request in order, none for one that the book does not know. There is no lag."""
        rows = await self.fetch("read_stream", workspace_id=workspace_id, stream=REQUEST_STREAM + request_id)
        return [Recorded(*row) for row in rows]

    async def books_of_request(self, request_id: str) -> list[str]:
        """Return the first ten workspaces that have a request with this id."""
        return [row[0] for row in await self.fetch("find_books_of_stream", stream=REQUEST_STREAM + request_id)]

    async def wallet_unit(self, workspace_id: str, bucket: str) -> Unit | None:
        """Return the unit of a wallet, or None where the followed book has no such wallet."""
        rows = await self.fetch("read_wallet", workspace_id=workspace_id, bucket=bucket)
        return Unit(*rows[0]) if rows else None

    async def statement(self, workspace_id: str, bucket: str, after: int, limit: int) -> list[StatementRow]:
        """Return what moved a wallet after a position, in order."""
        rows = await self.fetch("read_statement", workspace_id=workspace_id, bucket=bucket, position=after, limit=limit)
        return [StatementRow(*row) for row in rows]

    async def book_position(self, workspace_id: str) -> int:
        """Return the position of a book's last event, 0 for a book that is not there."""
        rows = await self.fetch("read_book_position", workspace_id=workspace_id)
        return int(rows[0][0]) if rows else 0

    async def followed_position(self, workspace_id: str, projection: str = "journal") -> int:
        """Return the position up to which a projection has followed a book."""
        rows = await self.fetch("read_followed_position", workspace_id=workspace_id, projection=projection)
        return int(rows[0][0]) if rows else 0

    async def wait_for(self, workspace_id: str, position: int, projection: str = "journal") -> int:
        """Return a projection's position once it is at least `position`, or the one reached when 5 s are over."""
        deadline = monotonic() + WAIT_SECONDS_MAX
        pause, longest = POLL_SECONDS
        while (reached := await self.followed_position(workspace_id, projection)) < position and monotonic() < deadline:
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)
        return reached

    async def lag(self) -> list[Lag]:
        """Return how far each projection is behind."""
        return [Lag(*row) for row in await self.fetch("read_lag")]

    async def failures(self) -> list[Failure]:
        """Return the first hundred books whose projection stands still."""
        return [Failure(*row) for row in await self.fetch("read_failures")]
