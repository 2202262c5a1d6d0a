"""The last words on requests reach the books once and in order, whoever goes away meanwhile."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

import pytest

from gateway.books.in_process import InProcessBooks
from gateway.books.protocol import Posted
from gateway.books.settler import Settled, Settler, SettlerObserver
from gateway.books.spool import Spool
from ledger.core.commands import Command
from ledger.core.refusals import Refusal, Refused
from ledger.request.commands import RecordAttempt
from ledger.request.events import TokensSettled
from ledger.service import Ledger
from tests.integration import scenes
from tests.integration.scenes import ACME, do, fail_attempt, hold, release, settle
from tests.integration.spool_worker import last_words
from tests.integration.store_check import audit, complaints
from tests.integration.store_cluster import Cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A server of this module's own."""
    made = Cluster(Path(tmp_path_factory.mktemp("settler")) / "data")
    with Ledger(made.url, sweep_seconds=600) as ledger:
        scenes.set_up(ledger, funds="1000000")
    yield made
    made.stop()


@pytest.fixture
def ledger(cluster: Cluster) -> Iterator[Ledger]:
    """A ledger on that server; afterwards the server runs and its books are sound."""
    with Ledger(cluster.url, sweep_seconds=600) as opened:
        yield opened
        cluster.start()
    assert complaints(cluster.url) == []


class Counts:
    """What a settler tells its observer, added up."""

    def __init__(self) -> None:
        self.spooled = self.delivered = self.rejected = 0

    def observer(self) -> SettlerObserver:
        """Return what counts here."""
        return SettlerObserver(
            lambda count: setattr(self, "spooled", self.spooled + count),
            lambda count: setattr(self, "delivered", self.delivered + count),
            lambda count: setattr(self, "rejected", self.rejected + count),
        )


def play(ledger: Ledger, run: Callable[[], Awaitable[None]]) -> None:
    """Run a scene on a loop of its own, and close the connections that served its reads before the loop ends."""

    async def whole() -> None:
        try:
            await run()
        finally:
            await ledger.close_reads()

    asyncio.run(whole())


