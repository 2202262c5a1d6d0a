"""The single rules of the usage readers, one by one."""

from decimal import Decimal
from typing import Any

import pytest

from gateway.usage.cost import decimal_of, plain
from gateway.usage.filling import doubted, fill_in
from gateway.usage.merging import overlay
from gateway.usage.parts import InputCounts, place_reasoning, split_input
from gateway.usage.reading import COUNT_MAX, Reader, whole_number
from gateway.usage.reported import ReportedUsage, Side
from gateway.usage.streams import begin, fold, read_body, result
from ledger.pricing.usage import Usage
from tests.source_tree import is_within, package_modules
from tests.test_layers import IMPURE_IMPORTS, imports

NO_COUNTS: tuple[object, ...] = (
    -1,
    COUNT_MAX + 1,
    True,
    "1",
    0.5,
    Decimal("0.5"),
    Decimal("NaN"),
    float("inf"),
    [],
    {},
    b"1",
)
NO_COSTS: tuple[object, ...] = (
    *("", "1_0", "１", "-1", "NaN", "1e400", "1e-99", "1" * 99),
    *(10**5000, -1, True, float("inf"), float("nan"), Decimal("1E+30"), []),
)
CUT = ReportedUsage(
    status="partial", input=Side(9, {"cache_read": 9}), output=Side(3, {"reasoning": 2, "text_output": 1})
)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"a": 5}, {"a": 7}, {"a": 7}),
        ({"a": 7}, {"a": 5}, {"a": 5}),
        ({"a": 5}, {"a": 0}, {"a": 5}),
        ({"a": 5}, {"a": None}, {"a": 5}),
        ({"a": 0}, {"a": None}, {"a": None}),
        ({"a": None}, {"a": 0}, {"a": 0}),
        ({}, {"a": 0}, {"a": 0}),
        ({"a": [1]}, {"a": []}, {"a": [1]}),
        ({"a": {"b": 5, "c": 1}}, {"a": {"b": 0, "c": 2}}, {"a": {"b": 5, "c": 2}}),
        ({"a": {"b": 5}}, {"a": {}}, {"a": {"b": 5}}),
        ({"a": True}, {"a": False}, {"a": False}),
        ({"a": 5}, {"a": -1}, {"a": -1}),
    ],
)
def test_later_blocks_overwrite_and_zeros_erase_nothing(
    old: dict[str, Any], new: dict[str, Any], expected: dict[str, Any]
) -> None:
    """A later count replaces an earlier one; null, zero and nothing don't."""
    assert overlay(old, new) == expected


def test_folding_changes_no_earlier_state() -> None:
    """States are values: a fold leaves the one before as it was, and says nothing new by identity."""
    first = fold(begin("vllm"), {"model": "m", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1}})
    before = result(first)
    second = fold(first, {"model": "m", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}})
    assert (result(first), result(second).output) == (before, Side(2, {"text_output": 2}))
    assert fold(second, {"model": "m", "choices": [{"index": 0, "finish_reason": "stop"}]}) is not second
    quiet = fold(begin("vllm"), {"model": "m", "choices": [{"index": 0, "delta": {"content": "a"}}]})
    assert fold(quiet, {"model": "m", "choices": [{"index": 0, "delta": {"content": "b"}}]}) is quiet


@pytest.mark.parametrize("value", NO_COUNTS, ids=range(len(NO_COUNTS)))
def test_what_is_no_count(value: object) -> None:
    """Only whole numbers from zero to a billion are counts."""
    assert whole_number(value) is None


@pytest.mark.parametrize("value", [12, Decimal(12), 12.0], ids=["int", "decimal", "binary"])
def test_what_is_a_count(value: object) -> None:
    """JSON knows one kind of number, whichever type the decoder makes of it."""
    assert whole_number(value) == 12


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.00095, "0.00095"),
        (5e-05, "0.00005"),
        (Decimal("1.50"), "1.5"),
        ("0.30", "0.3"),
        (100, "100"),
        (Decimal("1E+2"), "100"),
        (0, "0"),
        ("0.000", "0"),
    ],
)
def test_costs_are_plain_decimal_text(value: object, expected: str) -> None:
    """A cost keeps every digit that was sent, without exponent and trailing zeros."""
    amount = decimal_of(value)
    assert amount is not None
    assert plain(amount) == expected


@pytest.mark.parametrize("value", NO_COSTS, ids=range(len(NO_COSTS)))
def test_what_is_no_cost(value: object) -> None:
    """Negative, endless, absurd and non-decimal values are no costs."""
    assert decimal_of(value) is None


