"""The ledger goes away under load: streams go on to their end, and what they owe is on record once it is back."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from time import monotonic

import pytest

from tests.integration.edge_clients import Ask, Crowd, Told
from tests.integration.edge_lives import Lives
from tests.integration.edge_processes import Installation, Program, installed, require_sound
from tests.integration.store_cluster import Cluster

CALLS = 24
DOOMED = 4
STREAM_MS = 1500
"""How long a stream lasts: longer than the ledger needs to go away."""

SPOOLED_SECONDS = 8.0
"""By then a settlement that nobody takes is spooled: two seconds, and what a busy machine adds."""

LAST_WORD = re.compile(r'"(settle|release)_request"')
KINDS = (("chat", "smart"), ("chat", "cheap"), ("messages", "claude"), ("chat", "claude"), ("responses", "smart"))


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A database server of this test's own, to be stopped and killed.

    Its path is short: where it does not fit into a socket's address the server listens elsewhere after each start.
    """
    made = Cluster(Path(tmp_path_factory.mktemp("away")) / "data")
    yield made
    made.stop()


@pytest.fixture
def installation(cluster: Cluster, tmp_path: Path) -> Iterator[Installation]:
    """An installation whose holds live longer than an outage: here nothing may expire."""
    with installed(cluster.url, tmp_path, timeout_seconds=300) as made:
        yield made


@pytest.fixture
def lives(installation: Installation) -> Iterator[Lives]:
    """A server that is killed."""
    made = Lives(installation)
    yield made
    made.close()


def calls(name: str, *, lasting_ms: int = STREAM_MS) -> Iterator[Ask]:
    """Yield streams of every dialect without end."""
    for number in count():
        interface, model = KINDS[number % len(KINDS)]
        told = f"*:chunks=10;delay_ms={lasting_ms // 10};answer_bytes={20 + number}"
        yield Ask(f"{name}-{number}", interface, model, "Who pays?", told, is_stream=True, asks_usage=number % 2 > 0)


def doomed_calls() -> list[Ask]:
    """Return calls that need another route when the ledger, which has to allow it, is away."""
    told = "openai:stall_ms=1500;status=503"
    return [Ask(f"doomed-{number}", "chat", "smart", "Who pays?", told, number % 2 > 0) for number in range(DOOMED)]


async def make_calls(address: str, key: str, asks: Iterator[Ask], number: int) -> list[Told]:
    """Make so many calls at once."""
    return await Crowd([address], key, [next(asks) for _ in range(number)]).run(number)


async def wait_for(wanted: Callable[[], bool], seconds: float) -> None:
    """Wait until something is so."""
    deadline = monotonic() + seconds
    while not wanted():
        assert monotonic() < deadline
        await asyncio.sleep(0.05)


def is_spooled(installation: Installation, told: Iterable[Told]) -> bool:
    """Return whether the last word on each of some calls waits in the spool."""
    waiting = [text for text in installation.spooled() if LAST_WORD.search(text)]
    return all(any(each.headers["x-request-id"] in text for text in waiting) for each in told)


async def take_away(
    installation: Installation, address: str, leave: Callable[[], None], come_back: Callable[[], Awaitable[None]]
) -> list[Told]:
    """Let the ledger leave while streams run, and come back once all of them wait in the spool."""
    running = asyncio.create_task(make_calls(address, installation.key, calls("running"), CALLS))
    doomed = asyncio.create_task(make_calls(address, installation.key, iter(doomed_calls()), DOOMED))
    await wait_for(lambda: installation.open_holds() == CALLS + DOOMED, 20)
    await asyncio.to_thread(leave)
    refused = await make_calls(address, installation.key, calls("refused"), len(KINDS))
    failed = await doomed
    refused += failed
    assert [each.status for each in refused] == [503] * len(refused)
    assert [wrong for each in refused for wrong in each.complaints()] == []
    told = await running
    assert [each.status for each in told if not each.is_served] == []
    assert {note["status"] for each in told if (note := each.note)} == {"settling"}
    await wait_for(lambda: is_spooled(installation, [*told, *failed]), SPOOLED_SECONDS)
    await come_back()
    return [*told, *refused]


