"""What a gateway asks of the books, wherever they are.

No end user's name is hashed here: a `RouteRequest` posted through books states the name as the client sent it, and
the books record its keyed hash, in process and over HTTP alike.
"""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from ledger.catalog.state import Catalog
from ledger.core.commands import Command
from ledger.core.refusals import Refused
from ledger.events import Event
from ledger.operating import Caller, Health, PinnedResponse, RefusedCalls


class Posted(Struct, frozen=True):
    """What a command is on record as: the event and its place; `repeated` when it was there before.

    `available_minor` is what a new hold has left of its wallet, in smallest parts of the bucket's unit; None for
    everything else, repeats included.
    """

    position: int
    event: Event
    repeated: bool
    available_minor: int | None = None


class Books(Protocol):
    """The books. Everything here raises Refused; a `transient` one says that the same may pass a moment later."""

    async def identify(self, token: str) -> Caller | None:
        """Return whose key a token is, as it was at most 30 s ago; None for one that is unknown or revoked."""

    async def catalog(self) -> Catalog:
        """Return the catalog as it was a few seconds ago: the same object for as long as nothing changed."""

    async def post(self, command: Command) -> Posted:
        """Record a command and return after its commit. A caller that is cancelled meanwhile stops nothing."""

    async def post_many(self, commands: Sequence[Command]) -> list[Posted | Refused]:
        """Record commands in order and return each one's outcome. One that is refused fails no other."""

    async def count_refused_calls(self, refused_calls: Sequence[RefusedCalls]) -> None:
        """Add to the counts of refused calls."""

    async def health(self) -> Health:
        """Return what all gateways know of routes and providers."""

    async def report_health(self, health: Health) -> None:
        """Tell all gateways what this one has found out. The latest report of a route or provider counts."""

    async def pin_response(self, pinned: PinnedResponse) -> None:
        """Note where a stored response lives."""

    async def pinned_response(self, workspace_id: str, response_id: str) -> PinnedResponse | None:
        """Return where a stored response lives; None for one that is not known (any more)."""

    async def ping(self) -> None:
        """Return when the books answer, within seconds."""

    async def close(self) -> None:
        """Give back what these books keep open."""
