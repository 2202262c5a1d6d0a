"""How much of a call becomes prompt: nothing that is sent escapes the measure of a hold."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.calls import CallBody, CallRefused, read_call
from gateway.dialects.surface import Interface
from tests.unit.dialect_calls import BASE, INTERFACES, call_of

CALLED: list[dict[str, Any]] = [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]


USED: list[dict[str, Any]] = [{"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {"a": 1}}]}]


FILE: dict[str, Any] = {"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": "QUJD"}}


PICTURE = "data:image/png;base64," + "A" * 4000


def held_bytes(call: CallBody) -> int:
    """Return how many bytes of a call are held for as text."""
    return call.text_bytes + call.uncounted_bytes


@pytest.mark.parametrize(
    ("interface", "members", "text_bytes"),
    [
        ("chat", {"messages": [{"role": "user", "content": "中文"}]}, 6),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "text", "text": "abc"}]}], "user": "x"}, 3),
        ("chat", {"messages": CALLED}, 3),
        ("chat", {"tools": [{"a": "中"}]}, len('[{"a":"中"}]'.encode())),
        ("chat", {"response_format": {"type": "text"}}, len('{"type":"text"}')),
        ("responses", {"input": "abc", "instructions": "de", "tools": []}, 7),
        ("responses", {"input": [{"type": "function_call_output", "call_id": "c", "output": "abcd"}]}, 4),
        ("messages", {"system": "abc", "messages": [{"role": "user", "content": "de"}]}, 5),
        ("messages", {"messages": USED}, 8),
        ("messages", {"messages": [{"role": "user", "content": [FILE]}]}, 4),
    ],
)
def test_prompt_text_is_counted_in_decoded_bytes(
    interface: Interface, members: dict[str, Any], text_bytes: int
) -> None:
    """Every text that becomes prompt counts with its UTF-8 bytes, whether or not the body escapes it."""
    assert call_of(interface, **members).text_bytes == text_bytes
    unescaped = json.dumps(BASE[interface] | members, ensure_ascii=False).encode()
    assert read_call(interface, unescaped).text_bytes == text_bytes


@pytest.mark.parametrize(
    ("interface", "part"),
    [
        ("chat", {"type": "image_url", "image_url": {"url": PICTURE}}),
        ("responses", {"type": "input_image", "image_url": PICTURE}),
        ("messages", {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 4000}}),
        ("messages", {"type": "tool_result", "content": [{"type": "image", "source": {"data": "A" * 4000}}]}),
    ],
)
def test_images_are_counted_and_not_measured(interface: Interface, part: dict[str, Any]) -> None:
    """An image counts as one, and its base64 is no text."""
    name = "input" if interface == "responses" else "messages"
    call = call_of(interface, **{name: [{"role": "user", "content": [part, {"type": "text", "text": "abc"}]}]})
    assert (call.images, call.text_bytes, call.has_audio) == (1, 3, False)
    assert held_bytes(call) < 300


def test_sound_is_noted() -> None:
    """Sound in the prompt, or asked for as the answer, is said."""
    part = {"type": "input_audio", "input_audio": {"data": "A" * 100, "format": "wav"}}
    call = call_of("chat", messages=[{"role": "user", "content": [part]}])
    assert (call.has_audio, call.text_bytes, call.sound_bytes) == (True, 0, 10)
    assert call_of("chat", audio={"voice": "a"}).has_audio


@pytest.mark.parametrize(
    ("part", "sound_bytes", "references"),
    [
        ({"type": "input_audio", "input_audio": {"data": "A" * 4000, "format": "mp3"}}, 4000, 0),
        ({"type": "input_audio", "input_audio": {"data": "A" * 4000, "format": "wav"}}, 400, 0),
        ({"type": "input_audio", "input_audio": {"data": "A" * 4000}}, 4000, 0),
        ({"type": "audio_url", "audio_url": {"url": "data:audio/ogg;base64," + "A" * 4000}}, 4000, 0),
        ({"type": "audio_url", "audio_url": {"url": "https://a.example/1.mp3"}}, 0, 1),
        ({"type": "video_url", "video_url": {"url": "data:video/mp4;base64," + "A" * 4000}}, 4000, 0),
        ({"type": "video_url", "video_url": {"url": "https://a.example/1.mp4"}}, 0, 1),
    ],
)
def test_sound_is_measured_by_its_base64(part: dict[str, Any], sound_bytes: int, references: int) -> None:
    """Sound and film count by their base64, waves by a tenth of it; what stands elsewhere is a reference."""
    call = call_of("chat", messages=[{"role": "user", "content": [part]}])
    assert (call.sound_bytes, call.references, held_bytes(call) < 300) == (sound_bytes, references, True)


LONG = "long text " * 1000


@pytest.mark.parametrize(
    ("interface", "members"),
    [
        # What stands beside the payload of something that is no text.
        ("chat", {"messages": [{"role": "user", "type": "input_audio", "content": LONG}]}),
        ("chat", {"messages": [{"role": "user", "type": "image_url", "content": LONG}]}),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "image_url", "text": LONG}]}]}),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"x": LONG}}]}]}),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": LONG}}]}]}),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "image_url",
                                                             "image_url": {"url": f"data:text/plain,{LONG}"}}]}]}),
        ("chat", {"messages": [{"content": [{"type": "image_url",
                                             "image_url": {"url": f"data:text/plain;base64,{LONG}"}}]}]}),
        ("messages", {"messages": [{"role": "user", "type": "image", "content": LONG}]}),
        ("messages", {"messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "text", "data": LONG}}]}]}),
        ("messages", {"messages": [{"role": "user", "content": [
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": LONG}}]}]}),
        ("responses", {"input": [{"type": "input_image", "role": "user", "content": LONG}]}),
        # Members that this gateway doesn't know, and members that are no text by their names.
        ("chat", {"documents": [{"title": "a", "text": LONG}]}),
        ("chat", {"prompt": LONG}),
        ("chat", {"x": {"y": [LONG]}}),
        ("chat", {"messages": [{"role": "user", "id": LONG, "content": ""}]}),
        ("chat", {"messages": [{"role": "user", "content": "", LONG: 1}]}),
        ("chat", {"messages": [{"role": "user", "content": [1.5] * 3000}]}),
        ("chat", {"stop": [LONG]}),
        ("messages", {"thinking": {"x": LONG}}),
        ("embeddings", {"instruction": LONG}),
        ("embeddings", {"input": [LONG, *range(9)]}),
    ],
)  # fmt: skip
def test_nothing_is_sent_that_is_not_counted(interface: Interface, members: dict[str, Any]) -> None:
    """Whatever a caller sends counts, wherever it stands and whatever it calls itself, but for the base64 of media."""
    assert held_bytes(call_of(interface, **members)) >= 10_000


def test_what_is_not_known_is_counted_as_prompt() -> None:
    """An upstream may read members that we don't know, so that an estimate has them; parameters are no prompt."""
    unknown, known = {"documents": [{"text": "abc"}]}, {"temperature": 0.5, "seed": 1, "stop": ["a"], "user": "b"}
    assert call_of("chat", **unknown).text_bytes == len('[{"text": "abc"}]')
    assert call_of("chat", **known).text_bytes == 0


