"""(m) to (q): what can be asked of a history of two weeks, and what it costs to have it answered. It is loaded once."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ledger.core.commands import to_datetime
from projections.api.parameters import LIMIT_MAX
from tests.bench.conftest import copy_database
from tests.bench.following import wait_until_level
from tests.bench.history import DAYS, KEYS, SPAN_MICROSECONDS, request_id_of
from tests.bench.history_books import HistoryBooks, fill_books
from tests.bench.history_catalog import COMMON_ROUTE, RARE_ROUTE, UNITS
from tests.bench.http_reads import Reads, path_of_read, served
from tests.bench.read_side_room import read_room
from tests.bench.report import Report
from tests.bench.scene import HOT
from tests.bench.sizes import Size
from tests.conftest import drop_database

pytestmark = pytest.mark.bench

RECEIPT_MS, PAGE_MS, CHANGE_SECONDS = 10, 30, 3
"""What is wanted of a receipt and a page at the 99th percentile, and of an explanation each time."""

FEW = 100
MIDDLES = 20
Query = dict[str, str | int | None]
FLUSH = "select count(state) from ledger.event"
REQUESTS, CHANGE, SPEND = "/requests", "/spend/change", "/spend"


@pytest.fixture(scope="module")
def books(server_url: str, template_database: str, size: Size) -> Iterator[HistoryBooks]:
    """A database with the history, its projections built anew."""
    name = f"history_{uuid4().hex[:12]}"
    copy_database(server_url, template_database, name)
    yield fill_books(make_conninfo(server_url, dbname=name), size.history_requests)
    drop_database(server_url, name)


@pytest.fixture(scope="module")
def reads(books: HistoryBooks) -> Iterator[Reads]:
    """A server on these books."""
    with served(books.url) as made:
        wait_until_level(books.url)
        yield made


def test_building_the_projections_anew(books: HistoryBooks, report: Report) -> None:
    """Events per second of a rebuild of each projection, and commands per second of the load before."""
    report.add("m", "the history: commands of one caller, batch 1,000", [books.commands / books.seconds])
    rates = {
        name: report.add("m", f"rebuild of {name}, events", [built.events / built.seconds])
        for name, built in books.built.items()
    }
    report.want("m", "rebuild, route_ledger ÷ journal", rates["route_ledger"] / rates["journal"])


def test_room_of_the_read_side(books: HistoryBooks, report: Report) -> None:
    """Bytes per request of each projection, as a rebuild leaves them."""
    for projection, parts in read_room(books.url).items():
        rows = sum(room.rows for room in parts.values())
        total = sum(room.total for room in parts.values())
        details = {part: room.total / books.requests for part, room in parts.items()}
        report.add("q", f"{projection}: rows alone", [rows / books.requests], "bytes")
        report.add("q", f"{projection}: with indexes", [total / books.requests], "bytes", details)


def test_receipts(books: HistoryBooks, reads: Reads, report: Report, size: Size) -> None:
    """Time of a receipt for the platform and for its workspace; each receipt is another one."""
    samples = (books.samples * (size.receipts // len(books.samples) + 1))[: size.receipts]
    of_all = [
        path_of_read(f"{REQUESTS}/{request_id_of(each, number % 4)}", workspace_id=each.workspace_id)
        for number, each in enumerate(samples)
    ]
    own = [f"{REQUESTS}/{request_id_of(each, 0)}" for each in samples if each.workspace_id == HOT]
    for name, paths, token in (("platform", of_all, None), ("customer", own, books.customer_token)):
        assert reads.look(paths[-1], token)["status"] != "open"
        result = reads.time(paths, token)
        report.add("n", f"{name}: p50", [result.p50_ms], "ms", {"receipts": len(paths)})
        report.want("n", f"{name}: p99", result.p99_ms, "ms", at_most=RECEIPT_MS)


def pages_of(books: HistoryBooks, reads: Reads) -> dict[str, list[str]]:
    """Return what pages are asked for, by name, each with paths that are read in turn."""
    runs: list[Query] = [{"workspace_id": each.workspace_id, "run": each.run} for each in books.samples if each.run]
    of_one: Query = {"workspace_id": HOT}
    asked: dict[str, list[Query]] = {
        "all workspaces": [{}],
        "one workspace": [of_one],
        "of a run": runs,
        "of a key": [{**of_one, "key": KEYS[1]}],
        "of a common route": [{**of_one, "route": COMMON_ROUTE}],
        "of a rare route": [{**of_one, "route": RARE_ROUTE}],
        "of a rare route, all workspaces": [{"route": RARE_ROUTE}],
        "fallback=yes": [{**of_one, "fallback": "yes"}],
        "fallback=yes, all workspaces": [{"fallback": "yes"}],
        "of what never occurs": [{**of_one, "model": "deep", "route": COMMON_ROUTE}],
    }
    found = {name: [path_of_read(REQUESTS, **query) for query in each] for name, each in asked.items()}
    for name in ("all workspaces", "one workspace"):
        found[f"{name}, in the middle"] = middles_of(books, reads, asked[name][0])
    found["a run with its totals"] = [path_of_read("/runs", **query) for query in runs]
    return found


def middles_of(books: HistoryBooks, reads: Reads, query: Query) -> list[str]:
    """Return pages from all over the history, each behind a cursor."""
    paths = []
    for part in range(1, MIDDLES + 1):
        until = to_datetime(books.began_at + SPAN_MICROSECONDS * part // (MIDDLES + 1)).isoformat()
        cursor = reads.look(path_of_read(REQUESTS, **query, to=until, limit=1))["next_cursor"]
        paths.append(path_of_read(REQUESTS, **query, to=until, cursor=cursor))
    return paths


def test_pages_of_the_route_ledger(books: HistoryBooks, reads: Reads, report: Report, size: Size) -> None:
    """Time of a page, first and in the middle, of one workspace and of all, under filters that find much or little."""
    for name, paths in pages_of(books, reads).items():
        add_pages(report, name, reads, (paths * size.pages)[: size.pages])
    add_pages(report, "a workspace's own key", reads, [REQUESTS] * size.pages, books.customer_token)
    longest = path_of_read(REQUESTS, workspace_id=HOT, limit=LIMIT_MAX)
    add_pages(report, f"one workspace, {LIMIT_MAX} requests", reads, [longest] * size.pages, at_most=None)


def add_pages(
    report: Report, name: str, reads: Reads, paths: list[str], token: str | None = None, at_most: float | None = PAGE_MS
) -> None:
    """Read pages, and add how long they took and how many requests the first of them had."""
    page = reads.look(paths[0], token)
    result = reads.time(paths, token)
    report.add("o", f"{name}: p50", [result.p50_ms], "ms", {"requests": len(page["data"])})
    report.want("o", f"{name}: p99", result.p99_ms, "ms", at_most=at_most)


def test_what_is_rare(reads: Reads, report: Report) -> None:
    """Time until a hundred requests of a rare route are there: a page looks at so many rows, and the next goes on."""
    path = path_of_read(REQUESTS, workspace_id=HOT, route=RARE_ROUTE, limit=FEW)
    found = pages = 0
    milliseconds = 0.0
    cursor = None
    while found < FEW and (pages == 0 or cursor):
        following = path if cursor is None else f"{path}&cursor={cursor}"
        milliseconds += reads.time([following]).p50_ms
        page = reads.look(following)
        found, pages, cursor = found + len(page["data"]), pages + 1, page["next_cursor"]
    details = {"requests": found, "pages": pages}
    report.add("o", f"of a rare route, page after page until there are {FEW}", [milliseconds], "ms", details)


def flush_buffers(url: str) -> None:
    """Have the database read so much else that nothing of the read side is left in its own memory."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set enable_seqscan = off")
        connection.execute("set enable_bitmapscan = off")
        connection.execute(FLUSH)


