"""Verify an export of a route ledger offline: `python -I verify_export.py MANIFEST --checkpoint NOTE --key VKEY`.

One file to be read in one sitting and then run: only Python 3.11 and its standard library, no database, no service.
NOTE is a checkpoint that YOU kept since it was made, VKEY the line of the public key that YOU were given then. All
else, the manifest too, may have been rewritten by whoever hands you the export. Exit code 0 shows that
1. the note is signed with the key (Ed25519) and has the Merkle root over the heads of all books;
2. each exported book's head is a leaf under that root, and a chain of hashes leads to it over every event of the jsonl
   file: none was changed, dropped, added, reordered or cut off. With scope "all" no book is missing either;
3. every leg in the jsonl and csv files follows from its event by the posting rules below: none was changed, dropped or
   added, and each amount is the event's count of smallest parts with the point where its wallet has it;
4. the files are those of the manifest (SHA-256, size, rows), and its counts are right.
It does NOT show what came after the checkpoint; what was never recorded; that the books had not been rewritten before
this checkpoint was signed (hold them against an older one); that files in other formats say the same (only their
SHA-256 is compared, with a manifest that anybody can write); that the scope is the one you asked for: read it. The
export of a period begins with an event from before it, so that none is missing. The decimal places of its wallets were
stated earlier still: such an export is good only with `--assume-scales`, when you know them to be what is then printed.

Exit code 1: something is wrong; findings name file, line, book and position. 2: nothing was checked. `-I` keeps Python
from running what lies beside this file.
"""

import argparse
import base64
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

FINDINGS_MAX = 100
LINE_MAX = 2**24  # bytes
FORMATS = ("csv", "jsonl", "beancount", "hledger", "parquet")
CLOCK_SKEW = 60_000_000  # an event is effective at most this many microseconds after it was recorded
MALFORMED = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RecursionError, TypeError, ValueError)
Fields = dict[str, Any]
Key = tuple[str, bytes, bytes]  # name, hash, public key

# Ed25519 (RFC 8032, 5.1). A point is (X, Y, Z, T) with x = X/Z, y = Y/Z, x·y = T/Z.
PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
CURVE = -121665 * pow(121666, -1, PRIME) % PRIME
Point = tuple[int, int, int, int]


def add_points(left: Point, right: Point) -> Point:
    """Return the sum of two points."""
    a = (left[1] - left[0]) * (right[1] - right[0]) % PRIME
    b = (left[1] + left[0]) * (right[1] + right[0]) % PRIME
    c, d = 2 * left[3] * right[3] * CURVE % PRIME, 2 * left[2] * right[2] % PRIME
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % PRIME, g * h % PRIME, f * g % PRIME, e * h % PRIME


def multiply_point(times: int, point: Point) -> Point:
    """Return a point added to itself so many times."""
    product = (0, 1, 1, 0)
    while times:
        if times & 1:
            product = add_points(product, point)
        point, times = add_points(point, point), times >> 1
    return product


