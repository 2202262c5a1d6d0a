"""(h): bytes per event in the database, and the memory of a process after many commands."""

import msgspec
import psycopg
import pytest

from tests.bench.conftest import NewBooks
from tests.bench.processes import Child, running
from tests.bench.report import Report
from tests.bench.scene import spread_names
from tests.bench.sizes import Size
from tests.bench.worker import Job, Result

pytestmark = pytest.mark.bench

BATCH_SIZE = 1000
SIZES = """
select (select count(*) from ledger.event)::float8,
    pg_relation_size('ledger.event')::float8, pg_total_relation_size('ledger.event')::float8,
    (select sum(pg_total_relation_size(oid)) from pg_class
        where relnamespace = 'ledger'::regnamespace and relkind = 'r')::float8
"""


def post(worker: Child, workspaces: list[str], prefix: str, commands: int, lag: int) -> Result:
    """Let a worker post commands, and return what it came to."""
    worker.say(msgspec.json.encode(Job(workspaces, prefix, lag, commands, BATCH_SIZE)).decode())
    assert worker.hear() == "ready"
    worker.say("go")
    return msgspec.json.decode(worker.hear(), type=Result)


def read_sizes(url: str) -> tuple[float, float, float, float]:
    """Return the number of events, and the bytes of their rows, of those with indexes, and of the whole write side."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum analyze ledger.wallet, ledger.book, ledger.hold, ledger.budget")
        row = connection.execute(SIZES).fetchone()
    assert row is not None
    return row[0], row[1], row[2], row[3]


def test_memory_stays_flat(new_books: NewBooks, report: Report, size: Size) -> None:
    """Memory of one process after a tenth of its commands and after all; bytes of what they left on disk."""
    url = new_books()
    before = read_sizes(url)
    names = spread_names(size.workspaces)
    first, last = size.memory_marks
    with running("tests.bench.worker", url) as worker:
        early = post(worker, names, "m1-", first, size.lag)
        late = post(worker, names, "m2-", last - first, size.lag)
    after = read_sizes(url)
    events = after[0] - before[0]
    for title, place in (("rows of events alone", 1), ("events with their indexes", 2), ("all of the write side", 3)):
        report.add("h", f"bytes per event: {title}", [(after[place] - before[place]) / events], "bytes")
    report.add("h", f"memory after {first:,} commands", [early.resident_bytes / 2**20], "MiB")
    report.add("h", f"memory after {last:,} commands", [late.resident_bytes / 2**20], "MiB")
    report.want("h", "memory, late ÷ early", late.resident_bytes / early.resident_bytes, at_most=1.1)
    report.add(
        "h", f"commands from {first:,} to {last:,}, spread, batch {BATCH_SIZE:,}", [(last - first) / late.seconds]
    )
