"""New rate cards where a route's price changed. A card is never edited: it is succeeded from an instant on."""

import hashlib
from bisect import bisect_right, insort
from collections.abc import Iterator, Sequence
from operator import itemgetter

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
    cost_unit: str | None = None
    cost_models: tuple[ModelRates, ...] = ()


class Span(msgspec.Struct, frozen=True):
    """A price with the instants between which it shall hold; without an end it holds for good."""

    price: Price
    start: int
    end: int | None = None


def new_cards(catalog: Catalog, route: Route, now: int) -> Iterator[PublishRateCard]:
    """Yield the cards that make a route's prices what the file says.

    The name counts the route's cards and digests the price: two servers that apply one file at once publish one
    card, and a price that comes back later gets a card of its own.
    """
    timeline = [(card.valid_from, content_of_card(card)) for card in catalog.cards_of_route.get(route.name, ())]
    for span in spans(route.prices, timeline, now):
        wanted = content_of_price(span.price)
        digest = hashlib.sha256(msgspec.json.encode(wanted)).hexdigest()[:12]
        for instant in list(succeeded_at(timeline, wanted, span)):
            insort(timeline, (instant, wanted), key=itemgetter(0))
            yield PublishRateCard(
                card=RateCard(
                    rate_card=f"{route.name}:{len(timeline)}.{digest}",
                    route=route.name,
                    bucket=route.bucket,
                    valid_from=instant,
                    **{name: getattr(wanted, name) for name in Content.__struct_fields__},
                )
            )


def spans(prices: Sequence[Price], timeline: Sequence[tuple[int, Content]], now: int) -> Iterator[Span]:
    """Yield a route's prices with when each shall hold; what was succeeded before now is history."""
    later = [*(price.valid_from for price in prices[1:]), None]
    for price, end in zip(prices, later, strict=False):
        if end is None or end > now:
            start = start_of(price, [instant for instant, _ in timeline], now)
            if end is None or start < end:
                yield Span(price, start, end)


def start_of(price: Price, instants: Sequence[int], now: int) -> int:
    """Return from when on a price shall hold, where cards begin at some instants.

    A stated date that follows all cards is taken as it is. An older one can't be: what was charged since then was
    charged. A route's first price holds from the beginning of the day (UTC), so that clocks that differ a little
    do not leave the route without one.
    """
    if price.valid_from is None:
        return now if instants else now - now % DAY_MICROSECONDS
    if not instants or price.valid_from > instants[-1]:
        return price.valid_from
    return max(price.valid_from, now)


def succeeded_at(timeline: Sequence[tuple[int, Content]], wanted: Content, span: Span) -> Iterator[int]:
    """Yield the instants at which a new card is needed for a price to hold throughout a span.

    A card that was published for a later date can't be withdrawn: it is succeeded a microsecond after.
    """
    index = bisect_right(timeline, span.start, key=itemgetter(0))
    if index == 0:
        yield span.start
    holding = timeline[max(index - 1, 0) :]
    for number, (begins, content) in enumerate(holding):
        if span.end is not None and begins >= span.end:
            break
        following = holding[number + 1][0] if number + 1 < len(holding) else None
        instant = max(begins + 1, span.start)
        if content != wanted and (following is None or instant < following):
            yield instant


def price_notices(catalog: Catalog, route: Route, now: int) -> Iterator[Problem]:
    """Yield dates of prices that will not do what somebody may expect of them."""
    if not route.prices or route.prices[0].valid_from is None:
        return
    first, stated = route.prices[0], route.prices[0].valid_from
    place = f"routes.{route.name}.price.valid_from"
    instants = [card.valid_from for card in catalog.cards_of_route.get(route.name, ())]
    # The dates of a list are the list's own: nobody expects anything of them.
    is_late = first.snapshot_digest is None and start_of(first, instants, now) > stated
    if is_late and any(new_cards(catalog, route, now)):
        yield Problem(place, "has passed and another price held since: the new price holds from now on")
    if stated > now and card_in_force(catalog, route.name, now) is None:
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
        price.snapshot_digest,
        price.cost_unit,
        plain_models(price.cost_models),
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
        card.cost_unit,
        plain_models(card.cost_models),
    )


def plain_models(models: tuple[ModelRates, ...]) -> tuple[ModelRates, ...]:
    """Return rates without zeros that say nothing, in the order of the parts' names."""
    return tuple(ModelRates(each.pattern, plain(each.rates), plain(each.list_rates)) for each in models)


def plain(rates: dict[str, str]) -> dict[str, str]:
    """Return the rates of parts in one way of writing."""
    return {part: plain_rate(rates[part]) for part in sorted(rates)}
