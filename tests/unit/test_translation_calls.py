"""Any call at all, in both directions: conversations survive, and what is odd is refused."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.calls import CallRefused, read_call
from gateway.dialects.surface import Interface
from gateway.dialects.translation.calls import translate_call
from gateway.dialects.translation.parameters import CHAT_TRANSLATED, MESSAGES_TRANSLATED
from tests import strategies as drawn
from tests.unit.translation import LIMIT, MODEL, WEATHER, Json, asked, chat_call, to_chat, to_messages, user

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(lambda said: said.strip())
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
arguments = st.dictionaries(words, values, max_size=3)


@st.composite
def exchanges(draw: st.DrawFn) -> list[Json]:
    """Draw a chat in which both sides take turns and every tool call is answered."""
    said: list[Json] = []
    for turn in range(draw(st.integers(0, 3))):
        said.append(user(draw(words)))
        inputs = draw(st.lists(arguments, max_size=3))
        calls = [asked(f"call_{turn}_{at}", json.dumps(each)) for at, each in enumerate(inputs)]
        spoken = draw(words) if not calls else draw(st.none() | words)
        said.append({"role": "assistant", "content": spoken, **({"tool_calls": calls} if calls else {})})
        if calls:
            said += [{"role": "tool", "tool_call_id": call["id"], "content": draw(words)} for call in calls]
            said.append({"role": "assistant", "content": draw(words)})
    return [*said, user(draw(words))]


def comparable(messages: list[Json]) -> list[Json]:
    """Return a chat with its arguments as what they mean."""
    read: list[Any] = json.loads(json.dumps(messages))
    for message in read:
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return read


@given(exchanges(), words)
def test_a_conversation_survives_there_and_back(messages: list[Json], system: str) -> None:
    """A chat that becomes messages and then a chat again says the same, with every tool call and result."""
    there = to_messages(chat_call([{"role": "system", "content": system}, *messages], tools=[WEATHER]))
    back = to_chat({**there, "model": "claude"})
    assert comparable(back["messages"]) == comparable([{"role": "system", "content": system}, *messages])
    assert back["tools"] == [WEATHER]


odd = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 3)
    | drawn.any_text
    | st.sampled_from(["user", "assistant", "tool", "text", "{}"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "role content type text tool_calls function name arguments id tool_call_id image_url url source input"
                " tool_use_id is_error parameters input_schema format schema".split()
            ),
            inner | st.sampled_from(["text", "image", "image_url", "tool_use", "tool_result", "function", "base64"]),
            max_size=5,
        )
    ),
    max_leaves=12,
)
MEMBERS = sorted((CHAT_TRANSLATED | MESSAGES_TRANSLATED) - {"model", "messages"})


@given(
    st.sampled_from(["chat", "messages"]),
    st.lists(odd, min_size=1, max_size=3),
    st.dictionaries(st.sampled_from(MEMBERS), odd, max_size=3),
)
def test_odd_calls_are_translated_or_refused(interface: Interface, messages: list[Any], members: Json) -> None:
    """Whatever a client sends, its call is translated or is a 400, and nothing else is raised."""
    with suppress(CallRefused):
        call = read_call(interface, json.dumps({"model": "m", "messages": messages, **members}).encode())
        to: Interface = "messages" if interface == "chat" else "chat"
        translate_call(call, to, model=MODEL, output_limit=LIMIT, dialect="openai")


@pytest.mark.parametrize("interface", ["chat", "messages"])
def test_calls_nested_too_deeply_are_refused(interface: Interface) -> None:
    """At every depth a call is translated or is a 400: no stack runs over, however near its end the call comes."""
    to: Interface = "messages" if interface == "chat" else "chat"
    outcomes = set()
    for depth in range(850, 1000, 10):
        tool: Json = {"name": "f", "parameters": 0, "input_schema": 0}
        tools = [{"type": "function", "function": tool} if interface == "chat" else tool]
        body = json.dumps({"model": "m", "messages": [user("Hi")], "tools": tools})
        body = body.replace(" 0", '{"a":' * depth + "1" + "}" * depth)
        try:
            call = read_call(interface, body.encode())
            outcomes.add(bool(translate_call(call, to, model=MODEL, output_limit=LIMIT, dialect="openai")))
        except CallRefused:
            outcomes.add(False)
    assert outcomes == {True, False}
