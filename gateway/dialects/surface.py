"""Which interfaces exist, and which of them an upstream speaks."""

from typing import Literal

from gateway.usage.states import UsageDialect

Interface = Literal["chat", "responses", "messages", "embeddings"]
"""What a client calls, and in what an upstream is called."""

PATHS: dict[Interface, str] = {
    "chat": "/chat/completions",
    "responses": "/responses",
    "messages": "/messages",
    "embeddings": "/embeddings",
}
"""An upstream's URL is its `api_base` and this."""

SPOKEN: dict[str, frozenset[Interface]] = {
    "anthropic": frozenset({"messages"}),
    "openai": frozenset({"chat", "responses", "embeddings"}),
    "gemini": frozenset({"chat", "embeddings"}),
    "deepseek": frozenset({"chat"}),
    "openrouter": frozenset({"chat", "responses", "embeddings"}),
    "xai": frozenset({"chat", "responses"}),
    "vllm": frozenset({"chat", "responses", "embeddings"}),
}
"""What each dialect of a provider speaks."""

TRANSLATED: dict[Interface, Interface] = {"chat": "messages", "messages": "chat"}
"""From what the client speaks to what the upstream may be called in instead."""

_CHAT_USAGE: dict[str, UsageDialect] = {
    "openai": "openai_chat",
    "gemini": "gemini",
    "deepseek": "deepseek",
    "openrouter": "openrouter",
    "xai": "xai",
    "vllm": "vllm",
}


def spoken(interface: Interface, dialect: str) -> Interface | None:
    """Return the interface in which an upstream is called for a client's call; None where there is no way."""
    speaks = SPOKEN.get(dialect, frozenset())
    if interface in speaks:
        return interface
    other = TRANSLATED.get(interface)
    return other if other in speaks else None


def usage_dialect(interface: Interface, dialect: str) -> UsageDialect:
    """Return whose usage block an upstream sends that is called in this interface."""
    if interface == "messages":
        return "anthropic"
    if interface == "responses":
        return "openai_responses"
    return "embeddings" if interface == "embeddings" else _CHAT_USAGE.get(dialect, "openai_chat")
