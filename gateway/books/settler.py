"""Posts the last words on requests, whoever goes away meanwhile: the client, the caller, the ledger.

What is not on record within two seconds goes to the spool, and from there to the books once they answer again.
"""

import asyncio
import logging
from asyncio import Future, Task
from collections.abc import Callable, Sequence
from random import SystemRandom
from time import monotonic

from msgspec import Struct

from gateway.books.last_words import LastWord, RequestKey, has_happened, may_pass
from gateway.books.protocol import Books, Posted
from gateway.books.spool import Spool
from ledger.core.refusals import Refused

log = logging.getLogger(__name__)

PATIENCE_SECONDS = 2.0
POLL_SECONDS = 1.0
PAUSE_SECONDS = 0.05
PAUSE_SECONDS_MAX = 0.5
SPOOL_PAUSE_SECONDS = 1.0

Settled = Posted | Refused | None
"""What became of a request's last command; None while it waits in the spool."""

roll = SystemRandom().random


def ignore(count: int) -> None:
    """Nobody counts."""


class SettlerObserver(Struct, frozen=True):
    """Who is told how many requests were spooled, were delivered from the spool, or had commands refused for good."""

    spooled: Callable[[int], None] = ignore
    delivered: Callable[[int], None] = ignore
    rejected: Callable[[int], None] = ignore


class Ending(Struct):
    """A request's last words, those that are `left`, and who waits for the last of them."""

    request: RequestKey
    left: list[LastWord]
    answered: Future[Settled]
    rejected: list[tuple[LastWord, Refused]]
    last: Settled = None
    is_kept: bool = False


class Settler:
    """Keeps a task for each request that ends, and one that empties the spool."""

    def __init__(
        self,
        books: Books,
        spool: Spool,
        observer: SettlerObserver | None = None,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._books = books
        self._spool = spool
        self._observer = observer or SettlerObserver()
        self._patience_seconds = patience_seconds
        self._poll_seconds = poll_seconds
        self._running: dict[Task[None], Ending] = {}
        self._latest: dict[RequestKey, Task[None]] = {}
        self._delivering: Task[None] | None = None

    @property
    def running(self) -> int:
        """How many requests are ending at the moment."""
        return len(self._running)

    def start(self) -> None:
        """Begin to post what is in the spool, now and whenever something comes into it."""
        if self._delivering is None:
            self._delivering = asyncio.create_task(self._deliver(), name="spool")

    def settle(self, commands: Sequence[LastWord]) -> Future[Settled]:
        """Post last words of a request in order, behind those that were given before.

        The future is the caller's alone: cancelling it stops nothing.
        """
        request = commands[0].workspace_id, commands[0].request_id
        ending = Ending(request, list(commands), asyncio.get_running_loop().create_future(), [])
        before = self._latest.get(request)
        earlier = None if before is None else (before, self._running[before])
        task = asyncio.create_task(self._end(ending, earlier))
        self._running[task] = ending
        self._latest[request] = task
        task.add_done_callback(self._ended)
        return ending.answered

    def _ended(self, task: Task[None]) -> None:
        """Answer who waits. What a task leaves behind that was cancelled, even before it began, is spooled here."""
        ending = self._running.pop(task)
        if self._latest[ending.request] is task:
            del self._latest[ending.request]
        if ending.left and not ending.is_kept:
            ending.is_kept = self._try_to_put(ending)
        if not ending.answered.done():
            ending.answered.set_result(None if ending.left else ending.last)

    async def drain(self, seconds: float) -> None:
        """Wait for what is running within a bound, and spool the rest."""
        if self._delivering is not None:
            self._delivering.cancel()
            await asyncio.wait((self._delivering,))
            self._delivering = None
        ends_at = monotonic() + seconds
        while self._running and (left := ends_at - monotonic()) > 0:
            await asyncio.wait(self._running, timeout=left)
        # In their order: each puts what it has left into the spool.
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _end(self, ending: Ending, earlier: tuple[Task[None], Ending] | None) -> None:
        """Bring the last words on record, or into the spool: there they belong behind earlier ones that wait in it."""
        if earlier is not None:
            await asyncio.wait(earlier[:1])
        if earlier is None or not earlier[1].is_kept:
            await self._post(ending)
        while ending.left:
            ending.is_kept = await asyncio.to_thread(self._try_to_put, ending)
            if ending.is_kept:
                break
            await asyncio.sleep(SPOOL_PAUSE_SECONDS)
            await self._post(ending)
        if ending.rejected:
            await self._reject(ending)

    async def _post(self, ending: Ending) -> None:
        """Post in order until all is answered or patience is at its end."""
        try:
            async with asyncio.timeout(self._patience_seconds):
                while ending.left:
                    ending.last = await self._post_again(ending.left[0])
                    command = ending.left.pop(0)
                    if isinstance(ending.last, Refused) and not has_happened(command, ending.last):
                        ending.rejected.append((command, ending.last))
        except TimeoutError:
            # What is under way may still be recorded: posted again from the spool, it counts once.
            return
        except Exception:
            log.exception("last words on a request could not be posted")

    async def _post_again(self, command: LastWord) -> Posted | Refused:
        """Post a command until it is on record, or refused for good."""
        pause = PAUSE_SECONDS
        while True:
            try:
                return await self._books.post(command)
            except Refused as refused:
                if not may_pass(refused):
                    return refused
            await asyncio.sleep(pause * (0.5 + roll()))
            pause = min(pause * 2, PAUSE_SECONDS_MAX)

    def _try_to_put(self, ending: Ending) -> bool:
        """Spool what is left, and return whether that was possible. Blocks until it is on disk."""
        try:
            self._spool.put(ending.request[1], ending.left)
        except OSError as error:
            log.critical("last words on a request can be neither posted nor spooled: %s", error)
            return False
        self._observer.spooled(1)
        return True

    async def _reject(self, ending: Ending) -> None:
        self._observer.rejected(1)
        try:
            await asyncio.to_thread(self._spool.reject, ending.rejected)
        except OSError as error:
            log.critical("what was refused for good can't be kept: %s", error)

    async def _deliver(self) -> None:
        """Post what is spooled whenever the books answer."""
        while True:
            try:
                if await asyncio.to_thread(self._spool.waiting):
                    await self._books.ping()
                    delivered = await self._spool.post_all(self._books)
                    self._observer.delivered(delivered.letters)
                    self._observer.rejected(delivered.rejected)
            except Refused:
                log.info("the books do not answer; what is spooled waits")
            except Exception:
                log.exception("the spool could not be emptied; it is tried again")
            await asyncio.sleep(self._poll_seconds)
