"""`route-ledger audit export`: from a database that nobody follows, with a key or without, killed, in little memory."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import pytest

from gateway.database import URL_VARIABLE
from ledger.service import Ledger
from tests.integration.export_scene import Exported, sums_of
from tests.integration.read_side import ask, tell
from tests.integration.scenes import ACME, pay, record, set_up
from tests.integration.test_api_receipts import START, command
from tests.source_tree import ROOT

PEAK = """
import re, sys
from gateway.command_line import app
code = app(sys.argv[1:], result_action="return_value")
with open("/proc/self/status") as status:
    print(re.search(r"VmHWM:\\s*(\\d+) kB", status.read()).group(1))
sys.exit(code)
"""
"""Runs a command and prints the most memory that it had, in kB. What a parent once had is not counted there."""

LEGS = 300_000
LARGE_BOOK = (
    "insert into ledger.book (workspace_id, position, digest) values ('large', 0, sha256('0'))",
    "insert into ledger.event select 'large', number, 'request/' || number, 1, 'request_routed.v1', 'c' || number,"
    " number, convert_to(repeat('many words ', 60), 'UTF8'), sha256(number::text::bytea)"
    " from generate_series(1, %s) as number",
    "insert into projections.progress (workspace_id, projection, generation, position)"
    " values ('large', 'journal', 1, %s)",
    "insert into projections.wallet values ('large', 1, 'credit', 'CREDIT', 6, 0)",
    "insert into projections.account select 'large', 1, 'credit', name, 0, 0"
    " from unnest(array['wallet.available', 'wallet.held']) as name",
    "insert into projections.entry select 'large', 1, 'credit', number, 'request_routed.v1', 'r-' || number, number,"
    " number, 0, 0, 0 from generate_series(1, %s) as number",
    "insert into projections.leg select 'large', 1, 'credit', number, leg, 'wallet.available', 'wallet.held', number"
    " from generate_series(1, %s) as number, generate_series(1, 2) as leg",
    "update ledger.book set position = %s where workspace_id = 'large'",
)
"""A large book in a moment: its events say nothing, and nobody minds who only copies them. It is never news."""


@pytest.fixture
def there(ledger: Ledger) -> dict[str, str]:
    """Where a database is that nobody has followed."""
    set_up(ledger)
    tell(ledger)
    return {URL_VARIABLE: ledger.url}


def make_large(url: str, legs: int) -> None:
    """Put a book with so many legs into a database."""
    for statement in LARGE_BOOK:
        ask(url, statement, *([legs // 2] if "%s" in statement else []))


def test_it_follows_writes_and_tells(there: dict[str, str], tmp_path: Path) -> None:
    """All formats at once; a line for each file with its SHA-256 on standard output, no progress where nobody looks."""
    path = tmp_path / "export"
    formats = ("csv", "jsonl", "parquet", "beancount", "hledger")
    done = command("audit", "export", str(path), "--format", ",".join(formats), **there)
    assert done.returncode == 0, done.stderr
    found = Exported(path)
    assert found.csv_legs() == found.jsonl_legs() != []
    *lines, last = done.stdout.splitlines()
    for line, name in zip(lines, formats, strict=True):
        size, digest = sums_of(path / f"journal.{name}")
        assert line.startswith(str(path / f"journal.{name}"))
        assert line.endswith(f"  {size:,} bytes  sha256 {digest}")
    assert last == str(path / "manifest.json")
    assert done.stderr.splitlines()[0].startswith("there is no checkpoint: nothing ties this export")
    assert re.fullmatch(r"\d+ legs of 2 books in \d+\.\d s", done.stderr.splitlines()[1])


def test_a_signing_key_makes_a_checkpoint(there: dict[str, str], ledger: Ledger, tmp_path: Path) -> None:
    """With a key all books are signed as they are; without one the newest checkpoint counts, or the one by number."""
    key = tmp_path / "key.pem"
    assert command("audit", "new-key", str(key), **there).returncode == 0
    for name in ("first", "second"):
        done = command("audit", "export", str(tmp_path / name), "--signing-key", str(key), **there)
        assert done.returncode == 0, done.stderr
        record(ledger, [pay(ACME, "credit", "1", name)])
    assert command("audit", "export", str(tmp_path / "newest"), **there).returncode == 0
    assert command("audit", "export", str(tmp_path / "older"), "--checkpoint", "1", **there).returncode == 0
    books = {name: Exported(tmp_path / name).manifest["books"] for name in ("first", "second", "newest", "older")}
    assert books["first"] == books["older"] != books["second"] == books["newest"]
    notes = {name: Exported(tmp_path / name).manifest["checkpoint"] for name in books}
    assert notes["first"] == notes["older"] != notes["second"] == notes["newest"]


def test_its_period_and_workspace(there: dict[str, str], tmp_path: Path) -> None:
    """Days are the workspace's own unless a zone is named."""
    words = ("--workspace", ACME, "--from", "2020-01-01", "--to", "2020-02-01", "--zone", "Asia/Shanghai")
    done = command("audit", "export", str(tmp_path / "empty"), *words, **there)
    assert done.returncode == 0, done.stderr
    found = Exported(tmp_path / "empty")
    assert (found.csv(), found.manifest["scope"]["zone"], len(found.jsonl())) == (
        [],
        "Asia/Shanghai",
        found.book()["events"],
    )


