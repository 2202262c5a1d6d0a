"""What a verification is of: the books, how far they were followed, and the tasks that they are cut into."""

from collections.abc import Sequence

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.events import decode_fact
from ledger.wallet.events import CreditLimitChanged, WalletOpened
from projections.audit.findings import Behind, Finding
from projections.audit.reading import QUERIES
from projections.audit.stretches import Book, LimitChange, Task, events_per_stretch, tasks_of
from projections.connections import run
from projections.followers import read_generation
from projections.journal import JOURNAL
from projections.replaying import NOT_APPLICABLE
from projections.route_ledger.writing import ROUTE_LEDGER

__all__ = ["Plan", "make_plan"]


class Plan(msgspec.Struct, frozen=True):
    """What is to be checked: books cut into tasks, and what is known to be amiss before any event is read."""

    generation: int
    books: tuple[Book, ...]
    tasks: tuple[Task, ...]
    behind: tuple[Behind, ...]
    findings: tuple[Finding, ...]

    @property
    def events(self) -> int:
        """How many events there are, as the heads of the books say."""
        return sum(book.position for book in self.books)


def make_plan(connection: Connection[TupleRow], workspace: str | None) -> Plan:
    """Return what is to be checked. Raises LookupError for an unknown workspace."""
    generation = read_generation(connection, JOURNAL)
    rows = run(connection, QUERIES["read_books"], (workspace,)).fetchall()
    if workspace is not None and not rows:
        raise LookupError(f"there is no book of workspace {workspace!r}")
    names = {row[0] for row in rows}
    with_events = names
    if workspace is None:
        with_events = {row[0] for row in run(connection, QUERIES["read_workspaces_of_events"])}
    findings = [Finding(name, None, "book", "a book", "events without one") for name in sorted(with_events - names)]
    books: list[Book] = []
    behind: list[Behind] = []
    for name, position, journal, failure, routes, routes_failure in rows:
        if position or name in with_events:
            books.append(Book(name, position, journal or 0, routes or 0))
            for projection, reached, why in ((JOURNAL, journal, failure), (ROUTE_LEDGER, routes, routes_failure)):
                compare_reached(
                    Behind(name, projection, reached or 0, position - (reached or 0), why), behind, findings
                )
    large = [book for book in books if book.position > events_per_stretch()]
    tasks = tasks_of(books, read_limits(connection, large))
    return Plan(generation, tuple(books), tuple(tasks), tuple(behind), tuple(findings))


def compare_reached(followed: Behind, behind: list[Behind], findings: list[Finding]) -> None:
    """Note a book that was not followed to its end, or further than that."""
    if followed.events > 0:
        behind.append(followed)
    elif followed.events < 0:
        what = f"{followed.projection.replace('_', ' ')} position"
        end = followed.position + followed.events
        findings.append(Finding(followed.workspace_id, None, what, f"at most {end}", str(followed.position)))


def read_limits(connection: Connection[TupleRow], books: Sequence[Book]) -> dict[str, list[LimitChange]]:
    """Return the credit limits of large books, in order: a stretch begins with those before it."""
    limits: dict[str, list[LimitChange]] = {}
    scales: dict[tuple[str, str], int] = {}
    names = [book.workspace_id for book in books]
    for name, position, state in run(connection, QUERIES["read_limits"], (names,)) if names else ():
        try:
            event = decode_fact(state).event
        except NOT_APPLICABLE:
            # It is reported where it stands.
            continue
        if isinstance(event, WalletOpened):
            scales[name, event.bucket] = event.scale
        elif not isinstance(event, CreditLimitChanged) or (name, event.bucket) not in scales:
            continue
        scale = scales[name, event.bucket]
        change = LimitChange(position, event.bucket, event.unit, scale, event.credit_limit_minor)
        limits.setdefault(name, []).append(change)
    return limits
