"""The followers beside a measurement, in a process of their own as in production: level with the books before it."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from gateway.companion import Companion, Errand

BEHIND = """
select active.projection, sum(book.position - coalesce(progress.position, 0))::bigint
from ledger.book
cross join projections.generation as active
left join projections.progress on progress.workspace_id = book.workspace_id
    and progress.projection = active.projection and progress.generation = active.generation
where active.status = 'active'
group by active.projection
"""
FOLLOWERS = """
select count(distinct application_name) = (select count(*) from projections.generation where status = 'active')
from pg_stat_activity
where datname = current_database() and application_name like 'route-ledger follower-%'
"""
PATIENCE_SECONDS = 120
LOOK_SECONDS = 0.03


def read_behind(connection: Connection[TupleRow]) -> dict[str, int]:
    """Return how many events of all books each projection has still to follow."""
    return {projection: int(events) for projection, events in connection.execute(BEHIND)}


def are_following(connection: Connection[TupleRow]) -> bool:
    """Return whether every projection has a follower at work."""
    row = connection.execute(FOLLOWERS).fetchone()
    return row is not None and bool(row[0])


def wait_until_level(url: str) -> float:
    """Wait until every projection has followed everything, and return how many seconds that took."""
    started = monotonic()
    with psycopg.connect(url, autocommit=True) as connection:
        while not are_following(connection) or any(read_behind(connection).values()):
            assert monotonic() - started < PATIENCE_SECONDS, f"nobody follows: {read_behind(connection)}"
            sleep(LOOK_SECONDS)
    return monotonic() - started


@contextmanager
def followed(url: str) -> Iterator[None]:
    """Run the followers of all projections for as long as the block lasts, and begin when they are level."""
    companion = Companion(Errand(url, verify_seconds=0))
    companion.start()
    try:
        wait_until_level(url)
        yield
    finally:
        companion.stop()
