"""An export by a writer of the tests' own: two small books with every kind of event, a checkpoint, files, a manifest.

It is made of what the contract of exports says and of the ledger's posting rules, without the exporter. An attacker's
tool is here too: `forge_manifest` makes the manifest fit the files as they are.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.checkpoint.merkle import Tree, head_data, leaf_hash
from ledger.checkpoint.note import Signer, Statement, body_of
from ledger.core.amounts import format_minor
from ledger.core.commands import to_datetime
from ledger.events import TAGS, Event, Fact, Recorded, encode_fact
from ledger.posting_rules import post
from ledger.request.events import RequestEvent
from ledger.store.chain import leaf_digest, next_digest, start_digest
from ledger.wallet.events import WalletOpened
from ledger.workspace.events import WorkspaceCreated
from tests.unit.golden_facts import EVENTS

BEGIN = 1_790_000_000_000_000
HOUR = 3_600_000_000
SIGNER = Signer("route-ledger/0123456789abcdef", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
OTHER = Signer("route-ledger/0123456789abcdef", Ed25519PrivateKey.from_private_bytes(bytes(32)))
SCALES = {"credit": ("CREDIT", 6), "rmb": ("CNY", 2), "points": ("POINT", 0)}
WALLETS = [WalletOpened(bucket, unit, scale) for bucket, (unit, scale) in SCALES.items()]
OTHERS = [event for event in EVENTS if not isinstance(event, WalletOpened)]
ACME: list[Event] = [WorkspaceCreated("Asia/Shanghai"), *WALLETS, *OTHERS]
PLATFORM: list[Event] = [WorkspaceCreated()]
HEADER = (
    "workspace_id,position,bucket,leg,tag,request_id,effective_at,recorded_at,debit_account,credit_account,amount,unit"
)
Book = list[Recorded]
Line = dict[str, Any]


def record(workspace_id: str, events: Sequence[Event], served: dict[int, int] | None = None) -> Book:
    """Return events as a book, one an hour; `served` has the effective times of positions that have another one."""
    digest, book = start_digest(workspace_id), []
    for position, event in enumerate(events, 1):
        stream = f"request/r{position}" if isinstance(event, RequestEvent) else f"wallet/积分{position}"
        recorded_at = BEGIN + position * HOUR
        state = encode_fact(Fact("k1", (served or {}).get(position, recorded_at), 1, event, None, '客户 "asked"\n\\'))
        place = (workspace_id, position, stream, 1, TAGS[type(event)], f"c{position}", recorded_at, state)
        digest = next_digest(digest, leaf_digest(*place))
        book.append(Recorded(*place, digest))
    return book


def two_books(served: dict[int, int] | None = None) -> list[Book]:
    """Return the books of a customer and of the platform."""
    return [record("acme", ACME, served), record("platform", PLATFORM)]


def sign(books: Sequence[Book], signer: Signer = SIGNER, number: int = 7) -> str:
    """Return the checkpoint over books as they are."""
    heads = [leaf_hash(head_data(book[-1].workspace_id, book[-1].position, book[-1].digest)) for book in books]
    events = sum(len(book) for book in books)
    return signer.sign(body_of(Statement(signer.key.name, len(books), Tree(heads).root, events, BEGIN, number)))


def line_of(recorded: Recorded) -> Line:
    """Return an event as the line that it is in the evidence."""
    entries = sorted(post(recorded.fact.event), key=lambda entry: entry.bucket)
    return {
        "workspace_id": recorded.workspace_id, "position": recorded.position, "stream": recorded.stream,
        "version": recorded.version, "tag": recorded.tag, "command_id": recorded.command_id,
        "recorded_at": recorded.recorded_at, "state": recorded.state.decode(), "digest": recorded.digest.hex(),
        "entries": [
            {
                "bucket": entry.bucket, "unit": SCALES[entry.bucket][0],
                "legs": [
                    [leg.debit_account, leg.credit_account, format_minor(leg.minor, SCALES[entry.bucket][1])]
                    for leg in entry.legs
                ],
            }
            for entry in entries
        ],
    }  # fmt: skip


def rows_of(line: Line) -> list[str]:
    """Return the csv rows of a line's legs."""
    request = line["stream"].removeprefix("request/") if line["stream"].startswith("request/") else ""
    times = ",".join(iso(at) for at in (effective_at(line), line["recorded_at"]))
    start = f"{line['workspace_id']},{line['position']}"
    return [
        f"{start},{entry['bucket']},{number},{line['tag']},{request},{times},{debit},{credit},{amount},{entry['unit']}"
        for entry in line["entries"]
        for number, (debit, credit, amount) in enumerate(entry["legs"], 1)
    ]


