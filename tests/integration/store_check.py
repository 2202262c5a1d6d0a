"""An auditor of the books that shares no code with them: it reads stored bytes as plain JSON and adds up.

What it demands of every book: positions, versions and times without gaps or steps back, a chain that holds,
money that never left what was available or allowed, and live rows that equal the fold of the events.
"""

import json
from collections import Counter
from hashlib import sha256
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row

FORMAT = b"route-ledger.chain.v1"
HELD_MORE = {"request_routed.v1", "hold_extended.v1", "fallback_taken.v1"}
FINANCE = {"funds_reversed.v1", "adjustment_posted.v1", "credit_limit_changed.v1", "charge_corrected.v1"}
"""Acts of finance that may leave available below zero."""

CHARGED = {
    "tokens_settled.v1": ("captured_minor", "from_available_minor"),
    "charge_corrected.v1": ("difference_minor", "overrun_minor"),
}
POSTED = {
    "funds_added.v1": 1, "funds_granted.v1": 1, "adjustment_posted.v1": 1, "funds_reversed.v1": -1,
    "funds_withdrawn.v1": -1,
}  # fmt: skip


class Audit(NamedTuple):
    """What was found: complaints (none in a sound database), and (workspace, command) → position."""

    wrong: list[str]
    positions: dict[tuple[str, str], int]


class Book:
    """One workspace's money, added up event by event."""

    def __init__(self, workspace_id: str) -> None:
        self.workspace_id = workspace_id
        self.position = 0
        self.recorded_at = 0
        self.digest = sha256(b"\x03" + field(FORMAT) + field(workspace_id.encode())).digest()
        self.versions: Counter[str] = Counter()
        self.wallets: dict[str, dict[str, Any]] = {}
        self.holds: dict[str, tuple[str, int]] = {}
        self.budgets: dict[str, list[int]] = {}
        self.limits: dict[tuple[str, str, str], int] = {}
        self.wrong: list[str] = []

    def add(self, row: dict[str, Any]) -> None:
        """Add the next event."""
        place = f"{self.workspace_id} at {row['position']} ({row['tag']})"
        fact = json.loads(row["state"])
        event = fact["event"]
        self.versions[row["stream"]] += 1
        leaf = leaf_of(row)
        self.digest = sha256(b"\x02" + self.digest + leaf).digest()
        for rule, holds in (
            ("has a gap", row["position"] == self.position + 1),
            ("has a gap in its stream", row["version"] == self.versions[row["stream"]]),
            ("goes back in time", row["recorded_at"] >= self.recorded_at),
            ("breaks the chain", row["digest"] == self.digest),
            ("has another tag than its state", row["tag"] == event["tag"]),
        ):
            if not holds:
                self.wrong.append(f"{place} {rule}")
        self.position, self.recorded_at = row["position"], row["recorded_at"]
        before = {bucket: available(wallet) for bucket, wallet in self.wallets.items()}
        self.post(row["stream"], event)
        self.judge(place, event, before)

    def post(self, stream: str, event: dict[str, Any]) -> None:
        """Move wallets, holds, budgets and limits as the event says."""
        tag = event["tag"]
        if stream.startswith("request/"):
            self.post_request(stream.removeprefix("request/"), event)
        elif tag == "wallet_opened.v1":
            limit = event.get("credit_limit_minor", 0)
            self.wallets[event["bucket"]] = {"posted": 0, "held": 0, "limit": limit, "frozen": False}
        elif tag == "credit_limit_changed.v1":
            self.wallets[event["bucket"]]["limit"] = event["credit_limit_minor"]
        elif tag in ("wallet_frozen.v1", "wallet_unfrozen.v1"):
            self.wallets[event["bucket"]]["frozen"] = tag == "wallet_frozen.v1"
        elif tag == "bucket_exchanged.v1":
            self.wallets[event["from_bucket"]]["posted"] -= event["from_minor"]
            self.wallets[event["to_bucket"]]["posted"] += event["to_minor"]
        elif tag in POSTED:
            self.wallets[event["bucket"]]["posted"] += POSTED[tag] * event["amount_minor"]
        elif tag in ("api_key_issued.v1", "api_key_limits_changed.v1"):
            self.limit("key", event["api_key_id"], event.get("limits", {}).get("spend", ()))
        elif tag in ("project_created.v1", "project_limits_changed.v1"):
            self.limit("project", event["project_id"], event.get("spend_limits", ()))

    def limit(self, kind: str, name: str, limits: Any) -> None:
        """Take over a key's or project's spend limits."""
        subject = f"{kind}/{name}"
        self.limits = {key: limit for key, limit in self.limits.items() if key[0] != subject}
        for each in limits:
            self.limits[subject, each["bucket"], each["period"]] = each["limit_minor"]

    def post_request(self, request_id: str, event: dict[str, Any]) -> None:
        """Move what an event of a request says, in its bucket and its budgets."""
        tag = event["tag"]
        budgets = event.get("budgets", ())
        if tag == "fallback_taken.v1":
            released = event.get("released_budgets", ())
            self.move(event["from_bucket"], 0, -event["released_minor"], released)
            self.move(event["to_bucket"], 0, event["hold_minor"], budgets)
            self.holds[request_id] = event["to_bucket"], event["hold_minor"]
        elif tag in ("request_routed.v1", "hold_extended.v1"):
            bucket, held = self.holds.get(request_id, (event["bucket"], 0))
            self.holds[request_id] = bucket, held + event["hold_minor"]
            self.move(bucket, 0, event["hold_minor"], budgets)
        elif tag in CHARGED:
            _, held = self.holds.pop(request_id, ("", 0)) if tag == "tokens_settled.v1" else ("", 0)
            self.move(event["bucket"], -sum(event.get(name, 0) for name in CHARGED[tag]), -held, budgets)
        elif tag == "request_released.v1":
            _, held = self.holds.pop(request_id)
            self.move(event["bucket"], 0, -held, budgets)
        elif tag == "charge_refunded.v1":
            self.move(event["bucket"], event["refund_minor"], 0, budgets)

    def move(self, bucket: str, posted: int, held: int, budgets: Any) -> None:
        """Move one wallet, and the budgets that the amount counts in."""
        self.wallets[bucket]["posted"] += posted
        self.wallets[bucket]["held"] += held
        for budget in budgets:
            used = self.budgets.setdefault(budget, [0, 0])
            used[0] += held
            used[1] -= posted

    def judge(self, place: str, event: dict[str, Any], before: dict[str, int]) -> None:
        """Complain about an amount that was taken and was not there, or was not allowed."""
        for bucket, wallet in self.wallets.items():
            left = available(wallet)
            if left < 0 and left < before.get(bucket, 0) and event["tag"] not in FINANCE:
                self.wrong.append(f"{place} takes {bucket} to {left}")
            if wallet["held"] < 0:
                self.wrong.append(f"{place} leaves {wallet['held']} held in {bucket}")
        if event["tag"] == "tokens_settled.v1":
            paid = event["captured_minor"] + event["from_available_minor"]
            if event["charge_minor"] != paid + event["overrun_minor"]:
                self.wrong.append(f"{place} does not add up")
        if event["tag"] in HELD_MORE and event["hold_minor"] > event.get("released_minor", 0):
            for budget in event.get("budgets", ()):
                kind, name, bucket, period, _ = budget.split("/")
                limit = self.limits.get((f"{kind}/{name}", bucket, period))
                if limit is not None and sum(self.budgets[budget]) > limit:
                    self.wrong.append(f"{place} takes {budget} to {sum(self.budgets[budget])} of {limit}")


