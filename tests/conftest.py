"""One PostgreSQL for a test session, a fresh database for each test that asks, all cleaned up at the end."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ledger.service import Ledger
from ledger.store.embedded import start_embedded
from ledger.store.install import prepare_database


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL of this test process' own, with every durability setting on."""
    given = os.environ.get("ROUTE_LEDGER_TEST_DATABASE_URL")
    if given:
        yield given
        return
    server = start_embedded(Path(tmp_path_factory.mktemp("postgres")) / "data")
    try:
        yield server.url
    finally:
        server.stop()


@pytest.fixture(scope="session")
def template_database(server_url: str) -> str:
    """The name of a database that has the schema, to be copied for each test."""
    name = f"template_{uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}"'.encode())
    prepare_database(make_conninfo(server_url, dbname=name))
    return name


def drop_database(server_url: str, name: str) -> None:
    """Drop a database with whoever is connected to it.

    The owner may not end an autovacuum worker; the plain form asks it to go, and waits for that.
    """
    with psycopg.connect(server_url, autocommit=True) as connection:
        try:
            connection.execute(f'drop database if exists "{name}" with (force)'.encode())
        except psycopg.errors.InsufficientPrivilege:
            connection.execute(f'drop database if exists "{name}"'.encode())


@pytest.fixture
def database_url(server_url: str, template_database: str) -> Iterator[str]:
    """A fresh database with the schema; dropped afterwards."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}" template "{template_database}"'.encode())
    yield make_conninfo(server_url, dbname=name)
    drop_database(server_url, name)


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    """An open ledger on a fresh database."""
    with Ledger.open(database_url) as opened:
        yield opened
