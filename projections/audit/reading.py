"""Connections of a verification: each looks at the same snapshot of the database, however long it takes."""

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from ledger.store.queries import load_queries
from projections.connections import connect_projector, run

__all__ = ["QUERIES", "begin_snapshot", "connect_auditor", "end_snapshot", "join_snapshot"]

QUERIES = load_queries("projections.sql", "audit.sql")
AUDIT_SETTINGS = {
    "jit": "off",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "plan_cache_mode": "force_generic_plan",
    # The one that keeps the snapshot waits for all the others.
    "idle_in_transaction_session_timeout": "0",
    "work_mem": "64MB",
}


def connect_auditor(url: str) -> Connection[TupleRow]:
    """Return a connection that reads as the projector. Raises psycopg.OperationalError when it cannot."""
    return connect_projector(url, "audit", AUDIT_SETTINGS)


def begin_snapshot(connection: Connection[TupleRow]) -> str:
    """Begin to look at the database as it is now, and return the name by which others join, until `end_snapshot`."""
    run(connection, QUERIES["begin"])
    run(connection, QUERIES["hold_projections"], ([],))
    (name,) = run(connection, QUERIES["export_snapshot"]).fetchall()[0]
    return str(name)


def join_snapshot(connection: Connection[TupleRow], snapshot: str) -> None:
    """Look at the database as the one does who keeps the snapshot."""
    run(connection, QUERIES["begin"])
    connection.execute(sql.SQL(QUERIES["be_at_snapshot"]).format(snapshot=sql.Literal(snapshot)))


def end_snapshot(connection: Connection[TupleRow]) -> None:
    """Look at nothing any more."""
    run(connection, QUERIES["commit"])
