"""What upstreams say they bill, as exact decimal text.

A decoder that makes binary fractions of JSON numbers is undone by their shortest text, which is what was sent.
"""

import re
from decimal import Context, Decimal

from gateway.usage.reading import Block, Reader
from gateway.usage.reported import ReportedCost

DOLLARS = "USD"
TICKS_EXPONENT = 10
"""An xAI tick is 10^-10 dollars."""
DIGITS_MAX = 12
PLACES_MAX = 24
AMOUNT_PATTERN = re.compile(r"[0-9]{1,24}(?:\.[0-9]{1,36})?(?:[eE][+-]?[0-9]{1,2})?\Z")
_EXACT = Context(prec=200)


def decimal_of(value: object) -> Decimal | None:
    """Return a JSON number or decimal text as an exact, sensibly sized amount, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    if isinstance(value, int) and not 0 <= value < 10 ** (DIGITS_MAX + TICKS_EXPONENT):
        return None
    text = repr(value) if isinstance(value, float) else str(value)
    if AMOUNT_PATTERN.match(text) is None:
        return None
    amount = Decimal(text)
    fits = -PLACES_MAX <= amount.adjusted() < DIGITS_MAX + TICKS_EXPONENT
    return amount if fits or amount == 0 else None


def plain(amount: Decimal) -> str:
    """Return an amount without exponent and without trailing zeros."""
    if amount == 0:
        return "0"
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def amount_at(block: Block, name: str, reader: Reader) -> Decimal | None:
    """Return an amount, or None where it is absent or none; the latter is named."""
    value = block.get(name)
    if value is None:
        return None
    amount = decimal_of(value)
    if amount is None:
        reader.note(f"bad:{name}")
    return amount


def openrouter_cost(block: Block, reader: Reader) -> ReportedCost | None:
    """Return what a call really costs: OpenRouter's own credits and, with our own key, the provider's bill.

    With our own key `cost` alone is only OpenRouter's fee, often 0: without the provider's part it is unknown.
    """
    cost = amount_at(block, "cost", reader)
    if cost is None:
        return None
    if block.get("is_byok") is True:
        upstream = amount_at(reader.block(block, "cost_details"), "upstream_inference_cost", reader)
        if upstream is None:
            reader.note("absent:upstream_inference_cost")
            return None
        cost = _EXACT.add(cost, upstream)
    return ReportedCost(plain(cost), DOLLARS)


def xai_cost(block: Block, reader: Reader) -> ReportedCost | None:
    """Return what xAI says a call costs."""
    ticks = amount_at(block, "cost_in_usd_ticks", reader)
    return None if ticks is None else ReportedCost(plain(_EXACT.scaleb(ticks, -TICKS_EXPONENT)), DOLLARS)
