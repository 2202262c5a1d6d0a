"""Explanations over HTTP: which periods, for whom, value by value of a dimension, and what is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

from gateway.ledger_client import LedgerClient
from ledger.api.description import describe
from ledger.core.amounts import StatedAmount, count_minor
from ledger.core.commands import Command
from ledger.request.commands import CorrectCharge
from ledger.service import Ledger
from ledger.workspace.commands import CreateProject
from tests.integration.api_scene import Api, refusal
from tests.integration.requests_scene import follow_requests, open_reads, own_key
from tests.integration.scenes import ACME, credit, do, fail_attempt, hold, record, refund, set_up, settle
from tests.integration.test_ledger_client import free_port, serving, token

Told = dict[str, Any]
BEFORE, AFTER = datetime(2025, 6, 3, 12, tzinfo=UTC), datetime(2025, 6, 10, 12, tzinfo=UTC)
WEEKS = {"from": "2025-06-09", "to": "2025-06-16"}
COST: dict[str, Any] = {"provider_cost": StatedAmount("0.000777", "USD")}


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The reads of an opened workspace that has not asked anything yet."""
    set_up(ledger)
    with open_reads(ledger) as opened:
        yield opened


def asked(request_id: str, at: datetime, tokens: int = 1000, *, route: str = "direct", **more: Any) -> list[Command]:
    """Return a request that was settled at an instant: 1000 tokens in and out are 0.012 units."""
    key = more.pop("api_key_id", "k1")
    project = more.pop("project_id", "main")
    routed = replace(hold(request_id, route=route, effective_at=at, **more), api_key_id=key, project_id=project)
    return [routed, settle(request_id, tokens, route=route, effective_at=at, **COST)]


def change(api: Api, token: str | None = None, **query: str) -> Told:
    """Return an answer."""
    answer = api.get("/spend/change?" + urlencode(query), token)
    assert answer.status_code == 200, answer.text
    told: Told = answer.json()
    return told


def amounts(told: Told) -> dict[str, tuple[str, str]]:
    """Return the amounts before and after, by place."""
    return {
        place["bucket"] or place["unit"]: (place["before"]["value"], place["after"]["value"])
        for place in told["places"]
    }


def minor(amount: Told) -> int:
    """Return an amount in smallest parts."""
    return count_minor(StatedAmount(**amount))


def test_without_a_word_it_is_the_last_seven_full_days(api: Api) -> None:
    """Against the seven before, in the workspace's days: what happened today or longer ago is in neither."""
    noon = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(hours=12)
    for days, tokens in ((0, 1000), (6, 2000), (7, 4000), (13, 8000), (14, 16000)):
        record(api.ledger, asked(f"r-{days}", noon - timedelta(days=days), tokens))
    record(api.ledger, asked("r-today", datetime.now(UTC) - timedelta(seconds=1), 32000))
    follow_requests(api.ledger)
    told = change(api, workspace_id=ACME)
    today = (noon + timedelta(hours=12)).date()
    edges = [(today - timedelta(days=days)).isoformat() for days in (14, 7, 7, 0)]
    spans = [
        told["before"]["begins_at"],
        told["before"]["ends_at"],
        told["after"]["begins_at"],
        told["after"]["ends_at"],
    ]
    assert spans == [f"{day}T00:00:00+00:00" for day in edges]
    assert amounts(told) == {"credit": ("0.144000", "0.036000")}
    assert amounts(change(api)) == amounts(told)
    assert (told["measure"], told["zone"], told["by"], told["complete"]) == ("charge", "UTC", None, True)


def test_the_earlier_period_is_as_long(api: Api) -> None:
    """Where none is named it lies directly before: as many days, though clocks change, or as long."""
    berlin = {"zone": "Europe/Berlin"}
    for query, *before in (
        ({"from": "2025-10-26", "to": "2025-10-27"} | berlin, "2025-10-25T00:00:00+02:00", "2025-10-26T00:00:00+02:00"),
        ({"from": "2025-10-27", "to": "2025-10-28"} | berlin, "2025-10-26T00:00:00+02:00", "2025-10-27T00:00:00+01:00"),
        (
            {"from": "2025-06-10T10:00:00Z", "to": "2025-06-10T11:15:00Z"},
            "2025-06-10T08:45:00+00:00", "2025-06-10T10:00:00+00:00",
        ),
        ({**WEEKS, "against": "2024-01-01"}, "2024-01-01T00:00:00+00:00", "2024-01-08T00:00:00+00:00"),
        ({"to": "2025-06-16"}, "2025-06-02T00:00:00+00:00", "2025-06-09T00:00:00+00:00"),
        ({**WEEKS, "zone": "Asia/Kolkata"}, "2025-06-02T00:00:00+05:30", "2025-06-09T00:00:00+05:30"),
    ):  # fmt: skip
        told = change(api, **query)
        assert [told["before"]["begins_at"], told["before"]["ends_at"]] == before, query
        assert told["places"] == []


