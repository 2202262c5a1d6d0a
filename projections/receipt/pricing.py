"""The arithmetic of a charge as a receipt shows it: every line with its exact product and its rounding."""

from collections.abc import Iterable

from ledger.api.answers import instant
from ledger.core.amounts import Unit, format_minor, state_amount
from ledger.pricing.rate_cards import RateCard, parse_rate
from ledger.pricing.rating import TOKENS_PER_RATE_EXPONENT, ChargeLine, UnpricedLine
from ledger.pricing.usage import PARTS, Usage
from ledger.request.events import ChargeCorrected, TokensSettled
from projections.receipt.answers import Calculation, PricedLine, PriceSource, TokenCount, TokensUsed, UnpricedTokens
from projections.receipt.moments import RepricedLine
from projections.receipt.words import calculation_text, usage_text


def tokens_used(event: TokensSettled) -> TokensUsed:
    """Return what an answer used, the tokens of other models behind those of the reported one."""
    parts = [*counts_of(event.usage, None)]
    for other in event.others:
        parts += counts_of(other.usage, other.model)
    return TokensUsed(
        event.reported_model,
        event.usage.input_tokens,
        event.usage.output_tokens,
        parts,
        event.usage_source,
        event.policy,
        list(event.terms),
        usage_text(event.usage_source, event.policy, event.terms),
    )


def counts_of(usage: Usage, model: str | None) -> Iterable[TokenCount]:
    """Yield the parts of a usage that are not zero, in their order."""
    return (TokenCount(part, usage.parts[part], model) for part in PARTS if usage.parts.get(part))


def calculation_of(event: TokensSettled, card: RateCard, unit: Unit) -> Calculation:
    """Return the arithmetic of a settlement under the card that was named at routing."""
    rated = event.charge_minor + event.waived_minor
    discount = None if event.list_minor is None else event.list_minor - rated
    return Calculation(
        event.bucket,
        card.rate_card,
        instant(card.valid_from),
        card.rounding.value,
        event.model_mismatch,
        [priced_line(line, unit) for line in event.lines],
        [unpriced_tokens(line) for line in event.unpriced],
        state_amount(rated, unit),
        None if event.list_minor is None else state_amount(event.list_minor, unit),
        None if discount is None else state_amount(discount, unit),
        calculation_text(card.rate_card, card.rounding.value),
    )


def priced_line(line: ChargeLine, unit: Unit) -> PricedLine:
    """Return a line with what its product is before it is rounded."""
    has_list = line.list_minor is not None
    list_minor = line.list_minor or 0
    return PricedLine(
        line.part,
        line.model,
        line.tokens,
        line.rate,
        exact_text(line.tokens, line.rate),
        state_amount(line.charge_minor, unit),
        line.list_rate,
        state_amount(list_minor, unit) if has_list else None,
        state_amount(list_minor - line.charge_minor, unit) if has_list else None,
    )


def unpriced_tokens(line: UnpricedLine) -> UnpricedTokens:
    """Return tokens without a rate."""
    return UnpricedTokens(line.part, line.model, line.tokens)


def repriced_lines(event: ChargeCorrected, unit: Unit) -> list[RepricedLine]:
    """Return the lines of a charge that was rated anew; none where the difference was stated."""
    return [
        RepricedLine(line.part, line.model, line.tokens, line.rate, state_amount(line.charge_minor, unit))
        for line in event.lines
    ]


def exact_text(tokens: int, rate: str) -> str:
    """Return tokens × rate ÷ 1,000,000 as decimal text, every digit of it and no trailing zeros."""
    mantissa, places = parse_rate(rate)
    whole, point, fraction = format_minor(tokens * mantissa, places + TOKENS_PER_RATE_EXPONENT).partition(".")
    fraction = fraction.rstrip("0")
    return whole + point + fraction if fraction else whole


def price_source(card: RateCard) -> PriceSource:
    """Return where a card's prices come from."""
    return PriceSource(
        card.rate_card, card.source, card.source_unit, card.units_per_source_unit, card.factor, card.snapshot_digest
    )
