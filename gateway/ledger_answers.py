"""What a ledger elsewhere answers to reads, as this client understands it.

The ledger's own structs where they are free of its server and database; else these, with the same fields.
"""

from typing import Any

import msgspec

from gateway.ledger_errors import AnswerUnreadable
from ledger.api.answers import CommandAnswer
from ledger.catalog import events
from ledger.catalog.state import Catalog
from ledger.core.amounts import Unit
from ledger.events import Event
from ledger.pricing.rate_cards import RateCard


class Decoder:
    """Reads answers of one type, or says that they are none."""

    def __init__(self, answer_type: Any) -> None:
        self._decode = msgspec.json.Decoder(answer_type).decode

    def __call__(self, body: bytes) -> Any:
        """Return the answer. Raises AnswerUnreadable."""
        try:
            return self._decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise AnswerUnreadable(f"the answer can't be read: {error}") from None


class CatalogAnswer(msgspec.Struct, frozen=True):
    """The catalog as it is sent. A workspace's key sees no providers, neither of routes, and no sources of prices."""

    position: int
    version: int
    buckets: dict[str, events.BucketDefined]
    routes: dict[str, dict[str, Any]]
    models: dict[str, events.ModelPublished]
    rate_cards: dict[str, dict[str, Any]]
    suspended: frozenset[str]
    providers: dict[str, events.ProviderPublished] = {}
    config_digest: str = ""


_event_decoder = msgspec.json.Decoder(Event)


def event_of(answer: CommandAnswer) -> Event:
    """Return the event that a command was recorded as. Raises AnswerUnreadable for one of a newer ledger.

    A key's event is sent without the hash of its secret and is no event for this reason.
    """
    try:
        event: Event = _event_decoder.decode(answer.event)
    except msgspec.MsgspecError as error:
        raise AnswerUnreadable(f"the event {answer.tag} can't be read: {error}") from None
    return event


def catalog_of(answer: CatalogAnswer) -> Catalog:
    """Return the catalog as the ledger itself has it, with what follows from its parts."""
    cards = {name: card_of(card) for name, card in answer.rate_cards.items()}
    cards_of_route: dict[str, tuple[RateCard, ...]] = {}
    for card in sorted(cards.values(), key=lambda each: each.valid_from):
        cards_of_route[card.route] = (*cards_of_route.get(card.route, ()), card)
    units = {each.unit: Unit(each.unit, each.scale) for each in answer.buckets.values()}
    units |= {each.cost_unit: Unit(each.cost_unit, each.cost_scale) for each in answer.providers.values()}
    return Catalog(
        position=answer.position,
        version=answer.version,
        buckets=answer.buckets,
        units=units,
        providers=answer.providers,
        routes={name: route_of(route) for name, route in answer.routes.items()},
        models=answer.models,
        rate_cards=cards,
        cards_of_route=cards_of_route,
        suspended=answer.suspended,
        config_digest=answer.config_digest,
    )


def route_of(members: dict[str, Any]) -> events.RoutePublished:
    """Return a route; one whose provider is hidden has an empty one. Raises AnswerUnreadable."""
    try:
        return msgspec.convert({"provider": "", **members}, events.RoutePublished)
    except msgspec.ValidationError as error:
        raise AnswerUnreadable(f"a route can't be read: {error}") from None


def card_of(members: dict[str, Any]) -> RateCard:
    """Return a rate card; one whose source is hidden has an empty one. Raises AnswerUnreadable."""
    try:
        return msgspec.convert({"source": "", **members}, RateCard)
    except msgspec.ValidationError as error:
        raise AnswerUnreadable(f"a rate card can't be read: {error}") from None
