"""The route ledger over HTTP: what a row tells, and to whom."""

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from ledger.service import Ledger
from ledger.workspace.commands import Scope
from tests.integration.api_scene import Api, refusal
from tests.integration.requests_scene import (
    LATEST_FIRST,
    follow_requests,
    ids_of,
    open_reads,
    own_key,
    tell_requests,
)
from tests.integration.scenes import ACME, HASH, do, hold
from tests.unit.receipts import is_amount, keys_and_texts, minor, objects

AS_PLATFORM = f"workspace_id={ACME}"
PRIVATE = ("overrun", "provider", "openai", "USD", "margin", "platform", "upstream_account_empty", "test", "402")


@pytest.fixture(scope="module")
def api(module_ledger: Ledger) -> Iterator[Api]:
    """The reads of a ledger in which requests of every kind stand. No test adds any."""
    tell_requests(module_ledger)
    with open_reads(module_ledger) as opened:
        yield opened


def line_of(api: Api, request_id: str, key: str | None = None) -> Any:
    """Return the line of a request, as a key of the platform has it or as another one does."""
    query = "" if key else f"?{AS_PLATFORM}"
    return next(line for line in api.get(f"/requests{query}", key).json()["data"] if line["request_id"] == request_id)


def test_a_row_tells_everything_about_a_request(api: Api) -> None:
    """A request that failed, changed the wallet, was charged and partly refunded says all of it to the platform."""
    line = line_of(api, "r-moved")
    for name, value in {
        "workspace_id": ACME, "status": "settled", "project_id": "main", "api_key_id": "k1", "end_user": HASH,
        "workflow": "发票", "run": "run-1", "step": None, "model": "gpt-5", "route": "cheap", "tier": "ordinary",
        "upstream_model": "gpt-5", "reported_model": "gpt-5-2026", "bucket": "rmb", "unit": "CNY",
        "rule": "our account at openai", "attempts": 2, "retries": 1, "fallbacks": 1, "input_tokens": 1000,
        "usage_source": "reported", "rate_card": "cheap.1", "latency_ms": 812, "position": 12, "last_position": 16,
        "held": {"value": "0.000000", "unit": "CNY"}, "charge": {"value": "0.012000", "unit": "CNY"},
        "refunded": {"value": "0.001000", "unit": "CNY"}, "paid": {"value": "0.011000", "unit": "CNY"},
    }.items():  # fmt: skip
        assert line[name] == value, name
    assert [(each["part"], each["tokens"]) for each in line["tokens"]] == [
        ("uncached_input", 1000), ("text_output", 1000),
    ]  # fmt: skip
    (step,) = line["fallback_chain"]
    assert [step[name] for name in ("from_route", "from_bucket", "to_route", "to_bucket", "failure")] == [
        "direct", "credit", "cheap", "rmb", "upstream_account_empty",
    ]  # fmt: skip
    assert [(each["bucket"], each["position"]) for each in line["entries"]] == [
        ("credit", 12), ("credit", 14), ("rmb", 14), ("rmb", 15), ("rmb", 16),
    ]  # fmt: skip
    facts = line["platform"]
    assert facts["served_cost"]["cost"] == {"value": "0.000777000", "unit": "USD"}
    assert facts["failed_costs"][0]["cost"] == {"value": "0.000333000", "unit": "USD"}
    assert [each["rate_card"] for each in facts["price_sources"]] == ["direct.1", "cheap.1"]


def test_the_latest_request_comes_first(api: Api) -> None:
    """A workspace's requests, and those of all workspaces, stand in the order of their beginnings; a void is none."""
    assert ids_of(api.get(f"/requests?{AS_PLATFORM}").json()) == list(LATEST_FIRST)
    assert ids_of(api.get("/requests").json()) == ["r-theirs", *LATEST_FIRST]


def test_what_is_not_known_is_null(api: Api) -> None:
    """An open request has no charge, no usage and no end, and holds what it holds; unstated costs are null."""
    line = line_of(api, "r-open")
    assert line["held"] == {"value": "3.000000", "unit": "CREDIT"}
    for name in ("charge", "paid", "refunded", "waived", "list_price", "ended_at", "input_tokens", "latency_ms"):
        assert line[name] is None, name
    assert line["platform"]["failed_costs"][0]["cost"] is None
    assert line_of(api, "r-late")["platform"]["served_cost"]["cost"] is None


def test_a_customer_reads_what_the_receipt_tells(api: Api) -> None:
    """For each request rule, reasons, failures, amounts and entries are those of the customer's receipt."""
    own = own_key(api)
    for request_id in LATEST_FIRST:
        line, receipt = line_of(api, request_id, own), api.get(f"/requests/{request_id}", own).json()
        choice = receipt["choices"][-1]
        assert line["rule"] == choice["rule"]
        assert line["skipped"] == [each for taken in receipt["choices"] for each in taken["skipped"]]
        failed = [each for each in receipt["timeline"] if each["kind"] == "attempt_failed"]
        assert [(each["failure"], each["http_status"]) for each in line["failures"]] == [
            (each["failure"], each["http_status"]) for each in failed
        ]
        places = [(each["bucket"], each["position"]) for each in receipt["entries"]]
        assert [(each["bucket"], each["position"]) for each in line["entries"]] == places
        assert line["status"] == receipt["status"]
        if receipt["settlement"] is not None:
            totals = receipt["totals"][-1]
            assert line["paid"] == totals["paid"]
            assert line["waived"] == receipt["settlement"]["waived"]
            assert (line["corrected"], line["refunded"]) == (totals["corrected"], totals["refunded"])
            assert line["terms"] == receipt["usage"]["terms"]


