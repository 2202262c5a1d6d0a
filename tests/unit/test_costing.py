"""What a call costs us: the upstream's own word, else our rates; unknown is never zero and never a part of it."""

from decimal import ROUND_HALF_EVEN, Decimal, localcontext

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.costing import provider_cost
from gateway.usage.reported import ModelUsage, ReportedCost
from ledger.catalog.events import ProviderPublished
from ledger.core.amounts import StatedAmount
from ledger.core.refusals import Refusal, Refused
from ledger.pricing.rate_cards import ModelRates, RateCard, check_rate_card
from ledger.pricing.usage import Usage
from tests import strategies as drawn

RATES = {"uncached_input": "1.25", "text_output": "10", "web_searches": "10000"}
CARD = RateCard(
    "r.1", "r", "credit", 0, (ModelRates("*", {"uncached_input": "99", "text_output": "99"}),), "test",
    cost_unit="USD", cost_models=(ModelRates("gpt-5*", RATES), ModelRates("small", {"text_output": "0.5"})),
)  # fmt: skip
OPENAI = ProviderPublished("openai", "openai", "https://api.example/v1", "USD", 9)
USAGE = Usage(1000, 100, {"uncached_input": 1000, "text_output": 100})
OWN = (ModelUsage("gpt-5-2025-08-07", USAGE),)


def dollars(value: str) -> StatedAmount:
    """Return an amount of dollars."""
    return StatedAmount(value, "USD")


def test_what_the_upstream_states_goes_before_what_we_know() -> None:
    """A stated cost in the provider's unit is taken, rounded half to even at its scale."""
    assert provider_cost(OWN, CARD, OPENAI, ReportedCost("0.0000000125", "USD")) == dollars("0.000000012")
    assert provider_cost(OWN, CARD, OPENAI, ReportedCost("0.0000000135", "USD")) == dollars("0.000000014")
    assert provider_cost((), CARD, OPENAI, ReportedCost("0", "USD")) == dollars("0.000000000")
    assert provider_cost(OWN, CARD, OPENAI, ReportedCost("1.5", "CNY")) == dollars("0.002250000")
    assert provider_cost(OWN, CARD, OPENAI, ReportedCost("nonsense", "USD")) == dollars("0.002250000")


def test_each_model_is_rated_by_its_own_rates() -> None:
    """Another model in the same answer has its own pattern; what is counted beside tokens has its rate too."""
    other = ModelUsage("small", Usage(0, 100, {"text_output": 100, "reasoning": 0}))
    search = ModelUsage(None, Usage(0, 0, {"web_searches": 2}))
    assert provider_cost((*OWN, other, search), CARD, OPENAI, None) == dollars("0.022300000")


@pytest.mark.parametrize(
    ("entries", "changes"),
    [
        ((), {}),
        ((ModelUsage("gpt-4o", USAGE),), {}),
        ((*OWN, ModelUsage("gpt-4o", USAGE)), {}),
        ((ModelUsage("small", USAGE),), {}),
        ((*OWN, ModelUsage("small", Usage(1, 0, {"cache_read": 1}))), {}),
        (OWN, {"cost_unit": None, "cost_models": ()}),
        (OWN, {"cost_unit": "CNY"}),
        ((ModelUsage(None, Usage(10**12, 0, {"uncached_input": 10**12})),) * 90, {}),
    ],
)
def test_what_is_not_known_is_not_zero(entries: tuple[ModelUsage, ...], changes: dict[str, object]) -> None:
    """No usage, a model or part without a rate, rates in another unit, and what no amount can hold are unknown."""
    assert provider_cost(entries, msgspec.structs.replace(CARD, **changes), OPENAI, None) is None


@given(st.lists(drawn.usages(), min_size=1, max_size=3), st.integers(0, 9), st.data())
def test_a_cost_is_the_exact_sum_rounded_once(usages: list[Usage], scale: int, data: st.DataObject) -> None:
    """For any rates, usage and scale: the sum of tokens × rate ÷ 1,000,000, rounded once at the end."""
    rates = {
        part: data.draw(st.decimals(0, 999, places=data.draw(st.integers(0, 12))).map(lambda rate: f"{rate:f}"))
        for part in sorted({part for usage in usages for part in usage.parts} or {"reasoning"})
    }
    card = msgspec.structs.replace(CARD, cost_models=(ModelRates("*", rates),))
    provider = msgspec.structs.replace(OPENAI, cost_scale=scale)
    with localcontext(prec=100):
        exact = sum(
            (tokens * Decimal(rates[part]) for usage in usages for part, tokens in usage.parts.items()), Decimal(0)
        )
        wanted = (exact / 10**6).quantize(Decimal(1).scaleb(-scale), rounding=ROUND_HALF_EVEN)

        cost = provider_cost([ModelUsage("any", usage) for usage in usages], card, provider, None)

        if wanted.scaleb(scale) > 10**17:
            assert cost is None
        else:
            assert cost == StatedAmount(f"{wanted:f}", "USD")


@pytest.mark.parametrize(
    "changes",
    [
        {"cost_unit": None},
        {"cost_models": ()},
        {"cost_unit": "usd"},
        {"cost_models": (ModelRates("gpt 5", RATES),)},
        {"cost_models": (ModelRates("gpt-5", {}),)},
        {"cost_models": (ModelRates("gpt-5", {"smell": "1"}),)},
        {"cost_models": (ModelRates("gpt-5", {"reasoning": "1e3"}),)},
        {"cost_models": (ModelRates("gpt-5", RATES),) * 65},
    ],
)
def test_a_card_with_a_malformed_cost_is_refused(changes: dict[str, object]) -> None:
    """Cost is checked like prices, and its unit stands beside it."""
    assert check_rate_card(CARD) is CARD
    with pytest.raises(Refused) as refused:
        check_rate_card(msgspec.structs.replace(CARD, **changes))
    assert refused.value.code in (Refusal.RATE_INVALID, Refusal.TEXT_INVALID)
