"""The naive way, done sensibly: each command is a transaction that locks the wallet's row, looks whether the
money is there, inserts the event and moves the wallet. Prepared statements, one connection per thread; an event loop
with as many connections was slower.

It does less than the ledger does: no rating, no hash chain, no row per hold, no spend limits. The events are the
bytes of ours.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.events import Recorded
from tests.bench.measure import timed

CREATE = """
create schema naive;
create table naive.event (like ledger.event including all) with (autovacuum_vacuum_insert_scale_factor = 0.4);
create table naive.wallet (
    workspace_id text collate "C" not null primary key,
    position bigint not null, posted_minor bigint not null, held_minor bigint not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
insert into naive.wallet
select workspace_id, 0, posted_minor, 0 from ledger.wallet where bucket = 'credit';
analyze naive.wallet;
"""
LOCK = "select position, posted_minor, held_minor from naive.wallet where workspace_id = %s for update"
INSERT = """
insert into naive.event (workspace_id, position, stream, version, tag, command_id, recorded_at, state, digest)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
MOVE = "update naive.wallet set position = %s, posted_minor = %s, held_minor = %s where workspace_id = %s"
HOLD_MINOR = 50_000
CHARGE_MINOR = 12_000


class Naive:
    """Posts commands one by one over as many connections as there are threads."""

    def __init__(self, url: str, threads: int) -> None:
        self._stack = ExitStack()
        with psycopg.connect(url) as connection:
            connection.execute(CREATE)
        self._connections = [
            self._stack.enter_context(psycopg.connect(url, autocommit=True, prepare_threshold=0))
            for _ in range(threads)
        ]

    def close(self) -> None:
        """Close the connections."""
        self._stack.close()

    def post(self, events: Sequence[Recorded], threads: int) -> float:
        """Post what once became these events over so many threads; return the commands per second."""
        self._connections[0].execute("truncate naive.event")
        # A request's two commands stay with one thread, in their order, as with a caller who waits.
        shares: list[list[Recorded]] = [[] for _ in range(threads)]
        seats: dict[str, int] = {}
        for event in events:
            shares[seats.setdefault(event.stream, len(seats)) % threads].append(event)
        start = threading.Barrier(threads + 1)

        def run(connection: Connection[TupleRow], share: Sequence[Recorded]) -> None:
            start.wait()
            for event in share:
                post_one(connection, event)

        with ThreadPoolExecutor(threads) as pool:
            running = [pool.submit(run, *pair) for pair in zip(self._connections, shares, strict=False)]

            def begin() -> None:
                start.wait()
                for one in running:
                    one.result()

            _, seconds = timed(begin)
        return len(events) / seconds


def post_one(connection: Connection[TupleRow], event: Recorded) -> None:
    """Record one event in a transaction of its own."""
    holds = event.tag == "request_routed.v1"
    with connection.transaction():
        row = connection.execute(LOCK, (event.workspace_id,)).fetchone()
        assert row is not None
        position, posted, held = row
        assert not holds or posted - held >= HOLD_MINOR
        posted, held = (posted, held + HOLD_MINOR) if holds else (posted - CHARGE_MINOR, held - HOLD_MINOR)
        connection.execute(
            INSERT,
            (
                event.workspace_id, position + 1, event.stream, event.version, event.tag, event.command_id,
                event.recorded_at, event.state, event.digest,
            ),
        )  # fmt: skip
        connection.execute(MOVE, (position + 1, posted, held, event.workspace_id))
