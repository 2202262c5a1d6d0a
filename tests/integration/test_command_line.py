"""What a person sees who starts a command wrongly: a sentence and an exit code, never a traceback or a secret."""

import json
import logging
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.app import Service
from gateway.companion import Companion, Errand
from gateway.configuration import ConfigurationNotApplied
from gateway.database import URL_VARIABLE
from gateway.tools import serve
from gateway.tools.failures import ToolFailed, WrongUsage
from gateway.tools.replay import run_replay
from ledger.service import Ledger
from tests.integration.read_side import ask

START = "from gateway.command_line import main; main()"


def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command with these words and variables to its end."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ROUTE_LEDGER_")}
    command = [sys.executable, "-c", START, *words]
    return subprocess.run(command, env=environ | variables, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("port", ["0", "65536", "abc"])
def test_a_port_that_is_none_is_wrong_usage(tmp_path: Path, port: str) -> None:
    """Exit code 2 before anything is started."""
    ended = run("serve", "--port", port, "--data", str(tmp_path / "data"))
    assert ended.returncode == 2, ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
def test_an_address_of_no_interface_is_no_taken_port(tmp_path: Path, host: str) -> None:
    """Only an address in use is said to be taken by somebody."""
    ended = run("serve", "--host", host, "--port", "18089", "--data", str(tmp_path / "data"))
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"route-ledger: can't listen on {host}: ")


def test_a_taken_port_names_its_holder(tmp_path: Path) -> None:
    """The process that listens is named with its number where this system tells it."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
        ended = run("serve", "--port", str(port), "--data", str(tmp_path / "data"))
    assert ended.returncode == 1
    holder = f"(pid {os.getpid()})" if Path("/proc/self/fd").exists() else "another process"
    assert f"port {port} on 127.0.0.1 is taken by " in ended.stderr
    assert holder in ended.stderr


@pytest.mark.parametrize(
    "url",
    [
        "nonsense://u:hidden-word@127.0.0.1:1/x",
        "postgresql://u:hidden word@127.0.0.1:1/x",
        "postgresql://u:hidden-word@127.0.0.1:1/x?bogus=hidden-word",
    ],
)
@pytest.mark.parametrize("command", ["serve", "replay"])
def test_a_malformed_url_is_named_without_its_password(command: str, url: str) -> None:
    """The variable is named, its value is not repeated."""
    ended = run(command, **{URL_VARIABLE: url, "ROUTE_LEDGER_PORT": "18089"})
    assert ended.returncode == 1
    assert URL_VARIABLE in ended.stderr
    assert "Traceback" not in ended.stderr
    assert "hidden" not in ended.stderr


def test_a_reload_that_the_ledger_refuses_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """SIGHUP says what became of the file, whatever it was that refused it."""

    def refuse(*given: object) -> None:
        raise ConfigurationNotApplied("unavailable: the database does not answer")

    monkeypatch.setattr(serve, "apply_file", refuse)
    service = Service(*[None] * 4)  # type: ignore[arg-type]
    with caplog.at_level(logging.ERROR):
        serve.reload_config(service, tmp_path / "a.toml")
    assert "the database does not answer" in caplog.text


def test_json_of_a_verification_is_json_alone(database_url: str) -> None:
    """A program can read all of standard output; what is said to people goes elsewhere."""
    Ledger(database_url).close()
    sound = run("replay", "--verify", "--json", **{URL_VARIABLE: database_url})
    assert (sound.returncode, json.loads(sound.stdout)["differences"]) == (0, [])
    ask(database_url, "update ledger.book set recorded_at = recorded_at + 1")
    tampered = run("replay", "--verify", "--json", **{URL_VARIABLE: database_url})
    assert (tampered.returncode, len(json.loads(tampered.stdout)["differences"])) == (1, 1)


def test_a_rebuild_is_of_everything_unless_told(database_url: str) -> None:
    """Without arguments each projection gets a new generation and a line of its own; one can be named."""
    Ledger(database_url).close()
    both = run("rebuild", **{URL_VARIABLE: database_url})
    assert [line.partition(" from ")[0] for line in both.stdout.splitlines()] == [
        "journal: generation 2", "route_ledger: generation 2",
    ]  # fmt: skip
    one = run("rebuild", "--projection", "route_ledger", **{URL_VARIABLE: database_url})
    assert one.stdout.startswith("route_ledger: generation 3 from ")
    shown = ask(database_url, "select projection, generation from projections.generation order by 1")
    assert shown == [("journal", 2), ("route_ledger", 3)]


def test_a_companion_is_the_installed_one(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that a server is started in may hold a package of any name: it is not run."""
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "__init__.py").write_text("raise SystemExit('the wrong package')")
    monkeypatch.chdir(tmp_path)
    companion = Companion(Errand(database_url, 0.2))
    companion.start()
    try:
        deadline = time.monotonic() + 20
        while companion.last is None and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        companion.stop()
    assert companion.differences == 0


def test_wrong_arguments_are_told_apart_from_a_failed_check(tmp_path: Path) -> None:
    """A monitor can tell tampering (1) from a mistyped moment (2)."""
    with pytest.raises(WrongUsage) as refused:
        run_replay(tmp_path, None, "nonsense", verify=True, as_json=False)
    assert (refused.value.exit_code, ToolFailed.exit_code) == (2, 1)
