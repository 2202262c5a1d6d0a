"""The funding tie-out as it is read: accounts as the journal has them, events as the books do, at one position each."""

from ledger.catalog.state import Catalog
from ledger.core.amounts import Unit
from ledger.events import decode_fact
from projections import journal
from projections.funding.answers import FundingPage
from projections.funding.found import FUNDING_TAGS, AccountFound, EventFound, FundingFound, events_found
from projections.funding.telling import funding_page
from projections.reading import JournalReader
from projections.receipt.folding import CatalogBehind
from projections.spend.asking import PeriodAsked

__all__ = ["FundingReader", "told_funding"]

DAY_MICROSECONDS = 86_400_000_000


class FundingReader:
    """Reads over the journal's connections. Raises Refused(UNAVAILABLE) when the database is away."""

    def __init__(self, reader: JournalReader) -> None:
        self._reader = reader

    async def find(self, workspace_id: str | None, period: PeriodAsked) -> FundingFound:
        """Return what the tie-out of a workspace, or of all, is made of."""
        rows = await self._reader.fetch(
            "read_funding_accounts",
            workspace_id=workspace_id,
            begin=period.begin,
            end=period.end,
            begin_day=period.begin // DAY_MICROSECONDS,
            end_day=period.end // DAY_MICROSECONDS,
            day_microseconds=DAY_MICROSECONDS,
            block_bits=journal.BLOCK_BITS,
        )
        positions: dict[str, int] = {row[0]: row[1] for row in rows}
        behind: dict[str, int] = {row[0]: row[2] for row in rows}
        return FundingFound(
            position=None if workspace_id is None else positions.get(workspace_id),
            books=len(positions),
            events_behind=sum(behind.values()),
            accounts=[AccountFound(row[0], row[3], row[4], *map(int, row[5:])) for row in rows if row[4] is not None],
            events=await self._events(positions),
        )

    async def _events(self, positions: dict[str, int]) -> list[EventFound]:
        rows = await self._reader.fetch(
            "read_funding_events",
            workspace_ids=list(positions),
            positions=list(positions.values()),
            tags=FUNDING_TAGS,
        )
        return list(
            events_found((workspace_id, position, decode_fact(state)) for workspace_id, position, state in rows)
        )


def told_funding(
    workspace_id: str | None, period: PeriodAsked, zone_name: str, found: FundingFound, catalog: Catalog
) -> FundingPage:
    """Return the tie-out with the units of a catalog. Raises CatalogBehind for one that is older than the books."""
    units: dict[str, Unit] = {}
    for bucket in {each.bucket for each in found.accounts} | {each.bucket for each in found.events}:
        defined = catalog.buckets.get(bucket)
        if defined is None:
            raise CatalogBehind(bucket)
        units[bucket] = Unit(defined.unit, defined.scale)
    return funding_page(workspace_id, period, zone_name, found, units)
