"""What a report becomes: totals and parts where they are known, and a name for everything that isn't."""

from typing import Literal

import msgspec

from ledger.pricing.usage import Usage

UsageStatus = Literal["complete", "partial", "missing"]
"""`complete`: both totals and every part. `partial`: something is unknown or may have grown. `missing`: nothing."""


class Side(msgspec.Struct, frozen=True):
    """The input or the output of an attempt: an inclusive total and the disjoint parts that sum to it."""

    tokens: int
    parts: dict[str, int]


class ModelUsage(msgspec.Struct, frozen=True):
    """Tokens that one model burned. `model` is None where the upstream didn't name it."""

    model: str | None
    usage: Usage


class ReportedCost(msgspec.Struct, frozen=True):
    """What the upstream says it will bill us, as plain decimal text in its own unit."""

    value: str
    unit: str


class ReportedUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer's report.

    `input` and `output` are None where unknown. `output_may_grow` says that the stream was cut: the output is
    then at least what is reported. `counted` are things that are no tokens, such as web searches. `others` are
    tokens of other models than `upstream_model`, rated with their own rates; `unbilled` are hops that gave no
    output and are not billed. `modifiers` are words that change the price, such as a speed. `problems` name
    what was wrong: `bad:` not a count, `absent:`, `zero:` where it can't be, `clamp:` lowered to what fits,
    `unrated:` counted by the upstream but by no part of ours, `cut:` a stream without its end, `!=` a
    disagreement.
    """

    status: UsageStatus
    upstream_model: str | None = None
    service_tier: str | None = None
    input: Side | None = None
    output: Side | None = None
    output_may_grow: bool = False
    counted: dict[str, int] = {}
    others: tuple[ModelUsage, ...] = ()
    unbilled: tuple[ModelUsage, ...] = ()
    cost: ReportedCost | None = None
    modifiers: dict[str, str] = {}
    problems: tuple[str, ...] = ()

    @property
    def usage(self) -> Usage | None:
        """The serving model's usage, or None where a side is unknown."""
        if self.input is None or self.output is None:
            return None
        return usage_of(self.input, self.output, self.counted)

    @property
    def entries(self) -> tuple[ModelUsage, ...]:
        """Every model's billed tokens, the serving model's first: each is rated on its own."""
        usage = self.usage
        own = () if usage is None else (ModelUsage(self.upstream_model, usage),)
        return own + self.others


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What a dialect reads out of one usage block, before anything is concluded from how the answer ended."""

    input: Side | None = None
    output: Side | None = None
    counted: dict[str, int] = {}
    others: tuple[ModelUsage, ...] = ()
    unbilled: tuple[ModelUsage, ...] = ()
    cost: ReportedCost | None = None
    serving_model: object = None
    service_tier: object = None
    modifiers: dict[str, str] = {}


def usage_of(input_side: Side, output_side: Side, counted: dict[str, int]) -> Usage:
    """Return both sides and what else was counted as the ledger's usage."""
    return Usage(input_side.tokens, output_side.tokens, input_side.parts | output_side.parts | counted)


def add_parts(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    """Return the parts of two different calls together. Two reports of one call are never added."""
    return {part: first.get(part, 0) + second.get(part, 0) for part in first | second}
