"""Reads of the live state outside of batches: keys for signing in, the catalog, wallets, budgets, names.

Workspaces and the catalog are remembered, and asked for news at most every `FRESH_SECONDS`; a hold is decided
on the exact state under the lock, so this age never lets a revoked key spend.
"""

import asyncio
from time import monotonic
from typing import Any

import msgspec
from psycopg.rows import TupleRow

from ledger.catalog.state import Catalog, fold_catalog
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refusal, Refused
from ledger.events import CATALOG_STREAM, WORKSPACE_STREAM, Recorded, decode_fact
from ledger.store.connection import WRITER_ROLE
from ledger.store.queries import load_queries
from ledger.store.reader_pool import POOL_TIMEOUT_SECONDS, ReaderPool
from ledger.wallet.state import WalletState
from ledger.workspace.state import ApiKey, WorkspaceState, fold_workspace

QUERIES = load_queries("ledger.store.sql", "service.sql")
CHECKPOINTS = load_queries("ledger.store.sql", "checkpoints.sql")

FRESH_SECONDS = 1.0
NEW_KEY_SECONDS = 0.05
"""A key that is not known may have been issued elsewhere a moment ago: it is looked up again after this."""

PING_SECONDS = POOL_TIMEOUT_SECONDS + 0.5
"""Longer than the wait for a connection, so that only a database that hangs is given up here."""

REMEMBERED_MAX = 20_000


class LiveReader:
    """Asynchronous reads over a small pool. Every method raises Refused(UNAVAILABLE) when the database is away."""

    def __init__(self, url: str) -> None:
        self.catalog = Catalog()
        self._workspaces: dict[str, tuple[float, WorkspaceState]] = {}
        self._asked_at = 0.0
        self._asking: dict[tuple[str, str, int], asyncio.Future[list[TupleRow]]] = {}
        options = f"-c role={WRITER_ROLE} -c statement_timeout=10s"
        self._pool = ReaderPool(url, {**CHECKPOINTS, **QUERIES}, "reader", options)

    async def close(self) -> None:
        """Close the connections, if there were any."""
        await self._pool.close()

    async def fetch(self, query: str, /, **parameters: Any) -> list[TupleRow]:
        """Return the rows of a named query."""
        return await self._pool.fetch(query, **parameters)

    async def read_workspace(self, workspace_id: str, seconds_old_max: float = FRESH_SECONDS) -> WorkspaceState | None:
        """Return a workspace as it was at most so many seconds ago, or None when there is none."""
        remembered = self._workspaces.get(workspace_id)
        if remembered is not None and monotonic() - remembered[0] < seconds_old_max:
            return remembered[1]
        state = remembered[1] if remembered is not None else WorkspaceState(workspace_id)
        asked_at = monotonic()
        for _, stored in await self._news(workspace_id, WORKSPACE_STREAM, state.version):
            event: Any = decode_fact(stored).event
            state = fold_workspace(state, event)
        if not state.version:
            return None
        if len(self._workspaces) >= REMEMBERED_MAX:
            self._workspaces.pop(next(iter(self._workspaces)))
        self._workspaces[workspace_id] = (asked_at, state)
        return state

    async def read_key(self, workspace_id: str, api_key_id: str) -> ApiKey | None:
        """Return a key, looking again for one that is not known; None when there is none."""
        for seconds_old_max in (FRESH_SECONDS, NEW_KEY_SECONDS):
            workspace = await self.read_workspace(workspace_id, seconds_old_max)
            key = None if workspace is None else workspace.api_keys.get(api_key_id)
            if key is not None:
                return key
        return None

    async def read_catalog(self) -> Catalog:
        """Return the catalog as it was at most `FRESH_SECONDS` ago."""
        if monotonic() - self._asked_at < FRESH_SECONDS:
            return self.catalog
        asked_at = monotonic()
        catalog = self.catalog
        for position, stored in await self._news(PLATFORM, CATALOG_STREAM, catalog.version):
            event: Any = decode_fact(stored).event
            catalog = fold_catalog(catalog, event, position)
        if catalog.version >= self.catalog.version:
            self.catalog = catalog
        self._asked_at = asked_at
        return self.catalog

    async def _news(self, workspace_id: str, stream: str, version: int) -> list[TupleRow]:
        """Return what is new in a stream. Callers who ask the same at the same time share one question."""
        asked = self._asking.get((workspace_id, stream, version))
        if asked is None:
            asked = asyncio.ensure_future(
                self.fetch("read_stream_after", workspace_id=workspace_id, stream=stream, version=version)
            )
            self._asking[workspace_id, stream, version] = asked
            asked.add_done_callback(lambda _: self._asking.pop((workspace_id, stream, version), None))
        # One caller who goes away must not take the answer from the others.
        return await asyncio.shield(asked)

    async def ping(self) -> None:
        """Raise Refused(UNAVAILABLE) when the database does not answer within `PING_SECONDS`."""
        try:
            await asyncio.wait_for(self.fetch("ping"), PING_SECONDS)
        except TimeoutError as error:
            raise Refused(Refusal.UNAVAILABLE, "the database does not answer") from error

    def forget(self) -> None:
        """Ask again at the next read: something was changed by this process itself."""
        self._asked_at = 0.0
        self._workspaces = {name: (0.0, state) for name, (_, state) in self._workspaces.items()}

    async def read_period_events(self, workspace_id: str) -> list[Recorded]:
        """Return what closed and reopened the periods of a book, in order."""
        return [Recorded(*row) for row in await self.fetch("read_period_events", workspace_id=workspace_id)]

    async def read_wallets(self, workspace_id: str) -> tuple[int, tuple[WalletState, ...]] | None:
        """Return a book's position and its wallets at that moment, or None when there is no such book."""
        rows = await self.fetch("read_live_wallets", workspace_id=workspace_id)
        if not rows or not rows[0][0]:
            return None
        return rows[0][0], tuple(WalletState(*row[1:]) for row in rows if row[1] is not None)


class DisplayName(msgspec.Struct, frozen=True):
    """What people call a workspace, project or key. Erasable; never in a book."""

    kind: str
    name: str
    display_name: str
