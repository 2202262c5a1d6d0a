"""What is read out of a call, and what is written for an upstream: nothing but what has to change."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.calls import LIMIT_MEMBERS, CallBody, CallRefused, read_call, write_call
from gateway.dialects.members import read_members
from gateway.dialects.surface import PATHS, SPOKEN, Interface, spoken, usage_dialect

INTERFACES: tuple[Interface, ...] = tuple(PATHS)
BASE: dict[Interface, dict[str, Any]] = {
    "chat": {"model": "smart", "messages": []},
    "responses": {"model": "smart", "input": ""},
    "messages": {"model": "smart", "messages": []},
    "embeddings": {"model": "smart", "input": ""},
}
CALLED: list[dict[str, Any]] = [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]
USED: list[dict[str, Any]] = [{"role": "assistant", "content": [{"type": "tool_use", "name": "f", "input": {"a": 1}}]}]
FILE: dict[str, Any] = {"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": "QUJD"}}
PICTURE = "data:image/png;base64," + "A" * 4000

texts = st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
unknown = st.dictionaries(texts.map(lambda name: f"x_{name}"), values, max_size=4)


def call_of(interface: Interface, **members: Any) -> CallBody:
    """Return a call read from a body with these members."""
    return read_call(interface, json.dumps(BASE[interface] | members).encode())


def refusal_of(interface: Interface, body: bytes) -> tuple[int, str, str | None]:
    """Return status, sentence and named member of the refusal of a body."""
    with pytest.raises(CallRefused) as refused:
        read_call(interface, body)
    return refused.value.error.status, refused.value.error.message, refused.value.error.param


def test_upstreams_are_called_in_the_clients_interface_or_its_translation() -> None:
    """An upstream that speaks the client's interface gets it; chat and messages stand in for each other only."""
    ways = {(interface, dialect): spoken(interface, dialect) for interface in INTERFACES for dialect in SPOKEN}
    assert ways["chat", "anthropic"] == "messages"
    assert {ways["messages", dialect] for dialect in SPOKEN if dialect != "anthropic"} == {"chat"}
    assert {dialect for dialect in SPOKEN if ways["responses", dialect]} == {"openai", "openrouter", "xai", "vllm"}
    assert {dialect for dialect in SPOKEN if ways["embeddings", dialect]} == {"openai", "gemini", "openrouter", "vllm"}
    assert spoken("chat", "klingon") is None


def test_usage_is_read_as_the_upstream_counts() -> None:
    """The interface decides whose usage block comes, and in a chat the provider's dialect."""
    assert [usage_dialect("chat", dialect) for dialect in SPOKEN if dialect not in {"anthropic", "openai"}] == [
        dialect for dialect in SPOKEN if dialect not in {"anthropic", "openai"}
    ]
    assert usage_dialect("chat", "openai") == "openai_chat"
    assert [usage_dialect("responses", "xai"), usage_dialect("messages", "anthropic")] == [
        "openai_responses",
        "anthropic",
    ]
    assert usage_dialect("embeddings", "gemini") == "embeddings"


def test_a_chat_tells_what_routing_needs() -> None:
    """Model, stream, limits, alternatives, end user and labels are read; the larger of two limits counts."""
    call = call_of(
        "chat",
        stream=True,
        stream_options={"include_usage": True, "x": 1},
        max_tokens=10,
        max_completion_tokens=20,
        n=3,
        safety_identifier="u1",
        metadata={"team": "a", "n": 1},
    )
    assert (call.model, call.is_stream, call.asked_usage, call.output_limit, call.choices) == (
        "smart",
        True,
        True,
        20,
        3,
    )
    assert (call.end_user, call.metadata, call.previous_response_id) == ("u1", {"team": "a"}, None)
    assert call_of("chat", user="u0", safety_identifier="u1").end_user == "u0"


