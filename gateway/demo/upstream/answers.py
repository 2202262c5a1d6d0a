"""What is answered and what it uses, before any interface gives it a shape. The rules, so that a test can compute them:

- a text has its UTF-8 bytes ÷ 4 tokens, rounded up and at least 1; an image has 85;
- the prompt is the texts of the request put together, without the descriptions of tools;
- what stands up to the last `[cached]` in the prompt was read from the cache (bytes ÷ 4, rounded down), what stands
  between it and the last `[cache-write]` was written to it;
- reasoning tokens come first out of the limit of the output, and text is cut off where the limit is reached;
- `n` choices are the same text and cost `n` times as much.
"""

from itertools import pairwise
from typing import Literal

from msgspec import Struct

from gateway.demo.upstream.asked import Asked
from gateway.demo.upstream.behaviour import Behaviour

BYTES_PER_TOKEN = 4
TOKENS_PER_IMAGE = 85
CACHED_MARKER = b"[cached]"
WRITTEN_MARKER = b"[cache-write]"
QUOTED_CHARACTERS = 60
FILLER = " The demo upstream says the same thing again, so that the answer becomes as long as it was asked to be."

Finish = Literal["stop", "length", "tool"]


class Usage(Struct, frozen=True):
    """Tokens of one call. The input includes what was read from and written to the cache, the output reasoning."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    written_tokens: int = 0
    reasoning_tokens: int = 0


class Answer(Struct, frozen=True):
    """One answer: its text (a tool's arguments, where one is called) in the pieces that a stream sends."""

    model: str
    text: str
    pieces: tuple[str, ...]
    finish: Finish
    tool: str | None
    usage: Usage
    has_usage: bool


def tokens_of(text: bytes) -> int:
    """Return how many tokens a text has."""
    return max(1, -(-len(text) // BYTES_PER_TOKEN))


def answer_of(asked: Asked, behaviour: Behaviour) -> Answer:
    """Return the answer to a request."""
    reasoning = asked.reasoning_tokens
    text = asked.filled if asked.filled is not None else text_for(asked, behaviour.answer_bytes)
    encoded = text.encode()
    finish: Finish = "tool" if asked.tool else "stop"
    if asked.limit is not None and reasoning + tokens_of(encoded) > asked.limit:
        reasoning = min(reasoning, asked.limit)
        encoded = encoded[: (asked.limit - reasoning) * BYTES_PER_TOKEN]
        text = encoded.decode("utf-8", "ignore")
        finish = "length"
    written = tokens_of(text.encode()) if text else 0
    return Answer(
        model=behaviour.model or asked.model,
        text=text,
        pieces=pieces_of(text, behaviour.chunks),
        finish=finish,
        tool=asked.tool,
        usage=usage_of(asked, (reasoning + written) * asked.choices, reasoning * asked.choices),
        has_usage=not behaviour.no_usage,
    )


def usage_of(asked: Asked, output_tokens: int, reasoning_tokens: int) -> Usage:
    """Return the tokens of a request and of what answers it."""
    prompt = b"".join(text.encode() for text in asked.texts)
    cached_bytes = prompt.rfind(CACHED_MARKER) + len(CACHED_MARKER) if CACHED_MARKER in prompt else 0
    written_bytes = prompt.rfind(WRITTEN_MARKER) + len(WRITTEN_MARKER) if WRITTEN_MARKER in prompt else 0
    cached = cached_bytes // BYTES_PER_TOKEN
    return Usage(
        input_tokens=tokens_of(prompt) + asked.images * TOKENS_PER_IMAGE,
        output_tokens=output_tokens,
        cached_tokens=cached,
        written_tokens=max(0, written_bytes // BYTES_PER_TOKEN - cached),
        reasoning_tokens=reasoning_tokens,
    )


def text_for(asked: Asked, answer_bytes: int | None) -> str:
    """Return the text that answers a request, of a given length in bytes if one was asked for."""
    quoted = " ".join(asked.question.split())[:QUOTED_CHARACTERS]
    text = f"You said: “{quoted}”. This is the demo upstream, and it always answers so." if quoted else FILLER.strip()
    if answer_bytes is None:
        return text
    longer = text + FILLER * (answer_bytes // len(FILLER) + 1)
    cut = longer.encode()[:answer_bytes].decode("utf-8", "ignore")
    return cut + "." * (answer_bytes - len(cut.encode()))


def pieces_of(text: str, chunks: int) -> tuple[str, ...]:
    """Return a text in so many pieces, or in as many as it has characters."""
    count = min(chunks, len(text))
    edges = [len(text) * number // count for number in range(count + 1)] if count else [0]
    return tuple(text[start:end] for start, end in pairwise(edges))
