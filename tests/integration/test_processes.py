"""Four processes on the same books: nothing lost, nothing twice, no gap, no overspend, no deadlock."""

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psycopg
import pytest

from ledger.service import Ledger
from projections.replay import replay
from tests.integration import scenes
from tests.integration.scenes import ACME
from tests.integration.store_check import audit
from tests.integration.store_worker import LEGAL, Acknowledged, Task, read_acknowledged
from tests.source_tree import ROOT

PROCESSES = 4


def start(task: Task) -> subprocess.Popen[bytes]:
    """Start a process that waits to be told to go."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.integration.store_worker"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(task) + b"\n")
    process.stdin.flush()
    return process


def go(process: subprocess.Popen[bytes]) -> None:
    """Let a started process begin."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.stdin.write(b"go\n")
    process.stdin.flush()


def run_together(tasks: Sequence[Task], seconds: float = 100) -> list[Acknowledged]:
    """Run tasks at the same time, a process for each, and return all that their callers were told."""
    processes = [start(task) for task in tasks]
    try:
        for process in processes:
            go(process)
        assert [process.wait(seconds) for process in processes] == [0] * len(tasks)
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return [line for task in tasks for line in read_acknowledged(Path(task.acknowledged))]


def require_sound(url: str, lines: Sequence[Acknowledged], already: int) -> None:
    """Demand that every outcome is true, every event was told exactly once as new, and the books add up."""
    assert {line.refusal for line in lines} <= {None, *(reason.value for reason in LEGAL)}
    found = audit(url)
    assert found.wrong == []
    assert replay(url, verify=True).differences == ()
    told = {line for line in lines if line.position is not None}
    assert [line for line in told if found.positions.get((line.workspace_id, line.command_id)) != line.position] == []
    new = Counter((line.workspace_id, line.command_id) for line in lines if line.position and not line.repeated)
    assert set(new.values()) <= {1}
    expired = [name for name in found.positions if name[1].endswith("/expire")]
    assert len(new) == len(found.positions) - already - len(expired)
    with psycopg.connect(url) as connection:
        row = connection.execute("select deadlocks from pg_stat_database where datname = current_database()").fetchone()
    assert row == (0,)


def hot(url: str, directory: Path, requests: int) -> list[Acknowledged]:
    """Let four processes do the same requests on one workspace, each in an order of its own."""
    with Ledger(url, sweep_seconds=600) as ledger:
        scenes.set_up(ledger, funds="900", day="600", project_day="560")
    already = len(audit(url).positions)
    tasks = [
        Task(url, str(directory / f"{seed}.jsonl"), seed, list(range(requests)), [ACME]) for seed in range(PROCESSES)
    ]
    lines = run_together(tasks)
    require_sound(url, lines, already)
    return lines


def test_four_processes_on_one_workspace(database_url: str, tmp_path: Path) -> None:
    """Four processes with the same mixed requests on one hot workspace agree on one history without overspend."""
    lines = hot(database_url, tmp_path, 700)
    refusals = Counter(line.refusal for line in lines)
    assert refusals["project_spend_limit_exceeded"] + refusals["api_key_spend_limit_exceeded"] > 20
    assert sum(line.repeated for line in lines) > 500
    seen = Counter(line.command_id.split("/")[1] for line in lines if line.position and not line.repeated)
    assert {"route", "settle", "release", "refund", "extension", "fallback", "attempt"} <= seen.keys()


def wide(url: str, directory: Path, workspaces: int, requests: int) -> list[Acknowledged]:
    """Let four processes do the same requests on many workspaces that all of them touch."""
    names = [f"w{number}" for number in range(workspaces)]
    with Ledger(url, sweep_seconds=600) as ledger:
        scenes.record(ledger, scenes.catalog_commands())
        scenes.record(ledger, [command for name in names for command in scenes.workspace_commands(name, "20", "15")])
    already = len(audit(url).positions)
    tasks = [
        Task(
            url, str(directory / f"{seed}.jsonl"), seed, list(range(requests)), names, callers=4, commands_per_call=250
        )
        for seed in range(PROCESSES)
    ]  # fmt: skip
    lines = run_together(tasks)
    require_sound(url, lines, already)
    return lines


def test_four_processes_on_a_thousand_workspaces(database_url: str, tmp_path: Path) -> None:
    """Four processes whose every batch locks hundreds of books that the others want as well never deadlock."""
    lines = wide(database_url, tmp_path, 1000, 2)
    assert len({line.workspace_id for line in lines}) == 1000
    assert sum(line.repeated for line in lines) > 1000


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_four_processes_on_one_workspace_for_long(database_url: str, tmp_path: Path) -> None:
    """The same on one workspace with thirty times as many requests."""
    hot(database_url, tmp_path, 20_000)


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_four_processes_on_a_thousand_workspaces_for_long(database_url: str, tmp_path: Path) -> None:
    """The same on a thousand workspaces with twenty times as many requests."""
    wide(database_url, tmp_path, 1000, 40)
