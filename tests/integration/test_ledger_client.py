"""The ledger's client against the real API on a real port: every command, every read, and a server that goes away."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec
import pytest
import uvicorn
from litestar import Litestar

from gateway.configuration import apply_configuration, compare_configuration, parse_configuration
from gateway.ledger_client import (
    AsyncLedgerClient,
    LedgerClient,
    LedgerUnavailable,
    RefusedByLedger,
    Retrying,
    event_of,
)
from gateway.remote_catalog import RemoteCatalog
from ledger.api.answers import Balances
from ledger.api.app import create_app
from ledger.api.context import ApiContext
from ledger.catalog.commands import RecordConfig
from ledger.commands import KINDS, command_id_of
from ledger.core.commands import Command
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refusal
from ledger.request.events import RequestRouted, TokensSettled
from ledger.service import SYSTEM, Ledger
from ledger.workspace.commands import ClosePeriod, CreateWorkspace, IssueApiKey, ReopenPeriod, RevokeApiKey, Scope
from projections.api.app import create_read_router
from projections.followers import Follower
from projections.reading import JournalReader
from tests.integration import scenes
from tests.unit import story
from tests.unit.configurations import RIGHT

ALL: tuple[Scope, ...] = ("call", "read", "post", "fund", "audit", "admin")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def serving(ledger: Ledger, port: int) -> Iterator[str]:
    """Serve a ledger's API on a port from a thread; yield its address."""

    @asynccontextmanager
    async def reads(app: Litestar) -> AsyncIterator[None]:
        yield
        await reader.close()
        await ledger.close_reads()

    context, reader, follower = ApiContext(ledger), JournalReader(ledger.url), Follower(ledger.url)
    app = create_app(ledger, context=context, parts=[create_read_router(context, reader)], lifespan=[reads])
    ledger.on_commit = follower.notify
    follower.start()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        patient = LedgerClient(f"http://127.0.0.1:{port}", "nobody", retrying=Retrying(attempts=200))
        with patient, pytest.raises(RefusedByLedger, match="not_authenticated"):
            patient.catalog()
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
        follower.stop()


@pytest.fixture
def address(ledger: Ledger) -> Iterator[str]:
    """A served ledger without a catalog or any workspace."""
    with serving(ledger, free_port()) as served:
        yield served


def token(ledger: Ledger) -> str:
    """Issue a platform key with every scope and return its token."""
    issued = ledger.issue_key(IssueApiKey(workspace_id=PLATFORM, api_key_id="root", scopes=ALL), SYSTEM)
    assert issued.token is not None
    return issued.token


@pytest.fixture
def client(ledger: Ledger, address: str) -> Iterator[LedgerClient]:
    """A client with a platform key that has every scope."""
    with LedgerClient(address, token(ledger)) as opened:
        yield opened


def without_secret(command: Command) -> Command:
    """Return a command as it may be posted: a key's hash is made by the ledger."""
    return msgspec.structs.replace(command, secret_hash="") if isinstance(command, IssueApiKey) else command


def the_story() -> list[Command]:
    """Return commands of every kind in an order that a new ledger accepts."""
    last = (
        RevokeApiKey(**story.MINE, api_key_id="k2"),
        ClosePeriod(**story.MINE, period="2026-08", closing=1),
        ReopenPeriod(**story.MINE, period="2026-08", closing=1),
        story.publish_signing_key(),
    )
    told = [
        *story.catalog_commands(), *story.workspace_commands(), *story.wallet_commands(), *story.request_commands(),
        *last,
    ]  # fmt: skip
    return [without_secret(command) for command in told]


def test_every_kind_of_command_is_posted_and_repeated(client: LedgerClient) -> None:
    """Each kind is recorded over HTTP under its own identity; the same again is a repeat at the same position."""
    commands = the_story()
    assert {type(command) for command in commands} == set(KINDS)

    first = [client.post(command) for command in commands]
    again = [client.post(command) for command in commands]

    assert [answer.command_id for answer in first] == [command_id_of(command) for command in commands]
    # The platform's book begins with the ledger itself, hence the one repeat.
    assert [answer.repeated for answer in first] == [command == commands[0] for command in commands]
    assert all(answer.repeated for answer in again)
    assert [answer.position for answer in again] == [answer.position for answer in first]


def test_many_commands_are_posted_at_once(client: LedgerClient) -> None:
    """A batch has each command's outcome in its place; a key is issued on its own, with its token."""
    commands = the_story()
    keys = [command for command in commands if isinstance(command, IssueApiKey)]
    before = commands.index(keys[0])

    outcomes = client.post_many(commands[:before])
    issued = [client.issue_key(key) for key in keys]
    outcomes += client.post_many([command for command in commands[before:] if command not in keys])
    outcomes += client.post_many([scenes.hold("late", workspace_id="nobody")])

    refused = [outcome.refused for outcome in outcomes if outcome.refused is not None]
    assert [each.code for each in refused] == [Refusal.WORKSPACE_UNKNOWN]
    assert [key.token is not None for key in issued] == [True, True]
    assert client.issue_key(keys[0]).token is None


