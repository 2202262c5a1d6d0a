"""(l): how long after its commit an event can be read in each projection, while the writers are at full speed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from gateway.demo.scene import WORKSPACE
from tests.bench.conftest import NewBooks
from tests.bench.following import followed, wait_until_level
from tests.bench.gateway_stage import GATEWAY, KINDS, staged
from tests.bench.lag import Lag, LagWatch
from tests.bench.processes import running
from tests.bench.report import Report
from tests.bench.scene import HOT, spread_names
from tests.bench.sizes import Size
from tests.bench.worker import Job, Result

pytestmark = pytest.mark.bench

BATCH_SIZE = 1000
WATCHED_BOOKS = 64
CONNECTIONS = 64
EVENTS_PER_CALL = 2


def watch_while(url: str, workspace_ids: list[str], write: Callable[[], float]) -> tuple[dict[str, Lag], float]:
    """Write on a thread and watch until all is followed; return what was seen and the events per second written."""
    with ThreadPoolExecutor(1) as thread:
        written = thread.submit(write)
        lags = LagWatch(url, workspace_ids).watch(written.done)
        return lags, written.result()


def add_lags(report: Report, name: str, lags: dict[str, Lag], rate: float) -> None:
    """Add what was seen of each projection. Its lag grows where more is behind at the end than in the middle."""
    for projection, lag in sorted(lags.items()):
        middle, end = lag.behind[len(lag.behind) // 2], lag.behind[-1]
        details = {
            "events/s written": rate, "events watched": len(lag.seconds), "behind in the middle": middle,
            "behind at the end": end, "s until level": lag.level_seconds,
        }  # fmt: skip
        report.add("l", f"{name}, {projection}: p50", [lag.quantile_ms(0.5)], "ms", details)
        report.want("l", f"{name}, {projection}: p99", lag.quantile_ms(0.99), "ms")


@pytest.mark.parametrize("place", ["hot", "spread"])
def test_lag_behind_batches(new_books: NewBooks, report: Report, size: Size, place: str) -> None:
    """Time until events can be read while another process posts batches of 1,000 without a pause."""
    url = new_books()
    names = [HOT] if place == "hot" else spread_names(size.workspaces)
    watched = names[:: max(1, len(names) // WATCHED_BOOKS)]
    with followed(url), running("tests.bench.worker", url) as worker:
        job = Job(names, "lag-", size.lag, size.lag_commands, BATCH_SIZE)
        worker.say(msgspec.json.encode(job).decode())
        assert worker.hear() == "ready"
        wait_until_level(url)

        def write() -> float:
            worker.say("go")
            result = msgspec.json.decode(worker.hear(), type=Result)
            return job.commands / (result.ended - result.began)

        lags, rate = watch_while(url, watched, write)
    add_lags(report, f"batch {BATCH_SIZE:,}, {place}", lags, rate)


def test_lag_behind_calls(database_url: str, report: Report, size: Size, tmp_path: Path) -> None:
    """Time until events can be read while 64 connections call through the gateway without a pause."""
    with staged(database_url, tmp_path, GATEWAY) as stage:
        stage.call(GATEWAY, KINDS, CONNECTIONS, CONNECTIONS)
        wait_until_level(database_url)

        def write() -> float:
            result = stage.call(GATEWAY, KINDS, CONNECTIONS, size.lag_calls).result
            return EVENTS_PER_CALL * result.calls / result.seconds

        lags, rate = watch_while(database_url, [WORKSPACE], write)
    add_lags(report, f"calls over {CONNECTIONS} connections", lags, rate)
