"""A replay folds every balance from the events alone, and finds a single changed byte or unit in anything live."""

import random
import threading
from datetime import timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from ledger.core.commands import to_datetime
from ledger.events import RequestEvents
from ledger.request.state import RequestState, Status, fold_request
from ledger.service import Ledger
from ledger.store.chain import leaf_digest, next_digest, start_digest
from projections import replay as replaying
from projections.every import every_projection
from projections.followers import Follower
from projections.replay import ReplayReport, replay
from projections.replaying import BookReplay, ReplayedEvent
from tests.integration.read_side import ask, story, tell
from tests.integration.route_tables import follow_all
from tests.integration.scenes import ACME, do, hold, record, refund, set_up, settle, workspace_commands
from tests.integration.tamperings import EVENT_TAMPERINGS, TAMPERINGS

UNLOCK = "alter table ledger.event disable trigger all"


@pytest.fixture
def told(ledger: Ledger) -> Ledger:
    """A ledger whose workspace acme has seen everything under a daily spend limit, followed to its end."""
    set_up(ledger, day="100000")
    tell(ledger)
    follow_all(ledger.url)
    return ledger


def whats(report: ReplayReport) -> set[str]:
    """Return what differs."""
    return {difference.what for difference in report.differences}


def test_live_is_what_the_events_say(told: Ledger) -> None:
    """After everything that can happen, no wallet, hold, budget, account or digest differs from its replay."""
    report = replay(told.url, verify=True)
    assert report.differences == ()
    live = ask(told.url, "select workspace_id, bucket, posted_minor, held_minor, version from ledger.wallet")
    replayed = {
        (each.workspace_id, each.wallet.bucket, each.wallet.posted_minor, each.wallet.held_minor, each.wallet.version)
        for each in report.wallets
    }
    assert replayed == set(live)
    assert report.events == sum(row[0] for row in ask(told.url, "select position from ledger.book"))


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_changed_row_is_named(told: Ledger, name: str) -> None:
    """One unit, one byte or one row changed in any live table is found, and named."""
    statement, what = TAMPERINGS[name]
    ask(told.url, statement)
    found = whats(replay(told.url, verify=True))
    assert [each for each in found if each.startswith(what)], found


def test_only_the_field_that_differs_is_listed(told: Ledger) -> None:
    """A budget whose charged amount was changed is one difference, not one for each of its amounts."""
    (name,) = ask(told.url, "select min(budget) from ledger.budget")[0]
    ask(told.url, "update ledger.budget set charged_minor = charged_minor + 1 where budget = %s", name)
    assert whats(replay(told.url, verify=True)) == {f"budget {name} charged_minor"}


@pytest.mark.parametrize("name", EVENT_TAMPERINGS)
def test_a_changed_event_is_named(told: Ledger, name: str) -> None:
    """Whatever is changed in an event, the verification says at which position, and at no other."""
    statement, whats_expected = EVENT_TAMPERINGS[name]
    ask(told.url, f"{UNLOCK}; {statement}")
    found = whats(replay(told.url, verify=True))
    assert whats_expected <= found
    # A version that is missing shifts those after it in its stream, and only there.
    events = {what for what in found if what.startswith("event ") and not what.endswith("version")}
    assert events <= whats_expected


def test_a_replay_to_a_position_or_a_time_is_what_was_live_then(ledger: Ledger) -> None:
    """At every position, and at the time of every event, the replayed wallets are those that were live then."""
    set_up(ledger)
    live: list[Any] = []
    for command in story():
        (recorded,) = record(ledger, [command])
        wallets = ask(ledger.url, "select bucket, posted_minor, held_minor, version from ledger.wallet order by 1")
        live.append((recorded.position, recorded.recorded_at, wallets))
    for position, recorded_at, wallets in live:
        for report in (
            replay(ledger.url, ACME, at_position=position),
            replay(ledger.url, ACME, at_time=to_datetime(recorded_at)),
            replay(ledger.url, ACME, at_time=to_datetime(recorded_at) + timedelta(microseconds=1)),
        ):
            assert [
                (each.wallet.bucket, each.wallet.posted_minor, each.wallet.held_minor, each.wallet.version)
                for each in report.wallets
            ] == wallets
            assert {each.position for each in report.wallets} == {position}


def test_questions_that_make_no_sense_are_refused(ledger: Ledger) -> None:
    """An unknown workspace, a position of no book in particular, and a verification of the past are errors in words."""
    with pytest.raises(LookupError, match="nobody"):
        replay(ledger.url, "nobody")
    with pytest.raises(ValueError, match="name the workspace"):
        replay(ledger.url, at_position=3)
    with pytest.raises(ValueError, match="earlier moment"):
        replay(ledger.url, "platform", at_position=3, verify=True)