@pytest.mark.parametrize(
    ("total", "outside", "expected"),
    [
        (150, False, (50, 20)),
        (150, True, (50, 20)),
        (170, False, (70, 20)),
        (170, True, (70, 20)),
        (None, False, (50, 20)),
        (None, True, (70, 20)),
        (999, False, (50, 20)),
    ],
)
def test_the_total_decides_where_reasoning_stands(total: int | None, outside: bool, expected: tuple[int, int]) -> None:
    """Inside or beside the output: the stated total overrules the habit of the dialect."""
    placed = place_reasoning(input_total=100, output=50, reasoning=20, total=total, outside=outside)
    assert placed == expected


def test_more_reasoning_than_output_stands_beside_it() -> None:
    """Reasoning that can't lie within the output is added, whatever the dialect's habit."""
    assert place_reasoning(input_total=None, output=5, reasoning=20, total=None, outside=False) == (25, 20)


def test_long_lived_writes_keep_their_place_when_writes_are_clamped() -> None:
    """Of writes that exceed the prompt, the dearer long-lived ones are kept first."""
    reader = Reader()
    side = split_input(InputCounts(total=100, cache_read=60, cache_write_short=30, cache_write_long=30), reader)
    assert (side.parts, reader.problems) == (
        {"cache_read": 60, "cache_write_1h": 30, "cache_write_5m": 10},
        ["clamp:cache_write"],
    )


def test_filling_in_a_cut_stream_takes_the_larger_output() -> None:
    """The reported output of a cut stream is a floor: delivered text above it is added as text."""
    cut = ReportedUsage(status="partial", input=CUT.input, output=CUT.output, output_may_grow=True)
    assert fill_in(cut, input_estimate=99, output_estimate=8) == Usage(
        9, 8, {"cache_read": 9, "reasoning": 2, "text_output": 6}
    )
    assert fill_in(cut, input_estimate=99, output_estimate=2) == cut.usage


def test_filling_in_leaves_what_is_known() -> None:
    """An output that was reported at the end is not enlarged, and unknown sides are the estimates."""
    assert fill_in(CUT, input_estimate=99, output_estimate=8) == CUT.usage
    nothing = ReportedUsage(status="missing")
    assert fill_in(nothing, input_estimate=4, output_estimate=6) == Usage(4, 6, {"uncached_input": 4, "text_output": 6})


@pytest.mark.parametrize(
    ("report", "delivered_bytes", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 0}, 1, ("partial", 9, None, True)),
        ({"prompt_tokens": 9, "completion_tokens": 0}, 0, ("complete", 9, 0, False)),
        ({"prompt_tokens": 9, "completion_tokens": 1}, 999, ("complete", 9, 1, False)),
        ({"completion_tokens": 0}, 1, ("missing", None, None, False)),
        ({"prompt_tokens": -1, "completion_tokens": 3}, 1, ("partial", None, 3, False)),
    ],
)
def test_nothing_is_not_believed_where_something_was_delivered(
    report: dict[str, int], delivered_bytes: int, expected: tuple[str, int | None, int | None, bool]
) -> None:
    """An output of zero beside delivered text is unknown, and estimated like one that nobody reported."""
    found = doubted(read_body("openai_chat", {"usage": report}), delivered_bytes)
    sides = (found.input and found.input.tokens, found.output and found.output.tokens)
    assert (found.status, *sides, "zero:output" in found.problems) == expected
    if found.status == "partial" and found.output is None:
        assert fill_in(found, input_estimate=4, output_estimate=6).output_tokens == 6


def test_usage_is_unknown_while_a_side_is() -> None:
    """A half-known report has no usage that somebody could settle by mistake."""
    reported = read_body("openai_chat", {"usage": {"prompt_tokens": -3, "completion_tokens": 7}})
    assert (reported.status, reported.usage, reported.entries) == ("partial", None, ())


def test_too_many_iterations_are_not_read() -> None:
    """A list of iterations that no answer has is named and the report partial."""
    entry = {"type": "message", "model": "other", "input_tokens": 1, "output_tokens": 1}
    body = {"model": "m", "usage": {"input_tokens": 1, "output_tokens": 1, "iterations": [entry] * 257}}
    reported = read_body("anthropic", body)
    assert (reported.status, reported.others, reported.problems) == ("partial", (), ("bad:iterations",))


def test_readers_import_no_io() -> None:
    """The package reads decoded JSON and nothing else: no network, clock, file or framework."""
    found = [
        f"{module.path}:{line} imports {name}"
        for module in package_modules()
        if is_within(module.name, ("gateway.usage",))
        for line, name in imports(module)
        if name.split(".")[0] in IMPURE_IMPORTS
    ]
    assert found == []
