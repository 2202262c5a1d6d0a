"""Whole answers: what they report to have used, and how much was generated where they don't."""

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.dialects.decoding import decoded
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
    """A whole answer is none. `failure` is the upstream's own error where that is what came.

    `report` is what the upstream says that it burned all the same.
    """

    def __init__(
        self, message: str, failure: UpstreamFailure | None = None, report: ReportedUsage | None = None
    ) -> None:
        super().__init__(message)
        self.failure = failure or UpstreamFailure("bad_response")
        self.report = report


def read_answer(usage: UsageDialect, body: bytes) -> tuple[ReportedUsage, str | None, int]:
    """Return what an answer reports, its id, and the bytes of text in it; raise `AnswerUnreadable` if it is none.

    What was generated before an error is an answer. An error without a word is none, whatever its status was.
    """
    answer = decoded(body)
    if not isinstance(answer, dict):
        raise AnswerUnreadable("The answer is no JSON object.")
    content = answer.get(CONTENTS.get(usage, CHOICES))
    parts = [each for each in content if isinstance(each, dict)] if isinstance(content, list) else []
    # Vectors are generated, though there is no text in them.
    generated = sum(map(_of_one, parts))
    # An item of a response may have an error of its own: that of a tool, not of the answer.
    errors_in = () if usage in CONTENTS else parts
    error = _error_in(answer, errors_in) if generated == 0 and not (usage == "embeddings" and parts) else None
    report = read_body(usage, answer)
    if error is not None:
        raise AnswerUnreadable("The answer is an error.", failure_of(error), report)
    if not isinstance(content, list):
        raise AnswerUnreadable("The answer has no content.")
    answer_id = answer.get("id")
    return report, answer_id if isinstance(answer_id, str) else None, generated


def _error_in(answer: dict[str, Any], choices: Iterable[dict[str, Any]]) -> object:
    """Return the error that an answer or one of its choices is; None where there is none."""
    error = next((each["error"] for each in (answer, *choices) if each.get("error")), None)
    is_error = answer.get("type") == "error" or answer.get("object") == "error" or answer.get("status") == "failed"
    return answer if error is None and is_error else error


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
