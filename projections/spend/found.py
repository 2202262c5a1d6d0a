"""What statements about spend bring: rows in smallest parts, in the order in which they are shown. Pure."""

from collections.abc import Sequence

import msgspec

from projections.change.cells import ChangeCell, Period
from projections.route_ledger.spending import Sums

__all__ = [
    "BEGINNING", "Comparison", "CostFound", "GroupFound", "SpendFilters", "SpendFound", "SpendPlace",
    "merged", "period_of_rows",
]  # fmt: skip


class SpendPlace(msgspec.Struct, frozen=True, array_like=True, order=True):
    """Where a row of spend stands: its span of time (1 is the first), its bucket, its values; empty where it has none.

    Calls that were refused have no bucket, and so come first in their span.
    """

    span: int
    bucket: str = ""
    first: str = ""
    second: str = ""
    third: str = ""


BEGINNING = SpendPlace(0)


class SpendFilters(msgspec.Struct, frozen=True, kw_only=True):
    """Of which requests spend is asked; None is of any."""

    workspace_id: str | None = None
    project: str | None = None
    key: str | None = None
    workflow: str | None = None
    run: str | None = None
    model: str | None = None
    route: str | None = None
    tier: str | None = None
    provider: str | None = None
    bucket: str | None = None
    end_user: str | None = None
    step: str | None = None


class CostFound(msgspec.Struct, frozen=True, array_like=True):
    """What providers bill in one unit, and for how many requests and failed attempts that is known.

    The unit is empty where none is known: then nothing else is either.
    """

    unit: str
    cost_minor: int
    waste_minor: int
    requests: int
    failed_attempts: int


class SpendFound(msgspec.Struct, frozen=True):
    """One row of spend. `sums` has no lines, and its costs stand by unit in `costs`."""

    place: SpendPlace
    sums: Sums
    parts: dict[str, int]
    costs: list[CostFound]
    refused_calls: int | None = None


class GroupFound(msgspec.Struct, frozen=True):
    """A value of a dimension that changed much in a bucket or unit of bills, and how many have amounts there."""

    spot: str
    value: str
    groups: int


class Comparison(msgspec.Struct, frozen=True):
    """What was found for a question: both periods, the groups that changed most, and whether that is all there is."""

    before: Period
    after: Period
    groups: list[GroupFound]
    complete: bool


def merged(rows: Sequence[SpendFound], refused: Sequence[SpendFound], limit: int) -> list[SpendFound]:
    """Return the first rows of both, in order."""
    return sorted([*rows, *refused], key=place_of_row)[:limit]


def place_of_row(row: SpendFound) -> SpendPlace:
    """Return where a row stands."""
    return row.place


def period_of_rows(rows: Sequence[tuple[ChangeCell, Sums]]) -> Period:
    """Return rows as a period; each cell is there once."""
    period = dict(rows)
    if len(period) != len(rows):
        raise ValueError("a cell of a period stands twice")
    return period
