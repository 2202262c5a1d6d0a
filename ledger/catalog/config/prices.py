"""A route's price and cost, read from its tables `price` and `cost`: rates in so many words, or from a price list."""

import re
from decimal import Decimal
from typing import cast

import msgspec

from ledger.catalog.config.listed import (
    LIST_UNIT,
    DatedRates,
    ListedPrices,
    LookUp,
    Unrepresentable,
    Varying,
    multiply,
    rates_taken,
)
from ledger.catalog.config.tables import Problem, Table
from ledger.catalog.config.values import Price
from ledger.core.amounts import UNIT_PATTERN
from ledger.core.identifiers import HASH_PATTERN, MODEL_PATTERN, NAME_PATTERN
from ledger.core.rounding import Rounding
from ledger.pricing.rate_cards import MODEL_RATES_MAX, ModelRates

MODEL_GLOB_PATTERN = re.compile(r"[A-Za-z0-9*][A-Za-z0-9._:/@+*-]{0,127}\Z")
LISTS = ("genai-prices",)
ONE = "1"


class About(msgspec.Struct, frozen=True):
    """The route whose price is read. `cost_unit` is its provider's, empty where that is not known."""

    model: str
    context_tokens: int | None
    cost_unit: str
    look_up: LookUp
    notices: list[Problem]


class Costs(msgspec.Struct, frozen=True):
    """What the provider bills us from an instant on, or since ever."""

    start: int | None
    models: tuple[ModelRates, ...]


def read_prices(price: Table, cost: Table | None, about: About) -> tuple[Price, ...]:
    """Return a route's prices in order of their dates, each with the cost that belongs to it."""
    is_listed = price.has("from")
    prices = read_listed_prices(price, about) if is_listed else (read_stated_price(price, about.model),)
    if cost is None:
        if is_listed:
            note_other_unit(price, about)
        return prices
    pattern = prices[0].models[0].pattern if prices and prices[0].models else about.model
    costs = read_listed_costs(cost, pattern, about) if cost.has("from") else (read_stated_costs(cost, pattern),)
    cost.close()
    return with_costs(prices, costs, about.cost_unit)


def read_stated_price(table: Table, model: str) -> Price:
    """Return a price of the file's own: rates of the route's model, and of others by pattern where they differ."""
    price = Price(
        models=read_models(table, model, with_list=True),
        source=table.text("source", 200, "configuration"),
        rounding=read_rounding(table),
        valid_from=table.instant("valid_from"),
        source_unit=table.name("source_unit", UNIT_PATTERN, required=False) or None,
        units_per_source_unit=read_factor(table, "units_per_source_unit"),
        factor=read_factor(table, "factor"),
    )
    if price.units_per_source_unit and not table.has("source_unit"):
        table.problem("units_per_source_unit", "needs the source_unit that it counts")
    table.close()
    return price


def read_listed_prices(table: Table, about: About) -> tuple[Price, ...]:
    """Return the prices that a list gives now and later: dollars × units per dollar × factor, exactly.

    Rates of the file's own, in the bucket's unit, stand beside the listed ones or instead of them.
    """
    factors = {key: required_factor(table, key) for key in ("units_per_source_unit", "factor")}
    pattern = table.name("pattern", MODEL_GLOB_PATTERN, required=False) or about.model
    own = table.rates("rates")
    others = tuple(read_others(table, MODEL_RATES_MAX - 1, with_list=True))
    rounding, start = read_rounding(table), table.instant("valid_from")
    if table.choice("source_unit", (LIST_UNIT,), LIST_UNIT) != LIST_UNIT:
        table.problem("source_unit", f"the list is in {LIST_UNIT}")
    varying, listed = read_listed(table, about)
    table.close()
    units, factor = factors["units_per_source_unit"], factors["factor"]
    if listed is None or not units or not factor:
        return ()
    source = with_own(listed.source, varying, own)
    prices = []
    for dated in listed.prices:
        try:
            taken = rates_taken(dated, varying, about.context_tokens)
            rates = {**multiply(taken, units, factor), **own}
            undiscounted = multiply({part: taken[part] for part in taken if part not in own}, units)
            cost = multiply(taken, ONE)
        except Unrepresentable as problem:
            table.problem("", str(problem))
            return ()
        price = Price(
            models=(ModelRates(pattern, rates, undiscounted if Decimal(factor) < 1 else {}), *others),
            source=source,
            rounding=rounding,
            valid_from=dated.start,
            source_unit=LIST_UNIT,
            units_per_source_unit=units,
            factor=factor,
            snapshot_digest=listed.digest,
        )
        prices.append(with_listed_cost(price, ModelRates(pattern, cost), about.cost_unit))
    return tuple(prices) if start is None else clipped(prices, start)


