"""Every usage block that was ever misread: the shared vectors, and more of each dialect."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.usage.reported import ModelUsage, ReportedUsage, Side
from gateway.usage.states import UsageDialect
from gateway.usage.streams import READERS, begin, fold, read_body, result
from ledger.pricing.usage import check_usage

VECTORS = Path(__file__).parents[1] / "golden" / "usage"
DIALECTS: tuple[UsageDialect, ...] = (*READERS, "anthropic")

Vector = dict[str, Any]


def vectors_of(name: str) -> list[Vector]:
    """Return the vectors of one file."""
    vectors: list[Vector] = json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
    return vectors


SHARED = vectors_of("vectors")
OWN = [(dialect, vector) for dialect in DIALECTS for vector in vectors_of(dialect)]


def report(vector: Vector, dialect: UsageDialect) -> ReportedUsage:
    """Return what a vector's body or events report."""
    if "events" not in vector:
        return read_body(dialect, vector["body"])
    state = begin(dialect)
    for event in vector["events"]:
        state = fold(state, event)
    return result(state)


def inclusive(reported: ReportedUsage) -> dict[str, Any]:
    """Return a report under the names that the shared vectors use: totals and the subsets within them."""
    source, output = reported.input or Side(0, {}), reported.output or Side(0, {})
    parts = source.parts | output.parts
    sums = {
        "cache_read": ("cache_read", "audio_cache_read"),
        "cache_write": ("cache_write_5m", "cache_write_1h"),
        "cache_write_1h": ("cache_write_1h",),
        "reasoning": ("reasoning",),
        "input_audio": ("audio_input", "audio_cache_read"),
        "output_audio": ("audio_output",),
    }
    return {
        "status": reported.status,
        "upstream_model": reported.upstream_model,
        "service_tier": reported.service_tier,
        "input": None if reported.input is None else source.tokens,
        "output": None if reported.output is None else output.tokens,
        "upstream_cost": None if reported.cost is None else reported.cost.value,
        "warnings": list(reported.problems),
        **{name: sum(parts.get(part, 0) for part in within) for name, within in sums.items()},
    }


def listed(entries: tuple[ModelUsage, ...]) -> list[list[Any]]:
    """Return entries of models as the vectors write them."""
    return [[entry.model, entry.usage.parts] for entry in entries]


def exact(reported: ReportedUsage) -> dict[str, Any]:
    """Return a report under the names that our own vectors use: the disjoint parts themselves."""
    return {
        "status": reported.status,
        "model": reported.upstream_model,
        "tier": reported.service_tier,
        "input": None if reported.input is None else reported.input.parts,
        "output": None if reported.output is None else reported.output.parts,
        "may_grow": reported.output_may_grow,
        "counted": reported.counted,
        "others": listed(reported.others),
        "unbilled": listed(reported.unbilled),
        "cost": None if reported.cost is None else [reported.cost.value, reported.cost.unit],
        "modifiers": reported.modifiers,
        "problems": list(reported.problems),
    }


@pytest.mark.parametrize("vector", SHARED, ids=[vector["name"] for vector in SHARED])
def test_shared_vectors(vector: Vector) -> None:
    """A shared vector gives the totals, parts, status and warnings that it expects."""
    found = inclusive(report(vector, vector["dialect"]))
    assert {name: found[name] for name in vector["expect"]} == vector["expect"]


@pytest.mark.parametrize(("dialect", "vector"), OWN, ids=[f"{dialect}: {vector['name']}" for dialect, vector in OWN])
def test_own_vectors(dialect: UsageDialect, vector: Vector) -> None:
    """A vector of ours gives exactly the disjoint parts and problems that it expects, and no odd defaults."""
    defaults = {"may_grow": False, "counted": {}, "others": [], "unbilled": [], "modifiers": {}}
    found = exact(report(vector, dialect))
    expected = defaults | vector["expect"]
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("vector", SHARED, ids=[vector["name"] for vector in SHARED])
def test_shared_vectors_give_what_the_ledger_takes(vector: Vector) -> None:
    """The ledger's own check accepts every usage that a vector reports."""
    for entry in report(vector, vector["dialect"]).entries:
        assert check_usage(entry.usage) is entry.usage


def test_there_are_25_shared_vectors_and_three_of_each_dialect() -> None:
    """No vector was lost, and each dialect has some of its own."""
    counts = {dialect: len(vectors_of(dialect)) for dialect in DIALECTS}
    assert (len(SHARED), [dialect for dialect in DIALECTS if counts[dialect] < 3]) == (25, [])
