"""What may be asked of re-rating: texts as they come from a query or a command line → a question. Pure."""

from collections.abc import Mapping

import msgspec

from ledger.catalog.state import Catalog
from ledger.core.amounts import Unit
from ledger.core.identifiers import IDENTIFIER_PATTERN
from ledger.pricing.rate_cards import RateCard
from projections.spend.asking import AskedWrongly, moment_of, zone_of

__all__ = ["RerateQuestion", "rerate_question"]


class RerateQuestion(msgspec.Struct, frozen=True):
    """Requests on a card's route that began from `begin` until before `end`, in microseconds since 1970.

    `workspace_id` None is all of them.
    """

    card: RateCard
    unit: Unit
    begin: int
    end: int
    workspace_id: str | None = None


def rerate_question(
    asked: Mapping[str, str], zone_name: str, workspace_id: str | None, catalog: Catalog
) -> RerateQuestion:
    """Return the question that texts ask: rate_card, from, to; days begin when they do in the zone.

    Raises AskedWrongly.
    """
    zone = zone_of(zone_name)
    name = asked.get("rate_card", "")
    card = catalog.rate_cards.get(name) if IDENTIFIER_PATTERN.match(name) else None
    if card is None:
        raise AskedWrongly("rate_card", "there is no such rate card: publish the corrected prices first")
    begin, end = moment_of(asked, "from", zone), moment_of(asked, "to", zone)
    if begin is None:
        raise AskedWrongly("from", "say where the period begins")
    if end is None:
        raise AskedWrongly("to", "say where the period ends, itself not included")
    if begin >= end:
        raise AskedWrongly("from", "it must lie before `to`")
    unit = catalog.units[catalog.buckets[card.bucket].unit]
    return RerateQuestion(card, unit, begin, end, workspace_id)
