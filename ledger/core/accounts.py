"""The general ledger's accounts: one table of kinds, with type, normal side and plain-text root.

An account belongs to one bucket of one workspace. Its name is a kind, or a kind and a name:
`wallet.available`, `revenue.gpt-5-direct`.
"""

from enum import StrEnum

import msgspec


class Side(StrEnum):
    """The side on which an account's balance normally stands."""

    DEBIT = "debit"
    CREDIT = "credit"


class AccountType(StrEnum):
    """The classes of a balance sheet and an income statement."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    REVENUE = "revenue"
    EXPENSE = "expense"


class AccountKind(msgspec.Struct, frozen=True):
    """What all accounts of one kind have in common. `named` kinds take a route or source as second part."""

    kind: str
    type: AccountType
    normal_side: Side
    root: str
    named: bool
    meaning: str


ACCOUNT_KINDS: tuple[AccountKind, ...] = (
    AccountKind(
        "wallet.available", AccountType.LIABILITY, Side.CREDIT, "Liabilities", False,
        "what the customer may still spend, without the credit limit",
    ),
    AccountKind(
        "wallet.held", AccountType.LIABILITY, Side.CREDIT, "Liabilities", False,
        "what open requests have reserved",
    ),
    AccountKind(
        "funding", AccountType.ASSET, Side.DEBIT, "Assets", True,
        "what came in through one source of payments",
    ),
    AccountKind(
        "revenue", AccountType.REVENUE, Side.CREDIT, "Income", True,
        "what requests on one route were charged",
    ),
    AccountKind(
        "overrun", AccountType.REVENUE, Side.DEBIT, "Income", True,
        "contra-revenue: charges that no balance could pay, the platform's loss",
    ),
    AccountKind(
        "refunds", AccountType.REVENUE, Side.DEBIT, "Income", True,
        "contra-revenue: charges that were given back",
    ),
    AccountKind(
        "promotion", AccountType.EXPENSE, Side.DEBIT, "Expenses", False,
        "amounts given without payment",
    ),
    AccountKind(
        "adjustment", AccountType.EXPENSE, Side.DEBIT, "Expenses", False,
        "corrections by finance with a stated reason",
    ),
    AccountKind(
        "exchange", AccountType.EQUITY, Side.DEBIT, "Equity", False,
        "this bucket's side of exchanges with other buckets",
    ),
)  # fmt: skip

KIND_BY_NAME = {kind.kind: kind for kind in ACCOUNT_KINDS}

WALLET_AVAILABLE = "wallet.available"
WALLET_HELD = "wallet.held"
PROMOTION = "promotion"
ADJUSTMENT = "adjustment"
EXCHANGE = "exchange"


def funding(source: str) -> str:
    """Return the account of one source of payments."""
    return f"funding.{source}"


def revenue(route: str) -> str:
    """Return the account of one route's charges."""
    return f"revenue.{route}"


def overrun(route: str) -> str:
    """Return the account of one route's charges that no balance could pay."""
    return f"overrun.{route}"


def refunds(route: str) -> str:
    """Return the account of one route's refunds."""
    return f"refunds.{route}"


def kind_of(account: str) -> AccountKind:
    """Return the kind of an account. Raises KeyError for a name that is no account's."""
    kind = KIND_BY_NAME.get(account)
    if kind is not None and not kind.named:
        return kind
    prefix, dot, name = account.partition(".")
    kind = KIND_BY_NAME[prefix]
    if not (kind.named and dot and name):
        raise KeyError(account)
    return kind
