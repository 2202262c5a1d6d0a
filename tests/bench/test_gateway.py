"""(i), (j) and (k): calls through the gateway with its books, through a pass-through, and straight to the upstream."""

from functools import partial
from pathlib import Path
from statistics import median

import pytest

from tests.bench.gateway_calls import Kind
from tests.bench.gateway_stage import DIRECT, GATEWAY, KINDS, PASS, Stage, name_of, staged
from tests.bench.measure import Measurement, interleave
from tests.bench.report import Report
from tests.bench.sizes import Size

pytestmark = pytest.mark.bench

SHARE_WANTED = 0.5
RATES_WANTED: dict[Kind, int] = {"whole": 1_500, "stream": 700}
ADDED_WANTED = {(1, "p50"): 6, (16, "p99"): 60}
"""Milliseconds by connections and percentile."""


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
