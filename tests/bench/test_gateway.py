"""(i), (j) and (k): calls through the gateway with its books, through a pass-through, and straight to the upstream."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import get_args

import msgspec
import pytest

from tests.bench.gateway_books import check_books
from tests.bench.gateway_calls import Kind, call_job, run_calls
from tests.bench.gateway_load import Result
from tests.bench.gateway_pass import CHAT_PATH, DEMO_PATH
from tests.bench.gateway_server import Used
from tests.bench.http_posts import HOST
from tests.bench.measure import Measurement, interleave
from tests.bench.processes import Child, free_port, running, wait_until_open
from tests.bench.report import Report, counted
from tests.bench.sizes import Size

pytestmark = pytest.mark.bench

SERVER = "tests.bench.gateway_server"
LOAD = "tests.bench.gateway_load"
GATEWAY, PASS, DIRECT = "i", "j", "k"
"""The sections of the report, and whom a call reaches first."""

SERVED = {GATEWAY: "gateway", PASS: "pass"}
REMEMBERED_CALLS = "1000000"
PROVIDER = "openai"
"""Whom the gateway calls for `smart`: the upstream counts by this name what it has served."""

DIRECT_PATH = DEMO_PATH.format("direct") + "/chat/completions"
KINDS: tuple[Kind, ...] = get_args(Kind)
SHARE_WANTED = 0.5
RATES_WANTED: dict[Kind, int] = {"whole": 1_500, "stream": 700}
ADDED_WANTED = {(1, "p50"): 6, (16, "p99"): 60}
"""Milliseconds by connections and percentile."""


class Seen(msgspec.Struct, frozen=True):
    """What was seen of one round: the client's result, and the server's processor time for each call."""

    result: Result
    cpu_ms: float


class Stage:
    """The client and whom it may call, by section of the report; and what was seen of each measurement."""

    def __init__(self, client: Child, servers: dict[str, Child], ports: dict[str, int], token: str) -> None:
        self.client, self.servers, self.ports, self.token = client, servers, ports, token
        self.seen: dict[tuple[str, str], list[Seen]] = defaultdict(list)
        self.gateway_calls = 0

    def used(self, section: str) -> Used:
        """Return what a server's process has used until now; the upstream's is not asked."""
        server = self.servers.get(section)
        if server is None:
            return Used(0, 0)
        server.say("")
        return msgspec.json.decode(server.hear(), type=Used)

    def call(self, section: str, kinds: tuple[Kind, ...], connections: int, calls: int) -> Seen:
        """Send calls over some connections, of the kinds by turns."""
        path = DIRECT_PATH if section == DIRECT else CHAT_PATH
        job = call_job(self.ports[section], path, self.token, kinds, connections, calls)
        before = self.used(section)
        result = run_calls(self.client, job)
        cpu_seconds = self.used(section).cpu_seconds - before.cpu_seconds
        if section == GATEWAY:
            self.gateway_calls += result.calls
        return Seen(result, cpu_seconds / result.calls * 1000)

    def measure(self, section: str, kind: Kind, connections: int, calls: int) -> float:
        """Note a round and return the calls per second."""
        seen = self.call(section, (kind,), connections, calls)
        self.seen[section, name_of(kind, connections)].append(seen)
        return seen.result.calls / seen.result.seconds

    def middle(self, section: str, name: str, field: str) -> float:
        """Return the median over the rounds of something that was seen of the client."""
        return float(median(getattr(seen.result, field) for seen in self.seen[section, name]))


def name_of(kind: Kind, connections: int) -> str:
    """Return what a measurement is called in each of the sections."""
    return f"{kind}, {counted(connections, 'connection')}"


@contextmanager
def staged(url: str, directory: Path, sections: str) -> Iterator[Stage]:
    """Run the upstream, the client, the gateway and, where its section is measured, the pass-through.

    When the gateway has ended, its book is held against what the upstream says that it has served.
    """
    ports = {section: free_port() for section in (GATEWAY, PASS, DIRECT)}
    upstream = ("--port", str(ports[DIRECT]), "--remembered-calls", REMEMBERED_CALLS)
    with running("gateway.demo.upstream", *upstream), running(LOAD) as client:
        with ExitStack() as stack:
            # All start at once; each is waited for where its first line is heard.
            servers = {
                section: stack.enter_context(
                    running(SERVER, what, url, str(ports[section]), str(ports[DIRECT]), str(directory))
                )
                for section, what in SERVED.items()
                if section in sections
            }
            tokens = {section: server.hear() for section, server in servers.items()}
            wait_until_open(HOST, ports[DIRECT])
            stage = Stage(client, servers, ports, tokens[GATEWAY])
            yield stage
        check_books(url, ports[DIRECT], PROVIDER, stage.gateway_calls)


def measurements(stage: Stage, size: Size) -> dict[tuple[str, str], Measurement]:
    """Return what is measured, by section and name."""
    return {
        (section, name_of(kind, connections)): partial(
            stage.measure, section, kind, connections, calls if kind == "whole" else max(connections, calls // 2)
        )
        for connections, calls in size.calls.items()
        for kind in KINDS
        for section in (GATEWAY, PASS, DIRECT)
    }


def test_calls_beside_a_pass_through(database_url: str, report: Report, size: Size, tmp_path: Path) -> None:
    """Calls per second, what the gateway adds to their time, its processor time; and the books agree afterwards."""
    with staged(database_url, tmp_path, GATEWAY + PASS) as stage:
        measured = measurements(stage, size)
        if size.rounds > 1:
            interleave(1, measured)
            stage.seen.clear()
        samples = interleave(size.rounds, measured)
    rates = {key: add_rate(report, stage, *key, samples[key]) for key in measured}
    for connections in size.calls:
        for kind in KINDS:
            compare(report, stage, rates, kind, connections)


def add_rate(report: Report, stage: Stage, section: str, name: str, samples: list[float]) -> float:
    """Add the rate of a measurement with its details, and return it."""
    seen = stage.seen[section, name]
    details = {
        "p50 ms": stage.middle(section, name, "p50_ms"),
        "p95 ms": stage.middle(section, name, "p95_ms"),
        "p99 ms": stage.middle(section, name, "p99_ms"),
    }
    if name.startswith("stream"):
        details["first byte p50 ms"] = stage.middle(section, name, "first_p50_ms")
    if section in stage.servers:
        details["CPU ms a call"] = median(each.cpu_ms for each in seen)
    details["client's cores"] = median(each.result.client_cpu_seconds / each.result.seconds for each in seen)
    return report.add(section, name, samples, details=details)


def compare(report: Report, stage: Stage, rates: dict[tuple[str, str], float], kind: Kind, connections: int) -> None:
    """Hold the gateway against the pass-through, and its percentiles against those of calling the upstream directly."""
    name = name_of(kind, connections)
    rate = rates[GATEWAY, name]
    share = rate / rates[PASS, name]
    if connections == 64:
        report.want(GATEWAY, name, rate, "/s", at_least=RATES_WANTED[kind])
    report.want(GATEWAY, f"{name}: (i) ÷ (j)", share, at_least=SHARE_WANTED if connections == 64 else None)
    for percentile in ("p50", "p95", "p99"):
        field = f"{percentile}_ms"
        added = stage.middle(GATEWAY, name, field) - stage.middle(DIRECT, name, field)
        wanted = ADDED_WANTED.get((connections, percentile))
        report.want(GATEWAY, f"{name}: added {percentile}", added, "ms", at_most=wanted)


def test_memory_over_many_calls(database_url: str, report: Report, size: Size, tmp_path: Path) -> None:
    """Memory of the gateway's process after its first calls and after very many, whole ones and streams by turns."""
    with staged(database_url, tmp_path, GATEWAY) as stage:
        resident: list[float] = []
        for mark in size.call_marks:
            stage.call(GATEWAY, KINDS, 64, mark - stage.gateway_calls)
            resident.append(stage.used(GATEWAY).resident_bytes / 2**20)
    for mark, mebibytes in zip(size.call_marks, resident, strict=True):
        report.add("h", f"memory of the gateway after {mark:,} calls", [mebibytes], "MiB")
    report.want("h", "memory of the gateway, last ÷ second", resident[-1] / resident[1])
