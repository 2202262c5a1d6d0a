"""Books in process and books over HTTP are the same books; those over HTTP need few connections and find back."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import httpx
import pytest

from gateway.books.in_process import InProcessBooks
from gateway.books.protocol import Books, Posted
from gateway.books.remote import RemoteBooks
from gateway.books.settler import Settled, Settler
from gateway.books.spool import Spool
from gateway.ledger_client import AsyncLedgerClient
from ledger.catalog.commands import SuspendRoute
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refusal, Refused
from ledger.operating import Health, PinnedResponse, ProviderHealth, RefusedCalls, RouteHealth
from ledger.request.events import RequestRouted, TokensSettled
from ledger.service import SYSTEM, Ledger
from ledger.workspace.commands import IssueApiKey
from tests.integration import scenes
from tests.integration.scenes import ACME, do, fail_attempt, hold, settle
from tests.integration.spool_worker import last_words
from tests.integration.store_check import audit, complaints
from tests.integration.test_ledger_client import free_port, serving, token

Kind = str


class Wire(httpx.AsyncHTTPTransport):
    """The real transport, counting what goes over it."""

    def __init__(self) -> None:
        super().__init__()
        self.paths: list[str] = []
        self.under_way = self.most_under_way = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request as it is."""
        self.paths.append(request.url.path)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await super().handle_async_request(request)
        finally:
            self.under_way -= 1


@pytest.fixture
def address(ledger: Ledger) -> Iterator[str]:
    """A served ledger with a catalog and a workspace."""
    scenes.set_up(ledger)
    with serving(ledger, free_port()) as served:
        yield served


@asynccontextmanager
async def remote_books(address: str, key: str, wire: Wire | None = None) -> AsyncIterator[RemoteBooks]:
    """Open books over HTTP."""
    books = RemoteBooks(AsyncLedgerClient(address, key, transport=wire))
    try:
        yield books
    finally:
        await books.close()


@pytest.fixture(params=["in process", "over HTTP"])
def run(
    request: pytest.FixtureRequest, ledger: Ledger, address: str
) -> Callable[[Callable[[Books], Awaitable[None]]], None]:
    """Runs a function with books, once of each kind."""

    async def with_books(use: Callable[[Books], Awaitable[None]]) -> None:
        if request.param == "in process":
            await use(InProcessBooks(ledger))
            await ledger.close_reads()
            return
        async with remote_books(address, token(ledger)) as books:
            await use(books)

    return lambda use: asyncio.run(with_books(use))


Run = Callable[[Callable[[Books], Awaitable[None]]], None]


async def refusal_of(posted: Awaitable[object]) -> Refused:
    """Return the refusal that something ends in."""
    with pytest.raises(Refused) as caught:
        await posted
    return caught.value


def test_a_request_from_hold_to_charge(run: Run, ledger: Ledger) -> None:
    """Events come back typed and with their positions; the same again is a repeat."""

    async def use(books: Books) -> None:
        routed = await books.post(hold("r1", end_user="José from accounting"))
        assert isinstance(routed.event, RequestRouted)
        # The hash of the name and nothing else, whichever way it went.
        assert routed.event.end_user == ledger.hash_end_user(ACME, "José from accounting")
        assert (await books.post(hold("r1", end_user="José from accounting"))).repeated
        failed, settled = await books.post_many([fail_attempt("r1"), settle("r1", attempt=2)])
        assert isinstance(failed, Posted)
        assert isinstance(settled, Posted)
        assert isinstance(settled.event, TokensSettled)
        assert (failed.position, settled.position) == (routed.position + 1, routed.position + 2)
        assert (settled.event.charge_minor, settled.repeated) == (12_000, False)

    run(use)


def test_what_a_hold_has_left(run: Run, ledger: Ledger) -> None:
    """A new hold says what is available after it, as of its place among others; nothing else does."""

    async def use(books: Books) -> None:
        first = await books.post(hold("r1", "1.5"))
        again, extended, second, moved, settled = await books.post_many(
            [hold("r1", "1.5"), scenes.extend("r1"), hold("r2", "997.5"), scenes.fall_back("r2", to_route="cheap"),
             settle("r1")]
        )  # fmt: skip
        left = [each.available_minor for each in (again, extended, second, moved, settled) if isinstance(each, Posted)]
        assert (first.available_minor, left) == (998_500_000, [None, None, 0, 999_000_000, None])

    run(use)


