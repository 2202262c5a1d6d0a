"""Spend as it is read from the database: rows of a page, periods of an explanation, groups that changed most.

Statements are grouped in the database, so that few rows come over. They have connections of their own: they take
longer than a page of the journal, and nested loops and sorts would be chosen for tables whose statistics nobody keeps.
"""

import asyncio
from collections.abc import Callable, Set
from typing import Any

import msgspec
from psycopg.rows import TupleRow

from ledger.store.queries import load_queries
from ledger.store.reader_pool import ReaderPool
from projections.change.cells import OTHER_GROUPS, ChangeCell, Period
from projections.connections import PROJECTOR_ROLE
from projections.route_ledger.spending import Sums
from projections.spend.asking import DIMENSIONS, ChangeQuestion, PeriodAsked, Seen
from projections.spend.found import (
    Comparison,
    CostFound,
    GroupFound,
    SpendFilters,
    SpendFound,
    SpendPlace,
    merged,
    period_of_rows,
)

__all__ = ["GROUPS_MAX", "SpendReader", "knows_refused"]

QUERIES = load_queries("projections.sql", "spend.sql")
READS_AT_ONCE_MAX = 4
GROUPS_MAX = 10
"""How many groups of a place are told one by one."""

SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "30s",
    "plan_cache_mode": "force_custom_plan",
    "jit": "off",
    "work_mem": "64MB",
    "hash_mem_multiplier": "4",
    "enable_nestloop": "off",
    "enable_mergejoin": "off",
    "enable_sort": "off",
}
OF_REQUESTS = frozenset({"end_user", "step"})
"""What only the rows of requests know."""

REFUSED_BY = frozenset({"workspace", "key", "model"})
REFUSED_FILTERS = frozenset({"workspace_id", "key", "model"})
"""By what calls that were refused can be told apart."""

TOLD_APART = frozenset({"workspace", "workflow", "model", "route"})
CELL_FILTERS = ("project", "key", "workflow", "run", "model", "route", "tier", "provider")
"""Dimensions that all cells whose names begin alike have in common, and filters by cells."""

LENGTHS = (9, 16)
"""How much of a cell's name is needed: what its fellows have in common, or all of it."""

HOUR_MICROSECONDS = 3_600_000_000

_make_sums: Callable[..., Sums] = Sums
_decode_numbers = msgspec.json.Decoder(list[int]).decode
_decode_costs = msgspec.json.Decoder(list[CostFound]).decode
_decode_parts = msgspec.json.Decoder(list[tuple[str, int]]).decode
_decode_lines = msgspec.json.Decoder(list[tuple[str, int, int]]).decode


class SpendReader:
    """Reads of the active generation. Every method raises Refused(UNAVAILABLE) when the database is away."""

    def __init__(self, url: str) -> None:
        stated = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
        self._pool = ReaderPool(url, QUERIES, "spend reader", f"-c role={PROJECTOR_ROLE} {stated}")
        self._turns = asyncio.Semaphore(READS_AT_ONCE_MAX)

    async def close(self) -> None:
        """Close the connections, if there were any."""
        await self._pool.close()

    async def events_behind(self, workspace_id: str | None) -> int:
        """Return how many events of a workspace, or of all, spend does not have yet."""
        return int((await self.fetch("read_behind", workspace_id=workspace_id))[0][0])

    async def spend(
        self, filters: SpendFilters, by: tuple[str, ...], edges: list[int], end: int, after: SpendPlace, limit: int
    ) -> list[SpendFound]:
        """Return at most `limit` rows behind a place, of the spans of time that begin at the edges.

        With `end_user` or `step` in it they are made of the requests of one workspace, which is then named.
        """
        of_requests = not OF_REQUESTS.isdisjoint(by) or filters.end_user is not None or filters.step is not None
        asked: dict[str, Any] = {
            **msgspec.structs.asdict(filters),
            **places_of(by),
            **{f"after_{name}": getattr(after, name) for name in SpendPlace.__struct_fields__},
            # What lies before the place is not looked at again.
            "begin": edges[max(after.span - 1, 0)],
            "length": LENGTHS[are_cells_needed({*by, *filters_by_cell(filters)})],
            "end": end,
            "edges": edges,
            "limit": limit,
        }
        rows = await self.fetch("read_spend_of_requests" if of_requests else "read_spend", **asked)
        found = [spend_found(row) for row in rows]
        if not knows_refused(filters, by, edges):
            return found
        refused = [refused_found(row) for row in await self.fetch("read_refused", **asked)]
        return merged(found, refused, limit)

    async def compare(self, question: ChangeQuestion, seen: Seen) -> Comparison:
        """Return what an answer to a question is made of. With `by`, the groups that changed most are told apart."""
        groups = await self.groups(question, seen)
        values = None if question.by is None else sorted({group.value for group in groups})
        before, after = await asyncio.gather(
            self._period(question.before, seen, question.by, values),
            self._period(question.after, seen, question.by, values),
        )
        return Comparison(before, after, groups, not await self.events_behind(seen.workspace_id))

    async def groups(self, question: ChangeQuestion, seen: Seen) -> list[GroupFound]:
        """Return the groups that changed most, place by place."""
        if question.by is None:
            return []
        rows = await self.fetch(
            "read_groups_by_cell" if needs_cells(question.by, seen) else "read_groups",
            **seen_cells(seen),
            is_customer=seen.is_customer,
            measure=question.measure,
            bucket=question.bucket,
            by=place_of(question.by),
            before_begin=question.before.begin,
            before_end=question.before.end,
            after_begin=question.after.begin,
            after_end=question.after.end,
            groups_max=GROUPS_MAX,
        )
        return [GroupFound(*row) for row in rows]

    async def _period(self, period: PeriodAsked, seen: Seen, by: str | None, groups: list[str] | None) -> Period:
        rows = await self.fetch(
            "read_period_by_cell" if needs_cells(by, seen) else "read_period",
            begin=period.begin,
            end=period.end,
            **seen_cells(seen),
            by=None if by is None else place_of(by),
            groups=groups,
        )
        return await asyncio.to_thread(period_found, rows, groups)

    async def fetch(self, query: str, /, **parameters: Any) -> list[TupleRow]:
        """Return the rows of a named query, when few others are being asked."""
        async with self._turns:
            return await self._pool.fetch(query, **parameters)


