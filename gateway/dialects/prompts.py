"""How much of a call becomes prompt: bytes of text, images, sound, and what is fetched from elsewhere.

Pictures, sound and film don't count as text by their base64, and nothing else is spared: what can't be told apart
counts as text, so that a hold is rather too large. A file of which only its base64 is known counts at that length.
"""

import re
from collections.abc import Collection, Mapping

import msgspec

from gateway.dialects.references import IDENTIFIED, LOCATED, is_elsewhere, server_tools

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
        "file_url",
        "signature",
    }
)
"""Members of messages and of their parts that no model reads as text; as the rest of the body they are held for."""

VALUES = frozenset({"input", "arguments"})
"""Members that hold a tool's arguments; as an object they are read as the JSON that they are."""

TOKEN_BYTES = 4
"""What a token of a prompt that comes as numbers counts for."""

WAVES = ("wav", "pcm16")
WAVE_FACTOR = 10
"""Waves take so many times the bytes of compressed sound."""

HEAD_LENGTH_MAX = 128
"""Longer than the head of any data URL."""


class Medium(msgspec.Struct, frozen=True):
    """Where a part of this kind has its payload: a member, or a member within it; and what data it may be."""

    outer: str
    inner: str
    data: tuple[str, ...] = ()
    is_image: bool = False
    is_sound: bool = False


_PICTURES = ("data:image/", "data:application/octet-stream")
_PICTURE = Medium("image_url", "url", _PICTURES, is_image=True)

MEDIA: dict[object, Medium] = {
    "image_url": _PICTURE,
    "input_image": _PICTURE,
    "computer_screenshot": _PICTURE,
    "image": Medium("source", "data", is_image=True),
    "image_generation_call": Medium("result", "result", is_image=True),
    "video_url": Medium("video_url", "url", ("data:video/", *_PICTURES), is_image=True, is_sound=True),
    "input_audio": Medium("input_audio", "data", is_sound=True),
    "audio_url": Medium("audio_url", "url", ("data:audio/", "data:application/octet-stream"), is_sound=True),
}
"""Parts of messages that are no text. Film counts as an image and as sound. Without data URLs it is base64 as it is."""

SPARSE = 64
"""Where backslashes are rarer than this, they are looked for one by one."""

_BACKSLASH = re.compile(rb"\\[\\u]")
_encode = msgspec.json.Encoder().encode


class Prompt(msgspec.Struct):
    """What was counted so far. `media_bytes` is the base64 of images, sound and film in the body."""

    text_bytes: int = 0
    media_bytes: int = 0
    images: int = 0
    sound_bytes: int = 0
    has_audio: bool = False
    references: int = 0


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


def add_tools(prompt: Prompt, value: object) -> None:
    """Count tools as the JSON that they are; what a server's tool brings is known by nobody."""
    add_document(prompt, value)
    prompt.references += server_tools(value)


def add_embedded(prompt: Prompt, value: object) -> None:
    """Count the input of embeddings: texts, tokens as numbers, or both."""
    if not isinstance(value, list):
        add_messages(prompt, value)
        return
    others = [each for each in value if not isinstance(each, int)]
    prompt.text_bytes += TOKEN_BYTES * (len(value) - len(others))
    for each in others:
        add_embedded(prompt, each)


def text_length(text: str) -> int:
    """Return how many bytes a text has in UTF-8; for ASCII nothing is walked or copied."""
    return len(text) if text.isascii() else len(text.encode())


def uncounted_length(body: bytes, prompt: Prompt) -> int:
    """Return how many bytes a body has in UTF-8 beside what was counted as text and the base64 of its media.

    An escape of six bytes stands for three at most. Two backslashes are one that is no escape's.
    """
    return max(0, len(body) - 3 * _escapes(body) - prompt.media_bytes - prompt.text_bytes)


def _escapes(body: bytes) -> int:
    backslashes = body.count(b"\\")
    if backslashes * SPARSE < len(body):
        # From one backslash to the next: what lies between, an image for example, is not looked at.
        return _BACKSLASH.findall(body).count(rb"\u") if backslashes else 0
    return body.replace(rb"\\", b"").count(rb"\u")


def _add_part(prompt: Prompt, part: dict[str, object]) -> None:
    kind = part.get("type")
    if kind is None or isinstance(kind, str):
        medium = MEDIA.get(kind)
        if medium is not None:
            _add_medium(prompt, part, medium)
            return
        if is_elsewhere(part):
            prompt.references += 1
    _add_members(prompt, part)


def _add_members(prompt: Prompt, part: Mapping[str, object], left_out: Collection[str] = ()) -> None:
    for name, value in part.items():
        if value is None or name in left_out:
            continue
        if name in LOCATED and value:
            prompt.references += 1
        if name in SILENT:
            continue
        if isinstance(value, str):
            prompt.text_bytes += len(value) if value.isascii() else len(value.encode())
        elif isinstance(value, dict) and name in VALUES:
            add_document(prompt, value)
        elif isinstance(value, dict) and name == "audio" and "id" in value:
            # What the assistant said before, kept by its upstream.
            prompt.references += 1
            prompt.has_audio = True
            _add_members(prompt, value)
        else:
            add_messages(prompt, value)


def _add_medium(prompt: Prompt, part: Mapping[str, object], medium: Medium) -> None:
    """Count a part that is no text, and all that stands beside its payload as text."""
    prompt.images += medium.is_image
    prompt.has_audio = prompt.has_audio or medium.is_sound
    outer = part.get(medium.outer)
    holder = outer if isinstance(outer, dict) else {medium.inner: outer}
    payload = holder.get(medium.inner)
    if isinstance(payload, str):
        size_bytes = _base64_bytes(payload, medium, holder)
        prompt.media_bytes += size_bytes
        if medium.is_sound:
            is_wave = holder.get("format") in WAVES
            prompt.sound_bytes += -(-size_bytes // WAVE_FACTOR) if is_wave else size_bytes
            # Of sound that is somewhere else nobody knows how long it is; a picture is only so large.
            prompt.references += size_bytes == 0
    _add_members(prompt, part, (medium.outer, *IDENTIFIED))
    _add_members(prompt, holder, (medium.inner, "url", *IDENTIFIED))


def _base64_bytes(payload: str, medium: Medium, holder: Mapping[str, object]) -> int:
    """Return how long the base64 of a payload is: 0 where it is an address or a text."""
    if not payload.isascii():
        return 0
    if not medium.data:
        return len(payload) if holder.get("type") in {None, "base64"} else 0
    head, mark, _ = payload[:HEAD_LENGTH_MAX].partition(";base64,")
    return len(payload) - len(head) - len(mark) if mark and head.lower().startswith(medium.data) else 0
