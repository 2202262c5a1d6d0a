"""Rating: usage × rate card → charge lines, each rounded once by the card's named rounding."""

from collections.abc import Sequence

import msgspec

from ledger.core.amounts import AMOUNT_MINOR_MAX
from ledger.core.refusals import Refusal, Refused
from ledger.core.rounding import Rounding, divide
from ledger.pricing.rate_cards import ModelRates, RateCard, parse_rate, rates_for
from ledger.pricing.usage import PARTS, ModelUsage, Usage

TOKENS_PER_RATE_EXPONENT = 6
"""Rates are per million tokens: ten to this power."""


class ChargeLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part's arithmetic: tokens × rate ÷ 1,000,000, rounded. Amounts in the bucket's smallest parts.

    `list_rate` and `list_minor` are absent where the card has no list price for the part. `model` is another model
    than the reported one that used the tokens.
    """

    part: str
    tokens: int
    rate: str
    charge_minor: int
    list_rate: str | None = None
    list_minor: int | None = None
    model: str | None = None


class UnpricedLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens of a part for which the card has no rate: listed and alerted, never zero in silence."""

    part: str
    tokens: int
    model: str | None = None


class Rating(msgspec.Struct, frozen=True):
    """What a usage is charged under one card. `list_minor` takes lines without list price at their charge."""

    lines: tuple[ChargeLine, ...]
    unpriced: tuple[UnpricedLine, ...]
    charge_minor: int
    list_minor: int
    model_mismatch: bool


def rate_tokens(tokens: int, rate: str, scale: int, rounding: Rounding) -> int:
    """Return tokens × rate ÷ 1,000,000 in smallest parts of a unit with that scale."""
    mantissa, exponent = parse_rate(rate)
    exponent += TOKENS_PER_RATE_EXPONENT - scale
    if exponent <= 0:
        return tokens * mantissa * int(10**-exponent)
    return divide(tokens * mantissa, 10**exponent, rounding)


def rate_line(
    part: str, tokens: int, rates: ModelRates, scale: int, rounding: Rounding, other: str | None = None
) -> ChargeLine:
    """Return the charge line of one part that has a rate. `other` is a model that is not the reported one."""
    rate = rates.rates[part]
    charge = rate_tokens(tokens, rate, scale, rounding)
    list_rate = rates.list_rates.get(part)
    if list_rate is None:
        return ChargeLine(part, tokens, rate, charge, None, None, other)
    return ChargeLine(part, tokens, rate, charge, list_rate, rate_tokens(tokens, list_rate, scale, rounding), other)


def rate_usage(
    usage: Usage, card: RateCard, reported_model: str, scale: int, others: Sequence[ModelUsage] = ()
) -> Rating:
    """Return the charge lines of a usage, in the order of the parts, with what could not be priced.

    `others` are rated after it, entry by entry, each by its own model's rates on the same card. Refused when the
    charge passes the largest amount of a command.
    """
    lines: list[ChargeLine] = []
    unpriced: list[UnpricedLine] = []
    is_mismatch = rate_model(usage, card, reported_model, None, scale, lines, unpriced)
    for other in others:
        is_mismatch |= rate_model(other.usage, card, other.model, other.model, scale, lines, unpriced)
    charge = list_charge = 0
    for line in lines:
        charge += line.charge_minor
        list_charge += line.charge_minor if line.list_minor is None else line.list_minor
    if max(charge, list_charge) > AMOUNT_MINOR_MAX:
        raise Refused(Refusal.AMOUNT_OUT_OF_RANGE, "the charge is larger than one command may name")
    return Rating(tuple(lines), tuple(unpriced), charge, list_charge, is_mismatch)


def rate_model(
    usage: Usage,
    card: RateCard,
    model: str,
    other: str | None,
    scale: int,
    lines: list[ChargeLine],
    unpriced: list[UnpricedLine],
) -> bool:
    """Add one model's lines to those of the answer; return whether the card has no pattern for it."""
    rates, matched = rates_for(card, model)
    for part in PARTS:
        tokens = usage.parts.get(part, 0)
        if tokens == 0:
            continue
        if part in rates.rates:
            lines.append(rate_line(part, tokens, rates, scale, card.rounding, other))
        else:
            unpriced.append(UnpricedLine(part, tokens, other))
    return not matched
