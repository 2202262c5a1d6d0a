"""Whole answers: what they report to have used, and how much was generated where they don't."""

from typing import Any

import msgspec

from gateway.dialects.failures import UpstreamFailure, failure_of
from gateway.dialects.seeing import size_within
from gateway.usage.reported import ReportedUsage
from gateway.usage.states import UsageDialect
from gateway.usage.streams import read_body

CONTENTS: dict[UsageDialect, str] = {"openai_responses": "output", "anthropic": "content", "embeddings": "data"}
"""The member in which an answer stands; in all others it is a chat's."""

CHOICES = "choices"
GENERATED = ("content", "refusal", "text", "thinking", "name", "arguments", "summary", "transcript", "code")
"""Members of messages, items and blocks that hold what was generated."""

_encode = msgspec.json.Encoder().encode


class AnswerUnreadable(Exception):
    """A whole answer is none. `failure` is the upstream's own error where that is what came."""

    def __init__(self, message: str, failure: UpstreamFailure | None = None) -> None:
        super().__init__(message)
        self.failure = failure or UpstreamFailure("bad_response")


def read_answer(usage: UsageDialect, body: bytes) -> tuple[ReportedUsage, str | None, int]:
    """Return what an answer reports, its id, and the bytes of text in it; raise `AnswerUnreadable` if it is none."""
    answer = decoded(body)
    if not isinstance(answer, dict):
        raise AnswerUnreadable("The answer is no JSON object.")
    content = answer.get(CONTENTS.get(usage, CHOICES))
    if not isinstance(content, list):
        error = answer.get("error")
        if error is not None:
            raise AnswerUnreadable("The answer is an error.", failure_of(error))
        raise AnswerUnreadable("The answer has no content.")
    answer_id = answer.get("id")
    generated = sum(_of_one(each) for each in content if isinstance(each, dict))
    return read_body(usage, answer), answer_id if isinstance(answer_id, str) else None, generated


def _of_one(part: dict[str, Any]) -> int:
    """Return the bytes of a choice, an item, or a block."""
    message = part.get("message")
    if isinstance(message, dict):
        calls = message.get("tool_calls")
        functions = (
            [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
        )
        functions.append(message.get("function_call"))
        thoughts = size_within(message.get("reasoning_content") or message.get("reasoning"))
        return _named(message) + thoughts + sum(_named(each) for each in functions if isinstance(each, dict))
    tool_input = part.get("input")
    # A tool's arguments are an object in a message, and what was generated is its JSON.
    arguments = len(_encode(tool_input)) if isinstance(tool_input, dict) else size_within(tool_input)
    return _named(part) + arguments


def _named(value: dict[str, Any]) -> int:
    return sum(size_within(value.get(name)) for name in GENERATED)
