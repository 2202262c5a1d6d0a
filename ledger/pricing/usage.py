"""Token counts of one attempt: inclusive totals and the disjoint parts that are rated.

Totals include everything, as in OpenTelemetry's `gen_ai.usage.input_tokens`; the parts are disjoint and sum
to the totals, so that no token is rated twice.
"""

import msgspec

from ledger.core.refusals import Refusal, Refused

INPUT_PARTS = (
    "uncached_input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "audio_input",
    "audio_cache_read",
    "image_input",
    "video_input",
)
OUTPUT_PARTS = ("text_output", "reasoning", "audio_output", "image_output")
COUNTED_PARTS = ("requests", "web_searches", "tool_calls")
"""Things that are counted but are no tokens: outside both totals, rated per million all the same."""

PARTS = INPUT_PARTS + OUTPUT_PARTS + COUNTED_PARTS
TOKENS_MAX = 10**12

_INPUT = frozenset(INPUT_PARTS)
_OUTPUT = frozenset(OUTPUT_PARTS)
_KNOWN = frozenset(PARTS)


class Usage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Totals and parts of one attempt, in tokens. Parts that are zero may be left out."""

    input_tokens: int
    output_tokens: int
    parts: dict[str, int]


class ModelUsage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens that another model than the reported one used for the same answer."""

    model: str
    usage: Usage


def check_usage(usage: Usage, field: str = "usage") -> Usage:
    """Return the usage when its parts are known, in range and sum to its totals; else refuse."""
    input_sum = output_sum = 0
    for part, tokens in usage.parts.items():
        if part not in _KNOWN:
            raise Refused(Refusal.USAGE_INVALID, f"{field} has an unknown part {part[:40]!r}", field=field)
        if not 0 <= tokens <= TOKENS_MAX:
            raise Refused(Refusal.USAGE_INVALID, f"{field}.{part} must be between 0 and 10^12", field=field)
        if part in _INPUT:
            input_sum += tokens
        elif part in _OUTPUT:
            output_sum += tokens
    if input_sum != usage.input_tokens:
        raise Refused(
            Refusal.USAGE_INVALID,
            f"{field}: input parts sum to {input_sum}, not to input_tokens",
            field=field,
        )
    if output_sum != usage.output_tokens:
        raise Refused(
            Refusal.USAGE_INVALID,
            f"{field}: output parts sum to {output_sum}, not to output_tokens",
            field=field,
        )
    return usage
