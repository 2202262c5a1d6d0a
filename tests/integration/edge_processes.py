"""A whole installation as processes of their own: the demo's upstream, servers, and gateways apart from their ledger.

Everything listens on a free port and is ended by its own id. Times are short: what would take a minute in
production is over in seconds here.
"""

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx
import psycopg

from gateway.configuration import apply_configuration, parse_configuration
from gateway.demo.configuration import UPSTREAM_KEY, demo_configuration
from gateway.demo.scene import SCENE, WORKSPACE
from ledger.core.amounts import StatedAmount
from ledger.core.identifiers import PLATFORM
from ledger.service import SYSTEM, Ledger
from ledger.wallet.commands import AddFunds
from ledger.workspace.commands import IssueApiKey, Scope, StatedKeyLimits
from projections.replay import replay
from tests.integration.edge_clients import Told
from tests.integration.edge_reckoning import Reckoning
from tests.integration.edge_scene import free_port
from tests.integration.store_check import complaints
from tests.source_tree import ROOT

SERVER = ("-c", "from gateway.command_line import main; main()")
UPSTREAM = ("-m", "gateway.demo.upstream")
PROVIDERS = ("openai", "azure", "anthropic", "deepseek")
START_SECONDS = 40.0

TIMEOUT_SECONDS = 5
GRACE_SECONDS = 1
HOLD_SECONDS = TIMEOUT_SECONDS + GRACE_SECONDS
"""How long the hold of a call lives whose gateway was killed."""

SETTINGS = f"""
hold.grace_seconds = {GRACE_SECONDS}
retry.first_pause_milliseconds = 10
retry.pause_seconds_max = 0.2
breaker.failures = 20
breaker.open_seconds = 0.3
breaker.account_empty_seconds = 0.3
settlement.drain_seconds = 0.3
edge.stream_idle_seconds = 1
"""
FUNDS = tuple(
    AddFunds(
        workspace_id=WORKSPACE,
        bucket=bucket,
        amount=StatedAmount("1000000", unit),
        source="stripe",
        reference=f"more-{bucket}",
    )
    for bucket, unit in (("credit", "CREDIT"), ("rmb", "CNY"))
)