def read_listed(table: Table, about: About) -> tuple[Varying, ListedPrices | None]:
    """Return what a list says of the model that a table names, or None with a problem."""
    table.choice("from", LISTS)
    provider = table.name("provider", NAME_PATTERN)
    model = table.name("model", MODEL_PATTERN, required=False) or about.model
    varying = cast(Varying, table.choice("varying", ("base", "highest"), ""))
    digest = table.name("digest", HASH_PATTERN, required=False)
    if table.values["from"] not in LISTS or not provider or not model:
        return varying, None
    listed = about.look_up(provider, model)
    problem = listed.problem or problem_of(listed, digest)
    if problem:
        table.problem("", problem)
        return varying, None
    about.notices.extend(Problem(table.place, notice) for notice in listed.notices)
    return varying, listed


def problem_of(listed: ListedPrices, digest: str) -> str:
    """Return what keeps a list's prices from being taken: another list than the file wants, or no rates."""
    if digest not in ("", listed.digest):
        return f"the installed list has the digest {listed.digest}, not the one that the file wants"
    priced = listed.prices and all(dated.rates for dated in listed.prices)
    return "" if priced else f"{listed.source} has no rates"


def with_own(source: str, varying: Varying, own: dict[str, str]) -> str:
    """Return where rates come from, with the choices that somebody made; as long as a card allows."""
    chosen = f", {varying} where it varies" if varying else ""
    added = f", own rates for {', '.join(own)}" if own else ""
    text = source + chosen + added
    return text if len(text) <= 200 else f"{source}{chosen}, some rates our own"[:200]


def with_listed_cost(price: Price, cost: ModelRates, cost_unit: str) -> Price:
    """Return a price with the listed dollars as its cost, where the provider bills in dollars."""
    if cost_unit != LIST_UNIT:
        return price
    return msgspec.structs.replace(price, cost_unit=LIST_UNIT, cost_models=(cost,))


def note_other_unit(table: Table, about: About) -> None:
    """Notice that a list in dollars says nothing of a bill in another unit."""
    if about.cost_unit not in ("", LIST_UNIT):
        message = (
            f"the provider bills in {about.cost_unit}, the list is in {LIST_UNIT}: state [routes.cost] to know cost"
        )
        about.notices.append(Problem(table.place, message))


def clipped(prices: list[Price], start: int) -> tuple[Price, ...]:
    """Return the prices from an instant on: the one that holds then, and those that follow."""
    following = [price for price in prices if price.valid_from is not None and price.valid_from > start]
    holding = prices[: len(prices) - len(following)][-1:]
    return (*(msgspec.structs.replace(price, valid_from=start) for price in holding), *following)


def read_stated_costs(table: Table, pattern: str) -> Costs:
    """Return what the file itself says of the provider's bills."""
    return Costs(None, read_models(table, pattern, with_list=False))


