"""Which database a command works on: one that is named, the embedded one that runs, or one started for it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.database_keeper import DatabaseKeeper
from ledger.store.connection import is_connection_string
from ledger.store.embedded import EmbeddedServerError, read_embedded_url, start_embedded

URL_VARIABLE = "ROUTE_LEDGER_DATABASE_URL"


class NoDatabase(EmbeddedServerError):
    """There is no database where a tool was told to look."""


def given_url() -> str | None:
    """Return the URL of the environment, if any. One that is none is not repeated: it may hold a password."""
    given = os.environ.get(URL_VARIABLE)
    if not given:
        return None
    if not is_connection_string(given):
        raise NoDatabase(f"{URL_VARIABLE} is no URL of a PostgreSQL, such as postgresql://user@host:5432/database")
    return given


@contextmanager
def own_database(data: Path) -> Iterator[str]:
    """Yield the URL of the database that a server works on: the named one, or its own in `data`, stopped afterwards."""
    given = given_url()
    if given:
        yield given
        return
    with DatabaseKeeper(data) as keeper:
        yield keeper.url


@contextmanager
def existing_database(data: Path) -> Iterator[str]:
    """Yield the URL of a database that exists: named, running in `data`, or started there for this one command.

    Raises NoDatabase when `data` holds none.
    """
    given = given_url()
    running = None if given else read_embedded_url(data)
    if given or running:
        yield given or running or ""
        return
    if not (data / "postgres").is_dir():
        raise NoDatabase(f"there is no database in {data}: name another directory with --data, or set {URL_VARIABLE}")
    with start_embedded(data) as server:
        yield server.url
