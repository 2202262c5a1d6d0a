"""Balances at any moment are the fold of all entries: any position, any instant, late events, any time zone."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from ledger.core.commands import to_microseconds
from ledger.request.events import ChargeRefunded, RequestReleased, RequestRouted, TokensSettled
from ledger.wallet.events import AdjustmentPosted, BucketExchanged, CreditLimitChanged, FundsAdded
from projections import journal
from projections.balances.moments import AsOf, Moment
from projections.balances.reading import AccountsAt, BalanceReader, WalletsAt
from projections.balances.spans import BookAt, sums_of
from projections.balances.summing import QUERIES, fetch, journal_position, read_turnovers
from projections.connections import connect_projector
from projections.days import Calendar, day_of, first_instant
from projections.followers import read_generation
from projections.reading import JournalReader
from tests import strategies as drawn
from tests.conftest import drop_database
from tests.integration.balance_books import BUCKETS, DrawnBook, Happening, Turnovers, fold, limit_of, put_books
from tests.integration.read_side import follow

SECOND = 1_000_000
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND
SMALL_BLOCK_BITS = 2
"""Blocks of four positions: a few events cross several of them."""

BEGINNINGS = {
    "Asia/Shanghai": ((2026, 10, 31), (1991, 9, 14)),
    "Asia/Kolkata": ((2026, 10, 31), (2025, 12, 31)),
    "America/New_York": ((2026, 3, 7), (2026, 10, 31)),
    "America/Havana": ((2026, 3, 7), (2026, 10, 31)),
    "Pacific/Apia": ((2011, 12, 28), (2026, 10, 31)),
    "UTC": ((2026, 10, 31), (2024, 2, 28)),
}
"""Time zones, with days near which their clocks are moved, or one is left out, or a month ends."""

KINDS = (
    FundsAdded, AdjustmentPosted, BucketExchanged, RequestRouted, TokensSettled, RequestReleased, ChargeRefunded,
    CreditLimitChanged,
)  # fmt: skip
events: st.SearchStrategy[Any] = st.one_of([drawn.event_of(kind) for kind in KINDS])
pauses = st.sampled_from((0, 1, SECOND, HOUR, 7 * HOUR, DAY))
delays = st.sampled_from((0, 0, 0, 1, SECOND, HOUR, DAY, 3 * DAY, 40 * DAY))
FEW = settings(max_examples=max(drawn.EXAMPLES // 6, 8), suppress_health_check=list(HealthCheck))


@st.composite
def books(draw: st.DrawFn, happenings_max: int = 12) -> DrawnBook:
    """Draw a workspace in some time zone; what happens in it is recorded in order, but often late."""
    time_zone = draw(st.sampled_from(sorted(BEGINNINGS)))
    day = draw(st.sampled_from(BEGINNINGS[time_zone]))
    begins_at = clock = to_microseconds(datetime(*day, 3, tzinfo=UTC))
    happenings = []
    for event in draw(st.lists(events, min_size=1, max_size=happenings_max)):
        clock += draw(pauses)
        happenings.append(Happening(event, clock, draw(delays)))
    return DrawnBook(f"w{uuid4().hex[:20]}", time_zone, begins_at, tuple(happenings))


def instants_of(book: DrawnBook) -> list[int]:
    """Return every instant around which a balance may change, and where the days of some of them begin."""
    moments = {happening.effective_at for happening in book.happenings}
    calendar = Calendar(book.time_zone)
    days = {calendar.begin_of(calendar.day_of(moment) + more) for moment in moments for more in (0, 1)}
    return sorted(moments | {moment + 1 for moment in moments} | days)


@pytest.fixture(scope="module")
def url(server_url: str, template_database: str) -> Iterator[str]:
    """A database for all examples; its blocks are small."""
    name = f"balances_{uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{template_database}"'.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "BLOCK_BITS", SMALL_BLOCK_BITS)
        yield make_conninfo(server_url, dbname=name)
    drop_database(server_url, name)


@FEW
@given(book=books(), followed=st.integers(1, 16))
def test_every_position_and_instant_is_a_fold_of_all_entries(url: str, book: DrawnBook, followed: int) -> None:
    """At each position, for each instant around which anything happened, turnovers are those of the entries."""
    put_books(url, [book])
    follow(url, followed)
    last = len(book.all())
    with closing(connect_projector(url, "test")) as connection:
        generation = read_generation(connection, journal.JOURNAL)
        assert journal_position(connection, generation, book.workspace_id) == last
        for position in range(last + 1):
            for before in (None, *instants_of(book)):
                found = read_turnovers(connection, generation, book.workspace_id, AsOf(position, before))
                assert found == fold(book, position, before), (position, before)


@FEW
@given(book=books())
def test_what_the_journal_has_added_since_is_taken_off(url: str, book: DrawnBook) -> None:
    """A reader that knows an older position of the journal finds what stood there, whatever has come behind it."""
    put_books(url, [book])
    follow(url)
    with closing(connect_projector(url, "test")) as connection:
        generation = read_generation(connection, journal.JOURNAL)
        for position in range(len(book.all()) + 1):
            for before in (None, *instants_of(book)[::3]):
                at = BookAt(book.workspace_id, book.time_zone, position, position, before)
                asked = {"generation": generation, "by_workspace": False, "bucket": None, "accounts": None}
                rows = fetch(connection, QUERIES["read_turnovers"], **asked, **sums_of([at]))
                found = {(bucket, account): (int(debit), int(credit)) for _, bucket, account, debit, credit in rows}
                assert found == fold(book, position, before), (position, before)


@FEW
@given(book=books(happenings_max=6), at=st.integers(-1, 1))
def test_a_time_of_recording_is_a_position(url: str, book: DrawnBook, at: int) -> None:
    """The last position recorded at an instant or before is found, also among events of the same instant."""
    put_books(url, [book])
    recorded = [happening.recorded_at for happening in book.all()]
    with closing(connect_projector(url, "test")) as connection:
        for instant in {moment + at for moment in recorded}:
            wanted = sum(moment <= instant for moment in recorded)
            asked = {"workspace_ids": [book.workspace_id], "befores": [instant + 1]}
            assert fetch(connection, QUERIES["find_positions"], **asked) == [(book.workspace_id, wanted)]


@FEW
@given(drawn_books=st.lists(books(happenings_max=8), min_size=2, max_size=4), data=st.data())
def test_over_all_books_a_moment_is_a_sum_of_books(url: str, drawn_books: list[DrawnBook], data: st.DataObject) -> None:
    """Accounts over all books, and each wallet, are sums of folds; a day ends in each workspace's own time zone."""
    clear(url)
    put_books(url, drawn_books)
    follow(url)
    instant = data.draw(st.sampled_from([at for book in drawn_books for at in instants_of(book)]))
    zone = data.draw(st.none() | st.sampled_from(sorted(BEGINNINGS)))
    day = day_of(instant, Calendar(drawn_books[0].time_zone).zone)
    for moment in (
        Moment("effective", instant=instant), Moment("recorded", instant=instant), None,
        Moment("effective", day=day, zone=zone), Moment("recorded", day=day, zone=zone),
    ):  # fmt: skip
        wanted = {book.workspace_id: bound_of(book, moment) for book in drawn_books}
        accounts = asyncio.run(read_accounts(url, moment))
        assert {(row.bucket, row.account): (row.debit_minor, row.credit_minor) for row in accounts.accounts} == summed(
            fold(book, *wanted[book.workspace_id]) for book in drawn_books
        )
        found = asyncio.run(read_wallets(url, moment))
        assert len(found.wallets) == len(drawn_books) * len(BUCKETS)
        by_name = {book.workspace_id: book for book in drawn_books}
        for wallet in found.wallets:
            book = by_name[wallet.workspace_id]
            bounds = wanted[wallet.workspace_id]
            turnovers = fold(book, *bounds)
            (debit, credit), (taken, held) = (
                turnovers.get((wallet.bucket, account), (0, 0)) for account in ("wallet.available", "wallet.held")
            )
            limit = limit_of(book, wallet.bucket, *bounds)
            assert (wallet.held_minor, wallet.posted_minor - wallet.held_minor) == (held - taken, credit - debit)
            assert (wallet.credit_limit_minor, wallet.available_minor) == (limit, credit - debit + limit)
            assert wallet.position == bounds[0]


