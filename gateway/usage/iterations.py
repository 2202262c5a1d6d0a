"""Anthropic's `usage.iterations[]`: the calls behind one answer, some of them by other models.

The top level covers the serving model's messages. Not in it: compactions, advisors, and hops of a server-side
fallback that another model began. A hop without any output is not billed (nobody has confirmed this on a live
account; it is kept as `unbilled`, so that it can be).
"""

from collections.abc import Callable

import msgspec

from gateway.usage.reading import Block, Reader
from gateway.usage.reported import ModelUsage, Side, add_parts, usage_of
from ledger.pricing.usage import Usage

MESSAGES = ("message", "fallback_message")
APART = ("compaction", "advisor_message")
HOPS_MAX = 256

Sides = Callable[[Block, Reader], tuple[Side | None, Side | None]]


class Hops(msgspec.Struct, frozen=True, kw_only=True):
    """What the iterations add to the top level. `same_model` are calls of the serving model beside its messages."""

    serving_model: str | None = None
    same_model: tuple[tuple[Side, Side], ...] = ()
    others: tuple[ModelUsage, ...] = ()
    unbilled: tuple[ModelUsage, ...] = ()
    message_tokens: tuple[int, int] | None = None
    """Input and output of the serving model's messages together: what the top level should say."""


def read_hops(block: Block, reader: Reader, reported_model: object, read_sides: Sides) -> Hops:
    """Read the iterations, if there are any."""
    entries = reader.blocks(block, "iterations")
    if len(entries) > HOPS_MAX:
        reader.doubt("bad:iterations")
        return Hops()
    serving = _serving_model(entries, reader, reported_model)
    messages: list[tuple[Side, Side]] = []
    same: list[tuple[Side, Side]] = []
    others: list[ModelUsage] = []
    unbilled: list[ModelUsage] = []
    for entry in entries:
        kind, model, sides = entry.get("type"), _model(entry, reader, serving), _believed(entry, reader, read_sides)
        if kind not in MESSAGES + APART:
            reader.doubt("bad:iteration_type")
        if sides is None:
            continue
        hop = ModelUsage(model, usage_of(*sides, {}))
        # An entry of an unknown kind is taken for a message: by the serving model, the top level has it.
        if kind not in APART and model == serving:
            messages.append(sides)
        elif kind in MESSAGES and hop.usage.output_tokens == 0:
            unbilled.append(hop)
        elif kind == "compaction" and model == serving:
            same.append(sides)
        else:
            others.append(hop)
    return Hops(
        serving_model=serving,
        same_model=tuple(same),
        others=by_model(others),
        unbilled=by_model(unbilled),
        message_tokens=_sums(messages) if messages else None,
    )


def _sums(calls: list[tuple[Side, Side]]) -> tuple[int, int]:
    return sum(sides[0].tokens for sides in calls), sum(sides[1].tokens for sides in calls)


def by_model(entries: list[ModelUsage]) -> tuple[ModelUsage, ...]:
    """Return one entry per model, in the order in which they came."""
    merged: dict[str | None, Usage] = {}
    for entry in entries:
        usage, before = entry.usage, merged.get(entry.model)
        if before is not None:
            usage = Usage(
                before.input_tokens + usage.input_tokens,
                before.output_tokens + usage.output_tokens,
                add_parts(before.parts, usage.parts),
            )
        merged[entry.model] = usage
    return tuple(ModelUsage(model, usage) for model, usage in merged.items())


def _serving_model(entries: list[Block], reader: Reader, reported_model: object) -> str | None:
    # A stream names the model that began; the last message is by the one that served.
    named = [entry["model"] for entry in entries if entry.get("type") in MESSAGES and entry.get("model")]
    reported = reader.model(reported_model)
    served = reader.model(named[-1]) if named else None
    if served is not None and reported is not None and served != reported:
        reader.note("model!=iterations")
    return served or reported


def _model(entry: Block, reader: Reader, serving: str | None) -> str | None:
    if entry.get("model"):
        return reader.model(entry["model"])
    if entry.get("type") == "advisor_message":
        # An advisor is another model by its nature: rating it as the serving one would be a guess.
        reader.note("absent:iteration_model")
        return None
    return serving


def _believed(entry: Block, reader: Reader, read_sides: Sides) -> tuple[Side, Side] | None:
    input_side, output_side = read_sides(entry, reader)
    if input_side is None or output_side is None:
        reader.doubt("bad:iterations")
        return None
    return input_side, output_side
