"""The reads of the journal over HTTP: what each answers, to whom, page by page, and at which position."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from ledger.api.app import create_app
from ledger.api.context import ApiContext
from ledger.service import Ledger
from ledger.wallet.commands import PostAdjustment
from projections import reading
from projections.api.app import create_read_router
from projections.api.operations import journal_operations, journal_schemas
from projections.reading import JournalReader
from tests.integration import scenes
from tests.integration.api_scene import Api, refusal
from tests.integration.read_side import ask, follow, tell
from tests.integration.scenes import ACME, do, hold, record, release, set_up, settle, workspace_commands

ALL = ("accounts", "trial-balance", "entries", "events")
STATEMENT = f"/wallets/{ACME}/credit/statement"


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The journal's API over a workspace that has seen everything, followed to its end."""
    set_up(ledger)
    tell(ledger)
    follow(ledger.url)
    context, reader = ApiContext(ledger), JournalReader(ledger.url)

    @asynccontextmanager
    async def reads(app: Litestar) -> AsyncIterator[None]:
        yield
        await reader.close()
        await ledger.close_reads()

    app = create_app(ledger, context=context, parts=[create_read_router(context, reader)], lifespan=[reads])
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Api(ledger, client, context)


def pages(api: Api, path: str, limit: int) -> list[dict[str, Any]]:
    """Return the rows of a listing, read page by page."""
    rows: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = api.get(f"{path}?limit={limit}{cursor}").json()
        assert len(page["data"]) <= limit
        assert page["has_more"] == (page["next_cursor"] is not None)
        rows += page["data"]
        if not page["has_more"]:
            return rows
        assert len(page["data"]) == limit
        cursor = f"&cursor={page['next_cursor']}"


def test_accounts_state_both_sides_and_the_balance_on_the_normal_one(api: Api) -> None:
    """Each account has its type, its turnovers at full scale, and a balance that is positive on its normal side."""
    answer = api.get(f"/workspaces/{ACME}/accounts").json()
    accounts = {(row["bucket"], row["account"]): row for row in answer["accounts"]}
    assert accounts["rmb", "funding.alipay"] == {
        "bucket": "rmb", "account": "funding.alipay", "type": "asset", "normal_side": "debit",
        "debit": {"value": "1000.000000", "unit": "CNY"}, "credit": {"value": "13.000000", "unit": "CNY"},
        "balance": {"value": "987.000000", "unit": "CNY"},
    }  # fmt: skip
    live = {wallet["bucket"]: wallet for wallet in api.get(f"/wallets/{ACME}").json()["wallets"]}
    for bucket, wallet in live.items():
        assert accounts[bucket, "wallet.held"]["balance"] == wallet["held"]
    assert (
        answer["position"] == ask(api.ledger.url, "select position from ledger.book where workspace_id = 'acme'")[0][0]
    )


@pytest.mark.parametrize("path", [f"/workspaces/{ACME}/trial-balance", "/trial-balance"])
def test_a_trial_balance_is_zero_in_each_bucket(api: Api, path: str) -> None:
    """Per bucket, in its own unit, both columns add up to the same; no figure is of two buckets."""
    buckets = api.get(path).json()["buckets"]
    assert [bucket["bucket"] for bucket in buckets] == ["credit", "rmb"]
    for bucket, unit in zip(buckets, ("CREDIT", "CNY"), strict=True):
        assert bucket["difference"] == {"value": "0.000000", "unit": unit}
        assert bucket["in_balance"] is True
        assert bucket["debit"] == bucket["credit"] != bucket["difference"]
        for side in ("debit", "credit"):
            assert sum(millionths(line[side]) for line in bucket["lines"]) == millionths(bucket[side])
            assert {line[side]["unit"] for line in bucket["lines"]} == {unit}


def millionths(amount: dict[str, str]) -> int:
    """Return an amount in smallest parts."""
    return int(amount["value"].replace(".", ""))


def test_a_wrong_trial_balance_says_so(api: Api) -> None:
    """When an account is changed by one unit, the difference is not zero any more."""
    ask(api.ledger.url, "update projections.account set debit_minor = debit_minor + 1 where account = 'promotion'")
    credit, rmb = api.get("/trial-balance").json()["buckets"]
    assert (credit["in_balance"], credit["difference"]["value"], rmb["in_balance"]) == (False, "0.000001", True)


