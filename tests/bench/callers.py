"""Callers in the process of the ledger: one with batches, or many with single commands."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ledger.core.commands import Command
from ledger.events import Recorded
from ledger.service import SYSTEM, Ledger, Outcome
from tests.bench.measure import timed
from tests.bench.scene import Mix, events_of


def post_batches(ledger: Ledger, commands: Sequence[Command], batch_size: int) -> tuple[list[Recorded], float]:
    """Post commands in batches, one after the other; return the events and the commands per second."""
    batches = [commands[start : start + batch_size] for start in range(0, len(commands), batch_size)]
    outcomes, seconds = timed(lambda: [ledger.execute_many(batch, SYSTEM) for batch in batches])
    return events_of([outcome for batch in outcomes for outcome in batch]), len(commands) / seconds


def mixes_of(workspaces: Sequence[str], prefix: str, callers: int) -> list[Mix]:
    """Return a mix for each caller. A caller settles its last request but one, as a busy gateway would."""
    return [
        Mix(workspaces, f"{prefix}.{caller:02d}.", lag=1, start=caller * len(workspaces) // callers)
        for caller in range(callers)
    ]


def post_by_tasks(
    ledger: Ledger, runner: asyncio.Runner, shares: Sequence[Sequence[Command]]
) -> tuple[list[Recorded], float]:
    """Post single commands from as many tasks of one event loop as there are shares."""

    async def post(share: Sequence[Command]) -> list[Outcome]:
        return [await ledger.execute_async(command, SYSTEM) for command in share]

    async def post_all() -> list[list[Outcome]]:
        return await asyncio.gather(*(post(share) for share in shares))

    outcomes, seconds = timed(lambda: runner.run(post_all()))
    events = events_of([outcome for share in outcomes for outcome in share])
    return events, len(events) / seconds


def post_by_threads(ledger: Ledger, shares: Sequence[Sequence[Command]]) -> tuple[list[Recorded], float]:
    """Post single commands from as many threads as there are shares."""
    start = threading.Barrier(len(shares) + 1)

    def post(share: Sequence[Command]) -> list[Outcome]:
        start.wait()
        return [ledger.execute(command, SYSTEM) for command in share]

    with ThreadPoolExecutor(len(shares)) as pool:
        running = [pool.submit(post, share) for share in shares]

        def begin() -> list[list[Outcome]]:
            start.wait()
            return [one.result() for one in running]

        outcomes, seconds = timed(begin)
    events = events_of([outcome for share in outcomes for outcome in share])
    return events, len(events) / seconds
