"""Receipts over HTTP, in the client and on the command line: to whom, at which position, and in which words."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from gateway.database import URL_VARIABLE
from gateway.ledger_client import LedgerClient, RefusedByLedger
from ledger.api.description import describe
from ledger.catalog.commands import PublishRateCard
from ledger.core.amounts import StatedAmount
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.request.events import SkippedRoute, Why
from ledger.service import Ledger
from ledger.workspace.commands import CreateProject, IssueApiKey
from projections.api import catalogs, receipts
from projections.receipt.answers import CustomerReceipt, Receipt
from projections.receipt.folding import CatalogBehind
from tests.integration.api_scene import Api, refusal
from tests.integration.read_side import ask
from tests.integration.requests_scene import open_reads
from tests.integration.scenes import (
    ACME,
    HASH,
    RATES,
    do,
    fail_attempt,
    fall_back,
    hold,
    record,
    refund,
    release,
    set_up,
    settle,
    workspace_commands,
)
from tests.integration.test_api_schema import references
from tests.integration.test_ledger_client import free_port, serving, token
from tests.unit.receipts import keys_and_texts, objects

MOVED = "/requests/r-moved"
AS_PLATFORM = f"?workspace_id={ACME}"
START = "from gateway.command_line import main; main()"
COST = StatedAmount("0.000777", "USD")


def tell(ledger: Ledger) -> None:
    """Record a request that failed once, moved to the other wallet and was charged and partly refunded."""
    reasons = Why("next target", (SkippedRoute("spare", "provider openai is asleep"),))
    fall: Any = msgspec.structs.replace(fall_back("r-moved", "7", to_route="cheap"), why=reasons)
    set_up(ledger)
    do(
        ledger,
        hold("r-moved", end_user=HASH, workflow="发票"),
        fail_attempt("r-moved", http_status=504, provider_cost=COST),
        fall,
        settle("r-moved", attempt=2, route="cheap", first_token_ms=90, provider_cost=COST),
        refund("r-moved", refund=StatedAmount("0.001", "CNY")),
        hold("r-over", "0.000001"),
        hold("r-rest", "999.999999"),
        settle("r-over"),
        hold("r-cheap", route="cheap"),
        release("r-void"),
    )


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The reads of a ledger in which requests of every kind stand."""
    tell(ledger)
    with open_reads(ledger) as reads:
        yield reads


def test_a_receipt_tells_which_wallet_burned_and_why(api: Api) -> None:
    """Without any follower running, the whole life of a request is answered to the platform."""
    receipt = api.get(MOVED + AS_PLATFORM).json()
    assert receipt["summary"] == (
        "0.011000 CNY were paid from the rmb wallet, after what was given back or corrected. It moved from route "
        "direct to route cheap, from the credit wallet to the rmb wallet: the upstream was overloaded."
    )
    kinds = [moment["kind"] for moment in receipt["timeline"]]
    assert kinds == ["request_routed", "attempt_failed", "fallback_taken", "tokens_settled", "charge_refunded"]
    assert [each["route"] for each in receipt["choices"]] == ["direct", "cheap"]
    assert receipt["route"] == {
        "route": "cheap", "tier": "ordinary", "model": "gpt-5", "bucket": "rmb", "unit": "CNY", "priced_by": "ledger",
    }  # fmt: skip
    assert [(line["part"], line["amount"]["value"]) for line in receipt["calculation"]["lines"]] == [
        ("uncached_input", "0.002000"), ("text_output", "0.010000"),
    ]  # fmt: skip
    assert [(each["bucket"], each["paid"]["value"]) for each in receipt["totals"]] == [
        ("credit", "0.000000"), ("rmb", "0.011000"),
    ]  # fmt: skip
    assert [each["cost"] for each in receipt["platform"]["costs"]] == [
        {"value": "0.000777000", "unit": "USD"}, {"value": "0.000777000", "unit": "USD"},
    ]  # fmt: skip


def test_entries_are_those_of_the_book(api: Api) -> None:
    """Positions, digests and legs are what the store has for these events."""
    receipt = api.get(MOVED + AS_PLATFORM).json()
    stored = dict(
        ask(api.ledger.url, "select position, encode(digest, 'hex') from ledger.event where workspace_id = 'acme'")
    )
    assert {each["position"]: each["digest"] for each in receipt["entries"]}.items() <= stored.items()
    moved = [each for each in receipt["platform"]["entries"] if each["tag"] == "fallback_taken.v1"]
    assert [(each["bucket"], each["legs"][0]["amount"]["value"]) for each in moved] == [
        ("credit", "1.000000"), ("rmb", "7.000000"),
    ]  # fmt: skip
    assert receipt["position"] == max(each["position"] for each in receipt["entries"])