def test_entries_come_in_order_with_their_legs(api: Api) -> None:
    """Page by page or all at once, entries of both buckets come by position, each leg with its accounts."""
    whole = pages(api, f"/workspaces/{ACME}/entries", 200)
    assert pages(api, f"/workspaces/{ACME}/entries", 1) == whole
    assert pages(api, f"/workspaces/{ACME}/entries", 7) == whole
    places = [(entry["position"], entry["bucket"]) for entry in whole]
    assert places == sorted(places)
    assert len(set(places)) == len(places) == 26
    settled = next(entry for entry in whole if entry["tag"] == "tokens_settled.v1")
    assert (settled["request_id"], settled["bucket"]) == ("r-settled", "credit")
    assert settled["legs"] == [
        {"debit_account": "wallet.held", "credit_account": "revenue.direct", "amount": credit("0.012000")},
        {"debit_account": "wallet.held", "credit_account": "wallet.available", "amount": credit("0.988000")},
    ]


def credit(value: str) -> dict[str, str]:
    """Return an amount of the bucket credit as it is answered."""
    return {"value": value, "unit": "CREDIT"}


def test_events_are_the_stored_bytes(api: Api) -> None:
    """Every event is answered with its envelope, its digest and the very text that was hashed."""
    rows = pages(api, f"/workspaces/{ACME}/events", 5)
    stored = ask(
        api.ledger.url,
        "select position, convert_from(state, 'UTF8')::json, encode(digest, 'hex') from ledger.event"
        " where workspace_id = 'acme' order by position",
    )
    assert [(row["position"], row["fact"], row["digest"]) for row in rows] == stored
    text = ask(
        api.ledger.url,
        "select convert_from(state, 'UTF8') from ledger.event where workspace_id = 'acme' and position = 1",
    )
    assert text[0][0] in api.get(f"/workspaces/{ACME}/events?limit=1").text


def test_a_statement_shows_the_wallet_and_nothing_else(api: Api) -> None:
    """Each line adds its changes to the balances before it, up to the live wallet; no counter-account is named."""
    lines = pages(api, STATEMENT, 3)
    posted = held = 0
    for line in lines:
        posted += millionths(line["posted_change"])
        held += millionths(line["held_change"])
        assert (millionths(line["posted"]), millionths(line["held"])) == (posted, held)
    live = api.get(f"/wallets/{ACME}/credit").json()
    assert {name: lines[-1][name] for name in ("posted", "held", "available")} == {
        name: live[name] for name in ("posted", "held", "available")
    }
    text = api.get(STATEMENT).text
    assert "overrun" not in text
    assert "revenue" not in text


def test_an_entry_that_leaves_the_wallet_alone_is_not_in_its_statement(api: Api) -> None:
    """A charge that was all overrun is the platform's own: the customer's statement has no line of it."""
    record(api.ledger, workspace_commands("poor", funds="1"))
    at: dict[str, Any] = {"workspace_id": "poor"}
    empty = PostAdjustment(**at, bucket="credit", adjustment_id="1", amount=scenes.credit("-1"), reason="taken back")
    do(api.ledger, hold("r", **at), release("r", **at), empty, settle("r", **at))
    follow(api.ledger.url)
    entries = pages(api, "/workspaces/poor/entries", 200)
    assert [leg["debit_account"] for leg in entries[-1]["legs"]] == ["overrun.direct"]
    shown = pages(api, "/wallets/poor/credit/statement", 200)
    assert [line["position"] for line in shown] == [
        entry["position"] for entry in entries[:-1] if entry["bucket"] == "credit"
    ]
    assert pages(api, "/wallets/poor/credit/statement", 1) == shown


def test_who_may_read_what(api: Api) -> None:
    """A workspace's key sees its statements, a key of the platform the general ledger too, and a stranger nothing."""
    own = api.key("own", ("read",), ACME)
    auditor = api.key("auditor", ("audit",))
    poster = api.key("poster", ("post",))
    assert api.get(STATEMENT, own).status_code == 200
    for path in (*(f"/workspaces/{ACME}/{name}" for name in ALL), "/trial-balance", "/projections"):
        assert refusal(api.get(path, own))[:2] == (403, "not_allowed"), path
        assert api.get(path, auditor).status_code == 200, path
        assert refusal(api.get(path, poster))[:2] == (403, "not_allowed"), path
    record(api.ledger, workspace_commands("other"))
    stranger = api.key("stranger", ("read",), "other")
    for path in (*(f"/workspaces/{ACME}/{name}" for name in ALL), STATEMENT):
        assert refusal(api.get(path, stranger))[:2] == (404, "workspace_unknown"), path
    lab = api.key("lab", ("read",), ACME, project_id="main")
    assert refusal(api.get(STATEMENT, lab))[:2] == (403, "not_allowed")


