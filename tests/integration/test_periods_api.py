"""Periods over HTTP, on receipts and lists of requests, in the client and on the command line."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.database import URL_VARIABLE
from gateway.ledger_client import LedgerClient
from ledger.api.answers import instant
from ledger.core.commands import to_microseconds
from ledger.core.identifiers import PLATFORM
from ledger.service import Ledger
from ledger.workspace.commands import Scope
from ledger.workspace.periods import end_of
from tests.integration.api_scene import Api, refusal
from tests.integration.periods_scene import (
    CLOSED,
    LATER,
    close,
    facts_of,
    grant,
    month,
    reopen,
    require_true_closings,
    within,
)
from tests.integration.requests_scene import follow_requests, open_reads
from tests.integration.scenes import ACME, do, fail_attempt, hold, record, refund, set_up, settle, workspace_commands
from tests.integration.test_api_receipts import command
from tests.integration.test_ledger_client import free_port, serving, token

LATE = within(CLOSED)
ZONE = "Asia/Shanghai"
UNTIL = end_of(CLOSED, ZONE)
PERIODS = f"/workspaces/{ACME}/periods"


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """All of the API on a ledger with a funded workspace of Shanghai."""
    set_up(ledger, time_zone=ZONE)
    with open_reads(ledger) as opened:
        yield opened


def test_a_month_is_closed_and_reopened_over_http(api: Api, database_url: str) -> None:
    """201 at first, 200 for a repeat; the body names the month alone, and the event states every balance."""
    do(api.ledger, grant("g", "5", LATE))
    first, again = (api.post(PERIODS, {"period": CLOSED}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 200)
    answer = first.json()
    assert answer["command_id"] == f"@period_closed/{CLOSED}/1"
    assert answer["event"] == {
        "tag": "period_closed.v1",
        "period": CLOSED,
        "until": UNTIL,
        "balances": [
            {"bucket": "credit", "account": "promotion", "balance_minor": 5_000_000},
            {"bucket": "credit", "account": "wallet.available", "balance_minor": -5_000_000},
        ],
    }
    reopened = api.post(f"{PERIODS}/{CLOSED}/reopening", {"reason": "an invoice came late"})
    assert (reopened.status_code, reopened.json()["command_id"]) == (201, f"@period_reopened/{CLOSED}/1")
    assert api.post(PERIODS, {"period": CLOSED, "closing": 1}).status_code == 200
    assert api.post(PERIODS, {"period": CLOSED, "closing": 2}).status_code == 201
    assert require_true_closings(facts_of(database_url)) == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "field"),
    [
        (PERIODS, {}, 400, "field_invalid", "period"),
        (PERIODS, {"period": "2026-13"}, 400, "text_invalid", "period"),
        (PERIODS, {"period": "2026-1"}, 400, "text_invalid", "period"),
        (PERIODS, {"period": CLOSED, "closing": 0}, 400, "field_invalid", "closing"),
        (PERIODS, {"period": CLOSED, "basis": {}}, 400, "field_invalid", "basis"),
        (PERIODS, {"period": CLOSED, "balances": []}, 400, "field_invalid", "balances"),
        (PERIODS, {"period": month(0)}, 422, "period_not_ended", "period"),
        (f"{PERIODS}/{CLOSED}/reopening", {}, 400, "command_incomplete", "reason"),
        (f"{PERIODS}/{CLOSED}/reopening", {"reason": "x"}, 409, "period_not_closed", "period"),
        (f"/workspaces/{PLATFORM}/periods", {"period": CLOSED}, 409, "period_books_open", "period"),
        ("/workspaces/nobody/periods", {"period": CLOSED}, 404, "workspace_unknown", "workspace_id"),
    ],
)
def test_what_cannot_be_closed_is_refused_by_its_field(
    api: Api, path: str, body: dict[str, Any], status: int, code: str, field: str
) -> None:
    """A wrong month, a field that is the ledger's own business, and a month that is not to be closed."""
    assert refusal(api.post(path, body)) == (status, code, field)


def test_only_an_admin_of_the_platform_closes(api: Api) -> None:
    """Funding and posting keys close nothing; a workspace's own key is told no more than that."""
    scopes: tuple[Scope, ...] = ("post", "fund", "read")
    for scope in scopes:
        assert refusal(api.post(PERIODS, {"period": CLOSED}, api.key(scope, (scope,))))[:2] == (403, "not_allowed")
    own = api.key("own", ("read", "call"), ACME)
    assert refusal(api.post(PERIODS, {"period": CLOSED}, own))[:2] == (403, "not_allowed")