def test_no_key_of_a_workspace_sees_cost_or_overrun(api: Api) -> None:
    """Whatever scopes it has, a workspace's key gets no provider, cost, overrun, account or price source."""
    private = ("overrun", "provider", "openai", "cost", "USD", "revenue", "platform", "margin", "actor", "test")
    for scopes in (("call", "read", "audit"), ("read",), ("audit",)):
        own = api.key("own-" + "-".join(scopes), scopes, ACME)
        for request in ("r-moved", "r-over", "r-rest", "r-cheap", "r-void"):
            said = api.get(f"/requests/{request}", own).json()
            told = [text for text in keys_and_texts(said) if any(word in text for word in private)]
            assert [text for text in told if "the platform's" not in text] == [], request
            assert all(
                len({each["unit"] for each in found.values() if isinstance(each, dict) and "unit" in each}) <= 1
                for found in objects(said)
            )
    shown = api.get("/requests/r-over", api.key("own", ("read",), ACME)).json()
    assert shown["settlement"]["charge"] == shown["totals"][0]["paid"] == {"value": "0.000001", "unit": "CREDIT"}
    whole = api.get("/requests/r-over" + AS_PLATFORM).json()
    assert whole["platform"]["overrun"] == {"value": "0.011999", "unit": "CREDIT"}
    # The lines show what the usage came to. What is not taken of it is waived, and no more is said.
    assert shown["settlement"]["waived"] == {"value": "0.011999", "unit": "CREDIT"}
    assert json.dumps(shown).count("0.011999") == 2


def test_who_sees_which_requests(api: Api) -> None:
    """A workspace sees its own, a project its project's, a calling key those made with it; all else is not there."""
    record(api.ledger, workspace_commands("other"))
    do(api.ledger, CreateProject(workspace_id=ACME, project_id="lab"))
    stranger = api.key("stranger", ("call", "read", "audit"), "other")
    lab = api.key("lab", ("read",), ACME, project_id="lab")
    main = api.key("main", ("read",), ACME, project_id="main")
    caller = api.key("caller", ("call",), ACME)
    unknown = api.get("/requests/nothing" + AS_PLATFORM)
    assert refusal(unknown) == (404, "request_unknown", "request_id")
    for key, path in (
        (main, MOVED + "?workspace_id=other"), (stranger, MOVED), (stranger, MOVED + AS_PLATFORM),
        (lab, MOVED), (lab, "/requests/r-void"), (caller, MOVED),
        (None, MOVED + "?workspace_id=other"), (None, MOVED + "?workspace_id=nobody"),
        (None, MOVED + "?workspace_id=N%00"), (None, "/requests/%00" + AS_PLATFORM),
        (None, MOVED + "?workspace_id=nobody&at_least_position=3"),
    ):  # fmt: skip
        refused = api.get(path, key)
        assert refusal(refused) == refusal(unknown), path
        assert refused.json()["detail"] == unknown.json()["detail"]
    assert api.get(MOVED, main).status_code == 200
    assert api.get(MOVED + AS_PLATFORM, main).status_code == 200


def test_a_calling_key_sees_what_it_called(api: Api) -> None:
    """With scope call alone a key reads the receipts of the requests that were made with it."""
    caller = api.key("caller", ("call",), ACME)
    mine = msgspec.structs.replace(hold("r-mine", route="cheap"), api_key_id="caller")
    do(api.ledger, mine)
    assert api.get("/requests/r-mine", caller).json()["status"] == "open"
    assert refusal(api.get("/requests/r-cheap", caller))[0] == 404


def test_a_key_of_the_platform_names_the_workspace(api: Api) -> None:
    """It needs read or audit, and says whose request it is."""
    assert refusal(api.get(MOVED)) == (400, "field_invalid", "workspace_id")
    assert refusal(api.get(MOVED + AS_PLATFORM + "&limit=3")) == (400, "field_invalid", "limit")
    for scope, status in (("call", 403), ("post", 403), ("read", 200), ("audit", 200)):
        key = api.key(f"only-{scope}", (scope,))  # type: ignore[arg-type]
        assert api.get(MOVED + AS_PLATFORM, key).status_code == status, scope


def test_a_receipt_is_tagged_by_its_last_event(api: Api) -> None:
    """The same tag is 304 until something happens to the request; both views have tags of their own."""
    own = api.key("own", ("read",), ACME)
    first = api.get(MOVED + AS_PLATFORM)
    tag = first.headers["etag"]
    assert api.get(MOVED + AS_PLATFORM, None, **{"If-None-Match": tag}).status_code == 304
    assert api.get(MOVED, own, **{"If-None-Match": tag}).status_code == 200
    do(api.ledger, refund("r-moved", refund=StatedAmount("0.001", "CNY"), refund_id="2"))
    again = api.get(MOVED + AS_PLATFORM, None, **{"If-None-Match": tag})
    assert (again.status_code, again.json()["totals"][1]["refunded"]["value"]) == (200, "0.002000")


def test_a_reader_gets_what_it_has_written(api: Api) -> None:
    """A receipt is there with the commit; a position that the book has not reached is 503 and worth asking again."""
    (event,) = do(api.ledger, release("r-rest"))
    reached = api.get(f"/requests/r-rest{AS_PLATFORM}&at_least_position={event.position}")
    assert reached.json()["status"] == "cancelled"
    response = api.get(f"/requests/r-rest{AS_PLATFORM}&at_least_position={event.position + 1}")
    assert refusal(response)[:2] == (503, "unavailable")
    assert response.json()["position"] == event.position


