"""kill -9 of anything in the middle of load: what was acknowledged is there once, the rest wholly or not at all."""

import random
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic, sleep

import psycopg
import pytest

from ledger.core.refusals import Refusal
from ledger.service import Ledger
from projections.replay import replay
from tests.integration import scenes
from tests.integration.scenes import ACME
from tests.integration.store_check import Audit, audit
from tests.integration.store_cluster import Cluster, Load, is_recorded
from tests.integration.store_worker import LEGAL, Acknowledged, Task, read_acknowledged, script
from tests.integration.test_processes import go, start

WORKSPACES = [ACME, "beta", "gamma"]
REQUESTS = 4000
"""More than a process gets done before it is killed."""

ALLOWED = {*LEGAL, Refusal.UNAVAILABLE, Refusal.OUTCOME_UNKNOWN}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server of this module's own, with a few workspaces."""
    made = Cluster(Path(tmp_path_factory.mktemp("crashes")) / "data")
    with Ledger(made.url, sweep_seconds=600) as ledger:
        scenes.set_up(ledger, *WORKSPACES, funds="1000000", day="100000")
    yield made
    made.stop()


@pytest.fixture
def survivor(cluster: Cluster) -> Iterator[Ledger]:
    """A ledger that lives through all of it, as another server process would."""
    with Ledger(cluster.url, sweep_seconds=600) as ledger:
        yield ledger


class Cycles:
    """One process after the other that works until it is killed; the next one gets ready in the meantime."""

    def __init__(self, cluster: Cluster, directory: Path, first: int) -> None:
        self.cluster = cluster
        self.directory = directory
        self.number = first
        self.dice = random.Random(first)
        self._next: tuple[Task, subprocess.Popen[bytes]] | None = None
        self._all: list[subprocess.Popen[bytes]] = []
        self.prepare()

    def prepare(self) -> None:
        """Start a process that works on requests of its own cycle once it is told to."""
        self.number += 1
        numbers = list(range(self.number * 100_000, self.number * 100_000 + REQUESTS))
        out = self.directory / f"{self.number}.jsonl"
        task = Task(self.cluster.url, str(out), self.number, numbers, WORKSPACES, callers=12)
        self._all.append(start(task))
        self._next = task, self._all[-1]

    def run(self, lines: int) -> tuple[Path, subprocess.Popen[bytes]]:
        """Let the process that is ready work until so many commands are acknowledged, and a little longer."""
        if self._next is None:
            self.prepare()
        assert self._next is not None
        (task, process), self._next = self._next, None
        go(process)
        told = Path(task.acknowledged)
        wait_for_lines(told, process, lines)
        sleep(self.dice.random() * 0.05)
        return told, process

    def close(self) -> None:
        """End every process that still runs."""
        for process in self._all:
            kill(process)


def count_lines(told: Path) -> int:
    """Return how many commands a process has acknowledged."""
    return told.read_bytes().count(b"\n") if told.exists() else 0


def wait_for_lines(told: Path, process: subprocess.Popen[bytes], lines: int) -> None:
    """Wait until a process has acknowledged so many commands."""
    deadline = monotonic() + 30
    while count_lines(told) < lines:
        assert process.poll() is None
        assert monotonic() < deadline
        sleep(0.005)


@pytest.fixture
def cycles(cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cycles]:
    """Processes to kill, on requests that no other test makes."""
    made = Cycles(cluster, tmp_path, abs(hash(request.node.name)) % 1000 * 1000)
    yield made
    made.close()


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and wait until it is gone."""
    process.kill()
    process.communicate()


def require_true(found: Audit, lines: Sequence[Acknowledged]) -> None:
    """Demand sound books, and every acknowledged command in them at the position that its caller was told."""
    assert found.wrong == []
    assert {line.refusal for line in lines} <= {None, *(reason.value for reason in ALLOWED)}
    lost = [line for line in lines if line.position is not None and found.positions.get(line[:2]) != line.position]
    assert lost == []


def require_sound(url: str) -> None:
    """Demand that the books add up, by this test's own reckoning and by the replay that everybody uses."""
    assert audit(url).wrong == []
    assert replay(url, verify=True).differences == ()


