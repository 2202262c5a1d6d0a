"""The books that benchmarks work on, and the report that all of them add to."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.bench.machine import describe_machine
from tests.bench.report import Report
from tests.bench.scene import set_scene, tidy_tables
from tests.bench.sizes import Size, read_size
from tests.conftest import drop_database

JSON_VARIABLE = "ROUTE_LEDGER_BENCH_JSON"
REPORT = pytest.StashKey[Report]()
NewBooks = Callable[[], str]


@pytest.fixture(scope="session")
def size() -> Size:
    """How much is measured."""
    return read_size()


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest, server_url: str, size: Size) -> Report:
    """Where figures go."""
    made = Report()
    made.machine = {"size": size.name, **describe_machine(server_url)}
    request.config.stash[REPORT] = made
    return made


@pytest.fixture(scope="session")
def scene_database(server_url: str, template_database: str, size: Size) -> str:
    """The name of a database in which the scene is set, to be copied for each measurement."""
    name = f"scene_{uuid4().hex[:12]}"
    copy_database(server_url, template_database, name)
    url = make_conninfo(server_url, dbname=name)
    set_scene(url, size.workspaces)
    tidy_tables(url, "ledger")
    return name


@pytest.fixture(scope="module")
def new_books(server_url: str, scene_database: str) -> Iterator[NewBooks]:
    """Makes databases with the scene set, dropped when the module's measurements are done."""
    names: list[str] = []

    def make() -> str:
        names.append(f"bench_{uuid4().hex[:12]}")
        copy_database(server_url, scene_database, names[-1])
        return make_conninfo(server_url, dbname=names[-1])

    yield make
    for name in names:
        drop_database(server_url, name)


def copy_database(server_url: str, source: str, name: str) -> None:
    """Copy a database that nobody is connected to."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{source}"'.encode())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table, and write it as JSON where the environment says."""
    made = config.stash.get(REPORT, None)
    if made is None:
        return
    terminalreporter.section("benchmarks")
    terminalreporter.write_line(made.text())
    path = os.environ.get(JSON_VARIABLE)
    if path:
        made.write(Path(path))
