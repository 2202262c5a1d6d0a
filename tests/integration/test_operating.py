"""What gateways keep beside the books: callers, refused calls, health, kept responses, in process and by client."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol

import httpx
import msgspec
import psycopg
import pytest

from gateway.ledger_client import AsyncLedgerClient, RefusedByLedger
from ledger import service
from ledger.api.answers import instant
from ledger.core.refusals import Refused
from ledger.operating import (
    HOUR_MICROSECONDS,
    MOMENT_MAX,
    Caller,
    Health,
    PinnedResponse,
    ProviderHealth,
    RefusedCalls,
    RefusedCallsPage,
    RouteHealth,
)
from ledger.service import Ledger
from ledger.workspace import commands as workspace
from tests.integration import scenes
from tests.integration.api_scene import Api, open_scene, refusal
from tests.integration.scenes import ACME, KEY, do

HOUR = 500_000 * HOUR_MICROSECONDS
PINNED = PinnedResponse(ACME, "resp_68a1=", "direct", "r1")
ROUTES = (
    RouteHealth("direct", "open", "5 failures in 30 s", HOUR + 30, HOUR),
    RouteHealth("spare", "closed", "", 0, HOUR),
)
PROVIDERS = (ProviderHealth("openai", HOUR + 60, HOUR),)


class Gateway(Protocol):
    """What a ledger in this process and a client of one elsewhere have in common."""

    async def identify(self, token: str) -> Caller | None:
        """Return whose key a token is."""

    async def count_refused_calls(self, counts: list[RefusedCalls]) -> None:
        """Add refused calls."""

    async def refused_calls(
        self, workspace_id: str | None, begin: int, end: int, cursor: str | None
    ) -> RefusedCallsPage:
        """Return refused calls."""

    async def health(self) -> Health:
        """Return what was reported."""

    async def report_health(self, health: Health) -> None:
        """Report."""

    async def pin_response(self, pinned: PinnedResponse) -> None:
        """Keep a response."""

    async def pinned_response(self, workspace_id: str, response_id: str) -> PinnedResponse | None:
        """Return where a response is."""


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The API of an opened workspace."""
    with open_scene(ledger) as opened:
        yield opened


Call = Callable[[Gateway], Awaitable[Any]]
Ask = Callable[[Call], Any]


@pytest.fixture(params=["in process", "by client"])
def ask(request: pytest.FixtureRequest, api: Api) -> Ask:
    """A function that asks the ledger in its process, or over HTTP by the client that gateways use."""

    def in_process(call: Call) -> Any:
        with api.client.portal() as portal:
            return portal.call(call, api.ledger)

    def by_client(call: Call) -> Any:
        async def run() -> Any:
            transport = httpx.MockTransport(passed_on)
            async with AsyncLedgerClient("http://ledger", api.root, transport=transport) as client:
                return await call(client)

        return asyncio.run(run())

    def passed_on(sent: httpx.Request) -> httpx.Response:
        # The application is served by another thread's event loop; the request itself is the real one.
        answer = api.client.request(
            sent.method, str(sent.url.raw_path, "ascii"), content=sent.content, headers=sent.headers
        )
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    return in_process if request.param == "in process" else by_client


def identifying(token: str) -> Call:
    """Return the call that asks whose key a token is."""
    return lambda gateway: gateway.identify(token)


def finding(workspace_id: str, response_id: str) -> Call:
    """Return the call that asks where a response is."""
    return lambda gateway: gateway.pinned_response(workspace_id, response_id)


def counted(model: str = "gpt-5", calls: int = 1, **more: Any) -> RefusedCalls:
    """Return refused calls."""
    count = RefusedCalls(ACME, KEY, HOUR, model, "insufficient_available", calls)
    return msgspec.structs.replace(count, **more)


