"""The second round trip of a batch: events, the state that the next batch reads, the books' heads, and the commit.

`append_events` is the one place where events enter the database; the library's recorder uses it too.
"""

from collections.abc import Sequence

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.events import Recorded, request_of
from ledger.request.state import RequestState, Status
from ledger.store.arrays import BinaryArray, bool_array, bytea_array, int4_array, int8_array, text_array
from ledger.store.batch import Batch, Head
from ledger.store.deciding import Decided
from ledger.store.reading import columns, run
from ledger.wallet.state import WalletState
from ledger.workspace.pace import UNREAD, MinuteUse

encode_request_state = msgspec.json.Encoder().encode


def write_batch(connection: Connection[TupleRow], batch: Batch, decided: Decided) -> None:
    """Write a decided batch and commit it, in one round trip."""
    with connection.pipeline():
        append_events(connection, decided.events)
        write_wallets(connection, batch)
        write_holds(connection, batch, decided)
        write_budgets(connection, batch)
        write_minutes(connection, batch)
        touched = {event.workspace_id: None for event in decided.events}
        old_positions = {name: batch.heads[name].position for name in touched}
        for name in touched:
            batch.heads[name].position = batch.books[name].position
            batch.heads[name].recorded_at = batch.books[name].recorded_at
        move_books(connection, old_positions, batch.heads)
        run(connection, "commit")


def append_events(connection: Connection[TupleRow], events: Sequence[Recorded]) -> None:
    """Insert events at the end of their books. The database refuses gaps, repeats and reused versions."""
    run(
        connection,
        "insert_events",
        (
            text_array([event.workspace_id for event in events]),
            int8_array([event.position for event in events]),
            text_array([event.stream for event in events]),
            int4_array([event.version for event in events]),
            text_array([event.tag for event in events]),
            text_array([event.command_id for event in events]),
            int8_array([event.recorded_at for event in events]),
            bytea_array([event.state for event in events]),
            bytea_array([event.digest for event in events]),
        ),
    )


def move_books(connection: Connection[TupleRow], old_positions: dict[str, int], heads: dict[str, Head]) -> None:
    """Move the heads of books from where they were read; fails when one is somewhere else."""
    moved = [heads[name] for name in old_positions]
    run(
        connection,
        "move_books",
        (
            text_array(old_positions),
            int8_array(list(old_positions.values())),
            int8_array([head.position for head in moved]),
            bytea_array([head.digest for head in moved]),
            int8_array([head.recorded_at for head in moved]),
            int4_array([head.workspace_version for head in moved]),
            int4_array([head.catalog_version for head in moved]),
            len(old_positions),
        ),
    )


def write_wallets(connection: Connection[TupleRow], batch: Batch) -> None:
    """Insert opened wallets and update changed ones."""
    opened: list[tuple[str, WalletState]] = []
    changed: list[tuple[str, WalletState]] = []
    for name, book in batch.books.items():
        before = batch.opening[name].wallets
        for bucket, wallet in book.wallets.items():
            if bucket not in before:
                opened.append((name, wallet))
            elif wallet is not before[bucket]:
                changed.append((name, wallet))
    if opened:
        run(
            connection,
            "insert_wallets",
            (
                text_array([name for name, _ in opened]),
                text_array([wallet.bucket for _, wallet in opened]),
                text_array([wallet.unit for _, wallet in opened]),
                int4_array([wallet.scale for _, wallet in opened]),
                *balances([wallet for _, wallet in opened]),
            ),
        )
    if changed:
        wallets = [wallet for _, wallet in changed]
        names = text_array([name for name, _ in changed])
        buckets = text_array([wallet.bucket for wallet in wallets])
        run(connection, "update_wallets", (names, buckets, *balances(wallets)))


def balances(wallets: list[WalletState]) -> tuple[BinaryArray, ...]:
    """Return the columns of wallets that change."""
    return (
        int8_array([wallet.posted_minor for wallet in wallets]),
        int8_array([wallet.held_minor for wallet in wallets]),
        int8_array([wallet.credit_limit_minor for wallet in wallets]),
        bool_array([wallet.frozen for wallet in wallets]),
        int4_array([wallet.version for wallet in wallets]),
    )


