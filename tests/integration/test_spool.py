"""The spool: what was put is posted once and in order, whatever is killed, and what is refused for good is kept."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep

import msgspec
import psycopg
import pytest

from gateway.books import durable_files, spool
from gateway.books.in_process import InProcessBooks
from gateway.books.protocol import Posted
from gateway.books.spool import Delivered, Spool
from ledger.core.commands import Command
from ledger.core.refusals import Refusal, Refused
from ledger.decisions import CLOCK_SKEW_MICROSECONDS
from ledger.request.commands import RecordAttempt
from ledger.service import Ledger
from tests.integration import scenes
from tests.integration.scenes import ACME, do, fail_attempt, hold, refused, release, settle
from tests.integration.spool_worker import Errand, last_words
from tests.integration.store_check import audit, complaints
from tests.source_tree import ROOT


def start(errand: Errand) -> subprocess.Popen[bytes]:
    """Start a process that works on a spool."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.spool_worker"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(errand) + b"\n")
    process.stdin.flush()
    return process


def kill(process: subprocess.Popen[bytes]) -> list[bytes]:
    """Kill a process at once and return the lines that it had written."""
    process.kill()
    lines = process.communicate()[0].splitlines(keepends=True)
    return [line.strip() for line in lines if line.endswith(b"\n")]


def deliver(kept: Spool, ledger: Ledger) -> Delivered:
    """Post all that waits."""
    return asyncio.run(kept.post_all(InProcessBooks(ledger)))


def require_settled(ledger: Ledger, numbers: Sequence[int]) -> None:
    """Each request has its failed attempt and then its settlement; nothing else was charged."""
    positions = audit(ledger.url).positions
    for number in numbers:
        assert positions[ACME, f"r{number}/attempt/1"] < positions[ACME, f"r{number}/settle"]
    with psycopg.connect(ledger.url) as connection:
        row = connection.execute("select posted_minor from ledger.wallet where bucket = 'credit'").fetchone()
    assert row is not None
    assert row[0] == 1000_000_000 - len(numbers) * 12_000
    assert complaints(ledger.url) == []


def test_processes_killed_while_they_put(ledger: Ledger, tmp_path: Path) -> None:
    """Every request that a process called safe before it was killed is settled, once and in order."""
    dice = random.Random(7)
    safe: list[int] = []
    for cycle in range(6):
        process = start(Errand(str(tmp_path), first=cycle * 1000))
        assert process.stdout is not None
        safe.append(int(process.stdout.readline()))
        sleep(dice.random() * 0.15)
        safe += [int(line) for line in kill(process)]
    kept = Spool(tmp_path)
    found = [int(path.name.split("-")[1][1:]) for path in tmp_path.glob("*.json")]
    scenes.set_up(ledger)
    do(ledger, *(hold(f"r{number}", "0.02") for number in found))

    delivered = deliver(kept, ledger)

    assert set(safe) <= set(found)
    assert len(found) - len(safe) <= 6
    assert (delivered, kept.waiting(), kept.rejected()) == (Delivered(len(found)), 0, 0)
    require_settled(ledger, found)


