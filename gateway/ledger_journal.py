"""A ledger elsewhere: what it answers to reads of its journal, and its listings. Nothing adds two buckets."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from gateway.ledger_answers import Decoder
from projections.api.answers import BookEvent, JournalEntry, StatementLine, TrialBalance
from projections.receipt.answers import Receipt

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A part of a listing; `next_cursor` leads on while `has_more`."""

    data: list[T]
    next_cursor: str | None
    has_more: bool


class Listing(msgspec.Struct, Generic[T], frozen=True):
    """Something that is read page by page: the names in its path, and how a page is decoded."""

    names: tuple[str, ...]
    decode: Callable[[bytes], Page[T]]


decode_trial_balance = Decoder(TrialBalance)
decode_entries = Decoder(Page[JournalEntry])
decode_events = Decoder(Page[BookEvent])
decode_statement = Decoder(Page[StatementLine])
decode_receipt = Decoder(Receipt)


def entries_listing(workspace_id: str) -> Listing[JournalEntry]:
    """Return the listing of a workspace's entries."""
    return Listing(("workspaces", workspace_id, "entries"), decode_entries)


def events_listing(workspace_id: str) -> Listing[BookEvent]:
    """Return the listing of a workspace's events."""
    return Listing(("workspaces", workspace_id, "events"), decode_events)


def statement_listing(workspace_id: str, bucket: str) -> Listing[StatementLine]:
    """Return the listing of a wallet's statement."""
    return Listing(("wallets", workspace_id, bucket, "statement"), decode_statement)
