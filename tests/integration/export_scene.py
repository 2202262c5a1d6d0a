"""What the tests of exports share: an export of a followed ledger, and its files read as an auditor would read them."""

import csv
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from ledger.core.commands import to_microseconds
from ledger.events import Fact, encode_fact
from ledger.store.chain import leaf_digest, next_digest, start_digest
from ledger.wallet.events import WalletFrozen
from projections.exports.scope import Scope
from projections.exports.writing import ExportAsked, OnFileProgress, export
from tests.integration.scenes import ACME

COLUMNS = (
    "workspace_id position bucket leg tag request_id effective_at recorded_at debit_account credit_account amount unit"
).split()
LegLine = tuple[str, int, str, int, str, str, str]
"""Workspace, position, bucket, number, debit account, credit account, amount."""


class Exported:
    """An export in a directory of its own, with its manifest as JSON."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest: dict[str, Any] = json.loads((path / "manifest.json").read_bytes())

    def csv(self) -> list[dict[str, str]]:
        """Return the lines of the CSV by column."""
        with (self.path / "journal.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def jsonl(self) -> list[dict[str, Any]]:
        """Return the events of the evidence."""
        lines = (self.path / "journal.jsonl").read_bytes().split(b"\n")
        assert lines.pop() == b""
        return [json.loads(line) for line in lines]

    def csv_legs(self) -> list[LegLine]:
        """Return the legs of the CSV, in its order."""
        return [
            (
                row["workspace_id"], int(row["position"]), row["bucket"], int(row["leg"]), row["debit_account"],
                row["credit_account"], row["amount"],
            )
            for row in self.csv()
        ]  # fmt: skip

    def jsonl_legs(self) -> list[LegLine]:
        """Return the legs of the evidence, in its order."""
        return [
            (event["workspace_id"], event["position"], entry["bucket"], number, *leg)
            for event in self.jsonl()
            for entry in event["entries"]
            for number, leg in enumerate(entry["legs"], start=1)
        ]

    def book(self, workspace_id: str = ACME) -> dict[str, Any]:
        """Return what the manifest states of one book."""
        (found,) = [book for book in self.manifest["books"] if book["workspace_id"] == workspace_id]
        assert isinstance(found, dict)
        return found


def no_progress(name: str, done: int, total: int) -> None:
    """Tell nobody."""


def exported(
    url: str,
    directory: Path,
    formats: Sequence[str] = ("csv", "jsonl"),
    scope: Scope | None = None,
    on_progress: OnFileProgress = no_progress,
    **asked: Any,
) -> Exported:
    """Export to a new directory below another one; of each book what the journal has followed, unless stated."""
    path = directory / f"export-{uuid4().hex[:8]}"
    fields: Mapping[str, Any] = {"checkpoint": None, **asked}
    export(url, path, ExportAsked(scope or Scope(), tuple(formats), **fields), on_progress)
    return Exported(path)


def instant(text: str) -> int:
    """Return microseconds of an ISO text."""
    return to_microseconds(datetime.fromisoformat(text))


def stated(microseconds: int) -> str:
    """Return microseconds as the exports state them, by other means than theirs."""
    seconds, rest = divmod(microseconds, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC).strftime('%Y-%m-%dT%H:%M:%S')}.{rest:06d}Z"


def head_of(events: Sequence[Mapping[str, Any]], previous: str) -> str:
    """Return the digest that the chain of some events comes to, computed from the bytes of their states."""
    digest = bytes.fromhex(previous)
    for event in events:
        leaf = leaf_digest(
            event["workspace_id"], event["position"], event["stream"], event["version"], event["tag"],
            event["command_id"], event["recorded_at"], event["state"].encode(),
        )  # fmt: skip
        digest = next_digest(digest, leaf)
        assert digest.hex() == event["digest"]
    return digest.hex()


def sums_of(path: Path) -> tuple[int, str]:
    """Return bytes and SHA-256 of a file."""
    content = path.read_bytes()
    return len(content), sha256(content).hexdigest()


def append_raw(url: str, workspace_id: str, stream: str, command_id: str, reason: str) -> None:
    """Append an event with texts that the ledger would refuse, rightly chained, as a later version might allow them."""
    fact = Fact("system", 1_700_000_000_000_000, 1, WalletFrozen("credit"), reason=reason)
    state, tag = encode_fact(fact), "wallet_frozen.v1"
    with closing(psycopg.connect(url)) as connection, connection.transaction():
        row = connection.execute(
            "select position, digest, recorded_at from ledger.book where workspace_id = %s", (workspace_id,)
        ).fetchone()
        assert row is not None
        position, recorded_at = row[0] + 1, row[2] + 1
        leaf = leaf_digest(workspace_id, position, stream, 1, tag, command_id, recorded_at, state)
        digest = next_digest(row[1] if row[0] else start_digest(workspace_id), leaf)
        connection.execute(
            "insert into ledger.event values (%s, %s, %s, 1, %s, %s, %s, %s, %s)",
            (workspace_id, position, stream, tag, command_id, recorded_at, state, digest),
        )
        connection.execute(
            "update ledger.book set position = %s, digest = %s, recorded_at = %s where workspace_id = %s",
            (position, digest, recorded_at, workspace_id),
        )
