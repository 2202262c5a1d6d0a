"""OpenAI's usage block, which most upstreams send with habits of their own: chat, responses and embeddings."""

import msgspec

from gateway.usage import cost
from gateway.usage.parts import (
    InputCounts,
    believable,
    check_total,
    place_reasoning,
    split_input,
    split_output,
    split_writes,
    without_zeros,
)
from gateway.usage.reading import Block, Reader
from gateway.usage.reported import Counts, Side

UNRATED = ("citation_tokens", "num_sources_used")
"""Fields of Perplexity and xAI that cost money by rules of their own; named, so that they aren't lost."""


class Names(msgspec.Struct, frozen=True):
    """How an interface calls its fields."""

    input: str
    output: str

    @property
    def input_details(self) -> str:
        """The breakdown of the input."""
        return f"{self.input}_details"

    @property
    def output_details(self) -> str:
        """The breakdown of the output."""
        return f"{self.output}_details"


CHAT = Names("prompt_tokens", "completion_tokens")
RESPONSES = Names("input_tokens", "output_tokens")


def read_chat(block: Block, reader: Reader) -> Counts:
    """Read the block of `/chat/completions`."""
    return _read(block, reader, CHAT)


def read_responses(block: Block, reader: Reader) -> Counts:
    """Read the block of `/responses`."""
    return _read(block, reader, RESPONSES)


def read_openrouter(block: Block, reader: Reader) -> Counts:
    """Read OpenRouter's block, which states what the call cost."""
    return msgspec.structs.replace(_read(block, reader, CHAT), cost=cost.openrouter_cost(block, reader))


def read_xai(block: Block, reader: Reader) -> Counts:
    """Read xAI's block: reasoning stands beside the completion, and the cost is stated."""
    counts = _read(block, reader, CHAT, reasoning_outside=True)
    return msgspec.structs.replace(counts, cost=cost.xai_cost(block, reader))


def read_gemini_compatible(block: Block, reader: Reader) -> Counts:
    """Read the block of Gemini's OpenAI-compatible endpoint: thoughts may be seen in the total alone."""
    return _read(block, reader, CHAT, gap_is_reasoning=True)


def read_embeddings(block: Block, reader: Reader) -> Counts:
    """Read the block of `/embeddings`: there is no output, and some upstreams state nothing but the total."""
    name = "total_tokens" if block.get(CHAT.input) is None else CHAT.input
    total = believable(name, reader.side(block, name), reader)
    check_total(reader.count(block, "total_tokens", is_check=True), total, 0, reader)
    return Counts(input=None if total is None else _input(block, total, reader, CHAT), output=Side(0, {}))


def _read(
    block: Block, reader: Reader, names: Names, *, reasoning_outside: bool = False, gap_is_reasoning: bool = False
) -> Counts:
    input_total = believable(names.input, _input_total(block, reader, names), reader)
    output = reader.side(block, names.output)
    total = reader.count(block, "total_tokens", is_check=True)
    details = reader.block(block, names.output_details)
    reasoning = reader.part(details, "reasoning_tokens")
    if output is not None:
        if gap_is_reasoning and input_total is not None and total is not None:
            reasoning = _gap(total - input_total - output, reasoning, reader)
        output, reasoning = place_reasoning(
            input_total=input_total, output=output, reasoning=reasoning, total=total, outside=reasoning_outside
        )
    check_total(total, input_total, output, reader)
    _note_unrated(block, reader)
    return Counts(
        input=None if input_total is None else _input(block, input_total, reader, names),
        output=None if output is None else _output(details, output, reasoning, reader),
        counted=_searches(block, reader),
    )


def _input_total(block: Block, reader: Reader, names: Names) -> int | None:
    # DeepSeek's hits and misses are its prompt, should that be left out.
    hit, miss = (reader.count(block, f"prompt_cache_{kind}_tokens") for kind in ("hit", "miss"))
    both = None if hit is None or miss is None else hit + miss
    if block.get(names.input) is None and both is not None:
        return both
    stated = reader.side(block, names.input)
    if both is not None and stated is not None and both != stated:
        reader.note("hit+miss!=prompt")
    return stated


def _gap(gap: int, reasoning: int, reader: Reader) -> int:
    # The total is what Gemini bills; what it holds beyond prompt and completion was thought.
    if gap <= 0:
        return reasoning
    if reasoning not in {0, gap}:
        reader.note("reasoning!=gap")
    return gap


def _input(block: Block, total: int, reader: Reader, names: Names) -> Side:
    details = reader.block(block, names.input_details)
    ttl = reader.block(details, "cache_write_tokens_details")
    # 30 minutes and 12 hours are rated as the shorter and the longer of the two lives that the ledger knows.
    short, long = split_writes(
        reader.part(details, "cache_write_tokens"),
        reader.part(ttl, "ttl_30m_tokens"),
        reader.part(ttl, "ttl_12h_tokens"),
        reader,
    )
    return split_input(
        InputCounts(
            total=total,
            cache_read=_cache_read(block, details, reader),
            cache_write_short=short,
            cache_write_long=long,
            audio=reader.part(details, "audio_tokens"),
            image=reader.part(details, "image_tokens"),
        ),
        reader,
    )


def _cache_read(block: Block, details: Block, reader: Reader) -> int:
    # One fact under three names: OpenAI's, DeepSeek's, and Moonshot's at the top of the block.
    return (
        reader.part(details, "cached_tokens")
        or reader.part(block, "prompt_cache_hit_tokens")
        or reader.part(block, "cached_tokens")
    )


def _output(details: Block, total: int, reasoning: int, reader: Reader) -> Side:
    audio, image = reader.part(details, "audio_tokens"), reader.part(details, "image_tokens")
    return split_output(total, reader, reasoning=reasoning, audio=audio, image=image)


def _searches(block: Block, reader: Reader) -> dict[str, int]:
    tools = reader.block(block, "server_tool_use_details") or reader.block(block, "server_tool_use")
    searches = reader.part(tools, "web_search_requests") or reader.part(block, "num_search_queries")
    return without_zeros({"web_searches": searches})


def _note_unrated(block: Block, reader: Reader) -> None:
    for name in UNRATED:
        if reader.count(block, name, is_check=True):
            reader.note(f"unrated:{name}")
