"""The funding tie-out and margins over HTTP: what the events say, two columns, and the platform's alone."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from ledger.core.commands import to_microseconds
from ledger.events import Fact
from ledger.request import events
from ledger.service import Ledger
from ledger.wallet.events import FundsAdded, FundsReversed, FundsWithdrawn, Paid
from projections import journal
from tests.integration.api_scene import Api, refusal
from tests.integration.finance_scene import EDGES, FORMULA, NEW_YORK, facts_of, follow_both, tell_finance
from tests.integration.read_side import ask
from tests.integration.requests_scene import open_reads, own_key
from tests.integration.scenes import ACME, change, do, pay

Told = dict[str, Any]
NOVEMBER = {"from": "2025-11-01", "to": "2025-12-01"}
OF_ACME = {"workspace_id": ACME}
SIGNS: dict[Any, int] = {FundsAdded: 1, FundsReversed: -1, FundsWithdrawn: -1}


@pytest.fixture(params=[14, 3])
def api(ledger: Ledger, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """The reads of a ledger with money at every edge of a month, with blocks of the usual size and with tiny ones."""
    monkeypatch.setattr(journal, "BLOCK_BITS", request.param)
    tell_finance(ledger)
    with open_reads(ledger) as opened:
        follow_both(ledger)
        yield opened


def read(api: Api, path: str, **asked: str) -> Told:
    """Return what a read answers."""
    answer = api.get(f"{path}?{urlencode(asked)}")
    assert answer.status_code == 200, answer.text
    told: Told = answer.json()
    return told


def minor(amount: Told) -> int:
    """Return the smallest parts of an amount at full scale."""
    return int(amount["value"].replace(".", ""))


def moved(facts: list[Fact], begin: int, end: int) -> Counter[tuple[str, str]]:
    """Return what facts of a period moved by bucket and source."""
    sums: Counter[tuple[str, str]] = Counter()
    for fact in facts:
        event: Any = fact.event
        if type(event) in SIGNS and begin <= fact.effective_at < end:
            sums[event.bucket, event.source] += SIGNS[type(event)] * event.amount_minor
    return sums


def test_funding_ties_out_in_any_period(api: Api) -> None:
    """Each source's account moved by what its payments, reversals and withdrawals say, whatever the period and zone."""
    facts = {name: facts_of(api.ledger.url, name) for name in EDGES}
    for asked, names in ((OF_ACME, [ACME]), ({"workspace_id": NEW_YORK}, [NEW_YORK]), ({}, list(EDGES))):
        for zone, period in (
            ("UTC", NOVEMBER), ("Asia/Shanghai", NOVEMBER), ("America/New_York", NOVEMBER),
            ("Asia/Kolkata", {"from": "2025-10-31", "to": "2025-11-02"}),
            ("UTC", {"from": "2025-10-31T15:45:00Z", "to": "2025-10-31T16:15:00Z"}),
            ("UTC", {"from": "2023-12-01", "to": "2026-02-01"}),
        ):  # fmt: skip
            page = read(api, "/funding", zone=zone, **period, **asked)
            assert (page["complete"], page["ties_out"], page["books"]) == (True, True, 1 if asked else 3)
            begin, end = (instant_of(page["period"][name]) for name in ("begins_at", "ends_at"))
            every = [fact for name in names for fact in facts[name]]
            told = {(row["bucket"], row["source"]): minor(row["net"]) for row in page["rows"]}
            assert {key: net for key, net in told.items() if net} == {
                key: net for key, net in moved(every, begin, end).items() if net
            }, (asked, zone, period)
            balances = {(row["bucket"], row["source"]): minor(row["balance"]) for row in page["rows"]}
            assert balances == {**dict.fromkeys(balances, 0), **moved(every, 0, end)}
            assert {minor(row["difference"]) for row in page["rows"]} <= {0}


def instant_of(text: str) -> int:
    """Return an instant in microseconds."""
    return to_microseconds(datetime.fromisoformat(text))


def test_memos_have_totals_by_currency(api: Api) -> None:
    """What was paid is summed exactly for each currency by itself, with fees; what states none is counted."""
    page = read(api, "/funding", **NOVEMBER, **OF_ACME)
    (row,) = [row for row in page["rows"] if (row["bucket"], row["source"]) == ("credit", "alipay")]
    paid: list[Paid | None] = [
        fact.event.paid
        for fact in facts_of(api.ledger.url, ACME)
        if isinstance(fact.event, FundsAdded) and fact.event.bucket == "credit"
        if instant_of(page["period"]["begins_at"]) <= fact.effective_at < instant_of(page["period"]["ends_at"])
    ]
    sums: Counter[str] = Counter()
    for memo in paid:
        if memo is not None:
            sums[memo.currency] += 1
    told = {total["currency"]: total for total in row["payments"]["memos"]}
    assert {name: total["events"] for name, total in told.items()} == dict(sums)
    for currency, total in told.items():
        own = [memo for memo in paid if memo is not None and memo.currency == currency]
        assert Decimal(total["amount"]) == sum(Decimal(memo.amount) for memo in own)
        fees = [Decimal(memo.fee) for memo in own if memo.fee]
        assert total["fee"] is None if not fees else Decimal(total["fee"]) == sum(fees)
        assert total["without_fee"] == sum(memo.fee is None for memo in own)
    assert row["payments"]["amount"]["unit"] == "CREDIT"
    assert row["reversals"]["without_memo"] == 1


