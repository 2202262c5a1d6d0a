"""(a) and (c): 64 concurrent callers with single commands, beside the naive way."""

import asyncio
from collections import deque
from functools import partial

import pytest
import uvloop

from ledger.events import Recorded
from ledger.service import SYSTEM, Ledger
from tests.bench.callers import mixes_of, post_by_tasks, post_by_threads
from tests.bench.conftest import NewBooks
from tests.bench.measure import Measurement, interleave
from tests.bench.naive import Naive
from tests.bench.report import Report
from tests.bench.scene import HOT, Mix, events_of, spread_names
from tests.bench.sizes import CALLERS, Size

pytestmark = pytest.mark.bench

PLACES = ("hot", "spread")
TASKS, THREADS, NAIVE = "tasks of one event loop", "threads", "naive"


class Stage:
    """A ledger with its concurrent callers, and the naive way that posts what became of their commands."""

    def __init__(self, ledger: Ledger, runner: asyncio.Runner, naive: Naive, size: Size) -> None:
        self.ledger, self.runner, self.naive, self.size = ledger, runner, naive, size
        self.naive_threads = dict.fromkeys(PLACES, size.naive_threads[0])
        self.events: dict[str, deque[list[Recorded]]] = {place: deque() for place in PLACES}
        self.mixes: dict[tuple[str, str], list[Mix]] = {}
        for place, names in zip(PLACES, ([HOT], spread_names(size.workspaces)), strict=True):
            for way in (TASKS, THREADS):
                mixes = self.mixes[place, way] = mixes_of(names, f"{place}-{way[:2]}", CALLERS)
                events_of(ledger.execute_many([command for mix in mixes for command in mix.opening()], SYSTEM))

    def post(self, place: str, way: str) -> float:
        """Post single commands from all callers at once."""
        shares = [mix.take(self.size.caller_commands // CALLERS) for mix in self.mixes[place, way]]
        if way == THREADS:
            return post_by_threads(self.ledger, shares)[1]
        events, rate = post_by_tasks(self.ledger, self.runner, shares)
        self.events[place].append(events[: self.size.naive_commands])
        return rate

    def post_naively(self, place: str) -> float:
        """Post the oldest commands that were not posted in this way yet."""
        return self.naive.post(self.events[place].popleft(), self.naive_threads[place])

    def choose_threads(self, place: str, report: Report) -> None:
        """Give the naive way the number of threads that it is fastest with."""
        rates: dict[int, float] = {}
        for threads in self.size.naive_threads:
            self.post(place, TASKS)
            self.naive_threads[place] = threads
            rates[threads] = report.add(
                "c", f"{place}, looking for the best: {threads} threads", [self.post_naively(place)]
            )
        self.naive_threads[place] = max(rates, key=rates.__getitem__)


def test_concurrent_callers_beside_the_naive_way(new_books: NewBooks, report: Report, size: Size) -> None:
    """Commands per second of 64 callers, and of the naive way over as many threads as serve it best."""
    url = new_books()
    naive = Naive(url, max(size.naive_threads))
    with Ledger.open(url) as ledger, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        stage = Stage(ledger, runner, naive, size)
        measured: dict[str, Measurement] = {}
        for place in PLACES:
            stage.choose_threads(place, report)
            stage.post(place, TASKS)
            stage.post(place, THREADS)
            measured |= {
                f"{place}, {TASKS}": partial(stage.post, place, TASKS),
                f"{place}, {THREADS}": partial(stage.post, place, THREADS),
                f"{place}, {NAIVE}": partial(stage.post_naively, place),
            }
        samples = interleave(size.rounds, measured)
    naive.close()
    for place, factor in zip(PLACES, (5, 2), strict=True):
        rates = [
            report.add("a", f"{CALLERS} callers, {place}, {way}", samples[f"{place}, {way}"])
            for way in (TASKS, THREADS)
        ]
        report.want("a", f"{CALLERS} callers, {place}, {TASKS}", rates[0], "/s", at_least=7400)
        name = f"{place}, {stage.naive_threads[place]} threads"
        slow = report.add("c", name, samples[f"{place}, {NAIVE}"])
        report.want("c", f"{CALLERS} callers, {place}: (a) by tasks ÷ (c)", rates[0] / slow, at_least=factor)
        report.want("c", f"{CALLERS} callers, {place}: (a) by threads ÷ (c)", rates[1] / slow)
