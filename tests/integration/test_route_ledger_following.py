"""The route ledger followed: a row for each request, spend that is the sum of the rows, in whatever pages they come."""

import json
from contextlib import closing
from datetime import UTC, datetime
from time import monotonic, sleep
from typing import Any, get_args

import msgspec
import psycopg
import pytest
from psycopg import ClientCursor

from ledger.core.amounts import StatedAmount
from ledger.request.events import ChargeCorrected
from ledger.service import Ledger
from ledger.store.queries import load_queries
from projections.connections import connect_projector, run
from projections.copying import copy_rows
from projections.following import Page
from projections.replay import replay
from projections.route_ledger.encoding import encode_requests
from projections.route_ledger.rows import Detail, PlacedEntry, RequestRow, RouteTaken
from projections.route_ledger.spending import SpendCell, Sums
from projections.route_ledger.writing import RouteLedger, read_rows
from tests.integration.read_side import ask, follow, tell
from tests.integration.route_tables import (
    ROUTE_PARTS,
    follow_all,
    follow_routes,
    request_rows,
    route_tables,
    spending_in,
    tell_late,
)
from tests.integration.scenes import ACME, do, hold, record, set_up, settle, workspace_commands
from tests.integration.test_followers import followers, forge, progress, wait_until_followed
from tests.unit.route_rows import spending_of

QUERIES = load_queries("projections.sql", "route_ledger.sql")
FORGET = f"truncate {', '.join(f'projections.{part}' for part in ROUTE_PARTS)}, projections.progress"


def test_every_request_has_its_row(ledger: Ledger) -> None:
    """Of every kind of command the row tells what came of it; a request that was never routed has none."""
    set_up(ledger)
    tell(ledger)
    assert follow_routes(ledger.url) == 46
    rows = {row.request_id: row for row in request_rows(ledger.url)}
    found = {name: (row.status, row.bucket, row.route, row.held_minor, row.charge_minor) for name, row in rows.items()}
    assert found == {
        "r-settled": ("settled", "credit", "direct", 0, 12_000 + 2_000 - 4_000),
        "r-open": ("open", "credit", "direct", 3_500_000, None),
        "r-moved": ("open", "rmb", "cheap", 7_000_000, None),
        "r-spared": ("open", "credit", "spare", 3_000_000, None),
        "r-late": ("settled", "credit", "direct", 0, 12_000),
        "r-over": ("settled", "credit", "direct", 0, 12_000_000_000),
    }
    over = rows["r-over"]
    assert (over.paid_minor or 0) + (over.overrun_minor or 0) == over.charge_minor
    assert over.overrun_minor
    assert rows["r-settled"].refunded_minor == 1000
    assert rows["r-moved"].detail.entries == [
        PlacedEntry("credit", 20),
        PlacedEntry("credit", 21),
        PlacedEntry("rmb", 21),
    ]


def test_entries_are_where_the_journal_has_them(ledger: Ledger) -> None:
    """The entries that a row names, its own and the platform's, are those of the journal."""
    set_up(ledger)
    tell_late(ledger)
    tell(ledger)
    follow_all(ledger.url)
    named = {
        (row.request_id, entry.bucket, entry.position)
        for row in request_rows(ledger.url)
        for entry in (*row.detail.entries, *row.detail.own_entries)
    }
    assert named == set(
        ask(ledger.url, "select request_id, bucket, position from projections.entry where request_id is not null")
    )


@pytest.mark.parametrize("events_max", [1, 3, 4000])
def test_spend_is_the_sum_of_the_rows(ledger: Ledger, events_max: int) -> None:
    """In pages of one event, of a few or of all, after everything that came late, spend is what the rows say."""
    set_up(ledger)
    tell_late(ledger)
    tell(ledger)
    follow_routes(ledger.url, events_max)
    spending = spending_in(ledger.url)
    assert spending == spending_of(request_rows(ledger.url))
    assert len(spending) >= 5
    assert not [sums for sums in spending.values() if sums.is_empty()]
    assert not [line for sums in spending.values() for line in sums.lines.values() if not any(line)]


def test_pages_of_any_size_make_the_same_tables(ledger: Ledger) -> None:
    """Followed event by event, three by three or all at once, the tables are the same row for row."""
    set_up(ledger)
    record(ledger, workspace_commands("other"))
    tell_late(ledger)
    tell(ledger)
    tell_late(ledger, "other")
    follow_routes(ledger.url)
    at_once = route_tables(ledger.url)
    assert [len(at_once[part]) >= 5 for part in ROUTE_PARTS] == [True] * 4
    for events_max in (1, 3):
        ask(ledger.url, FORGET)
        follow_routes(ledger.url, events_max)
        assert route_tables(ledger.url) == at_once


