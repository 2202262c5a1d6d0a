"""The database goes away and comes back: callers are told quickly, nothing is lost, and nothing happens twice."""

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import psycopg
import pytest

from ledger.core.refusals import Refusal, Refused
from ledger.service import Ledger
from ledger.store import connection as store_connection
from ledger.store import writer
from ledger.store.writing import write_batch
from tests.integration import scenes
from tests.integration.scenes import ACME, do, hold, refusals, settle
from tests.integration.store_check import audit, complaints
from tests.integration.store_cluster import Answer, Cluster, Load, is_recorded, timed

UNKNOWN = Refusal.OUTCOME_UNKNOWN
GONE = Refusal.UNAVAILABLE
AFTERMATH = {Refusal.REQUEST_UNKNOWN, Refusal.AVAILABLE_IS_HELD, Refusal.INSUFFICIENT_AVAILABLE}
"""What a caller hears who goes on with a request whose hold was refused."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server of this module's own."""
    made = Cluster(Path(tmp_path_factory.mktemp("outages")) / "data")
    with Ledger(made.url, sweep_seconds=600) as ledger:
        scenes.set_up(ledger, funds="1000000")
    yield made
    made.stop()


@pytest.fixture
def ledger(cluster: Cluster) -> Iterator[Ledger]:
    """A ledger on that server; afterwards the server runs and its books are sound."""
    with Ledger(cluster.url) as opened:
        yield opened
        cluster.start()
    assert complaints(cluster.url) == []


def code_of(answer: Answer) -> Refusal | None:
    """Return why a command was refused."""
    return answer.outcome.refused.code if answer.outcome.refused else None


def require_exact(ledger: Ledger, answers: list[Answer]) -> None:
    """Every acknowledged command is there where its caller was told; repeats of all others end in one event each."""
    found = audit(ledger.url)
    assert found.wrong == []
    for answer in answers:
        recorded = answer.outcome.recorded
        if recorded is not None:
            assert found.positions[ACME, recorded.command_id] == recorded.position
    unclear = [answer.command for answer in answers if code_of(answer) in (UNKNOWN, GONE)]
    first, second = (ledger.execute_many(unclear, "system") for _ in range(2))
    for outcome, again in zip(first, second, strict=True):
        assert again.recorded == outcome.recorded
        assert outcome.recorded is None or again.repeated
    assert complaints(ledger.url) == []


