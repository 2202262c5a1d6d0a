"""Calls that go to a route of the other dialect: what is said there, and what is refused by name."""

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
from tests.unit.translation import (
    LIMIT,
    MODEL,
    Json,
    chat_call,
    messages_call,
    refused,
    to_chat,
    to_messages,
    user,
)

PIXEL = "iVBORw0KGgo="
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": True,
    },
}
WEATHER_TOOL = {
    "name": "get_weather",
    "description": "Weather of a city",
    "input_schema": WEATHER["function"]["parameters"],  # type: ignore[index]
    "strict": True,
}


def asked(call_id: str, arguments: str) -> Json:
    """Return a chat's call of the weather tool."""
    return {"id": call_id, "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


def use(call_id: str, given: Json) -> Json:
    """Return Anthropic's use of the weather tool."""
    return {"type": "tool_use", "id": call_id, "name": "get_weather", "input": given}


def text(said: str) -> Json:
    """Return a block or part of text; both dialects write it the same."""
    return {"type": "text", "text": said}


def test_chat_becomes_messages() -> None:
    """System texts from every place go to `system`; user and assistant take turns; the limit is the gateway's."""
    call = chat_call(
        [
            {"role": "system", "content": "Be brief."},
            user("Hi"),
            {"role": "assistant", "content": "Hello"},
            {"role": "developer", "content": [text("In French.")]},
            user([text("One"), text("Two")]),
        ],
        max_completion_tokens=10,
    )
    assert to_messages(call) == {
        "model": MODEL,
        "max_tokens": LIMIT,
        "system": [text("Be brief."), text("In French.")],
        "messages": [
            {"role": "user", "content": [text("Hi")]},
            {"role": "assistant", "content": [text("Hello")]},
            {"role": "user", "content": [text("One"), text("Two")]},
        ],
    }


def test_parallel_calls_and_results_become_one_turn_each() -> None:
    """All results of one turn stand in one message, in front of what the user says then."""
    call = chat_call(
        [
            user("Weather?"),
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [asked("call_1", '{"city": "Köln"}'), asked("functions.get:2", "")],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "8 °C"},
            {"role": "tool", "tool_call_id": "functions.get:2", "content": ""},
            user("And?"),
        ],
        tools=[WEATHER, {"type": "function", "function": {"name": "now"}}],
    )
    body = to_messages(call)
    assert body["messages"][1:] == [
        {"role": "assistant", "content": [use("call_1", {"city": "Köln"}), use("functions_2e_get_3a_2", {})]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": [text("8 °C")]},
                {"type": "tool_result", "tool_use_id": "functions_2e_get_3a_2"},
                text("And?"),
            ],
        },
    ]
    assert body["tools"] == [WEATHER_TOOL, {"name": "now", "input_schema": {"type": "object", "properties": {}}}]


def test_arguments_of_a_tool_keep_their_digits() -> None:
    """Arguments pass as the JSON that they are: no number is read and written anew."""
    arguments = '{"n": 123456789012345678901234567890, "x": 1.10, "y": 1e2}'
    call = chat_call([user("?"), {"role": "assistant", "tool_calls": [asked("a", arguments)]}, user("!")])
    given = to_messages(call)["messages"][1]["content"][0]["input"]
    assert given == json.loads(arguments)


@pytest.mark.parametrize(
    ("url", "source"),
    [
        ("https://x.test/a.png", {"type": "url", "url": "https://x.test/a.png"}),
        (f"data:image/png;base64,{PIXEL}", {"type": "base64", "media_type": "image/png", "data": PIXEL}),
        (f"DATA:image/JPG;q=1;base64,{PIXEL}", {"type": "base64", "media_type": "image/jpeg", "data": PIXEL}),
    ],
)
def test_images_of_a_chat(url: str, source: Json) -> None:
    """An image's URL stays one, and a data URL becomes its parts."""
    call = chat_call([user([{"type": "image_url", "image_url": {"url": url, "detail": "low"}}, text("What?")])])
    assert to_messages(call)["messages"][0]["content"] == [{"type": "image", "source": source}, text("What?")]


