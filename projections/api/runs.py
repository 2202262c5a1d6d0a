"""`GET /ledger/v1/runs?run=…`: a run of a workflow with its totals per bucket and route, live while it runs."""

from functools import partial
from typing import Any

from litestar.handlers import HTTPRouteHandler
from litestar.types import HTTPScope, Receive

from ledger.api.access import requires
from ledger.api.answers import encode
from ledger.api.context import ApiContext
from ledger.api.problems import HttpRefused
from ledger.api.refusal_table import HttpRefusal
from ledger.api.responses import REVALIDATE, ReadyResponse, get_handler
from projections.api.asked import asked_of, next_cursor
from projections.api.catalogs import with_catalog
from projections.api.parameters import AT_LEAST, LIMIT_DEFAULT, LIMIT_MAX, invalid, whole_number
from projections.api.requests import request_lines, require_followed, sighted
from projections.api.sight import SEEING
from projections.reading import JournalReader
from projections.route_ledger.answers import CustomerRunView, RequestLine, RunView
from projections.route_ledger.reading import RouteLedgerReader
from projections.route_ledger.runs import RunSums, bucket_totals, customer_bucket_totals, run_head

__all__ = ["create_run_handler"]

PARAMETERS = frozenset({"run", "workspace_id", AT_LEAST, "cursor", "limit"})


def create_run_handler(context: ApiContext, reader: JournalReader) -> HTTPRouteHandler:
    """Return the handler of a run."""
    rows = RouteLedgerReader(reader)

    async def read_run(scope: HTTPScope, receive: Receive) -> ReadyResponse:
        sight, query = sighted(scope, PARAMETERS)
        if "run" not in query:
            raise invalid("run", "say which run")
        limit = whole_number(query, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX)
        asked = asked_of(query, sight, "run")
        await require_followed(context, reader, sight, query)
        filters = asked.filters
        sums = RunSums([], []) if filters is None else await rows.run_sums(filters)
        if filters is None or not sums.requests:
            raise HttpRefused(HttpRefusal.NOT_FOUND, "there is no such run", field="run")
        found = await rows.run_requests(filters, asked.after, limit)
        lines = await request_lines(context, found.rows, sight)
        cursor = next_cursor(asked, found.last)
        head = run_head(filters.workspace_id or "", query["run"], sums)
        page: dict[str, Any] = {"next_cursor": cursor, "has_more": cursor is not None}
        if sight.is_platform:
            own = [line for line in lines if isinstance(line, RequestLine)]
            buckets = await with_catalog(context, partial(bucket_totals, sums))
            return answered(RunView(**head, **page, buckets=buckets, data=own))
        shown = await with_catalog(context, partial(customer_bucket_totals, sums))
        return answered(CustomerRunView(**head, **page, buckets=shown, data=lines))

    return get_handler("/runs", read_run, requires("call", *SEEING))


def answered(view: RunView | CustomerRunView) -> ReadyResponse:
    """Return a run as JSON."""
    return ReadyResponse(200, encode(view), REVALIDATE)
