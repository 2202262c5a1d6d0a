"""How much of a call becomes prompt: bytes of text, images and audio, measured on what was decoded.

Pictures, sound and files don't count as text by their base64: images are counted, and a file of which only its
base64 is known counts at that length. What can't be told apart counts as text, so that a hold is rather too large.
"""

import msgspec

SILENT = frozenset(
    {
        "type",
        "role",
        "id",
        "tool_call_id",
        "tool_use_id",
        "call_id",
        "status",
        "detail",
        "format",
        "cache_control",
        "media_type",
        "file_id",
        "file_url",
        "signature",
    }
)
"""Members of messages and of their parts that no model reads as text."""

IMAGE_TYPES = ("image_url", "input_image", "image", "computer_screenshot", "image_generation_call", "video_url")
AUDIO_TYPES = ("input_audio", "audio_url")
VALUES = frozenset({"input", "arguments"})
"""Members that hold a tool's arguments; as an object they are read as the JSON that they are."""

TOKEN_BYTES = 4
"""What a token of a prompt that comes as numbers counts for."""

_encode = msgspec.json.Encoder().encode


class Prompt(msgspec.Struct):
    """What was counted so far."""

    text_bytes: int = 0
    images: int = 0
    has_audio: bool = False


def add_messages(prompt: Prompt, value: object) -> None:
    """Count messages, items, content or a plain text."""
    if isinstance(value, str):
        prompt.text_bytes += text_length(value)
    elif isinstance(value, list):
        for each in value:
            add_messages(prompt, each)
    elif isinstance(value, dict):
        _add_part(prompt, value)


def add_document(prompt: Prompt, value: object) -> None:
    """Count a schema, a tool or a tool's arguments as the compact JSON that it is."""
    prompt.text_bytes += len(_encode(value))


def add_embedded(prompt: Prompt, value: object) -> None:
    """Count the input of embeddings: texts, or tokens as numbers."""
    if isinstance(value, list) and value and isinstance(value[0], int):
        prompt.text_bytes += TOKEN_BYTES * len(value)
    elif isinstance(value, list):
        for each in value:
            add_embedded(prompt, each)
    else:
        add_messages(prompt, value)


def text_length(text: str) -> int:
    """Return how many bytes a text has in UTF-8; for ASCII nothing is walked or copied."""
    return len(text) if text.isascii() else len(text.encode())


def _add_part(prompt: Prompt, part: dict[str, object]) -> None:
    kind = part.get("type")
    if kind in IMAGE_TYPES:
        prompt.images += 1
        return
    if kind in AUDIO_TYPES:
        prompt.has_audio = True
        return
    for name, value in part.items():
        if name in SILENT or value is None:
            continue
        if isinstance(value, str):
            prompt.text_bytes += len(value) if value.isascii() else len(value.encode())
        elif name in VALUES and isinstance(value, dict):
            add_document(prompt, value)
        else:
            add_messages(prompt, value)
