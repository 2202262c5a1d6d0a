"""Accounts, trial balances, balances and statements at earlier moments over HTTP: the same as a replay up to then."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from ledger.api.app import create_app
from ledger.api.context import ApiContext
from ledger.core.amounts import Unit, state_amount
from ledger.core.commands import to_datetime
from ledger.service import Ledger
from ledger.wallet.commands import SetCreditLimit
from projections import reading
from projections.api.app import create_read_router
from projections.reading import JournalReader
from projections.rebuild import rebuild
from projections.replay import replay
from tests.integration.api_scene import Api, refusal
from tests.integration.read_side import ask, follow, tell
from tests.integration.scenes import ACME, credit, do, pay, record, set_up, workspace_commands

UNITS = {"credit": Unit("CREDIT", 6), "rmb": Unit("CNY", 6)}
ZONED = "shanghai"
NOVEMBER_20 = datetime(2025, 11, 20, 15, 59, 59, 999_999, tzinfo=UTC)
"""The last instant of a day in Shanghai."""


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The reads over a workspace that has seen everything, and one in Shanghai that pays around a midnight there."""
    set_up(ledger)
    tell(ledger)
    record(ledger, workspace_commands(ZONED, time_zone="Asia/Shanghai", funds="5"))
    at: dict[str, Any] = {"workspace_id": ZONED, "bucket": "credit"}
    do(
        ledger,
        pay(**at, amount="30", reference="after", effective_at=to_datetime(1 + microseconds(NOVEMBER_20))),
        pay(**at, amount="7", reference="late", effective_at=NOVEMBER_20),
    )
    follow(ledger.url)
    context, reader = ApiContext(ledger), JournalReader(ledger.url)

    @asynccontextmanager
    async def reads(app: Litestar) -> AsyncIterator[None]:
        yield
        await reader.close()
        await ledger.close_reads()

    app = create_app(ledger, context=context, parts=[create_read_router(context, reader)], lifespan=[reads])
    with TestClient(app, raise_server_exceptions=False) as client:
        opened = Api(ledger, client, context)
        follow(ledger.url)
        yield opened


def microseconds(instant: datetime) -> int:
    """Return microseconds since 1970."""
    return round(instant.timestamp() * 1_000_000)


def last_position(api: Api, workspace_id: str = ACME) -> int:
    """Return the position of a book's last event."""
    ((position,),) = ask(api.ledger.url, "select position from ledger.book where workspace_id = %s", workspace_id)
    return int(position)


def test_every_position_is_a_replay(api: Api) -> None:
    """At each position the accounts and wallets are those that a replay of the book finds there."""
    for position in range(last_position(api) + 1):
        replayed = replay(api.ledger.url, ACME, position)
        wanted = {
            (each.bucket, each.account): [
                written(minor, each.bucket) for minor in (each.debit_minor, each.credit_minor)
            ]
            for each in replayed.accounts
        }
        answer = api.get(f"/workspaces/{ACME}/accounts?position={position}").json()
        found = {
            (row["bucket"], row["account"]): [row[side]["value"] for side in ("debit", "credit")]
            for row in answer["accounts"]
        }
        assert (found, answer["position"]) == (wanted, position)
        for each in replayed.wallets:
            wallet = each.wallet
            balance = api.get(f"/wallets/{ACME}/{wallet.bucket}/balance?position={position}").json()
            assert [balance[name]["value"] for name in ("posted", "held", "available", "credit_limit")] == [
                written(minor, wallet.bucket)
                for minor in (
                    wallet.posted_minor, wallet.held_minor, wallet.available_minor, wallet.credit_limit_minor,
                )
            ]  # fmt: skip


def written(minor: int, bucket: str) -> str:
    """Return an amount as it is answered."""
    return state_amount(minor, UNITS[bucket]).value


def test_a_time_of_recording_is_the_position_at_it(api: Api) -> None:
    """What was recorded at an instant or before is what the position then says; the day after tomorrow is now."""
    rows = ask(api.ledger.url, "select position, recorded_at from ledger.event where workspace_id = %s", ACME)
    for position, recorded_at in rows[5::9]:
        at = to_datetime(recorded_at).isoformat().replace("+00:00", "Z")
        by_time = api.get(f"/workspaces/{ACME}/trial-balance?recorded_at={at}").json()
        last = max(each for each, recorded in rows if recorded <= recorded_at)
        assert last >= position
        assert by_time["position"] == last
        assert by_time["as_of"] == {"by": "recorded", "day": None, "zone": None, "through": stated(recorded_at)}
        by_position = api.get(f"/workspaces/{ACME}/trial-balance?position={last}").json()
        assert by_time["buckets"] == by_position["buckets"]
    for path in (f"/workspaces/{ACME}/trial-balance", "/trial-balance"):
        later = api.get(f"{path}?recorded_at=2999-01-01").json()
        assert later["buckets"] == api.get(path).json()["buckets"]


