"""A moment of a book → what is summed for it: movements of whole blocks and days, and the few legs beside them. Pure.

Let P be the last position that counts, and T the first instant that does not. What happened by then is

- the movements of all days before the one that T lies in, in the blocks that end by P;
- of the block that P lies in, the shorter way: its legs up to P that happened before T; or its movements too, less its
  legs behind P that happened before the day of T;
- of the day that T lies in, the legs between its first instant and T, in those blocks that moved anything on it.

Without T, and where P lies in the last block, the accounts themselves less the legs behind P are the same.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from projections import journal
from projections.days import Calendar

__all__ = ["EVER", "BookAt", "bounds_of", "days_before", "sums_of"]

EVER = 2**63 - 1
FIRST_DAY, LAST_DAY = -(2**31), 2**31 - 1


class BookAt(msgspec.Struct, frozen=True):
    """A book at a moment: what counts are its events up to `position` that happened before `effective_before`.

    The journal has followed it to `followed`, which is no earlier position. None is no bound.
    """

    workspace_id: str
    time_zone: str
    followed: int
    position: int
    effective_before: int | None = None


class Bounds(msgspec.Struct, frozen=True):
    """Where a book is cut: days before `day` are whole, the first instant of it is `begin`; `before` is T."""

    day: int
    begin: int
    before: int


UNBOUND = Bounds(LAST_DAY, EVER, EVER)


class Rows:
    """What is summed, as the columns of a statement gather it; each list has rows that begin with a workspace."""

    def __init__(self, *, in_snapshot: bool) -> None:
        self.in_snapshot = in_snapshot
        self.uncut: list[tuple[str]] = []
        self.wholes: list[tuple[str, int, int, int]] = []
        self.spans: list[tuple[str, int, int, int]] = []
        self.timed: list[tuple[str, int, int, int, int]] = []
        self.cells: list[tuple[str, int, int, int, int, int]] = []
        self.days_of_all_before: int | None = None

    def add(self, book: BookAt, bounds: Bounds, first_day: int = FIRST_DAY) -> None:
        """Add a book from a day on."""
        block = book.position >> journal.BLOCK_BITS
        first, last = block << journal.BLOCK_BITS, ((block + 1) << journal.BLOCK_BITS) - 1
        is_shorter_behind = min(book.followed, last) - book.position <= book.position - first
        blocks_before = block + is_shorter_behind
        if bounds is UNBOUND and is_shorter_behind and book.followed <= last:
            self.uncut.append((book.workspace_id,))
            self.take_off(book, EVER, EVER)
            return
        if blocks_before and first_day < bounds.day:
            self.wholes.append((book.workspace_id, blocks_before, first_day, bounds.day))
        if is_shorter_behind:
            self.take_off(book, last, bounds.begin)
        else:
            self.add_legs(book.workspace_id, (first, book.position), 1, bounds.before)
        if bounds.begin < bounds.before:
            place = (bounds.begin, bounds.before, blocks_before, book.position)
            self.cells.append((book.workspace_id, bounds.day, *place))

    def take_off(self, book: BookAt, last: int, before: int) -> None:
        """Take off the legs behind the book's position; the journal may have gone on since that was read."""
        is_end = self.in_snapshot and book.position == book.followed
        if not is_end and book.position < last:
            self.add_legs(book.workspace_id, (book.position + 1, last), -1, before)

    def add_legs(self, workspace_id: str, span: tuple[int, int], sign: int, before: int) -> None:
        """Add the legs of a span of positions that happened before an instant, with a sign."""
        if before == EVER:
            self.spans.append((workspace_id, *span, sign))
        else:
            self.timed.append((workspace_id, *span, sign, before))

    def parameters(self) -> dict[str, Any]:
        """Return the rows as the statement takes them, column by column."""
        return {
            "block_bits": journal.BLOCK_BITS,
            "days_of_all_before": self.days_of_all_before,
            **columns("uncut", ("workspace_ids",), self.uncut),
            **columns("whole", ("workspace_ids", "blocks_before", "days", "days_before"), self.wholes),
            **columns("span", ("workspace_ids", "firsts", "lasts", "signs"), self.spans),
            **columns("timed", ("workspace_ids", "firsts", "lasts", "signs", "befores"), self.timed),
            **columns("cell", ("workspace_ids", "days", "begins", "befores", "blocks_before", "positions"), self.cells),
        }


def sums_of(books: Sequence[BookAt], *, in_snapshot: bool = False, are_all: bool = False) -> dict[str, Any]:
    """Return the parameters with which `read_turnovers` sums these books.

    `in_snapshot`: the positions that were followed are those of the same snapshot. `are_all`: these are all books.
    """
    rows = Rows(in_snapshot=in_snapshot)
    bounds = {book.workspace_id: bounds_of(book.time_zone, book.effective_before) for book in books}
    first_day = FIRST_DAY
    if in_snapshot and are_all and books and all(is_timed_only(book) for book in books):
        # No book is cut by a position: the days that are whole everywhere need no look at the books.
        first_day = rows.days_of_all_before = min(each.day for each in bounds.values())
    for book in books:
        rows.add(book, bounds[book.workspace_id], first_day)
    return rows.parameters()


def is_timed_only(book: BookAt) -> bool:
    """Return whether all that is known of a book counts, as long as it happened in time."""
    return book.position == book.followed and book.effective_before is not None


@lru_cache(maxsize=4096)
def bounds_of(time_zone: str, before: int | None) -> Bounds:
    """Return where an instant cuts the days of a time zone."""
    if before is None:
        return UNBOUND
    calendar = Calendar(time_zone)
    day = calendar.day_of(before)
    return Bounds(day, calendar.begin_of(day), before)


def days_before(book: BookAt) -> int:
    """Return before which day all that happened by the moment lies; the day that the moment cuts is not left out."""
    bounds = bounds_of(book.time_zone, book.effective_before)
    return bounds.day + (bounds.begin < bounds.before)


def columns(prefix: str, names: Iterable[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """Return rows as one named list per column."""
    return {f"{prefix}_{name}": [row[place] for row in rows] for place, name in enumerate(names)}
