"""The books of a ledger elsewhere, over HTTP. Neither server nor database is loaded for it."""

import asyncio
import logging
from asyncio import Task
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from hashlib import sha256
from time import monotonic
from typing import TypeVar

from msgspec import Struct

from gateway.books.gathering import Gathering
from gateway.books.ledger_refusals import refused_of
from gateway.books.protocol import Posted
from gateway.ledger_client import AsyncLedgerClient, Retrying
from gateway.ledger_errors import LedgerError
from ledger.catalog.state import Catalog
from ledger.core.commands import Command
from ledger.core.refusals import Refused
from ledger.keys import split_token
from ledger.operating import Caller, Health, PinnedResponse, RefusedCalls

log = logging.getLogger(__name__)

CALLER_SECONDS = 28.0
"""How long a key is believed; the ledger itself may be a second behind, and 30 are promised."""

UNKNOWN_SECONDS = 2.0
"""How long an unknown key is not asked for again: somebody may be about to use a new one."""

CALLERS_MAX = 10_000
"""Keys that are remembered, and as many tokens that are nobody's: the oldest are forgotten first."""

CATALOG_SECONDS = 2.0

# A caller waits: one more attempt where a connection was lost, none where the ledger has answered.
RETRYING = Retrying(
    attempts=2, deadline_seconds=10.0, backoff_seconds=0.05, backoff_seconds_max=0.1, repeat_refused=False
)

T = TypeVar("T")


class Known(Struct, frozen=True):
    """Whose key a token was at a moment; None for an unknown one."""

    caller: Caller | None
    asked_at: float

    @property
    def is_fresh(self) -> bool:
        """Whether it may still be believed."""
        return monotonic() - self.asked_at < (UNKNOWN_SECONDS if self.caller is None else CALLER_SECONDS)


class RemoteBooks:
    """A client as `Books`, which closes it: for one event loop."""

    def __init__(self, client: AsyncLedgerClient) -> None:
        self._client = client.with_retrying(RETRYING)
        self._gathering = Gathering(self._client)
        self._callers: OrderedDict[bytes, Known] = OrderedDict()
        self._strangers: OrderedDict[bytes, Known] = OrderedDict()
        self._asking: dict[bytes, Task[Caller | None]] = {}
        self._catalog: Catalog | None = None
        self._first_catalog: Task[Catalog] | None = None
        self._following: Task[None] | None = None

    async def identify(self, token: str) -> Caller | None:
        """Return whose key a token is. Raises Refused."""
        if split_token(token) is None:
            return None
        # What stays in memory is no key.
        name = sha256(token.encode()).digest()
        known = self._callers.get(name) or self._strangers.get(name)
        if known is not None and known.is_fresh:
            return known.caller
        asking = self._asking.get(name)
        if asking is None:
            asking = self._asking[name] = asyncio.create_task(self._ask_whose(name, token))
        return await asyncio.shield(asking)

    async def _ask_whose(self, name: bytes, token: str) -> Caller | None:
        """Ask the ledger once for all who wait for the same answer."""
        asked_at = monotonic()
        try:
            caller = await answered(self._client.identify(token))
        finally:
            del self._asking[name]
        self._callers.pop(name, None)
        self._strangers.pop(name, None)
        # Apart from each other, so that made-up tokens push no caller out.
        kept = self._strangers if caller is None else self._callers
        if len(kept) >= CALLERS_MAX:
            kept.popitem(last=False)
        kept[name] = Known(caller, asked_at)
        return caller

    async def catalog(self) -> Catalog:
        """Return the catalog as it was seconds ago, or longer while the ledger is away. Raises Refused."""
        if self._catalog is not None:
            return self._catalog
        if self._first_catalog is None:
            self._first_catalog = asyncio.create_task(self._read_first_catalog())
        return await asyncio.shield(self._first_catalog)

    async def _read_first_catalog(self) -> Catalog:
        try:
            self._catalog = await answered(self._client.catalog())
        finally:
            self._first_catalog = None
        self._following = asyncio.create_task(self._follow_catalog(), name="catalog")
        return self._catalog

    async def _follow_catalog(self) -> None:
        """Read the catalog again and again; what has not changed stays the same object."""
        while True:
            await asyncio.sleep(CATALOG_SECONDS)
            try:
                catalog = await self._client.catalog()
            except LedgerError as error:
                log.warning("the catalog can't be read; the last one is used: %s", error)
                continue
            if catalog != self._catalog:
                self._catalog = catalog

    async def post(self, command: Command) -> Posted:
        """Record a command and return after its commit. Raises Refused."""
        (outcome,) = await self._gathering.post((command,))
        if isinstance(outcome, Refused):
            raise outcome
        return outcome

    async def post_many(self, commands: Sequence[Command]) -> list[Posted | Refused]:
        """Record commands in order and return each one's outcome."""
        return await self._gathering.post(commands)

    async def count_refused_calls(self, refused_calls: Sequence[RefusedCalls]) -> None:
        """Add to the counts of refused calls. Raises Refused; what is sent again may count twice."""
        await answered(self._client.count_refused_calls(refused_calls))

    async def health(self) -> Health:
        """Return what all gateways know of routes and providers. Raises Refused."""
        return await answered(self._client.health())

    async def report_health(self, health: Health) -> None:
        """Tell all gateways what this one has found out. Raises Refused."""
        await answered(self._client.report_health(health))

    async def pin_response(self, pinned: PinnedResponse) -> None:
        """Note where a stored response lives. Raises Refused."""
        await answered(self._client.pin_response(pinned))

    async def pinned_response(self, workspace_id: str, response_id: str) -> PinnedResponse | None:
        """Return where a stored response lives. Raises Refused."""
        return await answered(self._client.pinned_response(workspace_id, response_id))

    async def ping(self) -> None:
        """Return when the ledger and its database answer. Raises Refused."""
        await answered(self._client.health())

    async def close(self) -> None:
        """End what goes on in the background, and close the connections."""
        beside = [task for task in (self._following, self._first_catalog, *self._asking.values()) if task is not None]
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await self._gathering.close()
        await self._client.close()


async def answered(asked: Awaitable[T]) -> T:
    """Return what a ledger answers. Raises Refused for everything that is no answer."""
    try:
        return await asked
    except LedgerError as error:
        raise refused_of(error) from None
