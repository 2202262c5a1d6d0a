"""(d) and (e): posts over HTTP, beside an empty endpoint of the same framework on the same server."""

from collections import defaultdict
from functools import partial
from itertools import count
from statistics import median

import pytest

from tests.bench.conftest import NewBooks
from tests.bench.http_load import Job
from tests.bench.http_posts import COMMANDS_PER_BODY, bulk_job, empty_job, run_job, single_job
from tests.bench.measure import Measurement, interleave
from tests.bench.processes import Child, free_port, running
from tests.bench.report import Report, counted
from tests.bench.scene import HOT, spread_names
from tests.bench.sizes import Size

pytestmark = pytest.mark.bench

SERVER = "tests.bench.http_server"
PLACES = ("hot", "spread")
EMPTY = "empty endpoint"


class Stage:
    """A server with the real application and one with an empty endpoint, and what the client saw of them."""

    def __init__(self, client: Child, ports: tuple[int, int], token: str, size: Size) -> None:
        self.client, self.token, self.size = client, token, size
        self.ledger_port, self.empty_port = ports
        self.workspaces = dict(zip(PLACES, ([HOT], spread_names(size.workspaces)), strict=True))
        self.seen: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        self._numbers = count()

    def run(self, name: str, job: Job) -> float:
        """Run a job; note the percentiles and the client's part of a core; return the posts per second."""
        result = run_job(self.client, job)
        self.seen[name].append((result.p50_ms, result.p99_ms, result.client_cpu_seconds / result.seconds))
        return sum(map(len, job.shares)) / result.seconds

    def post_empty(self, name: str, connections: int) -> float:
        """Post to the empty endpoint."""
        return self.run(name, empty_job(self.empty_port, connections, self.size.posts[connections]))

    def post_single(self, name: str, place: str, connections: int) -> float:
        """Post single commands."""
        posts = self.size.posts[connections]
        prefix = f"s{next(self._numbers)}"
        return self.run(
            name, single_job(self.ledger_port, self.token, self.workspaces[place], prefix, connections, posts)
        )

    def post_bulk(self, name: str, place: str, connections: int) -> float:
        """Post bodies of 1,000 commands, and return the commands per second."""
        prefix = f"b{next(self._numbers)}"
        job = bulk_job(
            self.ledger_port, self.token, self.workspaces[place], prefix, connections, self.size.bodies, self.size.lag
        )
        return self.run(name, job) * COMMANDS_PER_BODY


def measurements(stage: Stage) -> dict[str, Measurement]:
    """Return what is measured by name: places and numbers of connections."""
    measured: dict[str, Measurement] = {}
    for connections in stage.size.posts:
        name = f"{EMPTY}, {counted(connections, 'connection')}"
        measured[name] = partial(stage.post_empty, name, connections)
        for place in PLACES:
            name = f"single posts, {place}, {counted(connections, 'connection')}"
            measured[name] = partial(stage.post_single, name, place, connections)
    for place in PLACES:
        for connections in (1, 2):
            name = f"/commands of 1,000, {place}, {counted(connections, 'connection')}"
            measured[name] = partial(stage.post_bulk, name, place, connections)
    return measured


def test_posts_beside_an_empty_endpoint(new_books: NewBooks, report: Report, size: Size) -> None:
    """Posts per second and their percentiles over HTTP, and the share of the empty endpoint that they reach."""
    ports = free_port(), free_port()
    with (
        running(SERVER, "ledger", new_books(), str(ports[0])) as server,
        running(SERVER, "empty", "", str(ports[1])) as empty,
        running("tests.bench.http_load") as client,
    ):
        token = server.hear()
        empty.hear()
        stage = Stage(client, ports, token, size)
        measured = measurements(stage)
        if size.rounds > 1:
            interleave(1, measured)
            stage.seen.clear()
        samples = interleave(size.rounds, measured)
    rates = {}
    for name in measured:
        section = "e" if name.startswith(EMPTY) else "d"
        p50, p99, client = map(median, zip(*stage.seen[name], strict=True))
        details = {"p50 ms": p50, "p99 ms": p99, "client's cores": client}
        rates[name] = report.add(section, name, samples[name], details=details)
        if name.startswith("/commands"):
            report.want("d", name, rates[name], "/s", at_least=10_000)
    for connections in size.posts:
        for place in PLACES:
            name = f"single posts, {place}, {counted(connections, 'connection')}"
            share = rates[name] / rates[f"{EMPTY}, {counted(connections, 'connection')}"]
            report.want("d", f"{name}: (d) ÷ (e)", share, at_least=0.4 if connections == 64 else None)