def test_the_projections_are_followed_by_themselves(ledger: Ledger) -> None:
    """How far one projection came says nothing about the other."""
    set_up(ledger)
    do(ledger, hold("r1"), settle("r1"))
    assert follow(ledger.url) == follow_routes(ledger.url)
    do(ledger, hold("r2"))
    assert follow(ledger.url) == 1
    positions = ask(
        ledger.url, "select projection, position from projections.progress where workspace_id = 'acme' order by 1"
    )
    assert positions == [("journal", 10), ("route_ledger", 9)]
    assert follow_routes(ledger.url) == 1


def test_a_settlement_changes_its_row_in_place(ledger: Ledger) -> None:
    """Nothing that an ordinary settlement changes is in an index: the row is updated on its own page."""
    set_up(ledger)
    do(ledger, *(hold(f"r{number}", "0.05") for number in range(30)))
    follow_routes(ledger.url)
    do(ledger, *(settle(f"r{number}") for number in range(0, 30, 10)))
    follow_routes(ledger.url)
    query = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relid = 'projections.request_1'::regclass"
    deadline = monotonic() + 10
    # What a session has counted is there to see a moment after its end.
    while ask(ledger.url, query)[0][0] < 3 and monotonic() < deadline:
        sleep(0.02)
    assert ask(ledger.url, query) == [(3, 3)]


def test_an_event_that_does_not_fit_leaves_the_row_as_it_was(ledger: Ledger) -> None:
    """A correction of what was never charged stops the book before it; what came before is there, and nothing of it."""
    set_up(ledger)
    do(ledger, hold("r1"))
    event = ChargeCorrected("c1", "direct", "credit", "CREDIT", 5, "mistake")
    fact = {"actor": "a", "effective_at": 1, "catalog_position": 1, "event": msgspec.to_builtins(event)}
    bad = forge(ledger.url, msgspec.json.encode(fact), "charge_corrected.v1", "request/r1")
    follow_routes(ledger.url)
    position, failed_position, failure = progress(ledger.url)[ACME]
    assert (position, failed_position) == (bad - 1, bad)
    assert "before it was made" in (failure or "")
    (row,) = request_rows(ledger.url)
    assert (row.last_position, row.charge_minor, row.detail.amendments) == (bad - 1, None, [])
    assert spending_in(ledger.url) == {}


def test_sums_may_be_larger_than_any_amount(ledger: Ledger) -> None:
    """Two hundred of the largest charges in one page and quarter add up exactly, past what 64 bits hold."""
    set_up(ledger)
    stated: dict[str, Any] = {"route": "own-price"}
    largest = StatedAmount(str(10**11), "CREDIT")
    names = [f"r{number}" for number in range(200)]
    when = datetime.now(UTC)
    do(ledger, *(hold(name, "0.01", **stated) for name in names))
    do(ledger, *(settle(name, charge=largest, effective_at=when, **stated) for name in names))
    follow_routes(ledger.url)
    (sums,) = spending_in(ledger.url).values()
    assert sums.charge_minor == 200 * 10**17 > 2**64
    assert replay(ledger.url, verify=True).differences == ()


def settled_state(charge_minor: int, reported_model: str = "gpt-5") -> bytes:
    """Return the stored bytes of a settlement."""
    usage = {"input_tokens": 1, "output_tokens": 0, "parts": {"uncached_input": 1}}
    event = {
        "tag": "tokens_settled.v1", "attempt": 1, "route": "direct", "bucket": "credit", "unit": "CREDIT",
        "reported_model": reported_model, "usage": usage, "usage_source": "reported", "charge_minor": charge_minor,
        "captured_minor": charge_minor, "released_minor": 0, "from_available_minor": 0, "overrun_minor": 0,
        "latency_ms": 1,
    }  # fmt: skip
    return json.dumps({"actor": "a", "effective_at": 1, "catalog_position": 1, "event": event}).encode()


@pytest.mark.parametrize("state", [settled_state(2**63), settled_state(10**25), settled_state(5, "gpt\0")])
@pytest.mark.parametrize("is_followed", [False, True], ids=["in one page", "begun before"])
def test_what_the_database_refuses_stops_its_book_only(ledger: Ledger, state: bytes, is_followed: bool) -> None:
    """A number or a text that no column takes is found among many events and named; other books go on."""
    set_up(ledger)
    record(ledger, workspace_commands("other"))
    do(ledger, *(hold(f"r{number}", "0.05") for number in range(30)))
    if is_followed:
        follow_routes(ledger.url)
    do(ledger, *(settle(f"r{number}") for number in range(29)), hold("r1", workspace_id="other"))
    bad = forge(ledger.url, state, "tokens_settled.v1", "request/r29")
    with followers(ledger.url, projection=RouteLedger(), interval_seconds=0.005):
        wait_until_followed(ledger.url)
    position, failed_position, failure = progress(ledger.url)[ACME]
    assert (position, failed_position, failure is not None) == (bad - 1, bad, True)
    assert [row.status for row in request_rows(ledger.url)] == ["settled"] * 29 + ["open"] * 2