def test_each_place_stands_by_itself(api: Api) -> None:
    """Buckets under charge, units of bills under cost; one can be asked for alone, and what there is not is refused."""
    for at, tokens in ((BEFORE, 1000), (AFTER, 3000)):
        for route in ("direct", "cheap"):
            record(api.ledger, asked(f"{route}-{tokens}", at, tokens, route=route))
    do(
        api.ledger,
        hold("r-failed", effective_at=AFTER),
        fail_attempt("r-failed", effective_at=AFTER, **COST),
    )
    follow_requests(api.ledger)
    assert amounts(change(api, **WEEKS)) == {"credit": ("0.012000", "0.036000"), "rmb": ("0.012000", "0.036000")}
    assert amounts(change(api, **WEEKS, bucket="rmb")) == {"rmb": ("0.012000", "0.036000")}
    assert amounts(change(api, **WEEKS, unit="CNY")) == {"rmb": ("0.012000", "0.036000")}
    assert amounts(change(api, **WEEKS, measure="cost")) == {"USD": ("0.001554000", "0.002331000")}
    in_rmb = change(api, **WEEKS, measure="cost", bucket="rmb")
    assert [(place["bucket"], place["unit"]) for place in in_rmb["places"]] == [("rmb", "USD")]
    for query, field in (
        ({"bucket": "gold"}, "bucket"), ({"unit": "USD"}, "unit"), ({"unit": "CREDIT", "measure": "cost"}, "unit"),
    ):  # fmt: skip
        assert refusal(api.get("/spend/change?" + urlencode(query))) == (400, "field_invalid", field), query


def test_values_of_a_dimension_are_explained_apart(api: Api) -> None:
    """The ten that changed most, and all others in one; together they are the whole, and each adds up by itself."""
    for number in range(14):
        for name, at, tokens in (("before", BEFORE, 1000), ("after", AFTER, 1000 + 100 * number)):
            record(
                api.ledger,
                asked(
                    f"{name}-{number}", at, tokens, run=f"run-{number:02d}", workflow="agent" if number % 2 else None
                ),
            )
    follow_requests(api.ledger)
    (place,) = change(api, **WEEKS, by="run")["places"]
    values = [(group["value"], group["others"]) for group in place["groups"]]
    assert values == [*((f"run-{number:02d}", 0) for number in range(13, 3, -1)), (None, 4)]
    for which in ("before", "after", "difference"):
        assert sum(minor(group[which]) for group in place["groups"]) == minor(place[which])
    for group in place["groups"][:10]:
        assert sum(minor(term["effect"]) for term in group["terms"]) == minor(group["difference"])
    assert place["terms"] == change(api, **WEEKS)["places"][0]["terms"]
    (by_workflow,) = change(api, **WEEKS, by="workflow")["places"]
    assert [(group["value"], group["others"]) for group in by_workflow["groups"]] == [("agent", 0), (None, 0)]
    for by in ("workspace", "project", "key", "model", "route", "tier"):
        (one,) = change(api, **WEEKS, by=by)["places"]
        assert [minor(group["difference"]) for group in one["groups"]] == [minor(place["difference"])], by
        assert all(group["value"] for group in one["groups"])


def test_groups_of_bills_are_those_of_the_bucket(api: Api) -> None:
    """Under cost, a bucket that is asked for has its own largest groups, however much others cost elsewhere."""
    for number in range(12):
        record(api.ledger, asked(f"r-{number}", AFTER, workflow=f"flow-{number:02d}"))
        do(api.ledger, fail_attempt(f"r-{number}", attempt=2, effective_at=AFTER, **COST))
    for name in ("small", "tiny"):
        record(api.ledger, asked(name, AFTER, route="cheap", workflow=name))
    follow_requests(api.ledger)
    (place,) = change(api, **WEEKS, measure="cost", bucket="rmb", by="workflow")["places"]
    assert [(group["value"], group["others"]) for group in place["groups"]] == [("small", 0), ("tiny", 0)]