def await_commits(url: str) -> None:
    """Wait for batches whose process is dead and whose commit had reached the database: they hold their books."""
    with psycopg.connect(url) as connection:
        connection.execute("select workspace_id from ledger.book order by workspace_id for no key update")


def require_exact_repeats(
    survivor: Ledger, url: str, lines: Sequence[Acknowledged], others: Sequence[Acknowledged] = ()
) -> None:
    """Repeat every request that was begun: what is there is answered as it is there, the rest is recorded now."""
    await_commits(url)
    before = audit(url)
    require_true(before, [*lines, *others])
    begun = dict.fromkeys((line.workspace_id, line.command_id.split("/")[0]) for line in lines)
    commands = [command for name, request_id in begun for command in script(int(request_id[1:]), name)]
    outcomes = []
    for first in range(0, len(commands), 1000):
        outcomes += survivor.execute_many(commands[first : first + 1000], "system")
    for command, outcome in zip(commands, outcomes, strict=True):
        assert outcome.refused is None or outcome.refused.code in LEGAL, (command, outcome)
        if outcome.recorded is not None:
            key = command.workspace_id, outcome.recorded.command_id
            assert outcome.repeated == (key in before.positions)
            assert before.positions.get(key, outcome.recorded.position) == outcome.recorded.position


def kill_servers(cluster: Cluster, survivor: Ledger, cycles: Cycles, times: int) -> None:
    """Kill a server process so many times, and look at the books and repeat everything after each."""
    for _ in range(times):
        told, process = cycles.run(cycles.dice.randint(20, 200))
        kill(process)
        cycles.prepare()
        require_exact_repeats(survivor, cluster.url, read_acknowledged(told))
    require_sound(cluster.url)


def kill_databases(cluster: Cluster, survivor: Ledger, cycles: Cycles, times: int) -> None:
    """Kill the postmaster or a backend in turn, under the load of a process and of threads; both go on afterwards."""
    for turn in range(times):
        told, process = cycles.run(100)
        with Load(survivor, f"load-{cycles.number}", callers=4) as load:
            load.wait_for(20, is_recorded)
            if turn % 2:
                cluster.kill_backend()
            else:
                cluster.kill_postmaster()
                cluster.start()
            load.wait_for(20, is_recorded)
        codes = {answer.outcome.refused.code for answer in load.answers if answer.outcome.refused}
        assert codes <= ALLOWED
        wait_for_lines(told, process, count_lines(told) + 20)
        kill(process)
        cycles.prepare()
        mine = [
            Acknowledged(ACME, event.command_id, event.position, False, None)
            for event in (answer.outcome.recorded for answer in load.answers)
            if event is not None
        ]
        require_exact_repeats(survivor, cluster.url, read_acknowledged(told), mine)
    require_sound(cluster.url)


def test_server_processes_killed(cluster: Cluster, survivor: Ledger, cycles: Cycles) -> None:
    """Twelve server processes killed under load leave no half of a command and lose no acknowledged one."""
    kill_servers(cluster, survivor, cycles, 12)


def test_databases_killed(cluster: Cluster, survivor: Ledger, cycles: Cycles) -> None:
    """A database killed eight times, and a process after each of them, come back with every acknowledged command."""
    kill_databases(cluster, survivor, cycles, 8)


def test_everything_killed_at_once(cluster: Cluster, cycles: Cycles) -> None:
    """Server process and postmaster killed in the same moment recover by themselves at the next start."""
    for _ in range(2):
        told, process = cycles.run(100)
        cluster.kill_postmaster()
        kill(process)
        cluster.start()
        cycles.prepare()
        with Ledger(cluster.url, sweep_seconds=600) as ledger:
            require_exact_repeats(ledger, cluster.url, read_acknowledged(told))
    require_sound(cluster.url)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_everything_killed_for_long(cluster: Cluster, survivor: Ledger, cycles: Cycles) -> None:
    """A hundred and twenty kills."""
    for _ in range(6):
        kill_servers(cluster, survivor, cycles, 10)
        kill_databases(cluster, survivor, cycles, 10)