def test_processes_killed_while_they_post(
    ledger: Ledger, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Posters that are killed at any moment leave each request posted once; another one goes on with the rest."""
    numbers = range(3000)
    monkeypatch.setattr("gateway.books.durable_files.os.fsync", lambda descriptor: None)
    kept = Spool(tmp_path)
    for number in numbers:
        kept.put(f"r{number}", last_words(number))
    monkeypatch.undo()
    scenes.set_up(ledger)
    do(ledger, *(hold(f"r{number}", "0.02") for number in numbers))
    dice, left = random.Random(5), [kept.waiting()]
    posters = [start(Errand(str(tmp_path), url=database_url)) for _ in range(5)]
    for process in posters:
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.readline()
        process.stdin.write(b"go\n")
        process.stdin.flush()
        deadline = monotonic() + 20
        while kept.waiting() == left[-1]:
            assert monotonic() < deadline
        sleep(dice.random() * 0.05)
        kill(process)
        left.append(kept.waiting())

    deliver(kept, ledger)

    assert len({count for count in left if 0 < count < 3000}) >= 2, left
    assert (kept.waiting(), kept.rejected()) == (0, 0)
    require_settled(ledger, numbers)


def test_a_process_killed_in_the_middle_of_a_file(tmp_path: Path) -> None:
    """Half a file is no file: nobody reads it, and it is cleared away once it is old."""
    process = start(Errand(str(tmp_path), bytes_max=100))
    assert process.communicate()[0] == b""
    assert process.returncode == -signal.SIGXFSZ
    (half,) = (path for path in tmp_path.iterdir() if path.stat().st_size == 100)

    assert Spool(tmp_path).waiting() == 0
    assert half.exists()
    os.utime(half, (0, 0))
    Spool(tmp_path)
    assert not half.exists()


@pytest.mark.parametrize("letters_at_once", [2, 200])
def test_a_request_stops_where_it_may_go_on_later(
    ledger: Ledger, tmp_path: Path, letters_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the first command of a request has to wait, those behind it wait too, in whatever file they are."""
    monkeypatch.setattr(spool, "LETTERS_AT_ONCE", letters_at_once)
    scenes.set_up(ledger)
    do(ledger, hold("r1", "0.02"), hold("r2", "0.02"))
    kept = Spool(tmp_path)
    kept.put("r1", last_words(1)[:1])
    kept.put("r2", last_words(2))
    kept.put("r1", last_words(1)[1:])

    class Busy(InProcessBooks):
        async def post_many(self, commands: Sequence[Command]) -> list[Posted | Refused]:
            busy = [isinstance(each, RecordAttempt) and each.request_id == "r1" for each in commands]
            taken = iter(await super().post_many([each for each, no in zip(commands, busy, strict=True) if not no]))
            return [refused(Refusal.OVERLOADED) if no else next(taken) for no in busy]

    assert asyncio.run(kept.post_all(Busy(ledger))) == Delivered(1)
    assert scenes.refusals(ledger, settle("r2", attempt=2)) == [None]
    assert (ACME, "r1/settle") not in audit(ledger.url).positions
    assert deliver(kept, ledger) == Delivered(2)
    require_settled(ledger, [1, 2])


def test_a_file_that_comes_back_counts_once(ledger: Ledger, tmp_path: Path) -> None:
    """A file that a power cut brings back after it was posted is posted again, changes nothing and is removed."""
    scenes.set_up(ledger)
    do(ledger, hold("r1"))
    kept = Spool(tmp_path)
    kept.put("r1", last_words(1))
    (path,) = tmp_path.glob("*.json")
    content = path.read_bytes()

    assert deliver(kept, ledger) == Delivered(1)
    path.write_bytes(content)
    assert deliver(kept, ledger) == Delivered(1)

    assert (kept.waiting(), kept.rejected()) == (0, 0)
    require_settled(ledger, [1])


def test_what_was_recorded_unseen_is_not_rejected(ledger: Ledger, tmp_path: Path) -> None:
    """A settlement that was recorded before it was spooled has an earlier time on record; that is no conflict."""
    scenes.set_up(ledger)
    do(ledger, hold("r1"), *last_words(1))
    kept = Spool(tmp_path)
    kept.put("r1", last_words(1))

    assert deliver(kept, ledger) == Delivered(1)
    assert (kept.waiting(), kept.rejected()) == (0, 0)
    require_settled(ledger, [1])


def test_spooled_commands_happened_when_they_were_put(ledger: Ledger, tmp_path: Path) -> None:
    """The charge counts for the hour in which the request ended, not for that in which the ledger came back."""
    scenes.set_up(ledger)
    do(ledger, hold("r1"), hold("r2"))
    then = datetime.now(UTC) - timedelta(hours=5)
    kept = Spool(tmp_path, lambda: then)
    kept.put("r1", [settle("r1")])
    kept.put("r2", [settle("r2", effective_at=then + timedelta(hours=1))])
    deliver(kept, ledger)

    (first, second) = ledger.execute_many([settle("r1"), settle("r2")], "system")

    instants = [scenes.recorded(outcome).fact.effective_at / 1e6 - then.timestamp() for outcome in (first, second)]
    assert instants == pytest.approx([0, 3600])


def test_a_clock_that_is_ahead_costs_time_only(ledger: Ledger, tmp_path: Path) -> None:
    """What was put at a time that the database has not reached yet waits for it, and is not rejected."""
    scenes.set_up(ledger)
    do(ledger, hold("r1"))
    ahead = timedelta(microseconds=CLOCK_SKEW_MICROSECONDS, seconds=1)
    kept = Spool(tmp_path, lambda: datetime.now(UTC) + ahead)
    kept.put("r1", last_words(1))

    assert (deliver(kept, ledger), kept.waiting()) == (Delivered(), 1)
    sleep(1)
    assert deliver(kept, ledger) == Delivered(1)
    require_settled(ledger, [1])


def test_what_is_refused_for_good_is_kept_aside(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A refused command is kept with its refusal and logged without its content; those behind it are posted."""
    scenes.set_up(ledger)
    do(ledger, hold("r1"), hold("r2"))
    kept = Spool(tmp_path)
    kept.put("r1", [fail_attempt("r1", route="secret-route"), settle("r1")])
    kept.put("unknown", [settle("unknown")])
    kept.put("r2", [settle("r2")])

    assert deliver(kept, ledger) == Delivered(3, rejected=2)

    files = sorted((tmp_path / "rejected").glob("*.json"))
    found = [msgspec.json.decode(path.read_bytes(), type=list[spool.Rejected]) for path in files]
    assert [(each.command.request_id, each.code) for each, in found] == [
        ("r1", Refusal.ROUTE_UNKNOWN), ("unknown", Refusal.REQUEST_UNKNOWN),
    ]  # fmt: skip
    assert scenes.refusals(ledger, settle("r1", 5), settle("r2", 5)) == [Refusal.IDENTITY_CONFLICT] * 2
    assert (kept.waiting(), kept.rejected()) == (0, 2)
    assert ("route_unknown" in caplog.text, "secret-route" in caplog.text) == (True, False)


def test_a_hold_that_has_expired_needs_no_release(ledger: Ledger, tmp_path: Path) -> None:
    """A release that comes after the hold was given back is done, not rejected."""
    scenes.set_up(ledger)
    do(ledger, hold("r1", hold_seconds=1))
    kept = Spool(tmp_path)
    kept.put("r1", [release("r1")])
    deadline = monotonic() + 10
    while (ACME, "r1/expire") not in audit(ledger.url).positions:
        assert monotonic() < deadline
        sleep(0.2)

    assert deliver(kept, ledger) == Delivered(1)
    assert (kept.waiting(), kept.rejected()) == (0, 0)


def test_a_file_that_cannot_be_read_is_put_aside(ledger: Ledger, tmp_path: Path) -> None:
    """A file that is no list of last words is kept in `rejected/` and stops nobody."""
    scenes.set_up(ledger)
    do(ledger, hold("r1"))
    kept = Spool(tmp_path)
    for name, content in {"0-cut": b"[{", "1-empty": b"[]", "2-kind": b'[{"kind":"create_workspace"}]'}.items():
        (tmp_path / f"{name}.json").write_bytes(content)
    kept.put("r1", last_words(1))

    assert deliver(kept, ledger) == Delivered(1)
    assert (kept.waiting(), kept.rejected()) == (0, 3)


def test_one_process_posts_at_a_time(ledger: Ledger, tmp_path: Path) -> None:
    """While one process has its turn another leaves the spool alone."""
    kept = Spool(tmp_path)
    kept.put("r1", last_words(1))
    with durable_files.turn(tmp_path / spool.TURN) as is_ours:
        assert is_ours
        assert deliver(kept, ledger) == Delivered()
    assert deliver(kept, ledger) == Delivered(1, rejected=1)


def test_files_belong_to_their_owner_alone(tmp_path: Path) -> None:
    """Nobody else on the machine may read the spool; it survives any name of a request."""
    kept = Spool(tmp_path / "a" / "b")
    for name in ("../../x", "a:b", "x" * 300, "r1", "r1"):
        kept.put(name, [settle("r1")])

    paths = [kept.directory, kept.rejected_directory, *kept.directory.glob("*.json")]
    assert [path.stat().st_mode & 0o777 for path in paths] == [0o700, 0o700, *[0o600] * 5]
    assert (kept.waiting(), [path.name for path in tmp_path.iterdir()]) == (5, ["a"])
