"""A running service for the tests of one module: starting one costs a second, and requests don't disturb each other."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ledger.service import Ledger
from tests.conftest import drop_database
from tests.integration.edge_scene import EdgeScene, open_edge


@pytest.fixture(scope="module")
def module_ledger(server_url: str, template_database: str) -> Iterator[Ledger]:
    """An open ledger on a database of the module's own."""
    name = f"module_{uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{template_database}"'.encode())
    with Ledger.open(make_conninfo(server_url, dbname=name)) as opened:
        yield opened
    drop_database(server_url, name)


@pytest.fixture(scope="module")
def edge(module_ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeScene]:
    """The demo's configuration served on a port, with pauses that tests can wait for."""
    settings = "\n[gateway.retry]\nfirst_pause_milliseconds = 1\n"
    with open_edge(module_ledger, tmp_path_factory.mktemp("edge"), settings) as opened:
        yield opened