def test_a_customer_is_told_of_what_was_paid(api: Api) -> None:
    """What no balance could pay is no charge to them; cost is the platform's alone."""
    record(api.ledger, asked("r-before", BEFORE))
    do(
        api.ledger,
        hold("r-over", "0.000001", effective_at=AFTER),
        hold("r-rest", "999.987999"),
        settle("r-over", effective_at=AFTER, **COST),
        CorrectCharge(
            workspace_id=ACME, request_id="r-over", correction_id="1", cause="mistake", reason="miscounted",
            difference=credit("-0.002"), effective_at=AFTER,
        ),
    )  # fmt: skip
    follow_requests(api.ledger)
    own = own_key(api)
    assert amounts(change(api, **WEEKS)) == {"credit": ("0.012000", "0.010000")}
    told = change(api, own, **WEEKS)
    assert amounts(told) == {"credit": ("0.012000", "0.000001")}
    assert told["workspace_id"] == ACME
    (place,) = change(api, own, **WEEKS, by="workflow")["places"]
    assert [minor(group["difference"]) for group in place["groups"]] == [minor(place["difference"])]
    assert refusal(api.get("/spend/change?measure=cost", own))[:2] == (403, "not_allowed")
    assert refusal(api.get("/spend/change?unit=USD", own)) == (400, "field_invalid", "unit")
    text = api.get("/spend/change?" + urlencode({**WEEKS, "by": "route"}), own).text
    assert not [word for word in ("USD", "overrun", "waste", "openai", "provider_cost") if word in text]


def test_a_customer_s_groups_are_those_that_paid_most(api: Api) -> None:
    """A run whose charge no balance could pay is among the others for its workspace, and first for the platform."""
    for number in range(12):
        record(api.ledger, asked(f"r-{number}", AFTER, 100 + number, run=f"run-{number:02d}"))
    over = hold("r-over", "0.000001", run="over", effective_at=AFTER)
    do(api.ledger, over, hold("r-rest", "999.984807"), settle("r-over", effective_at=AFTER))
    follow_requests(api.ledger)
    for token_or_none, first, last in ((None, "over", "run-03"), (own_key(api), "run-11", "run-02")):
        (place,) = change(api, token_or_none, **WEEKS, by="run")["places"]
        assert [place["groups"][at]["value"] for at in (0, 9, 10)] == [first, last, None]
        assert place["groups"][10]["others"] == 3


def test_who_sees_which_change(api: Api) -> None:
    """A workspace its own, a project its project's, a calling key what was spent with it; a platform's key narrows."""
    do(api.ledger, CreateProject(workspace_id=ACME, project_id="lab"))
    caller = api.key("caller", ("call",), ACME)
    lab = api.key("lab-key", ("read",), ACME, project_id="lab")
    for request_id, tokens, more in (
        ("r-main", 1000, {}), ("r-lab", 2000, {"project_id": "lab"}), ("r-caller", 4000, {"api_key_id": "caller"}),
    ):  # fmt: skip
        record(api.ledger, asked(request_id, AFTER, tokens, **more))
    follow_requests(api.ledger)
    for holder, query, amount in (
        (None, {}, "0.084000"), (own_key(api), {}, "0.084000"), (lab, {}, "0.024000"), (caller, {}, "0.048000"),
        (None, {"workspace_id": ACME, "project": "lab"}, "0.024000"),
        (None, {"workspace_id": ACME, "key": "caller"}, "0.048000"), (caller, {"key": "caller"}, "0.048000"),
    ):  # fmt: skip
        told = change(api, holder, **WEEKS, **query)
        assert amounts(told) == {"credit": ("0.000000", amount)}, query
        by = change(api, holder, **WEEKS, **query, by="run")
        assert [group["after"]["value"] for group in by["places"][0]["groups"]] == [amount]
    for path, holder, answer in (
        ("?workspace_id=other", own_key(api), (404, "workspace_unknown", "workspace_id")),
        ("?workspace_id=nobody", None, (404, "workspace_unknown", "workspace_id")),
        ("?project=main", lab, (403, "not_allowed", "project")),
        ("?key=k1", caller, (403, "not_allowed", "key")),
        ("", api.key("poster", ("post",)), (403, "not_allowed", None)),
    ):  # fmt: skip
        assert refusal(api.get("/spend/change" + path, holder)) == answer, path


