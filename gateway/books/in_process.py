"""The books of a ledger in this very process."""

from collections.abc import Sequence

import msgspec

from gateway.books.protocol import Posted
from ledger.api.posting import hide_end_user
from ledger.catalog.state import Catalog
from ledger.core.commands import Command
from ledger.core.refusals import Refused
from ledger.operating import Caller, Health, PinnedResponse, RefusedCalls
from ledger.request.commands import RouteRequest
from ledger.service import SYSTEM, Ledger, Outcome


class InProcessBooks:
    """A ledger as `Books`. Whoever opened the ledger closes it."""

    def __init__(self, ledger: Ledger, actor: str = SYSTEM) -> None:
        self._ledger = ledger
        self._actor = actor

    async def identify(self, token: str) -> Caller | None:
        """Return whose key a token is."""
        return await self._ledger.identify(token)

    async def catalog(self) -> Catalog:
        """Return the catalog as it was at most a second ago."""
        return await self._ledger.catalog()

    async def post(self, command: Command) -> Posted:
        """Record a command and return after its commit. Raises Refused."""
        return posted(await self._ledger.execute_async(self._without_name(command), self._actor))

    async def post_many(self, commands: Sequence[Command]) -> list[Posted | Refused]:
        """Record commands in order and return each one's outcome."""
        results: list[Posted | Refused | None] = []
        accepted: list[Command] = []
        for command in commands:
            try:
                accepted.append(self._without_name(command))
            except Refused as refused:
                results.append(refused)
            else:
                results.append(None)
        outcomes = iter(await self._ledger.execute_many_async(accepted, self._actor))
        return [posted_or_refused(next(outcomes)) if result is None else result for result in results]

    def _without_name(self, command: Command) -> Command:
        """Return a command as it may stand in a book: with the hash of the end user's name. Raises Refused."""
        if not isinstance(command, RouteRequest) or command.end_user is None:
            return command
        # The caller's own command stays as it is: posted again, it states the name again.
        copied = msgspec.structs.replace(command)
        hide_end_user(copied, self._ledger)
        return copied

    async def count_refused_calls(self, refused_calls: Sequence[RefusedCalls]) -> None:
        """Add to the counts of refused calls."""
        await self._ledger.count_refused_calls(refused_calls)

    async def health(self) -> Health:
        """Return what all gateways know of routes and providers."""
        return await self._ledger.health()

    async def report_health(self, health: Health) -> None:
        """Tell all gateways what this one has found out."""
        await self._ledger.report_health(health)

    async def pin_response(self, pinned: PinnedResponse) -> None:
        """Note where a stored response lives."""
        await self._ledger.pin_response(pinned)

    async def pinned_response(self, workspace_id: str, response_id: str) -> PinnedResponse | None:
        """Return where a stored response lives."""
        return await self._ledger.pinned_response(workspace_id, response_id)

    async def ping(self) -> None:
        """Return when the database answers."""
        await self._ledger.ping()

    async def close(self) -> None:
        """Nothing is kept open here."""


def posted(outcome: Outcome) -> Posted:
    """Return what was recorded. Raises Refused."""
    result = posted_or_refused(outcome)
    if isinstance(result, Refused):
        raise result
    return result


def posted_or_refused(outcome: Outcome) -> Posted | Refused:
    """Return an outcome as books give it."""
    if outcome.recorded is not None:
        return Posted(outcome.recorded.position, outcome.recorded.fact.event, outcome.repeated, outcome.available_minor)
    if outcome.refused is None:
        raise TypeError("an outcome is either recorded or refused")
    return outcome.refused
