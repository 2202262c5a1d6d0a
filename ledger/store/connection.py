"""Connections of the write side: as the lesser role, with the settings that durability and retries rely on."""

from typing import Any, TypeVar

import psycopg
from psycopg import Connection
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from psycopg.waiting import Ready, Wait

from ledger.core.refusals import Refusal, Refused
from ledger.store.arrays import BinaryArray, BinaryArrayDumper

WRITER_ROLE = "route_ledger_writer"

SESSION_SETTINGS = {
    "lock_timeout": "5s",
    "statement_timeout": "12s",
    "idle_in_transaction_session_timeout": "30s",
    "tcp_user_timeout": "10s",
    "client_connection_check_interval": "2s",
    # A batch always knows its rows by key. Plans chosen on the statistics of an empty or bursting table would
    # scan; these settings make every join a nested loop over an index.
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_bitmapscan": "off",
    "enable_material": "off",
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
}
DATABASE_AWAY: tuple[type[Exception], ...] = (psycopg.OperationalError, psycopg.InterfaceError)
"""What is raised when the database cannot be reached or goes away: for callers that do not know the driver."""

SPARED_MAX = 100
T = TypeVar("T")

DURABILITY_SETTINGS = ("fsync", "full_page_writes")


def is_connection_string(url: str) -> bool:
    """Return whether the driver can read a URL. Its own message would repeat the URL, password and all."""
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return False
    return True


class WriterConnection(Connection[TupleRow]):
    """A connection that waits for answers only.

    The driver asks the system before each statement of a pipeline whether the socket takes it, thirty times a batch.
    It nearly always does, and each asking lets go of the interpreter, which other threads then keep for milliseconds.
    """

    def wait(self, gen: PQGen[T], *waiting: Any, **more: Any) -> T:
        """Run a generator of the driver to its end."""
        return super().wait(sending(gen), *waiting, **more)


def sending(gen: PQGen[T]) -> PQGen[T]:
    """Answer a driver's generator that it may write, as long as it does nothing else; hand on all other questions.

    Now and then the system is asked all the same, so that a full socket is waited for and not asked in a circle.
    """
    try:
        state = next(gen)
        while True:
            spared = 0
            while state == Wait.RW and spared < SPARED_MAX:
                state = gen.send(Ready.W)
                spared += 1
            state = gen.send((yield state))
    except StopIteration as end:
        result: T = end.value
        return result


def connect_writer(url: str) -> Connection[TupleRow]:
    """Return an autocommit connection as the writer role. Raises psycopg.OperationalError when it cannot."""
    settings = " ".join(f"-c {name}={value}" for name, value in SESSION_SETTINGS.items())
    connection = WriterConnection.connect(
        url,
        autocommit=True,
        connect_timeout=5,
        application_name="route-ledger writer",
        options=f"-c role={WRITER_ROLE} {settings}",
        prepare_threshold=0,
        # Both ends give up a dead peer; ours in milliseconds, and without effect on a socket in this machine.
        tcp_user_timeout=10_000,
        keepalives_idle=10,
    )
    connection.prepared_max = 200
    connection.adapters.register_dumper(BinaryArray, BinaryArrayDumper)
    return connection


def require_durable(connection: Connection[TupleRow]) -> None:
    """Refuse a database on which a commit may be lost: the server does not start on it."""
    for setting in DURABILITY_SETTINGS:
        row = connection.execute("select current_setting(%s)", (setting,)).fetchone()
        if row is None or row[0] != "on":
            raise Refused(
                Refusal.UNAVAILABLE,
                f"the database has {setting} off: a committed event could be lost",
                setting=setting,
            )
