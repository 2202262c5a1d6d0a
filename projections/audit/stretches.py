"""How books are cut into parts that can be checked in any order and by any process. Pure.

A large book is cut between blocks of positions, so that what was moved in a block is wholly in one part.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from projections import journal

__all__ = ["END", "Book", "LimitChange", "Stretch", "Task", "cut", "events_per_stretch", "tasks_of"]

BLOCKS_PER_STRETCH = 2
BOOKS_PER_TASK = 500
END = 2**62
"""Beyond every position: the last part of a book has whatever is found after its end."""


class Book(msgspec.Struct, frozen=True):
    """A book as its head says, and how far the two projections have followed it."""

    workspace_id: str
    position: int
    journal_position: int
    routes_position: int


class LimitChange(msgspec.Struct, frozen=True):
    """A wallet's credit limit from a position on."""

    position: int
    bucket: str
    unit: str
    scale: int
    credit_limit_minor: int


class Stretch(msgspec.Struct, frozen=True):
    """The positions `first` to `last` of a book. `wallets` are those that were open before, with their credit limits.

    The last stretch of a book ends with `END`.
    """

    book: Book
    first: int
    last: int
    wallets: tuple[LimitChange, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether this is all of the book."""
        return self.first == 1 and self.last == END


Task = tuple[Stretch, ...]
"""Some whole books, or one stretch of a large one."""


def events_per_stretch() -> int:
    """Return how many events a stretch has; a larger book is cut."""
    return BLOCKS_PER_STRETCH << journal.BLOCK_BITS


def tasks_of(books: Iterable[Book], limits: Mapping[str, list[LimitChange]]) -> Iterator[Task]:
    """Yield all of some books in tasks of about the same size, large books first.

    `limits` has the credit limits of the large books, in order of position.
    """
    task: list[Stretch] = []
    events = 0
    for book in sorted(books, key=lambda each: (-each.position, each.workspace_id)):
        if book.position > events_per_stretch():
            yield from ((stretch,) for stretch in cut(book, limits.get(book.workspace_id, [])))
            continue
        if task and (events + book.position > events_per_stretch() or len(task) == BOOKS_PER_TASK):
            yield tuple(task)
            task, events = [], 0
        task.append(Stretch(book, 1, END))
        events += book.position
    if task:
        yield tuple(task)


def cut(book: Book, limits: list[LimitChange]) -> Iterator[Stretch]:
    """Yield the stretches of a large book in order."""
    step = events_per_stretch()
    # The first block has one position less: there is no position 0.
    edges = [1, *range(step, book.position + 1, step)]
    wallets: dict[str, LimitChange] = {}
    taken = 0
    for first, after in zip(edges, [*edges[1:], None], strict=True):
        while taken < len(limits) and limits[taken].position < first:
            wallets[limits[taken].bucket] = limits[taken]
            taken += 1
        yield Stretch(book, first, END if after is None else after - 1, tuple(wallets.values()))
