"""The catalog as a value: what was published last under each name, and every rate card ever."""

from bisect import bisect_right
from typing import Any

import msgspec

from ledger.catalog import events
from ledger.core.amounts import Unit
from ledger.pricing.rate_cards import RateCard


class Catalog(msgspec.Struct, frozen=True):
    """Everything published so far. Values are never changed in place: a fold makes a new catalog.

    `position` is the platform book's position up to which this catalog was read, `version` its stream's.
    `closed_period` is the last month that the platform has closed, "" for none.
    """

    position: int = 0
    version: int = 0
    buckets: dict[str, events.BucketDefined] = {}
    units: dict[str, Unit] = {}
    providers: dict[str, events.ProviderPublished] = {}
    routes: dict[str, events.RoutePublished] = {}
    models: dict[str, events.ModelPublished] = {}
    rate_cards: dict[str, RateCard] = {}
    cards_of_route: dict[str, tuple[RateCard, ...]] = {}
    suspended: frozenset[str] = frozenset()
    config_digest: str = ""
    closed_period: str = ""


def card_in_force(catalog: Catalog, route: str, instant: int) -> RateCard | None:
    """Return the route's latest card that is valid at an instant (microseconds), or None."""
    cards = catalog.cards_of_route.get(route, ())
    index = bisect_right(cards, instant, key=lambda card: card.valid_from)
    return cards[index - 1] if index else None


def fold_catalog(catalog: Catalog, event: events.CatalogEvent, position: int) -> Catalog:
    """Return the catalog after one more event, recorded at a position of the platform's book."""
    return msgspec.structs.replace(
        catalog, position=position, version=catalog.version + 1, **changes_by(catalog, event)
    )


def changes_by(catalog: Catalog, event: events.CatalogEvent) -> dict[str, Any]:
    """Return the fields that an event replaces."""
    match event:
        case events.BucketDefined(bucket=bucket, unit=unit, scale=scale):
            return {
                "buckets": {**catalog.buckets, bucket: event},
                "units": {**catalog.units, unit: Unit(unit, scale)},
            }
        case events.ProviderPublished(provider=provider, cost_unit=unit, cost_scale=scale):
            return {
                "providers": {**catalog.providers, provider: event},
                "units": {**catalog.units, unit: Unit(unit, scale)},
            }
        case events.RoutePublished(route=route):
            return {"routes": {**catalog.routes, route: event}}
        case events.ModelPublished(model=model):
            return {"models": {**catalog.models, model: event}}
        case events.RateCardPublished(card=card):
            cards = (*catalog.cards_of_route.get(card.route, ()), card)
            ordered = tuple(sorted(cards, key=lambda each: each.valid_from))
            return {
                "rate_cards": {**catalog.rate_cards, card.rate_card: card},
                "cards_of_route": {**catalog.cards_of_route, card.route: ordered},
            }
        case events.RouteSuspended(route=route):
            return {"suspended": catalog.suspended | {route}}
        case events.RouteResumed(route=route):
            return {"suspended": catalog.suspended - {route}}
        case events.ConfigApplied(digest=digest):
            return {"config_digest": digest}
    raise TypeError(f"{type(event).__name__} is no event of the catalog")