def test_other_interfaces_have_their_own_names() -> None:
    """A response's limit and pin, and a message's user, are read where these dialects have them."""
    response = call_of("responses", max_output_tokens=7, previous_response_id="resp_1", stream=True)
    message = call_of("messages", max_tokens=8, metadata={"user_id": "u2"})
    assert (response.output_limit, response.previous_response_id, response.asked_usage) == (7, "resp_1", True)
    assert (message.output_limit, message.end_user, message.is_stream) == (8, "u2", False)
    assert call_of("embeddings", input=["ab", "c"]).counted_bytes == 3
    assert call_of("embeddings", input=[[1, 2], [3]]).counted_bytes == 12
    assert call_of("embeddings", input=[1, "abc", 2, ["d", 3]]).counted_bytes == 16


def test_nulls_are_absences() -> None:
    """A member that is null counts as left out, as all of the SDKs send them."""
    call = call_of("chat", stream=None, stream_options=None, max_tokens=None, n=None, user=None, metadata=None)
    assert (call.is_stream, call.output_limit, call.choices, call.end_user, call.metadata) == (False, None, 1, None, {})


@pytest.mark.parametrize(
    ("interface", "members", "counted_bytes"),
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
    interface: Interface, members: dict[str, Any], counted_bytes: int
) -> None:
    """Every text that becomes prompt counts with its UTF-8 bytes, whether or not the body escapes it."""
    assert call_of(interface, **members).counted_bytes == counted_bytes
    unescaped = json.dumps(BASE[interface] | members, ensure_ascii=False).encode()
    assert read_call(interface, unescaped).counted_bytes == counted_bytes


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
    assert (call.images, call.counted_bytes, call.has_audio) == (1, 3, False)
    assert call.text_bytes < 300


