"""The route ledger's listing over HTTP: filters, pages that hang together, formats, description and client."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import given

from gateway.ledger_client import CustomerRequestLine, LedgerClient, RequestLine
from ledger.api.description import describe
from ledger.service import Ledger
from projections import reading
from projections.route_ledger import reading as route_ledger_reading
from tests.integration.api_scene import Api, refusal
from tests.integration.read_side import ask
from tests.integration.requests_scene import (
    FORMULA,
    LATEST_FIRST,
    follow_requests,
    ids_of,
    open_reads,
    own_key,
    tell_requests,
)
from tests.integration.scenes import ACME, HASH, do, hold, release
from tests.integration.test_api_receipts import token_of
from tests.integration.test_api_schema import CHECKS, EXAMPLES, references
from tests.integration.test_ledger_client import free_port, serving, token

HERE = f"/requests?workspace_id={ACME}"


@pytest.fixture(scope="module")
def api(module_ledger: Ledger) -> Iterator[Api]:
    """The reads of a ledger in which requests of every kind stand, for tests that change nothing."""
    tell_requests(module_ledger)
    with open_reads(module_ledger) as opened:
        yield opened


@pytest.fixture
def changing(ledger: Ledger) -> Iterator[Api]:
    """The same for one test, which may change it."""
    tell_requests(ledger)
    with open_reads(ledger) as opened:
        yield opened


def pages(api: Api, path: str, key: str | None = None) -> Iterator[list[str]]:
    """Yield the requests of a listing page by page."""
    cursor = ""
    while True:
        page = api.get(f"{path}{cursor}", key).json()
        assert page["has_more"] == (page["next_cursor"] is not None)
        yield ids_of(page)
        if not page["has_more"]:
            return
        cursor = f"&cursor={page['next_cursor']}"


def in_one(found: Iterator[list[str]]) -> list[str]:
    """Return the requests of all pages."""
    return [each for page in found for each in page]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("run=run-1", ["r-open", "r-moved", "r-plain"]), ("run=run-2", []),
        ("workflow=%E5%8F%91%E7%A5%A8&tier=direct", ["r-open", "r-plain"]),
        (f"end_user={HASH}", ["r-open", "r-moved", "r-plain"]), ("key=k2", ["r-lab"]), ("project=lab", ["r-lab"]),
        ("project=lab&key=k1", []), ("status=open", ["r-all", "r-lab", "r-open", "r-rest"]),
        ("status=failed", ["r-failed"]),
        ("bucket=rmb", ["r-lab", "r-failed", "r-moved"]), ("route=cheap&status=settled", ["r-moved"]),
        ("tier=ordinary", ["r-lab", "r-failed", "r-moved"]), ("fallback=yes", ["r-moved"]),
        ("fallback=no", [each for each in LATEST_FIRST if each != "r-moved"]), ("model=gpt-5", list(LATEST_FIRST)),
        ("model=other", []), ("provider=openai&route=cheap", ["r-lab", "r-failed", "r-moved"]), ("provider=azure", []),
        ("run=run-1&fallback=yes", ["r-moved"]), ("to=2000-01-01T00:00:00Z", []),
        ("from=2000-01-01T00:00:00%2B08:00", list(LATEST_FIRST)),
    ],
)  # fmt: skip
def test_filters(api: Api, query: str, found: list[str]) -> None:
    """Each filter, and several at once, leave the requests that have all of it, in every size of page."""
    assert in_one(pages(api, f"{HERE}&{query}")) == found
    assert in_one(pages(api, f"{HERE}&{query}&limit=1")) == found


def test_times_are_of_the_beginning(api: Api) -> None:
    """`from` is the first moment that counts, `to` the first that does not any more."""
    began = {line["request_id"]: line["began_at"] for line in api.get(HERE).json()["data"]}
    span = f"{HERE}&from={began['r-moved']}&to={began['r-open']}"
    assert ids_of(api.get(span).json()) == ["r-over", "r-rest", "r-moved"]


@pytest.mark.parametrize("limit", [1, 2, 4, 200])
def test_pages_hang_together(api: Api, limit: int) -> None:
    """Of one workspace and of all, every request comes once and in order, whatever the length of a page."""
    found = list(pages(api, f"{HERE}&limit={limit}"))
    assert all(len(page) == limit for page in found[:-1])
    assert in_one(iter(found)) == list(LATEST_FIRST)
    assert in_one(pages(api, f"/requests?limit={limit}")) == ["r-theirs", *LATEST_FIRST]


def test_requests_of_one_moment_come_once(changing: Api) -> None:
    """Where many began in the same microsecond, the names decide, and no page repeats or leaves one out."""
    ask(changing.ledger.url, "update projections.request set began_at = 1")
    names = sorted(LATEST_FIRST, reverse=True)
    assert in_one(pages(changing, f"{HERE}&limit=2")) == names
    assert in_one(pages(changing, "/requests?limit=2")) == ["r-theirs", *names]


@pytest.mark.parametrize("query", ["&status=failed", "&fallback=yes", "&workflow=%3D1%2B1", "&model=none"])
@pytest.mark.parametrize("walked", [1, 2, 3])
def test_what_is_rare_is_found_over_several_pages(
    api: Api, monkeypatch: pytest.MonkeyPatch, query: str, walked: int
) -> None:
    """A page that has looked at so many rows ends, short or empty; its cursor goes on until all is found."""
    whole = in_one(pages(api, HERE + query))
    monkeypatch.setattr(route_ledger_reading, "WALKED_MAX", walked)
    assert in_one(pages(api, HERE + query)) == whole
    assert in_one(pages(api, HERE + query + "&limit=1")) == whole
    assert in_one(pages(api, "/requests?limit=1" + query)) == whole
    rows = api.get(f"{HERE}{query}&format=jsonl").text.splitlines()
    assert [json.loads(row)["request_id"] for row in rows] == whole


def test_a_cursor_belongs_to_what_was_asked(api: Api) -> None:
    """With other filters, another workspace or another key a cursor is refused; with another length or format not."""
    cursor = api.get(f"{HERE}&limit=2").json()["next_cursor"]
    own = own_key(api)
    for query, key in (("&status=open", None), ("", own)):
        assert refusal(api.get(f"{HERE}{query}&cursor={cursor}", key)) == (400, "field_invalid", "cursor")
    assert refusal(api.get(f"/requests?cursor={cursor}")) == (400, "field_invalid", "cursor")
    assert len(api.get(f"{HERE}&limit=1&cursor={cursor}").json()["data"]) == 1
    assert api.get(f"{HERE}&format=csv&cursor={cursor}").status_code == 200


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"), ("limit=201", "limit"), ("limit=10001&format=csv", "limit"), ("format=xml", "format"),
        ("safe=excel", "safe"), ("safe=yes&format=csv", "safe"), ("status=done", "status"), ("tier=gold", "tier"),
        ("fallback=true", "fallback"), ("end_user=me", "end_user"), ("route=%00", "route"), ("run=", "run"),
        ("run=%00", "run"), (f"workflow={'x' * 65}", "workflow"), ("from=yesterday", "from"), ("to=2026-11-21", "to"),
        ("cursor=zzz", "cursor"), ("at_least_position=x", "at_least_position"), ("offset=3", "offset"),
        ("status=open&status=failed", "status"), ("model=%C3%BC", "model"), ("key=a_b", "key"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(api: Api, query: str, field: str) -> None:
    """Unknown, repeated and malformed parameters are refused and named."""
    assert refusal(api.get(f"{HERE}&{query}")) == (400, "field_invalid", field)


@pytest.mark.parametrize("query", ["run=run-1", "key=k1", f"end_user={HASH}", "project=main", "at_least_position=1"])
def test_what_is_a_workspaces_own_needs_its_workspace(api: Api, query: str) -> None:
    """A key of the platform says in which workspace a run, key, end user, project or position is meant."""
    assert refusal(api.get(f"/requests?{query}")) == (400, "field_invalid", "workspace_id")


def rows_of(text: str) -> list[dict[str, str]]:
    """Return the rows of a CSV by column."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_has_every_unit_beside_its_amounts(api: Api) -> None:
    """Rows and cells are those of the JSON; what is unknown is empty, and costs of two attempts are a list."""
    answer = api.get(f"{HERE}&format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text.endswith("\r\n")
    lines, found = api.get(HERE).json()["data"], rows_of(answer.text)
    assert [row["request_id"] for row in found] == list(LATEST_FIRST)
    for line, row in zip(lines, found, strict=True):
        for name in ("held", "charge", "waived", "corrected", "refunded", "paid", "list_price", "discount"):
            assert row[name] == ("" if line[name] is None else line[name]["value"]), name
            assert line[name] is None or line[name]["unit"] == row["unit"]
        overrun = line["platform"]["overrun"] or {"value": "", "unit": ""}
        assert (row["overrun"], row["overrun_unit"]) == (overrun["value"], overrun["unit"])
        assert None not in row
    moved = found[LATEST_FIRST.index("r-moved")]
    assert (moved["cost_unit"], moved["cost"], moved["failed_costs"]) == ("USD", "0.000777000", "0.000333000 USD")
    assert (moved["tokens_uncached_input"], moved["tokens_cache_read"]) == ("1000", "0")
    assert moved["fallback_chain"] == "direct (credit) > cheap (rmb): upstream_account_empty"
    assert moved["entries"] == "credit 12; credit 14; rmb 14; rmb 15; rmb 16"
    running = found[LATEST_FIRST.index("r-open")]
    assert (running["charge"], running["tokens_uncached_input"], running["failed_costs"]) == ("", "", "unknown")


def test_a_customers_export_lacks_the_platforms_columns(api: Api) -> None:
    """CSV and JSON lines of a workspace's key have no column and no member for what is the platform's."""
    own = own_key(api)
    mine, whole = rows_of(api.get("/requests?format=csv", own).text), rows_of(api.get(f"{HERE}&format=csv").text)
    assert whole[0].keys() - mine[0].keys() == {
        "provider", "cost_unit", "cost", "failed_costs", "overrun_unit", "overrun", "price_sources", "own_entries",
    }  # fmt: skip
    lines = [json.loads(line) for line in api.get("/requests?format=jsonl", own).text.splitlines()]
    assert lines == api.get("/requests", own).json()["data"]
    assert all("platform" not in line for line in lines)


def test_a_formula_is_text_for_a_spreadsheet_only_when_asked(api: Api) -> None:
    """Cells are written as they are; with safe=excel a text that would be a formula gets an apostrophe, no number."""
    at = LATEST_FIRST.index("r-over")
    plain, safe = (rows_of(api.get(f"{HERE}&format=csv{more}").text)[at] for more in ("", "&safe=excel"))
    assert (plain["workflow"], safe["workflow"]) == (FORMULA, f"'{FORMULA}")
    assert plain["corrected"] == safe["corrected"] == "-0.002000"


def test_an_export_says_where_it_goes_on(api: Api) -> None:
    """A page of CSV or JSON lines names the next one in two headers; the last one names none."""
    for shape in ("csv", "jsonl"):
        path, found = f"{HERE}&format={shape}&limit=4", []
        while path:
            answer = api.get(path)
            text = answer.text
            found += (
                [row["request_id"] for row in rows_of(text)] if shape == "csv" else
                [json.loads(line)["request_id"] for line in text.splitlines()]
            )  # fmt: skip
            link = answer.headers.get("link", "")
            assert ("x-next-cursor" in answer.headers) == bool(link)
            assert answer.headers.get("x-next-cursor", "") in link
            path = link.removeprefix("</ledger/v1").removesuffix('>; rel="next"')
        assert found == list(LATEST_FIRST)


def test_an_export_takes_many_steps(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than are made ready at a time come in one answer, and no more than were asked for."""
    monkeypatch.setattr("projections.api.requests.EXPORT_STEP", 2)
    assert [row["request_id"] for row in rows_of(api.get(f"{HERE}&format=csv").text)] == list(LATEST_FIRST)
    answer = api.get(f"{HERE}&format=csv&limit=5")
    assert [row["request_id"] for row in rows_of(answer.text)] == list(LATEST_FIRST[:5])
    assert "link" in answer.headers
    monkeypatch.setattr("projections.api.requests.EXPORT_STEPS_MAX", 2)
    assert len(rows_of(api.get(f"{HERE}&format=csv").text)) == 4


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"), ("text/csv", "text/csv; charset=utf-8"),
        ("application/x-ndjson", "application/x-ndjson"),
        ("application/jsonl", "application/x-ndjson"), ("text/csv;q=0.5, application/json", "application/json"),
        ("application/json;q=0.4, text/csv;q=0.5", "text/csv; charset=utf-8"), ("image/png", "application/json"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "application/json"), ("text/csv;q=x", "application/json"),
        ("text/csv;q=0", "application/json"),
    ],
)  # fmt: skip
def test_the_format_may_be_said_in_a_header(api: Api, accept: str, media_type: str) -> None:
    """The Accept header's best liked format is answered, what it names in the query comes first."""
    answer = api.get(HERE, None, Accept=accept)
    assert (answer.headers["content-type"], answer.headers["vary"]) == (media_type, "accept")
    named = api.get(f"{HERE}&format=jsonl", None, Accept=accept)
    assert named.headers["content-type"] == "application/x-ndjson"


def test_a_reader_waits_for_what_it_has_written(changing: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """With at_least_position a page is answered from that position of the route ledger on, or 503 for now."""
    (event,) = do(changing.ledger, release("r-open"))
    path = f"{HERE}&at_least_position={event.position}"
    monkeypatch.setattr(reading, "WAIT_SECONDS_MAX", 0.1)
    behind = changing.get(path)
    assert refusal(behind)[:2] == (503, "unavailable")
    assert behind.json()["position"] < event.position
    follow_requests(changing.ledger)
    assert ids_of(changing.get(f"{path}&status=cancelled").json()) == ["r-open"]
    nobody = changing.get("/requests?workspace_id=nobody&at_least_position=1")
    assert refusal(nobody)[:2] == (404, "workspace_unknown")


def test_only_the_active_generation_is_read(changing: Api) -> None:
    """Rows of a generation that is being filled are in no page."""
    ask(changing.ledger.url, "select projections.create_route_ledger(2)")
    names = "request_id || '-again'"
    columns = [row[0] for row in ask(
        changing.ledger.url,
        "select column_name from information_schema.columns"
        " where table_schema = 'projections' and table_name = 'request' order by ordinal_position",
    )]  # fmt: skip
    taken = ", ".join({"generation": "2", "request_id": names}.get(name, name) for name in columns)
    ask(changing.ledger.url, f"insert into projections.request select {taken} from projections.request")
    assert ids_of(changing.get(HERE).json()) == list(LATEST_FIRST)
    assert ids_of(changing.get("/requests").json()) == ["r-theirs", *LATEST_FIRST]
    run = changing.get(f"/runs?run=run-1&workspace_id={ACME}").json()
    assert (run["requests"], run["failed_attempts"], len(run["data"])) == (3, 2, 3)


def test_posts_and_reads_share_a_path(changing: Api) -> None:
    """POST and GET of /requests are both there, and another method hears of both."""
    body = {"workspace_id": ACME, "request_id": "r-new"}
    assert refusal(changing.post("/requests", body))[:2] == (400, "field_invalid")
    assert changing.command(hold("r-new", route="cheap")).status_code == 201
    refused = changing.send("DELETE", "/requests")
    assert refused.status_code == 405
    assert {"GET", "POST"} <= set(refused.headers["allow"].split(", "))


def test_the_listing_is_described(api: Api) -> None:
    """OpenAPI has each parameter, each format, both views of a line, and every schema that it refers to."""
    document = describe(api.client.app)
    operation = document["paths"]["/ledger/v1/requests"]["get"]
    assert document["paths"]["/ledger/v1/requests"]["post"]["operationId"] == "route_request"
    assert {"workspace_id", "project", "key", "end_user", "workflow", "run", "model", "route", "tier", "provider",
            "bucket", "status", "fallback", "from", "to", "at_least_position", "cursor", "limit", "format",
            "safe"} == {each["name"] for each in operation["parameters"]}  # fmt: skip
    assert operation["responses"]["200"]["content"].keys() == {"application/json", "text/csv", "application/x-ndjson"}
    schemas = document["components"]["schemas"]
    both = [schemas[name]["properties"].keys() for name in ("RequestLine", "CustomerRequestLine")]
    assert both[0] - both[1] == {"platform"}
    referred = {reference.rpartition("/")[2] for reference in references(document) if "/schemas/" in reference}
    assert referred <= schemas.keys()


# Schemathesis itself rolls dice inside its strategies, of which Hypothesis warns.
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisDeprecationWarning")
@pytest.mark.slow
@pytest.mark.parametrize("path", ["/ledger/v1/requests", "/ledger/v1/runs"])
def test_the_server_keeps_to_its_description(api: Api, path: str) -> None:
    """Calls made up from the description are answered with declared statuses and shapes, and never with a 500."""
    operation = schemathesis.openapi.from_dict(describe(api.client.app))[path]["GET"]

    @EXAMPLES
    @given(case=operation.as_strategy())
    def keeps_to_it(case: Any) -> None:
        sent = case.as_transport_kwargs(base_url="http://testserver")
        headers = {**sent.pop("headers", {}), "Authorization": f"Bearer {api.root}"}
        sent = {name: value for name, value in sent.items() if name in {"method", "url", "params"}}
        case.validate_response(api.client.request(headers=headers, **sent), checks=CHECKS)

    keeps_to_it()


def test_the_client_reads_requests_and_runs(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client yields lines over several pages: the platform's with its own facts, a customer's without."""
    monkeypatch.setattr("gateway.ledger_calls.PAGE_LIMIT", "2")
    tell_requests(ledger)
    with serving(ledger, free_port()) as address:
        with LedgerClient(address, token(ledger)) as client:
            whole = list(client.requests(workspace_id=ACME))
            moved = list(client.requests(workspace_id=ACME, fallback=True, begin=0, end=4 * 10**15))
            run = client.run("run-1", ACME)
            rest = client.run("run-1", ACME, run.next_cursor)
        with LedgerClient(address, token_of(ledger, "own")) as customer:
            shown = list(customer.requests(status="failed"))
            own = customer.run("run-1")
    assert [line.request_id for line in whole] == list(LATEST_FIRST)
    assert {type(line) for line in whole} == {RequestLine}
    assert [line.request_id for line in moved] == ["r-moved"]
    assert [(type(line), line.request_id) for line in shown] == [(CustomerRequestLine, "r-failed")]
    assert [line.request_id for line in (*run.data, *rest.data)] == ["r-plain", "r-moved", "r-open"]
    assert (type(run).__name__, type(own).__name__) == ("RunView", "CustomerRunView")