def test_verification_runs_beside_writers_and_followers(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """While books are written and followed, no verification finds a difference: each look is one snapshot."""
    monkeypatch.setattr(replaying, "EVENTS_PER_FETCH", 50)
    set_up(ledger)
    record(ledger, workspace_commands("other", day="1000"))
    ending = threading.Event()

    def write() -> None:
        for number in range(100_000):
            if ending.is_set():
                return
            name = (ACME, "other")[number % 2]
            do(ledger, hold(f"r{number}", workspace_id=name), settle(f"r{number}", workspace_id=name))
            if number % 3 == 0:
                do(ledger, hold(f"open{number}", "0.001", workspace_id=name))

    writer = threading.Thread(target=write)
    followers = [Follower(ledger.url, projection, 0.005) for projection in every_projection()]
    for thread in (writer, *followers):
        thread.start()
    try:
        reports = [replay(ledger.url, verify=True) for _ in range(25)]
    finally:
        ending.set()
        writer.join()
        for follower in followers:
            follower.stop()
    assert {difference for report in reports for difference in report.differences} == set()
    assert reports[-1].events > reports[0].events


def test_ended_requests_are_forgotten_and_found_again(ledger: Ledger) -> None:
    """Only open requests stay in memory; a refund of one that ended folds its few earlier events again."""
    set_up(ledger)
    do(ledger, *(command for number in range(50) for command in (hold(f"r{number}"), settle(f"r{number}"))))
    do(ledger, hold("open"), refund("r7"), refund("r7", refund_id="2"))
    looked: list[str] = []
    rows: list[ReplayedEvent] = ask(
        ledger.url,
        "select workspace_id, position, stream, version, tag, command_id, recorded_at, state, digest"
        " from ledger.event where workspace_id = 'acme' order by position",
    )

    def earlier(workspace_id: str, stream: str, version: int) -> list[tuple[int, bytes]]:
        looked.append(f"{stream} {version}")
        return [(row[3], row[7]) for row in rows if row[2] == stream and row[3] < version]

    book = BookReplay(ACME, earlier)
    book.apply(rows)
    assert (book.differences, list(book.state.requests)) == ([], ["open"])
    assert looked == ["request/r7 3", "request/r7 4"]


def test_the_fast_link_is_the_published_one() -> None:
    """The replay's own digests are those of the chain's published functions, for texts and numbers of any size."""
    dice = random.Random(7)
    rows: list[ReplayedEvent] = []
    digest = start_digest("acme")
    for position in range(1, 300):
        stream = "request/" + dice.choice(["r", "é" * dice.randint(1, 60), "x" * dice.randint(1, 190)])
        fields: Any = (
            "acme", position, stream, dice.choice([1, 2, 1023, 1024, 10**6]), dice.choice(["a.v1", "b.v1"]),
            dice.choice(["c", "ü" * 390]), dice.choice([0, 10**15, 10**16]),
            dice.randbytes(dice.choice([0, 1, 700, 4095, 4096, 70_000])),
        )  # fmt: skip
        digest = next_digest(digest, leaf_digest(*fields))
        rows.append((*fields, digest))
    book = BookReplay("acme", lambda *_: [])
    book.apply(rows)
    assert [each.what for each in book.differences if each.what.endswith("digest")] == []
    assert book.digest == digest


def test_settling_keeps_every_other_field() -> None:
    """The settled request, built by position for its speed, differs from the open one in what a charge changes only."""
    fields: dict[str, Any] = {
        name: (1 if kind is int else f"{name}" if kind is str else None)
        for name, kind in RequestState.__annotations__.items()
    }
    fields |= {"status": Status.OPEN, "version": 4, "budgets": ("b",), "failed_attempts": (1, 2), "rate_card": "rc"}
    state = RequestState(**fields)
    event: Any = msgspec.json.decode(
        b'{"tag":"tokens_settled.v1","attempt":3,"route":"r","bucket":"b","unit":"U","reported_model":"m",'
        b'"usage":{"input_tokens":0,"output_tokens":0,"parts":{}},"usage_source":"reported","charge_minor":9,'
        b'"captured_minor":5,"released_minor":1,"from_available_minor":3,"overrun_minor":1,"latency_ms":1,'
        b'"charge_limit_minor":7}',
        type=RequestEvents,
    )
    settled = fold_request(state, event, 0)
    changed = {"status": Status.SETTLED, "version": 5, "held_minor": 0, "reported_model": "m", "charge_minor": 9}
    changed |= {"minute": 0, "minute_tokens": 0, "usage": event.usage, "others": (), "charge_limit_minor": 7}
    changed |= {"is_charged_by_hand": False}
    assert settled == msgspec.structs.replace(state, **changed, paid_minor=8, overrun_minor=1, settled_attempt=3)


def test_many_books_share_a_snapshot(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """However books are put together, each is folded alone and all are counted."""
    set_up(ledger)
    for number in range(7):
        record(ledger, workspace_commands(f"w{number}"))
    whole = replay(ledger.url, verify=True)
    monkeypatch.setattr(replaying, "BOOKS_PER_SNAPSHOT", 2)
    monkeypatch.setattr(replaying, "EVENTS_PER_SNAPSHOT", 8)
    seen: list[tuple[int, int]] = []
    parts = replay(ledger.url, verify=True, on_progress=lambda done, total: seen.append((done, total)))
    assert parts == whole
    assert (whole.books, seen[-1]) == (9, (whole.events, whole.events))


def test_a_difference_is_one_books(told: Ledger) -> None:
    """What is wrong in one book is reported of that book, and its neighbours are still compared."""
    record(told, workspace_commands("other"))
    with psycopg.connect(told.url) as connection:
        connection.execute(b"update ledger.wallet set posted_minor = posted_minor + 1 where bucket = 'rmb'")
    differences = replay(told.url, verify=True).differences
    assert {(each.workspace_id, each.what) for each in differences} == {
        (ACME, "wallet rmb posted_minor"),
        ("other", "wallet rmb posted_minor"),
    }
    assert int(differences[0].found) - int(differences[0].expected) == 1