async def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Wait until something holds."""
    deadline = monotonic() + seconds
    while not holds():
        assert monotonic() < deadline
        await asyncio.sleep(0.02)


def require_ended(ledger: Ledger, names: Sequence[str]) -> None:
    """Each request has its failed attempt on record, and behind it its one settlement."""
    positions = audit(ledger.url).positions
    for name in names:
        assert positions[ACME, f"{name}/attempt/1"] < positions[ACME, f"{name}/settle"]


def held(ledger: Ledger, prefix: str, count: int) -> list[int]:
    """Hold requests and return their numbers, as `last_words` has them."""
    numbers = [int(f"{prefix}{number:03d}") for number in range(count)]
    do(ledger, *(hold(f"r{number}", "0.02") for number in numbers))
    return numbers


def test_a_request_is_settled(ledger: Ledger, tmp_path: Path) -> None:
    """The outcome is that of the last command, with the event as recorded; nothing is spooled."""
    do(ledger, hold("plain"), hold("given-back"))

    async def run() -> None:
        settler = Settler(InProcessBooks(ledger), Spool(tmp_path))
        outcome = await settler.settle([fail_attempt("plain"), settle("plain", attempt=2)])
        assert isinstance(outcome, Posted)
        assert isinstance(outcome.event, TokensSettled)
        assert (outcome.event.charge_minor, outcome.repeated) == (12_000, False)
        assert isinstance(await settler.settle([release("given-back")]), Posted)
        await settler.drain(1)
        assert settler.running == 0

    play(ledger, run)
    assert Spool(tmp_path).waiting() == 0
    require_ended(ledger, ["plain"])


def test_a_database_that_goes_away_for_a_while(cluster: Cluster, ledger: Ledger, tmp_path: Path) -> None:
    """What ends while the database is away is spooled within seconds, and on record soon after it is back."""
    numbers, counts, spool = held(ledger, "1", 200), Counts(), Spool(tmp_path)

    async def run() -> None:
        settler = Settler(InProcessBooks(ledger), spool, counts.observer(), poll_seconds=0.1)
        settler.start()
        await asyncio.to_thread(cluster.stop)
        started = monotonic()
        outcomes = await asyncio.gather(*(settler.settle(last_words(number)) for number in numbers))
        assert (set(outcomes), spool.waiting()) == ({None}, 200)
        assert 1.5 < monotonic() - started < 10
        await asyncio.to_thread(cluster.start)
        await until(lambda: counts.delivered == 200)
        await settler.drain(1)

    play(ledger, run)
    assert (counts.spooled, counts.delivered, counts.rejected, spool.rejected()) == (200, 200, 0, 0)
    require_ended(ledger, [f"r{number}" for number in numbers])


def test_a_database_that_goes_away_under_load(cluster: Cluster, ledger: Ledger, tmp_path: Path) -> None:
    """Wherever each settlement is when the database stops, all are on record once, in order, when it is back."""
    numbers, counts, spool = held(ledger, "2", 900), Counts(), Spool(tmp_path)

    async def run() -> None:
        settler = Settler(InProcessBooks(ledger), spool, counts.observer(), poll_seconds=0.1)
        settler.start()
        endings = []
        stopping = None
        for number in numbers:
            endings.append(settler.settle(last_words(number)))
            await asyncio.sleep(0.002)
            if len(endings) == 300:
                stopping = asyncio.create_task(asyncio.to_thread(cluster.stop))
        assert stopping is not None
        await stopping
        outcomes = await asyncio.gather(*endings)
        await asyncio.to_thread(cluster.start)
        await until(lambda: spool.waiting() == 0)
        await until(lambda: counts.delivered >= counts.spooled)
        await settler.drain(1)
        assert 0 < outcomes.count(None) < 900
        assert not any(isinstance(outcome, Refused) for outcome in outcomes)
        assert counts.spooled == counts.delivered == outcomes.count(None)

    play(ledger, run)
    assert spool.rejected() == 0
    require_ended(ledger, [f"r{number}" for number in numbers])


def test_a_short_absence_is_waited_for(cluster: Cluster, ledger: Ledger, tmp_path: Path) -> None:
    """A database that is back within the bound has everything on record without the spool."""
    numbers = held(ledger, "3", 20)

    async def run() -> None:
        settler = Settler(InProcessBooks(ledger), Spool(tmp_path), patience_seconds=20)
        await asyncio.to_thread(cluster.stop)
        endings = [settler.settle(last_words(number)) for number in numbers]
        await asyncio.to_thread(cluster.start)
        assert [type(await ending) for ending in endings] == [Posted] * len(numbers)
        await settler.drain(1)

    play(ledger, run)
    assert Spool(tmp_path).waiting() == 0
    require_ended(ledger, [f"r{number}" for number in numbers])


def test_last_words_that_come_one_by_one(cluster: Cluster, ledger: Ledger, tmp_path: Path) -> None:
    """A failed attempt and the settlement that follows it keep their order when they are given apart."""
    here, away, cut = (held(ledger, prefix, 30) for prefix in ("91", "92", "93"))
    spool = Spool(tmp_path)

    async def run() -> None:
        settler = Settler(InProcessBooks(ledger), spool, poll_seconds=0.1)

        def end(number: int) -> asyncio.Future[Settled]:
            attempt, settlement = last_words(number)
            _ = settler.settle([attempt])
            return settler.settle([settlement])

        assert [type(await ending) for ending in map(end, here)] == [Posted] * 30
        await asyncio.to_thread(cluster.stop)
        assert [await ending for ending in [end(number) for number in away]] == [None] * 30
        endings = [end(number) for number in cut]
        await settler.drain(0)
        assert [await ending for ending in endings] == [None] * 30
        await asyncio.to_thread(cluster.start)
        settler.start()
        await until(lambda: spool.waiting() == 0)
        await settler.drain(1)

    play(ledger, run)
    require_ended(ledger, [f"r{number}" for number in (*here, *away, *cut)])


def test_earlier_words_come_first_however_long_they_take(ledger: Ledger, tmp_path: Path) -> None:
    """A settlement waits for the failed attempt before it, and lies behind it in the spool when that is spooled."""
    numbers, spool = held(ledger, "94", 2), Spool(tmp_path)

    class Hesitant(InProcessBooks):
        async def post(self, command: Command) -> Posted:
            if isinstance(command, RecordAttempt) and monotonic() < self.opens_at:
                raise scenes.refused(Refusal.OVERLOADED)
            return await super().post(command)

        opens_at = 0.0

    async def run() -> None:
        books = Hesitant(ledger)
        for number, seconds, last in ((numbers[0], 0.4, Posted), (numbers[1], 60.0, type(None))):
            books.opens_at = monotonic() + seconds
            settler = Settler(books, spool, patience_seconds=1)
            attempt, settlement = last_words(number)
            _ = settler.settle([attempt])
            assert type(await settler.settle([settlement])) is last
            await settler.drain(1)
        await spool.post_all(InProcessBooks(ledger))

    play(ledger, run)
    require_ended(ledger, [f"r{number}" for number in numbers])


def test_a_caller_that_is_cancelled(ledger: Ledger, tmp_path: Path) -> None:
    """A client that goes away takes the caller with it, but not the settlement."""
    numbers = held(ledger, "4", 50)

    async def run() -> None:
        settler = Settler(InProcessBooks(ledger), Spool(tmp_path))

        async def call(number: int) -> None:
            await settler.settle(last_words(number))

        callers = [asyncio.create_task(call(number)) for number in numbers]
        await asyncio.sleep(0)
        for caller in callers:
            caller.cancel()
        done, _ = await asyncio.wait(callers)
        assert all(caller.cancelled() for caller in done)
        await settler.drain(5)

    play(ledger, run)
    assert Spool(tmp_path).waiting() == 0
    require_ended(ledger, [f"r{number}" for number in numbers])


def test_shutdown_spools_what_is_left(cluster: Cluster, ledger: Ledger, tmp_path: Path) -> None:
    """At shutdown nobody waits longer than the bound: the rest is spooled, and posted by the next start."""
    numbers, spool = held(ledger, "5", 50), Spool(tmp_path)

    async def stop() -> None:
        settler = Settler(InProcessBooks(ledger), spool, patience_seconds=600)
        settler.start()
        await asyncio.to_thread(cluster.stop)
        endings = [settler.settle(last_words(number)) for number in numbers]
        started = monotonic()
        await settler.drain(0.2)
        assert monotonic() - started < 3
        assert [await ending for ending in endings] == [None] * 50

    async def start() -> None:
        settler = Settler(InProcessBooks(ledger), Spool(tmp_path))
        settler.start()
        await until(lambda: spool.waiting() == 0)
        await settler.drain(1)

    asyncio.run(stop())
    assert spool.waiting() == 50
    cluster.start()
    asyncio.run(start())
    require_ended(ledger, [f"r{number}" for number in numbers])


def test_a_loop_that_ends_without_a_word(cluster: Cluster, ledger: Ledger, tmp_path: Path) -> None:
    """Even a loop that cancels everything when it ends loses nothing."""
    numbers = held(ledger, "6", 5)

    async def run() -> None:
        settler = Settler(InProcessBooks(ledger), Spool(tmp_path), patience_seconds=600)
        endings = [settler.settle(last_words(number)) for number in numbers]
        await asyncio.sleep(0.1)
        assert not any(ending.done() for ending in endings)

    cluster.stop()
    play(ledger, run)
    assert Spool(tmp_path).waiting() == 5
    cluster.start()
    asyncio.run(Spool(tmp_path).post_all(InProcessBooks(ledger)))
    require_ended(ledger, [f"r{number}" for number in numbers])


def test_neither_database_nor_disk(cluster: Cluster, ledger: Ledger, tmp_path: Path) -> None:
    """While nothing can be written anywhere the settlement stays in memory, and goes wherever is room first."""
    numbers, directory = held(ledger, "7", 3), tmp_path / "spool"

    async def run() -> None:
        settler = Settler(InProcessBooks(ledger), Spool(directory), patience_seconds=0.2)
        shutil.rmtree(directory)
        await asyncio.to_thread(cluster.stop)
        endings = [settler.settle(last_words(number)) for number in numbers]
        await asyncio.sleep(0.6)
        assert not any(ending.done() for ending in endings)
        await asyncio.to_thread(cluster.start)
        assert [type(await ending) for ending in endings] == [Posted] * len(numbers)
        await settler.drain(1)

    play(ledger, run)
    require_ended(ledger, [f"r{number}" for number in numbers])


def test_what_is_refused_for_good_is_told_and_kept(ledger: Ledger, tmp_path: Path) -> None:
    """A settlement that the books will never have is told to the caller, counted, and kept for a person."""
    counts, spool = Counts(), Spool(tmp_path)

    async def run() -> None:
        settler = Settler(InProcessBooks(ledger), spool, counts.observer())
        outcome = await settler.settle([settle("nobody-held-this")])
        assert isinstance(outcome, Refused)
        assert outcome.code is Refusal.REQUEST_UNKNOWN
        await settler.drain(1)

    play(ledger, run)
    assert (counts.rejected, spool.rejected(), spool.waiting()) == (1, 1, 0)


def test_books_that_break_lose_nothing(ledger: Ledger, tmp_path: Path) -> None:
    """An error that nobody foresaw spools the settlement instead of losing it."""
    (number,) = held(ledger, "8", 1)

    class Broken(InProcessBooks):
        async def post(self, command: Command) -> Posted:
            raise ZeroDivisionError

    async def run() -> None:
        settler = Settler(Broken(ledger), Spool(tmp_path))
        assert await settler.settle(last_words(number)) is None
        with suppress(asyncio.CancelledError):
            await settler.drain(1)
        await Spool(tmp_path).post_all(InProcessBooks(ledger))

    play(ledger, run)
    require_ended(ledger, [f"r{number}"])
