"""Checkpoints on a real database: one snapshot of all books, kept append-only, by any number of processes at once."""

import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gateway.app import Signing, errand_of
from gateway.checkpointing import Checkpointing
from gateway.signing_key import KeyFileUnusable, create_key_file, open_signer, publish_first_key, publish_key
from ledger.checkpoint.note import Signer, read_checkpoint_note
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refusal, Refused
from ledger.service import Ledger
from ledger.store.checkpoints import (
    Checkpoint,
    CheckpointRefused,
    Head,
    make_checkpoint,
    prove,
    read_checkpoint,
    read_heads,
    read_keys,
    read_origin,
    tree_of,
)
from ledger.store.connection import connect_writer
from ledger.workspace.commands import PublishSigningKey
from projections.audit.kept import check_kept, read_vkeys
from tests.conftest import drop_database
from tests.integration.read_side import ask
from tests.integration.scenes import ACME, do, pay, record, set_up, workspace_commands

MAKERS, ROUNDS = 2, 6
UNLOCK = "alter table ledger.event disable trigger all"


@pytest.fixture
def signer(ledger: Ledger) -> Signer:
    """What signs checkpoints of an opened ledger, its key published."""
    set_up(ledger)
    made = signer_of(ledger.url)
    publish_first_key(ledger, made)
    return made


def signer_of(url: str) -> Signer:
    """Return what signs with a new key for a database."""
    return Signer(reading(url, read_origin), Ed25519PrivateKey.generate())


