"""Margins as they are read: sums of the route ledger's spend by route, bucket, unit of the bill and rate card."""

import msgspec
from psycopg.rows import TupleRow

from projections.margin.found import MarginFound, MarginSums
from projections.spend.asking import PeriodAsked
from projections.spend.reading import SpendReader

__all__ = ["read_margin"]

_decode_sums = msgspec.json.Decoder(MarginSums).decode


async def read_margin(spend: SpendReader, workspace_id: str | None, period: PeriodAsked) -> list[MarginFound]:
    """Return what the margins of a workspace, or of all, are made of: nothing that comes to nothing."""
    rows = await spend.fetch("read_margin", workspace_id=workspace_id, begin=period.begin, end=period.end)
    return [found for found in map(margin_found, rows) if found.sums != MarginSums()]


def margin_found(row: TupleRow) -> MarginFound:
    """Return the part of a route that one card has priced."""
    bucket, route, cost_unit, rate_card, sums = row
    return MarginFound(bucket, route, cost_unit, rate_card, _decode_sums(sums))