def bound_of(book: DrawnBook, moment: Moment | None) -> tuple[int, int | None]:
    """Return the position of a book at a moment, and before when its events must have happened."""
    happenings = book.all()
    if moment is None:
        return len(happenings), None
    if moment.day is None:
        before = (moment.instant or 0) + 1
    else:
        before = first_instant(moment.day + timedelta(days=1), Calendar(moment.zone or book.time_zone).zone)
    if moment.kind == "effective":
        return len(happenings), before
    return sum(happening.recorded_at < before for happening in happenings), None


def summed(each: Iterable[Turnovers]) -> Turnovers:
    """Return turnovers of several books together, account by account."""
    sums: Turnovers = {}
    for turnovers in each:
        for account, (debit, credit) in turnovers.items():
            before = sums.get(account, (0, 0))
            sums[account] = (before[0] + debit, before[1] + credit)
    return sums


async def read_accounts(url: str, moment: Moment | None) -> AccountsAt:
    """Return the accounts over all books."""
    async with reading(url) as reader:
        return await reader.accounts(moment)


async def read_wallets(url: str, moment: Moment | None) -> WalletsAt:
    """Return the wallets of all books."""
    async with reading(url) as reader:
        return await reader.wallets(moment)


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[BalanceReader]:
    """Yield a reader, whose connections are closed again."""
    reader = JournalReader(url)
    try:
        yield BalanceReader(reader)
    finally:
        await reader.close()


def clear(url: str) -> None:
    """Take all books out of the database, with what was followed of them."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("alter table ledger.event disable trigger event_is_append_only")
        for table in ("projections.leg", "projections.entry", "projections.movement", "projections.account"):
            connection.execute(f"delete from {table}".encode())
        for table in ("projections.wallet", "projections.progress", "ledger.event", "ledger.book"):
            connection.execute(f"delete from {table}".encode())
        connection.execute("alter table ledger.event enable trigger event_is_append_only")


@given(
    position=st.integers(0, 40), more=st.integers(0, 40), before=st.none() | st.integers(0, 10 * DAY),
    time_zone=st.sampled_from(sorted(BEGINNINGS)),
)  # fmt: skip
def test_never_more_than_half_a_block_is_read_leg_by_leg(
    position: int, more: int, before: int | None, time_zone: str
) -> None:
    """Of the block that a position cuts the shorter part is read, as far as the journal goes; of others none."""
    sums = sums_of([BookAt("w", time_zone, position + more, position, before)], in_snapshot=True)
    size = 1 << journal.BLOCK_BITS
    for name in ("span", "timed"):
        for first, last in zip(sums[f"{name}_firsts"], sums[f"{name}_lasts"], strict=True):
            assert min(last, position + more) - first < size // 2 + 1
            assert first <= position + 1
            assert position - size < last
