"""Checkpoints in the database: made over all books in one snapshot, kept append-only, read again with their heads.

What is kept here proves nothing against whoever holds the database: the notes are for somebody outside. A checkpoint
is refused where a book no longer holds what an earlier one signed, so that nothing is signed over a hole.
"""

import base64
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import msgspec
import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.checkpoint.keys import VerifierKey
from ledger.checkpoint.merkle import Tree, head_data, leaf_hash
from ledger.checkpoint.note import Signer, Statement, body_of, origin_of
from ledger.events import decode_fact
from ledger.store.connection import connect_writer
from ledger.store.queries import load_queries
from ledger.workspace.events import SigningKeyPublished

QUERIES = load_queries("ledger.store.sql", "checkpoints.sql")

TRIES_MAX = 8
"""Two processes that make a checkpoint at once take the same number: the later one begins anew."""


class CheckpointRefused(Exception):
    """No checkpoint is made or found. The message says why, and what to do."""


class Checkpoint(msgspec.Struct, frozen=True):
    """A checkpoint as it is kept. `made_at` in microseconds since 1970; `events` is the sum of all positions."""

    checkpoint: int
    made_at: int
    key_id: str
    root: bytes
    books: int
    events: int
    note: str


class Head(msgspec.Struct, frozen=True):
    """Where a book's chain ended when a checkpoint was made."""

    workspace_id: str
    position: int
    digest: bytes


class Inclusion(msgspec.Struct, frozen=True):
    """That a book's head is in a checkpoint: its place among the leaves, and the neighbours on the way to the root."""

    head: Head
    index: int
    path: list[bytes]


def read_origin(connection: Connection[TupleRow]) -> str:
    """Return what notes of this database begin with. Raises CheckpointRefused before the first event."""
    row = connection.execute(QUERIES["read_first_digest"]).fetchone()
    if row is None:
        raise CheckpointRefused("the platform's book is empty: serve this database once")
    return origin_of(bytes(row[0]))


def read_keys(connection: Connection[TupleRow]) -> tuple[VerifierKey, ...]:
    """Return all keys that were ever published, in order: the last one signs now."""
    return keys_of(connection.execute(QUERIES["read_signing_keys"]).fetchall())


def keys_of(rows: Sequence[TupleRow]) -> tuple[VerifierKey, ...]:
    """Return published keys of the events that published them."""
    events = [decode_fact(bytes(row[0])).event for row in rows]
    return tuple(
        VerifierKey(event.name, base64.b64decode(event.public_key))
        for event in events
        if isinstance(event, SigningKeyPublished)
    )


def read_checkpoint(connection: Connection[TupleRow], number: int | None) -> Checkpoint | None:
    """Return one checkpoint, the newest without a number; None where there is none."""
    name = "read_newest_checkpoint" if number is None else "read_checkpoint"
    row = connection.execute(QUERIES[name], None if number is None else {"checkpoint": number}).fetchone()
    return None if row is None else checkpoint_of(row)


def checkpoint_of(row: Sequence[Any]) -> Checkpoint:
    """Return a row as the checkpoint that it is."""
    checkpoint, made_at, key_id, root, books, events, note = row
    return Checkpoint(checkpoint, made_at, key_id, bytes(root), books, int(events), note)


def read_heads(connection: Connection[TupleRow], number: int) -> list[Head]:
    """Return the heads that a checkpoint was made over, in the order of its leaves."""
    rows = connection.execute(QUERIES["read_heads"], {"checkpoint": number}).fetchall()
    return [Head(row[0], row[1], bytes(row[2])) for row in rows]


def read_digests(connection: Connection[TupleRow], heads: Sequence[Head]) -> list[tuple[int | None, bytes | None]]:
    """Return for each head where its book ends now, and the digest that stands at the head's position."""
    columns = {
        "workspaces": [head.workspace_id for head in heads],
        "positions": [head.position for head in heads],
    }
    rows = connection.execute(QUERIES["read_digests"], columns).fetchall()
    there = {row[0]: (row[1], None if row[2] is None else bytes(row[2])) for row in rows}
    return [there[head.workspace_id] for head in heads]


