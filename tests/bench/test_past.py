"""(r) to (v): what finance and auditors ask of a year of books, and how long each takes. The books are made once."""

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from io import StringIO
from pathlib import Path
from random import Random
from time import perf_counter
from uuid import uuid4

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg.conninfo import make_conninfo

from gateway.signing_key import publish_first_key
from ledger.checkpoint.note import Signer
from ledger.core.commands import to_datetime, to_microseconds
from ledger.service import Ledger
from ledger.store.checkpoints import make_checkpoint, read_origin
from projections.audit.verify_export import verify as verify_export
from projections.audit.verifying import verify
from projections.exports.scope import Scope
from projections.replay import replay
from tests.bench.conftest import copy_database
from tests.bench.exporting import export_apart
from tests.bench.following import wait_until_level
from tests.bench.http_reads import Reads, path_of_read, served
from tests.bench.measure import interleave, timed
from tests.bench.past import DAY_MICROSECONDS
from tests.bench.past_books import PastBooks, fill_past
from tests.bench.report import Report
from tests.bench.scene import HOT
from tests.bench.sizes import Size
from tests.conftest import drop_database

pytestmark = pytest.mark.bench

BALANCE_MS = 1000
MEGABYTE = 2**20
PLAIN_MEGABYTES, PARQUET_MEGABYTES = 100, 300
CSV_SHARE = 0.4
CSV, COPY = "csv", "COPY of the same rows by psycopg"
BARE = """
copy (
    select leg.workspace_id, leg.position, leg.bucket, leg.leg, entry.tag, entry.request_id, entry.effective_at,
        entry.recorded_at, leg.debit_account, leg.credit_account, leg.minor
    from projections.leg
    join projections.entry on entry.workspace_id = leg.workspace_id and entry.generation = leg.generation
        and entry.bucket = leg.bucket and entry.position = leg.position
    order by leg.workspace_id, leg.position, leg.bucket, leg.leg
) to stdout (format csv)
"""


@pytest.fixture(scope="module")
def books(server_url: str, template_database: str, size: Size) -> Iterator[PastBooks]:
    """A database with a year in it, its projections built anew."""
    name = f"past_{uuid4().hex[:12]}"
    copy_database(server_url, template_database, name)
    yield fill_past(make_conninfo(server_url, dbname=name), size.past_events, size.past_days, size.past_workspaces)
    drop_database(server_url, name)


@pytest.fixture(scope="module")
def reads(books: PastBooks) -> Iterator[Reads]:
    """A server on these books."""
    with served(books.url) as made:
        wait_until_level(books.url)
        yield made


def test_a_year_of_books(books: PastBooks, report: Report) -> None:
    """Events per second that the books were made with, and that each projection was built with."""
    report.add("r", "events written with their chain and keys", [books.events / books.seconds], details=books.sizes)
    for name, seconds in books.rebuilt.items():
        report.add("r", f"rebuild of {name}, events", [books.events / seconds])


def moments_of(books: PastBooks, count: int) -> list[datetime]:
    """Return moments from all over the past, the same at every run."""
    dice = Random(8)
    return [to_datetime(books.began_at + int(dice.random() * books.days * DAY_MICROSECONDS)) for _ in range(count)]


def test_balances_at_any_moment(books: PastBooks, reads: Reads, report: Report, size: Size) -> None:
    """Time of a trial balance at days, instants, positions and times of recording, of one workspace and of all."""
    moments = moments_of(books, size.moments)
    own, every = f"/workspaces/{HOT}/trial-balance", "/trial-balance"
    days = [f"{moment:%Y-%m-%d}" for moment in moments]
    instants = [moment.isoformat() for moment in moments]
    step = books.positions[HOT] // (size.moments + 1)
    asked = {
        "one workspace, now": [own] * size.moments,
        "one workspace, at a day": [path_of_read(own, effective_at=day) for day in days],
        "one workspace, at an instant": [path_of_read(own, effective_at=instant) for instant in instants],
        "one workspace, at a position": [path_of_read(own, position=step * place) for place in range(1, size.moments)],
        "one workspace, as recorded at an instant": [path_of_read(own, recorded_at=instant) for instant in instants],
        "a wallet, at a day": [path_of_read(f"/wallets/{HOT}", effective_at=day) for day in days],
        "all workspaces, at a day": [path_of_read(every, effective_at=day) for day in days],
        "all workspaces, at an instant": [path_of_read(every, effective_at=instant) for instant in instants],
        "all workspaces, as recorded at an instant": [path_of_read(every, recorded_at=instant) for instant in instants],
    }
    for name, paths in asked.items():
        reads.look(paths[0])
        result = reads.time(paths)
        report.add("s", f"{name}: p50", [result.p50_ms], "ms", {"reads": len(paths)})
        report.want("s", f"{name}: p99", result.p99_ms, "ms", at_most=BALANCE_MS)


