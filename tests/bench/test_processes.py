"""(f): one, two and four processes on the same books."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count

import msgspec
import pytest

from tests.bench.conftest import NewBooks
from tests.bench.measure import Measurement, interleave
from tests.bench.processes import Child, running
from tests.bench.report import Report, counted
from tests.bench.scene import HOT, spread_names
from tests.bench.sizes import Size
from tests.bench.worker import Job, Result

pytestmark = pytest.mark.bench

BATCH_SIZE = 64
PROCESSES = (1, 2, 4)


def post_together(workers: list[Child], workspaces: list[str], rounds: Iterator[int], size: Size) -> float:
    """Post from all workers at once, as many commands in all as one alone would; return the commands per second."""
    round_number = next(rounds)
    each = size.process_commands // len(workers)
    for number, worker in enumerate(workers):
        job = Job(workspaces, f"p{round_number}.{number}.", size.lag, each, BATCH_SIZE)
        worker.say(msgspec.json.encode(job).decode())
    for worker in workers:
        assert worker.hear() == "ready"
    for worker in workers:
        worker.say("go")
    results = [msgspec.json.decode(worker.hear(), type=Result) for worker in workers]
    seconds = max(result.ended for result in results) - min(result.began for result in results)
    return each * len(workers) / seconds


def test_processes_on_the_same_books(new_books: NewBooks, report: Report, size: Size) -> None:
    """Commands per second of several processes with batches of 64, all on the same workspaces."""
    url = new_books()
    rounds = count()
    measured: dict[str, Measurement] = {}
    with ExitStack() as stack:
        workers = [stack.enter_context(running("tests.bench.worker", url)) for _ in range(max(PROCESSES))]
        for place, names in (("hot", [HOT]), ("spread", spread_names(size.workspaces))):
            for processes in PROCESSES:
                name = f"batch {BATCH_SIZE}, {place}, {counted(processes, 'process')}"
                measured[name] = partial(post_together, workers[:processes], names, rounds, size)
        if size.rounds > 1:
            interleave(1, measured)
        samples = interleave(size.rounds, measured)
    rates = {name: report.add("f", name, samples[name]) for name in measured}
    for place in ("hot", "spread"):
        one, *more = (rates[f"batch {BATCH_SIZE}, {place}, {counted(processes, 'process')}"] for processes in PROCESSES)
        for processes, rate in zip(PROCESSES[1:], more, strict=True):
            report.want("f", f"{place}: {processes} processes ÷ 1", rate / one)
