"""Rating: usage × rate card → charge lines, each rounded once by the card's named rounding."""

import msgspec

from ledger.core.amounts import AMOUNT_MINOR_MAX
from ledger.core.refusals import Refusal, Refused
from ledger.core.rounding import Rounding, divide
from ledger.pricing.rate_cards import ModelRates, RateCard, parse_rate, rates_for
from ledger.pricing.usage import PARTS, Usage

TOKENS_PER_RATE_EXPONENT = 6
"""Rates are per million tokens: ten to this power."""


class ChargeLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part's arithmetic: tokens × rate ÷ 1,000,000, rounded. Amounts in the bucket's smallest parts.

    `list_rate` and `list_minor` are absent where the card has no list price for the part.
    """

    part: str
    tokens: int
    rate: str
    charge_minor: int
    list_rate: str | None = None
    list_minor: int | None = None


class UnpricedLine(msgspec.Struct, frozen=True):
    """Tokens of a part for which the card has no rate: listed and alerted, never zero in silence."""

    part: str
    tokens: int


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


def rate_line(part: str, tokens: int, model: ModelRates, scale: int, rounding: Rounding) -> ChargeLine:
    """Return the charge line of one part that has a rate."""
    rate = model.rates[part]
    charge = rate_tokens(tokens, rate, scale, rounding)
    list_rate = model.list_rates.get(part)
    if list_rate is None:
        return ChargeLine(part, tokens, rate, charge)
    return ChargeLine(part, tokens, rate, charge, list_rate, rate_tokens(tokens, list_rate, scale, rounding))


def rate_usage(usage: Usage, card: RateCard, reported_model: str, scale: int) -> Rating:
    """Return the charge lines of a usage, in the order of the parts, with what could not be priced.

    Refused when the charge passes the largest amount of a command.
    """
    model, matched = rates_for(card, reported_model)
    lines: list[ChargeLine] = []
    unpriced: list[UnpricedLine] = []
    charge = list_charge = 0
    for part in PARTS:
        tokens = usage.parts.get(part, 0)
        if tokens == 0:
            continue
        if part not in model.rates:
            unpriced.append(UnpricedLine(part, tokens))
            continue
        line = rate_line(part, tokens, model, scale, card.rounding)
        lines.append(line)
        charge += line.charge_minor
        list_charge += line.charge_minor if line.list_minor is None else line.list_minor
    if max(charge, list_charge) > AMOUNT_MINOR_MAX:
        raise Refused(Refusal.AMOUNT_OUT_OF_RANGE, "the charge is larger than one command may name")
    return Rating(tuple(lines), tuple(unpriced), charge, list_charge, not matched)
