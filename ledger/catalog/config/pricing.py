"""New rate cards where a route's price changed. A card is never edited: it is succeeded from an instant on."""

import hashlib
from bisect import bisect_right
from collections.abc import Iterator, Sequence

import msgspec

from ledger.catalog.commands import PublishRateCard
from ledger.catalog.config.tables import Problem, plain_rate
from ledger.catalog.config.values import Price, Route
from ledger.catalog.state import Catalog, card_in_force
from ledger.core.rounding import Rounding
from ledger.pricing.rate_cards import ModelRates, RateCard

DAY_MICROSECONDS = 86_400_000_000


class Content(msgspec.Struct, frozen=True):
    """What a rate card says beside its name, its route and its date."""

    models: tuple[ModelRates, ...]
    source: str
    rounding: Rounding
    source_unit: str | None
    units_per_source_unit: str | None
    factor: str | None
    snapshot_digest: str | None = None


def new_cards(catalog: Catalog, route: Route, now: int) -> Iterator[PublishRateCard]:
    """Yield the cards that make a route's price what the file says.

    The name counts the route's cards and digests the price: two servers that apply one file at once publish one
    card, and a price that comes back later gets a card of its own.
    """
    if route.price is None:
        return
    cards = catalog.cards_of_route.get(route.name, ())
    wanted = content_of_price(route.price)
    digest = hashlib.sha256(msgspec.json.encode(wanted)).hexdigest()[:12]
    instants = succeeded_at(cards, wanted, start_of(route.price, cards, now))
    for ordinal, instant in enumerate(instants, start=len(cards) + 1):
        yield PublishRateCard(
            card=RateCard(
                rate_card=f"{route.name}:{ordinal}.{digest}",
                route=route.name,
                bucket=route.bucket,
                valid_from=instant,
                **msgspec.structs.asdict(wanted),
            )
        )


def start_of(price: Price, cards: Sequence[RateCard], now: int) -> int:
    """Return from when on a price shall hold.

    A stated date that follows all cards is taken as it is. An older one can't be: what was charged since then was
    charged. A route's first price holds from the beginning of the day (UTC), so that clocks that differ a little
    do not leave the route without one.
    """
    if price.valid_from is None:
        return now if cards else now - now % DAY_MICROSECONDS
    if not cards or price.valid_from > cards[-1].valid_from:
        return price.valid_from
    return max(price.valid_from, now)


def succeeded_at(cards: Sequence[RateCard], wanted: Content, start: int) -> Iterator[int]:
    """Yield the instants at which a new card is needed for a price to hold from `start` on.

    A card that was published for a later date can't be withdrawn: it is succeeded a microsecond after.
    """
    index = bisect_right(cards, start, key=lambda card: card.valid_from)
    if index == 0:
        yield start
    holding = cards[max(index - 1, 0) :]
    for number, card in enumerate(holding):
        following = holding[number + 1].valid_from if number + 1 < len(holding) else None
        instant = max(card.valid_from + 1, start)
        if content_of_card(card) != wanted and (following is None or instant < following):
            yield instant


def price_notices(catalog: Catalog, route: Route, now: int) -> Iterator[Problem]:
    """Yield dates of prices that will not do what somebody may expect of them."""
    if route.price is None or route.price.valid_from is None:
        return
    place = f"routes.{route.name}.price.valid_from"
    cards = catalog.cards_of_route.get(route.name, ())
    if start_of(route.price, cards, now) > route.price.valid_from and any(new_cards(catalog, route, now)):
        yield Problem(place, "has passed and another price held since: the new price holds from now on")
    if route.price.valid_from > now and card_in_force(catalog, route.name, now) is None:
        yield Problem(place, f"lies ahead: until then route {route.name} has no price and takes no requests")


def content_of_price(price: Price) -> Content:
    """Return what a configured price says."""
    return Content(
        plain_models(price.models),
        price.source,
        price.rounding,
        price.source_unit,
        price.units_per_source_unit,
        price.factor,
    )


def content_of_card(card: RateCard) -> Content:
    """Return what a published card says."""
    return Content(
        plain_models(card.models),
        card.source,
        card.rounding,
        card.source_unit,
        None if card.units_per_source_unit is None else plain_rate(card.units_per_source_unit),
        None if card.factor is None else plain_rate(card.factor),
        card.snapshot_digest,
    )


def plain_models(models: tuple[ModelRates, ...]) -> tuple[ModelRates, ...]:
    """Return rates without zeros that say nothing, in the order of the parts' names."""
    return tuple(ModelRates(each.pattern, plain(each.rates), plain(each.list_rates)) for each in models)


def plain(rates: dict[str, str]) -> dict[str, str]:
    """Return the rates of parts in one way of writing."""
    return {part: plain_rate(rates[part]) for part in sorted(rates)}
