"""Recorded event → rows of the journal: entries with the wallet's balances after them, legs, movements of accounts.

Pure: the followers, the rebuild and the checks all fold a book with `JournalBook` and differ only in where the
rows go. What each event posts is the business of `ledger.posting_rules`.
"""

from collections.abc import Iterator

from ledger.core.accounts import WALLET_AVAILABLE, WALLET_HELD
from ledger.core.entries import Entry
from ledger.events import REQUEST_STREAM, Fact
from ledger.posting_rules import post
from ledger.wallet.events import CreditLimitChanged, WalletOpened
from ledger.workspace.events import WorkspaceCreated
from projections.days import Calendar

__all__ = ["BLOCK_BITS", "JOURNAL", "EntryRow", "JournalBook", "JournalWallet", "LegRow"]

JOURNAL = "journal"
"""The projection's name."""

BLOCK_BITS = 14
"""Movements of a day are kept apart by blocks of 2 to the power of this many positions."""

Cell = tuple[int, int]
"""A day and a block."""

EntryRow = tuple[str, int, str, int, str, str | None, int, int, int, int, int]
"""Workspace, generation, bucket, position, tag, request, effective at, recorded at, posted, held, available."""

LegRow = tuple[str, int, str, int, int, str, str, int]
"""Workspace, generation, bucket, position, number of the leg, debit account, credit account, minor."""


class JournalWallet:
    """A wallet as its entries show it, and the turnovers [debit, credit] of its bucket's accounts by day and block.

    `turnovers` are those of the cell (day, block) that was posted to last; `available` and `held` are the two among
    them that are the wallet's own. Its balances are what they were without that cell (`*_before_minor`), and those two.
    """

    __slots__ = (
        "available", "bucket", "cell", "cells", "credit_limit_minor", "held", "held_before_minor", "scale", "turnovers",
        "unheld_before_minor", "unit",
    )  # fmt: skip

    def __init__(
        self, bucket: str, unit: str, scale: int, credit_limit_minor: int, posted_minor: int = 0, held_minor: int = 0
    ) -> None:
        self.bucket = bucket
        self.unit = unit
        self.scale = scale
        self.credit_limit_minor = credit_limit_minor
        self.unheld_before_minor = posted_minor - held_minor
        self.held_before_minor = held_minor
        self.available: list[int] = [0, 0]
        self.held: list[int] = [0, 0]
        self.turnovers: dict[str, list[int]] = {}
        self.cell: Cell | None = None
        self.cells: dict[Cell, dict[str, list[int]]] = {}

    def turn_to(self, cell: Cell) -> None:
        """Post to another day or block from now on. Back-dated entries lead to one that was posted to before."""
        self._carry(1)
        if cell not in self.cells:
            self.cells[cell] = {WALLET_AVAILABLE: [0, 0], WALLET_HELD: [0, 0]}
        self.cell, self.turnovers = cell, self.cells[cell]
        self.available, self.held = self.turnovers[WALLET_AVAILABLE], self.turnovers[WALLET_HELD]
        self._carry(-1)

    def _carry(self, sign: int) -> None:
        """Count the present cell among what was before it, or take it out again."""
        self.unheld_before_minor += sign * (self.available[1] - self.available[0])
        self.held_before_minor += sign * (self.held[1] - self.held[0])


class JournalBook:
    """One book's journal while its events are applied in order.

    `entries`, `legs` and `changed` gather what was added since they were emptied last. `calendar` has the days of the
    workspace's time zone, which its first event states.
    """

    __slots__ = ("calendar", "changed", "entries", "generation", "legs", "wallets", "workspace_id")

    def __init__(self, workspace_id: str, generation: int, calendar: Calendar | None = None) -> None:
        self.workspace_id = workspace_id
        self.generation = generation
        self.calendar = calendar or Calendar()
        self.wallets: dict[str, JournalWallet] = {}
        self.changed: dict[str, JournalWallet] = {}
        self.entries: list[EntryRow] = []
        self.legs: list[LegRow] = []

    def movements(self) -> Iterator[tuple[str, str, int, int, int, int]]:
        """Yield bucket, account, day, block, debit and credit of everything that moved."""
        for bucket, wallet in self.wallets.items():
            for (day, block), turnovers in wallet.cells.items():
                for account, (debit, credit) in turnovers.items():
                    if debit or credit:
                        yield bucket, account, day, block, debit, credit

    def turnovers(self) -> Iterator[tuple[str, str, int, int]]:
        """Yield bucket, account, debit and credit of every account that moved."""
        sums: dict[tuple[str, str], tuple[int, int]] = {}
        for bucket, account, _, _, debit, credit in self.movements():
            before = sums.get((bucket, account), (0, 0))
            sums[bucket, account] = (before[0] + debit, before[1] + credit)
        for (bucket, account), (debit, credit) in sums.items():
            yield bucket, account, debit, credit

    def apply(self, position: int, stream: str, tag: str, recorded_at: int, fact: Fact) -> None:
        """Add one event. Raises, and leaves everything as it was, for an event that cannot be applied."""
        event = fact.event
        entries = post(event)
        if not entries:
            if isinstance(event, WalletOpened | CreditLimitChanged):
                self._change_wallet(event)
            elif isinstance(event, WorkspaceCreated):
                self.calendar = Calendar(event.time_zone)
            return
        # Every wallet is looked up before anything moves: an entry is posted whole or not at all.
        wallets = [self.wallets[entry.bucket] for entry in entries]
        cell = (self.calendar.day_of(fact.effective_at), position >> BLOCK_BITS)
        request_id = stream[len(REQUEST_STREAM) :] if stream.startswith(REQUEST_STREAM) else None
        for entry, wallet in zip(entries, wallets, strict=True):
            if wallet.cell != cell:
                wallet.turn_to(cell)
            self._move(position, entry, wallet)
            (available_debit, available_credit), (held_debit, held_credit) = wallet.available, wallet.held
            held = wallet.held_before_minor + held_credit - held_debit
            unheld = wallet.unheld_before_minor + available_credit - available_debit
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