def test_a_database_that_stops_and_starts(cluster: Cluster, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under load callers hear quickly that the database is gone, and the service goes on when it is back."""
    monkeypatch.setattr(writer, "RETRY_SECONDS", 2.0)
    with Load(ledger, "stop") as load:
        load.wait_for(200, is_recorded)
        cluster.stop()
        load.wait_for(50, lambda answer: code_of(answer) is GONE)
        cluster.start()
        load.wait_for(200, is_recorded)
    codes = Counter(code_of(answer) for answer in load.answers)
    assert codes.keys() <= {None, GONE, UNKNOWN} | AFTERMATH, codes
    assert max(answer.seconds for answer in load.answers if code_of(answer) is GONE) < 1
    assert max(answer.seconds for answer in load.answers) < 4
    require_exact(ledger, load.answers)


async def read_again(ledger: Ledger) -> None:
    """Read until the database is found again, which takes seconds at most."""
    deadline = monotonic() + 5
    while True:
        try:
            await ledger.ping()
            break
        except Refused:
            assert monotonic() < deadline
            await asyncio.sleep(0.05)
    assert (await ledger.live_wallets(ACME)) is not None


def test_a_database_that_is_down_is_told_at_once(cluster: Cluster, ledger: Ledger) -> None:
    """While the database is down every caller is refused within a second, alone or among many, and reads too."""
    do(ledger, hold("before"))
    cluster.stop()
    started = monotonic()
    assert [code_of(timed(ledger, hold(f"alone-{number}"))) for number in range(20)] == [GONE] * 20
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda number: timed(ledger, hold(f"many-{number}")), range(200)))
    assert {code_of(answer) for answer in answers} == {GONE}
    assert monotonic() - started < 2
    assert max(answer.seconds for answer in answers) < 1
    refused = answers[0].outcome.refused
    assert refused is not None
    assert refused.transient

    async def read() -> None:
        with pytest.raises(Refused) as caught:
            await ledger.live_wallets(ACME)
        assert caught.value.code is GONE
        with pytest.raises(Refused):
            await ledger.ping()
        cluster.start()
        await read_again(ledger)
        await ledger.close_reads()

    asyncio.run(read())
    assert refusals(ledger, hold("after"), settle("before")) == [None, None]


def test_reads_are_told_at_once_too(cluster: Cluster, ledger: Ledger) -> None:
    """Once a read has found the database away, the next ones wait for nothing; when it is back, they answer."""

    async def read() -> None:
        assert (await ledger.live_wallets(ACME)) is not None
        cluster.stop()
        with pytest.raises(Refused):
            await ledger.ping()
        for _ in range(10):
            started = monotonic()
            with pytest.raises(Refused) as caught:
                await ledger.live_wallets(ACME)
            assert caught.value.code is GONE
            assert monotonic() - started < 0.3
        cluster.start()
        await read_again(ledger)
        await ledger.close_reads()

    asyncio.run(read())


def test_those_behind_an_unknown_batch_do_not_wait_for_it(
    cluster: Cluster, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a commit's fate is unknown, only its own callers wait, up to the bound; others hear at once."""
    monkeypatch.setattr(writer, "RETRY_SECONDS", 2.5)
    do(ledger, hold("before"))
    sent, go_on = threading.Event(), threading.Event()

    def die(*arguments: Any) -> None:
        sent.set()
        assert go_on.wait(20)
        cluster.stop()
        write_batch(*arguments)

    with ThreadPoolExecutor(20) as pool:
        monkeypatch.setattr(writer, "write_batch", die)
        unknown = pool.submit(timed, ledger, hold("unknown"))
        assert sent.wait(10)
        queued = [pool.submit(timed, ledger, hold(f"queued-{number}")) for number in range(5)]
        while ledger.queue_depth < 5:
            sleep(0.001)
        stopped = monotonic()
        go_on.set()
        assert [code_of(future.result(20)) for future in queued] == [GONE] * 5
        assert monotonic() - stopped < 1.5
        late = timed(ledger, hold("late"))
        assert (code_of(late), late.seconds < 0.5, unknown.done()) == (GONE, True, False)
        assert code_of(unknown.result(20)) is UNKNOWN
        assert 2 < unknown.result().seconds < 5
    monkeypatch.undo()
    cluster.start()
    assert refusals(ledger, hold("unknown"), hold("late")) == [None, None]


def test_an_unknown_outcome_is_found_when_the_database_is_back(
    cluster: Cluster, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that is away for a moment in the middle of a commit costs its callers time and nothing else."""
    times: list[int] = []

    def lose_the_answer(*arguments: Any) -> None:
        write_batch(*arguments)
        times.append(1)
        if len(times) == 1:
            cluster.start()
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(writer, "write_batch", lose_the_answer)
    outcome = ledger.execute(hold("unseen"), "system")
    assert scenes.recorded(outcome).command_id == "unseen/route"
    assert len(times) == 1
    assert audit(ledger.url).positions[ACME, "unseen/route"] == scenes.recorded(outcome).position


def test_a_key_whose_commit_went_unseen_still_has_its_token(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secret of a key that was recorded is told, even if the answer of the database was lost on the way."""
    times: list[int] = []

    def lose_the_answer(*arguments: Any) -> None:
        write_batch(*arguments)
        times.append(1)
        if len(times) == 1:
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(writer, "write_batch", lose_the_answer)
    issued = ledger.issue_key(scenes.issue_key(ACME, api_key_id="unseen"), "system")
    assert issued.token is not None

    async def run() -> None:
        principal = await ledger.authenticate(issued.token or "")
        assert principal is not None
        await ledger.close_reads()

    asyncio.run(run())


def test_connections_killed_in_the_middle_of_batches(ledger: Ledger) -> None:
    """Fifty connections terminated under load: every command is recorded once, and no caller hears of it."""
    with Load(ledger, "terminated") as load, psycopg.connect(ledger.url, autocommit=True) as killer:
        killed = 0
        deadline = monotonic() + 30
        while killed < 50:
            assert monotonic() < deadline
            row = killer.execute(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                " where application_name = 'route-ledger writer' and state <> 'idle'"
            ).fetchone()
            killed += row[0] if row is not None else 0
            # Long enough for a batch to pass now and then, on a busy machine too: else callers are told in the end.
            sleep(0.05)
        load.wait_for(50, is_recorded)
    assert Counter(map(code_of, load.answers)).keys() == {None}
    require_exact(ledger, load.answers)
    assert {(ACME, answer.outcome.recorded.command_id) for answer in load.answers if answer.outcome.recorded} <= audit(
        ledger.url
    ).positions.keys()


def test_a_lock_that_somebody_keeps(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A book locked by somebody else is waited for and tried again; when it stays locked callers hear of it in time."""
    monkeypatch.setitem(store_connection.SESSION_SETTINGS, "lock_timeout", "100ms")
    monkeypatch.setattr(writer, "RETRY_SECONDS", 1.0)
    with Ledger(cluster.url, sweep_seconds=600) as ledger, ThreadPoolExecutor(1) as pool:
        with psycopg.connect(cluster.url) as somebody:
            somebody.execute("select from ledger.book where workspace_id = 'acme' for update")
            waiting = pool.submit(timed, ledger, hold("kept"))
            sleep(0.4)
            assert not waiting.done()
        assert is_recorded(waiting.result(5))
        with psycopg.connect(cluster.url) as somebody:
            somebody.execute("select from ledger.book where workspace_id = 'acme' for update")
            answer = timed(ledger, hold("kept for long"))
            assert (code_of(answer), 0.9 < answer.seconds < 2) == (Refusal.TEXT_INVALID, False)
            answer = timed(ledger, hold("kept-for-long"))
            assert (code_of(answer), 0.9 < answer.seconds < 2) == (GONE, True)
        assert is_recorded(timed(ledger, hold("kept-for-long")))


def test_a_hanging_backend_is_cut_off(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that stops answering without closing anything costs its callers a bounded time, and nothing is lost."""
    do(ledger, hold("before-hanging"))
    monkeypatch.setattr(ledger._writer.watchdog, "hanging_seconds", 1.0)
    with psycopg.connect(ledger.url, autocommit=True) as connection:
        found = connection.execute(
            "select pid from pg_stat_activity where application_name = 'route-ledger writer' "
            "and datname = current_database() and state = 'idle'"
        ).fetchall()
    for (pid,) in found:
        os.kill(pid, signal.SIGSTOP)
    try:
        began = monotonic()
        refusals(ledger, hold("hanging"))
        took = monotonic() - began
    finally:
        for (pid,) in found:
            os.kill(pid, signal.SIGCONT)

    assert found
    assert took < 2 * writer.RETRY_SECONDS
    do(ledger, hold("hanging"))