def test_a_second_routing_of_a_request_stops_its_book(ledger: Ledger) -> None:
    """A request that begins twice is refused by the database: its row stays, and the event is named."""
    set_up(ledger)
    do(ledger, hold("r1"))
    follow_routes(ledger.url)
    state = ask(ledger.url, "select state from ledger.event where workspace_id = 'acme' and stream = 'request/r1'")[0][
        0
    ]
    forge(ledger.url, bytes(state), "request_routed.v1", "request/r1")
    with pytest.raises(psycopg.errors.UniqueViolation):
        follow_routes(ledger.url, 1)
    assert len(request_rows(ledger.url)) == 1


@pytest.mark.parametrize(
    ("table", "fields"),
    [
        ("request", RequestRow.__struct_fields__),
        ("spend_cell", ("workspace_id", "generation", "cell", *SpendCell.__struct_fields__[1:])),
        ("spend", ("workspace_id", "generation", "quarter", "cell", *Sums.__struct_fields__[:-1])),
    ],
)
def test_fields_stand_in_the_order_of_the_columns(database_url: str, table: str, fields: tuple[str, ...]) -> None:
    """A row's fields are the columns of its table, one by one: rows are read and copied by their places."""
    query = "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 order by attnum"
    columns = ask(database_url, query, f"projections.{table}")
    assert tuple(name for (name,) in columns) == fields


def numbered_row(empty: bool) -> RequestRow:
    """Return a row with another value in each field; nothing in those that may be empty, if told so."""
    values: dict[str, Any] = {"generation": 1, "status": "open", "went_wrong": True, "unpriced": False}
    values |= {"model_mismatch": True, "detail": Detail([RouteTaken("¥", "b", "c", "d")], terms=["x"])}
    for number, field in enumerate(msgspec.structs.fields(RequestRow)):
        if field.name in values:
            continue
        is_number = field.type is int or int in get_args(field.type)
        value: int | str = number if is_number else f"{field.name} ¥"
        values[field.name] = None if empty and type(None) in get_args(field.type) else value
    return RequestRow(**values)


@pytest.mark.parametrize("empty", [False, True])
def test_rows_arrive_as_they_were_sent(database_url: str, empty: bool) -> None:
    """A row that is copied and read again is in the database what it was in the program, field by field."""
    row = numbered_row(empty)
    with closing(connect_projector(database_url, "test")) as connection:
        copy_rows(connection, "copy_requests", "request", encode_requests([row]))
        assert request_rows(database_url) == [row]
        event = (row.workspace_id, 1, f"request/{row.request_id}", "hold_extended.v1", 1, b"")
        assert list(read_rows(connection, 1, [Page(row.workspace_id, 0, [event])])) == [row]


FROM_THE_BEGINNING = (
    "request_id", "workspace_id", "generation", "position", "began_at", "project_id", "api_key_id", "end_user",
    "workflow", "run", "step", "model", "first_route", "first_bucket", "first_rate_card", "trace_id",
)  # fmt: skip
"""What of a request never changes."""


def test_a_change_reaches_every_column_that_may_change(database_url: str) -> None:
    """A row that is written again has every field anew, but those that were settled when the request began."""
    before = numbered_row(empty=True)
    after = msgspec.structs.replace(numbered_row(empty=False), status="settled", went_wrong=False, unpriced=True)
    with closing(connect_projector(database_url, "test")) as connection:
        copy_rows(connection, "copy_requests", "request", encode_requests([before]))
        run(connection, QUERIES["change_requests"], (msgspec.json.encode([after]).decode(),))
    fixed = {name: getattr(before, name) for name in FROM_THE_BEGINNING}
    assert request_rows(database_url) == [msgspec.structs.replace(after, **fixed)]


MORE_CELLS = """
insert into projections.spend
select more.*
from projections.spend
cross join generate_series(1, 9)
cross join json_populate_record(
    spend, json_build_object('cell', md5(spend.cell::text || generate_series)::uuid)) as more
"""


@pytest.mark.parametrize("name", QUERIES)
def test_a_page_finds_its_rows_by_key(ledger: Ledger, name: str) -> None:
    """In a book of some hundred requests that nobody has analyzed, each statement of a page goes by the primary key."""
    set_up(ledger)
    for start in range(0, 600, 200):
        numbers = range(start, start + 200)
        do(ledger, *(hold(f"r{number}", "0.05", run=f"run-{number}") for number in numbers))
        do(ledger, *(settle(f"r{number}") for number in numbers))
    follow_routes(ledger.url)
    ask(ledger.url, MORE_CELLS)
    query = QUERIES[name]
    for number in range(1, query.count("%b") + 1):
        query = query.replace("%b", f"${number}", 1)
    with closing(connect_projector(ledger.url, "test")) as connection:
        found = ClientCursor(connection).execute("explain (generic_plan) " + query).fetchall()
    plan = [str(line) for (line,) in found]
    assert not [line for line in plan if "Hash" in line or "Merge" in line or "Seq Scan" in line]
    scans = [line for line in plan if "Index Scan" in line]
    assert scans == [line for line in scans if "_pkey" in line]
    assert len(scans) == (name not in {"change_requests", "add_cells", "add_spend", "add_lines"})