def test_refusals_are_the_same(run: Run, ledger: Ledger) -> None:
    """A refusal has the same reason and the same facts on both ways, and fails nobody else."""
    expected = ledger.execute(hold("r1", "5000"), SYSTEM).refused
    assert expected is not None
    said = expected.code, expected.detail, expected.facts.keys()

    async def use(books: Books) -> None:
        assert await books.post_many([]) == []
        refused = await refusal_of(books.post(hold("r1", "5000")))
        assert (refused.code, refused.detail, refused.facts.keys()) == said
        outcomes = await books.post_many(
            [hold("r2"), hold("r3", end_user="line\nbreak"), settle("nobody"), hold("r4", hold_seconds=0), hold("r5")]
        )
        kinds = [outcome.code if isinstance(outcome, Refused) else None for outcome in outcomes]
        assert (kinds[:3], kinds[4]) == ([None, Refusal.TEXT_INVALID, Refusal.REQUEST_UNKNOWN], None)
        assert kinds[3] in (Refusal.COMMAND_UNPROCESSABLE, Refusal.NUMBER_OUT_OF_RANGE)
        assert not any(outcome.transient for outcome in outcomes if isinstance(outcome, Refused))
        refused = await refusal_of(books.post(hold("r6", "998.5")))
        assert (refused.code, refused.transient) == (Refusal.AVAILABLE_IS_HELD, True)

    run(use)


def test_callers_and_the_catalog(run: Run, ledger: Ledger) -> None:
    """A key is the same caller on both ways; the catalog is the ledger's own, and the same object while it stands."""
    issued = ledger.issue_key(scenes.change(scenes.issue_key(ACME, "5", api_key_id="k2"), secret_hash=""), SYSTEM)
    assert issued.token is not None

    async def use(books: Books) -> None:
        caller = await books.identify(issued.token or "")
        assert caller == await ledger.identify(issued.token or "")
        assert caller is not None
        assert (caller.workspace_id, caller.api_key_id, caller.projects) == (ACME, "k2", (scenes.PROJECT,))
        assert [await books.identify(each) for each in ("", "no key", f"{issued.token}x", "é" * 70)] == [None] * 4
        assert await books.catalog() == ledger.read_catalog()
        assert await books.catalog() is await books.catalog()
        await books.ping()

    run(use)


def test_what_gateways_share(run: Run, ledger: Ledger) -> None:
    """Health, kept responses and counts of refused calls come back as they were told."""
    reported = Health((RouteHealth("direct", "open", "timeout", 5, 4),), (ProviderHealth("openai", 9, 8),))
    pinned = PinnedResponse(ACME, "resp_1", "direct", "r1")
    counted = RefusedCalls(ACME, scenes.KEY, 3_600_000_000, "gpt-5", "insufficient_quota", 2)

    async def use(books: Books) -> None:
        assert await books.health() == Health()
        await books.report_health(reported)
        assert await books.health() == reported
        assert await books.pinned_response(ACME, "resp_1") is None
        await books.pin_response(pinned)
        assert await books.pinned_response(ACME, "resp_1") == pinned
        await books.count_refused_calls([counted])
        await books.count_refused_calls([counted])
        assert (await ledger.refused_calls(ACME, 0, 2**50)).data == (scenes.change(counted, calls=4),)

    run(use)


def test_many_callers_need_two_connections(ledger: Ledger, address: str) -> None:
    """What 64 callers post at the same time goes in few bodies, never more than two under way."""
    wire = Wire()

    async def use() -> None:
        async with remote_books(address, token(ledger), wire) as books:

            async def call(number: int) -> None:
                await asyncio.sleep(number / 1000)
                for turn in range(5):
                    await books.post(hold(f"r{number}-{turn}"))
                    await books.post(settle(f"r{number}-{turn}"))

            await asyncio.gather(*(call(number) for number in range(64)))

    asyncio.run(use())
    assert (wire.most_under_way, set(wire.paths)) == (2, {"/ledger/v1/commands"})
    assert len(wire.paths) < 200
    assert len([name for _, name in audit(ledger.url).positions if name.endswith("/settle")]) == 320


def test_one_bad_command_among_many(ledger: Ledger, address: str) -> None:
    """A command that spoils its body is found and refused alone; the callers beside it never hear of it."""

    async def use() -> None:
        async with remote_books(address, token(ledger)) as books:
            posts = [books.post(hold(f"r{number}", end_user="\0" if number == 37 else None)) for number in range(60)]
            outcomes = await asyncio.gather(*posts, return_exceptions=True)
            refused = [number for number, outcome in enumerate(outcomes) if not isinstance(outcome, Posted)]
            assert refused == [37]

    asyncio.run(use())
    assert len([name for _, name in audit(ledger.url).positions if name.endswith("/route")]) == 59


def test_more_commands_than_a_body_takes(ledger: Ledger, address: str) -> None:
    """A long list is recorded in its order."""

    async def use() -> None:
        async with remote_books(address, token(ledger)) as books:
            outcomes = await books.post_many([hold(f"r{number}", "0.000001") for number in range(1500)])
            positions = [outcome.position for outcome in outcomes if isinstance(outcome, Posted)]
            assert positions == list(range(positions[0], positions[0] + 1500))

    asyncio.run(use())