def read_point(content: bytes) -> Point:
    """Return the point that 32 bytes are. Raises ValueError."""
    y, sign = int.from_bytes(content, "little") & ~(1 << 255), content[31] >> 7
    square = (y * y - 1) * pow(CURVE * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    if (x * x - square) % PRIME:
        x = x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    if y >= PRIME or (x * x - square) % PRIME or (x == 0 and sign):
        raise ValueError("the public key is no point of the curve")
    x = PRIME - x if x & 1 != sign else x
    return x, y, 1, x * y % PRIME


BASE = read_point((4 * pow(5, -1, PRIME) % PRIME).to_bytes(32, "little"))


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether a signature is good: R is S·B − k·A. Raises ValueError for a key that is none."""
    x, y, z, t = read_point(public_key)
    s = int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % ORDER
    found = add_points(multiply_point(s, BASE), multiply_point(k, (PRIME - x, y, z, PRIME - t)))
    x, y = (each * pow(found[2], -1, PRIME) % PRIME for each in found[:2])
    return len(signature) == 64 and s < ORDER and (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]


# The checkpoint: a C2SP signed note.
BODY = re.compile(
    r"(?P<origin>[^\n]+)\n(?P<books>[1-9]\d{0,17})\n(?P<root>[A-Za-z0-9+/]{43}=)\nevents (?P<events>[1-9]\d{0,37})\n"
    r"time (?P<time>[0-9T:.-]+Z)\ncheckpoint (?P<checkpoint>[1-9]\d{0,17})\n",
    re.ASCII,
)


def parse_key(line: str) -> Key:
    """Return name, hash and public key of a line `name+hash+base64`. Raises ValueError."""
    name, _, rest = line.strip().partition("+")
    stated, _, encoded = rest.partition("+")
    content = base64.b64decode(encoded, validate=True)
    key_hash = hashlib.sha256(name.encode() + b"\n" + content).digest()[:4]
    if not name or len(content) != 33 or content[0] != 1 or stated != key_hash.hex():
        raise ValueError("this is no Ed25519 key of the form name+hash+base64")
    return name, key_hash, content[1:]


def open_checkpoint(note: str, keys: Sequence[Key]) -> dict[str, str]:
    """Return what a checkpoint says that one of the keys signed under its own name. Raises ValueError."""
    text, _, signatures = note.rpartition("\n\n")
    body = BODY.fullmatch(f"{text}\n")
    if body is None:
        raise ValueError("it is not the note of a checkpoint")
    signed = False
    for line in signatures.removesuffix("\n").split("\n"):
        dash, name, encoded = line.split(" ")
        content = base64.b64decode(encoded, validate=True)
        for key_name, key_hash, public_key in keys:
            if (dash, name, content[:4]) == ("\N{EM DASH}", key_name, key_hash) and name == body["origin"]:
                signed = is_signed(public_key, f"{text}\n".encode(), content[4:])
                if not signed:
                    raise ValueError(f"the signature of {name}+{key_hash.hex()} is not good")
    if not signed:
        raise ValueError("it is signed by none of the keys")
    return body.groupdict()


# Hashes: the Merkle tree of RFC 6962 over the heads of all books, and the chain of each book.
HEAD, CHAIN = b"route-ledger.head.v1", b"route-ledger.chain.v1"


def hash_fields(kind: bytes, *fields: bytes) -> bytes:
    """Return SHA-256 over a byte that says what it is, and fields, each behind its length in four bytes."""
    return hashlib.sha256(kind + b"".join([len(field).to_bytes(4, "big") + field for field in fields])).digest()


def is_no_hash(content: bytes) -> bool:
    """Return whether bytes cannot be a node of the tree."""
    return len(content) != 32


def root_over(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the root of a tree with a leaf at this place and these neighbours on the way up (RFC 6962, 2.1.1).

    Raises ValueError for a place or neighbours that no tree of this size has.
    """
    if type(index) is not int or not 0 <= index < size or bool(path) != (size > 1) or any(map(is_no_hash, path)):
        raise ValueError("the proof is not one of this place in the tree")
    if size == 1:
        return leaf
    half = 1 << (size - 1).bit_length() - 1
    if index < half:
        return hashlib.sha256(b"\1" + root_over(leaf, index, half, path[:-1]) + path[-1]).digest()
    return hashlib.sha256(b"\1" + path[-1] + root_over(leaf, index - half, size - half, path[:-1])).digest()


# The posting rules. A leg: side (of two buckets), debit account, credit account, field of the event.
# A name that ends in a dot goes on with the event's route or source; a negative amount goes the other way.
AVAILABLE, HELD = "wallet.available", "wallet.held"
RULES: dict[str, Sequence[tuple[str, str, str, str]]] = {
    "request_routed.v1": [("", AVAILABLE, HELD, "hold_minor")],
    "hold_extended.v1": [("", AVAILABLE, HELD, "hold_minor")],
    "fallback_taken.v1": [("from_", HELD, AVAILABLE, "released_minor"), ("to_", AVAILABLE, HELD, "hold_minor")],
    "tokens_settled.v1": [
        ("", HELD, "revenue.", "captured_minor"),
        ("", HELD, AVAILABLE, "released_minor"),
        ("", AVAILABLE, "revenue.", "from_available_minor"),
        ("", "overrun.", "revenue.", "overrun_minor"),
    ],
    "request_released.v1": [("", HELD, AVAILABLE, "released_minor")],
    "charge_refunded.v1": [("", "refunds.", AVAILABLE, "refund_minor")],
    # What no balance had paid is undone first; only the rest of the difference touches the wallet.
    "charge_corrected.v1": [("", "revenue.", "overrun.", "overrun_minor"), ("", AVAILABLE, "revenue.", "rest_minor")],
    "funds_added.v1": [("", "funding.", AVAILABLE, "amount_minor")],
    "funds_granted.v1": [("", "promotion", AVAILABLE, "amount_minor")],
    "funds_reversed.v1": [("", AVAILABLE, "funding.", "amount_minor")],
    "funds_withdrawn.v1": [("", AVAILABLE, "funding.", "amount_minor")],
    "adjustment_posted.v1": [("", "adjustment", AVAILABLE, "amount_minor")],
    "bucket_exchanged.v1": [("from_", AVAILABLE, "exchange", "from_minor"), ("to_", "exchange", AVAILABLE, "to_minor")],
} | dict.fromkeys(
    """attempt_failed.v1 request_voided.v1 wallet_opened.v1 credit_limit_changed.v1 wallet_frozen.v1 wallet_unfrozen.v1
    workspace_created.v1 project_created.v1 project_limits_changed.v1 api_key_issued.v1 api_key_limits_changed.v1
    api_key_revoked.v1 period_closed.v1 period_reopened.v1 signing_key_published.v1 bucket_defined.v1
    provider_published.v1 route_published.v1 model_published.v1 rate_card_published.v1 route_suspended.v1
    route_resumed.v1 config_applied.v1""".split(),
    (),
)
"""All kinds of events; those that are listed without legs move no money. An unknown one is a finding."""


def amount(minor: int, scale: int) -> str:
    """Return smallest parts with the point before the last `scale` digits."""
    digits = str(minor).rjust(scale + 1, "0")
    return f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits


def entries_of(event: Fields, scales: dict[tuple[str, str], int]) -> list[Fields]:
    """Return what an event moves, one entry per bucket in the order of their names, none without legs."""
    tag, entries = event["tag"], dict[tuple[str, str], list[tuple[str, str, str]]]()
    if tag not in RULES:
        raise ValueError(f"this verifier does not know what {tag!s:.80} means")
    if tag == "charge_corrected.v1":
        undone = event.get("overrun_minor", 0)
        event = {**event, "overrun_minor": undone, "rest_minor": event["difference_minor"] + undone}
    name = event.get("route") or event.get("source", "")
    for side, *accounts, field in RULES[tag]:
        minor = event[field]
        if minor:
            debit, credit = [account + name if account[-1] == "." else account for account in accounts]
            bucket = event[side + "bucket"], event[side + "unit"]
            leg = (debit, credit) if minor > 0 else (credit, debit)
            entries.setdefault(bucket, []).append((*leg, amount(abs(minor), scales[bucket])))
    return [{"bucket": bucket[0], "unit": bucket[1], "legs": entries[bucket]} for bucket in sorted(entries)]


# The export: every line is made anew from its event and compared byte by byte.
CSV_HEADER = (
    b"workspace_id,position,bucket,leg,tag,request_id,effective_at,recorded_at,"
    b"debit_account,credit_account,amount,unit\n"
)
LINE = '{"workspace_id":%s,"position":%d,"stream":%s,"version":%d,"tag":%s,"command_id":%s,"recorded_at":%d,'
LINE += '"state":%s,"digest":"%s","entries":%s}\n'
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
encode, quote = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode, json.encoder.encode_basestring


@lru_cache(maxsize=1000)
def second(seconds: int) -> str:
    """Return seconds since 1970 as text, but for their fraction and zone."""
    return (EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


def instant(at: int) -> str:
    """Return microseconds since 1970 as text."""
    return f"{second(at // 1_000_000)}.{at % 1_000_000:06}Z"


class Verification:
    """One export held against one checkpoint: findings, remarks, and how much was checked."""

    def __init__(self, manifest: Path, *, assume_scales: bool = False) -> None:
        self.assume_scales = assume_scales
        self.folder, self.manifest, self.place = manifest.parent, manifest.name, "checkpoint"
        self.findings: list[str] = []
        self.remarks: list[str] = []
        self.counts = {"events": 0, "entries": 0, "legs": 0}
        self.rows = {"jsonl": 0, "csv": 0}
        self.files: dict[str, BinaryIO] = {}

    def require(self, what: str, stated: object, found: object) -> None:
        """Note where something stated is not what was found, by the place where they begin to differ."""
        if stated != found:
            left, right = str(stated), str(found)
            same = next((at for at, pair in enumerate(zip(left, right, strict=False)) if pair[0] != pair[1]), 0)
            begin = max(0, same - 40)
            self.findings.append(f"{self.place}: {what} is {left[begin:][:90]!r}, must be {right[begin:][:90]!r}")
            if len(self.findings) >= FINDINGS_MAX:
                raise ValueError("there are too many findings")

    def check(self, note: str, keys: Sequence[Key]) -> None:
        """Check everything. What is malformed beyond reading is a finding, too."""
        try:
            checkpoint = open_checkpoint(note, keys)
            said = "checkpoint {checkpoint} of {origin}, {time}: {books} books, {events} events"
            self.remarks.append(said.format_map(checkpoint))
            self.place = self.manifest
            manifest = json.loads((self.folder / self.manifest).read_bytes())
            self.check_scope(manifest, checkpoint, note)
            for file in manifest["files"]:
                self.check_file(file)
            unlisted = sorted(path.name for path in self.folder.glob("journal*") if path.suffix[1:] not in self.files)
            self.require("list of files that the manifest leaves out", unlisted, [])
            if "jsonl" not in self.files:
                raise ValueError("only journal.jsonl has the events: an export without it proves nothing")
            self.check_books(manifest, base64.b64decode(checkpoint["root"]), int(checkpoint["books"]))
        except MALFORMED as error:
            self.findings.append(f"{self.place}: checked no further: {type(error).__name__} {error!s:.200}")
        finally:
            for content in self.files.values():
                content.close()

    def check_scope(self, manifest: Fields, checkpoint: Fields, note: str) -> None:
        """The books are all those of the checkpoint, or the one that is named, and no other checkpoint is proved."""
        scope, names = manifest["scope"], [book["workspace_id"].encode() for book in manifest["books"]]
        period = scope["effective_from"], scope["effective_to"]
        if any(type(edge) not in (int, type(None)) for edge in period):
            raise ValueError("a period is stated in microseconds since 1970")
        edges = ["…" if edge is None else instant(edge) for edge in period]
        self.remarks.append(
            f"scope: {scope['workspace_id'] or 'all workspaces'}, effective from {edges[0]} to {edges[1]}"
        )
        said, known = (str(text).partition("\n\n")[0] for text in (manifest["checkpoint"], note))
        if said != known:
            raise ValueError(f"the export proves another checkpoint than this note: {said[:300]!r}")
        books, events = int(checkpoint["books"]), int(checkpoint["events"])
        self.require("format", manifest["format"], "route-ledger.export.v1")
        self.require("order of the books", names, sorted(set(names)))
        only = scope["workspace_id"]
        if not only:
            self.require("sum of positions", sum(book["position"] for book in manifest["books"]), events)
        self.require("number or names of books", names if only else len(names), [only.encode()] if only else books)

    def check_file(self, file: Fields) -> None:
        """A file has the manifest's size and SHA-256; what is evidence stays open to be read."""
        name, kind = file["name"], file["format"]
        if kind not in FORMATS or name != f"journal.{kind}" or kind in self.files:
            raise ValueError(f"file {name!r:.90} is not called after its format, or one of two")
        path = self.folder / name
        if not path.is_file():
            raise ValueError(f"{name} is no file")
        self.require(f"bytes of {name}", file["bytes"], path.stat().st_size)
        self.files[kind] = content = path.open("rb")
        self.require(f"SHA-256 of {name}", file["sha256"], hashlib.file_digest(content, "sha256").hexdigest())
        content.seek(0)
        if kind not in self.rows:
            self.remarks.append(f"{name} was not compared with the events")

    def check_books(self, manifest: Fields, root: bytes, size: int) -> None:
        """Read the evidence book by book; nothing may be left over in the end."""
        self.begin, self.end = manifest["scope"]["effective_from"], manifest["scope"]["effective_to"]
        if "csv" in self.files:
            self.require("header of the csv file", self.files["csv"].readline(LINE_MAX), CSV_HEADER)
        for book in manifest["books"]:
            name, before, proof = book["workspace_id"], dict(self.counts), book["proof"]
            digest = self.check_book(book, name, book["first_position"], book["position"])
            self.place = f"{self.manifest}: book {name}"
            self.require("digest at the end", book["digest"], digest.hex())
            for kind in self.counts:
                self.require(f"number of {kind}", book[kind], self.counts[kind] - before[kind])
            leaf = hash_fields(b"\0", HEAD, name.encode(), b"%d" % book["position"], digest)
            found = root_over(leaf, proof["index"], size, [bytes.fromhex(neighbour) for neighbour in proof["path"]])
            self.require("root of the checkpoint over this end of the book", found.hex(), root.hex())
        self.place = self.manifest
        self.require("counts", manifest["counts"], self.counts)
        for file in manifest["files"]:
            if file["format"] in self.rows:
                self.require(f"rows of {file['name']}", file["rows"], self.rows[file["format"]])
                self.require(f"what follows in {file['name']}", self.files[file["format"]].read(90), b"")

    def check_book(self, book: Fields, name: str, first: int, last: int) -> bytes:
        """Read one book's lines and return the digest that its chain comes to."""
        if not 0 < first <= last == book["last_position"] or (first > 1 and self.begin is None):
            raise ValueError(f"no export has book {name} from position {first} to {last}")
        start = hash_fields(b"\3", CHAIN, name.encode())
        digest = start if first == 1 else bytes.fromhex(book["previous_digest"])
        self.require(f"previous_digest of book {name}", book["previous_digest"], digest.hex())
        wallets = {(wallet["bucket"], wallet["unit"]): wallet["scale"] for wallet in book["wallets"]}
        self.scales, self.recorded_at = {} if first == 1 else dict(wallets), 0
        for position in range(first, last + 1):
            self.rows["jsonl"] += 1
            self.place = f"jsonl line {self.rows['jsonl']}, book {name}, position {position}"
            digest = self.check_event(name, position, digest)
            if position == first > 1:
                # Nothing is effective more than a minute after it was recorded: the period has nothing before this.
                self.require("recorded before the period", self.recorded_at < self.begin - CLOCK_SKEW, True)
                self.remarks.append(f"book {name} is taken to have the wallets {encode(book['wallets'])}")
                if book["wallets"] and not self.assume_scales:
                    self.require("ground to believe these decimal places", "none", "--assume-scales")
        # Wallets may have been opened since the checkpoint; nothing here posts to them.
        self.require("list of wallets with their decimal places", wallets, wallets | self.scales)
        return digest

    def check_event(self, name: str, position: int, digest: bytes) -> bytes:
        """Read the next line, and the rows of its legs; return the digest after it."""
        line = self.files["jsonl"].readline(LINE_MAX).decode()
        stated = json.loads(line)
        *place, stream, version, tag, command, recorded_at, state, _, _ = stated.values()
        if place != [name, position]:
            raise ValueError(f"this is not the event that comes here, but {place!s:.90}")
        leaf = hash_fields(
            b"\0", CHAIN, name.encode(), b"%d" % position, stream.encode(), b"%d" % version, tag.encode(),
            command.encode(), b"%d" % recorded_at, state.encode(),
        )  # fmt: skip
        digest, fact = hashlib.sha256(b"\2" + digest + leaf).digest(), json.loads(state)
        event, effective_at = fact["event"], fact["effective_at"]
        if event["tag"] == "wallet_opened.v1":
            self.scales[event["bucket"], event["unit"]] = event["scale"]
        entries = entries_of(event, self.scales)
        expected = LINE % (
            quote(name), position, quote(stream), version, quote(event["tag"]), quote(command), recorded_at,
            quote(state), digest.hex(), encode(entries) if entries else "[]",
        )  # fmt: skip
        if line != expected:
            if stated["digest"] != digest.hex():
                line, expected = stated["digest"], digest.hex()
            self.require("line or its digest", line, expected)
            # One change is one finding, not one for each line from here on; the head of the book is wrong in any case.
            digest = bytes.fromhex(stated["digest"])
        if recorded_at < self.recorded_at or effective_at > recorded_at + CLOCK_SKEW:
            raise ValueError("it was recorded before the one before it, or was effective long after it was recorded")
        self.recorded_at = recorded_at
        self.counts["events"] += 1
        if entries and effective_at >= (self.begin or 0) and (self.end is None or effective_at < self.end):
            request = stream[8:] if stream.startswith("request/") else ""
            self.check_rows(f"{tag},{request},{instant(effective_at)},{instant(recorded_at)}", name, position, entries)
        return digest

    def check_rows(self, middle: str, name: str, position: int, entries: list[Fields]) -> None:
        """Count an event's entries and legs, and compare them with the next rows of the csv file."""
        self.counts["entries"] += len(entries)
        for bucket, unit, legs in map(dict.values, entries):
            for number, (debit, credit, value) in enumerate(legs, 1):
                self.counts["legs"] += 1
                if "csv" in self.files:
                    self.rows["csv"] += 1
                    row = f"{name},{position},{bucket},{number},{middle},{debit},{credit},{value},{unit}\n".encode()
                    if (found := self.files["csv"].readline(LINE_MAX)) != row:
                        self.require(f"csv row {self.rows['csv']}", found.decode(), row.decode())


def verify(manifest: Path, checkpoint: Path, keys: Sequence[str], *, assume_scales: bool = False) -> int:
    """Verify an export, say what was found, and return the exit code."""
    try:
        note = checkpoint.read_bytes().decode().replace("\r\n", "\n").rstrip("\n")
        parsed = [parse_key(line) for line in keys]
        manifest.open("rb").close()
    except (OSError, ValueError) as error:
        sys.stderr.write(f"nothing was checked: {error}\n")
        return 2
    verification = Verification(manifest, assume_scales=assume_scales)
    verification.check(note, parsed)
    findings = [f"FINDING {finding}" for finding in verification.findings]
    counts = ", ".join(f"{number:,} {kind}" for kind, number in verification.counts.items())
    compared = " and ".join(f"journal.{kind}" for kind in verification.rows if kind in verification.files)
    result = f"NOT VERIFIED: {len(findings)} findings" if findings else f"verified: {counts} in {compared}"
    for line in (*verification.remarks, *findings, result):
        # What is quoted may come from a forger: it is shown, never obeyed by a terminal.
        shown = "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in line)
        sys.stdout.write(f"{shown}\n")
    return 1 if findings else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Verify an export of a route ledger offline.")
    parser.add_argument("manifest", type=Path, help="manifest.json of the export")
    parser.add_argument("--checkpoint", type=Path, required=True, help="the note that you kept")
    parser.add_argument("--key", action="append", required=True, help="line of the public key; may be given again")
    parser.add_argument("--assume-scales", action="store_true", help="trust the decimal places that a period states")
    options = parser.parse_args()
    if not sys.flags.isolated:
        parser.error("run it as `python -I verify_export.py`, so that no file beside it is run")
    sys.exit(verify(options.manifest, options.checkpoint, options.key, assume_scales=options.assume_scales))
