"""(a) and (b): batches in process, on one hot workspace and spread, followers off and on, beside the floor.

The followers are those of both projections, in a process of their own, as beside every server.
"""

from collections import deque
from collections.abc import Iterator
from functools import partial

import pytest

from ledger.events import Recorded
from ledger.service import SYSTEM, Ledger
from tests.bench.callers import post_batches
from tests.bench.conftest import NewBooks
from tests.bench.floor import Floor
from tests.bench.following import followed, wait_until_level
from tests.bench.measure import Measurement, interleave
from tests.bench.report import Report
from tests.bench.scene import HOT, Mix, events_of, spread_names
from tests.bench.sizes import BATCH_SIZES, Size

pytestmark = pytest.mark.bench

PLACES = ("hot", "spread")
OFF, ON, LISTS, ARRAYS = "followers off", "followers on", "psycopg's lists", "our arrays"


class Stage:
    """Two ledgers on equal books, one of them followed; their mixes; and the floor that takes their events."""

    def __init__(self, off: Ledger, on: Ledger, size: Size) -> None:
        self.off, self.on, self.size = off, on, size
        self.floor = Floor(off.url)
        self.lags: list[float] = []
        self.events: dict[str, deque[list[Recorded]]] = {
            f"{place}, {way}": deque() for place in PLACES for way in (LISTS, ARRAYS)
        }
        self.mixes: dict[tuple[str, str], Mix] = {}
        for ledger in (off, on):
            for place, names in zip(PLACES, ([HOT], spread_names(size.workspaces)), strict=True):
                mix = self.mixes[ledger.url, place] = Mix(names, f"{place}-", size.lag)
                events_of(ledger.execute_many(mix.opening(), SYSTEM))

    def post(self, place: str, batch_size: int) -> float:
        """Post with followers off, and keep the events for the floor."""
        commands = self.mixes[self.off.url, place].take(self.size.commands[batch_size])
        events, rate = post_batches(self.off, commands, batch_size)
        self.events[f"{place}, {LISTS}"].append(events)
        self.events[f"{place}, {ARRAYS}"].append(events)
        return rate

    def post_followed(self, place: str, batch_size: int) -> float:
        """Post while the followers of all projections keep up, and note how long it needs to be level afterwards."""
        commands = self.mixes[self.on.url, place].take(self.size.commands[batch_size])
        with followed(self.on.url):
            _, rate = post_batches(self.on, commands, batch_size)
            self.lags.append(wait_until_level(self.on.url))
        return rate

    def insert(self, place: str, way: str, batch_size: int) -> float:
        """Insert the oldest events that were not inserted in this way yet."""
        events = self.events[f"{place}, {way}"].popleft()
        return (self.floor.insert_lists if way == LISTS else self.floor.insert_arrays)(events, batch_size)


@pytest.fixture(scope="module")
def stage(new_books: NewBooks, size: Size) -> Iterator[Stage]:
    """The two ledgers and the floor, on databases of their own."""
    with Ledger.open(new_books()) as off, Ledger.open(new_books()) as on:
        made = Stage(off, on, size)
        yield made
        made.floor.close()


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_batches_beside_the_floor(stage: Stage, report: Report, size: Size, batch_size: int) -> None:
    """Commands per second of one caller with batches, and rows per second of the floor with the same events."""
    measured: dict[str, Measurement] = {}
    for place in PLACES:
        measured |= {
            f"{place}, {OFF}": partial(stage.post, place, batch_size),
            f"{place}, {ON}": partial(stage.post_followed, place, batch_size),
            f"{place}, {LISTS}": partial(stage.insert, place, LISTS, batch_size),
            f"{place}, {ARRAYS}": partial(stage.insert, place, ARRAYS, batch_size),
        }
    stage.lags.clear()
    for waiting in stage.events.values():
        waiting.clear()
    if size.rounds > 1:
        interleave(1, measured)
        for place in PLACES:
            # Every other round begins with the floor, which needs events by then.
            stage.post(place, batch_size)
    samples = interleave(size.rounds, measured)
    rates = {
        name: report.add("a" if name.endswith((OFF, ON)) else "b", f"batch {batch_size:,}, {name}", rates)
        for name, rates in samples.items()
    }
    report.add("a", f"batch {batch_size:,}, both followers level again after", stage.lags, "s")
    floor_share = 0.2 if batch_size == 1000 else None
    for place in PLACES:
        for way in (LISTS, ARRAYS):
            share = rates[f"{place}, {OFF}"] / rates[f"{place}, {way}"]
            report.want("b", f"batch {batch_size:,}, {place}: (a) ÷ (b) by {way}", share, at_least=floor_share)
    hot_share = rates[f"hot, {OFF}"] / rates[f"spread, {OFF}"]
    report.want("a", f"batch {batch_size:,}: hot ÷ spread", hot_share, at_least=1.0 if floor_share else None)
