"""`GET /ledger/v1/rerating`: what a corrected rate card would have charged, request by request. For the platform.

A preview: nothing is written. It is made from the events of each request at the moment it is asked for, so that a
correction shows at once; which requests there are is known to the route ledger.
"""

from hashlib import blake2b

import msgspec
from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import requires
from ledger.api.answers import encode
from ledger.api.context import ApiContext
from ledger.api.responses import REVALIDATE, ReadyResponse, get_handler
from ledger.core import identifiers as ids
from projections.api.parameters import AT_LEAST, cursor_of, decoded_cursor, invalid, query_of, whole_number
from projections.api.periods import understood, zone_asked
from projections.api.requests import require_followed
from projections.api.sight import SEEING, require_platform_key, sight_of
from projections.reading import JournalReader
from projections.rerating.asking import rerate_question
from projections.rerating.paging import rerate_page
from projections.rerating.reading import BEFORE_ALL, LastRated, RerateReader

__all__ = ["LINES_DEFAULT", "LINES_MAX", "create_rerating_handler"]

PARAMETERS = frozenset({"rate_card", "from", "to", "zone", "workspace_id", AT_LEAST, "cursor", "limit"})
LINES_DEFAULT = 100
LINES_MAX = 500


class RatedPlace(msgspec.Struct, frozen=True, array_like=True):
    """Where a page ended: in which listing, and at which request."""

    listing: str
    last: LastRated


_place_decoder = msgspec.json.Decoder(RatedPlace)


def create_rerating_handler(context: ApiContext, reader: JournalReader) -> HTTPRouteHandler:
    """Return the handler of the preview."""
    rated = RerateReader(reader)

    async def read_rerating(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        require_platform_key(scope["user"], "prices are corrected by the platform")
        query = query_of(scope, PARAMETERS)
        sight = sight_of(scope["user"], query.get("workspace_id"))
        limit = whole_number(query, "limit", LINES_DEFAULT, 1, LINES_MAX)
        zone = await zone_asked(context, sight, query)
        # It knows the card, and with it the unit that all amounts are in.
        catalog = await context.ledger.catalog()
        with understood():
            question = rerate_question(query, zone, sight.workspace_id, catalog)
        listing = blake2b(msgspec.json.encode(question), digest_size=8).hexdigest()
        place = decoded_cursor(query, _place_decoder)
        if place is not None and (place.listing != listing or not is_place(place.last)):
            raise invalid("cursor", "it belongs to another listing")
        await require_followed(context, reader, sight, query)
        found = await rated.page(question, None if place is None else place.last, limit)
        cursor = None if found.last is None else cursor_of(RatedPlace(listing, found.last))
        page = rerate_page(question, zone, found.requests, cursor, catalog)
        return ReadyResponse(200, encode(page), REVALIDATE)

    return get_handler("/rerating", read_rerating, requires(*SEEING))


def is_place(last: LastRated) -> bool:
    """Return whether a place can be one: a cursor may have been made by anybody."""
    return (
        BEFORE_ALL <= last.began_at < -BEFORE_ALL
        and ids.WORKSPACE_PATTERN.match(last.workspace_id) is not None
        and (not last.request_id or ids.IDENTIFIER_PATTERN.match(last.request_id) is not None)
    )
