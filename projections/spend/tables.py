"""Spend as CSV: a header row, and every amount beside its unit. Pure.

Amounts from `owed` to `undone` are in the row's `unit`: no column is to be added up over rows of two units. What
providers bill may be in several units: it is a text that lists them. What is not known is empty, never 0.
"""

from collections.abc import Iterable, Iterator, Sequence

from ledger.pricing.usage import PARTS
from projections.route_ledger.tables import Cell, row_of, text_of
from projections.spend.answers import CustomerSpendRow, SpendCharge, SpendDiscount, SpendRow

__all__ = ["spend_header", "spend_rows"]

COUNTS = (
    "requests", "settled", "failed", "cancelled", "expired", "estimated", "unpriced", "retries", "fallbacks",
    "failed_attempts", "refused_calls",
)  # fmt: skip
AMOUNTS = SpendCharge.__struct_fields__
DISCOUNT = SpendDiscount.__struct_fields__
PLATFORM = ("overrun", "undone", "costs", "waste", "requests_without_cost", "failed_attempts_without_cost")
BETWEEN = "; "


def spend_header(by: Sequence[str], *, for_platform: bool) -> str:
    """Return the header row: a column for each dimension that is asked for."""
    columns = [
        "begins_at", "ends_at", *by, "bucket", *COUNTS, "input_tokens", "output_tokens",
        *(f"tokens_{part}" for part in PARTS), "unit", *AMOUNTS, *DISCOUNT, *(PLATFORM if for_platform else ()),
    ]  # fmt: skip
    return row_of(columns)


def spend_rows(rows: Iterable[CustomerSpendRow], *, for_excel: bool = False) -> str:
    """Return rows of spend as rows of CSV: those of the platform with its columns, those of a customer without."""
    return "".join(row_of(text_of(cell, for_excel=for_excel) for cell in cells_of(row)) for row in rows)


def cells_of(row: CustomerSpendRow) -> Iterator[Cell]:
    """Yield a row's cells in the order of the columns."""
    yield from (row.begins_at, row.ends_at, *row.by.values(), row.bucket)
    yield from (getattr(row, name) for name in COUNTS)
    yield from (row.tokens.input, row.tokens.output)
    yield from (row.tokens.parts.get(part, 0) for part in PARTS)
    yield row.unit
    yield from (None if row.charge is None else getattr(row.charge, name) for name in AMOUNTS)
    yield from (None if row.discount is None else getattr(row.discount, name) for name in DISCOUNT)
    if isinstance(row, SpendRow):
        yield from platform_cells(row)


def platform_cells(row: SpendRow) -> Iterator[Cell]:
    """Yield the cells of the platform's columns."""
    facts = row.platform
    if facts is None:
        yield from (None for _ in PLATFORM)
        return
    yield from (facts.overrun, facts.undone)
    yield BETWEEN.join(f"{each.cost.value} {each.unit}" for each in facts.costs)
    yield BETWEEN.join(f"{each.waste.value} {each.unit}" for each in facts.costs)
    yield facts.requests_without_cost
    yield facts.failed_attempts_without_cost