class Program:
    """One process that listens on a port; what it says is kept in a file."""

    def __init__(self, words: Sequence[str], port: int, log: Path, environment: Mapping[str, str]) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.log = log
        # Nothing of the person who runs the tests reaches it.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ROUTE_LEDGER_")}
        with log.open("ab") as said:
            self.process = subprocess.Popen(
                [sys.executable, *words], cwd=ROOT, env=kept | dict(environment), stdout=said, stderr=said
            )

    def wait_until_ready(self, path: str = "/livez") -> None:
        """Wait until the port answers."""
        deadline = monotonic() + START_SECONDS
        while True:
            try:
                if httpx.get(self.address + path, timeout=5).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            assert self.process.poll() is None, self.log.read_text()
            assert monotonic() < deadline, self.log.read_text()
            sleep(0.05)

    def kill(self) -> None:
        """Kill it at once."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 40.0) -> int:
        """Ask it to end and return its exit code."""
        self.process.terminate()
        return self.process.wait(seconds)


class Installation:
    """A database with the demo's workspace and catalog, whose providers are one upstream process."""

    def __init__(self, url: str, directory: Path, timeout_seconds: int = TIMEOUT_SECONDS) -> None:
        self.url = url
        self.directory = directory
        self.spool = directory / "data" / "spool"
        self.environment = {"ROUTE_LEDGER_DATABASE_URL": url, UPSTREAM_KEY: secrets.token_hex(24)}
        self.programs: list[Program] = []
        port = free_port()
        text = demo_configuration("127.0.0.1", port) + SETTINGS
        self.configuration = re.sub(r"timeout_seconds = \d+", f"timeout_seconds = {timeout_seconds}", text)
        self.file = directory / "route-ledger.toml"
        self.file.write_text(self.configuration, encoding="utf-8")
        key = ("--required-key", self.environment[UPSTREAM_KEY])
        with Ledger(url, sweep_seconds=600) as ledger:
            apply_configuration(ledger, parse_configuration(self.configuration), actor=SYSTEM)
            for outcome in ledger.execute_many([*SCENE, *FUNDS], SYSTEM):
                assert outcome.refused is None, outcome.refused
            self.key = issue(ledger, WORKSPACE, "app", ("call", "read"))
            self.gateway_key = issue(ledger, PLATFORM, "gateway", ("post", "read"))
        self.upstream = self.start((*UPSTREAM, "--port", str(port), *key), port, "upstream")

    def start(self, words: Sequence[str], port: int, name: str, **more: str) -> Program:
        """Start a program that is ended with the installation."""
        program = Program(words, port, self.directory / f"{name}.log", self.environment | more)
        self.programs.append(program)
        return program

    def serve(self, port: int | None = None) -> Program:
        """Start a server: ledger and gateway in one."""
        port = port or free_port()
        place = ("--port", str(port), "--data", str(self.directory / "data"), "--verify-minutes", "0")
        return self.start((*SERVER, "serve", "--config", str(self.file), *place), port, "server")

    def serve_gateway(self, ledger_address: str) -> Program:
        """Start a gateway whose books are at a ledger elsewhere. Its spool is beside that of the servers."""
        port = free_port()
        file = self.directory / "gateway.toml"
        spool = self.directory / "gateway-spool"
        file.write_text(f'{self.configuration}\nspool.directory = "{spool}"\n', encoding="utf-8")
        words = ("gateway", "--config", str(file), "--ledger", ledger_address, "--port", str(port))
        return self.start((*SERVER, *words), port, "gateway", ROUTE_LEDGER_KEY=self.gateway_key)

    def served(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """Return each upstream call that has ended, by provider and request."""
        asked = {name: httpx.get(f"{self.upstream.address}/demo/{name}/calls", timeout=30) for name in PROVIDERS}
        return {f"demo-{name}": answer.json()["requests"] for name, answer in asked.items()}

    def open_holds(self) -> int:
        """Return how many holds are open."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute("select count(*) from ledger.hold").fetchone()
        return -1 if row is None else int(row[0])

    def wait_until_quiet(self, seconds: float = HOLD_SECONDS + 10) -> None:
        """Wait until no hold is open and nothing is spooled: nobody calls any more."""
        deadline = monotonic() + seconds
        while self.open_holds() or self.spooled():
            assert monotonic() < deadline, f"{self.open_holds()} holds are open, {len(self.spooled())} are spooled"
            sleep(0.1)

    def spooled(self) -> list[str]:
        """Return what waits in the spools, request by request."""
        texts = []
        for path in (path for spool in self.spools() for path in spool.glob("*.json")):
            with suppress(FileNotFoundError):
                texts.append(path.read_text(encoding="utf-8"))
        return texts

    def rejected(self) -> list[str]:
        """Return what the books refused for good, and anything that was unforeseen to a program."""
        refused = [path.read_text() for spool in self.spools() for path in (spool / "rejected").glob("*.json")]
        logs = [log.read_text() for log in self.directory.glob("*.log")]
        return refused + [log for log in logs if "Traceback" in log]

    def spools(self) -> tuple[Path, ...]:
        """Return the directories in which last words wait."""
        return self.spool, self.directory / "gateway-spool"

    def close(self) -> None:
        """End whatever still runs."""
        for program in self.programs:
            if program.process.poll() is None:
                program.process.terminate()
        for program in self.programs:
            try:
                program.process.wait(20)
            except subprocess.TimeoutExpired:
                program.kill()


def issue(ledger: Ledger, workspace_id: str, name: str, scopes: tuple[Scope, ...]) -> str:
    """Issue a key and return its token."""
    limits = StatedKeyLimits(allow_bucket_change=True) if workspace_id == WORKSPACE else StatedKeyLimits()
    command = IssueApiKey(workspace_id=workspace_id, api_key_id=name, scopes=scopes, limits=limits)
    token = ledger.issue_key(command, SYSTEM).token
    assert token is not None
    return token


def require_sound(
    installation: Installation, told: Sequence[Told], *, may_expire: bool = False, may_break: bool = False
) -> Reckoning:
    """Demand books that add up and agree with what was served and told, and that nothing was refused for good."""
    reckoning = Reckoning(
        installation.url,
        installation.configuration,
        installation.served(),
        told,
        may_expire=may_expire,
        may_break=may_break,
    )
    assert not reckoning.wrong, "\n".join(reckoning.wrong[:20])
    assert not installation.rejected(), "\n".join(installation.rejected())
    assert complaints(installation.url) == []
    assert replay(installation.url, verify=True).differences == ()
    return reckoning


@contextmanager
def installed(url: str, directory: Path, timeout_seconds: int = TIMEOUT_SECONDS) -> Iterator[Installation]:
    """Yield an installation on a database; its processes end with it."""
    made = Installation(url, directory, timeout_seconds)
    try:
        made.upstream.wait_until_ready("/demo/openai/v1/models")
        yield made
    finally:
        made.close()