@given(
    interface=st.sampled_from(INTERFACES),
    text=st.text(st.characters(exclude_categories=["Cs", "Cc"])).map(lambda text: text + "a" * 60 * (len(text) % 3)),
    ascii_only=st.booleans(),
    picture=st.sampled_from(["", PICTURE, PICTURE.replace("A", "/")]),
)
def test_the_text_is_the_body_without_its_media(
    interface: Interface, text: str, ascii_only: bool, picture: str
) -> None:
    """However a body is escaped, its text is no less than what it is in UTF-8, and not much more."""
    part = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": picture}}, {"text": text}]}]
    name = "messages" if "messages" in BASE[interface] else "input"
    whole = BASE[interface] | {name: part}
    body = json.dumps(whole, ensure_ascii=ascii_only).encode()
    left = len(json.dumps(whole, ensure_ascii=False).encode()) - len(picture.removeprefix("data:image/png;base64,"))
    counted = held_bytes(read_call(interface, body))
    assert left <= counted <= len(body)
    if not ascii_only:
        assert counted <= left


@pytest.mark.parametrize("text", ["\\u4e2d" * 500, "\\\\u" * 500, '"\\u' * 500, "\n\\" * 900, "a" * 999 + "\\u4e2d"])
def test_what_looks_like_an_escape_is_text(text: str) -> None:
    """A backslash that was written as two is no escape, and counts."""
    body = json.dumps(BASE["chat"] | {"messages": [{"role": "user", "content": text}]}).encode()
    assert held_bytes(read_call("chat", body)) == len(body)


