"""The funding tie-out as plain structs. No framework and no database driver is imported.

A row has one bucket and one source, and its amounts are in the bucket's unit. What was paid is a memo, in the currency
of the payment: each currency has totals of its own, and none is added to anything else.
"""

from typing import Literal

import msgspec

from ledger.core.amounts import StatedAmount
from projections.change.answers import Span

__all__ = [
    "FundingEvents", "FundingKind", "FundingPage", "FundingRow", "ListedFunding", "MemoTotal", "RepeatedId",
]  # fmt: skip

FundingKind = Literal["payment", "reversal", "withdrawal"]


class MemoTotal(msgspec.Struct, frozen=True):
    """What memos in one currency come to. `without_fee` is how many state no fee: that is unknown, not zero.

    `fee` is null where none states one.
    """

    currency: str
    amount: str
    fee: str | None
    events: int
    without_fee: int


class FundingEvents(msgspec.Struct, frozen=True):
    """Events of one kind: how many, what they moved in the bucket's unit, and their memos, currency by currency."""

    events: int
    amount: StatedAmount
    memos: list[MemoTotal]
    without_memo: int
    without_external_id: int


class FundingRow(msgspec.Struct, frozen=True):
    """One source in one bucket. `net` = debit − credit is what the account says of the period.

    `difference` = net − (payments − reversals − withdrawals), and `balance_difference` is the same of everything until
    the end of the period: both are zero, or the books are wrong.
    """

    bucket: str
    unit: str
    source: str
    account: str
    books: int
    opening: StatedAmount
    debit: StatedAmount
    credit: StatedAmount
    net: StatedAmount
    balance: StatedAmount
    payments: FundingEvents
    reversals: FundingEvents
    withdrawals: FundingEvents
    difference: StatedAmount
    balance_difference: StatedAmount
    ties_out: bool


class ListedFunding(msgspec.Struct, frozen=True):
    """One event of the period, and what its memo lacks: all of it, or the external id."""

    workspace_id: str
    position: int
    kind: FundingKind
    happened_at: str
    bucket: str
    source: str
    reference: str
    amount: StatedAmount
    lacks: Literal["memo", "external_id"]


class UseOfId(msgspec.Struct, frozen=True):
    """One event that has an external id."""

    workspace_id: str
    position: int
    bucket: str
    reference: str
    happened_at: str


class RepeatedId(msgspec.Struct, frozen=True):
    """An external id that several payments, or several withdrawals, of one source have."""

    kind: FundingKind
    source: str
    external_id: str
    uses: list[UseOfId]


class FundingPage(msgspec.Struct, frozen=True, kw_only=True):
    """All sources of a workspace, or of all. `position` is the book's, for one workspace.

    Lists are cut after so many; `incomplete` and `repeated` count them all.
    """

    workspace_id: str | None
    zone: str
    period: Span
    position: int | None
    books: int
    complete: bool
    ties_out: bool
    rows: list[FundingRow]
    incomplete: int
    incomplete_events: list[ListedFunding]
    repeated: int
    repeated_ids: list[RepeatedId]
