"""Recorded event → rows of the journal: entries with the wallet's balances after them, legs, account turnovers.

Pure: the followers, the rebuild and the checks all fold a book with `JournalBook` and differ only in where the
rows go. What each event posts is the business of `ledger.posting_rules`.
"""

from collections.abc import Iterator

from ledger.core.accounts import WALLET_AVAILABLE, WALLET_HELD
from ledger.core.entries import Entry
from ledger.events import REQUEST_STREAM, Fact
from ledger.posting_rules import post
from ledger.wallet.events import CreditLimitChanged, WalletOpened

__all__ = ["JOURNAL", "EntryRow", "JournalBook", "JournalWallet", "LegRow"]

JOURNAL = "journal"
"""The projection's name."""

EntryRow = tuple[str, int, str, int, str, str | None, int, int, int, int, int]
"""Workspace, generation, bucket, position, tag, request, effective at, recorded at, posted, held, available."""

LegRow = tuple[str, int, str, int, int, str, str, int]
"""Workspace, generation, bucket, position, number of the leg, debit account, credit account, minor."""


class JournalWallet:
    """A wallet as its entries show it, and the turnovers [debit, credit] of its bucket's accounts.

    Posted and held are what they were in the beginning (`*_opening_minor`) with the turnovers of the wallet's own
    two accounts since; available is posted − held + credit limit.
    """

    __slots__ = (
        "available", "bucket", "credit_limit_minor", "held", "held_opening_minor", "posted_opening_minor", "scale",
        "turnovers", "unit",
    )  # fmt: skip

    def __init__(
        self, bucket: str, unit: str, scale: int, credit_limit_minor: int, posted_minor: int = 0, held_minor: int = 0
    ) -> None:
        self.bucket = bucket
        self.unit = unit
        self.scale = scale
        self.credit_limit_minor = credit_limit_minor
        self.posted_opening_minor = posted_minor
        self.held_opening_minor = held_minor
        self.available: list[int] = [0, 0]
        self.held: list[int] = [0, 0]
        self.turnovers: dict[str, list[int]] = {WALLET_AVAILABLE: self.available, WALLET_HELD: self.held}


class JournalBook:
    """One book's journal while its events are applied in order.

    `entries`, `legs` and `changed` gather what was added since they were emptied last.
    """

    __slots__ = ("changed", "entries", "generation", "legs", "wallets", "workspace_id")

    def __init__(self, workspace_id: str, generation: int) -> None:
        self.workspace_id = workspace_id
        self.generation = generation
        self.wallets: dict[str, JournalWallet] = {}
        self.changed: dict[str, JournalWallet] = {}
        self.entries: list[EntryRow] = []
        self.legs: list[LegRow] = []

    def turnovers(self) -> Iterator[tuple[str, str, int, int]]:
        """Yield bucket, account, debit and credit of every account that moved."""
        for bucket, wallet in self.wallets.items():
            for account, (debit, credit) in wallet.turnovers.items():
                if debit or credit:
                    yield bucket, account, debit, credit

    def apply(self, position: int, stream: str, tag: str, recorded_at: int, fact: Fact) -> None:
        """Add one event. Raises, and leaves everything as it was, for an event that cannot be applied."""
        event = fact.event
        entries = post(event)
        if not entries:
            if isinstance(event, WalletOpened | CreditLimitChanged):
                self._change_wallet(event)
            return
        # Every wallet is looked up before anything moves: an entry is posted whole or not at all.
        wallets = [self.wallets[entry.bucket] for entry in entries]
        request_id = stream[len(REQUEST_STREAM) :] if stream.startswith(REQUEST_STREAM) else None
        for entry, wallet in zip(entries, wallets, strict=True):
            self._move(position, entry, wallet)
            (available_debit, available_credit), (held_debit, held_credit) = wallet.available, wallet.held
            held = wallet.held_opening_minor + held_credit - held_debit
            unheld = available_credit - available_debit + wallet.posted_opening_minor - wallet.held_opening_minor
            self.entries.append(
                (
                    self.workspace_id, self.generation, entry.bucket, position, tag, request_id,
                    fact.effective_at, recorded_at, unheld + held, held, unheld + wallet.credit_limit_minor,
                )
            )  # fmt: skip

    def _move(self, position: int, entry: Entry, wallet: JournalWallet) -> None:
        """Post an entry's legs to the accounts of its bucket."""
        workspace_id, generation, bucket, turnovers = self.workspace_id, self.generation, entry.bucket, wallet.turnovers
        number = 0
        for leg in entry.legs:
            number += 1  # noqa: SIM113 - millions of times, and most entries have one leg
            minor, debit, credit = leg.minor, leg.debit_account, leg.credit_account
            self.legs.append((workspace_id, generation, bucket, position, number, debit, credit, minor))
            try:
                turnovers[debit][0] += minor
            except KeyError:
                turnovers[debit] = [minor, 0]
            try:
                turnovers[credit][1] += minor
            except KeyError:
                turnovers[credit] = [0, minor]

    def _change_wallet(self, event: WalletOpened | CreditLimitChanged) -> None:
        if isinstance(event, WalletOpened):
            wallet = JournalWallet(event.bucket, event.unit, event.scale, event.credit_limit_minor)
            self.wallets[event.bucket] = wallet
        else:
            wallet = self.wallets[event.bucket]
            wallet.credit_limit_minor = event.credit_limit_minor
        self.changed[event.bucket] = wallet
