"""Checkpoints over HTTP: the signed note, the keys that it may be signed with, the proof that a book is in it.

A note says how many books and events there are, so a workspace's own key needs the scope `audit` to see it; other
workspaces are not named in it, and hashes tell nothing of them.
"""

import base64
from datetime import datetime
from typing import Any

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import not_allowed, requires, workspace_unknown
from ledger.api.answers import encode
from ledger.api.context import ApiContext
from ledger.api.parameters import invalid, query_of
from ledger.api.problems import HttpRefused
from ledger.api.reading import own_workspace
from ledger.api.refusal_table import HttpRefusal
from ledger.api.responses import REVALIDATE, ReadyResponse, get_handler
from ledger.core.commands import to_datetime
from ledger.store.checkpoints import Checkpoint, Inclusion

AUDIT = frozenset({"audit"})
READERS = requires("read", "audit")
LATEST = "latest"
NOTE = b"text/plain; charset=utf-8"
NUMBER_DIGITS_MAX = 18


class CheckpointView(msgspec.Struct, frozen=True):
    """A checkpoint: how many books and events it is over, its Merkle root in base64, and the signed note."""

    checkpoint: int
    made_at: datetime
    key_id: str
    books: int
    events: int
    root: str
    note: str


class InclusionView(msgspec.Struct, frozen=True):
    """That a book ended at this position with this digest when the checkpoint was made: digests and path in hex."""

    workspace_id: str
    position: int
    digest: str
    index: int
    path: list[str]
    checkpoint: CheckpointView


class SigningKeyView(msgspec.Struct, frozen=True):
    """A key that checkpoints are or were signed with: `line` is what whoever verifies is given."""

    key_id: str
    line: str


class SigningKeysView(msgspec.Struct, frozen=True):
    """All keys that were ever published, in order: the last one signs now."""

    keys: list[SigningKeyView]


def checkpoint_view(checkpoint: Checkpoint) -> CheckpointView:
    """Return a checkpoint as it is answered."""
    return CheckpointView(
        checkpoint.checkpoint,
        to_datetime(checkpoint.made_at),
        checkpoint.key_id,
        checkpoint.books,
        checkpoint.events,
        base64.b64encode(checkpoint.root).decode(),
        checkpoint.note,
    )


def inclusion_view(checkpoint: Checkpoint, inclusion: Inclusion) -> InclusionView:
    """Return a proof as it is answered."""
    head = inclusion.head
    path = [neighbour.hex() for neighbour in inclusion.path]
    return InclusionView(
        head.workspace_id, head.position, head.digest.hex(), inclusion.index, path, checkpoint_view(checkpoint)
    )


def create_checkpoint_handlers(context: ApiContext) -> list[HTTPRouteHandler]:
    """Return the handlers of checkpoints, keys and proofs."""
    reader = context.ledger.checkpoints

    async def read_checkpoint(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        require_auditor(scope)
        query = query_of(scope, frozenset({"format"}))
        checkpoint = await find(context, str(scope["path_params"]["checkpoint"]))
        if query.get("format") == "note":
            return ReadyResponse(200, checkpoint.note.encode(), REVALIDATE, NOTE)
        if query.get("format", "json") != "json":
            raise invalid("format", "it is json or note")
        return answer(checkpoint_view(checkpoint))

    async def read_signing_keys(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        require_auditor(scope)
        query_of(scope, frozenset())
        return answer(SigningKeysView([SigningKeyView(key.key_id, key.line) for key in await reader.keys()]))

    async def read_inclusion(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        workspace_id = own_workspace(scope)
        require_auditor(scope)
        query = query_of(scope, frozenset({"checkpoint"}))
        checkpoint = await find(context, query.get("checkpoint", LATEST))
        inclusion = await reader.inclusion(checkpoint, workspace_id)
        if inclusion is None:
            if await context.ledger.workspace(workspace_id) is None:
                raise workspace_unknown()
            raise HttpRefused(HttpRefusal.NOT_FOUND, "the book had not begun when this checkpoint was made")
        return answer(inclusion_view(checkpoint, inclusion))

    return [
        get_handler("/checkpoints/{checkpoint:str}", read_checkpoint, READERS),
        get_handler("/signing-keys", read_signing_keys, READERS),
        get_handler("/workspaces/{workspace_id:str}/inclusion", read_inclusion, READERS),
    ]


def require_auditor(scope: HTTPScope) -> None:
    """Refuse a workspace's own key without the scope `audit`."""
    if not scope["user"].is_platform and "audit" not in scope["user"].scopes:
        raise not_allowed(AUDIT)


async def find(context: ApiContext, named: str) -> Checkpoint:
    """Return a checkpoint by its number or as the latest one, else refuse."""
    is_number = named.isascii() and named.isdigit() and len(named) <= NUMBER_DIGITS_MAX
    if named != LATEST and not is_number:
        raise HttpRefused(HttpRefusal.NOT_FOUND, "a checkpoint is named by its number, or latest")
    checkpoint = await context.ledger.checkpoints.checkpoint(None if named == LATEST else int(named))
    if checkpoint is None:
        raise HttpRefused(HttpRefusal.NOT_FOUND, "there is no such checkpoint")
    return checkpoint


def answer(view: Any) -> ReadyResponse:
    """Return a view as JSON that nobody keeps without asking again."""
    return ReadyResponse(200, encode(view), REVALIDATE)
