"""From overlapping counts to disjoint parts. Every function here returns parts that sum to its total."""

import msgspec

from gateway.usage.reading import Reader
from gateway.usage.reported import Side


class InputCounts(msgspec.Struct, frozen=True, kw_only=True):
    """An inclusive total and what the upstream says lies within it; these may overlap.

    `audio_cached` is None where it isn't said how much of the audio came from a cache.
    """

    total: int
    cache_read: int = 0
    cache_write_short: int = 0
    cache_write_long: int = 0
    audio: int = 0
    image: int = 0
    video: int = 0
    audio_cached: int | None = None
    image_cached: int = 0
    video_cached: int = 0


def split_input(counts: InputCounts, reader: Reader) -> Side:
    """Return the input as disjoint parts.

    Reads from a cache come first, then writes (an upstream may report them unadjusted, so that both exceed the
    total), then what is no text. Where it isn't said how much audio was cached, it is the least that fits.
    """
    read = reader.clamp("cache_read", counts.cache_read, counts.total)
    room = counts.total - read
    write_long = reader.clamp("cache_write", counts.cache_write_long, room)
    write_short = reader.clamp("cache_write", counts.cache_write_short, room - write_long)
    fresh = room - write_long - write_short
    overlap = max(0, counts.audio + counts.image + counts.video - fresh)
    said = overlap if counts.audio_cached is None else counts.audio_cached
    audio_read = min(counts.audio, read, said)
    audio = reader.clamp("audio_input", counts.audio - audio_read, fresh)
    image = reader.clamp("image_input", max(0, counts.image - counts.image_cached), fresh - audio)
    video = reader.clamp("video_input", max(0, counts.video - counts.video_cached), fresh - audio - image)
    parts = {
        "uncached_input": fresh - audio - image - video,
        "cache_read": read - audio_read,
        "cache_write_5m": write_short,
        "cache_write_1h": write_long,
        "audio_input": audio,
        "audio_cache_read": audio_read,
        "image_input": image,
        "video_input": video,
    }
    return Side(counts.total, without_zeros(parts))


def split_output(total: int, reader: Reader, *, reasoning: int = 0, audio: int = 0, image: int = 0) -> Side:
    """Return the output as disjoint parts; text is what remains."""
    reasoning = reader.clamp("reasoning", reasoning, total)
    audio = reader.clamp("audio_output", audio, total - reasoning)
    image = reader.clamp("image_output", image, total - reasoning - audio)
    text = total - reasoning - audio - image
    parts = {"text_output": text, "reasoning": reasoning, "audio_output": audio, "image_output": image}
    return Side(total, without_zeros(parts))


def split_writes(total: int, short: int, long: int, reader: Reader) -> tuple[int, int]:
    """Return cache writes as (short-lived, long-lived); what the split doesn't name is short-lived.

    A split above its own total is believed and named: it is the finer statement.
    """
    if short + long > total:
        if total > 0:
            reader.note("cache_write!=sum")
        return short, long
    return total - long, long


def place_reasoning(
    *, input_total: int | None, output: int, reasoning: int, total: int | None, outside: bool
) -> tuple[int, int]:
    """Return (inclusive output, reasoning) whether the upstream counts reasoning inside its output or beside it.

    Upstreams differ, and change: the stated total decides where it can, then what is possible at all, and only
    then the habit of the dialect (`outside`).
    """
    if reasoning == 0:
        return output, 0
    if input_total is not None and total == input_total + output + reasoning:
        return output + reasoning, reasoning
    if input_total is not None and total == input_total + output:
        return output, reasoning
    return (output + reasoning if outside or reasoning > output else output), reasoning


def believable(name: str, tokens: int | None, reader: Reader) -> int | None:
    """Return an input's total unless it is zero: no call has an empty input, so that zero means unknown."""
    if tokens == 0:
        reader.note(f"zero:{name}")
        return None
    return tokens


def check_total(stated: int | None, input_total: int | None, output: int | None, reader: Reader) -> None:
    """Name it when the stated total isn't the sum of the sides that are known."""
    if stated is not None and stated != (input_total or 0) + (output or 0):
        reader.note("total!=sum")


def without_zeros(parts: dict[str, int]) -> dict[str, int]:
    """Return the parts that have tokens."""
    return {part: tokens for part, tokens in parts.items() if tokens}
