"""Anthropic's `usage.iterations[]`: the calls behind one answer, some of them by other models.

The top level covers the serving model's messages. Not in it: compactions, advisors, and hops of a server-side
fallback that another model began. A hop without any output is not billed (nobody has confirmed this on a live
account; it is kept as `unbilled`, so that it can be).
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from gateway.usage.reading import Block, Reader
from gateway.usage.reported import ModelUsage, Side, add_parts, usage_of
from ledger.pricing.usage import Usage

MESSAGES = ("message", "fallback_message")
APART = ("compaction", "advisor_message")
HOPS_MAX = 256

Place = Literal["message", "same_model", "other", "unbilled"]

Sides = Callable[[Block, Reader], tuple[Side | None, Side | None]]


class Hop(msgspec.Struct, frozen=True):
    """One call behind the answer. Its place says what the top level has to do with it."""

    place: Place
    model: str | None
    input: Side
    output: Side


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
    hops = [hop for entry in entries if (hop := _hop(entry, reader, serving, read_sides)) is not None]
    messages = [hop for hop in hops if hop.place == "message"]
    return Hops(
        serving_model=serving,
        same_model=tuple((hop.input, hop.output) for hop in hops if hop.place == "same_model"),
        others=by_model(hops, "other"),
        unbilled=by_model(hops, "unbilled"),
        message_tokens=_sums(messages) if messages else None,
    )


def by_model(hops: list[Hop], place: Place) -> tuple[ModelUsage, ...]:
    """Return the usage of each model's hops in one place, in the order in which the models came."""
    merged: dict[str | None, Usage] = {}
    for hop in hops:
        if hop.place != place:
            continue
        usage, before = usage_of(hop.input, hop.output, {}), merged.get(hop.model)
        if before is not None:
            usage = Usage(
                before.input_tokens + usage.input_tokens,
                before.output_tokens + usage.output_tokens,
                add_parts(before.parts, usage.parts),
            )
        merged[hop.model] = usage
    return tuple(ModelUsage(model, usage) for model, usage in merged.items())


def _hop(entry: Block, reader: Reader, serving: str | None, read_sides: Sides) -> Hop | None:
    kind, model = entry.get("type"), _model(entry, reader, serving)
    if kind not in MESSAGES + APART:
        reader.doubt("bad:iteration_type")
    input_side, output = read_sides(entry, reader)
    if input_side is None or output is None:
        reader.doubt("bad:iterations")
        return None
    return Hop(_place(kind, output.tokens, is_serving=model == serving), model, input_side, output)


def _place(kind: object, output_tokens: int, *, is_serving: bool) -> Place:
    # An entry of an unknown kind is taken for a message: by the serving model, the top level has it.
    if kind not in APART and is_serving:
        return "message"
    if kind in MESSAGES and output_tokens == 0:
        return "unbilled"
    return "same_model" if kind == "compaction" and is_serving else "other"


def _sums(hops: list[Hop]) -> tuple[int, int]:
    return sum(hop.input.tokens for hop in hops), sum(hop.output.tokens for hop in hops)


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
