"""A follower beside a measurement: started before it, level with the books before and after it."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

import psycopg

from ledger.service import Ledger
from projections.followers import Follower

BEHIND = """
select coalesce(sum(book.position - coalesce(progress.position, 0)), 0)::bigint
from ledger.book
left join projections.progress on progress.workspace_id = book.workspace_id
    and progress.projection = 'journal'
    and progress.generation = (select generation from projections.generation where status = 'active')
"""
PATIENCE_SECONDS = 120


def events_behind(url: str) -> int:
    """Return how many events the followers have still to follow."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(BEHIND).fetchone()
    assert row is not None
    return int(row[0])


def wait_until_level(url: str) -> float:
    """Wait until everything is followed, and return how many seconds that took."""
    started = monotonic()
    while events_behind(url):
        assert monotonic() - started < PATIENCE_SECONDS, "the follower does not follow"
        sleep(0.03)
    return monotonic() - started


@contextmanager
def followed(ledger: Ledger) -> Iterator[None]:
    """Run a follower for as long as the block lasts, told of every commit, and begin when it is level."""
    follower = Follower(ledger.url)
    ledger.on_commit = follower.notify
    follower.start()
    try:
        wait_until_level(ledger.url)
        yield
    finally:
        follower.stop()