def test_a_receipt_waits_for_its_rate_card(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card published a moment ago is read again; a catalog that never comes is 503 and no guess."""
    assert api.get("/catalog").status_code == 200
    card = RateCard("cheap.2", "cheap", "rmb", 1, (ModelRates("*", RATES),), "test")
    do(api.ledger, PublishRateCard(card=card), hold("r-new", route="cheap"), settle("r-new", route="cheap"))
    receipt = api.get("/requests/r-new" + AS_PLATFORM).json()
    assert receipt["calculation"]["rate_card"] == "cheap.2"
    monkeypatch.setattr(catalogs, "CATALOG_SECONDS_MAX", 0.0)
    monkeypatch.setattr(receipts, "receipt_of", never)
    assert refusal(api.get(MOVED + AS_PLATFORM))[:2] == (503, "unavailable")


def never(*given: object) -> Receipt:
    """Find every catalog too old."""
    raise CatalogBehind("CNY")


def test_the_receipt_is_described(api: Api) -> None:
    """OpenAPI has the path with its parameters, the schema of the answer, and every kind of moment."""
    document = describe(api.client.app)
    operation = document["paths"]["/ledger/v1/requests/{request_id}"]["get"]
    assert [each["name"] for each in operation["parameters"]] == ["request_id", "at_least_position", "workspace_id"]
    assert {"200", "304", "404"} <= operation["responses"].keys()
    schemas = document["components"]["schemas"]
    assert {"Receipt", "CustomerReceipt", "PricedLine", "FallbackMoment", "PlatformFacts"} <= schemas.keys()
    answer = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert [each["$ref"].rpartition("/")[2] for each in answer["anyOf"]] == ["Receipt", "CustomerReceipt"]
    both = [schemas[name]["properties"].keys() for name in ("Receipt", "CustomerReceipt")]
    assert both[0] - both[1] == {"platform"}
    referred = {reference.rpartition("/")[2] for reference in references(document) if "/schemas/" in reference}
    assert referred <= schemas.keys()


def test_the_client_reads_receipts(ledger: Ledger) -> None:
    """The client of a ledger elsewhere decodes the same receipt, and a workspace's key need not name itself."""
    tell(ledger)
    with serving(ledger, free_port()) as address:
        with LedgerClient(address, token(ledger)) as client:
            whole = client.receipt("r-moved", ACME, at_least_position=3)
            with pytest.raises(RefusedByLedger, match="request_unknown"):
                client.receipt("nothing", ACME)
        with LedgerClient(address, token_of(ledger, "own")) as customer:
            assert type(customer.receipt("r-moved")) is CustomerReceipt
        assert type(whole) is Receipt
        assert (whole.fallbacks, whole.totals[1].paid) == (1, StatedAmount("0.011000", "CNY"))
        ran = command("receipt", "r-moved", "--ledger", address, ROUTE_LEDGER_KEY=token_of(ledger, "reader"))
    assert ran.returncode == 0, ran.stderr
    assert "0.011000 CNY were paid from the rmb wallet" in ran.stdout
    assert "FOR THE PLATFORM ONLY" not in ran.stdout


def token_of(ledger: Ledger, api_key_id: str) -> str:
    """Issue a reading key of the workspace and return its token."""
    issued = ledger.issue_key(IssueApiKey(workspace_id=ACME, api_key_id=api_key_id, scopes=("read",)), "system")
    assert issued.token is not None
    return issued.token


def command(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with these words and variables."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("ROUTE_LEDGER_")}
    called = [sys.executable, "-c", START, *words]
    return subprocess.run(called, env=environ | variables, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_prints_a_page_or_json(ledger: Ledger) -> None:
    """Without a workspace all books are looked through; the same request in two books must be told apart."""
    tell(ledger)
    there = {URL_VARIABLE: ledger.url}
    page = command("receipt", "r-moved", **there)
    assert (page.returncode, page.stderr) == (0, "")
    assert "  0.011000 CNY were paid from the rmb wallet" in page.stdout
    assert max(len(line) for line in page.stdout.splitlines()) <= 100
    whole = command("receipt", "r-moved", "--workspace", ACME, "--json", **there)
    assert json.loads(whole.stdout)["platform"]["provider"] == "openai"
    record(ledger, [*workspace_commands("other"), hold("r-moved", workspace_id="other")])
    for words, code, said in (
        (("r-moved",), 2, "choose one with --workspace"),
        (("nothing",), 1, "no book has a request nothing"),
        (("r-cheap", "--workspace", "other"), 1, "workspace other has no request r-cheap"),
        (("a b",), 2, "is no request's id"),
        (("r-moved", "--ledger", "http://127.0.0.1:9"), 2, "ROUTE_LEDGER_KEY is not set"),
    ):
        ran = command("receipt", *words, **there)
        assert (ran.returncode, ran.stdout, "Traceback" in ran.stderr) == (code, "", False), words
        assert said in ran.stderr