def effective_at(line: Line) -> int:
    """Return when an event was effective."""
    at: int = json.loads(line["state"])["effective_at"]
    return at


def iso(microseconds: int) -> str:
    """Return an instant as the files write it."""
    return to_datetime(microseconds).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def dump(line: Line) -> str:
    """Return a line as it is written."""
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def write_files(folder: Path, lines: Sequence[str], rows: Sequence[str]) -> None:
    """Write the evidence and the table."""
    (folder / "journal.jsonl").write_bytes("".join(f"{line}\n" for line in lines).encode())
    (folder / "journal.csv").write_bytes("".join(f"{row}\n" for row in (HEADER, *rows)).encode())


def write_export(
    folder: Path, books: Sequence[Book], begin: int | None = None, end: int | None = None, only: str | None = None
) -> str:
    """Write an export of books, of a period perhaps or of one book, and return the checkpoint's note."""
    heads = [leaf_hash(head_data(book[-1].workspace_id, book[-1].position, book[-1].digest)) for book in books]
    shown, lines = [], []
    for index, book in enumerate(books):
        if only not in (None, book[0].workspace_id):
            continue
        early = [each.position for each in book if begin is not None and each.recorded_at < begin - 60_000_000]
        first = max(early, default=1)
        before = start_digest(book[0].workspace_id) if first == 1 else book[first - 2].digest
        lines += [line_of(recorded) for recorded in book[first - 1 :]]
        wallets = [event for event in (each.fact.event for each in book) if isinstance(event, WalletOpened)]
        shown.append(
            {
                "workspace_id": book[0].workspace_id, "first_position": first, "last_position": len(book),
                "position": len(book), "digest": book[-1].digest.hex(), "previous_digest": before.hex(),
                "time_zone": "UTC", "proof": {"index": index, "path": [each.hex() for each in Tree(heads).path(index)]},
                "wallets": [{"bucket": w.bucket, "unit": w.unit, "scale": w.scale} for w in wallets],
            }
        )  # fmt: skip
    scope = {"workspace_id": only, "effective_from": begin, "effective_to": end, "zone": "UTC"}
    rows = [row for line in lines if is_in(line, scope) for row in rows_of(line)]
    write_files(folder, [dump(line) for line in lines], rows)
    note = sign(books)
    forge_manifest(folder, {"format": "route-ledger.export.v1", "scope": scope, "books": shown, "checkpoint": note})
    return note


def is_in(line: Line, scope: dict[str, Any]) -> bool:
    """Return whether an event is effective in the period."""
    at = effective_at(line)
    return at >= (scope["effective_from"] or 0) and (scope["effective_to"] is None or at < scope["effective_to"])


def forge_manifest(folder: Path, manifest: dict[str, Any] | None = None) -> None:
    """Make the manifest fit the files as they are: digests, sizes, rows and counts."""
    manifest = manifest or json.loads((folder / "manifest.json").read_bytes())
    files = []
    for kind in ("jsonl", "csv"):
        content = (folder / f"journal.{kind}").read_bytes()
        rows = content.count(b"\n") - (kind == "csv")
        sha256 = hashlib.sha256(content).hexdigest()
        files.append({"name": f"journal.{kind}", "format": kind, "rows": rows, "bytes": len(content), "sha256": sha256})
    manifest["files"] = files
    total = {"events": 0, "entries": 0, "legs": 0}
    for book in manifest["books"]:
        counted = count(folder, book["workspace_id"], manifest["scope"])
        book.update(counted)
        total = {kind: total[kind] + counted[kind] for kind in total}
    manifest["counts"] = total
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def count(folder: Path, workspace_id: str, scope: dict[str, Any]) -> dict[str, int]:
    """Return how many events, and entries and legs of the period, the evidence has of a book."""
    lines = []
    for text in (folder / "journal.jsonl").read_bytes().splitlines():
        try:
            line = json.loads(text)
            if line["workspace_id"] == workspace_id:
                lines.append((line, is_in(line, scope)))
        except (ValueError, KeyError, TypeError):
            continue
    entries = [entry for line, inside in lines if inside for entry in line.get("entries", ())]
    return {"events": len(lines), "entries": len(entries), "legs": sum(len(entry.get("legs", ())) for entry in entries)}