def test_blank_texts_are_left_out() -> None:
    """Anthropic takes no empty text: blocks of it vanish, and turns that held nothing else do too."""
    call = chat_call([user(""), user("Hi"), {"role": "assistant", "content": None}, user([text(" "), text("there")])])
    assert to_messages(call)["messages"] == [{"role": "user", "content": [text("Hi"), text("there")]}]


@pytest.mark.parametrize(
    ("choice", "is_parallel", "said"),
    [
        ("auto", None, {"type": "auto"}),
        ("required", None, {"type": "any"}),
        ("required", False, {"type": "any", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (None, True, None),
        ({"type": "function", "function": {"name": "get_weather"}}, None, {"type": "tool", "name": "get_weather"}),
    ],
)
def test_choice_of_tools_in_a_chat(choice: object, is_parallel: bool | None, said: Json | None) -> None:
    """Whether, which and how many tools may be called is said in Anthropic's words."""
    call = chat_call([user("?")], tools=[WEATHER], tool_choice=choice, parallel_tool_calls=is_parallel)
    assert to_messages(call).get("tool_choice") == said


def test_sampling_and_schema_of_a_chat() -> None:
    """Sampling, stops, the user and a schema of the answer have their members; hints are left out."""
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    body = to_messages(
        chat_call(
            [user("?")],
            temperature=0.5,
            top_p=0.9,
            top_k=5,
            stop="END",
            stream=True,
            stream_options={"include_usage": True},
            response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": True}},
            user="customer-7",
            seed=7,
            reasoning_effort="high",
            n=1,
            logprobs=False,
            presence_penalty=0,
            logit_bias=None,
            metadata={"a": "b"},
        )
    )
    del body["messages"]
    assert body == {
        "model": MODEL,
        "max_tokens": LIMIT,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "stop_sequences": ["END"],
        "stream": True,
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
        "metadata": {"user_id": "customer-7"},
    }


def test_marks_of_a_cached_prefix_are_kept() -> None:
    """A chat's client that writes Anthropic's marks gets them: they decide what the call costs."""
    mark = {"type": "ephemeral"}
    call = chat_call([user([{**text("Long"), "cache_control": mark}])], tools=[{**WEATHER, "cache_control": mark}])
    body = to_messages(call)
    assert (body["messages"][0]["content"][0]["cache_control"], body["tools"][0]["cache_control"]) == (mark, mark)


CHAT_REFUSED: list[tuple[str | None, Json]] = [
    ("n", {"n": 2}),
    ("logprobs", {"logprobs": True}),
    ("top_logprobs", {"top_logprobs": 3}),
    ("logit_bias", {"logit_bias": {"5": 1}}),
    ("frequency_penalty", {"frequency_penalty": 0.1}),
    ("presence_penalty", {"presence_penalty": -1}),
    ("temperature", {"temperature": 1.2}),
    ("stop", {"stop": ["END", "\n"]}),
    ("stop", {"stop": 5}),
    ("modalities", {"modalities": ["text", "audio"]}),
    ("audio", {"audio": {"voice": "alloy", "format": "wav"}}),
    ("functions", {"functions": [{"name": "f"}]}),
    ("function_call", {"function_call": {"name": "f"}}),
    ("web_search_options", {"web_search_options": {}}),
    ("response_format", {"response_format": {"type": "json_object"}}),
    ("some_new_member", {"some_new_member": 1}),
    ("tools[0].type", {"tools": [{"type": "custom", "custom": {"name": "x"}}]}),
    ("tools[0].function.name", {"tools": [{"type": "function", "function": {"name": ""}}]}),
    ("tools", {"tools": {}}),
    ("tool_choice", {"tool_choice": "required"}),
    ("tool_choice", {"tools": [WEATHER], "tool_choice": {"type": "allowed_tools"}}),
    ("messages", {"messages": []}),
    ("messages", {"messages": [{"role": "system", "content": "Alone"}]}),
    ("messages[0]", {"messages": ["Hi"]}),
    ("messages[0].role", {"messages": [{"role": "function", "name": "f", "content": "x"}]}),
    ("messages[1]", {"messages": [user("Hi"), {"role": "assistant", "content": "The answer is"}]}),
    ("messages[0].content[0].type", {"messages": [user([{"type": "input_audio", "input_audio": {}}])]}),
    ("messages[0].content[0].type", {"messages": [user([{"type": "file", "file": {"file_id": "f"}}])]}),
    ("messages[0].content[0]", {"messages": [user([{"type": "image_url", "image_url": {"url": "ftp://a/b"}}])]}),
    ("messages[0].content[0]", {"messages": [user([{"type": "image_url", "image_url": {"url": "data:image/png,a"}}])]}),
    (
        "messages[0].content[0]",
        {"messages": [user([{"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA=="}}])]},
    ),
    (
        "messages[0].tool_calls[0].function.arguments",
        {"messages": [{"role": "assistant", "tool_calls": [asked("a", "[1]")]}]},
    ),
    (
        "messages[0].tool_calls[0].function.arguments",
        {"messages": [{"role": "assistant", "tool_calls": [asked("a", '{"a": ' * 3000)]}]},
    ),
    ("messages[0].tool_calls[0].id", {"messages": [{"role": "assistant", "tool_calls": [asked("", "{}")]}]}),
    (
        "messages[0].tool_calls[0].type",
        {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "custom": {}}]}]},
    ),
    ("messages[0].tool_call_id", {"messages": [{"role": "tool", "content": "x"}]}),
    ("messages[0].function_call", {"messages": [{"role": "assistant", "function_call": {"name": "f"}}]}),
    ("messages[0].content", {"messages": [user(5)]}),
]


