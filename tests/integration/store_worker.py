"""A server process in miniature: its own ledger, many callers, and a line for every outcome that was returned.

Requests are made from their number alone, so that every process makes the very same ones: processes that are
given the same numbers repeat each other's commands. `python -m tests.integration.store_worker` reads a JSON
object with the fields of `Task` from its standard input and exits with 0 when all is done.
"""

import asyncio
import json
import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ledger.commands import command_id_of
from ledger.core.commands import Command
from ledger.core.refusals import Refusal
from ledger.service import Ledger, Outcome
from tests.integration import scenes

LEGAL = {
    Refusal.AVAILABLE_IS_HELD, Refusal.INSUFFICIENT_AVAILABLE, Refusal.API_KEY_SPEND_LIMIT_EXCEEDED,
    Refusal.PROJECT_SPEND_LIMIT_EXCEEDED, Refusal.REQUEST_UNKNOWN, Refusal.REQUEST_RELEASED,
    Refusal.REQUEST_SETTLED, Refusal.REQUEST_VOIDED, Refusal.REQUEST_NOT_SETTLED, Refusal.REQUEST_EXISTS,
    Refusal.ROUTE_NOT_OF_REQUEST, Refusal.REFUND_EXCEEDS_PAID,
}  # fmt: skip
"""What may be refused because another process was there first, or the money is gone. Never an identity conflict."""


AWAY = {Refusal.UNAVAILABLE, Refusal.OUTCOME_UNKNOWN}
"""What a caller hears while the database is away."""


class Task(msgspec.Struct):
    """What one process does: requests by number in each workspace, in an order of its own."""

    url: str
    acknowledged: str
    seed: int
    numbers: list[int]
    workspaces: list[str]
    callers: int = 24
    commands_per_call: int = 1
    repeats: float = 0.1


class Acknowledged(NamedTuple):
    """One line: what a caller was told."""

    workspace_id: str
    command_id: str
    position: int | None
    repeated: bool
    refusal: str | None


def script(number: int, workspace_id: str) -> list[Command]:
    """Return the commands of one request, always the same ones for the same number."""
    dice = random.Random(number)
    name = f"q{number}"
    at: dict[str, Any] = {"workspace_id": workspace_id}
    amount = f"{dice.randint(1, 40) / 10}"
    tokens = dice.choice([10, 1000, 100_000, 400_000])
    first = scenes.hold(name, amount, **at)
    settle = scenes.settle(name, tokens, **at)
    match number % 8:
        case 0:
            return [first, scenes.extend(name, amount, **at), settle]
        case 1:
            spare: list[Command] = [
                scenes.fall_back(name, amount, **at),
                scenes.settle(name, tokens, route="spare", attempt=2, **at),
            ]
            return [first, scenes.fail_attempt(name, **at), *spare]
        case 2:
            cheap = scenes.settle(name, tokens, route="cheap", **at)
            return [first, scenes.fall_back(name, "7.5", to_route="cheap", **at), cheap]
        case 3:
            return [first, scenes.release(name, **at), settle]
        case 4:
            return [first, settle, scenes.refund(name, "0.00001", **at)]
        case 5:
            return [scenes.release(name, **at), first]
        case 6:
            return [first] if number % 3 == 0 else [first, settle]
    return [first, settle]


class Worker:
    """The callers of one process."""

    def __init__(self, task: Task, ledger: Ledger) -> None:
        self.task = task
        self.ledger = ledger
        self.dice = random.Random(task.seed)
        self.file = os.open(task.acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.told: dict[tuple[str, str], int] = {}
        self.earlier: list[Command] = []

    async def run(self) -> None:
        """Run all requests, so many callers at a time."""
        work = [(number, name) for number in self.task.numbers for name in self.task.workspaces]
        self.dice.shuffle(work)
        size = max(1, self.task.commands_per_call)
        calls = [work[start : start + size] for start in range(0, len(work), size)]

        async def caller() -> None:
            while calls:
                await self.call(calls.pop())

        await asyncio.gather(*(caller() for _ in range(self.task.callers)))

    async def call(self, requests: Sequence[tuple[int, str]]) -> None:
        """Run the steps of some requests, one step of all of them in each call, and repeat something at times."""
        scripts = [script(number, name) for number, name in requests]
        for step in range(max(map(len, scripts))):
            await self.post([commands[step] for commands in scripts if step < len(commands)])
            if self.earlier and self.dice.random() < self.task.repeats:
                await self.post([self.dice.choice(self.earlier)])

    async def post(self, commands: list[Command]) -> None:
        """Execute commands and write down what was answered, once it was."""
        outcomes = await self.ledger.execute_many_async(commands, "system")
        lines = [self.line(command, outcome) for command, outcome in zip(commands, outcomes, strict=True)]
        os.write(self.file, "".join(lines).encode())
        self.earlier += commands[:1]
        if any(outcome.refused is not None and outcome.refused.code in AWAY for outcome in outcomes):
            await asyncio.sleep(0.1)

    def line(self, command: Command, outcome: Outcome) -> str:
        """Return the line of one outcome; a repeat that is not exact ends the process."""
        recorded, refused = outcome.recorded, outcome.refused
        name = command_id_of(command)
        place = None if recorded is None else recorded.position
        if recorded is not None and self.told.setdefault((command.workspace_id, name), recorded.position) != place:
            raise AssertionError(f"{name} was at {self.told[command.workspace_id, name]} and is at {place}")
        reason = None if refused is None else refused.code.value
        return json.dumps([command.workspace_id, name, place, outcome.repeated, reason]) + "\n"


def read_acknowledged(path: Path) -> list[Acknowledged]:
    """Return the lines that a process has written; one that a kill cut short was not acknowledged."""
    if not path.exists():
        return []
    whole = path.read_bytes().rpartition(b"\n")[0]
    return [Acknowledged(*json.loads(line)) for line in whole.splitlines()]


def main() -> None:
    """Open a ledger, say so, and do what the next line of the input asks for."""
    task = msgspec.json.decode(sys.stdin.readline(), type=Task)
    with Ledger.open(task.url) as ledger:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        asyncio.run(Worker(task, ledger).run())


if __name__ == "__main__":
    main()
