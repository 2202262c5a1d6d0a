"""What the closing of a period needs beside its own book's state: exact balances, under the lock.

A book's closing begins with what the read side knows of it (`Basis`), and adds the events after that which the batch
finds under the book's lock, those that it has just decided included. The platform's closing is the sum of all books'
own closings; making a workspace and reopening a period lock the platform's book too, so that none can slip past it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refusal, Refused
from ledger.events import Fact, Recorded, decode_fact
from ledger.posting_rules import RULES
from ledger.store.batch import Batch, Pending
from ledger.store.reading import run
from ledger.workspace.commands import ClosePeriod
from ledger.workspace.events import AccountBalance, PeriodClosed, PeriodReopened, WorkspaceCreated
from ledger.workspace.periods import AccountSums, Basis, StateBalances, add_sums, balances_of

TAIL_EVENTS_MAX = 20_000
"""So many events that the read side does not have yet are folded while books are locked: a fraction of a second."""

OPEN_BOOKS_NAMED_MAX = 20
OPEN_BOOKS_LISTED_MAX = 1000
"""How many books that are open a refusal names in its sentence, and how many in its facts."""


class BookTail(msgspec.Struct, frozen=True):
    """The events of a book after the basis of its closing, as they were read under the lock. None: too many."""

    basis: Basis
    facts: tuple[Fact, ...] | None


class BookClosings(msgspec.Struct, frozen=True):
    """By book, the closing of a period that stands; None where the book has none. The platform's own is not in it."""

    closings: dict[str, PeriodClosed | None]


def read_closings(connection: Connection[TupleRow], batch: Batch, closing: Sequence[Pending]) -> None:
    """Read what the closings of a batch need, but for repeats, once its books are locked."""
    left = TAIL_EVENTS_MAX
    for pending in closing:
        command, key = pending.command, (pending.command.workspace_id, pending.command_id)
        if not isinstance(command, ClosePeriod) or key in batch.known or key[0] not in batch.books:
            continue
        if key[0] == PLATFORM:
            rows = run(connection, "read_closings", (command.period, command.period))
            batch.closings[key] = BookClosings({row[0]: None if row[1] is None else closed(row[1]) for row in rows})
        elif pending.basis is not None:
            tail = read_tail(connection, key[0], pending.basis.position, left)
            left -= 0 if tail is None else len(tail)
            batch.closings[key] = BookTail(pending.basis, tail)


def read_tail(connection: Connection[TupleRow], workspace_id: str, position: int, most: int) -> tuple[Fact, ...] | None:
    """Return the facts of a book after a position, None where there are more than `most`."""
    rows = run(connection, "read_tail", (workspace_id, position, most + 1)).fetchall()
    return None if len(rows) > most else tuple(decode_fact(row[0]) for row in rows)


def closed(state: bytes) -> PeriodClosed:
    """Return the closing that stored bytes hold. Raises TypeError for another event."""
    event = decode_fact(state).event
    if not isinstance(event, PeriodClosed):
        raise TypeError(f"{type(event).__name__} closes no period")
    return event


def balances_stated_by(batch: Batch, pending: Pending, events: Sequence[Recorded]) -> StateBalances | None:
    """Return what states the closing balances of a command; `events` are what the batch has decided so far."""
    if not isinstance(pending.command, ClosePeriod):
        return None
    found = batch.closings.get((pending.command.workspace_id, pending.command_id))

    def state_balances(period: str, until: int) -> tuple[AccountBalance, ...]:
        if isinstance(found, BookClosings):
            return platform_balances(found, period, events)
        if isinstance(found, BookTail):
            own = [event.fact for event in events if event.workspace_id == pending.command.workspace_id]
            return book_balances(found, until, own)
        raise behind("the balances of the book could not be read")

    return state_balances


def book_balances(tail: BookTail, until: int, decided: Sequence[Fact]) -> tuple[AccountBalance, ...]:
    """Return the balances of one book's entries that are effective before `until`, up to what was just decided."""
    # A book that the same batch begins has no time zone yet where its basis is read, and nothing in it.
    if tail.facts is None or (tail.basis.position and tail.basis.until != until):
        raise behind(f"more than {TAIL_EVENTS_MAX} events of the books to be closed are not in the journal yet")
    sums = dict(tail.basis.sums)
    for fact in (*tail.facts, *decided):
        if fact.effective_at < until:
            add_entries(sums, fact)
    require_balance(sums)
    return balances_of(sums)


def require_balance(sums: AccountSums) -> None:
    """Refuse balances that do not add up to nothing in each bucket: what was read of the journal cannot be right."""
    of_buckets: dict[str, int] = {}
    for (bucket, _), minor in sums.items():
        of_buckets[bucket] = of_buckets.get(bucket, 0) + minor
    if any(of_buckets.values()):
        raise behind("the journal is not in balance: verify it, and rebuild it")


def behind(detail: str) -> Refused:
    """Return the refusal of a closing whose balances are not known."""
    return Refused(Refusal.PERIOD_BALANCES_BEHIND, detail, field="period")


def add_entries(sums: AccountSums, fact: Fact) -> None:
    """Add the legs of a fact's entries to the sums of their accounts."""
    event: Any = fact.event
    for entry in RULES[type(event)](event):
        for leg in entry.legs:
            debit, credit = (entry.bucket, leg.debit_account), (entry.bucket, leg.credit_account)
            sums[debit] = sums.get(debit, 0) + leg.minor
            sums[credit] = sums.get(credit, 0) - leg.minor


def platform_balances(found: BookClosings, period: str, decided: Sequence[Recorded]) -> tuple[AccountBalance, ...]:
    """Return the sum of all books' closings of a period by bucket and account; refused while one of them is open."""
    closings = dict(found.closings)
    for recorded in decided:
        if recorded.workspace_id != PLATFORM:
            follow(closings, recorded, period)
    still_open = sorted(name for name, closing in closings.items() if closing is None)
    if still_open:
        named = ", ".join(still_open[:OPEN_BOOKS_NAMED_MAX])
        more = len(still_open) - OPEN_BOOKS_NAMED_MAX
        raise Refused(
            Refusal.PERIOD_BOOKS_OPEN,
            f"{period} is not closed in {named}{f' and {more} more' if more > 0 else ''}",
            field="period",
            open_books=still_open[:OPEN_BOOKS_LISTED_MAX],
        )
    sums: AccountSums = {}
    for closing in closings.values():
        add_sums(sums, closing.balances if closing is not None else ())
    return balances_of(sums)


def follow(closings: dict[str, PeriodClosed | None], recorded: Recorded, period: str) -> None:
    """Change which books have closed a period by an event that the same batch has just decided."""
    match recorded.fact.event:
        case WorkspaceCreated():
            closings[recorded.workspace_id] = None
        case PeriodClosed() as closing if closing.period == period:
            closings[recorded.workspace_id] = closing
        case PeriodReopened(period=reopened) if reopened == period:
            closings[recorded.workspace_id] = None