def stated(instant: int) -> str:
    """Return an instant as it is answered."""
    return to_datetime(instant).isoformat(timespec="microseconds").replace("+00:00", "Z")


def test_a_day_ends_in_the_workspaces_own_zone(api: Api) -> None:
    """What happened in the last microsecond of a day there is in it, though it came late; one later is not."""
    own = f"/wallets/{ZONED}/credit/balance"
    day = api.get(f"{own}?effective_at=2025-11-20").json()
    assert day["posted"] == {"value": "7.000000", "unit": "CREDIT"}
    assert day["as_of"] == {
        "by": "effective", "day": "2025-11-20", "zone": "Asia/Shanghai", "through": "2025-11-20T15:59:59.999999Z",
    }  # fmt: skip
    assert day["position"] == last_position(api, ZONED)
    for query, posted in (
        ("effective_at=2025-11-20T15:59:59.999999Z", "7.000000"), ("effective_at=2025-11-20T16:00:00Z", "37.000000"),
        ("effective_at=2025-11-20&zone=UTC", "37.000000"), ("effective_at=2025-11-19", "0.000000"),
        ("recorded_at=2025-11-20", "0.000000"), ("effective_at=2999-12-31", "42.000000"), ("", "42.000000"),
    ):  # fmt: skip
        assert api.get(f"{own}?{query}").json()["posted"]["value"] == posted, query
    accounts = api.get(f"/workspaces/{ZONED}/accounts?effective_at=2025-11-20").json()["accounts"]
    assert {row["account"]: row["balance"]["value"] for row in accounts} == {
        "funding.alipay": "7.000000", "wallet.available": "7.000000",
    }  # fmt: skip


def test_over_all_books_each_day_ends_in_its_own_zone(api: Api) -> None:
    """The trial balance over all says the position of each book; with a zone the day ends there for all."""
    answer = api.get("/trial-balance?effective_at=2025-11-20").json()
    assert answer["positions"] == {name: last_position(api, name) for name in (ACME, "platform", ZONED)}
    assert answer["as_of"] == {"by": "effective", "day": "2025-11-20", "zone": None, "through": None}
    assert [(each["bucket"], each["debit"]["value"]) for each in answer["buckets"]] == [("credit", "7.000000")]
    zoned = api.get("/trial-balance?effective_at=2025-11-20&zone=UTC").json()
    assert [each["debit"]["value"] for each in zoned["buckets"]] == ["37.000000"]
    assert zoned["as_of"]["through"] == "2025-11-20T23:59:59.999999Z"
    assert refusal(api.get("/trial-balance?position=3")) == (400, "field_invalid", "position")


def test_a_statement_up_to_a_moment_has_fewer_lines(api: Api) -> None:
    """Lines are those of the whole statement that had happened by then, page by page, their balances unchanged."""
    path = f"/wallets/{ZONED}/credit/statement"
    whole = api.get(path).json()["data"]
    early = api.get(f"{path}?effective_at=2025-11-20").json()
    assert early["data"] == [line for line in whole if line["effective_at"] <= "2025-11-20T15:59:59.999999Z"]
    assert [line["posted"]["value"] for line in early["data"]] == ["42.000000"]
    assert (early["position"], early["as_of"]["day"]) == (last_position(api, ZONED), "2025-11-20")
    path = f"/wallets/{ACME}/credit/statement"
    lines = api.get(f"{path}?limit=200").json()["data"]
    for position in (0, lines[3]["position"], lines[-1]["position"]):
        wanted = [line for line in lines if line["position"] <= position]
        assert listed(api, f"{path}?position={position}&limit=2") == wanted
    cursor = api.get(f"{path}?position={position}&limit=2").json()["next_cursor"]
    assert refusal(api.get(f"{path}?position={position - 1}&limit=2&cursor={cursor}"))[2] == "cursor"


def listed(api: Api, path: str) -> list[Any]:
    """Return all lines of a listing."""
    page = api.get(path).json()
    lines = list(page["data"])
    while page["has_more"]:
        page = api.get(f"{path}&cursor={page['next_cursor']}").json()
        lines += page["data"]
    return lines


