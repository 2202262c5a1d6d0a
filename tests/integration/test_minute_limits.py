"""Limits per minute over several ledgers on one database: exact, never stale, and free for whoever has none."""

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import psycopg
import pytest

from ledger.core.refusals import Refusal
from ledger.request.commands import RouteRequest
from ledger.request.events import Estimate
from ledger.service import Ledger, Outcome
from ledger.store import reading, writing
from ledger.workspace.commands import SetApiKeyLimits
from ledger.workspace.pace import minute_of
from projections.replay import replay
from tests.integration import scenes
from tests.integration.scenes import ACME, KEY, do, hold, refusals, release, settle
from tests.integration.store_check import complaints

REQUESTS = Refusal.REQUESTS_PER_MINUTE_EXCEEDED
TOKENS = Refusal.TOKENS_PER_MINUTE_EXCEEDED
ROOM_SECONDS = 10


@pytest.fixture
def pair(database_url: str) -> Iterator[tuple[Ledger, Ledger]]:
    """Two ledgers on one database, as two processes have them, both with warm caches."""
    with Ledger(database_url, sweep_seconds=600) as here, Ledger(database_url, sweep_seconds=600) as there:
        scenes.set_up(here)
        for ledger, name in ((here, "warm-here"), (there, "warm-there")):
            do(ledger, hold(name), settle(name))
        yield here, there
        assert complaints(database_url) == []
        assert replay(database_url, verify=True).differences == ()


def pace(requests: int | None = None, tokens: int | None = None, change_id: str = "1") -> SetApiKeyLimits:
    """Return what replaces the key's limits per minute."""
    limits = msgspec.structs.replace(
        scenes.key_limits(None), requests_per_minute=requests, tokens_per_minute=tokens
    )  # fmt: skip
    return SetApiKeyLimits(workspace_id=ACME, change_id=change_id, api_key_id=KEY, limits=limits)


def asking(request_id: str, tokens: int) -> RouteRequest:
    """Return a routing that is estimated at so many tokens."""
    return hold(request_id, "0.001", estimate=Estimate(tokens, 0))


def await_room() -> None:
    """Wait until the minute has some time left, so that what follows happens within it."""
    left = 60 - time.time() % 60
    if left < ROOM_SECONDS:
        time.sleep(left)


def test_no_minute_takes_more_than_its_limit_over_two_ledgers(pair: tuple[Ledger, Ledger]) -> None:
    """Sixteen callers at two ledgers get exactly the limit of each minute, and the rest is refused with the wait."""
    do(pair[0], pace(requests=100))

    def ask(caller: int) -> list[Outcome]:
        ledger = pair[caller % 2]
        return [ledger.execute(asking(f"r-{caller}-{number}", 1), "system") for number in range(25)]

    with ThreadPoolExecutor(16) as pool:
        outcomes = [outcome for each in pool.map(ask, range(16)) for outcome in each]
    taken = Counter(minute_of(each.recorded.recorded_at) for each in outcomes if each.recorded is not None)
    # Two minutes where the test happens to run over the end of one.
    assert max(taken.values()) == 100
    refused = [outcome.refused for outcome in outcomes if outcome.refused is not None]
    assert {each.code for each in refused} == {REQUESTS}
    assert all(1 <= each.facts["retry_after_seconds"] <= 60 for each in refused)
    assert len(refused) == 400 - taken.total()


def test_tokens_are_counted_over_two_ledgers(pair: tuple[Ledger, Ledger]) -> None:
    """What one ledger took leaves less for the other; what was used takes the estimate's place for both."""
    here, there = pair
    do(here, pace(tokens=10_000))
    await_room()
    assert refusals(here, asking("r1", 6_000)) == [None]
    assert refusals(there, asking("r2", 4_001), asking("r3", 4_000)) == [TOKENS, None]
    do(here, settle("r3", 500), release("r1"))
    assert refusals(there, asking("r4", 9_001), asking("r5", 9_000)) == [TOKENS, None]


def test_a_batch_sees_what_it_has_just_counted(pair: tuple[Ledger, Ledger]) -> None:
    """Within one batch each routing leaves less for the next, and an end gives back before those behind it."""
    here, there = pair
    await_room()
    assert refusals(
        here, pace(tokens=1_000), asking("r1", 800), asking("r2", 300), settle("r1", 50), asking("r3", 900)
    ) == [None, None, TOKENS, None, None]
    assert refusals(there, asking("r4", 1)) == [TOKENS]


def test_an_end_is_counted_by_a_batch_that_read_nothing(pair: tuple[Ledger, Ledger]) -> None:
    """A settlement without any routing beside it moves the minute all the same, once."""
    here, there = pair
    do(here, pace(requests=9, tokens=1_000))
    await_room()
    do(here, asking("r1", 900))
    do(there, settle("r1", 10))
    assert refusals(there, settle("r1", 10)) == [None]
    assert use_of(here) == [(KEY, 1, 20)]
    assert refusals(here, asking("r2", 981), asking("r3", 980)) == [TOKENS, None]


def test_limits_set_elsewhere_count_at_once(pair: tuple[Ledger, Ledger]) -> None:
    """A limit of another process holds for the next routing, together with an end that came in the same batch."""
    here, there = pair
    do(there, pace(requests=2))
    await_room()
    do(there, asking("r1", 100))
    # This ledger has not heard of the limit: it reads the minute when the decision asks for it.
    assert refusals(here, settle("r1", 7), asking("r2", 1), asking("r3", 1)) == [None, None, REQUESTS]
    do(there, pace(change_id="2"))
    assert refusals(here, asking("r4", 10**9)) == [None]


def test_a_new_minute_begins_with_nothing(pair: tuple[Ledger, Ledger]) -> None:
    """The row of a key is that of its latest minute: what an earlier one used is not added to it."""
    here, there = pair
    do(here, pace(requests=1))
    await_room()
    assert refusals(here, asking("r1", 5), asking("r2", 5)) == [None, REQUESTS]
    with psycopg.connect(here.url, autocommit=True) as connection:
        connection.execute("update ledger.minute_use set minute = minute - 1, requests = 70, tokens = 70")
    assert refusals(there, asking("r3", 5), asking("r4", 5)) == [None, REQUESTS]
    assert use_of(here) == [(KEY, 1, 5)]


def use_of(ledger: Ledger) -> list[tuple[Any, ...]]:
    """Return what is counted of every key that has limits per minute."""
    with psycopg.connect(ledger.url) as connection:
        return connection.execute("select api_key_id, requests, tokens from ledger.minute_use").fetchall()


def test_keys_without_such_limits_cost_no_statement(
    pair: tuple[Ledger, Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their batches are the same statements as ever; with a limit it is one more to read and one to write."""
    here, _ = pair
    said: list[str] = []
    for module in (reading, writing):
        run = module.run

        def listen(connection: Any, name: str, *more: Any, run: Any = run) -> Any:
            said.append(name)
            return run(connection, name, *more)

        monkeypatch.setattr(module, "run", listen)
    do(here, asking("r1", 5), settle("r1"))
    without = Counter(said)
    assert not {"read_minutes", "move_minutes"} & without.keys()
    do(here, pace(requests=5))
    said.clear()
    do(here, asking("r2", 5), settle("r2"))
    assert Counter(said) - without == Counter(["read_minutes", "move_minutes"])