def test_a_caller_is_known_by_the_token(api: Api, ask: Ask) -> None:
    """Workspace, key, scopes, projects and limits come with the token; a wrong or revoked one is nobody's."""
    limits = workspace.StatedKeyLimits(
        spend=scenes.spend_limits("5"), models=("gpt-5",), requests_per_minute=7
    )  # fmt: skip
    do(api.ledger, workspace.CreateProject(workspace_id=ACME, project_id="lab"))
    every = api.key("every", ("call", "read"), ACME, limits=limits)
    bound = api.key("bound", ("call",), ACME, project_id="lab")
    caller = ask(identifying(every))
    assert (caller.workspace_id, caller.api_key_id, caller.scopes) == (ACME, "every", {"call", "read"})
    assert (caller.project_id, caller.projects) == (None, ("main", "lab"))
    assert (caller.limits.models, caller.limits.requests_per_minute) == (("gpt-5",), 7)
    assert caller.limits.spend[0].limit_minor == 5_000_000
    of_project = ask(identifying(bound))
    assert (of_project.project_id, of_project.projects) == ("lab", ("lab",))
    for token in ("x", every[:-1] + "?", every.replace("every", "other")):
        assert ask(identifying(token)) is None
    assert api.command(workspace.RevokeApiKey(workspace_id=ACME, api_key_id="every", reason="done")).status_code == 201
    assert ask(identifying(every)) is None


def test_health_is_the_latest_report(ask: Ask) -> None:
    """What is reported replaces what was known of the routes and providers that it names, and of no others."""
    assert ask(lambda gateway: gateway.health()) == Health()
    ask(lambda gateway: gateway.report_health(Health(ROUTES, PROVIDERS)))
    assert ask(lambda gateway: gateway.health()) == Health(ROUTES, PROVIDERS)
    closed = RouteHealth("direct", "closed", "answers again", 0, HOUR - 5)
    well = ProviderHealth("openai", None, HOUR - 5)
    ask(lambda gateway: gateway.report_health(Health((ROUTES[0], closed), (PROVIDERS[0], well))))
    assert ask(lambda gateway: gateway.health()) == Health((closed, ROUTES[1]), (well,))
    ask(lambda gateway: gateway.report_health(Health()))
    assert ask(lambda gateway: gateway.health()) == Health((closed, ROUTES[1]), (well,))


def test_a_kept_response_is_found_in_its_workspace(api: Api, ask: Ask) -> None:
    """The route of a response is known to its workspace, may change, and is forgotten after thirty days."""
    ask(lambda gateway: gateway.pin_response(PINNED))
    assert ask(finding(ACME, PINNED.response_id)) == PINNED
    moved = msgspec.structs.replace(PINNED, route="spare", request_id="r2", tokens=2_048)
    ask(lambda gateway: gateway.pin_response(moved))
    assert ask(finding(ACME, PINNED.response_id)) == moved
    for workspace_id, response_id in ((ACME, "resp_other"), ("zeta", PINNED.response_id), (ACME, "a b"), ("A", "x")):
        assert ask(finding(workspace_id, response_id)) is None
    with psycopg.connect(api.ledger.url, autocommit=True) as connection:
        connection.execute("update ledger.pinned_response set pinned_at = pinned_at - interval '31 days'")
    assert ask(finding(ACME, PINNED.response_id)) is None


def test_refused_calls_add_up(api: Api, ask: Ask) -> None:
    """Counts of one key, hour, model and reason are one row; models that the catalog lacks are counted as none."""
    ask(lambda gateway: gateway.count_refused_calls([counted(), counted(calls=4), counted("tell me a secret")]))
    ask(lambda gateway: gateway.count_refused_calls([counted(calls=2), counted(hour=HOUR + HOUR_MICROSECONDS)]))
    ask(lambda gateway: gateway.count_refused_calls([]))
    rows = api.get("/refused-calls").json()
    assert rows["has_more"] is False
    assert [(row["hour"] - HOUR, row["model"], row["calls"]) for row in rows["data"]] == [
        (HOUR_MICROSECONDS, "gpt-5", 1), (0, "", 1), (0, "gpt-5", 7),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        {"hour": HOUR + 1}, {"reason": "No Money"}, {"workspace_id": "A b"}, {"api_key_id": "a_b"}, {"calls": 0},
        {"hour": 2**62},
    ],
)  # fmt: skip
def test_malformed_counts_are_refused_whole(ask: Ask, wrong: dict[str, Any]) -> None:
    """One wrong row and nothing of a report is counted."""
    with pytest.raises((Refused, RefusedByLedger)):
        ask(lambda gateway: gateway.count_refused_calls([counted(), counted(**wrong)]))
    assert ask(lambda gateway: gateway.health()) == Health()


