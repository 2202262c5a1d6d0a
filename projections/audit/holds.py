"""Open requests: each row beside the request's own few events, folded again."""

from collections.abc import Mapping
from typing import Any

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.events import decode_fact
from ledger.request.events import RequestRouted, estimated_tokens
from ledger.request.state import RequestState, Status, fold_request
from ledger.workspace.pace import minute_of
from projections.audit.findings import Findings
from projections.audit.reading import QUERIES
from projections.comparing import LiveHold, as_hold, compare_fields
from projections.connections import fetch_books
from projections.live_books import decode_state
from projections.replaying import NOT_APPLICABLE

__all__ = ["HeldByBucket", "compare_holds"]

HOLDS_PER_FETCH = 500


class HeldByBucket(msgspec.Struct):
    """How many rows of open requests a book has, what they hold, and how many are of no open request."""

    holds: int = 0
    strays: int = 0
    minor: dict[str, int] = {}


def compare_holds(connection: Connection[TupleRow], findings: Mapping[str, Findings]) -> dict[str, HeldByBucket]:
    """Compare every hold of some books with its request, and return what they come to."""
    held = {name: HeldByBucket() for name in findings}
    with connection.cursor("holds") as cursor:
        cursor.execute(QUERIES["read_holds"], (list(findings),), binary=True)
        for name, rows in fetch_books(cursor, HOLDS_PER_FETCH):
            for row in rows:
                count_hold(row, held[name], findings[name])
    return held


def count_hold(row: TupleRow, held: HeldByBucket, findings: Findings) -> None:
    """Compare one hold, and count it."""
    _, request_id, bucket, minor, expires_at, budgets, state, states, routed_at = row
    live = LiveHold(bucket, minor, expires_at, tuple(budgets), decode_state(state))
    held.holds += 1
    held.minor[bucket] = held.minor.get(bucket, 0) + minor
    try:
        request = fold_states(states or [], live.state, routed_at)
    except NOT_APPLICABLE as error:
        findings.report(f"hold {request_id}", "events that can be applied", f"{type(error).__name__}: {error}")
        return
    expected = {} if request is None else {request_id: as_hold(request)}
    held.strays += request is None
    compare_fields("hold", {request_id: live}, expected, findings)


def fold_states(states: list[bytes], live: RequestState | None, routed_at: int) -> RequestState | None:
    """Return an open request as its events say, None for one that is not open.

    Whether its key had limits per minute when it was routed is not in its events: where the row says so, the minute
    and its tokens must be those of the routing.
    """
    state: RequestState | None = None
    tokens = 0
    for content in states:
        fact = decode_fact(content)
        event: Any = fact.event
        state = fold_request(state, event, fact.happened_at)
        if isinstance(event, RequestRouted):
            tokens = estimated_tokens(event.estimate)
    if state is None or state.status is not Status.OPEN:
        return None
    if live is not None and live.minute:
        state = msgspec.structs.replace(state, minute=minute_of(routed_at), minute_tokens=tokens)
    return state