def test_a_caller_that_goes_away(ledger: Ledger, address: str) -> None:
    """A caller that is cancelled stops neither its own command nor those that travel with it."""

    async def use() -> None:
        async with remote_books(address, token(ledger)) as books:
            tasks = [asyncio.create_task(books.post(hold(f"r{number}"))) for number in range(10)]
            await asyncio.sleep(0)
            tasks[3].cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes].count(Posted) == 9

    asyncio.run(use())
    assert (ACME, "r3/route") in audit(ledger.url).positions


def test_a_suspended_route_is_seen_within_seconds(ledger: Ledger, address: str) -> None:
    """A change of the catalog reaches the gateway by itself."""

    async def use() -> None:
        async with remote_books(address, token(ledger)) as books:
            before = await books.catalog()
            command = SuspendRoute(workspace_id=PLATFORM, change_id="s1", route="direct", reason="it fails")
            await asyncio.to_thread(do, ledger, command)
            started = monotonic()
            while await books.catalog() is before:
                assert monotonic() - started < 5
                await asyncio.sleep(0.05)
            assert (await books.catalog()).suspended == {"direct"}

    asyncio.run(use())


def test_a_gateway_whose_key_is_refused(ledger: Ledger, address: str) -> None:
    """A wrong or narrow key of the gateway is an operator's matter: transient, so that no settlement is given up."""
    narrow = ledger.issue_key(IssueApiKey(workspace_id=PLATFORM, api_key_id="reader", scopes=("read",)), SYSTEM)
    do(ledger, hold("r1"))

    async def use() -> None:
        for key in ("nonsense", narrow.token or ""):
            async with remote_books(address, key) as books:
                for asked in (books.post(settle("r1")), books.ping(), books.identify(f"rl_live_acme_k1_{'x' * 43}")):
                    refused = await refusal_of(asked)
                    assert (refused.code, refused.transient) == (Refusal.UNAVAILABLE, True)

    asyncio.run(use())


def test_a_ledger_that_is_away(ledger: Ledger) -> None:
    """Without a ledger callers hear so at once; with it back the same books go on."""
    scenes.set_up(ledger)
    port = free_port()

    async def use() -> None:
        async with remote_books(f"http://127.0.0.1:{port}", token(ledger)) as books:
            started = monotonic()
            posts = [refusal_of(books.post(hold(f"r{number}"))) for number in range(64)]
            refused = await asyncio.gather(*posts, refusal_of(books.catalog()), refusal_of(books.ping()))
            assert {each.code for each in refused} == {Refusal.UNAVAILABLE}
            assert monotonic() - started < 2
            with serving(ledger, port):
                assert not (await books.post(hold("r1"))).repeated
                assert "direct" in (await books.catalog()).routes
            refused = [await refusal_of(books.post(settle("r1")))]
            assert refused[0].code in (Refusal.UNAVAILABLE, Refusal.OUTCOME_UNKNOWN)
            assert "direct" in (await books.catalog()).routes

    asyncio.run(use())


def test_settlements_survive_a_ledger_that_restarts(ledger: Ledger, tmp_path: Path) -> None:
    """Settled over HTTP while the server ends and another one begins, each request is on record once, in order."""
    scenes.set_up(ledger)
    do(ledger, *(hold(f"r{number}", "0.02") for number in range(300)))
    port, spool = free_port(), Spool(tmp_path)
    stop, ended, start = (threading.Event() for _ in range(3))

    async def use() -> list[Settled]:
        async with remote_books(f"http://127.0.0.1:{port}", token(ledger)) as books:
            settler = Settler(books, spool, poll_seconds=0.2)
            settler.start()
            endings = []
            for number in range(300):
                endings.append(settler.settle(last_words(number)))
                await asyncio.sleep(0.002)
                if number == 100:
                    stop.set()
            await asyncio.to_thread(ended.wait)
            outcomes = await asyncio.gather(*endings)
            start.set()
            deadline = monotonic() + 20
            while spool.waiting():
                assert monotonic() < deadline
                await asyncio.sleep(0.05)
            await settler.drain(2)
            return outcomes

    with ThreadPoolExecutor(1) as pool:
        with serving(ledger, port):
            gateway = pool.submit(asyncio.run, use())
            assert stop.wait(20)
        ended.set()
        assert start.wait(20)
        with Ledger(ledger.url) as another, serving(another, port):
            outcomes = gateway.result(40)

    assert {type(outcome) for outcome in outcomes} == {Posted, type(None)}
    positions = audit(ledger.url).positions
    for number in range(300):
        assert positions[ACME, f"r{number}/attempt/1"] < positions[ACME, f"r{number}/settle"]
    assert (complaints(ledger.url), spool.waiting(), spool.rejected()) == ([], 0, 0)
