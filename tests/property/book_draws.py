"""What the machine of the book draws from: sizes, moments, limits, usages and the routes of the story."""

from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from ledger.core.amounts import StatedAmount
from ledger.pricing.usage import Usage
from ledger.workspace import commands as workspace
from tests.property.oracle_model import Route
from tests.unit.story import card

UNITS = {"credit": ("CREDIT", 6), "rmb": ("CNY", 6), "points": ("POINT", 0)}
RATES = {part: Decimal(rate) for part, rate in card("", "", "").models[0].rates.items()}
ROUTES = {
    "gpt-direct": Route("credit", "direct", "gpt-5", RATES),
    "gpt-azure": Route("credit", "direct", "gpt-5", RATES),
    "gpt-mini": Route("credit", "direct", "gpt-5-mini", RATES),
    "gpt-ordinary": Route("rmb", "ordinary", "gpt-5", RATES),
    "own-price": Route("credit", "ordinary", "gpt-5", None),
}
picks = st.integers(0, 11)
numbers = st.integers(1, 3)
routes = st.sampled_from(tuple(ROUTES))
sizes = st.sampled_from(("0.000001", "0.5", "1", "7", "20", "33.333333", "60", "100"))
signed = st.sampled_from(("-60", "-1", "-0.000001", "0.5", "2", "150"))
tokens = st.sampled_from((0, 1, 7, 333, 100_000, 2_000_000, 9_000_000))
charge_limits = st.none() | st.sampled_from(("0", "0.5", "7", "100"))
other_models = st.lists(
    st.tuples(st.sampled_from(("gpt-5-mini", "gpt-4o", "o9")), tokens, tokens), max_size=2
)  # fmt: skip
per_minute = st.tuples(st.sampled_from((None, 1, 3, 50)), st.sampled_from((None, 1399, 3000, 20_000_000)))
instants = st.none() | st.integers(0, 40 * 86_400)
spend_limits = st.lists(
    st.tuples(st.sampled_from(("credit", "rmb")), st.sampled_from(("day", "month")), sizes),
    max_size=3, unique_by=lambda limit: limit[:2],
)  # fmt: skip


def amount(bucket: str, value: str) -> StatedAmount:
    """Return an amount in a bucket's unit."""
    return StatedAmount(value, UNITS[bucket][0])


def used(input_tokens: int, output_tokens: int) -> Usage:
    """Return a usage of text alone."""
    return Usage(input_tokens, output_tokens, {"uncached_input": input_tokens, "text_output": output_tokens})


def stated_limits(drawn: list[tuple[str, Any, str]]) -> tuple[workspace.StatedSpendLimit, ...]:
    """Return drawn limits as a command states them."""
    return tuple(workspace.StatedSpendLimit(name, period, amount(name, value)) for name, period, value in drawn)
