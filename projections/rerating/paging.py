"""A page of re-rated requests as it is answered, over HTTP and to a tool alike. Pure."""

from ledger.catalog.state import Catalog
from ledger.request.commands import rerating_id
from projections.rerating.answers import ReratePage
from projections.rerating.asking import RerateQuestion
from projections.rerating.judging import SettledRequest, judged
from projections.spend.asking import zone_of
from projections.spend.zones import stated

__all__ = ["rerate_page"]


def rerate_page(
    question: RerateQuestion, zone_name: str, requests: list[SettledRequest], cursor: str | None, catalog: Catalog
) -> ReratePage:
    """Return requests under the card that is asked for; the period is shown as the clocks of the zone show it."""
    card, zone = question.card, zone_of(zone_name)
    return ReratePage(
        rate_card=card.rate_card,
        route=card.route,
        bucket=card.bucket,
        unit=question.unit.code,
        scale=question.unit.scale,
        begins_at=stated(question.begin, zone),
        ends_at=stated(question.end, zone),
        correction_id=rerating_id(card.rate_card),
        data=[judged(each, card.rate_card, catalog) for each in requests],
        next_cursor=cursor,
        has_more=cursor is not None,
    )
