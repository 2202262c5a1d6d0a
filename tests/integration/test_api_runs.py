"""A run of a workflow over HTTP: totals per bucket and route, live while it runs, and to whom."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from ledger.api.description import describe
from ledger.core.amounts import StatedAmount
from ledger.service import Ledger
from tests.integration.api_scene import Api, refusal
from tests.integration.requests_scene import (
    follow_requests,
    ids_of,
    open_reads,
    own_key,
    tell_requests,
)
from tests.integration.scenes import ACME, do, fail_attempt, fall_back, hold, release, settle
from tests.unit.receipts import is_amount, keys_and_texts, objects

RUN = "/runs?run=run-1"
AS_PLATFORM = f"{RUN}&workspace_id={ACME}"
PRIVATE = ("overrun", "provider", "openai", "USD", "cost", "waste", "platform")


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The reads of a ledger in which requests of every kind stand, three of them in a run."""
    tell_requests(ledger)
    with open_reads(ledger) as opened:
        yield opened


def amounts(total: Any) -> dict[str, str]:
    """Return the amounts of a total as text by their names."""
    return {name: f"{each['value']} {each['unit']}" for name, each in total.items() if is_amount(each)}


def counts(total: Any) -> dict[str, int]:
    """Return the counts of a total that are not zero."""
    return {name: each for name, each in total.items() if type(each) is int and each}


def test_a_run_has_totals_for_each_bucket_and_route(api: Api) -> None:
    """Three requests, one open, one moved: counts over all, and each bucket's amounts in its own unit."""
    run = api.get(AS_PLATFORM).json()
    assert (run["run"], run["status"], run["workflows"], run["ended_at"]) == ("run-1", "running", ["发票"], None)
    assert counts(run) == {
        "requests": 3, "open": 1, "settled": 2, "failed_attempts": 2, "retries": 2, "fallbacks": 1,
        "input_tokens": 2000, "output_tokens": 2000,
    }  # fmt: skip
    credit, rmb = run["buckets"]
    assert (credit["bucket"], credit["unit"], rmb["bucket"], rmb["unit"]) == ("credit", "CREDIT", "rmb", "CNY")
    assert amounts(credit) == {
        "held": "3.000000 CREDIT", "charge": "0.012000 CREDIT", "refunded": "0.000000 CREDIT",
        "paid": "0.012000 CREDIT",
    }  # fmt: skip
    assert amounts(rmb) == {
        "held": "0.000000 CNY", "charge": "0.012000 CNY", "refunded": "0.001000 CNY", "paid": "0.011000 CNY",
    }  # fmt: skip
    # Where attempts failed they count, and where a request ended its fallback does.
    assert counts(credit) == {
        "requests": 2, "open": 1, "settled": 1, "failed_attempts": 2, "retries": 2, "input_tokens": 1000,
        "output_tokens": 1000,
    }  # fmt: skip
    assert (rmb["failed_attempts"], rmb["fallbacks"]) == (0, 1)
    assert [[route["route"] for route in each["routes"]] for each in (credit, rmb)] == [["direct"], ["cheap"]]


def test_costs_of_the_platform_stand_by_unit(api: Api) -> None:
    """What served and what was wasted has an amount for each unit, and what nobody stated is counted, not zero."""
    credit, rmb = api.get(AS_PLATFORM).json()["buckets"]
    assert credit["platform"] == credit["routes"][0]["platform"] == {
        "overrun": {"value": "0.000000", "unit": "CREDIT"}, "costs": [{"value": "0.000777000", "unit": "USD"}],
        "without_cost": 0, "waste": [{"value": "0.000333000", "unit": "USD"}], "waste_unknown": 1,
    }  # fmt: skip
    assert (rmb["platform"]["waste"], rmb["platform"]["waste_unknown"]) == ([], 0)


def test_a_run_is_live(api: Api) -> None:
    """A request that begins is there with its hold; when the last one has ended, so has the run, for now."""
    do(api.ledger, hold("r-next", "4", route="cheap", run="run-1"))
    follow_requests(api.ledger)
    run = api.get(AS_PLATFORM).json()
    assert (run["open"], run["buckets"][1]["held"]["value"]) == (2, "4.000000")
    (event, _) = do(api.ledger, release("r-open"), settle("r-next", route="cheap"))
    follow_requests(api.ledger)
    run = api.get(f"{AS_PLATFORM}&at_least_position={event.position + 1}").json()
    assert (run["status"], run["open"], run["cancelled"]) == ("ended", 0, 1)
    assert run["ended_at"] == run["data"][-1]["ended_at"]
    assert [each["held"]["value"] for each in run["buckets"]] == ["0.000000", "0.000000"]


def test_several_routes_of_a_bucket_add_up(api: Api) -> None:
    """A bucket's total is that of its routes, one of which only has an attempt that failed."""
    do(
        api.ledger,
        release("r-rest"),
        hold("r-1", run="run-9", route="own-price"),
        replace(settle("r-1", route="own-price", charge=StatedAmount("0.5", "CREDIT")), usage_source="estimated"),
        hold("r-2", run="run-9"),
        replace(fail_attempt("r-2", provider_cost=StatedAmount("0.2", "USD")), retried=False),
        fall_back("r-2"),
        settle("r-2", attempt=2, route="spare"),
    )
    follow_requests(api.ledger)
    (credit,) = api.get(f"/runs?run=run-9&workspace_id={ACME}").json()["buckets"]
    routes = {each["route"]: each for each in credit["routes"]}
    assert {name: (each["requests"], each["failed_attempts"]) for name, each in routes.items()} == {
        "direct": (0, 1), "own-price": (1, 0), "spare": (1, 0),
    }  # fmt: skip
    assert {name: each["charge"]["value"] for name, each in routes.items()} == {
        "direct": "0.000000", "own-price": "0.500000", "spare": "0.012000",
    }  # fmt: skip
    assert (credit["requests"], credit["estimated"], credit["charge"]["value"]) == (2, 1, "0.512000")
    assert (credit["failed_attempts"], credit["retries"], credit["fallbacks"]) == (1, 0, 1)
    assert credit["platform"]["waste"] == [{"value": "0.200000000", "unit": "USD"}]
    assert (credit["platform"]["costs"], credit["platform"]["without_cost"]) == ([], 2)


