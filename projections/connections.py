"""Connections of the read side: as the projector, who reads the books and writes only what can be rebuilt."""

from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from operator import itemgetter
from typing import Any, LiteralString

import psycopg
from psycopg import Connection, Cursor, ServerCursor
from psycopg.rows import TupleRow
from psycopg.types.numeric import Int8BinaryDumper

__all__ = ["BUILDING_SETTINGS", "PROJECTOR_ROLE", "connect_projector", "fetch_books", "run", "run_anew"]

PROJECTOR_ROLE = "route_ledger_projector"
PAGES_AHEAD = 3

SESSION_SETTINGS = {
    # A commit that a crash takes back takes the position back too, and is then made again from the books.
    "synchronous_commit": "off",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    # Rows are always known by key; the statistics of an empty or bursting table would say to scan it.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}

BUILDING_SETTINGS = {
    "synchronous_commit": "off",
    "lock_timeout": "2s",
    "maintenance_work_mem": "256MB",
    "work_mem": "64MB",
    "jit": "off",
}


def connect_projector(url: str, purpose: str, settings: Mapping[str, str] = SESSION_SETTINGS) -> Connection[TupleRow]:
    """Return an autocommit connection as the projector. Raises psycopg.OperationalError when it cannot."""
    stated = " ".join(f"-c {name}={value}" for name, value in settings.items())
    connection = psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=5,
        application_name=f"route-ledger {purpose}",
        options=f"-c role={PROJECTOR_ROLE} {stated}",
        prepare_threshold=0,
    )
    # Always the same width, whatever the largest number of a list: else one statement has many plans.
    connection.adapters.register_dumper(int, Int8BinaryDumper)
    connection.prepared_max = 200
    return connection


def run(connection: Connection[TupleRow], query: LiteralString, parameters: tuple[Any, ...] = ()) -> Cursor[TupleRow]:
    """Send one statement, prepared, with binary results."""
    return connection.execute(query, parameters or None, prepare=True, binary=True)


def run_anew(connection: Connection[TupleRow], query: LiteralString, parameters: tuple[Any, ...]) -> Cursor[TupleRow]:
    """Send one statement that is planned each time, for a table that has several indexes and may just have been empty.

    A plan that is kept from then would take any of them, whatever it has to walk through.
    """
    return connection.execute(query, parameters, prepare=False, binary=True)


def fetch_books(cursor: ServerCursor[TupleRow], size: int) -> Iterator[tuple[str, list[Any]]]:
    """Yield the rows of a cursor that come book by book, some thousand at most and never of two books at once.

    The first column is the workspace. The server makes the next page while the caller works on this one.
    """
    with ThreadPoolExecutor(1) as thread:
        coming = deque(thread.submit(cursor.fetchmany, size) for _ in range(PAGES_AHEAD))
        while rows := coming.popleft().result():
            coming.append(thread.submit(cursor.fetchmany, size))
            if rows[0][0] == rows[-1][0]:
                yield rows[0][0], rows
            else:
                for workspace_id, own in groupby(rows, itemgetter(0)):
                    yield workspace_id, list(own)
