"""The door: one fold for the events of every dialect, one reader of whole answers, and what both end in.

    state = begin("anthropic")
    for event in events:          # decoded JSON; the text `[DONE]` as it is
        state = fold(state, event)
    report = result(state)        # at any moment: what is known by now

No function here raises, whatever an upstream sends.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from gateway.usage.anthropic import read_anthropic
from gateway.usage.chunks import DONE, chat_block, fold_chat, fold_done, fold_gemini
from gateway.usage.gemini import read_gemini
from gateway.usage.messages import fold_anthropic, fold_responses
from gateway.usage.openai import read_chat, read_embeddings, read_openrouter, read_responses, read_xai
from gateway.usage.reading import Block, Reader
from gateway.usage.reported import Counts, ReportedUsage, Side, UsageStatus
from gateway.usage.states import UsageDialect, UsageState, with_names, with_problem, with_usage

READERS: dict[UsageDialect, Callable[[Block, Reader], Counts]] = {
    "openai_chat": read_chat,
    "openai_responses": read_responses,
    "embeddings": read_embeddings,
    "gemini": read_gemini,
    "deepseek": read_chat,
    "openrouter": read_openrouter,
    "xai": read_xai,
    "vllm": read_chat,
}
"""Anthropic is not among them: its reader needs the model's name too."""

FOLDS: dict[UsageDialect, Callable[[UsageState, dict[str, Any]], UsageState]] = {
    "openai_responses": fold_responses,
    "anthropic": fold_anthropic,
    "gemini": fold_gemini,
}
"""All others stream as OpenAI's chat does."""


def begin(dialect: UsageDialect) -> UsageState:
    """Return the state before the first event."""
    return UsageState(dialect)


def fold(state: UsageState, event: object) -> UsageState:
    """Return the state after one event; the same state where the event says nothing new."""
    if isinstance(event, dict):
        return FOLDS.get(state.dialect, fold_chat)(state, event)
    if isinstance(event, str) and event.strip() == DONE:
        return fold_done(state)
    return with_problem(state, "bad:event")


def read_body(dialect: UsageDialect, body: object) -> ReportedUsage:
    """Return what a whole answer reports."""
    state = UsageState(dialect, ended=True)
    if not isinstance(body, dict):
        return result(with_problem(state, "bad:body"))
    native = dialect == "gemini" and "usage" not in body
    block = body.get("usageMetadata") if native else chat_block(body)
    state = with_names(state, body.get("modelVersion" if native else "model"), body.get("service_tier"))
    return result(with_usage(state, block, is_final=True))


def result(state: UsageState) -> ReportedUsage:
    """Return what is reported by now. A stream that was cut is partial at best."""
    reader = Reader(state.problems)
    if state.block is None:
        if not {"bad:usage", "bad:body"} & set(reader.problems):
            reader.note("absent:usage" if state.ended else "cut:stream")
        return _report(state, Counts(), reader, is_cut=not state.ended)
    counts = _read(state, reader)
    is_cut = not (state.ended and state.is_final)
    if is_cut:
        reader.note("cut:stream")
        # Before its end an output of zero only says that nothing was counted yet.
        counts = replace(counts, output=None if counts.output == Side(0, {}) else counts.output)
    if counts.input is None and counts.output == Side(0, {}):
        # A report of zeros only reports nothing.
        counts = replace(counts, output=None)
    return _report(state, counts, reader, is_cut=is_cut)


def _read(state: UsageState, reader: Reader) -> Counts:
    block = state.block or {}
    if state.dialect == "anthropic":
        return read_anthropic(block, reader, state.model)
    return READERS[state.dialect](block, reader)


def _report(state: UsageState, counts: Counts, reader: Reader, *, is_cut: bool) -> ReportedUsage:
    model = reader.model(counts.serving_model or state.model)
    tier = reader.word(counts.service_tier or state.service_tier, "service_tier")
    return ReportedUsage(
        status=_status(counts, is_sure=not (is_cut or reader.unsure)),
        upstream_model=model,
        service_tier=tier,
        input=counts.input,
        output=counts.output,
        output_may_grow=is_cut,
        counted=counts.counted,
        others=counts.others,
        unbilled=counts.unbilled,
        cost=counts.cost,
        modifiers=counts.modifiers,
        problems=tuple(reader.problems),
    )


def _status(counts: Counts, *, is_sure: bool) -> UsageStatus:
    if counts.input is None and counts.output is None and not counts.others:
        return "missing"
    is_known = counts.input is not None and counts.output is not None
    return "complete" if is_known and is_sure else "partial"
