"""What a statement is made of, in smallest parts, as it was found at one position of the book. Pure."""

import msgspec

from ledger.core.accounts import WALLET_AVAILABLE, WALLET_HELD
from ledger.core.amounts import Unit
from ledger.events import Fact

__all__ = ["BalanceFound", "ChargesFound", "PlacedFact", "StatementFound", "balance_in"]

Turnovers = dict[tuple[str, str], tuple[int, int]]
"""By bucket and account: debit and credit."""


class BalanceFound(msgspec.Struct, frozen=True):
    """A wallet's balance, and what of it is reserved."""

    posted_minor: int
    held_minor: int


class ChargesFound(msgspec.Struct, frozen=True):
    """What requests of one project for one model came to, as the route ledger has it."""

    project: str
    model: str
    requests: int
    input_tokens: int
    output_tokens: int
    charge_minor: int
    overrun_minor: int
    corrected_minor: int
    undone_minor: int
    refunded_minor: int


class PlacedFact(msgspec.Struct, frozen=True):
    """A fact in its place in the book. `stream` tells the request that it belongs to, if it does."""

    position: int
    stream: str
    tag: str
    recorded_at: int
    fact: Fact


class StatementFound(msgspec.Struct, frozen=True, kw_only=True):
    """Everything as of `position`.

    `facts` are all money events of the workspace's wallets and what closed or reopened periods, whenever they happened;
    `moved` are those that closed periods put to the month's first instant.
    """

    position: int
    events_behind: int
    units: dict[str, Unit]
    opening: BalanceFound
    closing: BalanceFound
    charges: list[ChargesFound]
    facts: list[PlacedFact]
    moved: list[PlacedFact]
    has_more_moved: bool = False


def balance_in(turnovers: Turnovers, bucket: str) -> BalanceFound:
    """Return a bucket's balance out of the turnovers of a book's accounts."""
    available, held = (balance_of(turnovers, bucket, account) for account in (WALLET_AVAILABLE, WALLET_HELD))
    return BalanceFound(available + held, held)


def balance_of(turnovers: Turnovers, bucket: str, account: str) -> int:
    """Return an account's credit less debit."""
    debit, credit = turnovers.get((bucket, account), (0, 0))
    return credit - debit
