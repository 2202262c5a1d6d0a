"""What an explanation asks of the catalog: a card's rates, how deep a route thinks, and who bills it in which unit.

A name that the catalog doesn't know gives None, never a guess and never zero.
"""

from collections.abc import Mapping

import msgspec

from ledger.catalog.state import Catalog
from ledger.pricing.rate_cards import RateCard, first_match, parse_rate, rates_for

__all__ = ["RATE_PLACES", "PriceList", "rate_units"]

RATE_PLACES = 12
"""A rate has no more decimal places: rates are counted in whole 10^-12 of a unit per million tokens."""


def rate_units(rate: str) -> int:
    """Return a rate's text in whole 10^-12 of the unit per million tokens, exact."""
    mantissa, places = parse_rate(rate)
    return mantissa * int(10 ** (RATE_PLACES - places))


class PriceList(msgspec.Struct, frozen=True):
    """Rate cards by name; of each route its depth (None: not classified) and the unit that its provider bills in."""

    cards: Mapping[str, RateCard] = {}
    depths: Mapping[str, str | None] = {}
    bill_units: Mapping[str, str] = {}

    @classmethod
    def from_catalog(cls, catalog: Catalog) -> "PriceList":
        """Return the prices of a catalog: every card ever, and the routes as they were published last."""
        return cls(
            catalog.rate_cards,
            {name: route.depth for name, route in catalog.routes.items()},
            {
                name: catalog.providers[route.provider].cost_unit
                for name, route in catalog.routes.items()
                if route.provider in catalog.providers
            },
        )

    def depth(self, route: str) -> str | None:
        """Return how deep a route's model thinks, as it was published; None where that is not known."""
        return self.depths.get(route)

    def charge_rates(self, rate_card: str | None, reported_model: str | None) -> dict[str, int] | None:
        """Return what a card charges by part, as `rate_units`; None where the card is not known.

        A model that has none of the card's patterns is rated by the first, as at settlement.
        """
        card = self.card(rate_card)
        if card is None:
            return None
        rates, _ = rates_for(card, reported_model or "")
        return {part: rate_units(rate) for part, rate in rates.rates.items()}

    def cost_rates(self, rate_card: str | None, reported_model: str | None, unit: str) -> dict[str, int] | None:
        """Return what the provider bills by part under a card, as `rate_units`.

        None where the card is not known, states no cost, or states it in another unit.
        """
        card = self.card(rate_card)
        if card is None or card.cost_unit != unit or not card.cost_models:
            return None
        rates = first_match(card.cost_models, reported_model or "") or card.cost_models[0]
        return {part: rate_units(rate) for part, rate in rates.rates.items()}

    def bill_unit(self, route: str, rate_card: str | None) -> str | None:
        """Return the unit in which calls on a route are billed to us: the card's, else its provider's; or None."""
        card = self.card(rate_card)
        if card is not None and card.cost_unit is not None:
            return card.cost_unit
        return self.bill_units.get(route)

    def card(self, rate_card: str | None) -> RateCard | None:
        """Return a card, or None where there is none or it is not known."""
        return None if rate_card is None else self.cards.get(rate_card)
