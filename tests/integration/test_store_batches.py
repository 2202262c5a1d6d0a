"""What shares a batch shares a commit and nothing else: order, refusals, poison, bounds, closing, waiting."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic, sleep
from typing import Any

import msgspec
import psycopg
import pytest

from ledger.core.refusals import Refusal
from ledger.decisions import decide
from ledger.request.commands import ExpireRequest
from ledger.service import Ledger, Outcome
from ledger.store import deciding, queue, writer, writing
from ledger.store.reading import read_batch
from ledger.store.sweeper import Sweeper
from ledger.wallet.commands import FreezeWallet
from tests.integration import scenes
from tests.integration.scenes import ACME, do, hold, refusals, release, settle
from tests.integration.store_check import audit, complaints


@pytest.fixture
def scene(database_url: str) -> Iterator[Ledger]:
    """A ledger with the catalog and one workspace, whose sweeper sleeps."""
    with Ledger(database_url, sweep_seconds=600) as opened:
        scenes.set_up(opened)
        yield opened


class Gate:
    """Stops the writer before its next batch until it is opened."""

    def __init__(self, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()
        commit = ledger._writer._commit

        def wait_and_commit(pendings: Any) -> None:
            self.reached.set()
            assert self.open.wait(30)
            commit(pendings)

        monkeypatch.setattr(ledger._writer, "_commit", wait_and_commit)


def in_threads(calls: Sequence[Callable[[], list[Outcome]]]) -> list[Outcome]:
    """Return the results of calls that all run at the same time; one that never ends fails, and holds up nothing."""
    results: list[list[Outcome]] = []
    threads = [threading.Thread(target=lambda call=call: results.append(call()), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(results) == len(calls)
    return [outcome for result in results for outcome in result]


def test_refused_commands_leave_the_others_alone(scene: Ledger) -> None:
    """Outcomes come in the order of the commands, and a refused one changes nothing for those around it."""
    commands = [
        hold("r1", "400"), settle("nobody"), hold("r2", "600"), hold("r3", "0.000001"),
        hold("r4", "1", workspace_id="nowhere"), hold("r\0"), release("r2"), hold("r3", "0.000001"), settle("r1"),
        hold("r1", "400"), settle("r1", 1001),
    ]  # fmt: skip
    outcomes = scene.execute_many(commands, "system")
    assert [outcome.refused and outcome.refused.code for outcome in outcomes] == [
        None, Refusal.REQUEST_UNKNOWN, None, Refusal.AVAILABLE_IS_HELD, Refusal.WORKSPACE_UNKNOWN,
        Refusal.TEXT_INVALID, None, None, None, None, Refusal.IDENTITY_CONFLICT,
    ]  # fmt: skip
    places = [outcome.recorded.position for outcome in outcomes if outcome.recorded]
    assert places[:5] == sorted(places[:5])
    assert (outcomes[9].recorded, outcomes[9].repeated) == (outcomes[0].recorded, True)
    assert complaints(scene.url) == []


class Defect(Exception):
    """Something that nobody thought of."""


BREAKS: dict[str, Any] = {"overflow": 2**63, "nul": "\0", "surrogate": "\ud800", "negative": -1}


@pytest.mark.parametrize("kind", [*BREAKS, "defect"])
@pytest.mark.parametrize("where", [0, 7, 19])
def test_a_command_that_breaks_its_batch_fails_alone(
    scene: Ledger, monkeypatch: pytest.MonkeyPatch, kind: str, where: int
) -> None:
    """A command whose row the database or the program can't take is found and fails; the others are recorded."""
    insert = writing.insert_holds

    def spoil(connection: Any, placed: Any) -> None:
        rows = {request_id: (workspace_id, request_id, state) for workspace_id, request_id, state in placed}
        spoiled = f"r{where}"
        if spoiled in rows and kind == "defect":
            raise Defect
        if spoiled in rows:
            field = "held_minor" if kind in ("overflow", "negative") else "bucket"
            state = msgspec.structs.replace(rows[spoiled][2], **{field: BREAKS[kind]})
            rows[spoiled] = (ACME, spoiled, state)
        insert(connection, list(rows.values()))

    monkeypatch.setattr(writing, "insert_holds", spoil)
    commands = [hold(f"r{number}") for number in range(20)]
    answers = refusals(scene, *commands)
    assert [number for number, answer in enumerate(answers) if answer] == [where]
    assert answers[where] is Refusal.COMMAND_UNPROCESSABLE
    assert complaints(scene.url) == []
    monkeypatch.undo()
    assert refusals(scene, *commands) == [None] * 20
    assert complaints(scene.url) == []