def test_the_credit_limit_is_the_one_of_the_moment(api: Api) -> None:
    """A limit that was changed later does not count earlier; before the wallet was opened there is none."""
    do(
        api.ledger,
        SetCreditLimit(
            workspace_id=ZONED, bucket="credit", change_id="1", credit_limit=credit("9"), reason="trusted",
            effective_at=datetime(2025, 12, 1, tzinfo=UTC),
        ),
    )  # fmt: skip
    position = last_position(api, ZONED)
    follow(api.ledger.url)
    own = f"/wallets/{ZONED}/credit/balance"
    for query, limit, available in (
        ("", "9.000000", "51.000000"), (f"position={position - 1}", "0.000000", "42.000000"),
        ("effective_at=2025-11-30", "0.000000", "37.000000"), ("effective_at=2025-12-01", "9.000000", "46.000000"),
    ):  # fmt: skip
        balance = api.get(f"{own}?{query}").json()
        assert (balance["credit_limit"]["value"], balance["available"]["value"]) == (limit, available), query


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("position=1&effective_at=2025-11-20", "effective_at"), ("recorded_at=2025-11-20&position=1", "recorded_at"),
        ("position=-1", "position"), ("position=x", "position"), ("position=9223372036854775808", "position"),
        ("effective_at=2025-02-30", "effective_at"), ("effective_at=20-11-2025", "effective_at"),
        ("recorded_at=2025-11-20T10:00:00", "recorded_at"), ("recorded_at=", "recorded_at"),
        ("effective_at=9999-12-31", "effective_at"), ("effective_at=0001-01-01", "effective_at"),
        ("zone=UTC", "zone"), ("position=1&zone=UTC", "zone"), ("effective_at=2025-11-20&zone=Moon/Sea", "zone"),
        ("effective_at=9999-12-31T23:59:59Z", "effective_at"), ("effective_at=yesterday", "effective_at"),
    ],
)  # fmt: skip
def test_a_moment_that_is_none_is_named(api: Api, query: str, field: str) -> None:
    """More than one moment, times without a zone, days that never were and zones without a day are refused."""
    for path in (f"/workspaces/{ACME}/trial-balance", f"/wallets/{ACME}/credit/balance"):
        assert refusal(api.get(f"{path}?{query}")) == (400, "field_invalid", field)


def test_who_may_read_a_balance(api: Api) -> None:
    """A workspace's own key reads its own wallets; another's is not there, and a key that only calls may not."""
    own = api.key("own", ("read",), ACME)
    path = f"/wallets/{ACME}/credit/balance?effective_at=2999-01-01"
    assert api.get(path, own).json() == api.get(path).json()
    assert api.get(path, api.key("auditor", ("audit",))).status_code == 200
    assert refusal(api.get(path, api.key("stranger", ("read",), ZONED)))[:2] == (404, "workspace_unknown")
    assert refusal(api.get(path, api.key("caller", ("call",), ACME)))[:2] == (403, "not_allowed")
    assert refusal(api.get("/trial-balance?effective_at=2025-11-20", own))[:2] == (403, "not_allowed")
    for bucket in ("euro", "%00"):
        assert refusal(api.get(f"/wallets/{ACME}/{bucket}/balance", own))[:2] == (404, "wallet_unknown")
    for name in ("nobody", "NOBODY"):
        for each in (f"/wallets/{name}/credit/balance?position=1", f"/workspaces/{name}/accounts?position=0"):
            assert refusal(api.get(each))[:2] == (404, "workspace_unknown")


def test_a_moment_that_is_not_followed_yet_is_waited_for(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was recorded and not followed is 503, never a smaller figure; what had happened says its position."""
    (event,) = do(api.ledger, pay(ACME, "credit", "4", "new"))
    monkeypatch.setattr(reading, "WAIT_SECONDS_MAX", 0.05)
    path = f"/wallets/{ACME}/credit/balance"
    for query in (f"position={event.position}", "recorded_at=2999-01-01"):
        refused = api.get(f"{path}?{query}")
        assert refusal(refused)[:2] == (503, "unavailable")
        assert (refused.json()["position"], refused.json()["at_least_position"]) == (event.position - 1, event.position)
    assert refusal(api.get("/trial-balance?recorded_at=2999-01-01"))[:2] == (503, "unavailable")
    assert api.get(f"{path}?effective_at=2999-01-01").json()["position"] == event.position - 1
    follow(api.ledger.url)
    later, before = (api.get(f"{path}?position={event.position - less}").json()["posted"] for less in (0, 1))
    assert micros(later) - micros(before) == 4_000_000


def test_a_rebuilt_journal_answers_the_same(api: Api) -> None:
    """Movements of a new generation are those that followers had written, at every position and time."""
    paths = [f"/workspaces/{ACME}/trial-balance?position={position}" for position in range(3, last_position(api), 5)]
    paths += ["/trial-balance?effective_at=2025-11-20", f"/wallets/{ZONED}/credit/statement?effective_at=2025-11-20"]
    before = [api.get(path).json() for path in paths]
    rebuild(api.ledger.url, "journal")
    assert [api.get(path).json() for path in paths] == before


def micros(amount: dict[str, str]) -> int:
    """Return an amount in smallest parts."""
    return int(amount["value"].replace(".", ""))
