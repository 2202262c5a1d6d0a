"""A small pool of connections for asynchronous reads, opened at the first one."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, LiteralString, Protocol

import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from ledger.core.refusals import Refusal, Refused

POOL_TIMEOUT_SECONDS = 2.0
AWAY_TIMEOUT_SECONDS = 0.05
"""How long a read waits for a connection when the one before it found none: its caller hears at once."""

CONNECTIONS_MAX = 8


class Fetch(Protocol):
    """Returns the rows of a named query."""

    async def __call__(self, query: str, /, **parameters: Any) -> list[TupleRow]: ...


class ReaderPool:
    """Reads named queries as one role. Belongs to the event loop that uses it first."""

    def __init__(self, url: str, queries: Mapping[str, LiteralString], name: str, options: str) -> None:
        self._queries = queries
        self._pool = AsyncConnectionPool(
            url,
            min_size=1,
            max_size=CONNECTIONS_MAX,
            open=False,
            timeout=POOL_TIMEOUT_SECONDS,
            reconnect_timeout=1.0,
            kwargs={
                "autocommit": True,
                "application_name": f"route-ledger {name}",
                "connect_timeout": 5,
                "options": options,
            },
            check=AsyncConnectionPool.check_connection,
        )
        self._opened = False
        self._is_away = False

    async def close(self) -> None:
        """Close the pool, if it was ever used."""
        if self._opened:
            await self._pool.close()

    async def fetch(self, query: str, /, **parameters: Any) -> list[TupleRow]:
        """Return the rows of a named query. Raises Refused(UNAVAILABLE) when the database is away."""
        async with self._connected() as connection:
            return await self._rows(connection, query, parameters)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Fetch]:
        """Yield a `fetch` of which all rows are of one moment. Raises Refused(UNAVAILABLE) like the other."""
        async with self._connected() as connection:
            await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)

            async def fetch(query: str, /, **parameters: Any) -> list[TupleRow]:
                return await self._rows(connection, query, parameters)

            async with connection.transaction():
                yield fetch

    async def _rows(
        self, connection: AsyncConnection[TupleRow], query: str, parameters: Mapping[str, Any]
    ) -> list[TupleRow]:
        cursor = await connection.execute(self._queries[query], parameters)
        return await cursor.fetchall() if cursor.description else []

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[AsyncConnection[TupleRow]]:
        try:
            if not self._opened:
                self._opened = True
                await self._pool.open()
            # The pool goes on connecting by itself, so that nobody needs to wait for the database to come back.
            timeout = AWAY_TIMEOUT_SECONDS if self._is_away else POOL_TIMEOUT_SECONDS
            async with self._pool.connection(timeout) as connection:
                self._is_away = False
                yield connection
        except PoolTimeout as error:
            self._is_away = True
            raise Refused(Refusal.UNAVAILABLE, "the database does not answer") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise Refused(Refusal.UNAVAILABLE, "the database does not answer") from error
