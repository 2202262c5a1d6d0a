"""What another process changes counts at once: limits, keys and the catalog are checked under the lock."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from ledger.catalog.commands import PublishModel, PublishRateCard, SuspendRoute
from ledger.core.refusals import Refusal
from ledger.events import Recorded
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.service import Ledger
from ledger.store import reading, writer
from ledger.store.writing import write_batch
from ledger.wallet.commands import FreezeWallet
from ledger.workspace.commands import RevokeApiKey, SetApiKeyLimits, SetProjectLimits
from tests.integration import scenes
from tests.integration.scenes import ACME, KEY, PROJECT, do, hold, refusals, settle
from tests.integration.store_check import complaints

KEY_LIMIT = Refusal.API_KEY_SPEND_LIMIT_EXCEEDED
PROJECT_LIMIT = Refusal.PROJECT_SPEND_LIMIT_EXCEEDED


@pytest.fixture
def pair(database_url: str) -> Iterator[tuple[Ledger, Ledger]]:
    """Two ledgers on one database, as two processes have them, both with warm caches."""
    with Ledger(database_url, sweep_seconds=600) as here, Ledger(database_url, sweep_seconds=600) as there:
        scenes.set_up(here)
        for ledger, name in ((here, "warm-here"), (there, "warm-there")):
            do(ledger, hold(name), settle(name))
        yield here, there
        assert complaints(database_url) == []


def set_limit(day: str | None, change_id: str = "1") -> SetApiKeyLimits:
    """Return what replaces the key's daily limit."""
    return SetApiKeyLimits(workspace_id=ACME, change_id=change_id, api_key_id=KEY, limits=scenes.key_limits(day))


def test_a_limit_set_elsewhere_counts_at_once(pair: tuple[Ledger, Ledger]) -> None:
    """A spend limit set by another process holds for the next hold, with what was spent under it everywhere."""
    here, there = pair
    do(there, set_limit("10"))
    assert refusals(here, hold("r1", "6")) == [None]
    assert refusals(there, hold("r2", "6"), hold("r3", "4")) == [KEY_LIMIT, None]
    assert refusals(here, hold("r4", "0.000001")) == [KEY_LIMIT]
    do(there, settle("r1"), set_limit("20", "2"))
    assert refusals(here, hold("r5", "15.988"), hold("r6", "0.000001")) == [None, KEY_LIMIT]


def test_a_limit_set_in_a_batch_counts_for_what_follows(pair: tuple[Ledger, Ledger]) -> None:
    """Within one batch, holds before a new limit are free of it and holds behind it are not."""
    here, there = pair
    assert refusals(here, hold("r1", "6"), set_limit("5"), hold("r2", "4"), hold("r3", "2")) == [
        None, None, None, KEY_LIMIT,
    ]  # fmt: skip
    assert refusals(there, hold("r4", "1"), hold("r5", "0.000001")) == [None, KEY_LIMIT]


def test_a_project_limit_holds_over_keys(pair: tuple[Ledger, Ledger]) -> None:
    """A project's limit counts what all of its keys hold, in every process."""
    here, there = pair
    limit = SetProjectLimits(
        workspace_id=ACME, change_id="p1", project_id=PROJECT, spend_limits=scenes.spend_limits("10")
    )
    do(there, limit, scenes.issue_key(ACME, "100", "k2"))
    assert refusals(here, hold("r1", "6")) == [None]
    other: Any = hold("r2", "6")
    assert refusals(there, scenes.change(other, api_key_id="k2")) == [PROJECT_LIMIT]
    assert refusals(there, scenes.change(other, api_key_id="k2", hold=scenes.credit("4"))) == [None]


def test_a_late_settlement_finds_its_budget(pair: tuple[Ledger, Ledger]) -> None:
    """A settlement after the release counts in the budget of its day, and is cut to what is left of it."""
    here, there = pair
    do(there, set_limit("1"), hold("r1", "1"), scenes.release("r1"), hold("r2", "0.995"))
    event: Any = do(here, settle("r1"))[0].fact.event
    assert (event.from_available_minor, event.overrun_minor) == (5_000, 7_000)
    assert refusals(there, hold("r3", "0.000001")) == [KEY_LIMIT]


def test_a_key_revoked_elsewhere_is_refused_at_once(pair: tuple[Ledger, Ledger]) -> None:
    """No hold, extension or fallback of a revoked key passes in any process; what is open can be settled."""
    here, there = pair
    do(here, hold("r1"))
    do(there, RevokeApiKey(workspace_id=ACME, api_key_id=KEY, reason="leaked"))
    assert refusals(here, hold("r2"), scenes.extend("r1"), scenes.fall_back("r1", to_route="spare"), settle("r1")) == [
        *[Refusal.API_KEY_REVOKED] * 3,
        None,
    ]


