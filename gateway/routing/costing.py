"""What an upstream call costs us, in the provider's own unit: what the upstream says, else what our rates say. Pure."""

from collections.abc import Sequence

from gateway.usage.cost import decimal_of
from gateway.usage.reported import ModelUsage, ReportedCost
from ledger.catalog.events import ProviderPublished
from ledger.core.amounts import AMOUNT_MINOR_MAX, StatedAmount, Unit, state_amount
from ledger.core.rounding import Rounding, divide
from ledger.pricing.rate_cards import RateCard, first_match, parse_rate
from ledger.pricing.rating import TOKENS_PER_RATE_EXPONENT

RATE_PLACES = 12
"""A rate has no more: the exact sum of a cost is counted in the smallest part that this leaves."""


def provider_cost(
    usage_entries: Sequence[ModelUsage],
    card: RateCard,
    provider: ProviderPublished,
    reported: ReportedCost | None,
) -> StatedAmount | None:
    """Return what a call costs us, rounded once, half to even; None where that is not known.

    A stated cost in another unit says nothing here. One part or model without a rate makes the whole unknown:
    the rest alone would look like a bargain.
    """
    minor = None
    if reported is not None and reported.unit == provider.cost_unit:
        minor = stated_minor(reported.value, provider.cost_scale)
    if minor is None and card.cost_unit == provider.cost_unit:
        minor = rated_minor(usage_entries, card, provider.cost_scale)
    if minor is None or minor > AMOUNT_MINOR_MAX:
        return None
    return state_amount(minor, Unit(provider.cost_unit, provider.cost_scale))


def stated_minor(value: str, scale: int) -> int | None:
    """Return what an upstream states in smallest parts, or None where it is no amount."""
    amount = decimal_of(value)
    if amount is None:
        return None
    numerator, denominator = amount.as_integer_ratio()
    return divide(numerator * int(10**scale), denominator, Rounding.HALF_EVEN)


def rated_minor(usage_entries: Sequence[ModelUsage], card: RateCard, scale: int) -> int | None:
    """Return the cost by the card's rates in smallest parts, or None where a rate is missing."""
    exact = 0
    for entry in usage_entries:
        model = card.cost_models[0] if entry.model is None else first_match(card.cost_models, entry.model)
        if model is None:
            return None
        for part, tokens in entry.usage.parts.items():
            if tokens == 0:
                continue
            if part not in model.rates:
                return None
            mantissa, places = parse_rate(model.rates[part])
            exact += tokens * mantissa * int(10 ** (RATE_PLACES - places))
    if not usage_entries:
        return None
    return divide(exact, int(10 ** (RATE_PLACES + TOKENS_PER_RATE_EXPONENT - scale)), Rounding.HALF_EVEN)
