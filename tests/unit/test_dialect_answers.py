"""Whole answers: what they report, and how much was generated where they report nothing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.answers import AnswerUnreadable, read_answer
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
    ],
)
def test_what_is_no_answer_is_a_failure(body: bytes, failure: str) -> None:
    """An answer without content is none; an error that came as 200 is the failure that it names."""
    with pytest.raises(AnswerUnreadable) as raised:
        read_answer("openai_chat", body)
    assert raised.value.failure.failure == failure


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