@pytest.mark.parametrize(("param", "members"), CHAT_REFUSED)
def test_what_messages_have_no_words_for(param: str | None, members: Json) -> None:
    """A chat's call that can't be said in messages is a 400 that names the member."""
    assert refused("chat", {**chat_call([user("Hi")]), **members}, "anthropic") == param


def test_messages_become_a_chat() -> None:
    """The system comes first, texts stay texts, and the user's usage is always asked for in a stream."""
    call = messages_call(
        [
            user("Hi"),
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "Hm", "signature": "s"}, text("Hel"), text("lo")],
            },
            {"role": "system", "content": "In French."},
            user([text("One"), text("Two")]),
        ],
        system=[{**text("Be brief."), "cache_control": {"type": "ephemeral"}}, text("Be kind.")],
        stop_sequences=["END"],
        temperature=0.5,
        metadata={"user_id": "customer-7"},
        thinking={"type": "adaptive"},
        output_config={"effort": "high"},
        stream=True,
    )
    assert to_chat(call) == {
        "model": MODEL,
        "max_completion_tokens": LIMIT,
        "messages": [
            {"role": "system", "content": "Be brief.\n\nBe kind."},
            user("Hi"),
            {"role": "assistant", "content": "Hello"},
            {"role": "system", "content": "In French."},
            user("One\n\nTwo"),
        ],
        "stop": ["END"],
        "temperature": 0.5,
        "safety_identifier": "customer-7",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_tools_of_messages_become_functions() -> None:
    """Uses become calls, results messages of their own before the user's, and a failed one says that it is."""
    call = messages_call(
        [
            user("Weather?"),
            {"role": "assistant", "content": [use("toolu_1", {"city": "Köln"}), use("toolu_2", {})]},
            user(
                [
                    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [text("8"), text("°C")]},
                    {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no city", "is_error": True},
                    {"type": "tool_result", "tool_use_id": "toolu_3"},
                    text("And?"),
                ]
            ),
        ],
        tools=[WEATHER_TOOL],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
    )
    body = to_chat(call, dialect="deepseek")
    assert body["messages"][1:] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [asked("toolu_1", '{"city":"Köln"}'), asked("toolu_2", "{}")],
        },
        {"role": "tool", "tool_call_id": "toolu_1", "content": "8\n\n°C"},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "Error: no city"},
        {"role": "tool", "tool_call_id": "toolu_3", "content": ""},
        user("And?"),
    ]
    assert body["max_tokens"] == LIMIT
    assert (body["tools"], body["tool_choice"], body["parallel_tool_calls"]) == ([WEATHER], "required", False)


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ({"type": "base64", "media_type": "image/png", "data": PIXEL}, f"data:image/png;base64,{PIXEL}"),
        ({"type": "url", "url": "https://x.test/a.png"}, "https://x.test/a.png"),
    ],
)
def test_images_of_messages(source: Json, url: str) -> None:
    """An image of messages becomes a URL or a data URL, beside its text."""
    body = to_chat(messages_call([user([{"type": "image", "source": source}, text("What?")])]))
    assert body["messages"] == [user([{"type": "image_url", "image_url": {"url": url}}, text("What?")])]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"type": "auto"}, "auto"),
        ({"type": "none"}, "none"),
        ({"type": "any"}, "required"),
        ({"type": "tool", "name": "get_weather"}, {"type": "function", "function": {"name": "get_weather"}}),
    ],
)
def test_choice_of_tools_in_messages(choice: Json, said: object) -> None:
    """Anthropic's choice of tools is said in a chat's words."""
    assert to_chat(messages_call([user("?")], tools=[WEATHER_TOOL], tool_choice=choice))["tool_choice"] == said