def day_of(books: HistoryBooks, days: int) -> str:
    """Return the day so many days after the history began."""
    return f"{to_datetime(books.began_at) + timedelta(days):%Y-%m-%d}"


def test_explanations(books: HistoryBooks, reads: Reads, report: Report, size: Size) -> None:
    """Time of `why`, cold (nothing in the database's own memory) and warm, and of spend by day and model."""
    begin, middle, end = (day_of(books, days) for days in (0, DAYS // 2, DAYS))
    weeks: Query = {"from": middle, "to": end, "against": begin}
    both: Query = {"from": begin, "to": end}
    asked = {
        "why, charge": path_of_read(CHANGE, **weeks),
        "why, charge by workflow": path_of_read(CHANGE, **weeks, by="workflow"),
        "why, cost": path_of_read(CHANGE, **weeks, measure="cost"),
        "why, charge of one workspace": path_of_read(CHANGE, **weeks, workspace_id=HOT),
        "spend of both weeks by day and model": path_of_read(SPEND, **both, every="day", by="model"),
    }
    for name, path in asked.items():
        flush_buffers(books.url)
        cold = reads.time([path]).p50_ms / 1000
        warm = [reads.time([path]).p50_ms / 1000 for _ in range(size.changes)]
        report.add("p", f"{name}, warm", warm, "s")
        report.want("p", f"{name}, cold", cold, "s", at_most=CHANGE_SECONDS)
        report.want("p", f"{name}, warm, slowest", max(warm), "s", at_most=CHANGE_SECONDS)
    change = reads.look(asked["why, charge"])
    assert change["complete"]
    assert {place["bucket"] for place in change["places"]} == set(UNITS)
    for place in change["places"]:
        effects = sum(Decimal(term["effect"]["value"]) for term in place["terms"])
        assert effects == Decimal(place["difference"]["value"])
