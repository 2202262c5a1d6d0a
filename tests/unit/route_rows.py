"""The route ledger without a database: rows and spend as pages of events leave them, kept as the tables keep them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from ledger.core.accounts import WALLET_HELD, overrun, refunds, revenue
from ledger.events import REQUEST_STREAM, TAGS, encode_fact
from projections.following import Page, PagedEvent, apply_page
from projections.route_ledger.book import RouteBook
from projections.route_ledger.rows import RequestRow
from projections.route_ledger.spending import Spending, Sums, add_row
from tests.unit.world import NOW, SECOND, World

GENERATION = 1
SUM_FIELDS = tuple(name for name in Sums.__struct_fields__ if name != "lines")


class KeptRows:
    """What the tables hold of one book: rows as JSON, and spend without anything that is zero."""

    def __init__(self, workspace_id: str) -> None:
        self.workspace_id = workspace_id
        self.position = 0
        self.rows: dict[str, bytes] = {}
        self.spending: Spending = {}

    def take(self, events: Sequence[PagedEvent]) -> None:
        """Apply a page of events, which must all fit."""
        book = RouteBook(self.workspace_id, GENERATION)
        streams = {event[2] for event in events}
        for request_id, row in self.rows.items():
            if REQUEST_STREAM + request_id in streams:
                book.rows[request_id] = msgspec.json.decode(row, type=RequestRow)
        advance = apply_page(Page(self.workspace_id, self.position, list(events)), book.apply)
        assert advance.failure is None, advance
        self.position = advance.position
        for request_id, changed in (book.begun | book.changed).items():
            self.rows[request_id] = msgspec.json.encode(changed)
        add_spending(self.spending, book.spending())

    def read(self) -> list[RequestRow]:
        """Return the rows, in the order in which they began."""
        return sorted((msgspec.json.decode(row, type=RequestRow) for row in self.rows.values()), key=place)


def place(row: RequestRow) -> int:
    """Return where a row's request began."""
    return row.position


def add_spending(spending: Spending, more: Spending) -> None:
    """Add what a page changes, and leave nothing of what is zero."""
    for key, sums in more.items():
        there = spending.setdefault(key, Sums())
        for name in SUM_FIELDS:
            setattr(there, name, getattr(there, name) + getattr(sums, name))
        for line, (tokens, rated_minor) in sums.lines.items():
            before = there.lines.get(line, [0, 0])
            there.lines[line] = [before[0] + tokens, before[1] + rated_minor]
            if there.lines[line] == [0, 0]:
                del there.lines[line]
        if there.is_empty():
            del spending[key]


def spending_of(rows: Iterable[RequestRow]) -> Spending:
    """Return what rows come to, each added once."""
    found: Spending = {}
    for row in rows:
        add_row(found, row, 1)
    kept: Spending = {}
    add_spending(kept, found)
    return kept


def events_of(world: World, workspace_id: str, after: int = 0) -> list[PagedEvent]:
    """Return a book's events after a position in order, as a follower reads them; each was recorded a second later."""
    return [
        (
            workspace_id, done.position, done.stream, TAGS[type(done.fact.event)], NOW + done.position * SECOND,
            encode_fact(done.fact),
        )
        for (name, _), done in world.recorded.items()
        if name == workspace_id and done.position > after
    ]  # fmt: skip


def kept_of(world: World, workspace_id: str, page_sizes: Iterable[int] = ()) -> KeptRows:
    """Return the rows of a book that was followed in pages of these sizes, and what is left in one last page."""
    events, kept = events_of(world, workspace_id), KeptRows(workspace_id)
    for size in page_sizes:
        kept.take(events[:size])
        events = events[size:]
    kept.take(events)
    return kept


def balances_of(rows: Iterable[RequestRow]) -> dict[tuple[str, str], int]:
    """Return what the accounts (bucket, account) must be in debt by, as the rows say; none that is zero."""
    found: defaultdict[tuple[str, str], int] = defaultdict(int)
    for row in rows:
        found[row.bucket, WALLET_HELD] -= row.held_minor
        found[row.bucket, revenue(row.route)] -= row.charge_minor or 0
        found[row.bucket, overrun(row.route)] += row.overrun_minor or 0
        found[row.bucket, refunds(row.route)] += row.refunded_minor
    return {account: minor for account, minor in found.items() if minor}


def balances_of_spending(spending: Spending) -> dict[tuple[str, str], int]:
    """Return the same as what was spent says: all but what is held."""
    found: defaultdict[tuple[str, str], int] = defaultdict(int)
    for (_, cell), sums in spending.items():
        found[cell.bucket, revenue(cell.route)] -= sums.charge_minor + sums.corrected_minor
        found[cell.bucket, overrun(cell.route)] += sums.overrun_minor - sums.undone_minor
        found[cell.bucket, refunds(cell.route)] += sums.refunded_minor
    return {account: minor for account, minor in found.items() if minor}


def balances_in(world: World, workspace_id: str, *, held: bool = True) -> dict[tuple[str, str], int]:
    """Return what a book's accounts of requests are in debt by; without what is held if told so."""
    kinds = ("revenue.", "overrun.", "refunds.", WALLET_HELD if held else "revenue.")
    return {
        (bucket, account): minor
        for (name, bucket, account), minor in world.accounts.items()
        if name == workspace_id and minor and account.startswith(kinds)
    }
