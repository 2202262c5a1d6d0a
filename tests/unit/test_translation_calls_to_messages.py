"""A chat's call on a route that speaks messages: what is said there, and what is refused by name."""

import json

import pytest

from tests.unit.translation import (
    LIMIT,
    MODEL,
    PIXEL,
    WEATHER,
    WEATHER_TOOL,
    Json,
    asked,
    chat_call,
    refused,
    text,
    to_messages,
    use,
    user,
)


def test_chat_becomes_messages() -> None:
    """System texts from every place go to `system`; user and assistant take turns; the limit is the lower one."""
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
        "max_tokens": 10,
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


@pytest.mark.parametrize(
    ("limits", "output_limit", "max_tokens"),
    [
        ({}, 500, 500),
        ({"max_tokens": 100}, 500, 100),
        ({"max_tokens": 4096, "max_completion_tokens": 100}, 4096, 100),
        ({"max_tokens": 4096}, 500, 500),
    ],
)
def test_no_limit_of_a_chat_is_raised(limits: Json, output_limit: int, max_tokens: int) -> None:
    """Of two limits, and of what the gateway affords, the lowest is sent."""
    call = chat_call([user("a")], **limits)
    assert to_messages(call, output_limit=output_limit)["max_tokens"] == max_tokens


def test_a_refusal_in_a_history_is_what_the_assistant_said() -> None:
    """A refusal stands where an answer would, as a member or as a part, and is text in messages."""
    said = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}], "refusal": "Never."}
    body = to_messages(chat_call([user("?"), said, user("!")]))
    assert body["messages"][1] == {"role": "assistant", "content": [text("No."), text("Never.")]}


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
