"""Whole answers for a client of the other dialect, read with the types of the official SDKs."""

import json
from contextlib import suppress
from typing import Any

import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion
from openai.types.chat.chat_completion_message_function_tool_call import ChatCompletionMessageFunctionToolCall

from gateway.dialects.answers import AnswerUnreadable
from gateway.dialects.surface import Interface
from gateway.dialects.translation.answers import translate_answer
from gateway.dialects.translation.usage import chat_usage, messages_usage
from gateway.usage.reported import ReportedUsage, Side
from gateway.usage.streams import read_body
from tests import strategies as drawn
from tests.unit.translation import Json


def message(content: list[Json], stop_reason: str | None = "end_turn", **usage: object) -> Json:
    """Return Anthropic's answer."""
    counts = {"input_tokens": 10, "output_tokens": 5, **usage}
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": counts,
    }


def completion(said: Json, finish_reason: str | None = "stop", usage: Json | None = None) -> Json:
    """Return a chat's answer."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-x",
        "choices": [{"index": 0, "message": {"role": "assistant", **said}, "finish_reason": finish_reason}],
        "usage": usage,
    }


def as_chat(answer: Json) -> ChatCompletion:
    """Return the chat's answer for a message, checked by the SDK's type without mercy."""
    body = translate_answer(json.dumps(answer).encode(), "chat", created_at_seconds=1_700_000_000)
    return ChatCompletion.model_validate_json(body, strict=True)


def as_message(answer: Json) -> Message:
    """Return the message for a chat's answer, checked by the SDK's type without mercy."""
    return Message.model_validate_json(translate_answer(json.dumps(answer).encode(), "messages"), strict=True)


def test_a_message_becomes_a_chats_answer() -> None:
    """Texts are one text, thoughts and what ran upstream are left out, and the names are the upstream's."""
    answer = as_chat(
        message(
            [
                {"type": "thinking", "thinking": "Hm", "signature": "s"},
                {"type": "text", "text": "It is "},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                {"type": "something_new"},
                {"type": "text", "text": "cold."},
            ]
        )
    )
    choice = answer.choices[0]
    assert (answer.id, answer.model, answer.created) == ("msg_1", "claude-x", 1_700_000_000)
    assert (choice.message.content, choice.message.tool_calls, choice.finish_reason) == ("It is cold.", None, "stop")


def test_uses_of_tools_become_calls() -> None:
    """Parallel uses become calls in their order; without text there is no content."""
    uses = [
        {"type": "tool_use", "id": f"toolu_{at}", "name": f"f{at}", "input": {"n": at, "s": "é"} if at else {}}
        for at in range(2)
    ]
    choice = as_chat(message(uses, "tool_use")).choices[0]
    calls = choice.message.tool_calls or []
    assert [
        (call.id, call.function.name, call.function.arguments)
        for call in calls
        if isinstance(call, ChatCompletionMessageFunctionToolCall)
    ] == [("toolu_0", "f0", "{}"), ("toolu_1", "f1", '{"n":1,"s":"é"}')]
    assert (choice.message.content, choice.finish_reason) == (None, "tool_calls")


@pytest.mark.parametrize(
    ("stop_reason", "finish_reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("pause_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("something_new", "stop"),
        (None, "stop"),
    ],
)
def test_reasons_of_a_message(stop_reason: str | None, finish_reason: str) -> None:
    """Every reason of a message has one of a chat, and an unknown one is a plain end."""
    choice = as_chat(message([], stop_reason)).choices[0]
    assert (choice.finish_reason, choice.message.content) == (finish_reason, "")


def test_cache_counts_move_into_a_chats_prompt() -> None:
    """Anthropic's input leaves the cache out; a chat's prompt has it, and says how much of it was cached."""
    usage = as_chat(
        message(
            [],
            cache_read_input_tokens=100,
            cache_creation_input_tokens=30,
            output_tokens_details={"thinking_tokens": 2},
        )
    ).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (140, 5, 145)
    assert usage.prompt_tokens_details is not None
    assert (usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens_details.cache_write_tokens) == (100, 30)
    assert usage.completion_tokens_details is not None
    assert usage.completion_tokens_details.reasoning_tokens == 2


def test_a_chat_without_counts_has_no_usage() -> None:
    """What isn't known is left out of a chat's answer and is not zero."""
    assert as_chat({**message([]), "usage": None}).usage is None
    assert as_chat({**message([]), "usage": {"input_tokens": 5}}).usage is None


def test_a_chats_answer_becomes_a_message() -> None:
    """Text and calls become blocks, and arguments the object that they are."""
    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"n": 1.50}'}},
        {"id": "", "type": "function", "function": {"name": "g", "arguments": ""}},
    ]
    answer = as_message(completion({"content": "Wait.", "tool_calls": calls}, "tool_calls"))
    assert [block.to_dict() for block in answer.content] == [
        {"type": "text", "text": "Wait."},
        {"type": "tool_use", "id": "call_1", "name": "f", "input": {"n": 1.5}},
        {"type": "tool_use", "id": "call_chatcmpl-1_1", "name": "g", "input": {}},
    ]
    assert (answer.id, answer.model, answer.stop_reason) == ("chatcmpl-1", "gpt-x", "tool_use")


