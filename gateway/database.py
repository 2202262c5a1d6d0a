"""Which database a command works on: one that is named, the embedded one that runs, or one started for it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.store.embedded import EmbeddedServerError, read_embedded_url, start_embedded

URL_VARIABLE = "ROUTE_LEDGER_DATABASE_URL"


class NoDatabase(EmbeddedServerError):
    """There is no database where a tool was told to look."""


@contextmanager
def own_database(data: Path) -> Iterator[str]:
    """Yield the URL of the database that a server works on: the named one, or its own in `data`, stopped afterwards."""
    given = os.environ.get(URL_VARIABLE)
    if given:
        yield given
        return
    with start_embedded(data) as server:
        yield server.url


@contextmanager
def existing_database(data: Path) -> Iterator[str]:
    """Yield the URL of a database that exists: named, running in `data`, or started there for this one command.

    Raises NoDatabase when `data` holds none.
    """
    given = os.environ.get(URL_VARIABLE)
    running = None if given else read_embedded_url(data)
    if given or running:
        yield given or running or ""
        return
    if not (data / "postgres").is_dir():
        raise NoDatabase(f"there is no database in {data}: name another directory with --data, or set {URL_VARIABLE}")
    with start_embedded(data) as server:
        yield server.url
