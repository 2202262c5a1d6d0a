"""A person suspends a route and resumes it: in a database of one's own, and in a ledger elsewhere with a key."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.configuration import apply_configuration, parse_configuration
from gateway.database import URL_VARIABLE
from ledger.core.identifiers import PLATFORM
from ledger.service import SYSTEM, Ledger
from ledger.workspace.commands import IssueApiKey
from tests.integration.test_ledger_client import free_port, serving
from tests.unit.configurations import RIGHT

START = "from gateway.command_line import main; main()"


@pytest.fixture
def database(database_url: str) -> str:
    """A database whose catalog has the routes `smart` and `cheap`."""
    with Ledger(database_url) as ledger:
        apply_configuration(ledger, parse_configuration(RIGHT), actor=SYSTEM)
    return database_url


@pytest.fixture
def elsewhere(database: str) -> Iterator[tuple[str, str]]:
    """The address of a ledger with those routes, and an admin's key."""
    with Ledger(database) as ledger, serving(ledger, free_port()) as address:
        issued = ledger.issue_key(IssueApiKey(workspace_id=PLATFORM, api_key_id="a", scopes=("admin", "read")), SYSTEM)
        assert issued.token is not None
        yield address, issued.token


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command with these words and variables to its end."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ROUTE_LEDGER_")}
    command = [sys.executable, "-c", START, "route", *words]
    return subprocess.run(command, env=environ | variables, capture_output=True, text=True, timeout=60, check=False)


def suspended(database: str) -> frozenset[str]:
    """Return the routes that are suspended."""
    with Ledger(database) as ledger:
        return ledger.read_catalog().suspended


def test_a_route_is_suspended_and_resumed_in_the_database(database: str) -> None:
    """Each change is recorded once with its reason; what can't be is a sentence and exit code 1."""
    at = {URL_VARIABLE: database}
    ended = run("suspend", "smart", "--reason", "provider is down", **at)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "route smart takes no new requests\n", "")
    assert suspended(database) == {"smart"}
    again = run("suspend", "smart", "--reason", "still down", **at)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == "route-ledger: route_suspended_already: route smart is suspended already\n"
    assert run("resume", "smart", "--reason", "it is back", **at).returncode == 0
    assert suspended(database) == frozenset()
    assert "route_unknown" in run("suspend", "none", "--reason", "x", **at).stderr
    assert run("suspend", "smart", **at).returncode != 0


def test_a_route_is_suspended_and_resumed_elsewhere(database: str, elsewhere: tuple[str, str]) -> None:
    """With an address the ledger there is told over HTTP, by whoever holds an admin's key."""
    address, key = elsewhere
    ended = run("suspend", "cheap", "--reason", "too slow", "--ledger", address, ROUTE_LEDGER_KEY=key)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert suspended(database) == {"cheap"}
    assert run("resume", "cheap", "--reason", "fast", "--ledger", address, ROUTE_LEDGER_KEY=key).returncode == 0
    assert suspended(database) == frozenset()
    refused = run("suspend", "cheap", "--reason", "x", "--ledger", address, ROUTE_LEDGER_KEY="rl_wrong")
    assert (refused.returncode, "not_authenticated" in refused.stderr) == (1, True)
    assert "rl_wrong" not in refused.stderr


@pytest.mark.parametrize(
    ("address", "key", "words", "code"),
    [
        ("http://127.0.0.1:9", "", "ROUTE_LEDGER_KEY is not set", 2),
        ("ftp://127.0.0.1", "rl_hidden", "must begin with http", 2),
        ("http://127.0.0.1:9", "rl_hid den", "the key is empty, or holds", 2),
        ("http://127.0.0.1:port", "rl_hidden", "Invalid port", 2),
        ("http://127.0.0.1:9", "rl_hidden", "Connection refused", 1),
    ],
)
def test_a_wrong_address_or_key_is_told(address: str, key: str, words: str, code: int, tmp_path: Path) -> None:
    """A sentence, and exit code 2 where nothing was asked yet; the key is not repeated."""
    ended = run("suspend", "x", "--reason", "y", "--ledger", address, "--data", str(tmp_path), ROUTE_LEDGER_KEY=key)
    assert (ended.returncode, words in ended.stderr) == (code, True), ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hid" not in ended.stderr
