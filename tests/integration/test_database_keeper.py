"""The embedded database of a server: brought back when it is killed, gone when the server is done with it."""

import os
import signal
import time
from pathlib import Path

import psycopg
import pytest

from gateway.database import own_database
from ledger.store.embedded import read_embedded_url


def postmaster_pid(data: Path) -> int:
    """Return the process id that the server has written down."""
    return int((data / "postgres" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])


def wait_for(url: str) -> None:
    """Wait until the server behind a URL answers; fails after 20 seconds."""
    deadline = time.monotonic() + 20
    while True:
        try:
            with psycopg.connect(url, connect_timeout=2) as connection:
                connection.execute("select 1")
            break
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_killed_database_comes_back_under_the_same_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """kill -9 of the database under a server: it is started again by itself, twice, and stopped at the end."""
    monkeypatch.delenv("ROUTE_LEDGER_DATABASE_URL", raising=False)
    data = tmp_path / "data"
    with own_database(data) as url:
        for _ in range(2):
            pid = postmaster_pid(data)
            os.kill(pid, signal.SIGKILL)
            time.sleep(0.1)
            wait_for(url)
            assert postmaster_pid(data) != pid

    assert read_embedded_url(data) is None
