"""What the journal's pages answer, as plain structs: for the server that makes them and for clients that read them.

No framework and no database driver is imported. No struct holds amounts of two buckets.
"""

import msgspec

from ledger.core.accounts import AccountType
from ledger.core.amounts import StatedAmount


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
    """A trial balance per bucket; buckets are never added to each other. `position` only for one workspace."""

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
