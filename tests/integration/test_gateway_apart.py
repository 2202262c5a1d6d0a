"""A gateway apart from its ledger: who sees its figures, what it logs, and how wrong arguments end."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from litestar.testing import TestClient

from gateway.apart import Draining, create_gateway_app
from gateway.app import Edge
from gateway.books import remote
from gateway.settings import Settings, SpoolPlace
from gateway.tools.gateway import KEY_VARIABLE
from ledger.core.identifiers import PLATFORM
from ledger.service import SYSTEM, Ledger
from ledger.workspace.commands import IssueApiKey, Scope
from tests.integration import scenes
from tests.integration.scenes import ACME
from tests.integration.test_command_line import START, run
from tests.integration.test_ledger_client import free_port, serving


def issue(ledger: Ledger, name: str, *scopes: Scope, workspace_id: str = PLATFORM) -> str:
    """Issue a key and return its token."""
    issued = ledger.issue_key(IssueApiKey(workspace_id=workspace_id, api_key_id=name, scopes=scopes), SYSTEM)
    assert issued.token is not None
    return issued.token


@pytest.fixture
def key(ledger: Ledger) -> str:
    """The key of a gateway."""
    scenes.set_up(ledger)
    return issue(ledger, "gateway", "post", "read")


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """A file that says nothing."""
    file = tmp_path / "route-ledger.toml"
    file.write_text("")
    return file


def edge_in(directory: Path) -> Edge:
    """Return an edge without providers whose spool is in a directory."""
    return Edge(Settings(spool=SpoolPlace(str(directory / "spool"))))


def bearing(token: str) -> dict[str, str]:
    """Return the header of a key."""
    return {"authorization": f"Bearer {token}"}


def test_figures_are_the_platforms(ledger: Ledger, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a platform's key with scope read or audit sees them; the last such key does while the ledger is away."""
    for seconds in ("CALLER_SECONDS", "UNKNOWN_SECONDS"):
        monkeypatch.setattr(remote, seconds, 0.0)
    answers = {
        issue(ledger, "auditor", "audit"): 200, issue(ledger, "poster", "post"): 403,
        issue(ledger, "own", "call", "read", "audit", workspace_id=ACME): 403, "rl_live_platform_x_" + "a" * 43: 401,
        key: 200,
    }  # fmt: skip
    with serving(ledger, free_port()) as address:
        client = TestClient(create_gateway_app(address, key, edge_in(tmp_path), Draining()))
        client.__enter__()
        assert client.get("/metrics").status_code == 401
        for token, status in answers.items():
            assert client.get("/metrics", headers=bearing(token)).status_code == status
    try:
        away = {token: client.get("/metrics", headers=bearing(token)).status_code for token in answers}
        assert away == {token: 200 if token == key else 503 for token in answers}
    finally:
        client.__exit__(None, None, None)


def test_figures_may_be_opened(ledger: Ledger, key: str, tmp_path: Path) -> None:
    """Behind the setting, nobody needs a key for them."""
    with (
        serving(ledger, free_port()) as address,
        TestClient(create_gateway_app(address, key, edge_in(tmp_path), Draining(), metrics_open=True)) as client,
    ):
        assert "route_ledger_overrun" in client.get("/metrics").text


@pytest.fixture
def started(ledger: Ledger, key: str, configuration: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A gateway's own process, with its address."""
    with serving(ledger, free_port()) as books:
        port = free_port()
        words = ("gateway", "--ledger", books, "--config", str(configuration), "--port", str(port), "--open-metrics")
        process = subprocess.Popen(
            [sys.executable, "-c", START, *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            env=os.environ | {KEY_VARIABLE: key}, cwd=configuration.parent,
        )  # fmt: skip
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.kill()
            process.communicate()


def status_of(url: str) -> int | None:
    """Return the status of an address, None where nobody answers."""
    try:
        return httpx.get(url).status_code
    except httpx.TransportError:
        return None


def test_calls_of_the_ledger_are_not_logged(started: tuple[str, subprocess.Popen[str]]) -> None:
    """A gateway that has asked its ledger has written no line about it."""
    address, process = started
    deadline = time.monotonic() + 30
    while status_of(f"{address}/readyz") != 200 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (status_of(f"{address}/readyz"), status_of(f"{address}/metrics")) == (200, 200)
    process.terminate()
    assert "HTTP Request" not in process.communicate(timeout=30)[1]


@pytest.mark.parametrize("address", ["nope", "ftp://127.0.0.1", "http://", "http://127.0.0.1:port"])
def test_an_address_that_is_none_is_wrong_usage(configuration: Path, address: str) -> None:
    """Exit code 2 and a sentence before anything is started."""
    ended = run(
        "gateway", "--ledger", address, "--config", str(configuration), **{KEY_VARIABLE: "rl_live_platform_a_b"}
    )
    assert (ended.returncode, "Traceback" in ended.stderr) == (2, False), ended.stderr
    assert f"--ledger {address}" in ended.stderr


def test_a_gateway_without_a_key_is_wrong_usage(configuration: Path) -> None:
    """The variable is named; a key that no header can hold is not repeated."""
    words = ("gateway", "--ledger", "http://127.0.0.1:9", "--config", str(configuration))
    ended = run(*words)
    assert (ended.returncode, KEY_VARIABLE in ended.stderr) == (2, True)
    ended = run(*words, **{KEY_VARIABLE: "hidden word"})
    assert (ended.returncode, "hidden" in ended.stderr) == (2, False)


def test_a_file_that_is_not_there_can_not_be_read(tmp_path: Path) -> None:
    """A gateway that finds no configuration says that, and not that something was not applied."""
    missing = tmp_path / "nowhere.toml"
    words = ("gateway", "--ledger", "http://127.0.0.1:9", "--config", str(missing), "--port", str(free_port()))
    ended = run(*words, **{KEY_VARIABLE: "rl_live_platform_a_b"})
    assert ended.returncode == 1
    assert f"{missing}: can't be read" in ended.stderr
    assert "applied" not in ended.stderr
