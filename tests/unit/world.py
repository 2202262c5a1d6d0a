"""A ledger without a database: decisions, folds and entries as the service strings them together, in memory."""

from collections import defaultdict
from typing import NamedTuple

import msgspec

from ledger.book import BookState
from ledger.checks import check_command
from ledger.commands import command_id_of
from ledger.core.commands import Command
from ledger.core.identifiers import PLATFORM
from ledger.decisions import decide, require_same
from ledger.events import Event, Fact, decode_fact, encode_fact
from ledger.posting_rules import post
from ledger.workspace.budgets import Budget, NotLoaded
from ledger.workspace.pace import MinuteUse, PaceNotLoaded

NOW = 1_790_000_000_000_000
"""2026-09-21 14:13:20 UTC, in microseconds."""

SECOND = 1_000_000


class Recording(NamedTuple):
    """What became of a command: the fact, its stream and position, and whether it was there before."""

    fact: Fact
    stream: str
    position: int
    repeated: bool = False


class World:
    """Two books (the platform's and one workspace's), a clock, and everything recorded so far."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now
        self.books: dict[str, BookState] = {}
        self.recorded: dict[tuple[str, str], Recording] = {}
        self.accounts: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self.book_of(PLATFORM)

    def book_of(self, workspace_id: str) -> BookState:
        """Return a workspace's book, a new one when it has none."""
        return self.books.setdefault(workspace_id, BookState(workspace_id))

    def do(self, command: Command, actor: str = "tester") -> Recording:
        """Check, recognise, decide, encode and fold a command, or let its refusal out."""
        check_command(command)
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
        self.post(command.workspace_id, fact.event)
        done = Recording(fact, decision.stream, book.position)
        self.recorded[identity] = done
        return done

    def decide(self, command: Command, actor: str, book: BookState) -> "Decided":
        """Decide, reading budgets and paces as they are asked for: what was never read is empty."""
        while True:
            try:
                decision = decide(command, actor, book, self.books[PLATFORM].catalog, self.now)
            except PaceNotLoaded as missing:
                book.pace[missing.api_key_id] = MinuteUse(is_whole=True)
            except NotLoaded as missing:
                book.budgets[missing.budget] = Budget()
            else:
                return Decided(decision.stream, decision.fact)

    def post(self, workspace_id: str, event: Event) -> None:
        """Move the accounts by the event's entries."""
        for entry in post(event):
            for leg in entry.legs:
                self.accounts[workspace_id, entry.bucket, leg.debit_account] += leg.minor
                self.accounts[workspace_id, entry.bucket, leg.credit_account] -= leg.minor

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
