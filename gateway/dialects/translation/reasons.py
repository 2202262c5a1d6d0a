"""Why an answer ended, in the words of both."""

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}


def finish_reason(stop_reason: object) -> str:
    """Return a chat's reason for Anthropic's; a new one is a plain end."""
    return FINISH_REASONS.get(stop_reason, "stop") if isinstance(stop_reason, str) else "stop"


def stop_reason(finish: object, *, has_tools: bool, has_refused: bool) -> str:
    """Return Anthropic's reason for a chat's.

    A forced tool call ends with `stop` there, and so does a refusal; here both have words of their own.
    """
    reason = STOP_REASONS.get(finish, "end_turn") if isinstance(finish, str) else "end_turn"
    if reason == "end_turn" and has_tools:
        return "tool_use"
    return "refusal" if reason == "end_turn" and has_refused else reason
