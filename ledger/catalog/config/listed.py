"""Prices of a published list, in dollars: what the list says of a model, and which of it a route takes. Pure.

The list itself is read elsewhere and comes in as a function, so that nobody loads it who does not ask for it.
"""

from collections.abc import Callable, Iterable
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow, Rounded
from typing import Literal

import msgspec

from ledger.pricing.rate_cards import RATE_PATTERN

LIST_UNIT = "USD"

Varying = Literal["", "base", "highest"]
"""Which price to take where a list has several that a rate card can't tell apart; nothing means none of them."""

_EXACT = Context(prec=80, traps=[Inexact, InvalidOperation, Overflow, Rounded])


class Alternative(msgspec.Struct, frozen=True):
    """Other rates at the same date: for prompts of more than `above_tokens`, or at some times of the day."""

    rates: dict[str, Decimal]
    above_tokens: int | None = None


class DatedRates(msgspec.Struct, frozen=True):
    """Dollars per million by part from an instant on (microseconds), or since ever."""

    start: int | None
    rates: dict[str, Decimal]
    alternatives: tuple[Alternative, ...] = ()


class ListedPrices(msgspec.Struct, frozen=True):
    """What a list says of one model: the prices now and later, in order of their dates, or a problem in words.

    `source` names the list, its version and the model; `digest` is the SHA-256 of the whole list.
    """

    source: str = ""
    digest: str = ""
    prices: tuple[DatedRates, ...] = ()
    notices: tuple[str, ...] = ()
    problem: str = ""


LookUp = Callable[[str, str], ListedPrices]
"""Finds the prices of (provider, model), both in the list's own names."""


class Unrepresentable(ArithmeticError):
    """A listed price can't be taken as it is; the message says why, for a person."""


def no_list(provider: str, model: str) -> ListedPrices:
    """Find nothing: there is no list at hand."""
    return ListedPrices(problem="there is no price list at hand")


def rates_taken(dated: DatedRates, varying: Varying, context_tokens: int | None) -> dict[str, Decimal]:
    """Return the one set of rates that a card can hold. Raises Unrepresentable where somebody must choose.

    A tier that begins above the route's own context is never reached.
    """
    reached = [
        each
        for each in dated.alternatives
        if each.above_tokens is None or context_tokens is None or each.above_tokens < context_tokens
    ]
    if not reached or varying == "base":
        return dated.rates
    if varying == "highest":
        return highest([dated.rates, *(each.rates for each in reached)])
    raise Unrepresentable(
        f"the listed price depends on {' and '.join(sorted({depends_on(each) for each in reached}))}, which a rate "
        'card can\'t tell apart: set varying = "highest" or "base", context_tokens on the route, or rates of your own'
    )


def depends_on(alternative: Alternative) -> str:
    """Return in words what decides whether other rates apply."""
    if alternative.above_tokens is None:
        return "the time of day"
    return f"the length of the prompt (above {alternative.above_tokens} tokens)"


def highest(several: Iterable[dict[str, Decimal]]) -> dict[str, Decimal]:
    """Return each part's highest rate."""
    found: dict[str, Decimal] = {}
    for rates in several:
        for part, rate in rates.items():
            found[part] = max(rate, found.get(part, rate))
    return found


def multiply(rates: dict[str, Decimal], *factors: str) -> dict[str, str]:
    """Return rates times all factors as exact decimal text. Raises Unrepresentable where a card can't hold it."""
    return {part: rate_text(part, rate, factors) for part, rate in rates.items()}


def rate_text(part: str, rate: Decimal, factors: Iterable[str]) -> str:
    """Return one rate times all factors, exact."""
    try:
        for factor in factors:
            rate = _EXACT.multiply(rate, Decimal(factor))
        text = format(rate, "f")
    except ArithmeticError:
        raise Unrepresentable(f"the rate of {part} has too many digits to be exact") from None
    text = text.rstrip("0").rstrip(".") if "." in text else text
    if RATE_PATTERN.match(text) is None:
        raise Unrepresentable(
            f"the rate of {part} would be {text[:40]}: a card holds at most 12 digits on each side of the point; "
            "choose rounder units_per_source_unit or factor"
        )
    return text
