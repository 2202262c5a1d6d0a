"""Posts of many callers in few bodies: what comes together goes together, and what comes meanwhile goes next.

A ledger records a thousand commands in one batch almost as fast as one, and HTTP's cost is per body. So nothing waits
while a connection is free, and the busier the gateway is, the larger the bodies become.
"""

import asyncio
import logging
from asyncio import Future, Task
from collections import deque
from collections.abc import Sequence

from msgspec import Struct

from gateway.books.ledger_refusals import is_of_gateway, refused_of
from gateway.books.protocol import Posted
from gateway.ledger_calls import PostOutcome
from gateway.ledger_client import AsyncLedgerClient, event_of
from gateway.ledger_errors import LedgerError, RefusedByLedger
from ledger.api.command_table import COMMANDS_MAX
from ledger.core.amounts import count_minor
from ledger.core.commands import Command
from ledger.core.refusals import Refusal, Refused

log = logging.getLogger(__name__)

BODIES_MAX = 2
"""Bodies under way: one is read by the ledger while another is decided. More only make them smaller."""

CLOSING = "the gateway is shutting down"

Outcome = Posted | Refused


class Posting(Struct, frozen=True):
    """Commands of one caller, who waits for all of them."""

    commands: Sequence[Command]
    answered: Future[list[Outcome]]


class Gathering:
    """The posts of one event loop on their way to a ledger."""

    def __init__(self, client: AsyncLedgerClient) -> None:
        self._client = client
        self._waiting: deque[Posting] = deque()
        self._bodies: dict[Task[list[Outcome]], list[Posting]] = {}
        self._is_called = False
        self._is_closed = False

    async def post(self, commands: Sequence[Command]) -> list[Outcome]:
        """Return the outcomes of commands in their order. A caller that is cancelled meanwhile stops nothing."""
        outcomes: list[Outcome] = []
        for start in range(0, len(commands), COMMANDS_MAX):
            posting = Posting(commands[start : start + COMMANDS_MAX], asyncio.get_running_loop().create_future())
            self._waiting.append(posting)
            if not self._is_called:
                # At the end of this turn of the loop: until then others may join.
                self._is_called = True
                asyncio.get_running_loop().call_soon(self._send)
            outcomes += await posting.answered
        return outcomes

    async def close(self) -> None:
        """Stop sending. Who still waits hears that the outcome is not known, or that nothing was sent."""
        self._is_closed = True
        self._send()
        for body in self._bodies:
            body.cancel()
        await asyncio.gather(*self._bodies, return_exceptions=True)

    def _send(self) -> None:
        """Send what waits, in as many bodies as may be under way."""
        self._is_called = False
        while self._waiting and self._is_closed:
            tell([self._waiting.popleft()], Refused(Refusal.UNAVAILABLE, CLOSING))
        while self._waiting and len(self._bodies) < BODIES_MAX:
            postings = self._take()
            commands = [command for posting in postings for command in posting.commands]
            body = asyncio.create_task(post_apart(self._client, commands))
            self._bodies[body] = postings
            body.add_done_callback(self._answered)

    def _take(self) -> list[Posting]:
        """Return waiting postings, as many as one body holds."""
        postings = [self._waiting.popleft()]
        count = len(postings[0].commands)
        while self._waiting and count + len(self._waiting[0].commands) <= COMMANDS_MAX:
            postings.append(self._waiting.popleft())
            count += len(postings[-1].commands)
        return postings

    def _answered(self, body: Task[list[Outcome]]) -> None:
        """Tell each caller its own outcomes, and send what has come meanwhile."""
        postings = self._bodies.pop(body)
        if body.cancelled():
            tell(postings, Refused(Refusal.OUTCOME_UNKNOWN, CLOSING))
        elif (error := body.exception()) is not None:
            log.error("a post failed in an unforeseen way", exc_info=error)
            tell(postings, Refused(Refusal.OUTCOME_UNKNOWN, f"the post failed: {type(error).__name__}"))
        else:
            told = iter(body.result())
            for posting in postings:
                own = [next(told) for _ in posting.commands]
                if not posting.answered.done():
                    posting.answered.set_result(own)
        self._send()


def tell(postings: Sequence[Posting], refused: Refused) -> None:
    """Give callers one refusal for all that they posted."""
    for posting in postings:
        if not posting.answered.done():
            posting.answered.set_result([refused] * len(posting.commands))


async def post_apart(client: AsyncLedgerClient, commands: Sequence[Command]) -> list[Outcome]:
    """Return the outcomes of commands. A body that is refused as a whole is halved until the one at fault is alone."""
    try:
        return [outcome_of(outcome) for outcome in await client.post_many(commands)]
    except RefusedByLedger as error:
        if len(commands) == 1 or is_of_gateway(error):
            return [refused_of(error)] * len(commands)
    except LedgerError as error:
        return [refused_of(error)] * len(commands)
    middle = len(commands) // 2
    return [*await post_apart(client, commands[:middle]), *await post_apart(client, commands[middle:])]


def outcome_of(outcome: PostOutcome) -> Outcome:
    """Return an outcome as books give it. An event of a newer ledger is recorded, but can't be told."""
    recorded = outcome.recorded
    if recorded is None:
        if outcome.refused is None:
            raise TypeError("an outcome is either recorded or refused")
        return refused_of(outcome.refused)
    try:
        available_minor = None if recorded.available is None else count_minor(recorded.available)
        return Posted(recorded.position, event_of(recorded), recorded.repeated, available_minor)
    except LedgerError as error:
        return refused_of(error)
