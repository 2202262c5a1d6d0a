"""A statement as it is read: exact at one position of the book while followers move on.

The route ledger is read first, with its position in the same snapshot. Then the journal is waited for until it has that
position too, and everything else is read as of it.
"""

import msgspec
from psycopg.rows import TupleRow

from ledger.core.amounts import Unit
from ledger.events import decode_fact
from ledger.store.reader_pool import Fetch
from projections import journal
from projections.balances.spans import BookAt, sums_of
from projections.balances.wallets import WALLET_ACCOUNTS
from projections.days import Calendar
from projections.reading import JournalReader
from projections.statements.asking import Month
from projections.statements.found import BalanceFound, ChargesFound, PlacedFact, StatementFound, balance_in
from projections.statements.funds import FUNDS_TAGS
from projections.statements.telling import MOVED_WORDS, PERIOD_TAGS

__all__ = ["MOVED_MAX", "JournalBehind", "StatementReader", "WalletUnknown"]

MOVED_MAX = 1000
"""How many postings that a closed period moved are listed."""

_decode_amounts = msgspec.json.Decoder(list[int]).decode


class WalletUnknown(LookupError):
    """The book has no such wallet, as far as it is followed."""


class JournalBehind(LookupError):
    """The journal has not reached the position that the route ledger has."""

    def __init__(self, reached: int, wanted: int) -> None:
        super().__init__(f"the journal is at position {reached}, and not at {wanted} yet")
        self.reached = reached
        self.wanted = wanted


class StatementReader:
    """Reads what statements are made of. Raises Refused(UNAVAILABLE) when the database is away."""

    def __init__(self, reader: JournalReader) -> None:
        self._reader = reader

    async def find(self, workspace_id: str, bucket: str, month: Month) -> StatementFound:
        """Return what a statement is made of. Raises WalletUnknown, JournalBehind."""
        asked = {"workspace_id": workspace_id, "bucket": bucket, "begin": month.begin, "end": month.end}
        charges = await self._reader.spend.fetch("read_statement_charges", **asked)
        if not charges:
            raise WalletUnknown(bucket)
        wanted = Wanted(workspace_id, bucket, month, charges[0][0])
        await self._reader.wait_for(workspace_id, wanted.position)
        while True:
            generation = await self._generation()
            async with self._reader.snapshot() as fetch:
                found = await read_rest(fetch, generation, wanted, charges)
            # A generation that was dropped meanwhile would have been read as one without entries.
            if await self._generation() == generation:
                return found

    async def _generation(self) -> int:
        rows = await self._reader.fetch("read_active_generation")
        return int(rows[0][0])


class Wanted(msgspec.Struct, frozen=True):
    """Which statement is made, and the position of the book that it holds for."""

    workspace_id: str
    bucket: str
    month: Month
    position: int


async def read_rest(fetch: Fetch, generation: int, wanted: Wanted, charges: list[TupleRow]) -> StatementFound:
    """Return the charges with all that the journal and the book say beside them, as of the same position."""
    units = await read_units(fetch, wanted)
    opening, closing = await read_balances(fetch, generation, wanted)
    moved = await read_moved(fetch, wanted)
    return StatementFound(
        position=wanted.position,
        events_behind=charges[0][1],
        units=units,
        opening=opening,
        closing=closing,
        charges=[charges_found(row) for row in charges if row[2] is not None],
        facts=await read_facts(fetch, wanted),
        moved=moved[:MOVED_MAX],
        has_more_moved=len(moved) > MOVED_MAX,
    )


async def read_units(fetch: Fetch, wanted: Wanted) -> dict[str, Unit]:
    """Return the units of the workspace's wallets. Raises WalletUnknown."""
    rows = await fetch("read_statement_units", workspace_id=wanted.workspace_id)
    units = {bucket: Unit(unit, scale) for bucket, unit, scale in rows}
    if wanted.bucket not in units:
        raise WalletUnknown(wanted.bucket)
    return units


async def read_balances(fetch: Fetch, generation: int, wanted: Wanted) -> tuple[BalanceFound, BalanceFound]:
    """Return the balances before the month and at its end. Raises JournalBehind."""
    rows = await fetch("read_books", generation=generation, workspace_id=wanted.workspace_id)
    followed = rows[0][2] if rows else 0
    if followed < wanted.position:
        raise JournalBehind(followed, wanted.position)
    month = wanted.month
    opening, closing = [
        await read_balance(
            fetch,
            generation,
            wanted.bucket,
            BookAt(wanted.workspace_id, month.zone_name, followed, wanted.position, before),
        )
        for before in (month.begin, month.end)
    ]
    return opening, closing


async def read_balance(fetch: Fetch, generation: int, bucket: str, book: BookAt) -> BalanceFound:
    """Return a wallet's balance at a moment of its book."""
    sums = sums_of([book], in_snapshot=True)
    rows = await fetch(
        "read_turnovers", generation=generation, by_workspace=False, bucket=bucket, accounts=WALLET_ACCOUNTS, **sums
    )
    return balance_in({(bucket, account): (int(debit), int(credit)) for _, _, account, debit, credit in rows}, bucket)


async def read_facts(fetch: Fetch, wanted: Wanted) -> list[PlacedFact]:
    """Return the money events of the workspace's wallets, and what closed or reopened periods."""
    rows = await fetch(
        "read_statement_facts",
        workspace_id=wanted.workspace_id,
        position=wanted.position,
        funds_tags=FUNDS_TAGS,
        period_tags=PERIOD_TAGS,
    )
    return [placed_fact(row) for row in rows]


async def read_moved(fetch: Fetch, wanted: Wanted) -> list[PlacedFact]:
    """Return what closed periods moved into the month, one more than is listed at most."""
    rows = await fetch(
        "read_moved",
        workspace_id=wanted.workspace_id,
        bucket=wanted.bucket,
        day=Calendar(wanted.month.zone_name).day_of(wanted.month.begin),
        begin=wanted.month.begin,
        block_bits=journal.BLOCK_BITS,
        position=wanted.position,
        tags=list(MOVED_WORDS),
        limit=MOVED_MAX + 1,
    )
    return [placed_fact(row) for row in rows]


def charges_found(row: TupleRow) -> ChargesFound:
    """Return what one project was charged for one model."""
    _, _, project, model, requests, input_tokens, output_tokens, amounts = row
    return ChargesFound(project, model, requests, input_tokens, output_tokens, *_decode_amounts(amounts))


def placed_fact(row: TupleRow) -> PlacedFact:
    """Return a fact out of a row of the book."""
    position, stream, tag, recorded_at, state = row
    return PlacedFact(position, stream, tag, recorded_at, decode_fact(state))
