"""What is read out of a call, and what is written for an upstream: nothing but what has to change."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.calls import LIMIT_MEMBERS, CallRefused, read_call, write_call
from gateway.dialects.members import read_members
from gateway.dialects.surface import SPOKEN, Interface, spoken, usage_dialect
from tests.unit.dialect_calls import BASE, INTERFACES, call_of

texts = st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
unknown = st.dictionaries(texts.map(lambda name: f"x_{name}"), values, max_size=4)


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
    assert call_of("embeddings", input=["ab", "c"]).text_bytes == 3
    assert call_of("embeddings", input=[[1, 2], [3]]).text_bytes == 12
    assert call_of("embeddings", input=[1, "abc", 2, ["d", 3]]).text_bytes == 16


def test_nulls_are_absences() -> None:
    """A member that is null counts as left out, as all of the SDKs send them."""
    call = call_of("chat", stream=None, stream_options=None, max_tokens=None, n=None, user=None, metadata=None)
    assert (call.is_stream, call.output_limit, call.choices, call.end_user, call.metadata) == (False, None, 1, None, {})


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
