"""Gemini's `usageMetadata`: thoughts beside the candidates, tool prompts beside the prompt, modalities in lists."""

from collections.abc import Iterable

from gateway.usage.openai import CHAT, read_gemini_compatible
from gateway.usage.parts import InputCounts, believable, check_total, place_reasoning, split_input, split_output
from gateway.usage.reading import Block, Reader
from gateway.usage.reported import Counts, Side

TOTAL = "totalTokenCount"
TEXTS = frozenset({"TEXT", "DOCUMENT", "MODALITY_UNSPECIFIED"})
KNOWN = TEXTS | {"AUDIO", "IMAGE", "VIDEO"}


def read_gemini(block: Block, reader: Reader) -> Counts:
    """Read `usageMetadata`, or the block of the OpenAI-compatible endpoint where that is what came."""
    if any(name in block for name in (CHAT.input, CHAT.output, "total_tokens")):
        return read_gemini_compatible(block, reader)
    stated = reader.side(block, "promptTokenCount")
    prompt = believable("promptTokenCount", stated, reader)
    tools = reader.part(block, "toolUsePromptTokenCount")
    # Results of tools are input that the prompt doesn't count.
    input_total = None if prompt is None else prompt + tools
    total = reader.count(block, TOTAL, is_check=True)
    output = _output(block, input_total, total, reader)
    check_total(total, input_total, None if output is None else output.tokens, reader)
    return Counts(
        input=None if input_total is None else _input(block, input_total, reader),
        output=output,
        service_tier=block.get("trafficType"),
    )


def _input(block: Block, total: int, reader: Reader) -> Side:
    prompt = _modalities(block, ("promptTokensDetails", "toolUsePromptTokensDetails"), reader)
    cached = _modalities(block, ("cacheTokensDetails",), reader)
    return split_input(
        InputCounts(
            total=total,
            cache_read=reader.part(block, "cachedContentTokenCount"),
            audio=prompt.get("AUDIO", 0),
            image=prompt.get("IMAGE", 0),
            video=prompt.get("VIDEO", 0),
            audio_cached=cached.get("AUDIO", 0) if cached else None,
            image_cached=cached.get("IMAGE", 0),
            video_cached=cached.get("VIDEO", 0),
        ),
        reader,
    )


def _output(block: Block, input_total: int | None, total: int | None, reader: Reader) -> Side | None:
    thoughts = reader.part(block, "thoughtsTokenCount")
    candidates = _candidates(block, input_total, thoughts, total, reader)
    if candidates is None:
        return None
    output, reasoning = place_reasoning(
        input_total=input_total, output=candidates, reasoning=thoughts, total=total, outside=True
    )
    by_modality = _modalities(block, ("candidatesTokensDetails",), reader)
    return split_output(
        output,
        reader,
        reasoning=reasoning,
        audio=by_modality.get("AUDIO", 0),
        image=by_modality.get("IMAGE", 0),
    )


def _candidates(block: Block, input_total: int | None, thoughts: int, total: int | None, reader: Reader) -> int | None:
    # Zeros are left out of this format, so an absent count is zero exactly where the total leaves it no room.
    name = "candidatesTokenCount"
    if block.get(name) is None and input_total is not None and total == input_total + thoughts:
        return 0
    return reader.side(block, name)


def _modalities(block: Block, names: Iterable[str], reader: Reader) -> dict[str, int]:
    # Lists of different totals are added (the prompt's and the tools'), never two reports of one total.
    sums: dict[str, int] = {}
    for name in names:
        for entry in reader.blocks(block, name):
            modality = entry.get("modality")
            tokens = reader.part(entry, "tokenCount")
            if not isinstance(modality, str) or modality not in KNOWN:
                reader.note("unrated:modality")
                continue
            sums[modality] = sums.get(modality, 0) + tokens
    return sums
