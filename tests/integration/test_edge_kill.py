"""kill -9 of a server under streaming load: what a client was told is in the book, and nothing is charged twice."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from time import monotonic

import pytest

from tests.integration.edge_clients import Ask, Crowd, Told
from tests.integration.edge_lives import Lives
from tests.integration.edge_processes import Installation, Program, installed, require_sound

CLIENTS = 24
SHORT, ENDLESS, SILENT = 12, 4, 4
PATIENCE_SECONDS = 30.0


@pytest.fixture
def installation(database_url: str, tmp_path: Path) -> Iterator[Installation]:
    """A database with its upstream; no server runs."""
    with installed(database_url, tmp_path) as made:
        yield made


def streams(seed: int, delay_ms: int = 0) -> Iterator[Ask]:
    """Yield calls that go well, most of them streams."""
    dice = random.Random(seed)
    for number in count():
        interface, model = dice.choice((("chat", "smart"), ("chat", "cheap"), ("messages", "claude")))
        told = (
            f"*:chunks={dice.randint(1, 6)};delay_ms={dice.choice((0, delay_ms))};answer_bytes={dice.randint(1, 300)}"
        )
        yield Ask(f"{seed}-{number}", interface, model, "Who pays?", told, dice.random() < 0.8, dice.random() < 0.5)


@pytest.fixture
def lives(installation: Installation) -> Iterator[Lives]:
    """A server to kill."""
    made = Lives(installation)
    yield made
    made.close()


class Executioner:
    """Kills the server when so many clients of its present life were told what they paid, at once or a moment later."""

    def __init__(self, lives: Lives, seed: int) -> None:
        self._lives = lives
        self._dice = random.Random(seed)
        self._seen: set[str] = set()
        self._left = 0
        self._killed = asyncio.Event()

    def watch(self, told: Told) -> None:
        """Look at an answer of which more has come."""
        note = told.note
        if note is None or note["status"] != "settled" or told.ask.run in self._seen:
            return
        self._seen.add(told.ask.run)
        self._left -= 1
        if self._left == 0:
            self._kill(self._dice.choice((0, 0, self._dice.random() * 0.03)))

    def _kill(self, seconds: float) -> None:
        if seconds:
            asyncio.get_running_loop().call_later(seconds, self._kill, 0)
            return
        self._lives.kill()
        self._killed.set()

    async def carry_out(self) -> None:
        """Begin a life and let it end."""
        self._killed.clear()
        await self._lives.begin()
        self._left = self._dice.randint(1, 40)
        await asyncio.wait_for(self._killed.wait(), PATIENCE_SECONDS)


async def kill_often(lives: Lives, key: str, seed: int, kills: int) -> list[Told]:
    """Kill a server under load so many times, then let it live for some calls; return what the clients heard."""
    crowd = Crowd([lives.address], key, streams(seed))
    executioner = Executioner(lives, seed)
    crowd.watch = executioner.watch
    load = asyncio.create_task(crowd.run(CLIENTS))
    for _ in range(kills):
        await executioner.carry_out()
    await lives.begin()
    done, deadline = len(crowd.told), monotonic() + PATIENCE_SECONDS
    while sum(each.is_served for each in crowd.told[done:]) < CLIENTS:
        assert monotonic() < deadline
        await asyncio.sleep(0.05)
    crowd.stop()
    return await load


def kill_and_reckon(installation: Installation, lives: Lives, seed: int, kills: int) -> None:
    """Kill a server so many times, and look at everything once its last holds have expired."""
    told = asyncio.run(kill_often(lives, installation.key, seed, kills))
    assert Counter(note["status"] for each in told if (note := each.note)).keys() == {"settled"}
    assert sum(each.failure is not None and each.status == 200 for each in told) > kills
    installation.wait_until_quiet()
    reckoning = require_sound(installation, told, may_expire=True)
    causes = Counter(event["cause"] for each in reckoning.requests.values() for event in each.of("request_released.v1"))
    assert causes["expired"] > kills


def test_servers_killed_as_they_tell_a_charge(installation: Installation, lives: Lives) -> None:
    """Killed at the very moment in which a client hears its charge, or just after: the book has that charge, once."""
    kill_and_reckon(installation, lives, seed=1, kills=12)


def lasting(number: int, told: str, is_stream: bool) -> Iterator[Ask]:
    """Yield calls that go on when the server is told to stop."""
    for index in range(number):
        yield Ask(f"{told}-{index}-{is_stream}", "chat", "smart", "Who pays?", told, is_stream)


async def terminate(installation: Installation, server: Program) -> tuple[list[Told], list[Told], list[Told]]:
    """Tell a server to stop under load; return what clients of short, of endless and of silent calls heard."""
    crowds = [
        Crowd([server.address], installation.key, asks)
        for asks in (
            lasting(SHORT, "*:chunks=20;delay_ms=100", True),
            lasting(ENDLESS, "*:chunks=100;delay_ms=900;answer_bytes=800", True),
            lasting(SILENT, "*:stall_ms=100000", False),
        )
    ]
    load = asyncio.gather(*(crowd.run(CLIENTS) for crowd in crowds))
    deadline = monotonic() + PATIENCE_SECONDS
    while installation.open_holds() < SHORT + ENDLESS + SILENT:
        assert monotonic() < deadline
        await asyncio.sleep(0.02)
    assert await asyncio.to_thread(server.stop) == 0
    short, endless, silent = await load
    return short, endless, silent


@pytest.mark.slow
def test_a_server_that_is_told_to_stop(database_url: str, tmp_path: Path) -> None:
    """Streams near their end come to it, others are cut off and charged for what was delivered; nothing stays open."""
    with installed(database_url, tmp_path, timeout_seconds=60) as installation:
        server = installation.serve()
        server.wait_until_ready()
        short, endless, silent = asyncio.run(terminate(installation, server))
        assert [wrong for each in short for wrong in each.complaints()] == []
        assert {note["status"] for each in short if (note := each.note)} == {"settled"}
        assert {(each.status, each.failure, each.is_served) for each in endless} == {(200, None, False)}
        assert [wrong for each in endless for wrong in each.complaints()] == []
        assert {note["status"] for each in endless if (note := each.note)} == {"settling"}
        assert {each.status for each in silent} == {503}
        assert [wrong for each in silent for wrong in each.complaints()] == []
        assert (installation.open_holds(), installation.spooled()) == (0, [])
        reckoning = require_sound(installation, [*short, *endless, *silent], may_break=True)
    assert reckoning.policies == {"complete": SHORT, "stream_cut_estimated": ENDLESS}
    charges = [request.settled["charge_minor"] for request in reckoning.requests.values() if request.settled]
    assert min(charges) > 0


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(10, 16))
def test_servers_killed_for_long(installation: Installation, lives: Lives, seed: int) -> None:
    """Hundreds of kills."""
    kill_and_reckon(installation, lives, seed, kills=60)