async def require_service(address: str, installation: Installation) -> list[Told]:
    """Demand that calls are served and settled as if nothing had been. A reader may need seconds to find its way."""
    number = count()
    deadline = monotonic() + 20
    told: list[Told] = []
    while not told or not told[-1].is_served:
        assert monotonic() < deadline, told[-1].body
        asks = calls(f"after-{next(number)}", lasting_ms=0)
        told += await make_calls(address, installation.key, asks, 1)
    told += await make_calls(address, installation.key, calls("later", lasting_ms=0), CALLS)
    assert {note["status"] for each in told[-CALLS:] if (note := each.note)} == {"settled"}
    return told


def require_settled(installation: Installation, told: list[Told]) -> None:
    """Demand that every call that was served is charged, and nothing is open, spooled, doubled or lost."""
    installation.wait_until_quiet(20)
    reckoning = require_sound(installation, told)
    served = [each.ask.run for each in told if each.is_served]
    assert [run for run in served if reckoning.requests[run].settled is None] == []
    assert reckoning.policies["complete"] == len(served)


def stop_the_database(installation: Installation, cluster: Cluster, leave: Callable[[], None], away: float) -> None:
    """Take the database away from a server for so long."""
    server = installation.serve()
    server.wait_until_ready()

    async def come_back() -> None:
        await asyncio.sleep(away)
        await asyncio.to_thread(cluster.start)

    async def run() -> list[Told]:
        told = await take_away(installation, server.address, leave, come_back)
        return told + await require_service(server.address, installation)

    require_settled(installation, asyncio.run(run()))
    assert server.stop() == 0


def test_a_database_that_is_stopped(installation: Installation, cluster: Cluster) -> None:
    """Calls under way are answered in full and settled when the database is back; new ones hear 503 meanwhile."""
    stop_the_database(installation, cluster, cluster.stop, 0)


def kill_then_tidy(cluster: Cluster) -> None:
    """Kill the database server, with all that it had in memory."""
    cluster.kill_postmaster()
    cluster.stop()


def test_a_database_that_is_killed(installation: Installation, cluster: Cluster) -> None:
    """The same for a database that was killed in the middle of its work."""
    stop_the_database(installation, cluster, lambda: kill_then_tidy(cluster), 0)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_database_that_is_away_for_half_a_minute(installation: Installation, cluster: Cluster) -> None:
    """Thirty seconds make no difference."""
    stop_the_database(installation, cluster, lambda: kill_then_tidy(cluster), 30)


def test_a_server_killed_while_its_spool_is_full(installation: Installation, cluster: Cluster, lives: Lives) -> None:
    """A server that is killed while the database is away delivers in its next life what it had spooled."""

    async def come_back() -> None:
        lives.kill()
        await asyncio.to_thread(cluster.start)
        await lives.begin()

    async def run() -> list[Told]:
        await lives.begin()
        told = await take_away(installation, lives.address, cluster.stop, come_back)
        return told + await require_service(lives.address, installation)

    require_settled(installation, asyncio.run(run()))


def kill_the_ledger(installation: Installation, lives: Lives, away: float) -> None:
    """Kill the server of the ledger behind a gateway that runs apart from it."""

    async def come_back() -> None:
        await asyncio.sleep(away)
        await lives.begin()

    async def run() -> tuple[Program, list[Told]]:
        await lives.begin()
        gateway = installation.serve_gateway(lives.address)
        await asyncio.to_thread(gateway.wait_until_ready)
        told = await take_away(installation, gateway.address, lives.kill, come_back)
        return gateway, told + await require_service(gateway.address, installation)

    gateway, told = asyncio.run(run())
    require_settled(installation, told)
    assert gateway.stop() == 0


def test_a_ledger_elsewhere_that_is_killed(installation: Installation, lives: Lives) -> None:
    """A gateway apart goes on when the server of its ledger is killed, and delivers what it owes to the next one."""
    kill_the_ledger(installation, lives, 0)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_ledger_elsewhere_that_is_away_for_half_a_minute(installation: Installation, lives: Lives) -> None:
    """Thirty seconds make no difference."""
    kill_the_ledger(installation, lives, 30)
