"""Anthropic's usage block: `input_tokens` leaves the cache out, and one answer may be the work of several models."""

from gateway.usage.iterations import Hops, read_hops
from gateway.usage.parts import InputCounts, believable, split_input, split_output, split_writes, without_zeros
from gateway.usage.reading import Block, Reader
from gateway.usage.reported import Counts, Side, add_parts

MODIFIERS = ("speed", "inference_geo")


def read_anthropic(block: Block, reader: Reader, reported_model: object = None) -> Counts:
    """Read the block of `/messages`, with the hops that its top level leaves out."""
    input_side, output_side = read_sides(block, reader)
    hops = read_hops(block, reader, reported_model, read_sides)
    _check_messages(input_side, output_side, hops, reader)
    input_side, output_side = _with_same_model(input_side, output_side, hops)
    words = {name: reader.word(block.get(name), name) for name in MODIFIERS}
    # Fetches are counted beside the searches but cost nothing beyond their tokens.
    searches = reader.part(reader.block(block, "server_tool_use"), "web_search_requests")
    return Counts(
        input=input_side,
        output=output_side,
        counted=without_zeros({"web_searches": searches}),
        others=hops.others,
        unbilled=hops.unbilled,
        serving_model=hops.serving_model,
        service_tier=block.get("service_tier"),
        modifiers={name: word for name, word in words.items() if word is not None},
    )


def read_sides(block: Block, reader: Reader) -> tuple[Side | None, Side | None]:
    """Return input and output of a block or of one of its iterations: they have the same fields."""
    output = reader.side(block, "output_tokens")
    thinking = reader.part(reader.block(block, "output_tokens_details"), "thinking_tokens")
    return _input(block, reader), None if output is None else split_output(output, reader, reasoning=thinking)


def _input(block: Block, reader: Reader) -> Side | None:
    fresh = reader.side(block, "input_tokens")
    read = reader.count(block, "cache_read_input_tokens")
    written = reader.count(block, "cache_creation_input_tokens")
    if fresh is None or _is_bad(block, "cache_read_input_tokens", read):
        return None
    lives = reader.block(block, "cache_creation")
    short, long = split_writes(
        written or 0,
        reader.part(lives, "ephemeral_5m_input_tokens"),
        reader.part(lives, "ephemeral_1h_input_tokens"),
        reader,
    )
    # Without the writes the total is unknown, unless their split was readable.
    if _is_bad(block, "cache_creation_input_tokens", written) and short + long == 0:
        return None
    total = believable("input_tokens", fresh + (read or 0) + short + long, reader)
    if total is None:
        return None
    counts = InputCounts(total=total, cache_read=read or 0, cache_write_short=short, cache_write_long=long)
    return split_input(counts, reader)


def _is_bad(block: Block, name: str, count: int | None) -> bool:
    return count is None and block.get(name) is not None


def _check_messages(input_side: Side | None, output: Side | None, hops: Hops, reader: Reader) -> None:
    # Accounts differ on whether the top level sums the serving model's messages; if it doesn't, say so.
    if hops.message_tokens is None or input_side is None or output is None:
        return
    if hops.message_tokens != (input_side.tokens, output.tokens):
        reader.doubt("iterations!=usage")


def _with_same_model(input_side: Side | None, output: Side | None, hops: Hops) -> tuple[Side | None, Side | None]:
    # A compaction by the serving model was a call of its own, and the top level doesn't count it.
    for hop_input, hop_output in hops.same_model:
        if input_side is not None:
            input_side = _add(input_side, hop_input)
        if output is not None:
            output = _add(output, hop_output)
    return input_side, output


def _add(first: Side, second: Side) -> Side:
    return Side(first.tokens + second.tokens, add_parts(first.parts, second.parts))
