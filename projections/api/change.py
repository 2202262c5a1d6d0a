"""`GET /ledger/v1/spend/change`: why charge or cost differs between two periods."""

import asyncio
from functools import partial

from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import requires
from ledger.api.answers import encode
from ledger.api.context import ApiContext
from ledger.api.problems import HttpRefused
from ledger.api.refusal_table import HttpRefusal
from ledger.api.responses import REVALIDATE, ReadyResponse, get_handler
from projections.api.asked import name_of
from projections.api.catalogs import with_catalog
from projections.api.parameters import AT_LEAST
from projections.api.periods import microseconds_now, require_workspace, understood, zone_asked
from projections.api.requests import require_followed, sighted
from projections.api.sight import SEEING, Sight
from projections.collecting import rare_collections
from projections.reading import JournalReader
from projections.spend.asking import Seen, change_question
from projections.spend.explaining import change_of, require_names

__all__ = ["create_change_handler"]

OF_A_WORKSPACE = ("project", "key", AT_LEAST)
PARAMETERS = frozenset(
    {"measure", "bucket", "unit", "from", "to", "against", "by", "zone", "workspace_id", *OF_A_WORKSPACE}
)


def create_change_handler(context: ApiContext, reader: JournalReader) -> HTTPRouteHandler:
    """Return the handler of explanations."""

    async def read_change(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        sight, query = sighted(scope, PARAMETERS)
        require_workspace(query, sight, OF_A_WORKSPACE)
        zone_name = await zone_asked(context, sight, query)
        with understood():
            question = change_question(query, zone_name, microseconds_now())
        if question.measure == "cost" and not sight.is_platform:
            raise HttpRefused(HttpRefusal.NOT_ALLOWED, "what providers bill is the platform's; ask for measure=charge")
        await require_followed(context, reader, sight, query)
        seen = seen_of(sight, name_of(query, "project"), name_of(query, "key"))
        with understood(), rare_collections():
            # Read after what it explains, the catalog knows all that is named there, or will in a moment.
            comparison = await reader.spend.compare(question, seen)
            catalog = await with_catalog(context, partial(require_names, comparison))
            change = await asyncio.to_thread(change_of, question, seen, comparison, catalog)
        return ReadyResponse(200, encode(change), REVALIDATE)

    return get_handler("/spend/change", read_change, requires("call", *SEEING))


def seen_of(sight: Sight, project_id: str | None, api_key_id: str | None) -> Seen:
    """Return whose spend is looked at, else refuse a key that asks for more than it sees."""
    for name, asked, own in (("project", project_id, sight.project_id), ("key", api_key_id, sight.api_key_id)):
        if own is not None and asked not in {None, own}:
            raise HttpRefused(HttpRefusal.NOT_ALLOWED, f"this key sees one {name} only, and not that one", field=name)
    return Seen(
        sight.workspace_id,
        project_id if sight.project_id is None else sight.project_id,
        api_key_id if sight.api_key_id is None else sight.api_key_id,
        is_customer=not sight.is_platform,
    )