def test_unknown_things_are_not_found(api: Api) -> None:
    """A workspace or a wallet that does not exist is 404 in words, whatever its name looks like."""
    for name in ("nobody", "NOBODY", "%00", "a%2Fb"):
        for read in ALL:
            assert refusal(api.get(f"/workspaces/{name}/{read}"))[0] == 404, (name, read)
    for bucket in ("euro", "%00", "Ü"):
        assert refusal(api.get(f"/wallets/{ACME}/{bucket}/statement"))[:2] == (404, "wallet_unknown"), bucket


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"), ("limit=201", "limit"), ("limit=x", "limit"), ("limit=", "limit"), ("limit=٣", "limit"),
        ("limit=1e1", "limit"), ("limit=1&limit=2", "limit"), ("offset=3", "offset"), ("cursor=zzz", "cursor"),
        ("cursor=WyJldmVudHMvYWNtZSIsMSwiIl0", "cursor"), ("cursor=", "cursor"), ("cursor=%C3%BC", "cursor"),
        ("at_least_position=-1", "at_least_position"), ("at_least_position=9223372036854775808", "at_least_position"),
        ("at_least_position=99999999999999999999", "at_least_position"), ("%FF=1", None), ("limit", None),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(api: Api, query: str, field: str | None) -> None:
    """Unknown, repeated and malformed parameters, and cursors of another listing, are refused and named."""
    assert refusal(api.get(f"/workspaces/{ACME}/entries?{query}")) == (400, "field_invalid", field)


def test_a_reader_waits_for_what_it_has_written(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """With at_least_position a read answers from that position on, or says 503 and when to come back."""
    (event,) = do(api.ledger, release("r-open"))
    paths = [f"/workspaces/{ACME}/{name}" for name in ALL[:3]] + [STATEMENT]
    monkeypatch.setattr(reading, "WAIT_SECONDS_MAX", 0.1)
    for path in paths:
        response = api.get(f"{path}?at_least_position={event.position}")
        assert refusal(response)[:2] == (503, "unavailable"), path
        assert int(response.headers["retry-after"]) >= 1
        assert response.json()["position"] == event.position - 1
    assert api.get(f"/workspaces/{ACME}/events?at_least_position={event.position}").status_code == 200
    assert refusal(api.get(f"/workspaces/{ACME}/events?at_least_position={event.position + 1}"))[0] == 503
    follow(api.ledger.url)
    for path in paths:
        assert api.get(f"{path}?at_least_position={event.position}").status_code == 200


def test_lag_and_failures_are_shown(api: Api) -> None:
    """Of each projection: how many events and books it is behind, and the book that stands still with its reason."""
    do(api.ledger, release("r-open"))
    ask(
        api.ledger.url,
        "update projections.progress set failed_position = position + 1, failure = 'why'"
        " where workspace_id = 'acme' and projection = 'journal'",
    )
    shown = api.get("/projections").json()
    journal, routes = shown["projections"]
    assert (journal["projection"], journal["books_behind"], journal["books_failed"]) == ("journal", 2, 1)
    assert (routes["projection"], routes["books_behind"], routes["books_failed"]) == ("route_ledger", 2, 0)
    assert routes["events_behind"] > journal["events_behind"] >= 2
    (failure,) = shown["failures"]
    assert (failure["projection"], failure["workspace_id"], failure["failure"]) == ("journal", ACME, "why")


def test_every_read_is_described(api: Api) -> None:
    """The description has an operation for each route of the journal, and a schema for every answer it refers to."""
    router: Any = create_read_router(api.context, JournalReader(api.ledger.url))
    names = {handler.name for route in router.routes for handler in route.route_handlers}
    assert set(journal_operations()) == names - {None}
    assert {"StatementPage", "JournalEntry", "TrialBalance"} <= journal_schemas().keys()
