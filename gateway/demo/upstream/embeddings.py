"""OpenAI's embeddings: numbers that a text's digest gives."""

import base64
import hashlib
import struct

import msgspec

from gateway.demo.upstream.answers import Usage
from gateway.demo.upstream.asked import Asked
from gateway.demo.upstream.pieces import Json

MIDDLE = 127.5


def embeddings_body(asked: Asked, model: str, usage: Usage | None) -> bytes:
    """Return one vector for each input."""
    data = [
        {"object": "embedding", "index": index, "embedding": vector_of(text, asked.dimensions, asked.is_base64)}
        for index, text in enumerate(asked.inputs)
    ]
    body: Json = {"object": "list", "data": data, "model": model}
    if usage is not None:
        body["usage"] = {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens}
    return msgspec.json.encode(body)


def vector_of(text: str, dimensions: int, is_base64: bool) -> list[float] | str:
    """Return a text's vector, each number between -1 and 1, as a list or as base64 of little-endian floats."""
    numbers = [(byte - MIDDLE) / MIDDLE for byte in hashlib.shake_256(text.encode()).digest(dimensions)]
    if not is_base64:
        return numbers
    return base64.b64encode(struct.pack(f"<{dimensions}f", *numbers)).decode()
