"""The route ledger as it is read: pages of requests by what is asked for, and what a run comes to."""

import msgspec

from projections.reading import JournalReader
from projections.route_ledger.listing import LastRequest, RequestFilters, RequestsFound, WalkedRow, found_in
from projections.route_ledger.rows import RequestRow
from projections.route_ledger.runs import FailureSums, RequestSums, RunSums

__all__ = ["WALKED_MAX", "RouteLedgerReader", "statement_for"]

WALKED_MAX = 4_000
"""How many rows a page looks at: what is rare is found over several pages, and none takes long."""

NARROW = {
    "run": "read_requests_of_run",
    "end_user": "read_requests_of_end_user",
    "api_key_id": "read_requests_of_key",
}

_decode_row = msgspec.json.Decoder(RequestRow).decode
_decode_request_sums = msgspec.json.Decoder(RequestSums).decode
_decode_failure_sums = msgspec.json.Decoder(FailureSums).decode


class RouteLedgerReader:
    """Reads of the active generation. Every method raises Refused(UNAVAILABLE) when the database is away."""

    def __init__(self, reader: JournalReader) -> None:
        self._reader = reader

    async def requests(self, filters: RequestFilters, after: LastRequest | None, limit: int) -> RequestsFound:
        """Return at most `limit` requests behind a place, the latest first, of a workspace or of all."""
        last = after or LastRequest(filters.end, "", "")
        asked = {name: getattr(filters, name) for name in filters.__struct_fields__}
        rows = await self._reader.fetch(
            statement_for(filters),
            **asked,
            last_began_at=last.began_at,
            last_workspace_id=last.workspace_id,
            last_request_id=last.request_id,
            walked_max=WALKED_MAX,
            limit=limit + 1,
        )
        walked = [WalkedRow(_decode_row(text), is_wanted, number) for text, is_wanted, number in rows]
        return found_in(walked, limit, WALKED_MAX)

    async def run_requests(self, filters: RequestFilters, after: LastRequest | None, limit: int) -> RequestsFound:
        """Return at most `limit` requests of a run behind a place, in order of time."""
        rows = await self._reader.fetch(
            "read_run",
            **of_run(filters),
            last_began_at=filters.begin if after is None else after.began_at,
            last_request_id="" if after is None else after.request_id,
            limit=limit + 1,
        )
        walked = [WalkedRow(_decode_row(text), True, number) for number, (text,) in enumerate(rows, start=1)]
        return found_in(walked, limit, 0)

    async def run_sums(self, filters: RequestFilters) -> RunSums:
        """Return what the requests of a run come to; without any there is no such run."""
        requests = await self._reader.fetch("sum_run_requests", **of_run(filters))
        failures = await self._reader.fetch("sum_run_failures", **of_run(filters)) if requests else []
        return RunSums(
            [_decode_request_sums(text) for (text,) in requests], [_decode_failure_sums(text) for (text,) in failures]
        )


def statement_for(filters: RequestFilters) -> str:
    """Return the statement whose index begins with what is asked for, the narrowest first."""
    if filters.workspace_id is None:
        return "read_requests_of_all"
    for field, statement in NARROW.items():
        if getattr(filters, field) is not None:
            return statement
    return "read_requests_that_went_wrong" if filters.fallback else "read_requests"


def of_run(filters: RequestFilters) -> dict[str, str | None]:
    """Return what tells a run, as far as a key may see it."""
    return {name: getattr(filters, name) for name in ("workspace_id", "run", "project_id", "api_key_id")}
