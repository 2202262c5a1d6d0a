"""The statements of the route ledger walk the index that begins with what is asked for, and never the whole table."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.operating import MOMENT_MAX
from ledger.service import Ledger
from ledger.store.queries import load_queries
from projections.route_ledger.listing import RequestFilters
from projections.route_ledger.reading import WALKED_MAX, statement_for
from tests.integration.requests_scene import tell_requests
from tests.integration.scenes import ACME, HASH

STATEMENTS = load_queries("projections.sql", "requests.sql")
ROWS = 6_000
FILTERS = (
    "api_key_id", "run", "end_user", "fallback", "project_id", "workflow", "model", "route", "tier", "provider",
    "bucket", "status",
)  # fmt: skip
MULTIPLY = f"""
    insert into projections.request
    select (json_populate_record(request, json_build_object(
        'workspace_id', case when number % 3 = 0 then 'other' else '{ACME}' end, 'request_id', 'many-' || number,
        'began_at', number * 1000, 'run', 'run-' || number / 40,
        'api_key_id', case when number < 2000 then 'k-retired' else 'k' || number % 20 end,
        'end_user', lpad((number % 500)::text, 64, '0'), 'went_wrong', number % 40 = 0, 'fallbacks', number % 80 / 79
    ))).*
    from projections.request cross join generate_series(1, {ROWS}) as number
    where request.workspace_id = '{ACME}' and request.request_id = 'r-plain'"""


@pytest.fixture(scope="module")
def many(module_ledger: Ledger) -> Iterator[Connection[TupleRow]]:
    """A route ledger of many requests of two workspaces, known to the planner."""
    tell_requests(module_ledger)
    with psycopg.connect(module_ledger.url, autocommit=True) as connection:
        connection.execute(MULTIPLY.encode())
        connection.execute(b"analyze projections.request")
        yield connection


def asked_for(**asked: Any) -> dict[str, Any]:
    """Return the parameters of a statement: what is asked, and all else left out."""
    return {
        "workspace_id": ACME, **dict.fromkeys(FILTERS), "begin": 0, "last_began_at": MOMENT_MAX, "last_request_id": "",
        "last_workspace_id": "", "walked_max": WALKED_MAX, "limit": 51, **asked,
    }  # fmt: skip


def plan_of(connection: Connection[TupleRow], statement: str, **asked: Any) -> str:
    """Return the plan of a statement for what is asked."""
    rows = connection.execute(b"explain " + STATEMENTS[statement].encode(), asked_for(**asked)).fetchall()
    return "\n".join(row[0] for row in rows)


def filters_of(asked: dict[str, Any]) -> RequestFilters:
    """Return the filters that ask for the same."""
    known = {name: value for name, value in asked.items() if name in RequestFilters.__struct_fields__}
    return RequestFilters(**{"workspace_id": ACME, "begin": 0, "end": MOMENT_MAX, **known})


def index_of(connection: Connection[TupleRow], parent: str) -> str:
    """Return the name of an index in the active generation's part of the table."""
    query = b"select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass"
    ((name,),) = connection.execute(query, (f"projections.{parent}",)).fetchall()
    return str(name).removeprefix("projections.")


@pytest.mark.parametrize(
    ("asked", "index"),
    [
        ({}, "request_by_time"), ({"workspace_id": "other"}, "request_by_time"),
        ({"api_key_id": "k7"}, "request_by_key"),
        ({"api_key_id": "k-retired"}, "request_by_key"),
        ({"run": "run-9"}, "request_by_run"), ({"run": "run-9", "status": "open"}, "request_by_run"),
        ({"end_user": HASH}, "request_by_end_user"), ({"fallback": True}, "request_that_went_wrong"),
        ({"end_user": HASH, "model": "gpt-5", "last_began_at": 9_000_000}, "request_by_end_user"),
    ],
)  # fmt: skip
def test_a_page_walks_the_index_of_what_is_asked(many: Connection[TupleRow], asked: dict[str, Any], index: str) -> None:
    """A key, a run, an end user, what went wrong, or time alone: each page is in the order of its index."""
    plan = plan_of(many, statement_for(filters_of(asked)), **asked)
    assert f"Index Scan Backward using {index_of(many, index)} on" in plan
    assert "Seq Scan on request" not in plan
    assert "Sort" not in plan


@pytest.mark.parametrize("asked", [{}, {"status": "open"}, {"fallback": True}])
def test_a_page_of_all_walks_time(many: Connection[TupleRow], asked: dict[str, Any]) -> None:
    """Over all workspaces a page is in the order of the index of time, whatever else is asked for."""
    plan = plan_of(many, "read_requests_of_all", **asked)
    assert f"Index Scan Backward using {index_of(many, 'request_by_time_of_all')} on" in plan
    assert "Sort" not in plan


@pytest.mark.parametrize("statement", ["read_run", "sum_run_requests", "sum_run_failures"])
def test_a_run_is_found_by_its_index(many: Connection[TupleRow], statement: str) -> None:
    """A run's page and its sums look at the rows of that run alone."""
    plan = plan_of(many, statement, run="run-9", last_began_at=0)
    assert index_of(many, "request_by_run") in plan
    assert "Seq Scan on request" not in plan


def test_a_page_looks_at_a_bounded_number_of_rows(many: Connection[TupleRow]) -> None:
    """What no row has costs as many rows as a page may look at, and not the whole ledger."""
    statement = b"explain (analyze, format json, timing off) " + STATEMENTS["read_requests"].encode()
    ((plan,),) = many.execute(statement, asked_for(status="expired", walked_max=500)).fetchall()
    assert max(rows_of(plan[0]["Plan"])) == 500


def rows_of(plan: Any) -> Iterator[float]:
    """Yield how many rows each step of a plan has made."""
    yield plan["Actual Rows"]
    for inner in plan.get("Plans", ()):
        yield from rows_of(inner)