def test_malformed_reports_are_refused(ask: Ask) -> None:
    """Names that are none, endless texts and ids with a space are refused in process as over HTTP."""
    bad: tuple[Call, ...] = (
        lambda gateway: gateway.report_health(Health((msgspec.structs.replace(ROUTES[0], route="A"),))),
        lambda gateway: gateway.report_health(Health((msgspec.structs.replace(ROUTES[0], reason="x" * 201),))),
        lambda gateway: gateway.report_health(Health((msgspec.structs.replace(ROUTES[0], open_until=-1),))),
        lambda gateway: gateway.report_health(Health((), (ProviderHealth("a/b", None, 0),))),
        lambda gateway: gateway.report_health(Health(ROUTES * 501)),
        lambda gateway: gateway.pin_response(msgspec.structs.replace(PINNED, response_id="a b")),
        lambda gateway: gateway.pin_response(msgspec.structs.replace(PINNED, route="")),
        lambda gateway: gateway.pin_response(msgspec.structs.replace(PINNED, tokens=-1)),
    )
    for call in bad:
        with pytest.raises((Refused, RefusedByLedger)):
            ask(call)
    assert ask(lambda gateway: gateway.health()) == Health()


def test_refused_calls_are_read_by_time_and_workspace(api: Api) -> None:
    """`from` and `to` bound the hours; a workspace's key sees its own, and another workspace is as good as none."""
    scenes.record(api.ledger, scenes.workspace_commands("zeta"))
    hours_of = [(name, HOUR + number * HOUR_MICROSECONDS) for number in range(3) for name in (ACME, "zeta")]
    rows = [counted(hour=hour, workspace_id=name) for name, hour in hours_of]
    assert api.post("/gateway/refused-calls", msgspec.to_builtins(rows)).status_code == 204

    def hours(query: str, token: str | None = None) -> list[tuple[str, int]]:
        data = api.get(f"/refused-calls?{query}", token).json()["data"]
        return [(row["workspace_id"], (row["hour"] - HOUR) // HOUR_MICROSECONDS) for row in data]

    assert hours("from=2090-01-01T00:00:00Z") == []
    assert len(hours("")) == 6
    start = instant(HOUR + HOUR_MICROSECONDS)
    assert hours(f"workspace_id=acme&from={start}") == [(ACME, 2), (ACME, 1)]
    assert hours(f"workspace_id=acme&to={start}") == [(ACME, 0)]
    own = api.key("reader", ("read",), ACME)
    assert hours("", own) == hours("workspace_id=acme", own) == [(ACME, 2), (ACME, 1), (ACME, 0)]
    assert refusal(api.get("/refused-calls?workspace_id=zeta", own)) == (404, "workspace_unknown", "workspace_id")
    assert refusal(api.get("/refused-calls?workspace_id=nobody", own)) == (404, "workspace_unknown", "workspace_id")
    for query, field in (("from=yesterday", "from"), ("to=2026-01-01T00:00:00", "to"), ("page=1", "page"),
                         ("workspace_id=A+b", "workspace_id"), ("to=1&to=2", "to")):  # fmt: skip
        assert refusal(api.get(f"/refused-calls?{query}")) == (400, "field_invalid", field)
    for cursor in ("", "x", "W10", "é", "WzEsImFjbWUiLCJrMSIsIlx1MDAwMCIsIm92ZXJsb2FkZWQiXQ", "WzFlOTksMiwzLDQsNV0"):
        assert refusal(api.get(f"/refused-calls?cursor={cursor}")) == (400, "text_invalid", "cursor")


def test_a_long_answer_says_that_there_is_more(api: Api) -> None:
    """A thousand rows are given, and that they are not all."""
    rows = [counted(hour=HOUR + number * HOUR_MICROSECONDS) for number in range(1000)]
    assert api.post("/gateway/refused-calls", msgspec.to_builtins(rows)).status_code == 204
    assert api.get("/refused-calls").json()["has_more"] is False
    assert api.post("/gateway/refused-calls", msgspec.to_builtins([counted(reason="overloaded")])).status_code == 204
    page = api.get("/refused-calls").json()
    assert (len(page["data"]), page["has_more"], page["data"][0]["hour"]) == (1000, True, rows[-1].hour)
    too_many = msgspec.to_builtins([counted()] * 1001)
    assert refusal(api.post("/gateway/refused-calls", too_many)) == (400, "number_out_of_range", "refused_calls")


@pytest.mark.parametrize("workspace_id", [None, ACME])
def test_pages_of_refused_calls_are_the_whole(
    ask: Ask, api: Api, monkeypatch: pytest.MonkeyPatch, workspace_id: str | None
) -> None:
    """Page by page every row comes once and in order, however the pages divide an hour."""
    scenes.record(api.ledger, scenes.workspace_commands("zeta"))
    hours = [HOUR + number * HOUR_MICROSECONDS for number in range(3)]
    rows = [
        counted(model, hour=hour, workspace_id=name, api_key_id=key, reason=reason)
        for hour in hours for name in (ACME, "zeta") for key in ("k1", "k2") for model in ("", "gpt-5")
        for reason in ("overloaded", "wallet_frozen")
    ]  # fmt: skip
    ask(lambda gateway: gateway.count_refused_calls(rows))
    monkeypatch.setattr(service, "REFUSED_CALLS_MAX", 7)

    def asking(cursor: str | None) -> Call:
        return lambda gateway: gateway.refused_calls(workspace_id, HOUR, MOMENT_MAX, cursor)

    found, cursor = [], None
    while True:
        page = ask(asking(cursor))
        found += page.data
        cursor = page.next_cursor
        assert page.has_more == (cursor is not None)
        if cursor is None:
            break
    expected = [row for row in rows if workspace_id in (None, row.workspace_id)]
    assert found == sorted(
        expected, key=lambda row: (-row.hour, row.workspace_id, row.api_key_id, row.model, row.reason)
    )


def test_what_gateways_ask_is_read_strictly(api: Api) -> None:
    """Unknown fields, repeated keys and other shapes are refused, and the answer never repeats a token."""
    for path in ("callers", "end-users", "refused-calls", "health", "responses"):
        assert api.post_bytes(f"/gateway/{path}", b'"x"').status_code == 400
        assert api.post_bytes(f"/gateway/{path}", b"[{}]", "text/plain").status_code == 415
    twice = api.post_bytes("/gateway/callers", b'{"token": "rl_live_secret", "token": "rl_live_secret"}')
    assert refusal(twice) == (400, "key_repeated", "token")
    unknown = api.post("/gateway/callers", {"token": "rl_live_secret"})
    assert refusal(unknown) == (404, "api_key_unknown", "token")
    assert "secret" not in twice.text + unknown.text
    assert refusal(api.post("/gateway/end-users", {"workspace_id": ACME, "end_user": "a\nb"})) == (
        400, "text_invalid", "end_user",
    )  # fmt: skip


def test_an_end_users_hash_is_the_one_in_the_book(api: Api) -> None:
    """What a gateway is told is what a routing with that end user records."""
    told = api.post("/gateway/end-users", {"workspace_id": ACME, "end_user": "客户 7"}).json()["hash"]
    assert told == api.ledger.hash_end_user(ACME, "客户 7")
    routed = api.command(scenes.hold("r1", end_user="客户 7")).json()
    assert routed["event"]["end_user"] == told


def test_only_the_platform_asks_as_a_gateway(api: Api) -> None:
    """A workspace's key has no scope for it, whatever it is."""
    token = api.key("customer", ("call", "read", "audit"), ACME)
    for path in ("callers", "end-users", "refused-calls", "health", "responses"):
        assert refusal(api.post(f"/gateway/{path}", {}, token)) == (403, "not_allowed", None)
    assert refusal(api.get("/gateway/health", token)) == (403, "not_allowed", None)


def test_old_kept_responses_are_swept(ledger: Ledger) -> None:
    """The sweeper deletes what is older than thirty days, and nothing younger."""
    scenes.set_up(ledger)

    async def pin() -> None:
        for name in ("old", "young"):
            await ledger.pin_response(PinnedResponse(ACME, name, "direct", name))
        await ledger.close_reads()

    asyncio.run(pin())
    with psycopg.connect(ledger.url, autocommit=True) as connection:
        connection.execute(
            "update ledger.pinned_response set pinned_at = pinned_at - interval '31 days' where response_id = 'old'"
        )
        ledger._sweeper._forget_at = 0.0
        ledger._sweeper.sweep()
        assert connection.execute("select response_id from ledger.pinned_response").fetchall() == [("young",)]
