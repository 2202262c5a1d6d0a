"""Checkpoints as they are read over HTTP: notes by number, and the proof that a book's head is in one."""

from collections.abc import Awaitable, Callable
from typing import Any

from psycopg.rows import TupleRow

from ledger.checkpoint.keys import VerifierKey
from ledger.checkpoint.merkle import Tree
from ledger.store.checkpoints import Checkpoint, Head, Inclusion, checkpoint_of, keys_of, prove, tree_of

Fetch = Callable[..., Awaitable[list[TupleRow]]]
TREES_MAX = 4
"""Trees that are remembered. A checkpoint never changes, and most who ask want the newest one."""


class CheckpointReader:
    """Reads over the pool of the live reads; raises Refused(UNAVAILABLE) when the database is away."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._trees: dict[int, tuple[list[Head], Tree]] = {}

    async def checkpoint(self, number: int | None) -> Checkpoint | None:
        """Return one checkpoint, the newest without a number; None where there is none."""
        if number is None:
            rows = await self._fetch("read_newest_checkpoint")
        else:
            rows = await self._fetch("read_checkpoint", checkpoint=number)
        return checkpoint_of(rows[0]) if rows else None

    async def keys(self) -> tuple[VerifierKey, ...]:
        """Return all keys that were ever published, in order: the last one signs now."""
        return keys_of(await self._fetch("read_signing_keys"))

    async def inclusion(self, checkpoint: Checkpoint, workspace_id: str) -> Inclusion | None:
        """Return the proof that a book's head is in a checkpoint; None where the book had not begun."""
        number: Any = checkpoint.checkpoint
        if number not in self._trees:
            rows = await self._fetch("read_heads", checkpoint=number)
            heads = [Head(row[0], row[1], bytes(row[2])) for row in rows]
            while len(self._trees) >= TREES_MAX:
                self._trees.pop(next(iter(self._trees)))
            self._trees[number] = heads, tree_of(heads)
        heads, tree = self._trees[number]
        return prove(heads, tree, workspace_id)
