"""A ledger elsewhere: what it answers to reads of its journal, and its listings. Nothing adds two buckets."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from gateway.ledger_answers import Decoder
from ledger.core.accounts import AccountType
from ledger.core.amounts import StatedAmount

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a listing; `next_cursor` leads on while `has_more`."""

    data: list[T]
    next_cursor: str | None
    has_more: bool


class TrialLine(msgspec.Struct, frozen=True):
    """An account's balance in its column. The other column is zero."""

    account: str
    type: AccountType
    debit: StatedAmount
    credit: StatedAmount


class TrialBalanceOfBucket(msgspec.Struct, frozen=True):
    """One bucket's accounts. Both columns add up to the same: the difference is zero, or the books are wrong."""

    bucket: str
    lines: list[TrialLine]
    debit: StatedAmount
    credit: StatedAmount
    difference: StatedAmount
    in_balance: bool


class TrialBalance(msgspec.Struct, frozen=True):
    """A trial balance per bucket, of one workspace at a position of its book, or of all books."""

    workspace_id: str | None
    position: int | None
    buckets: list[TrialBalanceOfBucket]


class EntryLeg(msgspec.Struct, frozen=True):
    """A movement from the credit account to the debit account."""

    debit_account: str
    credit_account: str
    amount: StatedAmount


class JournalEntry(msgspec.Struct, frozen=True):
    """What one event did in one bucket."""

    bucket: str
    position: int
    tag: str
    request_id: str | None
    effective_at: str
    recorded_at: str
    legs: list[EntryLeg]


class BookEvent(msgspec.Struct, frozen=True):
    """An event with its envelope; `fact` is the stored text itself, `digest` the chain's up to here, in hex."""

    workspace_id: str
    position: int
    stream: str
    version: int
    tag: str
    command_id: str
    recorded_at: str
    fact: msgspec.Raw
    digest: str


class StatementLine(msgspec.Struct, frozen=True):
    """What an entry changed in a wallet, and the balances after it. available = posted − held + credit limit."""

    position: int
    tag: str
    request_id: str | None
    effective_at: str
    recorded_at: str
    posted_change: StatedAmount
    held_change: StatedAmount
    posted: StatedAmount
    held: StatedAmount
    available: StatedAmount


class Listing(msgspec.Struct, Generic[T], frozen=True):
    """Something that is read page by page: the names in its path, and how a page is decoded."""

    names: tuple[str, ...]
    decode: Callable[[bytes], Page[T]]


decode_trial_balance = Decoder(TrialBalance)
decode_entries = Decoder(Page[JournalEntry])
decode_events = Decoder(Page[BookEvent])
decode_statement = Decoder(Page[StatementLine])


def entries_listing(workspace_id: str) -> Listing[JournalEntry]:
    """Return the listing of a workspace's entries."""
    return Listing(("workspaces", workspace_id, "entries"), decode_entries)


def events_listing(workspace_id: str) -> Listing[BookEvent]:
    """Return the listing of a workspace's events."""
    return Listing(("workspaces", workspace_id, "events"), decode_events)


def statement_listing(workspace_id: str, bucket: str) -> Listing[StatementLine]:
    """Return the listing of a wallet's statement."""
    return Listing(("wallets", workspace_id, bucket, "statement"), decode_statement)
