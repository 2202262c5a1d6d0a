"""A process with a ledger of its own, for measurements over several processes and of one process' memory.

`python -m tests.bench.worker URL` reads jobs as lines of JSON. For each it says `ready` when the commands are
made, waits for a line, and answers with a line of JSON.
"""

import sys
from time import monotonic

import msgspec

from ledger.service import Ledger
from tests.bench.callers import post_batches
from tests.bench.machine import resident_bytes
from tests.bench.scene import Mix

COMMANDS_IN_MEMORY_MAX = 20_000


class Job(msgspec.Struct, frozen=True):
    """So many commands on these workspaces, in batches, with identities of their own."""

    workspaces: list[str]
    prefix: str
    lag: int
    commands: int
    batch_size: int


class Result(msgspec.Struct, frozen=True):
    """When it began and ended (a clock that all processes share), seconds of posting alone, and memory afterwards."""

    began: float
    ended: float
    seconds: float
    resident_bytes: int


def work(ledger: Ledger, job: Job) -> Result:
    """Do a job. Commands are made in parts, so that they are not what the memory is full of."""
    mix = Mix(job.workspaces, job.prefix, job.lag)
    post_batches(ledger, mix.opening(), job.batch_size)
    left = job.commands
    commands = mix.take(min(left, COMMANDS_IN_MEMORY_MAX))
    say("ready")
    sys.stdin.readline()
    began = monotonic()
    seconds = 0.0
    while commands:
        seconds += len(commands) / post_batches(ledger, commands, job.batch_size)[1]
        left -= len(commands)
        commands = mix.take(min(left, COMMANDS_IN_MEMORY_MAX))
    return Result(began, monotonic(), seconds, resident_bytes())


def say(line: str) -> None:
    """Say a line to whoever started this process."""
    print(line, flush=True)


def main(url: str) -> None:
    """Work until nobody has jobs any more."""
    with Ledger(url) as ledger:
        for line in iter(sys.stdin.readline, ""):
            say(msgspec.json.encode(work(ledger, msgspec.json.decode(line, type=Job))).decode())


if __name__ == "__main__":
    main(sys.argv[1])