def test_more_than_one_body_full(client: LedgerClient) -> None:
    """More commands than one body takes are answered in order all the same."""
    scene = [*scenes.catalog_commands(), *map(without_secret, scenes.workspace_commands())]
    for command in scene:
        client.post(command)

    outcomes = client.post_many([scenes.hold(f"r{number}", "0.000001") for number in range(1500)])

    positions = [outcome.recorded.position for outcome in outcomes if outcome.recorded is not None]
    assert positions == list(range(positions[0], positions[0] + 1500))


def test_balances_events_and_charges_are_typed(client: LedgerClient) -> None:
    """A hold and a settlement come back as the ledger's own events, and the balances add up."""
    for command in (*scenes.catalog_commands(), *map(without_secret, scenes.workspace_commands())):
        client.post(command)

    routed = event_of(client.post(scenes.hold("r1", "1")))
    held = client.wallet("acme", "credit")
    settled = client.post(scenes.settle("r1"))

    assert isinstance(routed, RequestRouted)
    assert isinstance(event_of(settled), TokensSettled)
    assert settled.money["charge"] == scenes.credit("0.012000")
    assert (held.held, held.available) == (scenes.credit("1.000000"), scenes.credit("999.000000"))
    balances = client.wallets("acme")
    assert [wallet.posted for wallet in balances.wallets] == [scenes.credit("999.988000"), scenes.cny("1000.000000")]
    assert balances.position == settled.position


def test_refusals_carry_what_a_program_needs(client: LedgerClient) -> None:
    """Code, status and facts of a refusal arrive as the ledger decided them."""
    for command in (*scenes.catalog_commands(), *map(without_secret, scenes.workspace_commands(funds="2"))):
        client.post(command)
    client.post(scenes.hold("r1", "2"))

    with pytest.raises(RefusedByLedger) as caught:
        client.post(scenes.hold("r2", "1"))
    assert (caught.value.code, caught.value.status, caught.value.transient) == (Refusal.AVAILABLE_IS_HELD, 429, True)
    with pytest.raises(RefusedByLedger) as caught:
        client.post(scenes.hold("r3", "3"))
    assert (caught.value.code, caught.value.status) == (Refusal.INSUFFICIENT_AVAILABLE, 402)
    assert caught.value.facts["needed"]
    with pytest.raises(RefusedByLedger) as caught:
        client.wallet("acme", "gold")
    assert caught.value.code == Refusal.WALLET_UNKNOWN


def test_open_holds_are_waited_for(ledger: Ledger, address: str) -> None:
    """A client that was told to wait gets its hold once another request has given its own back."""
    scenes.do(ledger, *scenes.catalog_commands(), *scenes.workspace_commands(funds="2"), scenes.hold("r1", "2"))
    timer = threading.Timer(0.3, ledger.execute, (scenes.release("r1"), SYSTEM))
    timer.start()

    with LedgerClient(address, token(ledger), retrying=Retrying(wait_for_holds=True)) as patient:
        answer = patient.post(scenes.hold("r2", "1"))

    timer.join()
    assert not answer.repeated


def test_the_catalog_is_the_ledger_s_own(client: LedgerClient, ledger: Ledger, address: str) -> None:
    """The catalog over HTTP is equal to the one in process; a workspace's key sees no providers and no sources."""
    client.post_many(story.catalog_commands())

    assert client.catalog() == ledger.read_catalog()
    client.post(CreateWorkspace(workspace_id="acme"))
    key = client.issue_key(IssueApiKey(workspace_id="acme", api_key_id="app", scopes=("read",))).token
    assert key is not None
    with LedgerClient(address, key) as customer:
        seen = customer.catalog()
    assert (seen.providers, {card.source for card in seen.rate_cards.values()}) == ({}, {""})
    whole = ledger.read_catalog().routes
    assert seen.routes == {name: scenes.change(route, provider="") for name, route in whole.items()}


def test_a_configuration_is_applied_over_http(client: LedgerClient, ledger: Ledger) -> None:
    """The file that is applied elsewhere leaves no difference here, nor there."""
    config = parse_configuration(RIGHT)

    applied = apply_configuration(RemoteCatalog(client), config, actor="me")

    assert (len(applied.changes), applied.notices) == (9, ())
    assert compare_configuration(RemoteCatalog(client), config).commands == ()
    assert compare_configuration(ledger, config).commands == ()


