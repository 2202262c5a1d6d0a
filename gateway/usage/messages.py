"""Streams of typed events: Anthropic's messages and OpenAI's responses."""

from typing import Any

from msgspec.structs import replace

from gateway.usage.states import UsageState, with_more, with_names, with_usage

Event = dict[str, Any]

RESPONSE_ENDS = ("response.completed", "response.incomplete", "response.failed")
"""A response that failed was burned all the same, and says so."""

BLOCKS = ("content_block_start", "content_block_delta")
"""Events that carry what was generated."""


def fold_anthropic(state: UsageState, event: Event) -> UsageState:
    """Fold an event of `/messages`.

    The start counts the input and a placeholder of one output token; deltas are running totals of both.
    """
    kind = event.get("type")
    if kind == "message_start":
        message = event.get("message")
        if not isinstance(message, dict):
            return state
        return with_usage(with_names(state, message.get("model"), None), message.get("usage"), is_final=False)
    if kind == "message_delta":
        delta = event.get("delta")
        if isinstance(delta, dict) and delta.get("stop_reason"):
            state = replace(state, ended=True)
        return with_usage(state, event.get("usage"), is_final=True)
    if kind in BLOCKS and state.is_final:
        return with_more(state)
    return replace(state, ended=True) if kind == "message_stop" else state


def fold_responses(state: UsageState, event: Event) -> UsageState:
    """Fold an event of `/responses`: usage comes with the end, however the response ended."""
    response = event.get("response")
    if not isinstance(response, dict):
        return state
    state = with_names(state, response.get("model"), response.get("service_tier"))
    if event.get("type") in RESPONSE_ENDS:
        state = replace(state, ended=True)
    return with_usage(state, response.get("usage"), is_final=state.ended)