def test_what_memos_lack_is_listed(api: Api) -> None:
    """Events without a memo or an external id are listed, and external ids that several payments have."""
    page = read(api, "/funding", **NOVEMBER, **OF_ACME)
    listed = {(each["reference"], each["kind"], each["lacks"]) for each in page["incomplete_events"]}
    assert listed == {
        ("2025-11-1", "reversal", "memo"), ("2025-11-2", "payment", "external_id"), ("2025-12-w", "withdrawal", "memo"),
    }  # fmt: skip
    assert page["incomplete"] == len(page["incomplete_events"]) == 3
    (repeated,) = page["repeated_ids"]
    assert (repeated["kind"], repeated["source"], repeated["external_id"]) == ("payment", "alipay", FORMULA)
    assert [use["reference"] for use in repeated["uses"]] == ["formula", "again"]
    everywhere = read(api, "/funding", **NOVEMBER)["repeated_ids"]
    assert {use["workspace_id"] for each in everywhere for use in each["uses"]} == set(EDGES)
    assert read(api, "/funding", **OF_ACME, **{"from": "2025-10-05", "to": "2025-10-06"})["repeated_ids"] == []


def test_a_source_that_does_not_tie_out_shows(api: Api) -> None:
    """A movement that no event made, before the period, is a difference of the balance."""
    mine = "workspace_id = %s and bucket = 'credit'"
    first = f"select min(position) from projections.leg where {mine} and debit_account = 'funding.alipay'"
    ask(
        api.ledger.url,
        f"update projections.leg set minor = minor + 5 where {mine} and position = ({first})",
        ACME,
        ACME,
    )
    mine += " and account = 'funding.alipay'"
    first = f"select min(day) from projections.movement where {mine}"
    more = "update projections.movement set debit_minor = debit_minor + 5"
    ask(api.ledger.url, f"{more} where {mine} and day = ({first})", ACME, ACME)
    page = read(api, "/funding", **NOVEMBER, **OF_ACME)
    assert page["ties_out"] is False
    (row,) = [row for row in page["rows"] if not row["ties_out"]]
    assert (row["account"], row["bucket"], minor(row["difference"])) == ("funding.alipay", "credit", 0)
    assert row["balance_difference"]["value"] == "0.000005"


def margins(api: Api, **asked: str) -> dict[tuple[str, str, str | None], Told]:
    """Return rows of margins by route, bucket and unit of the bills."""
    rows = read(api, "/margin", **asked)["rows"]
    told = {(row["route"], row["bucket"], row["cost_unit"]): row for row in rows}
    assert len(told) == len(rows)
    return told


def test_charges_and_costs_stand_side_by_side(api: Api) -> None:
    """Per route the sums are those of the events, each in its own unit, and nothing mixes the two."""
    told = margins(api, **NOVEMBER, **OF_ACME)
    begin, end = (to_microseconds(EDGES[ACME][name]) for name in ("2025-11", "2025-12"))
    owed, cost = Counter[str](), Counter[str]()
    for fact in facts_of(api.ledger.url, ACME):
        event = fact.event
        if begin <= fact.effective_at < end:
            match event:
                case events.TokensSettled():
                    owed[event.route] += event.charge_minor
                    cost[event.route] += 0 if event.provider_cost is None else event.provider_cost.minor
                case events.ChargeCorrected():
                    owed[event.route] += event.difference_minor
                case events.ChargeRefunded():
                    owed[event.route] -= event.refund_minor
                case events.AttemptFailed(provider_cost=waste) if waste is not None:
                    cost[event.route] += waste.minor
    for route in ("direct", "spare", "cheap"):
        rows = [row for (name, _, _), row in told.items() if name == route]
        assert sum(minor(row["charge"]["owed"]) for row in rows) == owed[route]
        costs = [minor(row["cost"][name]) for row in rows if row["cost"] for name in ("cost", "waste")]
        assert sum(costs) == cost[route]
    for (_, bucket, cost_unit), row in told.items():
        unit = {"credit": "CREDIT", "rmb": "CNY"}[bucket]
        assert {amount["unit"] for amount in row["charge"].values()} == {unit}
        assert row["cost"] is None or {amount["unit"] for amount in row["cost"].values()} == {cost_unit}
        owed_minor, paid_minor = (minor(row["charge"][name]) for name in ("owed", "paid"))
        assert owed_minor - paid_minor == minor(row["charge"]["overrun"])


