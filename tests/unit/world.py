"""A ledger without a database: decisions, folds and entries as the service strings them together, in memory."""

from collections import defaultdict
from typing import NamedTuple

import msgspec

from ledger.book import BookState
from ledger.checks import check_command
from ledger.commands import command_id_of
from ledger.core.commands import Command
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refusal, Refused
from ledger.decisions import decide, require_same
from ledger.events import Fact, decode_fact, encode_fact
from ledger.posting_rules import post
from ledger.workspace.budgets import Budget, NotLoaded
from ledger.workspace.commands import ClosePeriod, ReopenPeriod
from ledger.workspace.events import AccountBalance, PeriodClosed, PeriodReopened
from ledger.workspace.pace import MinuteUse, PaceNotLoaded
from ledger.workspace.periods import AccountSums, StateBalances, add_sums, balances_of, numbered

NOW = 1_790_000_000_000_000
"""2026-09-21 14:13:20 UTC, in microseconds."""

SECOND = 1_000_000


class Recording(NamedTuple):
    """What became of a command: the fact, its stream and position, and whether it was there before."""

    fact: Fact
    stream: str
    position: int
    repeated: bool = False


class Posted(NamedTuple):
    """What an entry changed: in which book, effective when, and by how much each account."""

    workspace_id: str
    effective_at: int
    changes: tuple[AccountBalance, ...]


class World:
    """Two books (the platform's and one workspace's), a clock, and everything recorded so far."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now
        self.books: dict[str, BookState] = {}
        self.recorded: dict[tuple[str, str], Recording] = {}
        self.accounts: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self.posted: list[Posted] = []
        self.book_of(PLATFORM)

    def book_of(self, workspace_id: str) -> BookState:
        """Return a workspace's book, a new one when it has none."""
        return self.books.setdefault(workspace_id, BookState(workspace_id))

    def do(self, command: Command, actor: str = "tester") -> Recording:
        """Check, recognise, decide, encode and fold a command, or let its refusal out."""
        check_command(command)
        if isinstance(command, ClosePeriod | ReopenPeriod):
            command = numbered(command, self.book_of(command.workspace_id).workspace)
        identity = (command.workspace_id, command_id_of(command))
        before = self.recorded.get(identity)
        if before is not None:
            require_same(command, before.fact, self.books[PLATFORM].catalog)
            return before._replace(repeated=True)
        book = self.book_of(command.workspace_id)
        decision = self.decide(command, actor, book)
        state = encode_fact(decision.fact)
        fact = decode_fact(state)
        assert (fact, encode_fact(fact)) == (decision.fact, state)
        book.apply(decision.stream, fact, book.position + 1, self.now)
        self.post(command.workspace_id, fact)
        done = Recording(fact, decision.stream, book.position)
        self.recorded[identity] = done
        return done

    def decide(self, command: Command, actor: str, book: BookState) -> "Decided":
        """Decide, reading budgets and paces as they are asked for: what was never read is empty."""
        while True:
            try:
                decision = decide(command, actor, book, self.books[PLATFORM].catalog, self.now, self.balances_of(book))
            except PaceNotLoaded as missing:
                book.pace[missing.api_key_id] = MinuteUse(is_whole=True)
            except NotLoaded as missing:
                book.budgets[missing.budget] = Budget()
            else:
                return Decided(decision.stream, decision.fact)

    def balances_of(self, book: BookState) -> StateBalances:
        """Return what states a book's closing balances: all that was posted to it, or what the books have stated."""

        def state_balances(period: str, until: int) -> tuple[AccountBalance, ...]:
            sums: AccountSums = {}
            if book.workspace_id == PLATFORM:
                for closing in self.closings(period):
                    add_sums(sums, closing.balances)
            for posted in self.posted:
                if posted.workspace_id == book.workspace_id and posted.effective_at < until:
                    add_sums(sums, posted.changes)
            return balances_of(sums)

        return state_balances

    def closings(self, period: str) -> list[PeriodClosed]:
        """Return the closing of a period by each book but the platform's, or refuse."""
        found: dict[str, PeriodClosed | None] = {name: None for name in self.books if name != PLATFORM}
        for (workspace_id, _), done in self.recorded.items():
            match done.fact.event:
                case PeriodClosed() as event if event.period == period and workspace_id != PLATFORM:
                    found[workspace_id] = event
                case PeriodReopened() as event if event.period == period:
                    found[workspace_id] = None
        if None in found.values():
            raise Refused(Refusal.PERIOD_BOOKS_OPEN, "a book is open", field="period")
        return [closing for closing in found.values() if closing is not None]

    def post(self, workspace_id: str, fact: Fact) -> None:
        """Move the accounts by the event's entries."""
        for entry in post(fact.event):
            changes = []
            for leg in entry.legs:
                changes += [
                    AccountBalance(entry.bucket, leg.debit_account, leg.minor),
                    AccountBalance(entry.bucket, leg.credit_account, -leg.minor),
                ]
                self.accounts[workspace_id, entry.bucket, leg.debit_account] += leg.minor
                self.accounts[workspace_id, entry.bucket, leg.credit_account] -= leg.minor
            self.posted.append(Posted(workspace_id, fact.effective_at, tuple(changes)))

    def all(self, *commands: Command) -> "World":
        """Do several commands, none of which may be refused."""
        for command in commands:
            self.do(command)
        return self


class Decided(NamedTuple):
    """A stream and the fact that belongs to it."""

    stream: str
    fact: Fact


def change(command: Command, **fields: object) -> Command:
    """Return a command with some fields replaced."""
    return msgspec.structs.replace(command, **fields)