@pytest.mark.parametrize("member", ["output_config", "output_format"])
def test_schema_of_messages(member: str) -> None:
    """A schema of the answer becomes a strict response format, under the member's newer and older name."""
    form = {"type": "json_schema", "schema": {"type": "object"}}
    call = messages_call([user("?")], **{member: {"format": form} if member == "output_config" else form})
    named = {"name": "answer", "schema": {"type": "object"}, "strict": True}
    assert to_chat(call)["response_format"] == {"type": "json_schema", "json_schema": named}


def test_dialects_differ_in_what_they_take() -> None:
    """`top_k` goes where it is known, and the end user under the member that the upstream reads."""
    call = messages_call([user("?")], top_k=5, metadata={"user_id": "u"})
    body = to_chat(call, dialect="vllm")
    assert (body["top_k"], body["user"], body["max_tokens"]) == (5, "u", LIMIT)
    assert refused("messages", call, "openai") == "top_k"


MESSAGES_REFUSED: list[tuple[str | None, Json]] = [
    ("container", {"container": "c"}),
    ("mcp_servers", {"mcp_servers": [{"type": "url", "url": "https://x.test", "name": "x"}]}),
    ("inference_geo", {"inference_geo": "eu"}),
    ("some_new_member", {"some_new_member": 1}),
    ("stop_sequences", {"stop_sequences": ["a", "b", "c", "d", "e"]}),
    ("tools[0].type", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    ("tools[0].input_schema", {"tools": [{"name": "x"}]}),
    ("tool_choice", {"tool_choice": {"type": "any"}}),
    ("tool_choice.type", {"tools": [WEATHER_TOOL], "tool_choice": {"type": "some"}}),
    ("output_config.format", {"output_config": {"format": {"type": "grammar"}}}),
    ("messages", {"messages": []}),
    ("messages[1]", {"messages": [user("Hi"), {"role": "assistant", "content": "{"}]}),
    ("messages[0].role", {"messages": [{"role": "tool", "content": "x"}]}),
    ("messages[0].content[0].type", {"messages": [user([{"type": "document", "source": {}}])]}),
    ("messages[0].content[0].type", {"messages": [user([{"type": "search_result", "content": []}])]}),
    ("messages[0].content[0].source", {"messages": [user([{"type": "image", "source": {"type": "file"}}])]}),
    (
        "messages[0].content[0].content[0].type",
        {"messages": [user([{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "image"}]}])]},
    ),
    ("messages[0].content[0].type", {"messages": [{"role": "assistant", "content": [{"type": "server_tool_use"}]}]}),
    ("system[0].type", {"system": [{"type": "image"}]}),
]


@pytest.mark.parametrize(("param", "members"), MESSAGES_REFUSED)
def test_what_a_chat_has_no_words_for(param: str | None, members: Json) -> None:
    """A call of messages that can't be said in a chat is a 400 that names the member."""
    assert refused("messages", {**messages_call([user("Hi")]), **members}) == param


def test_a_schema_is_refused_where_no_upstream_obeys_it() -> None:
    """DeepSeek knows no schema of an answer: the call is refused and not answered without one."""
    call = messages_call([user("?")], output_config={"format": {"type": "json_schema", "schema": {}}})
    assert refused("messages", call, "deepseek") == "output_config.format"


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
