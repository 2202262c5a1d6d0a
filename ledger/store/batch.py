"""One batch of commands: what it has to read, and the books it works on.

`Pending` is a command on its way with the caller who waits; `Batch` gathers the keys to read under the locks and
holds the books as read. Nothing here decides anything.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec

from ledger.book import BookState
from ledger.catalog.state import Catalog
from ledger.commands import command_id_of
from ledger.core.commands import Command, to_microseconds
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refused
from ledger.events import Recorded
from ledger.request.commands import RequestCommand, RouteRequest
from ledger.wallet.commands import ReverseFunds
from ledger.wallet.state import WalletState
from ledger.workspace.budgets import Budget, budgets_at
from ledger.workspace.commands import ClosePeriod, CreateWorkspace, ReopenPeriod, WorkspaceCommand
from ledger.workspace.pace import MinuteUse, is_key_paced
from ledger.workspace.periods import Basis
from ledger.workspace.state import WorkspaceState

DAY_MICROSECONDS = 86_400_000_000


class Outcome(msgspec.Struct, frozen=True):
    """What became of one command: an event on record (`repeated` when it was there before), or a refusal.

    `available_minor` is what a new hold has left of its wallet, in smallest parts; None for everything else.
    """

    recorded: Recorded | None = None
    repeated: bool = False
    refused: Refused | None = None
    available_minor: int | None = None


class Pending:
    """A command that waits for its batch.

    `deliver` is called in the writer's thread with all commands of a batch that share it; `group` is the
    caller's own, for finding out what the command belongs to. `basis` is what the closing of a period begins with.
    """

    __slots__ = ("actor", "basis", "command", "command_id", "deliver", "group", "outcome")

    def __init__(self, command: Command, actor: str, deliver: Callable[[list["Pending"]], None], group: Any) -> None:
        self.command = command
        self.command_id = command_id_of(command)
        self.actor = actor
        self.deliver = deliver
        self.group = group
        self.outcome = Outcome()
        self.basis: Basis | None = None


def answer(pendings: list[Pending], refused: Refused) -> None:
    """Give several commands the same refusal."""
    for pending in pendings:
        pending.outcome = Outcome(refused=refused)


class Head(msgspec.Struct):
    """Where a book's chain ended when the batch locked it, and where it ends after the batch's events."""

    position: int
    digest: bytes
    recorded_at: int
    workspace_version: int
    catalog_version: int


class Wanted:
    """The keys that a batch reads, gathered from its commands before anything is locked."""

    def __init__(self) -> None:
        self.books: set[str] = set()
        self.new_books: set[str] = set()
        self.requests: dict[tuple[str, str], None] = {}
        self.commands: dict[tuple[str, str], None] = {}
        self.budgets: dict[tuple[str, str], None] = {}
        self.paces: dict[tuple[str, str], None] = {}
        self.payments: dict[tuple[str, str], None] = {}
        self.closing: list[Pending] = []

    def add(self, pending: Pending) -> None:
        """Add what one command will look at."""
        command = pending.command
        workspace_id = command.workspace_id
        self.books.add(workspace_id)
        self.commands[workspace_id, pending.command_id] = None
        if isinstance(command, RequestCommand):
            self.requests[workspace_id, command.request_id] = None
        elif isinstance(command, ReverseFunds):
            self.payments[workspace_id, f"{command.source}/{command.reference}"] = None
        elif isinstance(command, WorkspaceCommand):
            self._add_period(pending)

    def _add_period(self, pending: Pending) -> None:
        """Add what a workspace needs that is made, or whose periods are closed or reopened.

        What the platform's closing relies on must not change beside it: both lock the platform's book.
        """
        command = pending.command
        if isinstance(command, CreateWorkspace):
            self.new_books.add(command.workspace_id)
            self.books.add(PLATFORM)
        elif isinstance(command, ReopenPeriod):
            self.books.add(PLATFORM)
        elif isinstance(command, ClosePeriod):
            self.closing.append(pending)

    def add_budgets(self, command: RouteRequest, workspace: WorkspaceState, now: datetime) -> None:
        """Add the budgets that a routing may count in, around the caller's clock and at its stated time."""
        about_now = to_microseconds(now)
        instants = {about_now + days * DAY_MICROSECONDS for days in (-1, 0, 1)}
        if command.effective_at is not None and 0 <= to_microseconds(command.effective_at) <= about_now:
            # Any other time is refused; the calendar's last day has no date in some time zones.
            instants.add(to_microseconds(command.effective_at))
        for instant in instants:
            for budget in budgets_at(workspace, command.project_id, command.api_key_id, command.bucket, instant):
                self.budgets[command.workspace_id, budget] = None


def gather(batch: Iterable[Pending], workspaces: dict[str, WorkspaceState], now: datetime) -> Wanted:
    """Return all keys that a batch reads; budgets and paces by the limits that are known before the locks are taken."""
    wanted = Wanted()
    for pending in batch:
        wanted.add(pending)
        command = pending.command
        if isinstance(command, RouteRequest):
            workspace = workspaces.get(command.workspace_id)
            if workspace is not None:
                wanted.add_budgets(command, workspace, now)
                if is_key_paced(workspace, command.api_key_id):
                    wanted.paces[command.workspace_id, command.api_key_id] = None
    return wanted


class Opening(msgspec.Struct, frozen=True):
    """A book's wallets, budgets and paces as they were read: what is written later is the difference."""

    wallets: dict[str, WalletState]
    budgets: dict[str, Budget]
    pace: dict[str, MinuteUse]


class Batch:
    """The books of one batch as they were read under their locks.

    `known` has earlier events by identity; `closings` has by identity what closings of periods need (see
    `ledger.store.closing`); `clock` is the database's, read after the locks (microseconds).
    """

    def __init__(self) -> None:
        self.books: dict[str, BookState] = {}
        self.heads: dict[str, Head] = {}
        self.opening: dict[str, Opening] = {}
        self.known: dict[tuple[str, str], Recorded] = {}
        self.holds: set[tuple[str, str]] = set()
        self.closings: dict[tuple[str, str], Any] = {}
        self.catalog = Catalog()
        self.clock = 0
