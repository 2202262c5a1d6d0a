"""What `GET …/periods` answers: the months that a book has closed, each closing with its balances.

No framework is imported: clients read it with the same types.
"""

import msgspec

from ledger.core.amounts import StatedAmount


class AccountBalanceView(msgspec.Struct, frozen=True):
    """An account's balance at the end of a period: debit less credit, so that a wallet with funds is negative."""

    bucket: str
    account: str
    balance: StatedAmount


class PeriodActView(msgspec.Struct, frozen=True):
    """Where a closing or a reopening stands in the book. Who did it, and why, only the platform sees."""

    position: int
    at: str
    actor: str | None
    reason: str | None


class ClosingView(msgspec.Struct, frozen=True):
    """One closing of a month, and what undid it. `balances` are of everything effective before the month's end."""

    closing: int
    closed: PeriodActView
    reopened: PeriodActView | None
    balances: list[AccountBalanceView]


class PeriodView(msgspec.Struct, frozen=True):
    """A month that was closed. `until` is the first instant after it; `status` is `closed` or `reopened`."""

    period: str
    status: str
    until: str
    closings: list[ClosingView]


class PeriodsView(msgspec.Struct, frozen=True):
    """A book's months, the latest first. Nothing is posted before `open_from`, null while nothing is closed."""

    workspace_id: str
    time_zone: str
    open_from: str | None
    periods: list[PeriodView]
