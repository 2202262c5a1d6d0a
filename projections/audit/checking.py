"""A task of a verification: some stretches walked and compared, and those books that they are all of."""

from collections.abc import Iterator, Sequence

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.events import decode_fact
from ledger.store.chain import start_digest
from ledger.workspace.events import WorkspaceCreated
from projections.audit.findings import Finding, Findings
from projections.audit.live import compare_books
from projections.audit.notes import check_heads
from projections.audit.periods import compare_periods
from projections.audit.reading import QUERIES
from projections.audit.rows import compare_rows
from projections.audit.stretches import Stretch, Task
from projections.audit.sums import Sums
from projections.audit.walking import Openings, Predecessor, Walk
from projections.chaining import ChainedEvent
from projections.connections import fetch_books, run
from projections.days import Calendar
from projections.replaying import NOT_APPLICABLE

__all__ = ["Checked", "check_book", "check_task"]

EVENTS_PER_FETCH = 2000


class Checked(msgspec.Struct):
    """What a task came to. `parts` are stretches of large books, which are to be added up and checked as books."""

    events: int = 0
    entries: int = 0
    legs: int = 0
    periods: int = 0
    parts: list[Sums] = []
    findings: list[Finding] = []
    suppressed: int = 0

    def add(self, other: "Checked") -> None:
        """Add what another task came to; its parts are kept apart."""
        self.events += other.events
        self.entries += other.entries
        self.legs += other.legs
        self.periods += other.periods
        self.findings += other.findings
        self.suppressed += other.suppressed

    def take(self, findings: Findings) -> None:
        """Keep what was found in a book."""
        self.findings += findings.found
        self.suppressed += findings.suppressed


def check_task(connection: Connection[TupleRow], generation: int, task: Task) -> Checked:
    """Walk the stretches of a task and compare the journal's rows; whole books are compared with all that is live."""
    walks = begin_walks(connection, generation, task)
    for name, events in read_events(connection, task):
        walks[name].take(events)
    for walk in walks.values():
        walk.end()
    compare_rows(connection, generation, list(walks.values()))
    whole = [(walk.sums, walk.findings) for walk in walks.values() if walk.stretch.is_whole]
    if whole:
        end_books(connection, generation, whole)
    checked = Checked(parts=[walk.sums for walk in walks.values() if not walk.stretch.is_whole])
    for walk in walks.values():
        checked.events += walk.sums.events
        checked.entries += walk.sums.entries
        checked.legs += walk.sums.legs
        checked.periods += len(walk.sums.periods)
        checked.take(walk.findings)
    return checked


def check_book(connection: Connection[TupleRow], generation: int, sums: Sums) -> Checked:
    """Compare a large book, whose parts were walked and added up, with all that is live of it."""
    findings = Findings(sums.workspace_id)
    end_books(connection, generation, [(sums, findings)])
    checked = Checked()
    checked.take(findings)
    return checked


def end_books(connection: Connection[TupleRow], generation: int, books: Sequence[tuple[Sums, Findings]]) -> None:
    """Compare whole books with what stands beside their events."""
    compare_books(connection, generation, books)
    check_heads(connection, {sums.workspace_id: findings for sums, findings in books})
    for sums, findings in books:
        if sums.periods and not sums.is_broken:
            compare_periods(connection, generation, sums, findings)


def begin_walks(connection: Connection[TupleRow], generation: int, task: Task) -> dict[str, Walk]:
    """Return a walk for each stretch, by workspace: at the state that the events and entries before it have left."""
    names = [stretch.book.workspace_id for stretch in task]
    zones = {name: zone_of(state) for name, state in run(connection, QUERIES["read_zones"], (names,))}
    return {
        stretch.book.workspace_id: Walk(
            stretch,
            generation,
            Calendar(zones.get(stretch.book.workspace_id, "UTC")),
            read_openings(connection, generation, stretch),
            read_predecessor(connection, stretch),
        )
        for stretch in task
    }


def zone_of(state: bytes) -> str:
    """Return the time zone that a book's first event states; UTC where it states none."""
    try:
        event = decode_fact(state).event
    except NOT_APPLICABLE:
        return "UTC"
    return event.time_zone if isinstance(event, WorkspaceCreated) else "UTC"


def read_openings(connection: Connection[TupleRow], generation: int, stretch: Stretch) -> Openings:
    """Return what the entries before a stretch say of the wallets. Each of them is checked in its own stretch."""
    buckets = [wallet.bucket for wallet in stretch.wallets]
    if not buckets:
        return {}
    rows = run(connection, QUERIES["read_opening"], (buckets, stretch.book.workspace_id, generation, stretch.first))
    return {bucket: (posted, held) for bucket, posted, held in rows}


def read_predecessor(connection: Connection[TupleRow], stretch: Stretch) -> Predecessor | None:
    """Return what the event before a stretch ends with; None where there is none, as its own stretch will report."""
    name = stretch.book.workspace_id
    if stretch.first == 1:
        return start_digest(name), 0
    row = run(connection, QUERIES["read_digest"], (name, stretch.first - 1)).fetchone()
    return None if row is None else (row[0], row[1])


def read_events(connection: Connection[TupleRow], task: Task) -> Iterator[tuple[str, list[ChainedEvent]]]:
    """Yield the events of stretches in order, in pages."""
    names = [stretch.book.workspace_id for stretch in task]
    spans = [stretch.first for stretch in task], [stretch.last for stretch in task]
    with connection.cursor("events") as cursor:
        cursor.execute(QUERIES["read_events"], (names, *spans), binary=True)
        yield from fetch_books(cursor, EVENTS_PER_FETCH)