def tree_of(heads: Sequence[Head]) -> Tree:
    """Return the tree over heads in the order of their workspaces' bytes."""
    return Tree([leaf_hash(head_data(head.workspace_id, head.position, head.digest)) for head in heads])


def prove(heads: Sequence[Head], tree: Tree, workspace_id: str) -> Inclusion | None:
    """Return the proof that a book's head is in a tree; None where the book had not begun."""
    for index, head in enumerate(heads):
        if head.workspace_id == workspace_id:
            return Inclusion(head, index, tree.path(index))
    return None


def make_checkpoint(url: str, signer: Signer) -> Checkpoint:
    """Sign the heads of all books as they are at one moment, and keep the note with the heads that moved.

    Where nothing moved since the newest checkpoint, that one is returned. Any number of processes may do this at once.
    Raises CheckpointRefused where the key is not the one published last, or a book lost what was signed before.
    """
    with closing(connect_writer(url)) as connection:
        for _ in range(TRIES_MAX):
            try:
                with snapshot(connection):
                    return checkpoint_in(connection, signer)
            except (psycopg.errors.UniqueViolation, psycopg.errors.SerializationFailure):
                # Another process has made it meanwhile; this snapshot does not see it.
                continue
    raise CheckpointRefused("other processes are making checkpoints all the time: try again")


@contextmanager
def snapshot(connection: Connection[TupleRow]) -> Iterator[None]:
    """See one moment of the database until the end of the block, and commit what was written in it."""
    connection.execute(QUERIES["begin"])
    try:
        yield
    except BaseException:
        if not connection.broken:
            connection.execute(QUERIES["rollback"])
        raise
    connection.execute(QUERIES["commit"])


def checkpoint_in(connection: Connection[TupleRow], signer: Signer) -> Checkpoint:
    """Make a checkpoint of the current snapshot."""
    origin = read_origin(connection)
    require_current(read_keys(connection), signer.key, origin)
    moves = connection.execute(QUERIES["read_moves"]).fetchall()
    for move in moves:
        require_unbroken(*move)
    newest = read_checkpoint(connection, None)
    moved = [Head(move[0], move[1], bytes(move[2])) for move in moves if move[1] != move[4]]
    if newest is not None and not moved:
        return newest
    clock = connection.execute(QUERIES["read_clock"]).fetchone() or (0,)
    heads = [Head(move[0], move[1], bytes(move[2])) for move in moves]
    number = 1 if newest is None else newest.checkpoint + 1
    events = sum(head.position for head in heads)
    statement = Statement(origin, len(heads), tree_of(heads).root, events, clock[0], number)
    made = Checkpoint(
        number, clock[0], signer.key.key_id, statement.root, len(heads), events, signer.sign(body_of(statement))
    )
    connection.execute(QUERIES["insert_checkpoint"], msgspec.structs.asdict(made))
    columns = {
        "workspaces": [head.workspace_id for head in moved],
        "positions": [head.position for head in moved],
        "digests": [head.digest for head in moved],
    }
    connection.execute(QUERIES["insert_heads"], {"checkpoint": number, **columns})
    return made


def require_current(published: Sequence[VerifierKey], key: VerifierKey, origin: str) -> None:
    """Refuse a key that is not the one published last, or that bears another database's name."""
    if key.name != origin:
        raise CheckpointRefused(f"the key signs as {key.name}, and this database is {origin}")
    if not published or published[-1] != key:
        why = f"{published[-1].key_id} is" if published else "none is"
        raise CheckpointRefused(f"key {key.key_id} is not the one that signs checkpoints of this database: {why}")


def require_unbroken(
    workspace_id: str, position: int, digest: bytes | None, checkpoint: int | None, signed_position: int | None,
    signed_digest: bytes | None, digest_there: bytes | None,
) -> None:  # fmt: skip
    """Refuse a book that has no event at its end, or another one where an earlier checkpoint found its end."""
    if digest is None:
        raise CheckpointRefused(f"book {workspace_id} has no event at its position {position}: run audit verify")
    if signed_position is not None and (position < signed_position or digest_there != signed_digest):
        raise CheckpointRefused(
            f"book {workspace_id} no longer holds what checkpoint {checkpoint} signed at position {signed_position}: "
            "run audit verify with the newest note that was kept outside"
        )
