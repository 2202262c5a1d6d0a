"""What the journal's pages answer, as plain structs: for the server that makes them and for clients that read them.

No framework and no database driver is imported. No struct holds amounts of two buckets.
"""

import msgspec

from ledger.core.accounts import AccountType
from ledger.core.amounts import StatedAmount
from projections.balances.moments import MomentKind


class BalanceMoment(msgspec.Struct, frozen=True):
    """The moment that an answer is for: `by` position, time of recording, or time at which things happened.

    A `day` means its end, in `zone`: null over all workspaces where each has its own. `through` is the last instant
    that counts, null for a position and where each workspace has its own.
    """

    by: MomentKind
    day: str | None
    zone: str | None
    through: str | None


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
    """A trial balance per bucket; buckets are never added to each other. `position` only for one workspace.

    `as_of` is the moment that was asked for, null for now. Over all books at a moment, `positions` are those of each.
    """

    workspace_id: str | None
    position: int | None
    buckets: list[TrialBalanceOfBucket]
    as_of: BalanceMoment | None = None
    positions: dict[str, int] | None = None


class WalletBalance(msgspec.Struct, frozen=True):
    """A wallet's balances at a position of its book, and at a moment if one was asked for.

    available = posted − held + credit limit, and the limit is the one that was in force then.
    """

    workspace_id: str
    bucket: str
    position: int
    as_of: BalanceMoment | None
    posted: StatedAmount
    held: StatedAmount
    available: StatedAmount
    credit_limit: StatedAmount


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
