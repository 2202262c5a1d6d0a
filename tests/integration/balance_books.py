"""Books with chosen times, put into a database as they stand: what no service would record so quickly or so late.

Beside each book its entries are kept, so that any balance can be folded from all of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
import psycopg

from ledger.core.entries import Entry
from ledger.events import TAGS, Event, Fact, encode_fact
from ledger.posting_rules import post
from ledger.wallet.events import CreditLimitChanged, WalletOpened
from ledger.workspace.events import WorkspaceCreated

__all__ = ["BUCKETS", "DrawnBook", "Happening", "Turnovers", "fold", "limit_of", "put_books"]

BUCKETS = ("credit", "rmb", "points")
Turnovers = dict[tuple[str, str], tuple[int, int]]


class Happening(msgspec.Struct, frozen=True):
    """An event with the instant at which it was recorded and by how much later than it happened."""

    event: Any
    recorded_at: int
    late: int = 0

    @property
    def effective_at(self) -> int:
        """When it happened."""
        return max(self.recorded_at - self.late, 0)


class DrawnBook(msgspec.Struct, frozen=True):
    """A workspace in a time zone with wallets in all buckets, and what happened in it after they were opened."""

    workspace_id: str
    time_zone: str
    begins_at: int
    happenings: tuple[Happening, ...]

    def all(self) -> list[Happening]:
        """Return everything that happens in the book; its place there is its position less one."""
        opened: list[Event] = [WorkspaceCreated(time_zone=self.time_zone)]
        opened += [WalletOpened(bucket, "CREDIT", 6, credit_limit_minor=7) for bucket in BUCKETS]
        return [*(Happening(event, self.begins_at) for event in opened), *self.happenings]


def fold(book: DrawnBook, position: int, effective_before: int | None = None) -> Turnovers:
    """Return what went through each account, entry by entry."""
    sums: Turnovers = {}
    for happening in book.all()[:position]:
        if effective_before is None or happening.effective_at < effective_before:
            for entry in post(happening.event):
                add_legs(sums, entry)
    return sums


def add_legs(sums: Turnovers, entry: Entry) -> None:
    """Add an entry's legs to turnovers."""
    for leg in entry.legs:
        for account, debit, credit in ((leg.debit_account, leg.minor, 0), (leg.credit_account, 0, leg.minor)):
            before = sums.get((entry.bucket, account), (0, 0))
            sums[entry.bucket, account] = (before[0] + debit, before[1] + credit)


def limit_of(book: DrawnBook, bucket: str, position: int, effective_before: int | None) -> int:
    """Return a wallet's credit limit as the last event says that had happened and been recorded by then."""
    limit = 0
    for happening in book.all()[:position]:
        event = happening.event
        is_ours = isinstance(event, WalletOpened | CreditLimitChanged) and event.bucket == bucket
        if is_ours and (effective_before is None or happening.effective_at < effective_before):
            limit = event.credit_limit_minor
    return limit


def put_books(url: str, books: Iterable[DrawnBook]) -> None:
    """Put books into a database as their owner; the chain is left out, for nobody reads it here."""
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for book in books:
            happenings = book.all()
            cursor.execute(
                "insert into ledger.book (workspace_id, position, digest, recorded_at) values (%s, %s, %s, %s)",
                (book.workspace_id, len(happenings), bytes(32), happenings[-1].recorded_at),
            )
            cursor.executemany(
                "insert into ledger.event (workspace_id, position, stream, version, tag, command_id, recorded_at,"
                " state, digest) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                list(event_rows(book.workspace_id, happenings)),
            )


def event_rows(workspace_id: str, happenings: Sequence[Happening]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a book's events."""
    versions: dict[str, int] = {}
    for position, happening in enumerate(happenings, start=1):
        event = happening.event
        stream = f"request/r{position}"
        if isinstance(event, WalletOpened | CreditLimitChanged):
            stream = f"wallet/{event.bucket}"
        elif isinstance(event, WorkspaceCreated):
            stream = "workspace"
        versions[stream] = versions.get(stream, 0) + 1
        state = encode_fact(Fact("tester", happening.effective_at, 0, event))
        yield (
            workspace_id, position, stream, versions[stream], TAGS[type(event)], f"c{position}",
            happening.recorded_at, state, bytes(32),
        )  # fmt: skip
