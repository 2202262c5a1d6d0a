"""Whole answers: what they report, and how much was generated where they report nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.answers import AnswerUnreadable, read_answer
from gateway.dialects.seeing import size_within
from gateway.dialects.translation.answers import translate_answer
from gateway.usage.states import UsageDialect

CHAT = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
CALL = {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TEXT = {"type": "output_text", "text": "abc"}
ANSWERS: list[tuple[UsageDialect, dict[str, Any], int]] = [
    ("openai_chat", {"id": "a", "choices": [{"index": 0, "message": {"role": "assistant", "content": "中文"}}]}, 6),
    ("openai_chat", {"id": "a", "choices": [{"message": {"content": None, "tool_calls": [CALL]}}]}, 3),
    ("deepseek", {"id": "a", "choices": [{"message": {"content": "a", "reasoning_content": "bc"}}]}, 3),
    ("vllm", {"id": "a", "choices": [{"message": {"content": "ab"}}, {"message": {"refusal": "c"}}]}, 3),
    ("anthropic", {"id": "a", "content": [{"type": "text", "text": "ab"}, {"type": "thinking", "thinking": "c"}]}, 3),
    ("anthropic", {"id": "a", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}]}, 8),
    ("openai_responses", {"id": "a", "output": [{"type": "message", "content": [TEXT]}]}, 3),
    ("openai_responses", {"id": "a", "output": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, 3),
    ("embeddings", {"id": "a", "data": [{"embedding": [0.5], "index": 0}]}, 0),
]  # fmt: skip


@pytest.mark.parametrize(("usage", "answer", "generated"), ANSWERS)
def test_generated_text_is_measured_in_every_dialect(
    usage: UsageDialect, answer: dict[str, Any], generated: int
) -> None:
    """Text, thoughts and tool arguments count in UTF-8, for an estimate where no usage came."""
    report, answer_id, text_bytes = read_answer(usage, json.dumps(answer).encode())
    assert (report.status, answer_id, text_bytes) == ("missing", "a", generated)


def test_an_answer_reports_its_usage() -> None:
    """Usage is read as the dialect has it."""
    body = json.dumps({"choices": [], "model": "m", "usage": CHAT}).encode()
    report, answer_id, _ = read_answer("openai_chat", body)
    assert (report.status, report.upstream_model, answer_id) == ("complete", "m", None)


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b"", "bad_response"),
        (b"<html>", "bad_response"),
        (b"[]", "bad_response"),
        (b"{}", "bad_response"),
        (b'{"choices":null}', "bad_response"),
        (b'{"error":{"code":429,"message":"busy"}}', "rate_limited"),
        (b'{"choices":[],"error":{"code":402,"message":"no credits"}}', "upstream_account_empty"),
        (b'{"choices":[{"error":{"code":502,"message":"x"},"message":{"content":""},"finish_reason":"error"}]}',
         "server_error"),
        (b'{"choices":[{"error":{"code":429,"message":"x"},"message":null}]}', "rate_limited"),
        (b'{"choices":[{"error":"boom"}]}', "server_error"),
        (b'{"type":"error","message":"Your credit balance is too low"}', "upstream_account_empty"),
        (b'{"object":"error","code":400,"message":"bad"}', "invalid_request"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_a_failure(body: bytes, failure: str) -> None:
    """An answer without content is none; an error that came as 200 is the failure that it names."""
    with pytest.raises(AnswerUnreadable) as raised:
        read_answer("openai_chat", body)
    assert raised.value.failure.failure == failure


@pytest.mark.parametrize(
    ("usage", "answer", "failure"),
    [
        ("openai_responses", {"status": "failed", "output": [], "error": {"code": "rate_limit_exceeded"}},
         "rate_limited"),
        ("openai_responses", {"status": "failed", "output": [{"type": "reasoning", "summary": []}], "error": None},
         "server_error"),
        ("anthropic", {"type": "error", "content": [], "error": {"type": "overloaded_error"}}, "overloaded"),
    ],
)  # fmt: skip
def test_an_error_is_none_in_any_dialect(usage: UsageDialect, answer: dict[str, Any], failure: str) -> None:
    """What failed without a word is no answer, however it says so; what it burned is known all the same."""
    burned = {"usage": {"input_tokens": 9, "output_tokens": 1}}
    with pytest.raises(AnswerUnreadable) as raised:
        read_answer(usage, json.dumps(answer | burned).encode())
    report = raised.value.report
    assert (raised.value.failure.failure, report and report.input and report.input.tokens) == (failure, 9)


@pytest.mark.parametrize(
    ("usage", "answer"),
    [
        ("openai_chat", {"choices": [{"error": {"code": 502}, "message": {"content": "half a sen"}}]}),
        ("openai_chat", {"choices": [{"message": {"content": ""}}, {"message": {"content": "a"}}], "error": "x"}),
        ("openai_chat", {"choices": [{"message": {"content": ""}}], "error": None}),
        ("openai_chat", {"choices": [{"message": {"content": ""}, "error": {}}], "error": ""}),
        ("openai_responses", {"status": "failed", "output": [TEXT], "error": {"code": "server_error"}}),
        ("openai_responses", {"status": "incomplete", "output": []}),
        ("openai_responses", {"status": "completed", "output": [{"type": "mcp_list_tools", "error": {"code": 1}}]}),
        ("embeddings", {"data": [{"embedding": [0.5]}], "error": {"code": 1}}),
    ],
)
def test_what_was_generated_before_an_error_is_an_answer(usage: UsageDialect, answer: dict[str, Any]) -> None:
    """Words that came are delivered and charged, an error beside them or not; an empty error is none."""
    _, _, generated = read_answer(usage, json.dumps(answer).encode())
    assert generated == size_within([answer.get("choices"), answer.get("output")])


def test_half_a_character_spoils_no_answer() -> None:
    """Half of a pair of surrogates counts as the character for none; whole pairs and escaped backslashes stay."""
    content = rb"a\ud800b\\ud800c\ud83d\ude00\udc00\n"
    body = b'{"id":"a","choices":[{"message":{"content":"%b"}}],"usage":%b}' % (content, json.dumps(CHAT).encode())
    report, answer_id, generated = read_answer("openai_chat", body)
    text = "a\ufffdb\\ud800c😀\ufffd\n"
    assert (report.status, answer_id, generated) == ("complete", "a", len(text.encode()))
    message = json.loads(translate_answer(body, "messages"))
    assert message["content"] == [{"type": "text", "text": text}]


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                "choices message content tool_calls function input name output data error usage id".split()
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(usage=st.sampled_from([usage for usage, _, _ in ANSWERS]), answer=junk)
def test_no_answer_is_too_odd(usage: UsageDialect, answer: Any) -> None:
    """Whatever comes is read, or is no answer."""
    try:
        _, _, generated = read_answer(usage, json.dumps(answer).encode())
    except AnswerUnreadable:
        return
    assert generated >= 0
