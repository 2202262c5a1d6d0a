"""How far an export goes in each book, read from the snapshot that everything else is read from."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.decisions import CLOCK_SKEW_MICROSECONDS
from ledger.events import decode_fact
from ledger.store.chain import start_digest
from ledger.store.checkpoints import Head
from ledger.store.queries import load_queries
from ledger.workspace.events import WorkspaceCreated
from projections.exports.scope import BookSpan, Scope, WalletUnit

__all__ = ["ExportRefused", "NotFollowed", "parameters_of", "read_spans"]

QUERIES = load_queries("projections.sql", "exports.sql")
INSTANT_MIN, INSTANT_MAX = -(2**63), 2**63 - 1


class ExportRefused(Exception):
    """Nothing is exported. The message says why, and what to do."""


class NotFollowed(ExportRefused):
    """The journal does not have all of a book yet: it may be asked again a moment later."""


def read_spans(
    connection: Connection[TupleRow], generation: int, scope: Scope, heads: Sequence[Head] | None
) -> list[BookSpan]:
    """Return the spans of a scope in the order of workspaces, each up to its head in a checkpoint if there are any.

    Without heads a book goes as far as the journal has followed it. Raises NotFollowed where the journal has not come
    to a head yet, ExportRefused for a book that is not there, that is stopped, or that is not as it was signed.
    """
    positions = reach_of(connection, generation, scope, heads)
    if not positions:
        what = "any workspace" if scope.workspace_id is None else f"workspace {scope.workspace_id}"
        raise ExportRefused(f"there is nothing of {what} to export" + (" in the checkpoint" if heads else ""))
    skewed = INSTANT_MIN if scope.effective_from is None else scope.effective_from - CLOCK_SKEW_MICROSECONDS
    question = {
        "workspace_ids": list(positions),
        "positions": list(positions.values()),
        "recorded_before": skewed,
    }
    wallets = read_wallets(connection, generation, list(positions))
    spans = [
        span_of(row, wallets.get(row[0], ())) for row in connection.execute(QUERIES["read_spans"], question).fetchall()
    ]
    if heads is not None:
        require_signed(spans, heads)
    return count(connection, generation, scope, spans)


def reach_of(
    connection: Connection[TupleRow], generation: int, scope: Scope, heads: Sequence[Head] | None
) -> dict[str, int]:
    """Return the last position of each book that has any."""
    question = {"workspace_id": scope.workspace_id, "generation": generation}
    books = {row[0]: row[1:] for row in connection.execute(QUERIES["read_followed_books"], question).fetchall()}
    if scope.workspace_id is not None and scope.workspace_id not in books:
        raise ExportRefused(f"there is no workspace {scope.workspace_id}")
    if heads is None:
        wanted = {name: followed for name, (_, followed, _, _) in books.items()}
    else:
        wanted = {head.workspace_id: head.position for head in heads if scope.workspace_id in {None, head.workspace_id}}
    for name, position in wanted.items():
        if name not in books:
            raise ExportRefused(f"the checkpoint has a book {name} that is not there: run audit verify")
        _, followed, failed_position, failure = books[name]
        # Without heads a book that is stopped would end in silence where its journal does.
        if failure is not None and (heads is None or position >= failed_position):
            raise ExportRefused(f"the journal of {name} is stopped at event {failed_position}: {failure}")
        if followed < position:
            raise NotFollowed(f"the journal has followed {name} to {followed} only, not to {position}")
    return {name: position for name, position in sorted(wanted.items()) if position}


def span_of(row: Sequence[Any], wallets: tuple[WalletUnit, ...]) -> BookSpan:
    """Return one row of `read_spans` as a span."""
    workspace_id, first, position, digest, previous_digest, opening = row
    if digest is None or (first > 1 and previous_digest is None):
        raise ExportRefused(f"book {workspace_id} has a hole before position {position}: run audit verify")
    previous = start_digest(workspace_id) if first == 1 else bytes(previous_digest)
    zone = "UTC" if opening is None else zone_of(bytes(opening))
    return BookSpan(workspace_id, first, position, position, bytes(digest), previous, zone, wallets)


def zone_of(opening: bytes) -> str:
    """Return the time zone that the first event of a workspace states; the platform's book has none of its own."""
    event = decode_fact(opening).event
    return event.time_zone if isinstance(event, WorkspaceCreated) else "UTC"


def require_signed(spans: Iterable[BookSpan], heads: Sequence[Head]) -> None:
    """Refuse books that have another event now where a checkpoint found their end."""
    signed = {head.workspace_id: head.digest for head in heads}
    for span in spans:
        if span.digest != signed[span.workspace_id]:
            raise ExportRefused(
                f"book {span.workspace_id} is not as it was signed at position {span.position}: run audit verify"
            )


def read_wallets(
    connection: Connection[TupleRow], generation: int, workspace_ids: list[str]
) -> Mapping[str, tuple[WalletUnit, ...]]:
    """Return the wallets of each book, sorted by bucket."""
    question = {"workspace_ids": workspace_ids, "generation": generation}
    rows = connection.execute(QUERIES["read_wallets_of_books"], question).fetchall()
    return {name: tuple(WalletUnit(*row[1:]) for row in own) for name, own in groupby(rows, itemgetter(0))}


def parameters_of(generation: int, scope: Scope, spans: Sequence[BookSpan]) -> dict[str, Any]:
    """Return what the statements that walk over books are told."""
    return {
        "generation": generation,
        "workspace_ids": [span.workspace_id for span in spans],
        "first_positions": [span.first_position for span in spans],
        "last_positions": [span.last_position for span in spans],
        "effective_from": INSTANT_MIN if scope.effective_from is None else scope.effective_from,
        "effective_before": INSTANT_MAX if scope.effective_before is None else scope.effective_before,
    }


def count(connection: Connection[TupleRow], generation: int, scope: Scope, spans: Sequence[BookSpan]) -> list[BookSpan]:
    """Return the spans with how many entries and legs of the scope they have."""
    connection.execute(QUERIES["prefer_ranges"])
    question = parameters_of(generation, scope, spans)
    is_whole = scope.effective_from is None and scope.effective_before is None
    rows = connection.execute(QUERIES["count_journal" if is_whole else "count_period"], question).fetchall()
    counts = {row[0]: row[1:] for row in rows}
    connection.execute(QUERIES["prefer_keys"])
    return [
        msgspec.structs.replace(span, entries=entries, legs=legs)
        for span in spans
        for entries, legs in (counts.get(span.workspace_id, (0, 0)),)
    ]
