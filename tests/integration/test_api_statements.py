"""Statements over HTTP: months of the workspace's own clocks, tied out, exact at one position, for whom they are."""

import csv
import io
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from ledger.core.commands import to_microseconds
from ledger.service import Ledger
from ledger.workspace.commands import ClosePeriod, ReopenPeriod
from projections import journal, reading
from tests.integration.api_scene import Api, refusal
from tests.integration.finance_scene import (
    BUCKETS,
    EDGES,
    FORMULA,
    INSTANT,
    JOURNAL,
    MONTHS,
    NEW_YORK,
    ROUTE_LEDGER,
    SCRIPT,
    ZONES,
    balance_of,
    facts_of,
    follow_both,
    follow_page,
    tell_finance,
)
from tests.integration.read_side import ask
from tests.integration.requests_scene import open_reads, own_key
from tests.integration.scenes import ACME, do, hold, pay, record, settle, workspace_commands

Told = dict[str, Any]


@pytest.fixture(params=[14, 3])
def api(ledger: Ledger, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The reads of a ledger with money at every edge of a month, with blocks of the usual size and with tiny ones."""
    monkeypatch.setattr(journal, "BLOCK_BITS", request.param)
    tell_finance(ledger)
    follow_both(ledger)
    with open_reads(ledger) as opened:
        yield opened


def statement(api: Api, workspace_id: str, bucket: str, month: str, token: str | None = None) -> Told:
    """Return a statement."""
    answer = api.get(f"/wallets/{workspace_id}/{bucket}/statements/{month}", token)
    assert answer.status_code == 200, answer.text
    told: Told = answer.json()
    return told


def minor(amount: Told) -> int:
    """Return the smallest parts of an amount at full scale."""
    return int(amount["value"].replace(".", ""))


def test_every_month_ties_out_by_its_own_clocks(api: Api) -> None:
    """Opening and closing are what the book's facts post before the edges; the changes lead from one to the other."""
    for workspace_id, edges in EDGES.items():
        facts = facts_of(api.ledger.url, workspace_id)
        for bucket in BUCKETS:
            for month, following in zip(MONTHS, [*MONTHS[1:], "2026-01"], strict=True):
                told = statement(api, workspace_id, bucket, month)
                assert (told["complete"], told["problems"], minor(told["difference"])) == (True, [], 0)
                assert (told["position"], told["zone"]) == (len(facts), ZONES[workspace_id])
                for name, edge in (("opening", edges[month]), ("closing", edges[following])):
                    balance = minor(told[name]["balance"]), minor(told[name]["reserved"])
                    assert balance == balance_of(facts, bucket, edge), (workspace_id, bucket, month, name)
                changes = [minor(amount) for amount in told["changes"].values()]
                assert minor(told["opening"]["balance"]) + sum(changes) == minor(told["closing"]["balance"])
                assert {amount["unit"] for amount in told["changes"].values()} == {told["unit"]}
                assert told["period"]["begins_at"][:19] == f"{month}-01T00:00:00"


def test_edges_of_months_are_those_of_the_zone(api: Api) -> None:
    """What happens a microsecond before the first instant of a month is in the one before, in Shanghai and New York."""
    for workspace_id in EDGES:
        for month, before in (("2025-12", "2025-11"), ("2025-11", "2025-10")):
            now, earlier = (statement(api, workspace_id, "credit", name) for name in (month, before))
            assert [line["reference"] for line in earlier["funds"]][-1] in {f"{month}-1", f"{month}-x"}
            assert f"{month}-2" in [line["reference"] for line in now["funds"]]
            assert f"{month}-2" not in [line["reference"] for line in earlier["funds"]]
    november = statement(api, NEW_YORK, "credit", "2025-11")["period"]
    assert november == {"begins_at": "2025-11-01T00:00:00-04:00", "ends_at": "2025-12-01T00:00:00-05:00"}


def test_charges_are_what_was_paid(api: Api) -> None:
    """By project and model, with requests and tokens; what no balance could pay was never taken, nor given back."""
    told = statement(api, ACME, "credit", "2025-11")
    by_project = {line["project"]: line for line in told["charges"]}
    assert set(by_project) == {"main", "lab"}
    lab = by_project["lab"]
    assert (lab["model"], lab["requests"], lab["input_tokens"], lab["output_tokens"]) == ("gpt-5", 1, 500, 500)
    assert (lab["charged"]["value"], lab["net"]["value"]) == ("0.006000", "0.006000")
    main = by_project["main"]
    # Two of 0.012 at the edges of the month, one on the spare route, and all that was left for the overdrawn one.
    assert main["requests"] == 4
    assert minor(main["charged"]) < 2_400_000_000
    assert main["corrected"]["value"] == "0.000000"
    assert main["refunded"]["value"] == "0.002000"
    rmb = statement(api, ACME, "rmb", "2025-11")
    assert rmb["changes"]["corrections"]["value"] == "-0.003000"


def test_memos_are_shown_and_added_to_nothing(api: Api) -> None:
    """What was paid stands in the currency of the payment, an exchange shows its other side, in one direction each."""
    funds = {line["reference"]: line for line in statement(api, ACME, "credit", "2025-10")["funds"]}
    paid = funds["2025-11-1"]
    assert (paid["kind"], paid["source"], paid["amount"]) == (
        "payment",
        "alipay",
        {"value": "30.000000", "unit": "CREDIT"},
    )
    assert paid["paid"] == {"amount": "200.00", "currency": "CNY", "fee": "1.20", "external_id": "trade-2025-11"}
    assert funds["2025-11-x"]["other_side"] == {
        "bucket": "rmb", "amount": {"value": "-14.000000", "unit": "CNY"}, "rate": "0.142857142857",
    }  # fmt: skip
    other = {line["reference"]: line for line in statement(api, ACME, "rmb", "2025-10")["funds"]}
    assert other["2025-11-x"]["amount"] == {"value": "-14.000000", "unit": "CNY"}
    assert other["2025-11-x"]["other_side"]["amount"] == {"value": "2.000000", "unit": "CREDIT"}
    assert [other[name]["kind"] for name in ("2025-11-g", "2025-11-w")] == ["grant", "withdrawal"]


def test_late_postings_are_listed_in_the_open_month(api: Api) -> None:
    """A closed month says so and never changes; what comes late is in the next one and says when it was served."""
    for name in ("2025-08", "2025-09", "2025-10"):
        do(api.ledger, ClosePeriod(workspace_id=ACME, period=name))
    follow_both(api.ledger)
    kept = {bucket: statement(api, ACME, bucket, "2025-10") for bucket in BUCKETS}
    assert {(told["status"], told["complete"]) for told in kept.values()} == {("closed", True)}
    assert kept["credit"]["closed"]["position"] == len(facts_of(api.ledger.url, ACME))
    served = EDGES[ACME]["2025-11"] - timedelta(days=9)
    do(
        api.ledger,
        pay(ACME, "credit", "2", "late", effective_at=served),
        hold("r-late", "0.5", effective_at=served),
        settle("r-late", effective_at=served),
        # This one is not late: it really happened at the first instant of the open month.
        pay(ACME, "credit", "1", "punctual", effective_at=EDGES[ACME]["2025-11"]),
    )
    follow_both(api.ledger)
    for bucket in BUCKETS:
        assert without_position(statement(api, ACME, bucket, "2025-10")) == without_position(kept[bucket])
    told = statement(api, ACME, "credit", "2025-11")
    assert (told["status"], told["closed"], told["complete"]) == ("open", None, True)
    assert [(each["what"], each["request_id"], each["amount"]["value"]) for each in told["moved"]] == [
        ("payment", None, "2.000000"), ("charge", "r-late", "-0.012000"),
    ]  # fmt: skip
    assert {each["served_at"][:10] for each in told["moved"]} == {"2025-10-23"}
    (late,) = [line for line in told["funds"] if line["reference"] == "late"]
    assert (late["happened_at"][:19], late["served_at"][:10]) == ("2025-11-01T00:00:00", "2025-10-23")
    do(api.ledger, ReopenPeriod(workspace_id=ACME, period="2025-10", reason="an invoice came late"))
    follow_both(api.ledger)
    assert statement(api, ACME, "credit", "2025-10")["status"] == "open"


def test_months_before_the_book_are_closed_with_the_platforms(api: Api) -> None:
    """A book that is younger than the month that the platform has closed has no event of its own that says so."""
    for name in (ACME, NEW_YORK, "platform"):
        for month in ("2025-08", "2025-09"):
            do(api.ledger, ClosePeriod(workspace_id=name, period=month))
    record(api.ledger, workspace_commands("young"))
    follow_both(api.ledger)
    told = statement(api, "young", "credit", "2025-09")
    assert (told["status"], told["closed"], told["complete"]) == ("closed", None, True)
    assert statement(api, "young", "credit", "2025-10")["status"] == "open"


def without_position(told: Told) -> Told:
    """Return a statement but for the position that it holds for."""
    return {name: value for name, value in told.items() if name != "position"}


def test_it_is_exact_while_followers_move(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever page either follower is at, the statement ties out at the position that the route ledger has."""
    monkeypatch.setattr(reading, "WAIT_SECONDS_MAX", 0.05)
    monkeypatch.setattr(journal, "BLOCK_BITS", 4)
    tell_finance(ledger)
    follow_page(ledger, JOURNAL, 40)
    positions = set()
    with open_reads(ledger) as api:
        while follow_page(ledger, ROUTE_LEDGER, 11):
            facts = facts_of(ledger.url, ACME)
            answer = api.get(f"/wallets/{ACME}/credit/statements/2025-11")
            if answer.status_code == 503:
                follow_page(ledger, JOURNAL, 23)
                continue
            if answer.status_code == 404:
                continue
            told = answer.json()
            assert told["problems"] == []
            assert told["events_behind"] == len(facts) - told["position"]
            assert told["complete"] == (told["events_behind"] == 0)
            balance = balance_of(facts, "credit", EDGES[ACME]["2025-12"], told["position"])
            assert (minor(told["closing"]["balance"]), minor(told["closing"]["reserved"])) == balance
            positions.add(told["position"])
    assert len(positions) > 4


def test_what_does_not_tie_out_is_said(api: Api) -> None:
    """A row of spend that is off by the smallest part shows as a difference, and the statement is not complete."""
    month = EDGES[ACME]["2025-11"]
    ask(
        api.ledger.url,
        "update projections.spend set charge_minor = charge_minor + 1 where (workspace_id, quarter, cell) in (select"
        " workspace_id, quarter, cell from projections.spend join projections.spend_cell using (workspace_id, cell)"
        " where workspace_id = %s and quarter = %s and bucket = 'credit' limit 1)",
        ACME,
        to_microseconds(month),
    )
    told = statement(api, ACME, "credit", "2025-11")
    assert (told["complete"], told["difference"]["value"]) == (False, "-0.000001")
    assert told["problems"] == ["opening and changes are not the closing balance: the difference is -0.000001 CREDIT"]
    assert "Not right: opening" in api.get(f"/wallets/{ACME}/credit/statements/2025-11?format=html").text


def test_as_csv_it_adds_up(api: Api) -> None:
    """The opening row and all lines come to the closing row; a spreadsheet takes no text for a formula."""
    for bucket in BUCKETS:
        path = f"/wallets/{ACME}/{bucket}/statements/2025-11?format=csv"
        plain, safe = api.get(path), api.get(f"{path}&safe=excel")
        assert plain.headers["content-type"] == "text/csv; charset=utf-8"
        rows = list(csv.DictReader(io.StringIO(plain.text, newline="")))
        parts = [int(row["amount"].replace(".", "")) for row in rows[:-1] if row["amount"]]
        assert sum(parts) == int(rows[-1]["amount"].replace(".", ""))
        assert (rows[0]["line"], rows[-1]["line"]) == ("opening", "closing")
        if bucket == "credit":
            assert FORMULA in [row["external_id"] for row in rows]
            guarded = [row for row in csv.DictReader(io.StringIO(safe.text, newline="")) if row["external_id"]]
            assert f"'{FORMULA}" in [row["external_id"] for row in guarded]
            assert not [row for row in guarded if row["external_id"].startswith("=")]


def test_as_a_page_it_stands_alone(api: Api) -> None:
    """The page asks nothing of any other place, escapes every text, says that it is no invoice, and prints."""
    path = f"/wallets/{ACME}/credit/statements/2025-11"
    page = api.get(path, Accept="text/html,application/xhtml+xml,*/*;q=0.8")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert SCRIPT not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert "It is not a tax invoice." in page.text
    assert "@media print" in page.text
    assert not re.search(r"(?:src|href)=|url\(|@import", page.text)
    closing = statement(api, ACME, "credit", "2025-11")["closing"]["balance"]["value"]
    assert f"{closing} CREDIT" in page.text
    assert api.get(path, Accept="text/csv").text == api.get(f"{path}?format=csv").text
    assert api.get(path, Accept="*/*").json() == api.get(f"{path}?format=json").json()


def test_who_may_see_a_statement(api: Api) -> None:
    """A workspace's key that reads sees its own; a project's key, one that only calls, and another's do not."""
    path = f"/wallets/{ACME}/credit/statements/2025-11"
    own = own_key(api, "read")
    assert statement(api, ACME, "credit", "2025-11", own) == statement(api, ACME, "credit", "2025-11")
    lab = api.key("lab-reader", ("read",), ACME, project_id="lab")
    assert refusal(api.get(path, lab))[0] == 403
    assert refusal(api.get(path, own_key(api, "call")))[0] == 403
    assert refusal(api.get(path.replace(ACME, NEW_YORK), own))[:2] == (404, "workspace_unknown")


def test_what_means_nothing_is_refused(api: Api) -> None:
    """Months that are none, unknown wallets, workspaces, formats and parameters are refused and named."""
    for path, expected in (
        (f"{ACME}/credit/statements/2025-13", (400, "field_invalid", "month")),
        (f"{ACME}/credit/statements/2025-1", (400, "field_invalid", "month")),
        (f"{ACME}/credit/statements/1969-12", (400, "field_invalid", "month")),
        (f"{ACME}/credit/statements/9999-01", (400, "field_invalid", "month")),
        (f"{ACME}/gold/statements/2025-11", (404, "wallet_unknown", "bucket")),
        ("nobody/credit/statements/2025-11", (404, "workspace_unknown", "workspace_id")),
        (f"{ACME}/credit/statements/2025-11?format=pdf", (400, "field_invalid", "format")),
        (f"{ACME}/credit/statements/2025-11?safe=excel", (400, "field_invalid", "safe")),
        (f"{ACME}/credit/statements/2025-11?zone=UTC", (400, "field_invalid", "zone")),
    ):
        assert refusal(api.get(f"/wallets/{path}")) == expected, path
    quiet = statement(api, ACME, "credit", "2031-02")
    assert quiet["opening"] == quiet["closing"]
    assert (quiet["funds"], quiet["charges"], quiet["complete"]) == ([], [], True)


def test_it_waits_for_a_position(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader who has just written names the position, and gets the statement once it is there."""
    monkeypatch.setattr(reading, "WAIT_SECONDS_MAX", 0.05)
    reached = len(facts_of(api.ledger.url, ACME))
    path = f"/wallets/{ACME}/credit/statements/2025-11?at_least_position="
    assert api.get(f"{path}{reached}").status_code == 200
    assert refusal(api.get(f"{path}{reached + 1}"))[0] == 503
    (event,) = do(api.ledger, pay(ACME, "credit", "5", "more", effective_at=EDGES[ACME]["2025-12"] - INSTANT))
    behind = statement(api, ACME, "credit", "2025-11")
    assert (behind["complete"], behind["events_behind"], behind["problems"]) == (False, 1, [])
    follow_both(api.ledger)
    assert api.get(f"{path}{event.position}").json()["complete"]