def test_a_rate_is_used_only_where_a_card_states_it(api: Api) -> None:
    """The direct route's card says what a dollar is worth in CREDIT: costs are restated there, and nowhere else."""
    told = margins(api, **NOVEMBER, **OF_ACME)
    direct = told["direct", "credit", "USD"]
    (card,) = direct["cards"]
    assert (card["rate_card"], card["restated"]["rate"]) == ("direct.2", "1.5")
    cost, waste = (Decimal(direct["cost"][name]["value"]) for name in ("cost", "waste"))
    assert (cost, waste) == (Decimal("0.015"), Decimal("0.001"))
    assert Decimal(card["restated"]["cost"]["value"]) == cost * Decimal("1.5")
    assert Decimal(card["restated"]["waste"]["value"]) == waste * Decimal("1.5")
    left = Decimal(card["charge"]["paid"]["value"]) - (cost + waste) * Decimal("1.5")
    assert Decimal(card["restated"]["margin"]["value"]) == left == Decimal(direct["margin"]["value"])
    assert direct["restated_cost"]["unit"] == "CREDIT"
    cheap = told["cheap", "rmb", "USD"]
    assert (cheap["restated_cost"], cheap["margin"], cheap["cards"][0]["restated"]) == (None, None, None)
    for row in told.values():
        if row["cost_unit"] is None:
            assert (row["cost"], row["margin"]) == (None, None)
            assert row["requests_without_cost"] == row["requests"] > 0


def test_margins_as_tables(api: Api) -> None:
    """As CSV there is a row for each card, and what is not known is empty; as JSON lines a line for each route."""
    query = urlencode({**NOVEMBER, **OF_ACME})
    rows = list(csv.DictReader(io.StringIO(api.get(f"/margin?{query}&format=csv").text, newline="")))
    told = read(api, "/margin", **NOVEMBER, **OF_ACME)["rows"]
    assert len(rows) == sum(len(row["cards"]) for row in told)
    (direct,) = [row for row in rows if (row["route"], row["cost_unit"]) == ("direct", "USD")]
    assert (direct["rate_card"], direct["rate"], direct["cost"]) == ("direct.2", "1.5", "0.015000000")
    (cheap,) = [row for row in rows if (row["route"], row["cost_unit"]) == ("cheap", "USD")]
    assert (cheap["rate"], cheap["restated_cost"], cheap["margin"]) == ("", "", "")
    lines = api.get(f"/margin?{query}&format=jsonl").text.splitlines()
    assert [json.loads(line) for line in lines] == told


def test_they_are_the_platforms(api: Api) -> None:
    """A workspace's own key is refused whatever its scopes; one of the platform needs read or audit."""
    own = own_key(api, "read", "audit")
    poster = api.key("poster", ("post",))
    for path in ("/funding", "/margin", f"/margin?workspace_id={ACME}"):
        assert refusal(api.get(path, own))[:2] == (403, "not_allowed")
        assert refusal(api.get(path, poster))[0] == 403
        assert api.get(path, api.key(f"auditor-{len(path)}", ("audit",))).status_code == 200


def test_what_means_nothing_is_refused(api: Api) -> None:
    """Unknown workspaces, zones, periods and parameters are refused and named."""
    for query, expected in (
        ("workspace_id=nobody", (404, "workspace_unknown", "workspace_id")),
        ("zone=Mars", (400, "field_invalid", "zone")),
        ("from=2025-11-02&to=2025-11-01", (400, "field_invalid", "from")),
        ("from=soon", (400, "field_invalid", "from")),
        ("at_least_position=3", (400, "field_invalid", "workspace_id")),
        ("colour=red", (400, "field_invalid", "colour")),
    ):
        for path in ("/funding", "/margin"):
            assert refusal(api.get(f"{path}?{query}")) == expected, (path, query)
    assert refusal(api.get("/margin?safe=excel"))[2] == "safe"


def test_events_behind_are_said(api: Api) -> None:
    """What is not followed yet is not in either side, and the page says that it is not complete."""
    before = read(api, "/funding", **NOVEMBER, **OF_ACME)
    late = change(pay(ACME, "credit", "9", "unseen"), effective_at=EDGES[ACME]["2025-11"])
    do(api.ledger, late)
    behind = read(api, "/funding", **NOVEMBER, **OF_ACME)
    assert behind == {**before, "complete": False}
    assert read(api, "/margin", **NOVEMBER, **OF_ACME)["complete"] is False
    follow_both(api.ledger)
    after = read(api, "/funding", **NOVEMBER, **OF_ACME)
    assert (after["complete"], after["ties_out"]) == (True, True)
    assert after["rows"] != before["rows"]
