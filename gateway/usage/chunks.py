"""Streams of running totals: OpenAI's chat chunks and all who copied them, and Gemini's."""

from typing import Any

from msgspec.structs import replace

from gateway.usage.states import UsageState, with_more, with_names, with_usage

Event = dict[str, Any]

DONE = "[DONE]"
CHOICES_MAX = 128
"""As many alternatives as OpenAI gives."""

SPOKEN = ("content", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call", "audio", "images")
"""Members of a delta that hold what was generated."""


def fold_done(state: UsageState) -> UsageState:
    """Fold the mark after the last chunk: whatever usage came by then is all there is, be it too little."""
    is_final = state.block is not None and not state.overtaken
    return replace(state, ended=True, is_final=is_final, open_choices=frozenset())


def fold_chat(state: UsageState, event: Event) -> UsageState:
    """Fold a chunk of `/chat/completions`.

    Usage may stand in a last chunk without choices, in every chunk, in the chunk that ends the choice, or in a
    late chunk with a choice that says nothing; none of these may be dropped.
    """
    choices = event.get("choices")
    state = with_names(state, event.get("model"), event.get("service_tier"))
    state = _with_choices(state, choices, "finish_reason")
    if _says_more(choices):
        state = with_more(state)
    block = chat_block(event)
    if block is not None and not choices:
        # A chunk made for the usage alone is the last; a running total is final only once all choices ended.
        state = replace(state, ended=True)
    return with_usage(state, block, is_final=state.ended)


def fold_gemini(state: UsageState, event: Event) -> UsageState:
    """Fold a chunk of `streamGenerateContent`, or of Gemini's OpenAI-compatible endpoint."""
    if "choices" in event or "usage" in event:
        return fold_chat(state, event)
    state = with_names(state, event.get("modelVersion"), None)
    state = _with_choices(state, event.get("candidates"), "finishReason")
    feedback = event.get("promptFeedback")
    if isinstance(feedback, dict) and feedback.get("blockReason"):
        state = replace(state, ended=True)
    return with_usage(state, event.get("usageMetadata"), is_final=state.ended)


def chat_block(event: Event) -> object:
    """Return the usage of a chunk or answer: at the top, or where Groq and Moonshot put it in a stream."""
    if event.get("usage") is not None:
        return event["usage"]
    groq = event.get("x_groq")
    if isinstance(groq, dict) and groq.get("usage") is not None:
        return groq["usage"]
    choices = event.get("choices")
    if isinstance(choices, list):
        for choice in choices:
            if isinstance(choice, dict) and choice.get("usage") is not None:
                return choice["usage"]
    return None


def _says_more(choices: object) -> bool:
    if not isinstance(choices, list):
        return False
    deltas = [choice.get("delta") for choice in choices if isinstance(choice, dict)]
    return any(delta.get(name) for delta in deltas if isinstance(delta, dict) for name in SPOKEN)


def _with_choices(state: UsageState, choices: object, reason: str) -> UsageState:
    if not isinstance(choices, list):
        return state
    still_open, closed, is_final = state.open_choices, state.closed_choices, state.is_final
    for choice in choices:
        if not isinstance(choice, dict):
            continue
        index = choice.get("index")
        number = index if isinstance(index, int) and 0 <= index < CHOICES_MAX else 0
        if choice.get(reason):
            still_open, closed = still_open - {number}, closed | {number}
        elif number not in still_open and number not in closed:
            still_open, is_final = still_open | {number}, False
    if still_open == state.open_choices and closed == state.closed_choices:
        return state
    ended = bool(closed) and not still_open
    return replace(state, open_choices=still_open, closed_choices=closed, ended=ended, is_final=is_final)
