"""What is known of one answer while it arrives."""

from typing import Any, Literal

import msgspec

from gateway.usage.merging import overlay

UsageDialect = Literal[
    "openai_chat",
    "openai_responses",
    "embeddings",
    "anthropic",
    "gemini",
    "deepseek",
    "openrouter",
    "xai",
    "vllm",
]
"""Whose usage block it is. A provider's dialect and the interface that was called give it."""


class UsageState(msgspec.Struct, frozen=True):
    """A fold over the events of a stream. A whole answer is the state after its only event.

    `block` is the usage so far. Alternatives of one answer are open, then closed; `ended` says that the end of
    the answer was seen, `is_final` that the usage in `block` was sent at the end or later, `overtaken` that more was
    generated after it.
    """

    dialect: UsageDialect
    block: dict[str, Any] | None = None
    model: object = None
    service_tier: object = None
    open_choices: frozenset[int] = frozenset()
    closed_choices: frozenset[int] = frozenset()
    ended: bool = False
    is_final: bool = False
    overtaken: bool = False
    problems: tuple[str, ...] = ()


def with_problem(state: UsageState, problem: str) -> UsageState:
    """Return the state with a problem named, once."""
    if problem in state.problems:
        return state
    return msgspec.structs.replace(state, problems=(*state.problems, problem))


def with_usage(state: UsageState, block: object, *, is_final: bool) -> UsageState:
    """Return the state with a later usage block laid over what came before; null says nothing."""
    if block is None:
        return state
    if not isinstance(block, dict):
        # What came earlier is then the last that is known, and not the end's.
        return msgspec.structs.replace(with_problem(state, "bad:usage"), is_final=False)
    return msgspec.structs.replace(state, block=overlay(state.block or {}, block), is_final=is_final, overtaken=False)


def with_more(state: UsageState) -> UsageState:
    """Return the state after something was generated: a usage that came before doesn't count it."""
    if state.block is None or state.overtaken:
        return state
    return msgspec.structs.replace(state, is_final=False, overtaken=True)


def with_names(state: UsageState, model: object, service_tier: object) -> UsageState:
    """Return the state with the model and tier that were named last; the same again changes nothing."""
    model, service_tier = model or state.model, service_tier or state.service_tier
    if model == state.model and service_tier == state.service_tier:
        return state
    return msgspec.structs.replace(state, model=model, service_tier=service_tier)
