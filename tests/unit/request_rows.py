"""Rows of the route ledger for the tests of what is made of them."""

from typing import Any

from projections.route_ledger.rows import (
    Amendment,
    Detail,
    FailedAttempt,
    Move,
    PlacedEntry,
    RequestRow,
    RouteTaken,
    Skipped,
    TokenLine,
)
from tests.unit import story

SECOND = 1_000_000
CATALOG = story.opened().books["platform"].catalog
"""A catalog with the story's units, routes and rate cards."""

INPUT = TokenLine("uncached_input", 1000, "2.50", 2500)
OF_ANOTHER_MODEL = TokenLine("uncached_input", 100, "5", 500, None, "gpt-4o")
BILLED_IN_USD = FailedAttempt(
    1, "gpt-direct", "direct", "openai", "credit", "timeout", True, 1, 30_000, 504, 1_000_000, "USD"
)  # fmt: skip
BILLED_IN_CNY = FailedAttempt(
    2, "gpt-ordinary", "ordinary", "deepseek", "rmb", "overloaded", False, 2, 5, None, 20_000, "CNY"
)  # fmt: skip


def request_row(**fields: Any) -> RequestRow:
    """Return a settled request that failed once, at two providers that bill in two units, and was amended."""
    settled: dict[str, Any] = {
        "workspace_id": "acme", "generation": 1, "request_id": "r1", "position": 10, "last_position": 15,
        "status": "settled", "began_at": 1_763_000_000 * SECOND, "changed_at": 1_763_000_009 * SECOND,
        "ended_at": 1_763_000_005 * SECOND, "expires_at": 1_763_000_600 * SECOND, "project_id": "web",
        "api_key_id": "k1", "end_user": None, "workflow": "agent", "run": None, "step": None, "model": "gpt-5",
        "route": "gpt-direct", "tier": "direct", "provider": "openai", "upstream_model": "gpt-5-2026",
        "reported_model": "gpt-5-2026", "bucket": "credit", "unit": "CREDIT", "rule": "first target",
        "first_route": "gpt-direct", "first_bucket": "credit", "first_rate_card": "gpt-direct.1",
        "rate_card": "gpt-direct.1", "priced_by": "ledger", "attempts": 2, "retries": 1, "fallbacks": 0,
        "went_wrong": True, "input_tokens": 1100, "output_tokens": 10, "usage_source": "reported", "policy": None,
        "held_minor": 0, "charge_minor": 9000, "paid_minor": 6500, "refunded_minor": 500, "list_minor": 12_500,
        "listed_minor": 10_000, "waived_minor": 200, "overrun_minor": 2500, "latency_ms": 800, "first_token_ms": 90,
        "cost_minor": 4_000_000, "cost_unit": "USD", "unpriced": False, "model_mismatch": False, "trace_id": None,
        "detail": Detail(
            [RouteTaken("gpt-direct", "direct", "openai", "credit")],
            [INPUT, OF_ANOTHER_MODEL, TokenLine("text_output", 10, "10", 100)],
            [BILLED_IN_USD, BILLED_IN_CNY],
            [Move(11, 3, "gpt-azure", "gpt-direct", "credit", "credit", "timeout")],
            [Amendment("refund", 4, -500), Amendment("correction", 5, -800, 300, "mistake")],
            [PlacedEntry("credit", 10)], [PlacedEntry("credit", 15)], [Skipped("gpt-azure", "suspended")],
            ["speed=fast"],
        ),
    }  # fmt: skip
    return RequestRow(**settled | fields)