def knows_refused(filters: SpendFilters, by: tuple[str, ...], edges: list[int]) -> bool:
    """Return whether calls that were refused can be told as spend is asked: they stand by full hour, key and model."""
    named = {name for name, value in msgspec.structs.asdict(filters).items() if value is not None}
    is_hourly = not any(edge % HOUR_MICROSECONDS for edge in edges)
    return is_hourly and named <= REFUSED_FILTERS and REFUSED_BY.issuperset(by)


def are_cells_needed(dimensions: Set[str]) -> bool:
    """Return whether dimensions tell apart cells whose names begin alike."""
    return not dimensions <= TOLD_APART


def filters_by_cell(filters: SpendFilters) -> list[str]:
    """Return the dimensions that spend is narrowed by."""
    return [name for name in CELL_FILTERS if getattr(filters, name) is not None]


def needs_cells(by: str | None, seen: Seen) -> bool:
    """Return whether an explanation tells apart cells whose names begin alike."""
    asked = {"project": seen.project_id, "key": seen.api_key_id, by: by}
    return are_cells_needed({name for name, value in asked.items() if name is not None and value is not None})


def seen_cells(seen: Seen) -> dict[str, str | None]:
    """Return what narrows an explanation."""
    return {"workspace_id": seen.workspace_id, "project_id": seen.project_id, "api_key_id": seen.api_key_id}


def place_of(dimension: str) -> int:
    """Return the place by which statements know a dimension."""
    return DIMENSIONS.index(dimension) + 1


def places_of(by: tuple[str, ...]) -> dict[str, int | None]:
    """Return the places of up to three dimensions."""
    places = [place_of(dimension) for dimension in by]
    return dict(zip(("first", "second", "third"), [*places, None, None, None], strict=False))


def spend_found(row: TupleRow) -> SpendFound:
    """Return a row of spend. Costs stand beside the other sums, by unit."""
    *place, sums, costs, parts = row
    return SpendFound(SpendPlace(*place), sums_found(sums), dict(_decode_parts(parts)), _decode_costs(costs))


def sums_found(numbers: str) -> Sums:
    """Return sums out of numbers in the order of their fields; those that are not read stay 0."""
    return _make_sums(*_decode_numbers(numbers))


def refused_found(row: TupleRow) -> SpendFound:
    """Return a row of calls that were refused: in no bucket, and with nothing else."""
    span, first, second, third, calls = row
    return SpendFound(SpendPlace(span, "", first, second, third), Sums(), {}, [], calls)


def period_found(rows: list[TupleRow], groups: list[str] | None) -> Period:
    """Return rows as a period."""
    return period_of_rows([cell_found(row, groups) for row in rows])


def cell_found(row: TupleRow, groups: list[str] | None) -> tuple[ChangeCell, Sums]:
    """Return a cell of a period, in its group where groups are asked for."""
    *names, group, numbers, lines = row
    value = "" if groups is None else OTHER_GROUPS if group is None else groups[group - 1]
    sums = sums_found(numbers)
    for part_and_rate, tokens, rated_minor in _decode_lines(lines):
        part, _, rate = part_and_rate.partition(" ")
        sums.lines[part, rate] = [tokens, rated_minor]
    told = [*names, value]
    return ChangeCell(*told), sums
