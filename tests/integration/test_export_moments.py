"""Which moment an export shows: a period of effective time, one snapshot of the books, the heads of a checkpoint."""

from base64 import b64decode
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.signing_key import publish_first_key
from ledger.checkpoint.merkle import head_data, leaf_hash, verify_inclusion
from ledger.checkpoint.note import Signer
from ledger.core.identifiers import PLATFORM
from ledger.service import Ledger
from ledger.store.checkpoints import make_checkpoint, read_origin
from projections.exports.asking import scope_asked
from projections.exports.scope import Scope
from projections.exports.spans import ExportRefused, NotFollowed
from tests.integration.export_scene import exported, head_of, instant
from tests.integration.read_side import ask, follow, tell
from tests.integration.scenes import ACME, pay, record, set_up, workspace_commands

SHANGHAI = "Asia/Shanghai"
JUNE = {"from": "2025-06-01", "to": "2025-07-01"}
EDGES = {
    "last-of-may": "2025-05-31T23:59:59.999999+08:00",
    "first-of-june": "2025-06-01T00:00:00+08:00",
    "last-of-june": "2025-06-30T23:59:59.999999+08:00",
    "first-of-july": "2025-07-01T00:00:00+08:00",
}


@pytest.fixture
def dated(ledger: Ledger) -> Ledger:
    """A ledger whose workspace in Shanghai was paid at the edges of a month, all of it recorded long afterwards."""
    set_up(ledger, time_zone=SHANGHAI)
    # Out of order on purpose: the month's own entries come first and last.
    for name in ("first-of-june", "last-of-may", "first-of-july", "last-of-june"):
        record(ledger, [pay(ACME, "credit", "1", name, effective_at=datetime.fromisoformat(EDGES[name]))])
    follow(ledger.url)
    return ledger


@pytest.fixture
def signer(ledger: Ledger) -> Signer:
    """What signs checkpoints of the ledger, its key published."""
    set_up(ledger)
    with closing(psycopg.connect(ledger.url)) as connection:
        made = Signer(read_origin(connection), Ed25519PrivateKey.generate())
    publish_first_key(ledger, made)
    return made


def times_of(url: str, tmp_path: Path, scope: Scope) -> list[int]:
    """Return the instants of the legs that an export of a scope has."""
    return [instant(row["effective_at"]) for row in exported(url, tmp_path, ("csv",), scope).csv()]


@pytest.mark.parametrize(
    ("zone", "inside"),
    [(None, ["first-of-june", "last-of-june"]), ("UTC", ["first-of-july", "last-of-june"])],
)
def test_a_period_is_of_effective_time(dated: Ledger, tmp_path: Path, zone: str | None, inside: list[str]) -> None:
    """Days begin in the workspace's own zone or the one asked for; what was recorded later belongs to its own day."""
    asked = JUNE if zone is None else {**JUNE, "zone": zone}
    scope = scope_asked(asked, ACME, SHANGHAI)
    assert times_of(dated.url, tmp_path, scope) == [instant(EDGES[name]) for name in inside]
    assert scope.zone == (zone or SHANGHAI)
    everything = scope_asked(JUNE, None, None)
    assert everything.zone == "UTC"
    assert len(times_of(dated.url, tmp_path, everything)) == 2


def test_a_period_counts_only_its_own(dated: Ledger, tmp_path: Path) -> None:
    """Entries and legs of the manifest are those of the period; the evidence is whole, and its entries are complete."""
    found = exported(dated.url, tmp_path, ("csv", "jsonl", "parquet"), scope_asked(JUNE, ACME, SHANGHAI))
    book = found.book()
    assert (book["entries"], book["legs"], book["time_zone"]) == (2, 2, SHANGHAI)
    assert (book["first_position"], book["last_position"]) == (1, book["position"])
    assert (book["events"], len(found.jsonl())) == (book["position"], book["position"])
    assert len(found.jsonl_legs()) > len(found.csv()) == 2
    assert found.manifest["scope"] == {
        "workspace_id": ACME, "zone": SHANGHAI, "effective_from": instant(EDGES["first-of-june"]),
        "effective_to": instant(EDGES["first-of-july"]),
    }  # fmt: skip


def test_the_evidence_begins_before_the_period(ledger: Ledger, tmp_path: Path) -> None:
    """It begins with the last event that was recorded a minute before: none of the period can come earlier."""
    set_up(ledger)
    for number in range(9):
        record(ledger, [pay(ACME, "credit", "1", f"p-{number}")])
    follow(ledger.url)
    events = ask(ledger.url, "select position, recorded_at from ledger.event where workspace_id = 'acme' order by 1")
    whole = exported(ledger.url, tmp_path, ("jsonl",)).jsonl()
    for position, recorded_at in events[-8:]:
        scope = Scope(ACME, recorded_at + 60_000_001, None, "UTC")
        found = exported(ledger.url, tmp_path, ("csv", "jsonl"), scope)
        book = found.book()
        assert (book["first_position"], book["position"]) == (position, events[-1][0])
        assert found.jsonl() == [event for event in whole if event["workspace_id"] == ACME][position - 1 :]
        assert head_of(found.jsonl(), book["previous_digest"]) == book["digest"]
        assert found.csv() == []
    earliest = exported(ledger.url, tmp_path, ("jsonl",), Scope(ACME, events[0][1] + 60_000_000, None, "UTC"))
    assert earliest.book()["first_position"] == 1