def field(content: bytes) -> bytes:
    """Return a field as the chain writes it: its length and its bytes."""
    return len(content).to_bytes(4, "big") + content


def leaf_of(row: dict[str, Any]) -> bytes:
    """Return the digest of one stored event."""
    names = ("workspace_id", "position", "stream", "version", "tag", "command_id", "recorded_at")
    texts = b"".join(field(str(row[name]).encode()) for name in names)
    return sha256(b"\x00" + field(FORMAT) + texts + field(row["state"])).digest()


def available(wallet: dict[str, Any]) -> int:
    """Return what a wallet may still spend."""
    return int(wallet["posted"] - wallet["held"] + wallet["limit"])


def audit(url: str) -> Audit:
    """Fold every book of a database and compare it with what is live, as of one moment."""
    books: dict[str, Book] = {}
    positions: dict[tuple[str, str], int] = {}
    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        for row in connection.execute("select * from ledger.event order by workspace_id, position"):
            book = books.setdefault(row["workspace_id"], Book(row["workspace_id"]))
            book.add(row)
            positions[row["workspace_id"], row["command_id"]] = row["position"]
        wrong = [complaint for book in books.values() for complaint in book.wrong]
        folded, live = rows_of(books), live_rows(connection)
    different = folded.items() ^ live.items()
    return Audit(wrong + [f"live is not folded: {row}" for row in sorted(different, key=str)], positions)


def rows_of(books: dict[str, Book]) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """Return what the live tables should hold. A budget of zeros and an empty book may have no row."""
    rows: dict[tuple[str, ...], tuple[Any, ...]] = {}
    for name, book in books.items():
        catalog_version = book.versions["catalog"]
        rows["book", name] = (book.position, book.digest, book.recorded_at, book.versions["workspace"], catalog_version)
        for bucket, wallet in book.wallets.items():
            rows["wallet", name, bucket] = (
                wallet["posted"], wallet["held"], wallet["limit"], wallet["frozen"], book.versions[f"wallet/{bucket}"],
            )  # fmt: skip
        rows |= {("hold", name, request_id): held for request_id, held in book.holds.items()}
        rows |= {("budget", name, budget): tuple(used) for budget, used in book.budgets.items() if any(used)}
    return rows


def live_rows(connection: psycopg.Connection[Any]) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """Return what the live tables hold."""
    statements = {
        "book": "select workspace_id, position, digest, recorded_at, workspace_version, catalog_version"
        " from ledger.book where position > 0",
        "wallet": "select workspace_id, bucket, posted_minor, held_minor, credit_limit_minor, frozen, version"
        " from ledger.wallet",
        "hold": "select workspace_id, request_id, bucket, held_minor from ledger.hold",
        "budget": "select workspace_id, budget, held_minor, charged_minor from ledger.budget"
        " where (held_minor, charged_minor) <> (0, 0)",
    }
    rows: dict[tuple[str, ...], tuple[Any, ...]] = {}
    for table, statement in statements.items():
        names = 1 if table == "book" else 2
        for row in connection.execute(statement.encode()):
            values = tuple(row.values())
            rows[table, *values[:names]] = values[names:]
    return rows


def complaints(url: str) -> list[str]:
    """Return everything that is wrong with the books of a database."""
    return audit(url).wrong