def test_a_batch_closes_among_other_commands(api: Api, database_url: str) -> None:
    """In `/commands` a closing stands in its place: what is behind it is moved, and a repeat is one."""
    paid = {"kind": "grant_funds", "workspace_id": ACME, "bucket": "credit", "amount": {"value": "1", "unit": "CREDIT"}}
    closing = {"kind": "close_period", "workspace_id": ACME, "period": CLOSED}
    answers = api.post(
        "/commands",
        [
            paid | {"grant_id": "a", "effective_at": LATE.isoformat()},
            closing,
            closing,
            paid | {"grant_id": "b", "effective_at": LATE.isoformat()},
            closing | {"workspace_id": "nobody"},
        ],
    ).json()
    assert [answer["status"] for answer in answers] == [201, 201, 200, 201, 404]
    *_, before, _, behind = facts_of(database_url)
    assert (before.served_at, behind.served_at) == (None, to_microseconds(LATE))


def test_the_list_tells_the_platform_everything_and_a_customer_its_own(api: Api) -> None:
    """Months, the latest first, each with its closings; a workspace's key sees its wallets, and nobody's name."""
    assert api.get(PERIODS).json() == {"workspace_id": ACME, "time_zone": ZONE, "open_from": None, "periods": []}
    do(api.ledger, grant("g", "5", LATE), close(), reopen(), close(), close(LATER))
    found = api.get(PERIODS).json()
    assert found["open_from"] == instant(end_of(LATER, ZONE))
    assert [(each["period"], each["status"], len(each["closings"])) for each in found["periods"]] == [
        (LATER, "closed", 1), (CLOSED, "closed", 2),
    ]  # fmt: skip
    first, second = found["periods"][1]["closings"]
    assert (first["closing"], second["closing"], second["reopened"]) == (1, 2, None)
    assert (first["reopened"]["reason"], first["closed"]["actor"]) == ("an invoice came late", "system")
    assert first["balances"] == [
        {"bucket": "credit", "account": "promotion", "balance": {"value": "5.000000", "unit": "CREDIT"}},
        {"bucket": "credit", "account": "wallet.available", "balance": {"value": "-5.000000", "unit": "CREDIT"}},
    ]
    seen = api.get(PERIODS, api.key("own", ("read",), ACME)).json()["periods"][1]["closings"][0]
    assert [each["account"] for each in seen["balances"]] == ["wallet.available"]
    assert [seen[act][name] for act in ("closed", "reopened") for name in ("actor", "reason")] == [None] * 4
    assert refusal(api.get(PERIODS, api.key("other", ("call",), ACME)))[:2] == (403, "not_allowed")
    assert refusal(api.get("/workspaces/nobody/periods"))[:2] == (404, "workspace_unknown")


def test_a_reopened_month_is_listed_as_such_and_a_young_book_by_the_platform(api: Api) -> None:
    """What the platform has closed is closed in a book that has closed nothing; a reopened month opens again."""
    do(api.ledger, close(), close(CLOSED, PLATFORM))
    record(api.ledger, workspace_commands("young", time_zone="America/New_York"))
    young = api.get("/workspaces/young/periods").json()
    assert (young["open_from"], young["periods"]) == (instant(end_of(CLOSED, "America/New_York")), [])
    api.command(reopen(CLOSED, PLATFORM))
    api.command(reopen())
    found = api.get(PERIODS).json()
    assert (found["open_from"], found["periods"][0]["status"]) == (None, "reopened")


def test_a_receipt_says_when_it_was_served_and_where_it_was_posted(api: Api) -> None:
    """A late settlement stands in the timeline at its own time, and says the period that it was posted in."""
    before = within(CLOSED, seconds_before_end=90_000)
    do(api.ledger, hold("r1", effective_at=before), close())
    do(api.ledger, settle("r1", effective_at=LATE), refund("r1"))
    receipt = api.get(f"/requests/r1?workspace_id={ACME}").json()
    routed, settled, refunded = receipt["timeline"]
    assert (routed["at"], "posted" in routed, "posted" in refunded) == (instant(to_microseconds(before)), False, False)
    assert settled["at"] == instant(to_microseconds(LATE))
    posted_in = month(2)
    assert settled["posted"] == {"at": instant(UNTIL), "period": posted_in}
    assert settled["text"].endswith(f"Served {settled['at']}, posted in the period of {posted_in}.")
    assert receipt["began_at"] == routed["at"]
    page = command("receipt", "r1", **{URL_VARIABLE: api.ledger.url}).stdout
    assert f"posted in the period of {posted_in}" in " ".join(page.split())