def test_what_means_nothing_is_refused(api: Api) -> None:
    """Every parameter is read strictly, and the refusal names it."""
    for query, field in (
        ("measure=profit", "measure"), ("by=end_user", "by"), ("by=provider", "by"), ("by=model,route", "by"),
        ("zone=Nowhere", "zone"), ("from=2025-06-09&to=2025-06-09", "from"), ("from=2025-06-09T00:07:00Z", "from"),
        ("to=soon", "to"), ("against=2025-06-09&to=2025-06-16", "against"), ("against=x", "against"),
        ("bucket=%00", "bucket"),
        ("unit=dollars", "unit"), ("project=main", "workspace_id"), ("key=k1", "workspace_id"), ("limit=5", "limit"),
        ("at_least_position=1", "workspace_id"), ("from=2020-01-01", "from"),
    ):  # fmt: skip
        assert refusal(api.get(f"/spend/change?{query}")) == (400, "field_invalid", field), query


def test_it_says_what_it_does_not_have(api: Api) -> None:
    """What is on record and not followed makes it incomplete; a position can be waited for."""
    (*_, event) = record(api.ledger, asked("r-1", AFTER))
    assert change(api, workspace_id=ACME, **WEEKS)["complete"] is False
    behind = api.get(f"/spend/change?workspace_id={ACME}&at_least_position={event.position}")
    assert refusal(behind)[:2] == (503, "unavailable")
    follow_requests(api.ledger)
    told = change(api, workspace_id=ACME, at_least_position=str(event.position), **WEEKS)
    assert (told["complete"], amounts(told)) == (True, {"credit": ("0.000000", "0.012000")})


def test_late_events_change_the_period_they_belong_to(api: Api) -> None:
    """A refund counts where it happened, and a request that is settled late where that was."""
    record(api.ledger, asked("r-1", BEFORE, 5000))
    do(api.ledger, replace(refund("r-1", "0.01"), effective_at=AFTER))
    follow_requests(api.ledger)
    told = change(api, **WEEKS)
    assert amounts(told) == {"credit": ("0.060000", "-0.010000")}
    effects = {term["term"]: term["effect"]["value"] for term in told["places"][0]["terms"]}
    assert (effects["refunds"], effects["requests"]) == ("-0.010000", "-0.060000")


def test_reasons_lead_to_their_requests(api: Api) -> None:
    """The parameters behind a reason list requests, narrowed as the question was."""
    for number in range(3):
        record(api.ledger, asked(f"r-{number}", AFTER, 2000))
    record(api.ledger, asked("r-before", BEFORE, 2000))
    follow_requests(api.ledger)
    (place,) = change(api, **WEEKS, workspace_id=ACME)["places"]
    behind = place["reasons"][0]["behind"]
    assert behind["query"]["workspace_id"] == ACME
    listed = api.get("/requests?" + urlencode(behind["query"]))
    assert listed.status_code == 200, listed.text
    assert len(listed.json()["data"]) == behind["requests"] == 3


def test_the_change_is_described(api: Api) -> None:
    """OpenAPI has the paths with their parameters and the schemas of the answers."""
    document = describe(api.client.app)
    for path, some in (
        ("/spend", {"every", "by", "zone", "provider"}),
        ("/spend/change", {"measure", "against", "by"}),
    ):
        operation = document["paths"]["/ledger/v1" + path]["get"]
        assert some <= {each["name"] for each in operation["parameters"]}
        assert {"200", "400", "404"} <= operation["responses"].keys()
    assert {"Change", "ChangeTerm", "SpendRow", "CustomerSpendPage"} <= document["components"]["schemas"].keys()


def test_the_client_reads_changes(ledger: Ledger) -> None:
    """The client of a ledger elsewhere decodes the same answer."""
    set_up(ledger)
    record(ledger, asked("r-1", AFTER))
    follow_requests(ledger)
    with serving(ledger, free_port()) as address, LedgerClient(address, token(ledger)) as client:
        told = client.change({**WEEKS, "workspace_id": ACME})
        assert [(place.bucket, place.after) for place in told.places] == [("credit", credit("0.012000"))]