def reading(url: str, read: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function reads over a connection of its own."""
    with closing(connect_writer(url)) as connection:
        return read(connection, *arguments)


def heads_of(url: str, number: int) -> list[Head]:
    """Return the heads of a checkpoint."""
    heads: list[Head] = reading(url, read_heads, number)
    return heads


def test_a_checkpoint_is_over_all_books(ledger: Ledger, signer: Signer) -> None:
    """The note states the books, the sum of their positions and the root over their heads, as they are."""
    record(ledger, workspace_commands("zeta"))
    made = make_checkpoint(ledger.url, signer)
    books = ask(ledger.url, "select workspace_id, position, digest from ledger.book where position > 0 order by 1")
    heads = heads_of(ledger.url, made.checkpoint)
    assert [(head.workspace_id, head.position, head.digest) for head in heads] == [
        (name, position, bytes(digest)) for name, position, digest in books
    ]
    stated = read_checkpoint_note(made.note, [signer.key])
    assert (stated.books, stated.events) == (3, sum(head.position for head in heads))
    assert (stated.root, stated.checkpoint, stated.made_at) == (tree_of(heads).root, 1, made.made_at)
    assert reading(ledger.url, read_checkpoint, None) == made


def test_heads_are_kept_once(ledger: Ledger, signer: Signer) -> None:
    """Only books that moved are written again, and an older checkpoint still has all its heads."""
    first = make_checkpoint(ledger.url, signer)
    before = heads_of(ledger.url, first.checkpoint)
    do(ledger, pay(ACME, "credit", "1", "second"))
    second = make_checkpoint(ledger.url, signer)
    record(ledger, workspace_commands("zeta"))
    third = make_checkpoint(ledger.url, signer)
    rows = ask(ledger.url, "select checkpoint, workspace_id from ledger.checkpoint_head order by 1, 2")
    assert rows == [(1, "acme"), (1, "platform"), (2, "acme"), (3, "zeta")]
    assert heads_of(ledger.url, 1) == before
    assert [tree_of(heads_of(ledger.url, made.checkpoint)).root for made in (first, second, third)] == [
        first.root, second.root, third.root,
    ]  # fmt: skip
    inclusion = prove(heads_of(ledger.url, 2), tree_of(heads_of(ledger.url, 2)), "zeta")
    assert inclusion is None


def test_nothing_new_is_not_signed_again(ledger: Ledger, signer: Signer) -> None:
    """Where no book has moved the newest checkpoint is returned, and none is made."""
    made = make_checkpoint(ledger.url, signer)
    assert make_checkpoint(ledger.url, signer) == made
    assert ask(ledger.url, "select count(*) from ledger.checkpoint") == [(1,)]


def test_checkpoints_are_never_changed(ledger: Ledger, signer: Signer) -> None:
    """Neither the writer nor the owner changes, removes or empties what was signed."""
    make_checkpoint(ledger.url, signer)
    for table in ("ledger.checkpoint", "ledger.checkpoint_head"):
        for statement in (f"update {table} set checkpoint = 9", f"delete from {table}", f"truncate {table}"):
            with psycopg.connect(ledger.url) as owner, pytest.raises(psycopg.errors.RestrictViolation):
                owner.execute(statement.encode())
            with closing(connect_writer(ledger.url)) as writer, pytest.raises(psycopg.errors.InsufficientPrivilege):
                writer.execute(statement.encode())


def test_one_snapshot_while_writers_post(ledger: Ledger, signer: Signer) -> None:
    """Payments go to one book and then to another: no checkpoint sees a second one before its first."""
    record(ledger, workspace_commands("zeta"))
    start: dict[str, int] = dict(ask(ledger.url, "select workspace_id, position from ledger.book"))
    stopping = threading.Event()

    def post() -> None:
        number = 0
        while not stopping.is_set():
            for name in (ACME, "zeta"):
                do(ledger, pay(name, "credit", "1", f"again-{number}"))
            number += 1

    poster = threading.Thread(target=post)
    poster.start()
    try:
        made = [make_checkpoint(ledger.url, signer) for _ in range(20)]
    finally:
        stopping.set()
        poster.join()
    assert len({each.checkpoint for each in made}) > 5
    for each in made:
        heads = heads_of(ledger.url, each.checkpoint)
        moved = {head.workspace_id: head.position - start[head.workspace_id] for head in heads}
        assert moved[ACME] - moved["zeta"] in (0, 1)
        assert (tree_of(heads).root, kept_findings(ledger.url, each, signer)) == (each.root, [])


def make_many(url: str, key_file: str) -> list[int]:
    """Make checkpoints one after the other, with a payment before each, and return their numbers. In a process."""
    signer = open_signer(url, Path(key_file))
    with Ledger.open(url) as ledger:
        numbers: list[int] = []
        for _ in range(ROUNDS):
            do(ledger, pay(ACME, "credit", "1", f"{id(ledger)}-{threading.get_native_id()}-{len(numbers)}"))
            numbers.append(make_checkpoint(url, signer).checkpoint)
    return numbers


def test_processes_make_checkpoints_at_once(ledger: Ledger, tmp_path: Path) -> None:
    """Two processes never take one number, leave none out, and each gets a checkpoint with its own payment in it."""
    set_up(ledger)
    create_key_file(tmp_path / "key")
    publish_first_key(ledger, open_signer(ledger.url, tmp_path / "key"))
    with ProcessPoolExecutor(MAKERS, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(make_many, ledger.url, str(tmp_path / "key")) for _ in range(MAKERS)]
        numbers = [future.result() for future in futures]
    assert all(own == sorted(set(own)) for own in numbers)
    kept = [row[0] for row in ask(ledger.url, "select checkpoint from ledger.checkpoint order by 1")]
    assert kept == list(range(1, len(kept) + 1))
    assert {number for own in numbers for number in own} == set(kept)
    for number in kept:
        checkpoint: Checkpoint = reading(ledger.url, read_checkpoint, number)
        assert tree_of(heads_of(ledger.url, number)).root == checkpoint.root


def test_a_key_is_put_in_the_place_of_another(ledger: Ledger, signer: Signer) -> None:
    """After a rotation the old key signs nothing more, and its checkpoints stay good."""
    old = make_checkpoint(ledger.url, signer)
    other = signer_of(ledger.url)
    with pytest.raises(CheckpointRefused, match="not the one that signs"):
        make_checkpoint(ledger.url, other)
    with pytest.raises(CheckpointRefused, match="rotate-key"):
        publish_first_key(ledger, other)
    for wrong in (None, other.key.key_id):
        with pytest.raises(Refused) as refused:
            publish_key(ledger, other, wrong)
        assert (refused.value.code, refused.value.facts["current"]) == (
            Refusal.SIGNING_KEY_NOT_CURRENT, signer.key.key_id,
        )  # fmt: skip
    publish_key(ledger, other, signer.key.key_id, "the laptop was lost")
    new = make_checkpoint(ledger.url, other)
    with pytest.raises(CheckpointRefused, match=other.key.key_id):
        make_checkpoint(ledger.url, signer)
    assert (old.key_id, new.key_id) == (signer.key.key_id, other.key.key_id)
    assert reading(ledger.url, read_keys) == (signer.key, other.key)
    vkeys = reading(ledger.url, read_vkeys)
    for made in (old, new):
        assert reading(ledger.url, check_kept, made.note, vkeys) == []


def test_nothing_is_signed_over_a_hole(ledger: Ledger, signer: Signer) -> None:
    """Where a book does not hold any more what an earlier checkpoint signed, no further one is made."""
    record(ledger, workspace_commands("zeta"))
    make_checkpoint(ledger.url, signer)
    do(ledger, pay(ACME, "credit", "1", "second"))
    head = heads_of(ledger.url, 1)[0]
    with psycopg.connect(ledger.url) as owner:
        owner.execute(UNLOCK.encode())
        owner.execute(
            b"update ledger.event set digest = sha256(digest) where workspace_id = 'acme' and position = %s",
            (head.position,),
        )
    with pytest.raises(CheckpointRefused, match="book acme no longer holds what checkpoint 1 signed"):
        make_checkpoint(ledger.url, signer)


def test_a_database_restored_to_before_is_found(ledger: Ledger, signer: Signer, server_url: str) -> None:
    """A copy of the database from before a kept checkpoint lacks it, even when it has made another with that number."""
    make_checkpoint(ledger.url, signer)
    ledger.close()
    name = str(conninfo_to_dict(ledger.url)["dbname"])
    copy = make_conninfo(ledger.url, dbname=f"{name}_before")
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'create database "{name}_before" template "{name}"'.encode())
    try:
        with Ledger.open(ledger.url) as again:
            do(again, pay(ACME, "credit", "1", "lost"))
            kept = make_checkpoint(ledger.url, signer)
        (missing,) = kept_findings(copy, kept, signer)
        assert "restored to before" in missing
        with Ledger.open(copy) as restored:
            do(restored, pay(ACME, "credit", "2", "other"))
            assert make_checkpoint(copy, signer).checkpoint == kept.checkpoint
        found = kept_findings(copy, kept, signer)
        assert any("another one under this number" in finding for finding in found)
        assert kept_findings(ledger.url, kept, signer) == []
    finally:
        drop_database(server_url, f"{name}_before")


def kept_findings(url: str, kept: Checkpoint, signer: Signer) -> list[str]:
    """Return what a database lacks of a kept checkpoint, in words."""
    found = reading(url, check_kept, kept.note, [signer.key.line])
    return [f"{finding.what}: {finding.found}" for finding in found]


def test_it_is_made_on_schedule(ledger: Ledger, tmp_path: Path) -> None:
    """The schedule signs what moved, makes nothing new where nothing did, and goes on after a key that is refused."""
    set_up(ledger)
    create_key_file(tmp_path / "key")
    made: list[int] = []
    reported = threading.Event()

    def report(checkpoint: Checkpoint) -> None:
        made.append(checkpoint.checkpoint)
        reported.set()

    schedule = Checkpointing(ledger.url, str(tmp_path / "key"), 0.05, report)
    schedule.start()
    assert not reported.wait(0.3)
    publish_first_key(ledger, open_signer(ledger.url, tmp_path / "key"))
    assert reported.wait(10)
    do(ledger, pay(ACME, "credit", "1", "second"))
    while made[-1] < 2:
        reported.clear()
        assert reported.wait(10)
    schedule.stop()
    schedule.join(10)
    assert ask(ledger.url, "select count(*) from ledger.checkpoint") == [(2,)]


def test_a_server_begins_with_the_key_that_signs(ledger: Ledger, tmp_path: Path) -> None:
    """The first start with a key publishes it; one with another key, or with none in the file, starts nothing."""
    for name in ("one", "two"):
        create_key_file(tmp_path / name)
    errand = errand_of(ledger, 0, Signing(tmp_path / "one", 5))
    assert (errand.signing_key, errand.checkpoint_seconds) == (str(tmp_path / "one"), 300)
    assert reading(ledger.url, read_keys) == (open_signer(ledger.url, tmp_path / "one").key,)
    assert errand_of(ledger, 0, None).signing_key is None
    for name, refusal in (("two", CheckpointRefused), ("none", KeyFileUnusable)):
        with Ledger.open(ledger.url) as other, pytest.raises(refusal):
            errand_of(other, 0, Signing(tmp_path / name, 5))


def test_keys_are_of_the_platform(ledger: Ledger) -> None:
    """A signing key is published in the platform's own book alone, with the hash that it really has."""
    set_up(ledger)
    signer = signer_of(ledger.url)
    command: dict[str, Any] = {
        "key_id": signer.key.key_id,
        "name": signer.key.name,
        "public_key": signer.key.public_key_text,
    }
    for changed, code in (
        ({"workspace_id": ACME}, Refusal.WORKSPACE_UNKNOWN),
        ({"key_id": "00000000"}, Refusal.TEXT_INVALID),
        ({"public_key": "A" * 42 + "B="}, Refusal.TEXT_INVALID),
        ({"public_key": "AAAA"}, Refusal.TEXT_INVALID),
        ({"name": "with space"}, Refusal.TEXT_INVALID),
        ({"replaces": "00000000"}, Refusal.SIGNING_KEY_NOT_CURRENT),
    ):
        refused = ledger.execute(PublishSigningKey(**{**command, **changed}), "system").refused
        assert refused is not None
        assert refused.code == code, changed
    assert ledger.execute(PublishSigningKey(**command), "system").refused is None
    repeated = ledger.execute(PublishSigningKey(**command), "system")
    assert (repeated.repeated, repeated.refused) == (True, None)
    published = ask(ledger.url, "select workspace_id from ledger.event where tag = 'signing_key_published.v1'")
    assert published == [(PLATFORM,)]
