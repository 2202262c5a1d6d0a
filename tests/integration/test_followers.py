"""Followers: every event exactly once, with any number of them, through failures, and never past a bad event."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest

from ledger.service import Ledger
from ledger.store.chain import leaf_digest, next_digest
from projections import journal
from projections.connections import connect_projector
from projections.followers import Follower, move
from projections.following import Advance
from projections.replay import replay
from tests.integration.read_side import PARTS, ask, follow, rows_of, tell
from tests.integration.scenes import ACME, do, hold, record, set_up, settle, workspace_commands

BEHIND = (
    "select count(*) from ledger.book left join projections.progress using (workspace_id)"
    " where book.position > coalesce(progress.position, 0) and failure is null"
)


@contextmanager
def followers(url: str, number: int = 1, **options: Any) -> Iterator[list[Follower]]:
    """Run followers for as long as the block lasts."""
    threads = [Follower(url, **options) for _ in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield threads
    finally:
        for thread in threads:
            thread.stop()


def wait_until_followed(url: str, seconds: float = 20) -> None:
    """Wait until no book has news, except those that stand still."""
    deadline = monotonic() + seconds
    while ask(url, BEHIND)[0][0]:
        assert monotonic() < deadline, ask(url, "select * from projections.progress")
        sleep(0.02)


def progress(url: str) -> dict[str, tuple[int, int | None, str | None]]:
    """Return position, failed position and failure of each followed book."""
    rows = ask(url, "select workspace_id, position, failed_position, failure from projections.progress")
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


def forge(url: str, state: bytes, tag: str = "funds_added.v1", stream: str = "wallet/credit") -> int:
    """Append an event to acme's book that no command could make, and return its position."""
    with psycopg.connect(url) as connection:
        head = connection.execute(
            b"select position, digest, recorded_at from ledger.book where workspace_id = 'acme' for update"
        ).fetchone()
        assert head is not None
        position = head[0] + 1
        command_id = f"forged-{position}"
        version = 1000 + position
        leaf = leaf_digest(ACME, position, stream, version, tag, command_id, head[2], state)
        digest = next_digest(head[1], leaf)
        connection.execute(
            b"insert into ledger.event values ('acme', %s, %s, %s, %s, %s, %s, %s, %s)",
            (position, stream, version, tag, command_id, head[2], state, digest),
        )
        connection.execute(
            b"update ledger.book set position = %s, digest = %s where workspace_id = 'acme'", (position, digest)
        )
    return int(position)


def added(bucket: str, minor: int) -> bytes:
    """Return the stored bytes of a payment into a bucket."""
    event = (
        f'{{"tag":"funds_added.v1","bucket":"{bucket}","unit":"X","amount_minor":{minor},"source":"s","reference":"r"}}'
    )
    return f'{{"actor":"a","effective_at":1,"catalog_position":1,"event":{event}}}'.encode()


