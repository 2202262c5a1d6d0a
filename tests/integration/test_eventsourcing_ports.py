"""The `eventsourcing` library's own test cases on our ports, and the ports on books that the service wrote."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from typing import Any
from unittest import TestCase
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from eventsourcing import persistence
from eventsourcing.persistence import EventStore, Notification, StoredEvent, Tracking
from eventsourcing.tests import persistence as kit

from ledger.book import BookState
from ledger.core.identifiers import PLATFORM
from ledger.events import Recorded, request_of
from ledger.service import Ledger
from ledger.store.batch import Wanted
from ledger.store.chain import leaf_digest, next_digest, start_digest
from ledger.store.connection import connect_writer
from ledger.store.mapper import FactMapper, StreamFact, place_fact
from ledger.store.reading import Caches, read_batch
from ledger.store.recorder import BookRecorder
from ledger.store.tracking import BookTracking
from tests.unit import story

SCRATCH = "scratch"


class CountingFromZero(BookRecorder):
    """The kit writes some streams from version 0 and ours begin at 1: moved by one on the way in and out."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> list[int]:
        return super().insert_events(
            [replace(event, originator_version=event.originator_version + 1) for event in stored_events]
        )

    def select_notifications(self, *args: Any, **kwargs: Any) -> list[Notification]:
        found = super().select_notifications(*args, **kwargs)
        return [replace(event, originator_version=event.originator_version - 1) for event in found]


class OnFreshDatabase:
    """Gives the methods of a unittest a database of their own."""

    database_url: str

    @pytest.fixture(autouse=True)
    def use_database(self, database_url: str) -> None:
        """Keep the URL where the methods of a unittest find it."""
        self.database_url = database_url


class OnScratchBook(OnFreshDatabase):
    """Gives the kit recorders of a book with string originator ids; after each test its chain must be intact."""

    recorder_type: type[BookRecorder] = BookRecorder

    def new_originator_id(self) -> UUID | str:
        return f"stream/{uuid4()}"

    def create_recorder(self) -> BookRecorder:
        recorder = self.recorder_type(self.database_url, SCRATCH)
        assert isinstance(self, TestCase)
        self.addCleanup(self.check_book, recorder)
        return recorder

    def check_book(self, recorder: BookRecorder) -> None:
        recorder.close()
        assert_chained(self.database_url, SCRATCH)


class TestBookRecorder(OnScratchBook, kit.ApplicationRecorderTestCase[BookRecorder]):
    """The library's test case for application recorders."""

    def test_concurrent_no_conflicts(self, initial_position: int = 0) -> None:  # noqa: PT028 - the kit's signature
        """Ten threads write a hundred times a hundred events while two read."""
        self.recorder_type = CountingFromZero
        super().test_concurrent_no_conflicts(initial_position)

    def test_concurrent_throughput(self) -> None:
        """Four threads write as fast as they can, and none fails."""
        self.recorder_type = CountingFromZero
        super().test_concurrent_throughput()

    def test_insert_subscribe(self) -> None:
        """The kit's optional test of subscriptions."""
        self.optional_test_insert_subscribe()


class TestNonInterleaving(OnScratchBook, kit.NonInterleavingNotificationIDsBaseCase):
    """The library's test case for insertions that race."""

    recorder_type = CountingFromZero


class TestBookTracking(OnFreshDatabase, kit.TrackingRecorderTestCase):
    """The library's test case for tracking recorders."""

    def create_recorder(self) -> BookTracking:
        tracking = BookTracking(self.database_url, SCRATCH)
        self.addCleanup(tracking.close)
        return tracking


@pytest.fixture
def recorder(database_url: str) -> Iterator[BookRecorder]:
    """A recorder of an empty scratch book."""
    with BookRecorder(database_url, SCRATCH) as opened:
        yield opened


@pytest.fixture
def told(ledger: Ledger) -> dict[tuple[str, str], Recorded]:
    """The whole story as the service recorded it, by workspace and identity."""
    found: dict[tuple[str, str], Recorded] = {}
    parts = story.catalog_commands, story.workspace_commands, story.wallet_commands, story.request_commands
    for outcome in ledger.execute_many([command for part in parts for command in part()], "tester"):
        assert outcome.recorded is not None, outcome.refused
        found[outcome.recorded.workspace_id, outcome.recorded.command_id] = outcome.recorded
    return found


def event(stream: str, version: int, topic: str = "topic", state: bytes = b"{}") -> StoredEvent:
    return StoredEvent(stream, version, topic, state)


