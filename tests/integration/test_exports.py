"""Exports of the journal: every leg and event once, exact amounts, and a manifest that is right about all of it."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from ledger.catalog.commands import DefineBucket
from ledger.core.amounts import StatedAmount, count_minor, format_minor
from ledger.core.commands import Command
from ledger.service import Ledger
from ledger.store.chain import start_digest
from ledger.wallet import commands as wallet
from projections.exports.scope import Scope
from projections.exports.spans import ExportRefused
from tests.integration.export_scene import COLUMNS, append_raw, exported, head_of, stated, sums_of
from tests.integration.read_side import ask, follow, tell
from tests.integration.scenes import ACME, record, set_up, workspace_commands

SCALES = {"points": ("POINTS", 0), "tenths": ("TENTHS", 1), "nano": ("NANO", 9)}
AMOUNTS = (1, 7, 10**9, 123_456_789_012_345_678 // 10, 10**17)
OTHER = "zebra"
NOBODY = "before-acme"


@pytest.fixture
def told(ledger: Ledger) -> Ledger:
    """A ledger with two workspaces that have seen everything and one that did nothing, with units of every scale."""
    set_up(ledger)
    tell(ledger)
    record(ledger, [DefineBucket(bucket=name, unit=unit, scale=scale) for name, (unit, scale) in SCALES.items()])
    record(ledger, [*workspace_commands(OTHER), *workspace_commands(NOBODY)[:2]])
    tell(ledger, OTHER)
    record(ledger, [command for bucket in SCALES for command in grants(bucket)])
    follow(ledger.url)
    return ledger


def grants(bucket: str) -> list[Command]:
    """Return what opens a wallet and puts the amounts in."""
    unit, scale = SCALES[bucket]
    return [
        wallet.OpenWallet(workspace_id=ACME, bucket=bucket),
        *(
            wallet.GrantFunds(
                workspace_id=ACME, bucket=bucket, grant_id=f"{bucket}-{minor}",
                amount=StatedAmount(format_minor(minor, scale), unit),
            )
            for minor in AMOUNTS
        ),
    ]  # fmt: skip


def legs_there(url: str) -> list[tuple[Any, ...]]:
    """Return the legs of the journal with their units, in the order of an export."""
    return ask(
        url,
        "select workspace_id, position, bucket, leg, tag, request_id, effective_at, recorded_at, debit_account,"
        " credit_account, minor, unit, scale from projections.leg"
        " join projections.entry using (workspace_id, generation, bucket, position)"
        ' join projections.wallet using (workspace_id, generation, bucket) order by workspace_id collate "C", position,'
        ' bucket collate "C", leg',
    )


def test_the_csv_has_every_leg_once_in_order(told: Ledger, tmp_path: Path) -> None:
    """Each leg of the journal is one line with every column, amounts at full scale and instants to the microsecond."""
    found = exported(told.url, tmp_path, ("csv",))
    expected = [
        (
            *row[:4],
            row[4],
            row[5] or "",
            stated(row[6]),
            stated(row[7]),
            *row[8:10],
            format_minor(row[10], row[12]),
            row[11],
        )
        for row in legs_there(told.url)
    ]
    rows = [tuple(line.values()) for line in found.csv()]
    assert list(found.csv()[0]) == COLUMNS
    assert rows == [tuple(map(str, row)) for row in expected]
    assert len(rows) > 60


def test_amounts_parse_back_to_the_smallest_part(told: Ledger, tmp_path: Path) -> None:
    """In units of no, one and nine digits, from one smallest part to the largest amount there may be."""
    found = exported(told.url, tmp_path, ("csv", "jsonl"))
    for bucket, (unit, scale) in SCALES.items():
        texts = [row["amount"] for row in found.csv() if row["bucket"] == bucket]
        assert [count_minor(StatedAmount(text, unit)) for text in texts] == list(AMOUNTS)
        assert {len(text.partition(".")[2]) for text in texts} == {scale}
    assert "100000000.000000000" in [leg[-1] for leg in found.jsonl_legs()]


def test_the_evidence_has_every_event_once_in_order(told: Ledger, tmp_path: Path) -> None:
    """Each event is one line, spelt in one way only, from which the digest of its book's head is made again."""
    found = exported(told.url, tmp_path, ("jsonl",))
    events = found.jsonl()
    there = ask(told.url, 'select workspace_id, position from ledger.event order by workspace_id collate "C", position')
    assert [(event["workspace_id"], event["position"]) for event in events] == there
    lines = (found.path / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines == [json.dumps(event, ensure_ascii=False, separators=(",", ":")) for event in events]
    heads = dict(ask(told.url, "select workspace_id, encode(digest, 'hex') from ledger.book"))
    assert [book["workspace_id"] for book in found.manifest["books"]] == sorted(heads)
    for book in found.manifest["books"]:
        own = [event for event in events if event["workspace_id"] == book["workspace_id"]]
        assert book["previous_digest"] == start_digest(book["workspace_id"]).hex()
        assert head_of(own, book["previous_digest"]) == book["digest"] == heads[book["workspace_id"]]


def test_all_files_tell_the_same_legs(told: Ledger, tmp_path: Path) -> None:
    """The evidence's entries, sorted by bucket, and the rows of Parquet are those of the CSV."""
    found = exported(told.url, tmp_path, ("csv", "jsonl", "parquet"))
    assert found.csv_legs() == found.jsonl_legs()
    units = {
        (event["workspace_id"], entry["bucket"], entry["unit"]) for event in found.jsonl() for entry in event["entries"]
    }
    assert units == {(row["workspace_id"], row["bucket"], row["unit"]) for row in found.csv()}
    table = parquet.read_table(found.path / "journal.parquet")
    assert table.column_names == [*COLUMNS, "minor"]
    minors = [row[10] for row in legs_there(told.url)]
    rows = table.to_pylist()
    assert [row["minor"] for row in rows] == minors
    for row, line in zip(rows, found.csv(), strict=True):
        assert row["amount"] == Decimal(line["amount"])
        assert row["effective_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ") == line["effective_at"]
        assert [str(row[name] or "") for name in COLUMNS[:6] + COLUMNS[8:10]] == [
            line[name] for name in COLUMNS[:6] + COLUMNS[8:10]
        ]


def test_the_manifest_is_right(told: Ledger, tmp_path: Path) -> None:
    """Counts, sizes, SHA-256, positions and wallets are what the files and the books have."""
    found = exported(told.url, tmp_path, ("csv", "jsonl", "parquet"))
    manifest = found.manifest
    assert (manifest["format"], manifest["checkpoint"]) == ("route-ledger.export.v1", None)
    events, legs = len(found.jsonl()), len(found.csv())
    (entries,) = ask(told.url, "select count(*) from projections.entry")[0]
    assert manifest["counts"] == {"events": events, "entries": entries, "legs": legs}
    rows = {"csv": legs, "jsonl": events, "parquet": legs}
    assert manifest["files"] == [
        {"name": f"journal.{name}", "format": name, "rows": count, "bytes": size, "sha256": digest}
        for name, count in rows.items()
        for size, digest in (sums_of(found.path / f"journal.{name}"),)
    ]
    book = found.book()
    assert [(each["bucket"], each["unit"], each["scale"]) for each in book["wallets"]] == sorted(
        [("credit", "CREDIT", 6), ("rmb", "CNY", 6), *((name, *unit) for name, unit in SCALES.items())]
    )
    own = [event for event in found.jsonl() if event["workspace_id"] == ACME]
    assert (book["events"], book["first_position"], book["last_position"], book["position"]) == (
        len(own), 1, len(own), len(own),
    )  # fmt: skip
    assert book["legs"] == sum(leg[0] == ACME for leg in found.csv_legs())
    assert {path.name for path in found.path.iterdir()} == {"manifest.json", *(f"journal.{name}" for name in rows)}


def test_one_workspace_is_alone(told: Ledger, tmp_path: Path) -> None:
    """With a workspace only its book is there, as it is among all; an unknown one is refused."""
    whole = exported(told.url, tmp_path)
    found = exported(told.url, tmp_path, scope=Scope(OTHER))
    assert found.manifest["books"] == [whole.book(OTHER)]
    assert found.csv_legs() == [leg for leg in whole.csv_legs() if leg[0] == OTHER]
    assert {event["workspace_id"] for event in found.jsonl()} == {OTHER}
    with pytest.raises(ExportRefused, match="there is no workspace nobody"):
        exported(told.url, tmp_path, scope=Scope("nobody"))


def test_pages_end_where_they_may(told: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few positions the server takes at once, nothing is missing, twice or in another order."""
    whole = exported(told.url, tmp_path)
    for page in (1, 7):
        monkeypatch.setattr("projections.exports.streaming.PAGE", page)
        paged = exported(told.url, tmp_path)
        for name in ("journal.csv", "journal.jsonl"):
            assert (paged.path / name).read_bytes() == (whole.path / name).read_bytes()


def test_row_groups_of_parquet_are_bounded(told: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little is kept in memory at once, the rows are the same, in more groups."""
    whole = exported(told.url, tmp_path, ("parquet",)).path / "journal.parquet"
    monkeypatch.setattr("projections.exports.parquet.BYTES_PER_GROUP", 1000)
    monkeypatch.setattr("projections.exports.streaming.ROWS_PER_BLOCK", 3)
    grouped = exported(told.url, tmp_path, ("parquet",)).path / "journal.parquet"
    assert parquet.read_table(grouped).to_pylist() == parquet.read_table(whole).to_pylist()
    assert parquet.ParquetFile(grouped).num_row_groups > parquet.ParquetFile(whole).num_row_groups == 1


def test_any_text_comes_back_as_it_was(told: Ledger, tmp_path: Path) -> None:
    """Commas, quotes, line ends, backslashes, control characters and other scripts break neither CSV nor JSON."""
    odd = 'a, "b" \\ \\n 团队 😀 \x01\x02\x7f\n\r\t\u2028 \\. end'
    append_raw(told.url, ACME, "odd/" + odd[:40], odd, odd)
    follow(told.url)
    ask(told.url, "update projections.entry set request_id = %s where request_id = 'r-late'", odd)
    found = exported(told.url, tmp_path, ("csv", "jsonl", "parquet"))
    last = [event for event in found.jsonl() if event["workspace_id"] == ACME][-1]
    assert (last["command_id"], json.loads(last["state"])["reason"]) == (odd, odd)
    own = [event for event in found.jsonl() if event["workspace_id"] == ACME]
    assert head_of(own, found.book()["previous_digest"]) == found.book()["digest"]
    requests = [row["request_id"] for row in found.csv()]
    assert odd in requests
    rows = parquet.read_table(found.path / "journal.parquet")["request_id"].to_pylist()
    assert [text or "" for text in rows] == requests


def test_formulas_are_made_harmless_for_spreadsheets_only(told: Ledger, tmp_path: Path) -> None:
    """With `excel_safe` a text that begins like a formula gets a ' in front; without it nothing does."""
    formulas = ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "plain", "'quoted"]
    positions = [
        row[0] for row in ask(told.url, "select distinct position from projections.entry where workspace_id = 'acme'")
    ]
    for position, text in zip(positions, formulas, strict=False):
        ask(
            told.url,
            "update projections.entry set request_id = %s where workspace_id = 'acme' and position = %s",
            text,
            position,
        )
    plain = exported(told.url, tmp_path, ("csv", "parquet"))
    safe = exported(told.url, tmp_path, ("csv", "jsonl", "parquet"), excel_safe=True)
    assert set(formulas) <= {row["request_id"] for row in plain.csv()}
    there = {row["request_id"] for row in safe.csv()}
    assert {f"'{text}" for text in formulas[:7]} | set(formulas[7:]) <= there
    assert there & set(formulas[:7]) == set()
    assert (plain.path / "journal.parquet").read_bytes() == (safe.path / "journal.parquet").read_bytes()


def test_accounts_are_no_formulas_either(told: Ledger, tmp_path: Path) -> None:
    """Every text is guarded; no cell of any column begins like a formula then."""
    ask(told.url, "insert into projections.account values ('acme', 1, 'nano', '=cmd', 0, 0)")
    ask(told.url, "update projections.leg set debit_account = '=cmd' where bucket = 'nano'")
    safe = exported(told.url, tmp_path, ("csv",), excel_safe=True)
    assert {row["debit_account"] for row in safe.csv() if row["bucket"] == "nano"} == {"'=cmd"}
    assert [cell for row in safe.csv() for cell in row.values() if cell[:1] in {"=", "+", "-", "@"}] == []


def test_a_stopped_journal_is_not_exported_in_silence(told: Ledger, tmp_path: Path) -> None:
    """A book whose journal stands still at an event is refused by name, and nothing is left behind."""
    ask(
        told.url,
        "update projections.progress set failed_position = position + 1, failure = 'why' where workspace_id = 'acme'",
    )
    with pytest.raises(ExportRefused, match=r"the journal of acme is stopped at event \d+: why"):
        exported(told.url, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert exported(told.url, tmp_path, scope=Scope(OTHER)).manifest["counts"]["legs"] > 0


def test_a_book_with_a_hole_is_not_exported(told: Ledger, tmp_path: Path) -> None:
    """Where fewer rows come than were counted, or a head has no event, the export fails with nothing left behind."""
    ask(told.url, "alter table ledger.event disable trigger user")
    ask(told.url, "delete from ledger.event where workspace_id = 'acme' and position = 5")
    with pytest.raises(ExportRefused, match=r"jsonl has \d+ rows where \d+ were counted"):
        exported(told.url, tmp_path)
    ask(told.url, "delete from ledger.event where workspace_id = 'acme' and position > 50")
    with pytest.raises(ExportRefused, match="book acme has a hole"):
        exported(told.url, tmp_path)
    assert list(tmp_path.iterdir()) == []
