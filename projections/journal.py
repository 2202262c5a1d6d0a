"""Recorded event → rows of the journal: entries with the wallet's balances after them, legs, account turnovers.

Pure: the followers, the rebuild and the checks all fold a book with `JournalBook` and differ only in where the
rows go. What each event posts is the business of `ledger.posting_rules`.
"""

from ledger.core.accounts import WALLET_AVAILABLE, WALLET_HELD
from ledger.core.entries import Leg
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
    """A wallet as its entries show it. `available` is posted − held + credit limit."""

    __slots__ = ("bucket", "credit_limit_minor", "held_minor", "posted_minor", "scale", "unit")

    def __init__(
        self, bucket: str, unit: str, scale: int, credit_limit_minor: int, posted_minor: int = 0, held_minor: int = 0
    ) -> None:
        self.bucket = bucket
        self.unit = unit
        self.scale = scale
        self.credit_limit_minor = credit_limit_minor
        self.posted_minor = posted_minor
        self.held_minor = held_minor


class JournalBook:
    """One book's journal while its events are applied in order.

    `entries`, `legs` and `changed` gather what was added since they were emptied last; `turnovers` holds
    [debit, credit] by (bucket, account), since the beginning or since it was emptied.
    """

    __slots__ = ("changed", "entries", "generation", "legs", "turnovers", "wallets", "workspace_id")

    def __init__(self, workspace_id: str, generation: int) -> None:
        self.workspace_id = workspace_id
        self.generation = generation
        self.wallets: dict[str, JournalWallet] = {}
        self.changed: dict[str, JournalWallet] = {}
        self.turnovers: dict[tuple[str, str], list[int]] = {}
        self.entries: list[EntryRow] = []
        self.legs: list[LegRow] = []

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
            bucket = entry.bucket
            self._move(bucket, position, entry.legs, wallet)
            self.entries.append(
                (
                    self.workspace_id, self.generation, bucket, position, tag, request_id,
                    fact.effective_at, recorded_at, wallet.posted_minor, wallet.held_minor,
                    wallet.posted_minor - wallet.held_minor + wallet.credit_limit_minor,
                )
            )  # fmt: skip

    def _move(self, bucket: str, position: int, legs: tuple[Leg, ...], wallet: JournalWallet) -> None:
        """Post an entry's legs to the accounts, and to the wallet that two of them are about."""
        turnovers = self.turnovers
        unheld = held = 0
        for number, leg in enumerate(legs, 1):
            minor, debit, credit = leg.minor, leg.debit_account, leg.credit_account
            self.legs.append((self.workspace_id, self.generation, bucket, position, number, debit, credit, minor))
            turnover = turnovers.get((bucket, debit))
            if turnover is None:
                turnovers[bucket, debit] = [minor, 0]
            else:
                turnover[0] += minor
            turnover = turnovers.get((bucket, credit))
            if turnover is None:
                turnovers[bucket, credit] = [0, minor]
            else:
                turnover[1] += minor
            if debit == WALLET_AVAILABLE:
                unheld -= minor
            elif debit == WALLET_HELD:
                held -= minor
            if credit == WALLET_AVAILABLE:
                unheld += minor
            elif credit == WALLET_HELD:
                held += minor
        wallet.posted_minor += unheld + held
        wallet.held_minor += held

    def _change_wallet(self, event: WalletOpened | CreditLimitChanged) -> None:
        if isinstance(event, WalletOpened):
            wallet = JournalWallet(event.bucket, event.unit, event.scale, event.credit_limit_minor)
            self.wallets[event.bucket] = wallet
        else:
            wallet = self.wallets[event.bucket]
            wallet.credit_limit_minor = event.credit_limit_minor
        self.changed[event.bucket] = wallet