def read_book(url: str, workspace_id: str) -> list[Recorded]:
    columns = ", ".join(Recorded.__struct_fields__)
    query = f"select {columns} from ledger.event where workspace_id = %s order by position"
    with psycopg.connect(url) as connection:
        return [Recorded(*row) for row in connection.execute(query.encode(), (workspace_id,))]


def assert_chained(url: str, workspace_id: str) -> list[Recorded]:
    """Check positions, clock and digests of a book from its start to its head, and return its events."""
    events = read_book(url, workspace_id)
    digest, clock = start_digest(workspace_id), 0
    for position, recorded in enumerate(events, start=1):
        assert recorded.position == position
        assert recorded.recorded_at >= clock
        clock = recorded.recorded_at
        *fields, _ = msgspec.structs.astuple(recorded)
        digest = next_digest(digest, leaf_digest(*fields))
        assert recorded.digest == digest
    with psycopg.connect(url) as connection:
        head = connection.execute(
            "select position, digest, recorded_at from ledger.book where workspace_id = %s", (workspace_id,)
        ).fetchone()
    assert head == (len(events), digest, clock) if events else head is None
    return events


def rebuild(recorder: BookRecorder, page: int) -> BookState:
    """Fold a book from all its notifications, pulled page by page."""
    book, mapper, position = BookState(recorder.workspace_id), FactMapper(), 0
    clocks = {event.position: event.recorded_at for event in read_book(recorder.url, recorder.workspace_id)}
    while found := recorder.select_notifications(position, page, inclusive_of_start=False):
        for notification in found:
            placed = mapper.to_domain_event(notification)
            position += 1
            assert notification.id == position
            book.apply(placed.originator_id, placed.fact, position, clocks[position])
    return book


def read_live(url: str, workspace_id: str, replayed: BookState) -> BookState:
    """Read a book as group commit does before it decides: rows of wallets, holds, budgets, and a few events."""
    wanted = Wanted()
    wanted.books |= {workspace_id, PLATFORM}
    wanted.requests.update(dict.fromkeys((workspace_id, name) for name in replayed.requests))
    wanted.budgets.update(dict.fromkeys((workspace_id, name) for name in replayed.budgets))
    wanted.payments.update(dict.fromkeys((workspace_id, "/".join(key)) for key in replayed.payments))
    wanted.paces.update(dict.fromkeys((workspace_id, key) for key in replayed.pace))
    with connect_writer(url) as connection:
        batch = read_batch(connection, wanted, Caches())
        connection.execute("rollback")
    return batch.books[workspace_id]


def test_events_of_the_service_are_read_back(
    ledger: Ledger, told: dict[tuple[str, str], Recorded], database_url: str
) -> None:
    """Recorder and mapper return every event of the service: stream, version, tag, fact and the very bytes."""
    mapper = FactMapper()
    for workspace_id in (PLATFORM, story.ACME):
        written = {r.position: r for (owner, _), r in told.items() if owner == workspace_id}
        with BookRecorder(database_url, workspace_id) as recorder:
            notifications = recorder.select_notifications(None, 1000)
            for recorded in written.values():
                stream = recorder.select_events(recorded.stream, gt=recorded.version - 1, lte=recorded.version)
                placed = [mapper.to_domain_event(found) for found in stream]
                assert placed == [StreamFact(recorded.stream, recorded.version, recorded.fact, recorded.state)]
                assert placed == [place_fact(recorded.stream, recorded.version, recorded.fact)]
        assert [n.id for n in notifications] == sorted(written)
        assert [(n.topic, n.state) for n in notifications] == [(r.tag, r.state) for _, r in sorted(written.items())]


@pytest.mark.parametrize("page", [1, 7, 1000])
def test_notifications_rebuild_the_book(told: dict[tuple[str, str], Recorded], database_url: str, page: int) -> None:
    """All notifications of a book, folded, are the state that group commit reads from its rows."""
    with BookRecorder(database_url, story.ACME) as recorder:
        replayed = rebuild(recorder, page)
    live = read_live(database_url, story.ACME, replayed)
    assert all((replayed.budgets, replayed.payments, replayed.pace))
    replayed.pace = {key: msgspec.structs.replace(use, is_whole=True) for key, use in replayed.pace.items()}
    assert len(replayed.requests) == len({r.stream for r in told.values() if request_of(r.stream)})
    for name in BookState.__slots__:
        if name != "catalog":
            assert getattr(replayed, name) == getattr(live, name), name
    with BookRecorder(database_url, PLATFORM) as recorder:
        platform = rebuild(recorder, page)
    assert msgspec.structs.replace(live.catalog, position=0) == msgspec.structs.replace(platform.catalog, position=0)