def test_requests_of_a_run_come_in_order_of_time(api: Api) -> None:
    """Pages go forward, the totals are of the whole run on each of them."""
    found, cursor = [], ""
    while True:
        page = api.get(f"{AS_PLATFORM}&limit=1{cursor}").json()
        assert page["requests"] == 3
        found += ids_of(page)
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert found == ["r-plain", "r-moved", "r-open"]
    foreign = api.get(f"/requests?workspace_id={ACME}&limit=1&run=run-1").json()["next_cursor"]
    assert refusal(api.get(f"{AS_PLATFORM}&cursor={foreign}")) == (400, "field_invalid", "cursor")


def test_a_customer_sees_what_was_paid(api: Api) -> None:
    """A workspace's key gets the same run without costs, providers and overrun: its charge is what was paid."""
    own = own_key(api)
    run = api.get(RUN, own).json()
    assert [text for text in keys_and_texts(run) if any(word in text for word in PRIVATE)] == []
    assert ids_of(run) == ["r-plain", "r-moved", "r-open"]
    whole = api.get(AS_PLATFORM).json()
    assert counts(run) == counts(whole)
    assert [amounts(each) for each in run["buckets"]] == [amounts(each) for each in whole["buckets"]]


def test_what_no_balance_paid_is_in_no_customers_total(api: Api) -> None:
    """A charge that the wallet could not pay is the platform's: it reads the overrun, the workspace what was paid."""
    do(api.ledger, hold("r-poor", "0.001", run="run-7", route="cheap"), hold("r-rich", "990", route="cheap"))
    left = next(each for each in api.get(f"/wallets/{ACME}").json()["wallets"] if each["bucket"] == "rmb")
    do(api.ledger, hold("r-last", left["available"]["value"], route="cheap"), settle("r-poor", route="cheap"))
    follow_requests(api.ledger)
    (whole,) = api.get(f"/runs?run=run-7&workspace_id={ACME}").json()["buckets"]
    (shown,) = api.get("/runs?run=run-7", own_key(api)).json()["buckets"]
    assert (whole["charge"]["value"], whole["platform"]["overrun"]["value"]) == ("0.012000", "0.011000")
    assert shown["charge"] == shown["paid"] == whole["paid"] == {"value": "0.001000", "unit": "CNY"}


def test_who_sees_which_part_of_a_run(api: Api) -> None:
    """A project and a calling key see their own part of a run; a run of which they see nothing is not there."""
    caller = api.key("caller", ("call",), ACME)
    lab = api.key("lab", ("read",), ACME, project_id="lab")
    stranger = api.key("stranger", ("read",), "other")
    unknown = api.get(f"/runs?run=nothing&workspace_id={ACME}")
    assert refusal(unknown) == (404, "not_found", "run")
    for key, path in ((caller, RUN), (lab, RUN), (stranger, RUN), (own_key(api), "/runs?run=nothing")):
        refused = api.get(path, key)
        assert (refusal(refused), refused.json()["detail"]) == (refusal(unknown), unknown.json()["detail"])
    assert refusal(api.get(AS_PLATFORM, stranger)) == (404, "workspace_unknown", "workspace_id")
    do(
        api.ledger,
        replace(hold("r-called", route="cheap", run="run-1"), api_key_id="caller"),
        replace(hold("r-inside", route="cheap", run="run-1"), project_id="lab"),
    )
    follow_requests(api.ledger)
    for key, seen in ((caller, "r-called"), (lab, "r-inside")):
        run = api.get(RUN, key).json()
        assert (ids_of(run), run["requests"], [each["bucket"] for each in run["buckets"]]) == ([seen], 1, ["rmb"])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "run"), (f"run=&workspace_id={ACME}", "run"), ("run=run-1", "workspace_id"),
        ("run=run-1&status=open", "status"),
        (f"run=run-1&workspace_id={ACME}&limit=201", "limit"), (f"run=run-1&workspace_id={ACME}&format=csv", "format"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(api: Api, query: str, field: str) -> None:
    """The run is required, the platform's key says whose it is, and all else is refused by name."""
    assert refusal(api.get(f"/runs?{query}".rstrip("?"))) == (400, "field_invalid", field)


def test_no_object_holds_two_units(api: Api) -> None:
    """Amounts that stand beside each other are in one unit."""
    for each in objects(api.get(AS_PLATFORM).json()):
        assert len({inner["unit"] for inner in each.values() if is_amount(inner)}) <= 1, each


def test_a_run_is_described(api: Api) -> None:
    """OpenAPI says that the run is required, and has both views of it."""
    operation = describe(api.client.app)["paths"]["/ledger/v1/runs"]["get"]
    assert [each["name"] for each in operation["parameters"] if each["required"]] == ["run"]
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"]
    assert [each["$ref"].rpartition("/")[2] for each in answer] == ["RunView", "CustomerRunView"]