def test_many_followers_apply_each_event_once(ledger: Ledger) -> None:
    """Three followers beside a writer, one hot book and forty others: every event is there once, and adds up."""
    set_up(ledger)
    names = [f"w{number:02d}" for number in range(40)]
    with followers(ledger.url, 3, interval_seconds=0.005):
        for name in names:
            record(ledger, workspace_commands(name))
        for number in range(400):
            name = ACME if number % 2 else names[number // 2 % len(names)]
            do(ledger, hold(f"r{number}", workspace_id=name), settle(f"r{number}", workspace_id=name))
        wait_until_followed(ledger.url)
    assert len(rows_of(ledger.url, "entry")) == 2 * 41 + 2 * 400
    assert replay(ledger.url, verify=True).differences == ()


def test_pages_of_any_size_make_the_same_rows(ledger: Ledger) -> None:
    """Followed event by event or all at once, the journal is the same row for row."""
    set_up(ledger)
    tell(ledger)
    follow(ledger.url)
    at_once = {part: rows_of(ledger.url, part) for part in PARTS}
    ask(ledger.url, "truncate projections.leg, projections.entry, projections.movement, projections.progress")
    ask(ledger.url, "delete from projections.account")
    ask(ledger.url, "delete from projections.wallet")
    follow(ledger.url, events_max=1)
    assert {part: rows_of(ledger.url, part) for part in at_once} == at_once


def test_a_hint_wakes_a_follower(ledger: Ledger) -> None:
    """With an interval of a minute, an event is followed at once because the follower was told."""
    set_up(ledger)
    with followers(ledger.url, interval_seconds=60) as (follower,):
        wait_until_followed(ledger.url)
        ledger.on_commit = follower.notify
        do(ledger, hold("r1"))
        wait_until_followed(ledger.url, seconds=5)


def test_a_lost_connection_is_made_anew(ledger: Ledger) -> None:
    """A follower whose connections are killed again and again follows all the same, each event once."""
    set_up(ledger)
    with followers(ledger.url, 2, interval_seconds=0.005):
        for number in range(60):
            do(ledger, hold(f"r{number}"), settle(f"r{number}"))
            if number % 10 == 0:
                kill = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = %s"
                ask(ledger.url, kill, "route-ledger follower-journal")
        wait_until_followed(ledger.url)
    assert len(rows_of(ledger.url, "entry")) == 2 + 120
    assert replay(ledger.url, verify=True).differences == ()


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (b"{}", "missing required field"),
        (b'{"actor":"a","effective_at":1,"catalog_position":1,"event":{"tag":"unheard_of.v9"}}', "unheard_of.v9"),
        (added("no-such-bucket", 1), "no-such-bucket"),
        (added("credit", 2**63), "int"),
        (added("credit", 10**40), "overflow"),
    ],
)
def test_a_bad_event_stops_its_own_book_only(ledger: Ledger, state: bytes, words: str) -> None:
    """The book stands still before the event and names it; other books and a later restart go on."""
    set_up(ledger)
    record(ledger, workspace_commands("other"))
    do(ledger, hold("r1"), hold("r1", workspace_id="other"))
    bad = forge(ledger.url, state)
    with followers(ledger.url, interval_seconds=0.005):
        wait_until_followed(ledger.url)
        do(ledger, settle("r1", workspace_id="other"))
        wait_until_followed(ledger.url)
    followed = progress(ledger.url)
    position, failed_position, failure = followed[ACME]
    assert (position, failed_position) == (bad - 1, bad)
    assert words in (failure or "")
    assert followed["other"] == (9, None, None)
    assert len(rows_of(ledger.url, "entry")) == 2 + 2 + 3


def test_a_text_that_the_database_refuses_stops_its_book(ledger: Ledger) -> None:
    """A NUL in a bucket's name cannot be stored: the event is found among many and named."""
    set_up(ledger)
    do(ledger, *(hold(f"r{number}", "0.001") for number in range(50)))
    opened = b'{"tag":"wallet_opened.v1","bucket":"a\\u0000b","unit":"X","scale":0}'
    state = b'{"actor":"a","effective_at":1,"catalog_position":1,"event":' + opened + b"}"
    bad = forge(ledger.url, state, "wallet_opened.v1", "wallet/a")
    with followers(ledger.url, interval_seconds=0.005):
        wait_until_followed(ledger.url)
    position, failed_position, failure = progress(ledger.url)[ACME]
    assert (position, failed_position, failure is not None) == (bad - 1, bad, True)


def test_a_new_process_tries_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one version of the program could not apply, the next one applies when it starts."""
    set_up(ledger)
    do(ledger, hold("r1"))

    def refuse(event: object) -> None:
        raise ValueError("not yet")

    with monkeypatch.context() as patched:
        patched.setattr(journal, "post", refuse)
        with followers(ledger.url):
            wait_until_followed(ledger.url)
        assert "not yet" in (progress(ledger.url)[ACME][2] or "")
    with followers(ledger.url):
        sleep(0.05)
        wait_until_followed(ledger.url)
    assert progress(ledger.url)[ACME][1:] == (None, None)
    assert replay(ledger.url, verify=True).differences == ()


def test_two_at_once_never_take_one_book(ledger: Ledger) -> None:
    """While one transaction has claimed a book, another finds nothing to do and does not wait."""
    set_up(ledger)
    do(ledger, hold("r1"))
    with psycopg.connect(ledger.url) as connection:
        follow(ledger.url)
        do(ledger, settle("r1"))
        connection.execute(b"select from projections.progress for update")
        done: list[int] = []
        thread = threading.Thread(target=lambda: done.append(follow(ledger.url)))
        thread.start()
        thread.join(5)
        assert done == [0]
    assert follow(ledger.url) == 1


def test_a_position_moves_only_from_where_it_was(ledger: Ledger) -> None:
    """Whoever wants to move a book that has moved meanwhile fails, and with it everything in the transaction."""
    set_up(ledger)
    follow(ledger.url)
    with closing(connect_projector(ledger.url, "test")) as connection:
        with pytest.raises(psycopg.errors.SerializationFailure):
            move(connection, "journal", 1, [Advance(ACME, 3, 5)])
        move(connection, "journal", 1, [Advance(ACME, 7, 8)])