def test_four_threads_apply_one_configuration_at_once(ledger: Ledger) -> None:
    """Servers that start together publish each thing once between them; more than one may note the file itself."""
    config = parse_configuration(RIGHT)
    applied = []
    threads = [
        threading.Thread(target=lambda: applied.append(apply_configuration(ledger, config, actor=SYSTEM)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    changes = [change for each in applied for change in each.changes if not isinstance(change, RecordConfig)]
    assert (len(applied), len(changes)) == (4, 8)
    assert len(ledger.read_catalog().rate_cards) == 1
    assert compare_configuration(ledger, config).commands == ()


def test_a_server_that_comes_back_is_found_again(ledger: Ledger) -> None:
    """While nobody listens the client says so, and that nothing was sent; afterwards the same client goes on."""
    port = free_port()
    with LedgerClient(f"http://127.0.0.1:{port}", token(ledger), retrying=Retrying(attempts=2)) as client:
        with pytest.raises(LedgerUnavailable) as caught:
            client.post(CreateWorkspace(workspace_id="acme"))
        assert (caught.value.outcome_unknown, caught.value.attempts) == (False, 2)
        with serving(ledger, port):
            assert not client.post(CreateWorkspace(workspace_id="acme")).repeated
    assert ledger.execute(CreateWorkspace(workspace_id="acme"), SYSTEM).repeated


def test_the_asynchronous_client_on_many_requests(ledger: Ledger, address: str) -> None:
    """A hundred requests at once are held and settled over a bounded number of connections."""
    scenes.do(ledger, *scenes.catalog_commands(), *scenes.workspace_commands())

    async def one(client: AsyncLedgerClient, request_id: str) -> str:
        await client.post(scenes.hold(request_id))
        return (await client.post(scenes.settle(request_id))).money["charge"].value

    async def all_of_them() -> tuple[list[str], Balances]:
        async with AsyncLedgerClient(address, token(ledger)) as client:
            charges = await asyncio.gather(*(one(client, f"r{number}") for number in range(100)))
            return charges, await client.wallets("acme")

    charges, balances = asyncio.run(all_of_them())
    assert set(charges) == {"0.012000"}
    assert (balances.wallets[0].posted, balances.wallets[0].held) == (
        scenes.credit("998.800000"),
        scenes.credit("0.000000"),
    )


def test_the_journal_is_read_page_by_page(client: LedgerClient) -> None:
    """Entries, events and statements come whole and in order over many pages; the trial balance is zero."""
    for command in (*scenes.catalog_commands(), *map(without_secret, scenes.workspace_commands())):
        client.post(command)
    posts = [post for number in range(150) for post in (scenes.hold(f"r{number}", "0.5"), scenes.settle(f"r{number}"))]
    last = [outcome.recorded for outcome in client.post_many(posts)][-1]
    assert last is not None

    entries = list(client.entries("acme", at_least_position=last.position))
    events = list(client.events("acme"))
    lines = list(client.statement("acme", "credit", at_least_position=last.position))
    balance = client.trial_balance("acme", at_least_position=last.position)

    assert [event.position for event in events] == list(range(1, last.position + 1))
    assert len({(entry.position, entry.bucket) for entry in entries}) == len(entries) == 302
    assert (len(lines), lines[-1].posted) == (301, client.wallet("acme", "credit").posted)
    assert [(bucket.bucket, bucket.in_balance) for bucket in balance.buckets] == [("credit", True), ("rmb", True)]
    assert [bucket.bucket for bucket in client.trial_balance().buckets] == ["credit", "rmb"]
    *_, early = earlier = lines[:101]
    assert list(client.statement("acme", "credit", position=early.position)) == earlier
    then = client.balance("acme", "credit", position=early.position)
    assert (then.posted, then.held, then.position) == (early.posted, early.held, early.position)
    assert client.trial_balance("acme", recorded_at="2999-01-01", zone="UTC").buckets == balance.buckets


def test_the_journal_is_read_from_an_event_loop(client: LedgerClient, ledger: Ledger, address: str) -> None:
    """The asynchronous client yields the same lines."""
    scenes.do(ledger, *scenes.catalog_commands())
    last = scenes.do(ledger, *scenes.workspace_commands())[-1].position
    key = client.issue_key(IssueApiKey(workspace_id=PLATFORM, api_key_id="reader", scopes=("read",))).token
    assert key is not None

    async def read(key: str) -> tuple[int, int, int, int]:
        async with AsyncLedgerClient(address, key) as reader:
            entries = [entry async for entry in reader.entries("acme", at_least_position=last)]
            events = [event async for event in reader.events("acme")]
            lines = [line async for line in reader.statement("acme", "rmb")]
            return len(entries), len(events), len(lines), len((await reader.trial_balance("acme")).buckets)

    assert asyncio.run(read(key)) == (2, last, 1, 2)
