"""Two weeks of made-up calls of one workspace: the same at every start, whatever the date is. Pure.

Both weeks are alike but for three things that somebody would want to know of: the research agent calls the deep model
in more of its steps, the contracts under review became longer, and the provider behind the cheap route was away for a
day and a half. Smaller things happen too: a new workflow, answers cut off, a client who left, money given back.
"""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from ledger.request.commands import Failure

__all__ = ["DAYS", "Call", "FailedTry", "two_weeks"]

WEEK = 7
DAYS = 2 * WEEK
HOUR = 3600
OUTAGE = (10 * 24 + 8, 11 * 24 + 13)
"""From which hour of the two weeks until which the provider of the cheap route answered nobody."""


class FailedTry(msgspec.Struct, frozen=True):
    """An upstream call that failed. `output_tokens` were made, and billed to us, before it did."""

    failure: Failure
    latency_ms: int
    http_status: int | None = None
    output_tokens: int | None = None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One call. `day` counts from the first of the two weeks, `second` from the beginning of that day.

    `failed` are the attempts before the last one; `moved_to` is the route that then took over. `guessed` answers ended
    without a report of usage. `refunded` is given back two days later.
    """

    day: int
    second: int
    project: str
    workflow: str | None
    model: str
    route: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    user: int | None = None
    run: str | None = None
    step: str | None = None
    latency_ms: int = 1200
    failed: tuple[FailedTry, ...] = ()
    moved_to: str | None = None
    end: Literal["settled", "failed", "cancelled"] = "settled"
    guessed: bool = False
    refunded: str | None = None


OVERLOADED = (FailedTry("overloaded", 140, 503), FailedTry("overloaded", 180, 503))
RATE_LIMITED = (FailedTry("rate_limited", 90, 429),)
CUT = (FailedTry("stream_cut", 4200, None, 180),)
REFUSED = (FailedTry("refused_content", 800, 400),)


def two_weeks() -> list[Call]:
    """Return all calls in the order in which they began."""
    workflows = (help_desk, tagging, contract_review, research, digest, trials)
    calls = [call for day in range(DAYS) for workflow in workflows for call in workflow(day)]
    return sorted(calls, key=lambda call: (call.day, call.second))


def wobble(day: int, number: int) -> int:
    """Return −3 to 3, the same in both weeks and 0 on average: no two calls are quite alike."""
    return (day * 5 + number * 3) % WEEK - 3


def is_second_week(day: int) -> bool:
    """Return whether a day belongs to the later one."""
    return day >= WEEK


def help_desk(day: int) -> Iterator[Call]:
    """Yield the calls of a desk that answers customers: much of each prompt comes from the cache."""
    for number in range(11):
        place = (day, number)
        failed: tuple[FailedTry, ...] = ()
        moved_to = None
        if place in {(3, 4), (8, 2), (8, 3), (12, 9)}:
            failed, moved_to = RATE_LIMITED, "smart-backup"
        elif place in {(2, 6), (9, 1), (9, 6), (13, 6)}:
            failed = CUT
        yield Call(
            day=day, second=8 * HOUR + number * 3400 + wobble(day, number) * 60, project="support",
            workflow="help-desk", model="smart", route="smart-direct", user=(day * 11 + number) % 40,
            input_tokens=2100 + 120 * wobble(day, number), cached_tokens=1024,
            output_tokens=240 + 15 * wobble(day, number), reasoning_tokens=64, latency_ms=1900 + 40 * number,
            failed=failed, moved_to=moved_to, end="cancelled" if place in {(5, 8), (12, 3)} else "settled",
            guessed=place in {(1, 10), (11, 7)},
        )  # fmt: skip


def tagging(day: int) -> Iterator[Call]:
    """Yield the calls that sort documents, on the cheap route; one a day more in the second week."""
    for number in range(15 if is_second_week(day) else 14):
        yield cheap(
            day=day, second=7 * HOUR + number * 2900 + wobble(day, number) * 45, project="back-office",
            workflow="tagging", input_tokens=11_800 + 400 * wobble(day, number), output_tokens=900,
            latency_ms=5200 + 90 * number,
        )  # fmt: skip


def contract_review(day: int) -> Iterator[Call]:
    """Yield the calls that read contracts: from the second week on whole ones, before that their summaries."""
    troubles = {(4, 1): CUT, (10, 2): CUT, (6, 3): REFUSED, (8, 0): REFUSED}
    for number in range(4):
        yield Call(
            day=day, second=9 * HOUR + number * 7900, project="back-office", workflow="contract-review",
            model="claude", route="claude-direct",
            input_tokens=(17_500 if is_second_week(day) else 9200) + 300 * wobble(day, number),
            output_tokens=640 + 20 * wobble(day, number), latency_ms=9800 + 150 * number,
            failed=troubles.get((day, number), ()),
            end="failed" if (day, number) in {(6, 3), (8, 0)} else "settled",
            refunded="0.150000" if (day, number) == (9, 2) else None,
        )  # fmt: skip


def research(day: int) -> Iterator[Call]:
    """Yield an agent's runs, two a day of six steps. The deep model plans and reviews more often in the second week."""
    for turn in range(2):
        run = day * 2 + turn + 1
        deep_steps: tuple[str, ...] = ("review",) if run in {3, 10} else ()
        if is_second_week(day) and turn == 1:
            deep_steps = ("plan", "review") if day % 3 == 0 else ("review",)
        for number, step in enumerate(("plan", "search", "search", "search", "write", "review")):
            at: dict[str, Any] = {
                "day": day, "second": (10 + 5 * turn) * HOUR + number * 95, "project": "agents",
                "workflow": "research", "run": f"research-{run:04d}", "step": step,
            }  # fmt: skip
            if step == "search":
                yield cheap(**at, input_tokens=5600, cached_tokens=1500, output_tokens=420, latency_ms=3100)
            elif step in deep_steps:
                yield Call(
                    **at, model="deep", route="deep-direct", input_tokens=2600, output_tokens=450,
                    reasoning_tokens=700, latency_ms=48_000,
                )  # fmt: skip
            else:
                yield Call(
                    **at, model="smart", route="smart-direct", input_tokens=2600, output_tokens=520,
                    reasoning_tokens=128, latency_ms=6400,
                )  # fmt: skip


def digest(day: int) -> Iterator[Call]:
    """Yield the calls of a workflow that is new in the second week."""
    if is_second_week(day):
        for number in range(2):
            yield cheap(
                day=day, second=6 * HOUR + 1800 + number * 600, project="back-office", workflow="morning-digest",
                input_tokens=8200, output_tokens=1100, latency_ms=6900,
            )  # fmt: skip


def trials(day: int) -> Iterator[Call]:
    """Yield calls that say of no workflow: somebody tries prompts by hand."""
    if day % 2 == 0:
        yield cheap(
            day=day, second=17 * HOUR, project="support", workflow=None, input_tokens=300 + 40 * wobble(day, 0),
            output_tokens=200, latency_ms=1500, user=1,
        )  # fmt: skip


def cheap(**fields: Any) -> Call:
    """Return a call of the cheap route; while its provider was away, another balance paid."""
    call = Call(model="economy", route="cheap-ordinary", **fields)
    hour = call.day * 24 + call.second // HOUR
    if OUTAGE[0] <= hour < OUTAGE[1]:
        return msgspec.structs.replace(call, failed=OVERLOADED, moved_to="smart-backup")
    return call