def test_sound_is_noted() -> None:
    """Sound in the prompt, or asked for as the answer, is said."""
    part = {"type": "input_audio", "input_audio": {"data": "A" * 100, "format": "wav"}}
    call = call_of("chat", messages=[{"role": "user", "content": [part]}])
    assert (call.has_audio, call.counted_bytes, call.sound_bytes) == (True, 0, 10)
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
    assert (call.sound_bytes, call.references, call.text_bytes < 300) == (sound_bytes, references, True)


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
        ("chat", {"messages": [{"role": "user", "content": [{"type": "image_url",
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
    assert call_of(interface, **members).text_bytes >= 10_000


def test_what_is_not_known_is_counted_as_prompt() -> None:
    """An upstream may read members that we don't know, so that an estimate has them; parameters are no prompt."""
    unknown, known = {"documents": [{"text": "abc"}]}, {"temperature": 0.5, "seed": 1, "stop": ["a"], "user": "b"}
    assert call_of("chat", **unknown).counted_bytes == len('[{"text": "abc"}]')
    assert call_of("chat", **known).counted_bytes == 0


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
    counted = read_call(interface, body).text_bytes
    assert left <= counted <= len(body)
    if not ascii_only:
        assert counted <= left


@pytest.mark.parametrize("text", ["\\u4e2d" * 500, "\\\\u" * 500, '"\\u' * 500, "\n\\" * 900, "a" * 999 + "\\u4e2d"])
def test_what_looks_like_an_escape_is_text(text: str) -> None:
    """A backslash that was written as two is no escape, and counts."""
    assert call_of("chat", messages=[{"role": "user", "content": text}]).text_bytes >= len(text)


@pytest.mark.parametrize(
    ("interface", "members", "references"),
    [
        ("chat", {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, 1),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": "https://x"}}]}]}, 1),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": "QQ=="}}]}]}, 0),
        ("chat", {"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, 1),
        ("chat", {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]}, 0),
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
        ("responses", {"previous_response_id": "resp_1"}, 1),
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


def test_a_prompt_nested_beyond_reason_is_refused() -> None:
    """A body that can be decoded but not be walked is refused like one that can't be decoded."""
    for depth in range(100, 1100, 50):
        value = b'{"content":[' * depth + b"]}" * depth
        for name in (b"messages", b"tools"):
            body = b'{"model":"m","messages":[],%b:[%b]}' % (b'"tools"' if name == b"tools" else b'"x"', value)
            if name == b"messages":
                body = b'{"model":"m","messages":[%b]}' % value
            try:
                assert read_call("chat", body).text_bytes > depth
            except CallRefused as refused:
                assert "too deeply" in refused.error.message


@pytest.mark.parametrize(
    ("thinking", "budget"),
    [
        ({"type": "enabled", "budget_tokens": 2000}, 2000),
        ({"type": "disabled", "budget_tokens": 2000}, None),
        ({"type": "adaptive"}, None),
        ({"type": "enabled", "budget_tokens": "x"}, None),
        ({"type": "enabled", "budget_tokens": True}, None),
        ("x", None),
        (None, None),
    ],
)
def test_the_budget_for_thinking_is_read(thinking: Any, budget: int | None) -> None:
    """An output limit that does not exceed it is refused by Anthropic."""
    assert call_of("messages", thinking=thinking).thinking_budget == budget


@pytest.mark.parametrize(
    ("interface", "limits", "output_limit", "written"),
    [
        ("chat", {"max_tokens": 4096, "max_completion_tokens": 100}, 1000,
         {"max_tokens": 1000, "max_completion_tokens": 100}),
        ("chat", {"max_tokens": 50, "max_completion_tokens": 100}, 70, {"max_tokens": 50, "max_completion_tokens": 70}),
        ("chat", {"max_tokens": None, "max_completion_tokens": 100}, 200,
         {"max_tokens": None, "max_completion_tokens": 100}),
        ("chat", {}, 200, {"max_tokens": 200}),
        ("responses", {"max_output_tokens": 10}, 20, {"max_output_tokens": 10}),
        ("messages", {"max_tokens": 10}, 20, {"max_tokens": 10}),
    ],
)  # fmt: skip
def test_no_limit_of_the_callers_is_raised(
    interface: Interface, limits: dict[str, Any], output_limit: int, written: dict[str, Any]
) -> None:
    """Each limit that the caller states becomes the lower one of it and what is afforded."""
    call = call_of(interface, **limits)
    body = write_call(call, model="smart", output_limit=output_limit, dialect="vllm")
    assert {name: value for name, value in json.loads(body).items() if name.startswith("max_")} == written


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (b"", None, "no JSON"),
        (b"[]", None, "JSON object"),
        (b'{"model":"a","messages":[]} x', None, "no JSON"),
        (b'{"messages":[]}', "model", "missing required field"),
        (b'{"model":"a"}', "messages", "missing required field"),
        (b'{"model":"","messages":[]}', "model", "length"),
        (b'{"model":1,"messages":[]}', "model", "`str`"),
        (b'{"model":"a","messages":{}}', "messages", "`array`"),
        (b'{"model":"a","messages":[],"stream":1}', "stream", "`bool"),
        (b'{"model":"a","messages":[],"stream_options":{"include_usage":1}}', "stream_options.include_usage", "`bool"),
        (b'{"model":"a","messages":[],"n":129}', "n", "<= 128"),
        (b'{"model":"a","messages":[],"n":0}', "n", ">= 1"),
        (b'{"model":"a","messages":[],"max_tokens":0}', "max_tokens", ">= 1"),
        (b'{"model":"a","messages":[],"max_tokens":true}', "max_tokens", "`int"),
        (b'{"model":"a","messages":[],"max_tokens":99999999999999999999}', "max_tokens", "<= 2147483647"),
        (b'{"model":"a","messages":[],"user":["a"]}', "user", "`str"),
        (b'{"model":"a","messages":[],"metadata":"a"}', "metadata", "`object"),
        (b'{"model":"a","messages":[],"model":"b"}', "model", "twice"),
        (b'{ "model" : "a", "x": 1, "messages":[], "x": 12}', "x", "twice"),
        (b'{ "model" : "a", "x": 12, "messages":[], "x": 1}', "x", "twice"),
        (b'{"model":"a","messages":[],"mod\\u0065l":"a"}', "model", "twice"),
        (b'{"model":"a","messages":["\xff"]}', None, "no JSON"),
        (b'{"model":"a","messages":["\\ud800"]}', None, "no JSON"),
        (b'{"model":"a","messages":' + b"[" * 100_000, None, "too deeply"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_words(body: bytes, param: str | None, words: str) -> None:
    """A body that says nothing, or two things, is a 400 that names the member."""
    status, message, named = refusal_of("chat", body)
    assert (status, named, words in message) == (400, param, True), message


@pytest.mark.parametrize(
    ("interface", "member"),
    [("responses", "background"), ("responses", "conversation"), ("embeddings", "stream")],
)
def test_what_is_not_served_is_refused_in_words(interface: Interface, member: str) -> None:
    """Answers in the background, stored conversations and streams of embeddings are a 400 that says so."""
    status, message, named = refusal_of(interface, json.dumps(BASE[interface] | {member: True}).encode())
    assert (status, named, message.startswith("This gateway does not support")) == (400, member, True)


def test_a_call_is_printed_without_its_prompt() -> None:
    """What may end in a log holds the size of a call, not its words."""
    call = call_of("chat", messages=[{"role": "user", "content": "my secret"}])
    assert "secret" not in f"{call!r} {call}"


@given(
    interface=st.sampled_from(INTERFACES),
    members=unknown,
    output_limit=st.none() | st.integers(1, 999),
    limited=st.none() | st.integers(1, 999),
    model=st.sampled_from(("smart", "other")),
    is_stream=st.booleans(),
    options=st.none() | st.fixed_dictionaries({}, optional={"include_usage": st.booleans(), "x": values}),
    indent=st.sampled_from((None, 1)),
    dialect=st.sampled_from(tuple(SPOKEN)),
)
def test_writing_changes_nothing_else(
    interface: Interface,
    members: dict[str, Any],
    output_limit: int | None,
    limited: int | None,
    model: str,
    is_stream: bool,
    options: dict[str, Any] | None,
    indent: int | None,
    dialect: str,
) -> None:
    """Model, limit and a stream's usage are set; all other members come out in order and byte for byte."""
    whole = BASE[interface] | members
    names = LIMIT_MEMBERS[interface]
    if interface != "embeddings":
        whole |= {"stream": is_stream} | {names[-1]: limited}
    if interface == "chat":
        whole |= {"stream_options": options}
    body = json.dumps(whole, indent=indent).encode()
    written = write_call(read_call(interface, body), model=model, output_limit=output_limit, dialect=dialect)

    before = {name: bytes(raw) for name, raw in read_members(body).items()}
    after = {name: bytes(raw) for name, raw in read_members(written).items()}
    wanted = before | {"model": json.dumps(model).encode()}
    if interface == "chat" and is_stream and not (options or {}).get("include_usage"):
        assert msgspec.json.decode(after["stream_options"]) == (options or {}) | {"include_usage": True}
        wanted |= {"stream_options": after["stream_options"]}
    if output_limit is not None and names:
        own = names[0] if dialect == "openai" and limited is None else names[-1]
        wanted |= {own: b"%d" % min(output_limit, limited or output_limit)}
    assert list(after.items()) == list(wanted.items())
    assert wanted != before or written == body


@given(first=values, second=values, between=st.sampled_from(("", " ", "\n ")))
def test_a_member_that_stands_twice_is_always_found(first: Any, second: Any, between: str) -> None:
    """Whatever both values are and however the body is spaced, two members of one name are refused."""
    pairs = [("model", "a"), ("messages", []), ("x", first), ("y", 1), ("x", second)]
    inner = f",{between}".join(f'"{name}"{between}:{json.dumps(value)}' for name, value in pairs)
    status, message, param = refusal_of("chat", f"{{{between}{inner}}}".encode())
    assert (status, param, "twice" in message) == (400, "x", True)


@given(members=unknown, separators=st.sampled_from(((",", ":"), (", ", ": "), ("\n,\t", " :\r\n"))))
def test_a_body_without_a_member_twice_is_read(members: dict[str, Any], separators: tuple[str, str]) -> None:
    """No spacing, escape or value makes a proper body look as if a member stood twice."""
    for ascii_only in (True, False):
        body = json.dumps(BASE["chat"] | members, separators=separators, ensure_ascii=ascii_only).encode()
        assert set(read_call("chat", body).members) == {"model", "messages", *members}
