"""Rate cards: dated, immutable versions of a route's prices.

Rates are decimal texts in the bucket's unit per million tokens. Where they were taken from a price list in
another unit, that unit and the factor are stated on the card: there is no hidden exchange rate.
"""

import re
from functools import lru_cache

import msgspec

from ledger.core.amounts import UNIT_PATTERN
from ledger.core.identifiers import (
    IDENTIFIER_PATTERN,
    MODEL_PATTERN,
    NAME_PATTERN,
    check_count,
    check_pattern,
    check_text,
)
from ledger.core.refusals import Refusal, Refused
from ledger.core.rounding import Rounding
from ledger.pricing.usage import PARTS

RATE_PATTERN = re.compile(r"(0|[1-9][0-9]{0,11})(?:\.([0-9]{1,12}))?\Z")
MODEL_RATES_MAX = 64
VALID_FROM_MAX = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""
_KNOWN_PARTS = frozenset(PARTS)


class ModelRates(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Rates for reported models that match a pattern (`*` stands for any text), part by part.

    `list_rates` is the undiscounted price per part, where there is one: the base of the discount.
    """

    pattern: str
    rates: dict[str, str]
    list_rates: dict[str, str] = {}


class RateCard(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One dated version of one route's prices. `valid_from` is in microseconds since 1970 (UTC).

    `cost_models` are what the provider bills us, in `cost_unit` per million tokens: no customer sees them.
    """

    rate_card: str
    route: str
    bucket: str
    valid_from: int
    models: tuple[ModelRates, ...]
    source: str
    rounding: Rounding = Rounding.HALF_EVEN
    source_unit: str | None = None
    units_per_source_unit: str | None = None
    factor: str | None = None
    snapshot_digest: str | None = None
    cost_unit: str | None = None
    cost_models: tuple[ModelRates, ...] = ()


@lru_cache(maxsize=4096)
def parse_rate(text: str) -> tuple[int, int]:
    """Return a rate as (integer, power of ten below it): `'2.50'` is `(250, 2)`. Refused when malformed."""
    match = RATE_PATTERN.match(text)
    if match is None:
        raise Refused(
            Refusal.RATE_INVALID,
            f"rate {text[:32]!r} must be decimal digits such as '2.50', at most 12 on each side of the point",
            field="rate",
        )
    whole, fraction = match.groups(default="")
    return int(whole + fraction), len(fraction)


def check_rate_card(card: RateCard) -> RateCard:
    """Return a card whose every text, part and rate is well formed; else refuse."""
    check_pattern(card.rate_card, IDENTIFIER_PATTERN, "rate_card")
    check_pattern(card.route, NAME_PATTERN, "route")
    check_pattern(card.bucket, NAME_PATTERN, "bucket")
    check_count(card.valid_from, "valid_from", 0, VALID_FROM_MAX)
    check_text(card.source, "source", 200)
    for name, text in (("units_per_source_unit", card.units_per_source_unit), ("factor", card.factor)):
        if text is not None and parse_rate(text)[0] == 0:
            raise Refused(Refusal.RATE_INVALID, f"{name} must be greater than zero", field=name)
    check_text(card.source_unit or "", "source_unit", 24)
    check_text(card.snapshot_digest or "", "snapshot_digest", 128)
    if not 0 < len(card.models) <= MODEL_RATES_MAX:
        raise Refused(Refusal.RATE_INVALID, f"a rate card needs 1 to {MODEL_RATES_MAX} models", field="models")
    for model in card.models:
        check_model_rates(model)
    check_costs(card)
    return card


def check_costs(card: RateCard) -> None:
    """Refuse rates of cost without the unit that they are in, and a unit without rates."""
    if (card.cost_unit is None) != (not card.cost_models) or len(card.cost_models) > MODEL_RATES_MAX:
        raise Refused(
            Refusal.RATE_INVALID,
            f"cost_models, at most {MODEL_RATES_MAX}, and cost_unit are stated together or not at all",
            field="cost_models",
        )
    if card.cost_unit is not None:
        check_pattern(card.cost_unit, UNIT_PATTERN, "cost_unit")
    for model in card.cost_models:
        check_model_rates(model)


def check_model_rates(model: ModelRates) -> None:
    """Refuse rates of unknown parts, malformed rates, and list rates for parts that have no rate."""
    check_pattern(model.pattern.replace("*", "x"), MODEL_PATTERN, "pattern")
    if not model.rates:
        raise Refused(Refusal.RATE_INVALID, f"model {model.pattern!r} has no rates", field="rates")
    for rates in (model.rates, model.list_rates):
        for part, rate in rates.items():
            if part not in _KNOWN_PARTS:
                raise Refused(Refusal.RATE_INVALID, f"a rate names the unknown part {part[:40]!r}", field="rates")
            parse_rate(rate)
    for part in model.list_rates:
        if part not in model.rates:
            raise Refused(Refusal.RATE_INVALID, f"{part} has a list rate but no rate", field="list_rates")


def matches(pattern: str, model: str) -> bool:
    """Return whether a reported model has the pattern. `*` stands for any text; all else is literal."""
    head, star, tail = pattern.partition("*")
    if not star:
        return pattern == model
    if not model.startswith(head):
        return False
    pieces = (head + "*" + tail).split("*")[1:]
    at = len(head)
    for piece in pieces[:-1]:
        found = model.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return model.endswith(pieces[-1]) and len(model) - len(pieces[-1]) >= at


def rates_for(card: RateCard, reported_model: str) -> tuple[ModelRates, bool]:
    """Return the rates for a reported model and whether it matched.

    A model that matches no pattern is rated by the card's first pattern, the route's own model, and the
    caller must flag it: the card named at routing stays the price.
    """
    model = first_match(card.models, reported_model)
    return (card.models[0], False) if model is None else (model, True)


def first_match(models: tuple[ModelRates, ...], reported_model: str) -> ModelRates | None:
    """Return the rates of the first pattern that a reported model has, or None."""
    return next((model for model in models if matches(model.pattern, reported_model)), None)
