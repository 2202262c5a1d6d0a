"""A call of messages on a route that speaks chat: what is said there, and what is refused by name."""

import pytest

from tests.unit.translation import (
    LIMIT,
    MODEL,
    PIXEL,
    WEATHER,
    WEATHER_TOOL,
    Json,
    asked,
    messages_call,
    refused,
    text,
    to_chat,
    use,
    user,
)


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


def test_results_of_tools_come_before_all_else() -> None:
    """A chat wants the results right behind the calls: texts and images of the same turn follow them."""
    image = {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}
    result = {"type": "tool_result", "tool_use_id": "a", "content": "8"}
    body = to_chat(messages_call([user([text("Look"), image, result])]))
    assert [message["role"] for message in body["messages"]] == ["tool", "user"]


def test_a_long_name_of_the_end_user_is_left_out() -> None:
    """Chats take 64 characters; a longer name would have the call refused for something that no answer needs."""
    assert "user" not in to_chat(messages_call([user("?")], metadata={"user_id": "u" * 65}), dialect="vllm")
    assert to_chat(messages_call([user("?")], metadata={"user_id": "u" * 64}), dialect="vllm")["user"] == "u" * 64


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