@pytest.mark.parametrize(
    ("interface", "members", "references"),
    [
        ("chat", {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, 1),
        ("chat", {"messages": [{"content": [{"type": "file", "file": {"file_data": "https://x"}}]}]}, 1),
        ("chat", {"messages": [{"content": [{"type": "file", "file": {"file_data": "QQ=="}}]}]}, 0),
        ("chat", {"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, 1),
        ("chat", {"messages": [{"content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]}, 0),
        ("chat", {"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {}}]}, 0),
        ("chat", {"tools": [{"type": "openrouter:web_search"}, {"googleSearch": {}}]}, 2),
        ("chat", {"web_search_options": {}}, 1),
        ("chat", {"search_parameters": {"mode": "on"}}, 1),
        ("chat", {"plugins": [{"id": "web"}, {"id": "file-parser"}]}, 2),
        ("chat", {"plugins": [], "search_parameters": None, "web_search_options": None}, 0),
        ("chat", {"chat_template": "{% for i in range(99999) %}a{% endfor %}"}, 1),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": "https://x"}]}]}, 1),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, 1),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, 0),
        ("responses", {"input": [{"type": "item_reference", "id": "m"}, {"id": "m"}]}, 2),
        ("responses", {"input": [{"id": "m", "role": "assistant", "content": "a"}]}, 0),
        ("responses", {"prompt": {"id": "p", "variables": {"a": "b"}}}, 1),
        # The edge knows how long the answer was that a call continues.
        ("responses", {"previous_response_id": "resp_1"}, 0),
        ("responses", {"tools": [{"type": "web_search"}, {"type": "mcp", "server_url": "x"}, {"type": "file_search"},
                                 {"type": "code_interpreter"}, {"type": "computer_use_preview"}]}, 5),
        ("responses", {"tools": [{"type": "function", "name": "f"}, {"type": "local_shell"}]}, 0),
        ("messages", {"messages": [{"role": "user", "content": [
            {"type": "document", "source": {"type": "url", "url": "https://x"}}]}]}, 1),
        ("messages", {"messages": [{"role": "user", "content": [
            {"type": "document", "source": {"type": "file", "file_id": "f"}}]}]}, 1),
        ("messages", {"messages": [{"role": "user", "content": [
            {"type": "image", "source": {"type": "url", "url": "https://x"}}]}]}, 0),
        ("messages", {"messages": [{"role": "user", "content": [{"type": "container_upload", "file_id": "f"}]}]}, 1),
        ("messages", {"tools": [{"name": "f", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}]}, 0),
        ("messages", {"tools": [{"type": "web_search_20250305", "name": "web_search"},
                                {"type": "code_execution_20250825", "name": "code_execution"}]}, 2),
        ("messages", {"mcp_servers": [{"type": "url", "url": "https://x", "name": "a"}],
                      "tools": [{"type": "mcp_toolset", "mcp_server_name": "a"}]}, 1),
    ],
)  # fmt: skip
def test_input_that_is_fetched_elsewhere_is_counted(
    interface: Interface, members: dict[str, Any], references: int
) -> None:
    """What a call only points to, and what a server's tool may bring, has a size that nobody knows: it is counted."""
    assert call_of(interface, **members).references == references


@pytest.mark.parametrize("depth", range(100, 1100, 50))
@pytest.mark.parametrize("start", [b'{"model":"m","messages":[', b'{"model":"m","messages":[],"tools":['])
def test_a_prompt_nested_beyond_reason_is_refused(start: bytes, depth: int) -> None:
    """A body that can be decoded but not be walked is refused like one that can't be decoded."""
    body = start + b'{"content":[' * depth + b"]}" * depth + b"]}"
    try:
        found = f"{held_bytes(read_call('chat', body))}"
    except CallRefused as refused:
        found = refused.error.message
    assert "too deeply" in found or int(found) > depth
