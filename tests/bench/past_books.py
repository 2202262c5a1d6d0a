"""Books with a year in them: written straight into the table of events, and the journal built from it for real."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from time import perf_counter

import msgspec
import psycopg

from ledger.core.commands import to_microseconds
from ledger.events import Recorded
from ledger.service import Ledger
from projections.copying import HEADER, TRAILER
from projections.rebuild import rebuild
from tests.bench.past import Past, Tail, encode_event, rewrite
from tests.bench.scene import tidy_tables
from tests.integration.scenes import UNITS, catalog_commands, record, workspace_commands

EVENTS_PER_WRITE = 2000
PROJECTIONS = ("journal", "route_ledger")
FUNDS = "1000000"
FUNDS_MINOR = 10**12
READ = """
select workspace_id, position, stream, version, tag, command_id, recorded_at, state, digest
from ledger.event order by workspace_id, position
"""
OPEN = """
alter table ledger.event disable trigger all;
truncate ledger.event;
alter table ledger.event drop constraint event_pk;
alter table ledger.event drop constraint event_stream_version_key;
alter table ledger.event drop constraint event_command_id_key;
drop index ledger.event_of_people;
set maintenance_work_mem = '512MB'
"""
CLOSE = """
alter table ledger.event add constraint event_pk primary key (workspace_id, position);
alter table ledger.event add constraint event_stream_version_key unique (workspace_id, stream, version);
alter table ledger.event add constraint event_command_id_key unique (workspace_id, command_id);
create index event_of_people on ledger.event (workspace_id, position)
    where tag not in (
        'request_routed.v1', 'hold_extended.v1', 'attempt_failed.v1', 'fallback_taken.v1', 'tokens_settled.v1',
        'request_released.v1', 'request_voided.v1');
alter table ledger.event enable trigger all
"""
COPY = """
copy ledger.event (workspace_id, position, stream, version, tag, command_id, recorded_at, state, digest)
from stdin (format binary)
"""
MOVE_BOOK = "update ledger.book set position = %s, digest = %s, recorded_at = %s where workspace_id = %s"
MOVE_WALLET = "update ledger.wallet set posted_minor = %s, version = %s where workspace_id = %s and bucket = %s"


class PastBooks(msgspec.Struct, frozen=True):
    """A database with a past of so many events, which began and ended at instants (microseconds)."""

    url: str
    events: int
    days: int
    began_at: int
    ended_at: int
    names: list[str]
    positions: dict[str, int]
    seconds: float
    rebuilt: dict[str, float]
    """Seconds in which each projection was built."""

    @property
    def sizes(self) -> dict[str, float]:
        """How much there is."""
        return {"events": self.events, "of them in one book": max(self.positions.values()), "days": self.days}


def fill_past(url: str, events: int, days: int, workspaces: int) -> PastBooks:
    """Write a past that ended at the last midnight, and build the journal from it."""
    ended = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    past = Past(events, days, workspaces, to_microseconds(ended - timedelta(days=days)))
    with Ledger.open(url) as ledger:
        record(ledger, catalog_commands())
        record(ledger, [command for name in past.names for command in workspace_commands(name, FUNDS)])
    began = perf_counter()
    tails = write_events(url, past)
    seconds = perf_counter() - began
    tidy_tables(url, "ledger")
    rebuilt = {}
    for projection in PROJECTIONS:
        began = perf_counter()
        rebuild(url, projection)
        rebuilt[projection] = perf_counter() - began
    tidy_tables(url, "projections")
    positions = {name: tail.position for name, tail in tails.items()}
    ended_at = to_microseconds(ended)
    return PastBooks(
        url, sum(positions.values()), days, past.began_at, ended_at, past.names, positions, seconds, rebuilt
    )  # fmt: skip


def write_events(url: str, past: Past) -> dict[str, Tail]:
    """Put a past in the place of the events that there are, and return where the books end."""
    with psycopg.connect(url, autocommit=True) as connection:
        openings = [Recorded(*row) for row in connection.execute(READ.encode(), binary=True)]
        for statement in OPEN.split(";"):
            connection.execute(statement.encode())
        tails: dict[str, Tail] = {}
        with connection.cursor().copy(COPY.encode()) as copy:
            copy.write(HEADER)
            told = list(rewrite(openings, past.began_at))
            copy.write(b"".join(encode_event(event) for event, _ in told))
            for _, tail in told:
                tails[tail.workspace_id] = tail
                tail.posted = dict.fromkeys(UNITS, FUNDS_MINOR)
            for page in pages_of(past.events(tails)):
                copy.write(b"".join(map(encode_event, page)))
            copy.write(TRAILER)
        for statement in CLOSE.split(";"):
            connection.execute(statement.encode())
        for tail in tails.values():
            connection.execute(MOVE_BOOK.encode(), (tail.position, tail.digest, tail.recorded_at, tail.workspace_id))
            for bucket, posted in tail.posted.items():
                version = tail.versions.get(f"wallet/{bucket}", 0)
                connection.execute(MOVE_WALLET.encode(), (posted, version, tail.workspace_id, bucket))
    return tails


def pages_of(events: Iterator[Recorded]) -> Iterator[list[Recorded]]:
    """Yield events in pages."""
    while page := list(islice(events, EVENTS_PER_WRITE)):
        yield page
