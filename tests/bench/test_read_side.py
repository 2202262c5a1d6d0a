"""(g): the journal rebuilt from the books, beside a bare COPY of the same rows; and the books replayed."""

from collections.abc import Callable
from functools import partial

import psycopg
import pytest

from ledger.service import SYSTEM, Ledger
from projections.rebuild import rebuild
from projections.replay import replay
from tests.bench.callers import post_batches
from tests.bench.conftest import NewBooks
from tests.bench.copying import KEYED, BareCopy
from tests.bench.measure import interleave, timed
from tests.bench.report import Report
from tests.bench.scene import HOT, Mix, events_of, spread_names
from tests.bench.sizes import Size

pytestmark = pytest.mark.bench

BATCH_SIZE = 1000
REBUILD, REPLAY, VERIFY = "rebuild, rows", "replay, events", "replay --verify, events"
COPIES: dict[str, Callable[[BareCopy], float]] = {
    "COPY of encoded rows, no keys": lambda bare: bare.copy_bytes(),
    "COPY of encoded rows, no keys, two connections": lambda bare: bare.copy_bytes(connections=2),
    "COPY of encoded rows, primary keys": lambda bare: bare.copy_bytes(KEYED),
    "COPY of values by psycopg, no keys": lambda bare: bare.copy_rows(),
    "COPY of values by psycopg, primary keys": lambda bare: bare.copy_rows(KEYED),
}
HELD_AGAINST = ("COPY of encoded rows, no keys", "COPY of values by psycopg, primary keys")
"""The barest, and the one that ends with the same tables as a rebuild: each gets a verdict."""


def fill_books(url: str, size: Size) -> None:
    """Record the events to read: half of them in the hot book, half spread over the others."""
    with Ledger.open(url) as ledger:
        for place, names in (("hot", [HOT]), ("spread", spread_names(size.workspaces))):
            mix = Mix(names, f"{place}-", size.lag)
            events_of(ledger.execute_many(mix.opening(), SYSTEM))
            for start in range(0, size.read_events // 2, 10 * BATCH_SIZE):
                commands = mix.take(min(10 * BATCH_SIZE, size.read_events // 2 - start))
                post_batches(ledger, commands, BATCH_SIZE)


def test_rebuild_beside_a_bare_copy(new_books: NewBooks, report: Report, size: Size) -> None:
    """Rows per second of a rebuild, keys and swap included, and of COPY; events per second of a replay."""
    url = new_books()
    fill_books(url, size)
    events = rebuild(url).events
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("analyze")
    bare = BareCopy(url)

    def run_replay(*, verify: bool) -> float:
        found, seconds = timed(lambda: replay(url, verify=verify))
        assert not found.differences
        return found.events / seconds

    samples = interleave(
        size.rounds,
        {
            REBUILD: lambda: bare.rows / timed(lambda: rebuild(url))[1],
            **{name: partial(copy, bare) for name, copy in COPIES.items()},
            REPLAY: lambda: run_replay(verify=False),
            VERIFY: lambda: run_replay(verify=True),
        },
    )
    rates = {name: report.add("g", name, rates) for name, rates in samples.items()}
    report.want("g", "rebuild, events", rates[REBUILD] * events / bare.rows, "/s")
    for name in COPIES:
        wanted = 0.4 if name in HELD_AGAINST else None
        report.want("g", f"rebuild ÷ {name}", rates[REBUILD] / rates[name], at_least=wanted)
    report.want("g", "replay, events", rates[REPLAY], "/s", at_least=80_000)