def test_facts_put_by_the_library_are_chained(
    told: dict[tuple[str, str], Recorded], recorder: BookRecorder, database_url: str
) -> None:
    """A book copied through the library's event store has the same events in an intact chain of its own."""
    mapper = FactMapper()
    store: EventStore[str] = EventStore(mapper, recorder)
    with BookRecorder(database_url, story.ACME) as source:
        facts = [mapper.to_domain_event(found) for found in source.select_notifications(None, 1000)]
    recordings = [*store.put(facts[:3]), *store.put(facts[3:])]
    copies, originals = (
        [(r.stream, r.version, r.tag, r.state) for r in assert_chained(database_url, workspace_id)]
        for workspace_id in (SCRATCH, story.ACME)
    )
    assert copies == originals
    assert [recording.notification.id for recording in recordings] == list(range(1, len(originals) + 1))
    assert list(store.get("wallet/credit")) == [fact for fact in facts if fact.originator_id == "wallet/credit"]


def test_live_books_are_not_written(told: dict[tuple[str, str], Recorded], database_url: str) -> None:
    """A book that the service has opened is refused: an event from here would move none of its wallets."""
    for workspace_id in (PLATFORM, story.ACME):
        with BookRecorder(database_url, workspace_id) as recorder:
            before = recorder.max_notification_id()
            with pytest.raises(persistence.ProgrammingError, match="is live"):
                recorder.insert_events([event("other", 1)])
            assert recorder.max_notification_id() == before
        assert_chained(database_url, workspace_id)


def test_stored_bytes_are_never_encoded_again(told: dict[tuple[str, str], Recorded]) -> None:
    """Bytes that today's encoder would write differently pass through the mapper as they are."""
    mapper = FactMapper()
    recorded = next(iter(told.values()))
    spaced = b" " + recorded.state
    stored = StoredEvent(recorded.stream, recorded.version, recorded.tag, spaced)
    placed = mapper.to_domain_event(stored)
    assert (placed.fact, mapper.to_stored_event(placed)) == (recorded.fact, stored)


def test_mapper_refuses_what_is_no_fact(told: dict[tuple[str, str], Recorded]) -> None:
    """Broken bytes, an unknown tag, a topic that is not the event's tag and a foreign class are all refused."""
    mapper = FactMapper()
    recorded = next(iter(told.values()))
    for topic, state in (
        (recorded.tag, b"\xff"),
        (recorded.tag, b"{}"),
        (recorded.tag, recorded.state.replace(recorded.tag.encode(), b"nothing.v1")),
        ("request_voided.v1", recorded.state),
    ):
        with pytest.raises(persistence.MapperDeserialisationError, match=f"{recorded.stream} version 1"):
            mapper.to_domain_event(event(recorded.stream, 1, topic, state))
    foreign: Any = event("stream", 1)
    with pytest.raises(TypeError, match="StoredEvent is no StreamFact"):
        mapper.to_stored_event(foreign)


def test_streams_are_read_in_either_direction(recorder: BookRecorder) -> None:
    """Events of one stream come by version, above `gt`, up to `lte`, from either end, at most `limit`."""
    recorder.insert_events([event(stream, version) for version in range(1, 6) for stream in ("a", "b")])

    def versions(**bounds: Any) -> list[int]:
        return [found.originator_version for found in recorder.select_events("a", **bounds)]

    assert versions() == [1, 2, 3, 4, 5]
    assert versions(desc=True) == [5, 4, 3, 2, 1]
    assert versions(gt=2, lte=4) == [3, 4]
    assert versions(gt=1, desc=True, limit=2) == [5, 4]
    assert versions(limit=2) == [1, 2]
    assert versions(lte=0) == []
    assert recorder.select_events("c") == []


def test_books_do_not_see_each_other(recorder: BookRecorder, database_url: str) -> None:
    """The same stream, version and application in two books are two different things."""
    with BookRecorder(database_url, "other") as other:
        assert recorder.insert_events([event("a", 1, state=b"1")]) == [1]
        assert other.insert_events([event("a", 1, state=b"2")]) == [1]
        assert other.select_events("a") == [event("a", 1, state=b"2")]
        assert [n.state for n in recorder.select_notifications(None, 9)] == [b"1"]
    with BookTracking(database_url, SCRATCH) as mine, BookTracking(database_url, "other") as theirs:
        mine.insert_tracking(Tracking("app", 5))
        assert theirs.max_tracking_id("app") is None
        theirs.insert_tracking(Tracking("app", 3))
        assert (mine.max_tracking_id("app"), theirs.max_tracking_id("app")) == (5, 3)