@pytest.mark.parametrize("arguments", ['{"city": "Kö', "[1]", "null", '{"a": \\ud800}', "{" * 5000])
def test_arguments_that_are_no_object_stay_readable(arguments: str) -> None:
    """What a model did not finish or got wrong is handed on under a name that says so."""
    calls = [{"id": "a", "type": "function", "function": {"name": "f", "arguments": arguments}}]
    answer = as_message(completion({"content": None, "tool_calls": calls}, "length"))
    assert answer.content[0].to_dict()["input"] == {"INVALID_JSON": arguments}
    assert answer.stop_reason == "max_tokens"


@pytest.mark.parametrize(
    ("finish_reason", "said", "stop_reason"),
    [
        ("stop", {"content": "x"}, "end_turn"),
        ("length", {"content": "x"}, "max_tokens"),
        ("content_filter", {"content": ""}, "refusal"),
        ("stop", {"content": None, "refusal": "No."}, "refusal"),
        ("stop", {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}, "tool_use"),
        ("length", {"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}, "max_tokens"),
        ("something_new", {"content": "x"}, "end_turn"),
        (None, {"content": "x"}, "end_turn"),
    ],
)
def test_reasons_of_a_chat(finish_reason: str | None, said: Json, stop_reason: str) -> None:
    """Every reason of a chat has one of a message; a forced call and a refusal are told as what they are."""
    assert as_message(completion(said, finish_reason)).stop_reason == stop_reason


def test_a_refusal_is_text() -> None:
    """What a model says in place of an answer is read where answers are; blank text is no block."""
    answer = as_message(completion({"content": " ", "refusal": "I won't."}))
    assert [block.to_dict() for block in answer.content] == [{"type": "text", "text": "I won't."}]


def test_an_answer_without_a_choice_is_an_empty_message() -> None:
    """What can be billed can be translated: no answer is charged for and then called unreadable."""
    assert as_message({**completion({}), "choices": []}).content == []


def test_cache_counts_move_out_of_a_messages_input() -> None:
    """A chat's prompt has the cached tokens in it; Anthropic's input counts beside them."""
    usage = {
        "prompt_tokens": 140,
        "completion_tokens": 5,
        "total_tokens": 145,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 30},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert as_message(completion({"content": "x"}, usage=usage)).usage.to_dict() == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 100,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
    }


def test_a_dialects_own_counts_are_read_as_for_the_bill() -> None:
    """With the upstream's own dialect named, its habits count: xAI's reasoning stands beside the completion."""
    counts = {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 3}}
    body = json.dumps(completion({"content": "x"}, usage=counts)).encode()
    assert json.loads(translate_answer(body, "messages", usage="xai"))["usage"]["output_tokens"] == 8
    assert json.loads(translate_answer(body, "messages"))["usage"]["output_tokens"] == 5


@pytest.mark.parametrize("to", ["chat", "messages"])
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"<html>", b'"x"', b'{"content": "x", "choices": {}}', b"[" * 9999]
)
def test_what_is_no_answer_is_unreadable(to: Interface, body: bytes) -> None:
    """A body that holds no answer is said to be unreadable, whatever it is instead."""
    with pytest.raises(AnswerUnreadable):
        translate_answer(body, to)


counts = st.integers(0, 10**6)


@st.composite
def reports(draw: st.DrawFn) -> ReportedUsage:
    """Draw what an upstream reports, with parts that sum to the totals."""
    inputs = {"uncached_input": draw(counts), "cache_read": draw(counts), "cache_write_5m": draw(st.integers(1, 9))}
    outputs = {"text_output": draw(counts), "reasoning": draw(counts)}
    return ReportedUsage(
        status="complete",
        input=Side(sum(inputs.values()), {name: tokens for name, tokens in inputs.items() if tokens}),
        output=Side(sum(outputs.values()), {name: tokens for name, tokens in outputs.items() if tokens}),
    )


@given(reports())
def test_counts_mean_the_same_in_both_dialects(report: ReportedUsage) -> None:
    """Usage written in either dialect is read back as the same parts: no token is counted twice or lost."""
    there = read_body("openai_chat", {"usage": chat_usage(report)})
    back = read_body("anthropic", {"usage": messages_usage(report)})
    assert (there.input, there.output, there.problems) == (report.input, report.output, ())
    assert (back.input, back.output, back.problems) == (report.input, report.output, ())


odd = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | drawn.any_text,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                "content choices message tool_calls function arguments name id type text input usage finish".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(odd, st.sampled_from(["chat", "messages"]))
def test_odd_answers_are_translated_or_unreadable(answer: Any, to: Interface) -> None:
    """Whatever stands where an answer should be, it is translated or unreadable and nothing else is raised."""
    wrapped = {"content": [answer], "choices": [{"message": answer}], **(answer if isinstance(answer, dict) else {})}
    with suppress(AnswerUnreadable):
        translate_answer(json.dumps(wrapped).encode(), to)
