"""Usage in the other dialect's fields: a chat's totals include the cache, Anthropic's input leaves it out.

The counts are read as they are read for the bill, so that an answer never states other totals than its receipt.
"""

from gateway.dialects.surface import Interface
from gateway.dialects.translation.decoded import Object
from gateway.usage.reported import ReportedUsage, Side
from gateway.usage.states import UsageDialect

USAGE_DIALECTS: dict[Interface, UsageDialect] = {"chat": "anthropic", "messages": "openai_chat"}
"""By what the client speaks: whose usage it is when nobody says so."""


def chat_usage(report: ReportedUsage) -> Object | None:
    """Return a chat's usage block, or None where a side is unknown: the member may be left out there."""
    if report.input is None or report.output is None:
        return None
    return {
        "prompt_tokens": report.input.tokens,
        "completion_tokens": report.output.tokens,
        "total_tokens": report.input.tokens + report.output.tokens,
        "prompt_tokens_details": {"cached_tokens": _read(report.input), "cache_write_tokens": _written(report.input)},
        "completion_tokens_details": {"reasoning_tokens": report.output.parts.get("reasoning", 0)},
    }


def messages_usage(report: ReportedUsage) -> Object:
    """Return Anthropic's usage block. Its counts must be there: an unknown one is written as zero."""
    known_input, known_output = report.input or Side(0, {}), report.output or Side(0, {})
    read, written = _read(known_input), _written(known_input)
    usage: Object = {
        "input_tokens": known_input.tokens - read - written,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": known_output.tokens,
    }
    reasoning = known_output.parts.get("reasoning", 0)
    return {**usage, "output_tokens_details": {"thinking_tokens": reasoning}} if reasoning else usage


def _read(side: Side) -> int:
    return side.parts.get("cache_read", 0) + side.parts.get("audio_cache_read", 0)


def _written(side: Side) -> int:
    return side.parts.get("cache_write_5m", 0) + side.parts.get("cache_write_1h", 0)