def month_before(books: PastBooks) -> tuple[datetime, datetime]:
    """Return where the last whole month of the past begins and ends."""
    end = to_datetime(books.ended_at).replace(day=1)
    return (end - timedelta(days=1)).replace(day=1), end


def test_statements_of_a_month(books: PastBooks, reads: Reads, report: Report, size: Size) -> None:
    """Time of the largest customer's statement, in each of its forms."""
    month = f"{month_before(books)[0]:%Y-%m}"
    for shape in ("json", "csv", "html"):
        path = path_of_read(f"/wallets/{HOT}/credit/statements/{month}", format=shape)
        result = reads.time([path] * max(2, size.moments // 5))
        report.add("t", f"as {shape}: p50", [result.p50_ms], "ms")
        report.want("t", f"as {shape}: p99", result.p99_ms, "ms")


def bare_copy(url: str) -> float:
    """Return how many rows a second a plain COPY of the journal's legs comes to."""

    def copy_out() -> int:
        rows = 0
        with psycopg.connect(url) as connection, connection.cursor().copy(BARE.encode()) as copy:
            for piece in copy:
                rows += bytes(piece).count(b"\n")
        return rows

    rows, seconds = timed(copy_out)
    return rows / seconds


def test_exports(books: PastBooks, report: Report, size: Size, tmp_path: Path) -> None:
    """Legs per second and memory of each format, CSV beside a bare COPY of the same rows in the same rounds."""
    begin, end = month_before(books)
    month = Scope(None, to_microseconds(begin), to_microseconds(end), "UTC")
    peaks: dict[str, int] = {}

    def run_export(name: str, scope: Scope) -> float:
        done = export_apart(books.url, tmp_path / uuid4().hex, name, scope)
        peaks[name] = max(peaks.get(name, 0), done.peak_bytes)
        return done.legs / done.seconds

    measured = {COPY: partial(bare_copy, books.url), CSV: partial(run_export, CSV, Scope())}
    measured |= {name: partial(run_export, name, Scope()) for name in ("jsonl", "parquet")}
    measured |= {name: partial(run_export, name, month) for name in ("beancount", "hledger")}
    samples = interleave(min(size.rounds, 3), measured)
    for name, rates in samples.items():
        details = {"peak MB": peaks[name] / MEGABYTE} if name in peaks else {}
        report.add("u", f"{name}, legs", rates, details=details)
    share = report.median_of("u", f"{CSV}, legs") / report.median_of("u", f"{COPY}, legs")
    report.want("u", "csv ÷ COPY", share, at_least=CSV_SHARE)
    for name, peak in peaks.items():
        limit = PARQUET_MEGABYTES if name == "parquet" else PLAIN_MEGABYTES
        report.want("u", f"{name}, peak", peak / MEGABYTE, "MB", at_most=limit)


def test_verification(books: PastBooks, report: Report, size: Size) -> None:
    """Events per second of an audit on one core and on all, beside a replay that verifies."""

    def run_audit(processes: int) -> float:
        found, seconds = timed(lambda: verify(books.url, processes=processes))
        assert found.findings == ()
        assert found.entries > 0
        return found.events / seconds

    def run_replay() -> float:
        found, seconds = timed(lambda: replay(books.url, verify=True))
        assert found.differences == ()
        return found.events / seconds

    cores = os.cpu_count() or 1
    names = ("audit verify, one process, events", f"audit verify, {cores} processes, events", "replay --verify, events")
    samples = interleave(
        min(size.rounds, 3),
        dict(zip(names, (partial(run_audit, 1), partial(run_audit, cores), run_replay), strict=True)),
    )
    rates = {name: report.add("v", name, taken) for name, taken in samples.items()}
    report.want("v", f"audit verify ÷ replay --verify, on {cores} cores", rates[names[1]] / rates[names[2]])


def test_verification_of_an_export(
    books: PastBooks, report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events per second of the offline verifier over a month with its checkpoint."""
    begin, end = month_before(books)
    with Ledger.open(books.url) as ledger:
        with closing(psycopg.connect(books.url)) as connection:
            signer = Signer(read_origin(connection), Ed25519PrivateKey.generate())
        publish_first_key(ledger, signer)
    made = make_checkpoint(books.url, signer)
    note = tmp_path / "checkpoint.txt"
    note.write_text(made.note, encoding="utf-8")
    scope = Scope(None, to_microseconds(begin), to_microseconds(end), "UTC")
    done = export_apart(books.url, tmp_path / "month", "jsonl", scope, made.checkpoint)
    said = StringIO()
    monkeypatch.setattr("sys.stdout", said)
    began = perf_counter()
    code = verify_export(tmp_path / "month" / "manifest.json", note, [signer.key.line], assume_scales=True)
    seconds = perf_counter() - began
    monkeypatch.undo()
    assert code == 0, said.getvalue()
    report.add("v", "verify-export, events", [done.events / seconds])
