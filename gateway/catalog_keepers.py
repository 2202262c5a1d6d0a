"""The two ledgers that a configuration is applied to: the one in this process, and one elsewhere."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from gateway.ledger_client import LedgerClient, PostOutcome
from ledger.catalog.state import Catalog
from ledger.core.commands import Command
from ledger.service import Ledger, Outcome
from ledger.store.live import LiveReader


class InProcess:
    """The ledger in this process. May be used from any thread, one with a running event loop too."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def read_catalog(self) -> Catalog:
        """Return the catalog as it is now, over a connection of its own.

        The ledger's own reader belongs to the event loop that serves, and remembers for a second.
        """
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(asyncio.run, read_catalog(self._ledger.url)).result()

    def execute_many(self, commands: Sequence[Command], actor: str) -> list[Outcome]:
        """Return the outcomes of commands, in order."""
        return self._ledger.execute_many(commands, actor)


class Elsewhere:
    """A ledger over HTTP. Who acts is the client's key."""

    def __init__(self, client: LedgerClient) -> None:
        self._client = client

    def read_catalog(self) -> Catalog:
        """Return the catalog as it was at most a second ago, or now when it was this client who changed it."""
        return self._client.catalog()

    def execute_many(self, commands: Sequence[Command], actor: str) -> list[PostOutcome]:
        """Return the outcomes of commands, in order."""
        return self._client.post_many(commands)


async def read_catalog(url: str) -> Catalog:
    """Return the catalog of a database."""
    reader = LiveReader(url)
    try:
        return await reader.read_catalog()
    finally:
        await reader.close()