def test_a_defect_in_a_decision_fails_alone(scene: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decision that raises costs its own command only, and leaves no half of it behind."""

    def fail(command: Any, *more: Any) -> Any:
        if getattr(command, "request_id", "") == "r3":
            raise Defect
        return decide(command, *more)

    monkeypatch.setattr(deciding, "decide", fail)
    answers = refusals(scene, *(hold(f"r{number}") for number in range(6)))
    assert answers == [None, None, None, Refusal.COMMAND_UNPROCESSABLE, None, None]
    assert complaints(scene.url) == []


def test_a_defect_outside_of_commands_leaves_no_half(scene: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """When writing fails between two statements, nothing of that batch rides on the next one's commit."""

    def fail(*_: Any) -> None:
        raise Defect

    monkeypatch.setattr(writing, "move_books", fail)
    assert refusals(scene, hold("r1"))[0] in (Refusal.COMMAND_UNPROCESSABLE, Refusal.OUTCOME_UNKNOWN)
    monkeypatch.undo()
    do(scene, *scenes.workspace_commands("other"))
    assert complaints(scene.url) == []
    assert (ACME, "r1/route") not in audit(scene.url).positions
    assert refusals(scene, hold("r1")) == [None]


def test_a_hint_that_fails_harms_nobody(scene: Ledger) -> None:
    """Whoever listens to commits may fail: the commands are recorded and their callers are told so."""

    def fail(_: Sequence[str]) -> None:
        raise Defect

    scene.on_commit = fail
    outcome = scene.execute(hold("r1"), "system")
    assert (outcome.refused, outcome.repeated) == (None, False)
    assert scenes.recorded(outcome).command_id == "r1/route"


def test_holds_are_shed_before_settlements(scene: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no more holds are taken, settlements and releases still are; one full workspace leaves others room."""
    do(scene, *scenes.workspace_commands("other"), *scenes.workspace_commands("third"))
    do(scene, *(hold(f"o{number}") for number in range(10)))
    monkeypatch.setattr(queue, "WORKSPACE_HOLDS_CAPACITY", 4)
    monkeypatch.setattr(queue, "WORKSPACE_CAPACITY", 8)
    monkeypatch.setattr(queue, "HOLDS_CAPACITY", 6)
    monkeypatch.setattr(queue, "CAPACITY", 10)
    answers = {}
    with ThreadPoolExecutor(30) as pool, pytest.MonkeyPatch.context() as patch:
        gate = Gate(scene, patch)
        futures = {"first": pool.submit(refusals, scene, hold("first"))}
        assert gate.reached.wait(10)

        def send(name: str, *commands: Any) -> None:
            before = scene.queue_depth
            futures[name] = pool.submit(refusals, scene, *commands)
            deadline = monotonic() + 5
            while not futures[name].done() and scene.queue_depth == before:
                assert monotonic() < deadline
                sleep(0.001)

        for number in range(4):
            send(f"hold {number}", hold(f"r{number}"))
        send("other", hold("r1", workspace_id="other"))
        for number in range(4):
            send(f"settle {number}", settle(f"o{number}"))
        send("third", hold("r1", workspace_id="third"))
        send("settle other", settle("r1", workspace_id="other"))
        assert len(scene._queue) <= 10
        gate.open.set()
        answers = {name: future.result(20) for name, future in futures.items()}
    shed = {name for name, answer in answers.items() if answer == [Refusal.OVERLOADED]}
    assert shed == {"hold 3", "third"}
    assert [answers[f"settle {number}"] for number in range(4)] == [[None]] * 4
    assert complaints(scene.url) == []


def test_a_shed_hold_does_not_shed_the_settlements_of_its_call(scene: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one call, what is shed is the holds and what follows on them; settlements of others go through."""
    do(scene, hold("old"))
    monkeypatch.setattr(queue, "HOLDS_CAPACITY", 0)
    answers = refusals(scene, hold("new"), settle("old"), settle("new"), release("old2"))
    assert answers == [Refusal.OVERLOADED, None, Refusal.OVERLOADED, None]
    assert complaints(scene.url) == []


def test_closing_drains(scene: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits when a ledger is closed is recorded and answered; what comes later is refused."""
    monkeypatch.setattr(writer, "COMMANDS_PER_BATCH_MAX", 3)
    gate = Gate(scene, monkeypatch)
    with ThreadPoolExecutor(21) as pool:
        calls = [pool.submit(scene.execute, hold(f"r{number}"), "system") for number in range(20)]
        while scene.queue_depth < 17 or not gate.reached.is_set():
            sleep(0.001)
        closing = pool.submit(scene.close)
        while not scene._queue._closed:
            sleep(0.001)
        assert refusals(scene, hold("later")) == [Refusal.UNAVAILABLE]
        gate.open.set()
        closing.result(20)
        assert {scenes.recorded(call.result(1)).command_id for call in calls} == {f"r{n}/route" for n in range(20)}
    assert complaints(scene.url) == []
    assert not scene._writer.is_alive()
    assert not scene._sweeper.is_alive()


def test_closing_ends_within_its_bound(scene: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that does not come back does not hold up the end, and whoever is not reached gets an answer."""
    gate = Gate(scene, monkeypatch)
    with ThreadPoolExecutor(2) as pool:
        stuck = pool.submit(refusals, scene, hold("stuck"))
        assert gate.reached.wait(10)
        waiting = pool.submit(refusals, scene, hold("waiting"))
        while not scene.queue_depth:
            sleep(0.001)
        started = monotonic()
        scene.close(drain_seconds=0.2)
        assert monotonic() - started < 2
        assert waiting.result(1) == [Refusal.UNAVAILABLE]
        gate.open.set()
        assert stuck.result(10) == [None]
    assert complaints(scene.url) == []


def test_a_cancelled_caller_changes_nothing(scene: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands of a caller that was cancelled while waiting are recorded, and others of its batch are answered."""
    gate = Gate(scene, monkeypatch)

    async def run() -> tuple[Outcome, Outcome]:
        first = asyncio.create_task(scene.execute_async(hold("r1"), "system"))
        await asyncio.to_thread(gate.reached.wait, 10)
        second = asyncio.create_task(scene.execute_async(hold("r2"), "system"))
        third = asyncio.create_task(scene.execute_async(hold("r3"), "system"))
        await asyncio.sleep(0.01)
        first.cancel()
        second.cancel()
        gate.open.set()
        return await third, await scene.execute_async(hold("r2"), "system")

    third, second = asyncio.run(run())
    assert (third.repeated, second.repeated) == (False, True)
    assert {"r1/route", "r2/route", "r3/route"} <= {name for _, name in audit(scene.url).positions}


def test_callers_on_several_loops_and_threads(scene: Ledger) -> None:
    """Threads and event loops, some of which are gone when the answer comes, share one ledger."""
    do(scene, scenes.pay(ACME, "credit", "10000", "more"))

    def in_a_loop(name: str) -> list[Outcome]:
        async def run() -> list[Outcome]:
            calls = [scene.execute_async(hold(f"{name}-{number}"), "system") for number in range(50)]
            return list(await asyncio.gather(*calls))

        return asyncio.run(run())

    def in_a_thread(name: str) -> list[Outcome]:
        return [scene.execute(hold(f"{name}-{number}"), "system") for number in range(50)]

    def gone(name: str) -> list[Outcome]:
        async def run() -> None:
            calls = [asyncio.create_task(scene.execute_async(hold(f"{name}-{n}"), "system")) for n in range(50)]
            await asyncio.sleep(0)
            del calls

        asyncio.run(run())
        return []

    kinds = {"loop": in_a_loop, "thread": in_a_thread, "gone": gone}
    calls = [partial(call, f"{name}{number}") for name, call in kinds.items() for number in range(3)]
    outcomes = in_threads(calls)
    assert {outcome.refused for outcome in outcomes} == {None}
    scene.close()
    places = audit(scene.url).positions
    assert len([name for _, name in places if name.endswith("/route")]) == 450
    assert complaints(scene.url) == []


def test_loops_that_ended_are_let_go(scene: Ledger) -> None:
    """A ledger keeps nothing of event loops that are closed."""
    for number in range(20):
        asyncio.run(scene.execute_async(hold(f"r{number}"), "system"))
    assert len(scene._doors) <= 2


def test_time_never_goes_back(scene: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the database's clock steps back, a book's times stand still until it has caught up."""

    def an_hour_ahead(*arguments: Any) -> Any:
        batch = read_batch(*arguments)
        batch.clock += 3_600_000_000
        return batch

    with monkeypatch.context() as patch:
        patch.setattr(writer, "read_batch", an_hour_ahead)
        ahead = do(scene, hold("r1", hold_seconds=60))[0]
    behind = do(scene, hold("r2", hold_seconds=60), settle("r1"))
    assert [event.recorded_at for event in behind] == [ahead.recorded_at] * 2
    assert complaints(scene.url) == []


def test_a_late_settlement_after_the_sweep(scene: Ledger) -> None:
    """Two sweepers release an expired hold once; a settlement that comes later is paid from available."""
    do(scene, *(hold(f"r{number}", hold_seconds=1) for number in range(5)), hold("young"))
    sweepers = [Sweeper(scene.url, scene.execute_many, 0.05) for _ in range(2)]
    for sweeper in sweepers:
        sweeper.start()
    deadline = monotonic() + 10
    with psycopg.connect(scene.url, autocommit=True) as connection:
        while connection.execute("select count(*) from ledger.hold").fetchone() != (1,):
            assert monotonic() < deadline
            sleep(0.05)
    for sweeper in sweepers:
        sweeper.stop()
        sweeper.join(5)
    event: Any = do(scene, settle("r0"))[0].fact.event
    assert (event.status_before, event.captured_minor, event.from_available_minor) == ("expired", 0, 12_000)
    expired = [name for _, name in audit(scene.url).positions if name.endswith("/expire")]
    assert sorted(expired) == [f"r{number}/expire" for number in range(5)]
    assert complaints(scene.url) == []


def test_a_sweep_that_gets_nowhere_ends(scene: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweeper whose every command is refused does not ask for ever."""
    monkeypatch.setattr("ledger.store.sweeper.PAGE", 2)
    do(scene, *(hold(f"r{number}", hold_seconds=1) for number in range(4)))
    asked: list[int] = []

    def refuse(commands: Sequence[Any], _: str) -> list[Outcome]:
        asked.append(len(commands))
        assert len(asked) < 10
        return [Outcome(refused=scenes.refused()) for _ in commands]

    sleep(1.2)
    Sweeper(scene.url, refuse, 600).sweep()
    assert len(asked) == 1


def test_an_expiry_that_was_overtaken_is_refused(scene: Ledger) -> None:
    """A hold that was extended or settled after the sweeper saw it is left alone."""
    do(scene, hold("r1", hold_seconds=1), scenes.extend("r1"), hold("r2"), settle("r2"))
    answers = refusals(scene, *(ExpireRequest(workspace_id=ACME, request_id=name) for name in ("r1", "r2", "r3")))
    assert answers == [Refusal.HOLD_NOT_EXPIRED, Refusal.REQUEST_SETTLED, Refusal.REQUEST_UNKNOWN]


def test_many_batches_over_few_places(scene: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wallet frozen in a batch stops the holds behind it and none before it, wherever batches are cut."""
    monkeypatch.setattr(writer, "COMMANDS_PER_BATCH_MAX", 3)
    freeze = FreezeWallet(workspace_id=ACME, bucket="credit", change_id="f", reason="review")
    commands = [*(hold(f"a{number}") for number in range(7)), freeze, *(hold(f"b{number}") for number in range(7))]
    assert refusals(scene, *commands) == [None] * 8 + [Refusal.WALLET_FROZEN] * 7
    assert complaints(scene.url) == []