def write_holds(connection: Connection[TupleRow], batch: Batch, decided: Decided) -> None:
    """Bring the rows of open requests to where the batch left them.

    A request that was routed and ended within the batch never has a row. One that moved to another bucket gets
    a new row, because a row's bucket and budgets never change.
    """
    placed: list[tuple[str, str, RequestState]] = []
    changed: list[tuple[str, str, RequestState]] = []
    ended: list[tuple[str, str]] = []
    for workspace_id, stream in decided.touched:
        request_id = request_of(stream)
        if request_id is None:
            continue
        state = batch.books[workspace_id].requests[request_id]
        had_row = (workspace_id, request_id) in batch.holds
        is_open = state.status is Status.OPEN
        moved = had_row and is_open and (workspace_id, request_id) in decided.moved
        if had_row and (moved or not is_open):
            ended.append((workspace_id, request_id))
        if is_open and (moved or not had_row):
            placed.append((workspace_id, request_id, state))
        elif is_open:
            changed.append((workspace_id, request_id, state))
    if ended:
        run(connection, "delete_holds", columns(ended))
    if placed:
        insert_holds(connection, placed)
    if changed:
        run(
            connection,
            "update_holds",
            (
                text_array([row[0] for row in changed]),
                text_array([row[1] for row in changed]),
                int8_array([row[2].held_minor for row in changed]),
                int8_array([row[2].expires_at for row in changed]),
                bytea_array([encode_request_state(row[2]) for row in changed]),
            ),
        )


def insert_holds(connection: Connection[TupleRow], placed: list[tuple[str, str, RequestState]]) -> None:
    """Insert the rows of requests that are open now."""
    run(
        connection,
        "insert_holds",
        (
            text_array([row[0] for row in placed]),
            text_array([row[1] for row in placed]),
            text_array([row[2].bucket for row in placed]),
            int8_array([row[2].held_minor for row in placed]),
            int8_array([row[2].expires_at for row in placed]),
            text_array(["{" + ",".join(f'"{name}"' for name in row[2].budgets) + "}" for row in placed]),
            bytea_array([encode_request_state(row[2]) for row in placed]),
        ),
    )


def write_budgets(connection: Connection[TupleRow], batch: Batch) -> None:
    """Add what the batch moved in each budget to its row, as a difference."""
    rows: list[tuple[str, str, int, int]] = []
    for workspace_id, book in batch.books.items():
        before = batch.opening[workspace_id].budgets
        for name, budget in book.budgets.items():
            opening = before.get(name)
            held = budget.held_minor - (opening.held_minor if opening is not None else 0)
            charged = budget.charged_minor - (opening.charged_minor if opening is not None else 0)
            if held or charged:
                rows.append((workspace_id, name, held, charged))
    if not rows:
        return
    keys = columns((row[0], row[1]) for row in rows)
    run(connection, "insert_missing_budgets", keys)
    run(
        connection,
        "move_budgets",
        (*keys, int8_array([row[2] for row in rows]), int8_array([row[3] for row in rows])),
    )


def write_minutes(connection: Connection[TupleRow], batch: Batch) -> None:
    """Add what the batch moved in the minutes of keys that have limits per minute, as a difference."""
    rows: list[tuple[str, str, MinuteUse]] = []
    for workspace_id, book in batch.books.items():
        before = batch.opening[workspace_id].pace
        for api_key_id, use in book.pace.items():
            moved = since(before.get(api_key_id, UNREAD), use)
            if moved.requests or moved.tokens:
                rows.append((workspace_id, api_key_id, moved))
    if rows:
        run(
            connection,
            "move_minutes",
            (
                *columns((row[0], row[1]) for row in rows),
                int8_array([row[2].minute for row in rows]),
                int8_array([row[2].requests for row in rows]),
                int8_array([row[2].tokens for row in rows]),
            ),
        )


def since(before: MinuteUse, use: MinuteUse) -> MinuteUse:
    """Return what was added to a key's latest minute; all of it where the minute is a new one."""
    if before.minute != use.minute:
        return use
    return MinuteUse(use.minute, use.requests - before.requests, use.tokens - before.tokens)
