"""Wallets at a moment: posted and held out of their two accounts, the credit limit out of their streams. Pure."""

from collections.abc import Iterable, Mapping

import msgspec

from ledger.core.accounts import WALLET_AVAILABLE, WALLET_HELD
from ledger.core.amounts import Unit
from ledger.events import TAGS, decode_fact
from ledger.wallet.events import CreditLimitChanged, WalletOpened
from projections.balances.spans import BookAt

__all__ = ["LIMITING_TAGS", "WALLET_ACCOUNTS", "WalletAt", "limits_at", "wallet_at"]

WALLET_ACCOUNTS = [WALLET_AVAILABLE, WALLET_HELD]
LIMITING_TAGS = [TAGS[WalletOpened], TAGS[CreditLimitChanged]]
"""The events that say what a wallet's credit limit is from then on."""

Turnover = tuple[int, int]
"""Debit and credit in smallest parts."""

WalletKey = tuple[str, str]
"""Workspace and bucket."""


class WalletAt(msgspec.Struct, frozen=True):
    """A wallet at a moment, in smallest parts. `is_open` is whether it had been opened by then."""

    workspace_id: str
    bucket: str
    unit: Unit
    position: int
    posted_minor: int
    held_minor: int
    credit_limit_minor: int
    is_open: bool

    @property
    def available_minor(self) -> int:
        """What a new hold could take."""
        return self.posted_minor - self.held_minor + self.credit_limit_minor


def limits_at(books: Mapping[str, BookAt], stated: Iterable[tuple[str, bytes]]) -> dict[WalletKey, int]:
    """Return each wallet's credit limit at its book's moment; wallets that were not opened by then are left out.

    `stated` are workspaces with events as they are stored, in order of position: of those that had happened, the one
    that was recorded last counts, as in a replay.
    """
    limits: dict[WalletKey, int] = {}
    for workspace_id, state in stated:
        fact = decode_fact(state)
        before = books[workspace_id].effective_before
        if before is not None and fact.effective_at >= before:
            continue
        event = fact.event
        if isinstance(event, WalletOpened | CreditLimitChanged):
            limits[workspace_id, event.bucket] = event.credit_limit_minor
    return limits


def wallet_at(
    book: BookAt, bucket: str, unit: Unit, turnovers: Mapping[str, Turnover], credit_limit_minor: int | None
) -> WalletAt:
    """Return a wallet by the turnovers of its two accounts; its limit is None where it had not been opened."""
    unheld, held = (credit - debit for debit, credit in (turnovers.get(account, (0, 0)) for account in WALLET_ACCOUNTS))
    return WalletAt(
        book.workspace_id, bucket, unit, book.position, unheld + held, held, credit_limit_minor or 0,
        credit_limit_minor is not None,
    )  # fmt: skip
