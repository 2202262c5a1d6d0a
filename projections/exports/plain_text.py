"""The journal as a file of plain-text accounting, whatever program reads it: what is written, and in which order.

One transaction for each entry, in the order of days; before them the accounts and, where the period begins later than
the books, their balances until then; behind them what every account must have come to. Those balances are read from the
movements and not summed up from what was written: a file that lacks anything contradicts itself.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from time import time_ns
from typing import BinaryIO, Protocol

from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.core.amounts import Unit
from projections.exports.account_balances import Account, Balance, BalanceReader
from projections.exports.dated_legs import DatedEntry, DatedJournal
from projections.exports.scope import BookSpan, Scope
from projections.exports.streaming import OnProgress
from projections.exports.wording import day_text, instant_text

__all__ = ["Syntax", "write_plain_text"]

TEXTS_PER_WRITE = 500
ENTRIES_PER_REPORT = 5000

NOTES = """\
; It proves what every account holds. Words, times, digests and what cancels out are proved by manifest.json and
; journal.jsonl, which were exported beside it. Each leg is two postings, debit and credit. Transactions are in the
; order of their days, in the time zone that is named for each book; `time` is when it happened, `recorded` is given
; where it was another time.
"""


class Syntax(Protocol):
    """How one program wants it written. Every method returns whole lines; `check` is the command that proves a file."""

    check: str

    def beginning(self, title: str, day: str, scales: Mapping[str, int]) -> str:
        """Return what a file begins with. `scales` has the digits of each unit."""

    def account(self, day: str, account: Account) -> str:
        """Return what declares an account and its unit."""

    def transaction(self, day: str, entry: DatedEntry, unit: Unit) -> str:
        """Return an entry as a transaction."""

    def opening(self, day: str, balances: Sequence[Balance]) -> str:
        """Return the transaction that brings a bucket's balances in."""

    def closing(self, day: str, balances: Sequence[Balance]) -> str:
        """Return what fails unless the accounts of a bucket hold exactly this when the day begins."""


def write_plain_text(
    syntax: Syntax,
    connection: Connection[TupleRow],
    generation: int,
    scope: Scope,
    spans: Sequence[BookSpan],
    out: BinaryIO,
    on_progress: OnProgress,
    made_at: int | None = None,
    checkpoint: str | None = None,
) -> int:
    """Write a scope of the journal and return how many entries it had.

    The connection is in a transaction with one snapshot, in which `generation` of the journal has followed each book to
    its span's position. `made_at` is in microseconds, now unless stated; `checkpoint` is the text of a signed note.
    """
    made_at = time_ns() // 1000 if made_at is None else made_at
    journal = DatedJournal(connection, generation, scope, spans)
    units = {
        (span.workspace_id, wallet.bucket): Unit(wallet.unit, wallet.scale) for span in spans for wallet in span.wallets
    }
    balances = BalanceReader(connection, generation, scope, journal.spans, units)
    first_day = journal.first_day(made_at)
    opened = day_text(first_day if scope.effective_from is None else first_day - 1)
    scales = dict(sorted((unit.code, unit.scale) for unit in units.values()))
    write(out, header(scope, journal, syntax.check, made_at, checkpoint))
    write(out, [syntax.beginning(title_of(scope), opened, scales)])
    write(out, (syntax.account(opened, account) for account in balances.accounts()))
    write(out, ["\n"])
    write(out, (syntax.opening(opened, brought_in) for brought_in in balances.openings()))
    transactions = Transactions(syntax, units, on_progress)
    write(out, transactions.of(journal))
    closed = day_text(journal.last_day(transactions.last_day or first_day) + 1)
    write(out, (syntax.closing(closed, held) for held in balances.closings()))
    return transactions.entries


class Transactions:
    """Makes transactions of entries and knows how many there were, and the day of the last one."""

    def __init__(self, syntax: Syntax, units: Mapping[tuple[str, str], Unit], on_progress: OnProgress) -> None:
        self._syntax = syntax
        self._units = units
        self._on_progress = on_progress
        self.entries = self.legs = 0
        self.last_day: int | None = None

    def of(self, journal: DatedJournal) -> Iterator[str]:
        """Yield the transactions of a journal."""
        for entry in journal.entries():
            yield self._syntax.transaction(day_text(entry.day), entry, self._units[entry.workspace_id, entry.bucket])
            self.entries += 1
            self.legs += len(entry.legs)
            self.last_day = entry.day
            if self.entries % ENTRIES_PER_REPORT == 0:
                self._on_progress(self.legs)
        self._on_progress(self.legs)


def write(out: BinaryIO, texts: Iterable[str]) -> None:
    """Write texts, many at once."""
    waiting = iter(texts)
    while some := list(islice(waiting, TEXTS_PER_WRITE)):
        out.write("".join(some).encode())


def title_of(scope: Scope) -> str:
    """Return what the file is about."""
    return f"Route Ledger: {'all workspaces' if scope.workspace_id is None else scope.workspace_id}"


def header(scope: Scope, journal: DatedJournal, check: str, made_at: int, checkpoint: str | None) -> Iterator[str]:
    """Yield comments: what the file holds, how it is proved, and where its books' chains stood."""
    bounds = (scope.effective_from, scope.effective_before)
    begin, end = ("open" if instant is None else instant_text(instant) for instant in bounds)
    yield f"; {title_of(scope)}, exported {instant_text(made_at)}\n"
    yield f"; period: from {begin}, before {end}\n"
    yield f"; proof: {check}\n"
    yield NOTES
    for span in journal.spans:
        zone, digest = journal.zones[span.workspace_id], span.digest.hex()
        yield f"; book: {span.workspace_id}, to position {span.position}, digest {digest}, days of {zone}\n"
    for line in ("none" if checkpoint is None else checkpoint).splitlines():
        yield f"; checkpoint: {line}".rstrip() + "\n"
    yield "\n"