def test_lists_of_requests_show_when_it_was_and_spend_counts_where_it_is_posted(api: Api) -> None:
    """A moved request began and ended when it really did; its charge is spent in the open month, as in the journal."""
    do(api.ledger, close())
    do(api.ledger, hold("r1", effective_at=LATE), fail_attempt("r1", effective_at=LATE))
    do(api.ledger, settle("r1", attempt=2, effective_at=LATE))
    follow_requests(api.ledger)
    [row] = api.get(f"/requests?workspace_id={ACME}").json()["data"]
    assert (row["began_at"], row["ended_at"]) == (instant(to_microseconds(LATE)),) * 2
    assert row["failures"][0]["at"] == row["began_at"]
    for begin, end, expected in ((CLOSED, month(2), 0), (month(2), month(1), 1)):
        answer = api.get(f"/spend?workspace_id={ACME}&from={begin}-01&to={end}-01&by=workspace&zone={ZONE}").json()
        assert sum(each["requests"] for each in answer["data"]) == expected


def test_the_client_posts_and_lists_periods(ledger: Ledger) -> None:
    """Closing and reopening are posted like every command; the list is read with the same types."""
    set_up(ledger)
    with serving(ledger, free_port()) as address, LedgerClient(address, token(ledger)) as client:
        closed = client.post(close())
        assert (closed.repeated, client.post(close()).repeated) == (False, True)
        client.post(reopen())
        [period] = client.periods(ACME).periods
        assert (period.period, period.status) == (CLOSED, "reopened")
        assert period.closings[0].closed.position == closed.position


def test_the_command_line_closes_everything_and_lists_it(ledger: Ledger, database_url: str) -> None:
    """`--all` closes every book and the platform last; a month is reopened with a reason, and listed for people."""
    set_up(ledger, ACME, "beta", time_zone=ZONE)
    do(ledger, grant("g", "5", LATE))
    there = {URL_VARIABLE: ledger.url}
    done = command("periods", "close", CLOSED, "--all", **there)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == [
        f"{ACME}: {CLOSED} is closed", f"beta: {CLOSED} is closed", f"{PLATFORM}: {CLOSED} was closed before",
    ]  # fmt: skip
    refused = command("periods", "reopen", CLOSED, "--workspace", ACME, "--reason", "late", **there)
    assert (refused.returncode, "period_closed_by_platform" in refused.stderr) == (1, True)
    for name in (PLATFORM, ACME):
        reopened = command("periods", "reopen", CLOSED, "--workspace", name, "--reason", "late", **there)
        assert (reopened.returncode, reopened.stdout) == (0, f"{name}: {CLOSED} takes postings again\n")
    again = command("periods", "close", CLOSED, "--workspace", ACME, **there)
    assert again.stdout.startswith(f"{ACME}: {CLOSED} is closed, at position ")
    listed = command("periods", "list", "--workspace", ACME, **there).stdout.splitlines()
    assert listed[0] == f"{ACME}: months of {ZONE}, open from {instant(UNTIL)}"
    assert listed[1].startswith(f"{CLOSED}  closed    closing 2    2 accounts  position ")
    told = json.loads(command("periods", "list", "--workspace", ACME, "--json", **there).stdout)
    assert [each["closing"] for each in told["periods"][0]["closings"]] == [1, 2]
    assert require_true_closings(facts_of(database_url)) == 2


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("close", "2026-13", "--all"), 2, "a period is a month such as 2026-10"),
        (("close", CLOSED), 2, "--workspace, or --all"),
        (("close", CLOSED, "--all", "--workspace", ACME), 2, "--workspace, or --all"),
        (("close", month(0), "--workspace", ACME), 1, "period_not_ended"),
        (("close", month(0), "--all"), 1, "period_not_ended"),
        (("reopen", CLOSED, "--workspace", ACME, "--reason", "x"), 1, "period_not_closed"),
        (("list", "--workspace", "nobody"), 1, "there is no workspace nobody"),
        (("list", "--workspace", "A_B"), 2, "is no workspace"),
        (("list", "--workspace", ACME, "--ledger", "http://127.0.0.1:9"), 2, "ROUTE_LEDGER_KEY is not set"),
    ],
)
def test_the_command_line_says_what_is_wrong(ledger: Ledger, words: tuple[str, ...], code: int, said: str) -> None:
    """Wrong words exit with 2, what the ledger refuses with 1, and each says why."""
    set_up(ledger)
    done = command("periods", *words, **{URL_VARIABLE: ledger.url})
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr


def test_the_command_line_works_at_a_ledger_elsewhere(ledger: Ledger) -> None:
    """With an address and an admin's key nothing needs the database."""
    set_up(ledger)
    with serving(ledger, free_port()) as address:
        there = {"ROUTE_LEDGER_KEY": token(ledger)}
        done = command("periods", "close", CLOSED, "--all", "--ledger", address, **there)
        assert (done.returncode, len(done.stdout.splitlines())) == (0, 2), done.stderr
        listed = command("periods", "list", "--workspace", PLATFORM, "--ledger", address, **there)
        assert listed.stdout.splitlines()[1].startswith(f"{CLOSED}  closed ")