def test_what_means_nothing_is_wrong_usage(there: dict[str, str], tmp_path: Path) -> None:
    """Exit code 2 and the option's name for what means nothing, 1 for what cannot be done; nothing is left behind."""
    path = tmp_path / "export"
    for words, code, said in (
        (("--format", "xlsx"), 2, "--format: there is no 'xlsx', choose from csv, jsonl, beancount, hledger, parquet"),
        (("--from", "yesterday"), 2, "--from: it is a day such as"),
        (("--zone", "Mars"), 2, "--zone"),
        (("--workspace", "nobody"), 1, "there is no workspace nobody"),
        (("--checkpoint", "4"), 1, "there is no checkpoint 4"),
        (("--signing-key", str(tmp_path / "missing")), 1, "can't be read"),
    ):
        done = command("audit", "export", str(path), *words, **there)
        assert (done.returncode, done.stdout, said in done.stderr) == (code, "", True), done.stderr
        assert not path.exists()
    done = command("audit", "export", str(ROOT), **there)
    assert (done.returncode, "is not empty" in done.stderr) == (1, True)


def test_parquet_without_its_library_says_what_to_install(there: dict[str, str], tmp_path: Path) -> None:
    """The other formats need nothing; Parquet names the extra before anything is written."""
    start = f"import sys; sys.modules['pyarrow'] = None; {START}"
    environ = {**os.environ, **there}
    words = [sys.executable, "-c", start, "audit", "export", str(tmp_path / "export"), "--format"]
    done = subprocess.run([*words, "csv,parquet"], env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "pip install 'route-ledger[parquet]'" in done.stderr) == (1, True), done.stderr
    assert list(tmp_path.iterdir()) == []
    assert subprocess.run([*words, "csv"], env=environ, capture_output=True, timeout=60, check=False).returncode == 0


def test_a_full_disk_leaves_nothing(there: dict[str, str], tmp_path: Path) -> None:
    """Where no more can be written that is said, without a traceback, and nothing is left behind."""
    start = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048)); {START}"
    words = [sys.executable, "-c", start, "audit", "export", str(tmp_path / "export")]
    done = subprocess.run(words, env={**os.environ, **there}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == f"route-ledger: {tmp_path / 'export'} can't be written: File too large\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_what_is_killed_never_looks_complete(there: dict[str, str], ledger: Ledger, tmp_path: Path) -> None:
    """A killed export leaves files of another name and no manifest; one that is interrupted leaves nothing at all."""
    make_large(ledger.url, 60_000)
    words = [sys.executable, "-c", START, "audit", "export"]
    for name, signal, left in (("killed", 9, ["journal.jsonl.part"]), ("interrupted", 2, None)):
        path = tmp_path / name
        running = subprocess.Popen([*words, str(path), "--format", "jsonl,csv"], env={**os.environ, **there})
        deadline = monotonic() + 60
        while not (path / "journal.jsonl.part").exists() and monotonic() < deadline:
            sleep(0.005)
        running.send_signal(signal)
        running.wait(30)
        assert (sorted(each.name for each in path.iterdir()) if path.exists() else None) == left


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the most memory that there was")
def test_memory_does_not_grow_with_the_journal(there: dict[str, str], ledger: Ledger, tmp_path: Path) -> None:
    """Three hundred thousand legs and their events take less than 100 MB, and hardly more than a hundred legs do."""

    def peak_megabytes(name: str, formats: str) -> float:
        words = [sys.executable, "-c", PEAK, "audit", "export", str(tmp_path / name), "--format", formats]
        done = subprocess.run(
            words, env={**os.environ, **there}, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout.splitlines()[-1]) / 1024

    few = peak_megabytes("few", "csv,jsonl")
    make_large(ledger.url, LEGS)
    many = peak_megabytes("many", "csv,jsonl")
    assert many < min(100, few + 15), (few, many)
    assert peak_megabytes("parquet", "parquet") < 300
    manifest = json.loads((tmp_path / "many" / "manifest.json").read_bytes())
    assert manifest["counts"]["legs"] > LEGS
