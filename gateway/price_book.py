"""The published price list that comes with genai-prices, read into values that the configuration understands.

Only the data of the installed version is read: nothing is fetched, and its digest names exactly what was read.
The library takes a third of a second to load: `gateway.configuration` imports this module when a file asks.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from importlib.metadata import version
from importlib.resources import files

from genai_prices.data import providers
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from ledger.catalog.config.listed import Alternative, DatedRates, ListedPrices
from ledger.core.commands import to_microseconds

LIBRARY = "genai-prices"

PARTS_OF_PRICES: dict[str, tuple[str, int]] = {
    "input_mtok": ("uncached_input", 1),
    "cache_read_mtok": ("cache_read", 1),
    "cache_write_mtok": ("cache_write_5m", 1),
    "cache_write_5m_mtok": ("cache_write_5m", 1),
    "cache_write_1h_mtok": ("cache_write_1h", 1),
    "input_audio_mtok": ("audio_input", 1),
    "cache_audio_read_mtok": ("audio_cache_read", 1),
    "input_image_mtok": ("image_input", 1),
    "input_video_mtok": ("video_input", 1),
    "output_mtok": ("text_output", 1),
    "output_reasoning_mtok": ("reasoning", 1),
    "output_audio_mtok": ("audio_output", 1),
    "output_image_mtok": ("image_output", 1),
    "web_searches_kcount": ("web_searches", 1000),
}
"""The library's prices, the parts that they price, and how often theirs goes into a million.

A finer price stands after a coarser one of the same part. What is missing here is noticed when a model has it.
"""


class ListUnreadable(ValueError):
    """The list says something of a model that is not understood; the message says what."""


def find_prices(provider_name: str, model_name: str, now: int) -> ListedPrices:
    """Return what the list says of a provider's model at `now` (microseconds) and later, or a problem in words.

    Only the provider's own list counts: another provider's price for the same model is another price.
    """
    provider = next((each for each in providers if each.id == provider_name), None)
    if provider is None:
        return unknown("provider", provider_name, [each.id for each in providers])
    try:
        model = provider.find_model(model_name)
        if model is None:
            return unknown(f"{provider.id} model", model_name, [each.id for each in provider.models])
        return listed_prices(provider, model, now)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return ListedPrices(problem=f"{list_name()} can't be used for {provider.id} {model_name}: {error}")


def unknown(what: str, name: str, known: Sequence[str]) -> ListedPrices:
    """Return the problem of a name that the list does not have, with the nearest names that it has."""
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return ListedPrices(problem=f"{list_name()} has no {what} {name}{hint}")


def listed_prices(provider: Provider, model: ModelInfo, now: int) -> ListedPrices:
    """Return a model's prices from now on, and what they leave out."""
    conditional = model.prices if isinstance(model.prices, list) else [ConditionalPrice(prices=model.prices)]
    prices = [price for price, end in dated_rates(conditional) if end is None or end > now]
    if not any(price.rates for price in prices):
        return ListedPrices(problem=f"{list_name()} has no rates of {provider.id} {model.id}")
    return ListedPrices(
        source=f"{list_name()}: {provider.id} {model.id}",
        digest=list_digest(),
        prices=tuple(prices),
        notices=tuple(left_out(model, [each.prices for each in conditional])),
    )


def dated_rates(conditional: Sequence[ConditionalPrice]) -> Iterator[tuple[DatedRates, int | None]]:
    """Yield each price with its end. The last entry that holds wins; where none holds, the first one does."""
    constraints = [each.constraint for each in conditional]
    dates = sorted({each.start_date for each in constraints if isinstance(each, StartDateConstraint)})
    instants = [to_microseconds(datetime.combine(day, time(), UTC)) for day in dates]
    for number, day in enumerate([None, *dates]):
        begun = [
            at
            for at, each in enumerate(constraints)
            if each is None or (isinstance(each, StartDateConstraint) and day is not None and each.start_date <= day)
        ]
        winner = begun[-1] if begun else 0
        timed = [each.prices for each in conditional[winner + 1 :] if isinstance(each.constraint, TimeOfDateConstraint)]
        start = instants[number - 1] if number else None
        end = instants[number] if number < len(instants) else None
        yield DatedRates(start, *rates_and_alternatives(conditional[winner].prices, timed)), end


def rates_and_alternatives(
    price: ModelPrice, timed: Sequence[ModelPrice]
) -> tuple[dict[str, Decimal], tuple[Alternative, ...]]:
    """Return a price's rates, and those for long prompts and at some times of the day."""
    alternatives = [Alternative(rates_above(price, start), start) for start in tier_starts(price)]
    for each in timed:
        alternatives.append(Alternative(rates_above(each, None)))
        alternatives += [Alternative(rates_above(each, start), start) for start in tier_starts(each)]
    return rates_above(price, None), tuple(alternatives)


def tier_starts(price: ModelPrice) -> list[int]:
    """Return the lengths of prompts above which other rates apply."""
    tiered = [value for value in vars(price).values() if isinstance(value, TieredPrices)]
    return sorted({tier.start for each in tiered for tier in each.tiers})


def rates_above(price: ModelPrice, tokens: int | None) -> dict[str, Decimal]:
    """Return dollars per million by part for prompts above a length; reasoning is output where nothing else is said."""
    rates: dict[str, Decimal] = {}
    for name, (part, times) in PARTS_OF_PRICES.items():
        value = vars(price).get(name)
        if value is not None:
            rates[part] = rate_of(name, value, tokens) * times
    if "text_output" in rates:
        rates.setdefault("reasoning", rates["text_output"])
    return rates


def rate_of(name: str, value: object, tokens: int | None) -> Decimal:
    """Return the rate that a value holds for prompts above a length."""
    if isinstance(value, TieredPrices):
        reached = [tier for tier in value.tiers if tokens is not None and tier.start <= tokens]
        value = max(reached, key=lambda tier: tier.start).price if reached else value.base
    if not isinstance(value, Decimal) or not value.is_finite() or value < 0:
        raise ListUnreadable(f"{name} is no rate")
    return value


def left_out(model: ModelInfo, prices: Sequence[ModelPrice]) -> Iterator[str]:
    """Yield what the list says of a model that a rate card does not take over."""
    names = {name for each in prices for name, value in vars(each).items() if value is not None}
    strange = sorted(names - set(PARTS_OF_PRICES))
    if strange:
        yield f"{list_name()} also prices {', '.join(strange)} of {model.id}: not counted here, so never charged"
    contexts = {
        f"{key} {word}"
        for variant in model.price_variants or ()
        for key, word in variant.when.items()
        if word != "default"
    }
    if contexts:
        yield f"{list_name()} has other prices of {model.id} for {', '.join(sorted(contexts))}: the standard is taken"


def list_name() -> str:
    """Return the library's name and version."""
    return f"{LIBRARY} {version(LIBRARY)}"


@cache
def list_digest() -> str:
    """Return the SHA-256 of the library's data, in hex."""
    return hashlib.sha256(files("genai_prices").joinpath("data.py").read_bytes()).hexdigest()
