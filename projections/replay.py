"""Replaying: every balance again from the events alone, and the proof that what is live is the same.

Each book is read in one snapshot, so a replay runs beside writers and followers. Small books share a snapshot;
a large one streams through memory.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import datetime

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.core.commands import to_microseconds
from ledger.core.identifiers import PLATFORM
from ledger.events import Fact
from ledger.store.queries import load_queries
from ledger.wallet.state import WalletState
from projections.closed_periods import platform_differences
from projections.collecting import rare_collections
from projections.comparing import compare
from projections.connections import connect_projector, fetch_books, run
from projections.live_books import read_live
from projections.replaying import BookReplay, Difference, ReplayedEvent

__all__ = ["Difference", "ReplayReport", "ReplayedAccount", "ReplayedWallet", "replay"]

QUERIES = load_queries("projections.sql", "replay.sql")
EVENTS_PER_FETCH = 2000
EVENTS_PER_SNAPSHOT = 50_000
BOOKS_PER_SNAPSHOT = 500
REPLAY_SETTINGS = {
    "jit": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "plan_cache_mode": "force_generic_plan",
}

OnProgress = Callable[[int, int], None]
"""Called with the events folded so far and the events there were when the replay began."""


class ReplayedWallet(msgspec.Struct, frozen=True):
    """A wallet as the events say, at the position that its book was folded to."""

    workspace_id: str
    position: int
    wallet: WalletState


class ReplayedAccount(msgspec.Struct, frozen=True):
    """An account's turnovers as the events say, in smallest parts of its bucket's unit."""

    workspace_id: str
    bucket: str
    account: str
    debit_minor: int
    credit_minor: int


class ReplayReport(msgspec.Struct, frozen=True):
    """What a replay came to. Without differences, what is live is what the events say."""

    books: int
    events: int
    wallets: tuple[ReplayedWallet, ...]
    accounts: tuple[ReplayedAccount, ...]
    differences: tuple[Difference, ...]


def replay(
    url: str,
    workspace: str | None = None,
    at_position: int | None = None,
    at_time: datetime | None = None,
    verify: bool = False,
    on_progress: OnProgress = lambda folded, total: None,
) -> ReplayReport:
    """Fold one book or all of them from their events, up to a position or a time of recording if stated.

    With `verify` everything live is compared with the fold. Raises LookupError for an unknown workspace and
    ValueError for arguments that do not go together.
    """
    if verify and (at_position is not None or at_time is not None):
        raise ValueError("what is live can be compared with the end of a book only, not with an earlier moment")
    if at_position is not None and workspace is None:
        raise ValueError("a position is one book's: name the workspace")
    until = None if at_time is None else to_microseconds(at_time)
    reports = []
    periods: dict[str, list[Fact]] = {}
    with rare_collections(), closing(connect_projector(url, "replay", REPLAY_SETTINGS)) as connection:
        sizes = [(row[0], row[1]) for row in run(connection, QUERIES["read_sizes"])]
        if workspace is not None:
            sizes = [size for size in sizes if size[0] == workspace]
            if not sizes:
                raise LookupError(f"there is no book of workspace {workspace!r}")
        total = sum(events for _, events in sizes)
        folded = 0
        for names in snapshots(sizes):
            for replayed in replay_snapshot(connection, names, at_position, until, verify):
                if isinstance(replayed, int):
                    folded += replayed
                    on_progress(folded, total)
                else:
                    reports.append(report_of(replayed))
                    periods[replayed.state.workspace_id] = replayed.period_events
    report = merge(reports, folded)
    if workspace is not None or not verify:
        return report
    findings = platform_differences(periods, dict(sizes).get(PLATFORM, 0))
    found = (Difference(PLATFORM, what, str(said), str(seen)) for what, said, seen in findings)
    return msgspec.structs.replace(report, differences=(*report.differences, *found))


def snapshots(sizes: Sequence[tuple[str, int]]) -> Iterator[list[str]]:
    """Yield books that share a snapshot: many small ones, or a large one alone."""
    names: list[str] = []
    events = 0
    for name, size in sizes:
        if names and (events + size > EVENTS_PER_SNAPSHOT or len(names) == BOOKS_PER_SNAPSHOT):
            yield names
            names, events = [], 0
        names.append(name)
        events += size
    if names:
        yield names


def replay_snapshot(
    connection: Connection[TupleRow], names: list[str], at_position: int | None, until: int | None, verify: bool
) -> Iterator[int | BookReplay]:
    """Yield how many events were folded, now and then, and each book when it is complete and compared."""
    run(connection, QUERIES["begin"])
    if verify:
        run(connection, QUERIES["hold_projections"], (names,))
    live = read_live(connection, names) if verify else {}

    def earlier(workspace_id: str, stream: str, version: int) -> list[tuple[int, bytes]]:
        rows = run(connection, QUERIES["read_earlier"], (workspace_id, stream, version)).fetchall()
        return [(row[0], row[1]) for row in rows]

    marks = {name: (book.journal_position, book.route_position) for name, book in live.items()}
    books = {name: BookReplay(name, earlier, marks.get(name, ())) for name in names}
    for name, events in read_events(connection, names, at_position, until):
        books[name].apply(events)
        yield len(events)
    run(connection, QUERIES["commit"])
    for name, book in books.items():
        if verify:
            compare(live[name], book)
        yield book


def read_events(
    connection: Connection[TupleRow], names: list[str], at_position: int | None, until: int | None
) -> Iterator[tuple[str, list[ReplayedEvent]]]:
    """Yield the events of books in order, in pages."""
    with connection.cursor("events") as cursor:
        cursor.execute(QUERIES["read_events"], (names, at_position, until), binary=True)
        yield from fetch_books(cursor, EVENTS_PER_FETCH)


def report_of(book: BookReplay) -> ReplayReport:
    """Return the part of the report that one book fills."""
    state = book.state
    name = state.workspace_id
    wallets = tuple(ReplayedWallet(name, state.position, wallet) for _, wallet in sorted(state.wallets.items()))
    accounts = tuple(ReplayedAccount(name, *key, *turnover) for key, turnover in sorted(book.turnovers.items()))
    return ReplayReport(1, state.position, wallets, accounts, tuple(book.differences))


def merge(reports: Sequence[ReplayReport], events: int) -> ReplayReport:
    """Return the reports of all books as one."""
    return ReplayReport(
        len(reports),
        events,
        tuple(wallet for report in reports for wallet in report.wallets),
        tuple(account for report in reports for account in report.accounts),
        tuple(difference for report in reports for difference in report.differences),
    )