def test_a_key_issued_elsewhere_works_at_once(pair: tuple[Ledger, Ledger]) -> None:
    """A key issued by another process can hold in the next command of this one."""
    here, there = pair
    do(there, scenes.issue_key(ACME, api_key_id="k2"))
    assert refusals(here, scenes.change(hold("r1"), api_key_id="k2")) == [None]


def test_a_wallet_frozen_elsewhere_is_frozen_at_once(pair: tuple[Ledger, Ledger]) -> None:
    """A wallet frozen by another process takes no hold in this one."""
    here, there = pair
    do(there, FreezeWallet(workspace_id=ACME, bucket="credit", change_id="f", reason="review"))
    assert refusals(here, hold("r1"), hold("r2", route="cheap")) == [Refusal.WALLET_FROZEN, None]


def test_a_catalog_published_elsewhere_is_used_at_once(pair: tuple[Ledger, Ledger]) -> None:
    """A route, a card or a suspension of another process holds for the next command of this one."""
    here, there = pair
    card = RateCard("direct.2", "direct", "credit", 1, (ModelRates("*", {"uncached_input": "4"}),), "test")
    do(there, PublishRateCard(card=card))
    assert refusals(here, hold("r1", rate_card="direct.1"), hold("r2", rate_card="direct.2")) == [
        Refusal.RATE_CARD_NOT_IN_FORCE, None,
    ]  # fmt: skip
    do(there, SuspendRoute(change_id="s", route="direct", reason="down"))
    assert refusals(here, hold("r3")) == [Refusal.ROUTE_SUSPENDED]
    alias = PublishModel(change_id="2", model="o4", targets=("own-price",))
    do(there, scenes.publish_route("own-price", "credit", "2"), alias)
    new: Any = scenes.change(hold("r4", route="own-price"), model="o4")
    assert refusals(here, new) == [None]


def test_an_event_names_the_catalog_it_was_decided_under(
    pair: tuple[Ledger, Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is published while a batch reads is either not used by it, or its position is the one recorded."""
    here, there = pair
    first = do(there, SuspendRoute(change_id="s", route="spare", reason="down"))[0]
    read = reading.read_catalog
    published: list[Recorded] = []

    def publish_between(*arguments: Any) -> Any:
        if not published:
            published.extend(do(there, SuspendRoute(change_id="s2", route="cheap", reason="down")))
        return read(*arguments)

    monkeypatch.setattr(reading, "read_catalog", publish_between)
    outcomes = here.execute_many([hold("r1", route="cheap"), hold("r2")], "system")
    assert published
    saw_it = outcomes[0].refused is not None
    assert scenes.recorded(outcomes[1]).fact.catalog_position == (published if saw_it else [first])[0].position


def test_a_book_that_is_somewhere_else_is_read_again(
    pair: tuple[Ledger, Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a book is not where its batch read it, the batch is rolled back and decided again."""
    here, _ = pair
    times: list[int] = []

    def one_behind(connection: Any, batch: Any, *more: Any) -> None:
        times.append(1)
        if len(times) == 1:
            batch.heads[ACME].position -= 1
        write_batch(connection, batch, *more)

    monkeypatch.setattr(writer, "write_batch", one_behind)
    assert refusals(here, hold("r1")) == [None]
    assert len(times) == 2


def test_what_people_read_is_fresh(pair: tuple[Ledger, Ledger]) -> None:
    """Reads show this process' own changes at once, wallets as they are, and no workspace that never began."""
    here, there = pair

    async def run() -> None:
        token = here.issue_key(scenes.issue_key(ACME, api_key_id="k7"), "system").token or ""
        principal = await there.authenticate(token)
        assert principal is not None
        assert (principal.api_key_id, principal.scopes) == ("k7", frozenset({"call"}))
        assert await there.authenticate(token[:-1] + ("A" if token[-1] != "A" else "B")) is None
        await there.execute_async(RevokeApiKey(workspace_id=ACME, api_key_id="k7", reason="old"), "system")
        assert await there.authenticate(token) is None
        await there.execute_async(hold("r1", "7"), "system")
        live = await here.live_wallets(ACME)
        assert live is not None
        held = {wallet.bucket: wallet.held_minor for wallet in live.wallets}
        assert held == {"credit": 7_000_000, "rmb": 0}
        bad = scenes.change(scenes.workspace_commands("ghost")[0], time_zone="Mars/Olympus")
        await here.execute_many_async([bad, hold("r2")], "system")
        assert await here.live_wallets("ghost") is None
        assert await here.workspace("ghost") is None
        for ledger in pair:
            await ledger.close_reads()

    asyncio.run(run())
