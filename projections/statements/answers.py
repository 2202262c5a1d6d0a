"""A statement as plain structs: for the server that makes it and for clients that read it.

No framework and no database driver is imported. All amounts are in the statement's one unit, but for two memos that
are added to nothing: what was paid, in the currency of the payment, and the other side of an exchange.
"""

from typing import Literal

import msgspec

from ledger.core.amounts import StatedAmount
from projections.change.answers import Span

__all__ = [
    "ChargeLine", "Closing", "FundsKind", "FundsLine", "MovedPosting", "OtherSide", "PaidMemo", "Statement",
    "StatementBalance", "StatementChanges",
]  # fmt: skip

FundsKind = Literal["payment", "grant", "reversal", "withdrawal", "exchange", "adjustment"]


class StatementBalance(msgspec.Struct, frozen=True):
    """A balance, and how much of it open requests had reserved."""

    balance: StatedAmount
    reserved: StatedAmount


class StatementChanges(msgspec.Struct, frozen=True):
    """What changed the balance, kind by kind; what takes from it is negative. Opening + all of these = closing."""

    payments: StatedAmount
    grants: StatedAmount
    reversals: StatedAmount
    withdrawals: StatedAmount
    exchanges: StatedAmount
    adjustments: StatedAmount
    charges: StatedAmount
    corrections: StatedAmount
    refunds: StatedAmount


class PaidMemo(msgspec.Struct, frozen=True):
    """What was paid, in decimal text in the currency of the payment. A memo: it is added to nothing."""

    amount: str
    currency: str
    fee: str | None
    external_id: str | None


class OtherSide(msgspec.Struct, frozen=True):
    """The other bucket of an exchange, what it gave or got, and the rate that was stated. A memo."""

    bucket: str
    amount: StatedAmount
    rate: str


class FundsLine(msgspec.Struct, frozen=True):
    """Money in or out beside charges. `amount` is what it did to the balance.

    `reference` is the payment's own, or the id of the grant, exchange or adjustment. `served_at` only where it happened
    in a period that was closed when it was recorded.
    """

    position: int
    kind: FundsKind
    happened_at: str
    amount: StatedAmount
    source: str | None
    reference: str
    paid: PaidMemo | None
    other_side: OtherSide | None
    served_at: str | None


class ChargeLine(msgspec.Struct, frozen=True):
    """What requests of one project for one model took: net = charged + corrected − refunded.

    `requests` are those that were charged in the month, with their tokens. Corrections and refunds stand in the month
    in which they were made.
    """

    project: str
    model: str
    requests: int
    input_tokens: int
    output_tokens: int
    charged: StatedAmount
    corrected: StatedAmount
    refunded: StatedAmount
    net: StatedAmount


class MovedPosting(msgspec.Struct, frozen=True):
    """A posting that is part of this month because its own had been closed. `amount` is what it did to the balance."""

    position: int
    what: str
    request_id: str | None
    served_at: str
    amount: StatedAmount


class Closing(msgspec.Struct, frozen=True):
    """The event that closed the month, or a later one and so all before it: its position, and when it was recorded."""

    position: int
    recorded_at: str


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """The statement of one bucket and month, as the book was at `position`; its days are those of `zone`.

    It ties out when opening + all changes = closing, to the last unit; `problems` says what does not. It is complete
    when it does, and nothing in the book is behind that position. `closed` is null while the month takes postings,
    and where it was closed with the platform's before there was this book.
    """

    notice: str
    workspace_id: str
    bucket: str
    unit: str
    month: str
    zone: str
    period: Span
    status: Literal["open", "closed"]
    closed: Closing | None
    position: int
    events_behind: int
    complete: bool
    problems: list[str]
    opening: StatementBalance
    changes: StatementChanges
    closing: StatementBalance
    difference: StatedAmount
    funds: list[FundsLine]
    charges: list[ChargeLine]
    moved: list[MovedPosting]
    has_more_moved: bool
