"""The middle of a batch: decide its commands in order, each one seeing those before it. No I/O.

Every accepted command becomes one event, chained to its book's head and folded into the books that the next
command looks at. A refused command changes nothing and fails nobody else.
"""

import logging

import msgspec

from ledger.book import BookState
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refusal, Refused
from ledger.decisions import Decision, decide, require_same
from ledger.events import CATALOG_STREAM, TAGS, WORKSPACE_STREAM, Event, Recorded, encode_fact
from ledger.request.commands import TakeFallback
from ledger.request.events import FallbackTaken, RequestRouted
from ledger.store.batch import Batch, Outcome, Pending
from ledger.store.chain import leaf_digest, next_digest
from ledger.store.closing import balances_stated_by
from ledger.workspace.budgets import NotLoaded
from ledger.workspace.pace import PaceNotLoaded

log = logging.getLogger(__name__)


class Decided:
    """What a batch came to: an outcome for each command, the new events, and what could not be decided yet."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.events: list[Recorded] = []
        self.touched: dict[tuple[str, str], None] = {}
        self.moved: set[tuple[str, str]] = set()
        self.not_loaded: list[tuple[str, str]] = []
        self.paces_not_loaded: list[tuple[str, str]] = []


def decide_batch(batch: Batch, pendings: list[Pending]) -> Decided:
    """Return the outcomes of all commands of a batch, in order, and the events to write."""
    decided = Decided()
    for pending in pendings:
        decided.outcomes.append(decide_one(batch, pending, decided))
    return decided


def decide_one(batch: Batch, pending: Pending, decided: Decided) -> Outcome:
    """Return one command's outcome: as recorded before, newly recorded, or refused."""
    command = pending.command
    workspace_id = command.workspace_id
    try:
        earlier = batch.known.get((workspace_id, pending.command_id))
        if earlier is not None:
            require_same(command, earlier.fact, batch.catalog)
            return Outcome(earlier, repeated=True)
        book = batch.books.get(workspace_id)
        if book is None:
            raise Refused(Refusal.WORKSPACE_UNKNOWN, f"there is no workspace {workspace_id}", field="workspace_id")
        state_balances = balances_stated_by(batch, pending, decided.events) if batch.closings else None
        now = max(batch.clock, book.recorded_at)
        decision = decide(command, pending.actor, book, batch.catalog, now, state_balances)
    except Refused as refused:
        return Outcome(refused=refused)
    except NotLoaded as missing:
        decided.not_loaded.append((workspace_id, missing.budget))
        return Outcome()
    except PaceNotLoaded as missing:
        decided.paces_not_loaded.append((workspace_id, missing.api_key_id))
        return Outcome()
    except Exception:
        # A defect in a decision must not take the other commands of the batch with it.
        log.exception("command %s of workspace %s could not be decided", pending.command_id, workspace_id)
        return Outcome(
            refused=Refused(Refusal.COMMAND_UNPROCESSABLE, "the command could not be decided; this is logged")
        )
    recorded = record(batch, pending, decision, decided)
    return Outcome(recorded, available_minor=available_after(decision.fact.event, book))


def available_after(event: Event, book: BookState) -> int | None:
    """Return what a hold that was just placed has left of its wallet; None for what places none."""
    match event:
        case RequestRouted(bucket=bucket) | FallbackTaken(to_bucket=bucket):
            return book.wallets[bucket].available_minor
    return None


def record(batch: Batch, pending: Pending, decision: Decision, decided: Decided) -> Recorded:
    """Chain a decided fact to its book and fold it into what the next command sees."""
    workspace_id = pending.command.workspace_id
    book = batch.books[workspace_id]
    head = batch.heads[workspace_id]
    position = book.position + 1
    recorded_at = max(batch.clock, book.recorded_at)
    version = book.version_of(decision.stream) + 1
    tag = TAGS[type(decision.fact.event)]
    state = encode_fact(decision.fact)
    leaf = leaf_digest(workspace_id, position, decision.stream, version, tag, pending.command_id, recorded_at, state)
    head.digest = next_digest(head.digest, leaf)
    recorded = Recorded(
        workspace_id,
        position,
        decision.stream,
        version,
        tag,
        pending.command_id,
        recorded_at,
        state,
        head.digest,
    )
    book.apply(decision.stream, decision.fact, position, recorded_at)
    if decision.stream == WORKSPACE_STREAM:
        head.workspace_version = version
    elif decision.stream == CATALOG_STREAM:
        head.catalog_version = version
    if workspace_id == PLATFORM:
        batch.catalog = book.catalog = msgspec.structs.replace(book.catalog, position=position)
    batch.known[workspace_id, pending.command_id] = recorded
    decided.events.append(recorded)
    decided.touched[workspace_id, decision.stream] = None
    if isinstance(pending.command, TakeFallback):
        decided.moved.add((workspace_id, pending.command.request_id))
    return recorded