def read_listed_costs(table: Table, pattern: str, about: About) -> tuple[Costs, ...]:
    """Return the listed dollars as cost."""
    pattern = table.name("pattern", MODEL_GLOB_PATTERN, required=False) or pattern
    others = tuple(read_others(table, MODEL_RATES_MAX - 1, with_list=False))
    varying, listed = read_listed(table, about)
    if about.cost_unit not in ("", LIST_UNIT):
        table.problem("from", f"the list is in {LIST_UNIT}, but the provider bills in {about.cost_unit}")
    try:
        return tuple(costs_of(dated, pattern, varying, about, others) for dated in (listed.prices if listed else ()))
    except Unrepresentable as problem:
        table.problem("", str(problem))
        return ()


def costs_of(dated: DatedRates, pattern: str, varying: Varying, about: About, others: tuple[ModelRates, ...]) -> Costs:
    """Return one listed price as cost."""
    rates = multiply(rates_taken(dated, varying, about.context_tokens), ONE)
    return Costs(dated.start, (ModelRates(pattern, rates), *others))


def with_costs(prices: tuple[Price, ...], costs: tuple[Costs, ...], cost_unit: str) -> tuple[Price, ...]:
    """Return prices with their costs: a new one wherever either changes."""
    if not prices or not costs or not cost_unit:
        return prices
    first = prices[0].valid_from
    starts = {price.valid_from for price in prices}
    starts |= {each.start for each in costs if each.start is not None and (first is None or each.start > first)}
    joined = []
    for start in sorted(starts, key=lambda start: -1 if start is None else start):
        price = [each for each in prices if not_after(each.valid_from, start)][-1]
        known = [each for each in costs if not_after(each.start, start)]
        models = known[-1].models if known else ()
        unit = cost_unit if models else None
        joined.append(msgspec.structs.replace(price, valid_from=start, cost_unit=unit, cost_models=models))
    return tuple(joined)


def not_after(start: int | None, other: int | None) -> bool:
    """Return whether one start is the other or lies before it; none at all lies before every instant."""
    return start is None or (other is not None and start <= other)


def read_models(table: Table, model: str, *, with_list: bool) -> tuple[ModelRates, ...]:
    """Return rates of the route's own model, and of others by pattern."""
    own = [read_model_rates(table, model, with_list=with_list)] if table.has("rates") or not table.has("models") else []
    return (*own, *read_others(table, MODEL_RATES_MAX - len(own), with_list=with_list))


def read_others(table: Table, number_max: int, *, with_list: bool) -> list[ModelRates]:
    """Return the rates of models with patterns of their own."""
    others = []
    for each in table.tables("models", "pattern"):
        others.append(read_model_rates(each, "", with_list=with_list))
        each.close()
    if len(others) > number_max:
        table.problem("models", f"are more than {number_max}")
    return others


def read_model_rates(table: Table, model: str, *, with_list: bool) -> ModelRates:
    """Return the rates for reported models of one pattern; the route's own model where none is named."""
    pattern = table.name("pattern", MODEL_GLOB_PATTERN, required=not model)
    rates = table.rates("rates")
    list_rates = table.rates("list_rates") if with_list else {}
    stated = table.values.get("rates", {})
    if not stated:
        table.problem("rates", "are missing: without a rate a token would have no price")
    for part in list_rates if isinstance(stated, dict) else ():
        if part not in stated:
            table.problem(f"list_rates.{part}", "has a list rate but no rate")
    return ModelRates(pattern or model, rates, list_rates)


def read_rounding(table: Table) -> Rounding:
    """Return how charges are rounded."""
    return Rounding(table.choice("rounding", tuple(Rounding), "half_even"))


def required_factor(table: Table, key: str) -> str | None:
    """Return a factor that must be stated: there is no hidden exchange rate."""
    factor = read_factor(table, key)
    if not table.has(key):
        table.problem(key, "is missing: a price from a list needs it in so many words")
    return factor


def read_factor(table: Table, key: str) -> str | None:
    """Return a decimal text that is greater than zero, or None."""
    factor = table.rate(key)
    if factor is not None and not factor.strip("0."):
        table.problem(key, "must be greater than zero")
    return factor