def test_a_refused_insertion_leaves_nothing(recorder: BookRecorder, database_url: str) -> None:
    """A used version, one used twice and values the schema refuses fail as a whole, each with its own error."""
    recorder.insert_events([event("a", 1)])
    refused = (
        ([event("b", 1), event("a", 1)], persistence.IntegrityError),
        ([event("b", 1), event("b", 1)], persistence.IntegrityError),
        ([event("b", 1), event("b", 0)], persistence.DataError),
        ([event("b", 1), event("b", 2**31)], persistence.DataError),
        ([event("b", 1), event("", 1)], persistence.DataError),
        ([event("b", 1), event("\x00", 1)], persistence.DataError),
        ([event("b", 1), event("\ud800", 1)], persistence.DataError),
    )
    for events, error in refused:
        with pytest.raises(error) as raised:
            recorder.insert_events(events)
        assert type(raised.value) is error
    assert recorder.insert_events([]) == []
    assert recorder.insert_events([event("b", 1)]) == [2]
    assert [r.command_id for r in assert_chained(database_url, SCRATCH)] == ["@recorded/a/1", "@recorded/b/1"]


def test_followers_skip_nothing_while_many_write(database_url: str) -> None:
    """Recorders with connections of their own write at once; a subscription sees every position once, in order."""
    writers, writes = 6, 25
    expected = 2 * writers * writes

    def write(number: int) -> list[list[int]]:
        pairs = [[event(f"writer/{number}", 2 * turn + place) for place in (1, 2)] for turn in range(writes)]
        with BookRecorder(database_url, SCRATCH) as own:
            return [own.insert_events(pair) for pair in pairs]

    with (
        BookRecorder(database_url, SCRATCH) as follower,
        ThreadPoolExecutor(writers + 1) as threads,
        follower.subscribe() as subscription,
    ):
        seen = threads.submit(lambda: list(islice(subscription, expected)))
        written = [run for runs in threads.map(write, range(writers)) for run in runs]
        notifications = seen.result(timeout=60)
    assert [notification.id for notification in notifications] == list(range(1, expected + 1))
    assert sorted(written) == [[position, position + 1] for position in range(1, expected, 2)]
    events = assert_chained(database_url, SCRATCH)
    assert [(r.stream, r.version) for r in events] == [(n.originator_id, n.originator_version) for n in notifications]


def test_subscription_wakes_up_to_stop(recorder: BookRecorder) -> None:
    """A subscription that waits for topics that never come is ended by another thread."""
    recorder.insert_events([event("a", version) for version in range(1, 1200)])
    with recorder.subscribe(topics=["never"]) as subscription:
        timer = threading.Timer(0.3, subscription.stop)
        timer.start()
        assert list(subscription) == []
        timer.join()


def test_subscription_goes_on_after_many_pages(recorder: BookRecorder) -> None:
    """Pages of a filtered subscription join without loss, and what comes later is still seen."""
    recorder.insert_events([event("a", version, f"topic{version % 2}") for version in range(1, 2401)])
    with recorder.subscribe(gt=2, topics=["topic1"]) as subscription:
        found = list(islice(subscription, 1199))
        recorder.insert_events([event("b", 1, "topic0"), event("b", 2, "topic1")])
        found.append(next(subscription))
    assert [notification.id for notification in found] == [*range(3, 2400, 2), 2402]


def test_recorder_survives_a_lost_connection(recorder: BookRecorder, database_url: str) -> None:
    """After the server has cut the connections the library's error is raised once, and the next call works."""
    recorder.insert_events([event("a", 1)])
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    with pytest.raises(persistence.OperationalError):
        recorder.max_notification_id()
    assert recorder.insert_events([event("a", 2)]) == [2]


def test_tracking_only_grows(database_url: str) -> None:
    """Of many threads that note the same position exactly one succeeds, and the writer may not delete the row."""
    with BookTracking(database_url, SCRATCH) as tracking, ThreadPoolExecutor(8) as threads:

        def note(position: int) -> bool:
            try:
                tracking.insert_tracking(Tracking("app", position))
            except persistence.IntegrityError:
                return False
            return True

        for position in (7, 8):
            assert sum(threads.map(note, [position] * 16)) == 1
        assert tracking.max_tracking_id("app") == 8
    with connect_writer(database_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("delete from ledger.tracking")