def test_amounts_of_a_row_add_up(api: Api) -> None:
    """paid = charge − refunded (less overrun for the platform), and charge − corrected + waived is what was rated."""
    own = own_key(api)
    for line in api.get(f"/requests?{AS_PLATFORM}").json()["data"]:
        if line["charge"] is None:
            continue
        shown, overrun = line_of(api, line["request_id"], own), minor(line["platform"]["overrun"])
        assert minor(line["paid"]) == minor(line["charge"]) - overrun - minor(line["refunded"])
        assert minor(shown["paid"]) == minor(shown["charge"]) - minor(shown["refunded"]) == minor(line["paid"])
        rated = [minor(each["charge"]) - minor(each["corrected"]) + minor(each["waived"]) for each in (line, shown)]
        assert rated == [12000, 12000]


def test_no_object_holds_two_units(api: Api) -> None:
    """Amounts that stand beside each other are in one unit, for the platform and for a customer."""
    own = own_key(api)
    for answer in (api.get("/requests").json(), api.get("/requests", own).json()):
        for each in objects(answer):
            assert len({inner["unit"] for inner in each.values() if is_amount(inner)}) <= 1, each


def test_no_key_of_a_workspace_sees_the_platforms_side(api: Api) -> None:
    """Whatever scopes it has, in every format: no provider, cost, overrun or price source, and none to ask for."""
    every: tuple[tuple[Scope, ...], ...] = (("call", "read", "audit"), ("read",), ("audit",))
    for scopes in every:
        own = own_key(api, *scopes)
        said = api.get("/requests", own)
        assert [text for text in keys_and_texts(said.json()) if any(word in text for word in PRIVATE)] == []
        for shape in ("csv", "jsonl"):
            text = api.get(f"/requests?format={shape}", own).text
            assert [word for word in PRIVATE if word in text] == []
        assert refusal(api.get("/requests?provider=openai", own)) == (400, "field_invalid", "provider")


def test_who_sees_which_requests(ledger: Ledger) -> None:
    """A workspace sees its own, a project its project's, a calling key those made with it, the platform all."""
    tell_requests(ledger)
    with open_reads(ledger) as api:
        require_sights(api)


def require_sights(api: Api) -> None:
    """Fail where a key sees more or less than it may."""
    keys = {
        "own": api.key("own", ("read",), ACME),
        "lab": api.key("lab", ("read",), ACME, project_id="lab"),
        "caller": api.key("caller", ("call",), ACME),
        "stranger": api.key("stranger", ("read",), "other"),
    }
    do(api.ledger, replace(hold("r-mine", route="cheap"), api_key_id="caller"))
    follow_requests(api.ledger)
    for who, query, seen in (
        ("own", "", ["r-mine", *LATEST_FIRST]), ("own", AS_PLATFORM, ["r-mine", *LATEST_FIRST]),
        ("lab", "", ["r-lab"]), ("lab", "project=main", []), ("caller", "", ["r-mine"]), ("caller", "key=k1", []),
        ("stranger", "", ["r-theirs"]), ("stranger", "key=k1", ["r-theirs"]),
    ):  # fmt: skip
        assert ids_of(api.get(f"/requests?{query}".rstrip("?"), keys[who]).json()) == seen, (who, query)
    for scope, status in (("call", 403), ("post", 403), ("read", 200), ("audit", 200)):
        key = api.key(f"only-{scope}", (scope,))  # type: ignore[arg-type]
        assert api.get("/requests", key).status_code == status, scope


def test_another_workspace_is_not_there(api: Api) -> None:
    """A workspace's key that names another one hears what it would hear of one that never was."""
    own, lost = own_key(api), api.key("lost", ("read",), "other")
    unknown = api.get("/requests?workspace_id=nobody")
    assert refusal(unknown)[:2] == (404, "workspace_unknown")
    for key, query in (
        (own, "workspace_id=other"), (own, "workspace_id=nobody"), (own, "workspace_id=N%00"), (lost, AS_PLATFORM),
        (None, "workspace_id=N%00"), (None, "workspace_id=nobody&format=csv"),
        (None, "workspace_id=nobody&format=jsonl"), (None, "workspace_id=nobody&project=main"),
    ):  # fmt: skip
        refused = api.get(f"/requests?{query}", key)
        assert (refusal(refused), refused.json()["detail"]) == (refusal(unknown), unknown.json()["detail"]), query