def test_every_file_is_of_one_moment(ledger: Ledger, tmp_path: Path) -> None:
    """What is posted, followed or changed while one file is written is in none of the others either."""
    set_up(ledger)
    follow(ledger.url)
    written: list[str] = []

    def post(name: str, done: int, total: int) -> None:
        if done == total:
            written.append(name)
            record(ledger, [pay(ACME, "credit", "1", f"while-{name}")])
            follow(ledger.url)
            ask(ledger.url, "update projections.entry set effective_at = effective_at + 1")

    before = exported(ledger.url, tmp_path, ("csv",)).csv()
    found = exported(ledger.url, tmp_path, ("parquet", "csv", "jsonl"), on_progress=post)
    assert set(written) == {"parquet", "csv", "jsonl"}
    assert found.csv() == before
    assert found.csv_legs() == found.jsonl_legs()
    assert found.manifest["counts"]["legs"] == len(found.csv())
    assert head_of([each for each in found.jsonl() if each["workspace_id"] == ACME], found.book()["previous_digest"])
    later = exported(ledger.url, tmp_path)
    assert later.book()["position"] == found.book()["position"] + 3


def test_exports_beside_a_writer_are_consistent(ledger: Ledger, tmp_path: Path) -> None:
    """With writers and followers at work each export is whole, and all of its files and counts agree."""
    set_up(ledger)
    follow(ledger.url)
    stopping = Event()

    def work(step: Callable[[int], Any]) -> Thread:
        def go() -> None:
            number = 0
            while not stopping.is_set():
                step(number)
                number += 1

        thread = Thread(target=go)
        thread.start()
        return thread

    threads = [
        work(lambda number: record(ledger, [pay(ACME, "credit", "1", f"n-{number}-{each}") for each in range(20)])),
        work(lambda number: follow(ledger.url)),
    ]
    try:
        exports = [exported(ledger.url, tmp_path) for _ in range(6)]
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
    for found in exports:
        assert found.csv_legs() == found.jsonl_legs()
        for book in found.manifest["books"]:
            own = [event for event in found.jsonl() if event["workspace_id"] == book["workspace_id"]]
            assert head_of(own, book["previous_digest"]) == book["digest"]
    assert exports[0].book()["position"] < exports[-1].book()["position"]


def test_a_checkpoint_is_where_books_end(ledger: Ledger, signer: Signer, tmp_path: Path) -> None:
    """Each book goes as far as in the newest checkpoint, or an older one by number, and proves that it is in it."""
    first = make_checkpoint(ledger.url, signer)
    tell(ledger)
    second = make_checkpoint(ledger.url, signer)
    record(ledger, [pay(ACME, "credit", "1", "later"), *workspace_commands("latecomer")])
    follow(ledger.url)
    for number, made in ((0, second), (2, second), (1, first)):
        found = exported(ledger.url, tmp_path, checkpoint=number)
        assert found.manifest["checkpoint"] == made.note
        books = found.manifest["books"]
        assert [book["workspace_id"] for book in books] == [ACME, PLATFORM]
        assert sum(book["position"] for book in books) == made.events
        for book in books:
            own = [event for event in found.jsonl() if event["workspace_id"] == book["workspace_id"]]
            assert head_of(own, book["previous_digest"]) == book["digest"]
            leaf = leaf_hash(head_data(book["workspace_id"], book["position"], bytes.fromhex(book["digest"])))
            path = [bytes.fromhex(neighbour) for neighbour in book["proof"]["path"]]
            assert verify_inclusion(leaf, book["proof"]["index"], made.books, path, b64decode(made.note.split("\n")[2]))
        assert found.csv_legs() == found.jsonl_legs()
    assert exported(ledger.url, tmp_path, scope=Scope(PLATFORM), checkpoint=2).book(PLATFORM)["proof"]["index"] == 1
    assert "latecomer" in {book["workspace_id"] for book in exported(ledger.url, tmp_path).manifest["books"]}


def test_a_checkpoint_that_cannot_be_reached_is_refused(ledger: Ledger, signer: Signer, tmp_path: Path) -> None:
    """No such number, a journal that is behind it, a workspace that began later, a book that was changed since."""
    make_checkpoint(ledger.url, signer)
    with pytest.raises(NotFollowed, match=f"has followed {ACME} to 0 only"):
        exported(ledger.url, tmp_path, checkpoint=1)
    record(ledger, workspace_commands("latecomer"))
    follow(ledger.url)
    with pytest.raises(ExportRefused, match="there is no checkpoint 7"):
        exported(ledger.url, tmp_path, checkpoint=7)
    with pytest.raises(ExportRefused, match="nothing of workspace latecomer to export in the checkpoint"):
        exported(ledger.url, tmp_path, scope=Scope("latecomer"), checkpoint=1)
    ask(ledger.url, "alter table ledger.event disable trigger user")
    ask(ledger.url, "update ledger.event set digest = sha256('x') where workspace_id = 'acme' and position = 7")
    with pytest.raises(ExportRefused, match="book acme is not as it was signed at position 7"):
        exported(ledger.url, tmp_path, checkpoint=1)
    assert list(tmp_path.iterdir()) == []


def test_without_a_checkpoint_books_end_where_the_journal_does(ledger: Ledger, tmp_path: Path) -> None:
    """What the journal has not followed yet is not exported, and the digest is that of the event there."""
    set_up(ledger)
    follow(ledger.url)
    before = exported(ledger.url, tmp_path)
    record(ledger, [pay(ACME, "credit", "1", "later")])
    after = exported(ledger.url, tmp_path, checkpoint=0)
    assert (after.book(), after.csv()) == (before.book(), before.csv())
