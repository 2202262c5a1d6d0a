"""Margins as CSV: a row for each part of a route that one rate card has priced. Pure.

`owed`, `paid`, `overrun` and what is restated are in `unit`, cost and waste in `cost_unit`: no column is to be added up
over rows of two units. What is not known is empty, never 0.
"""

from collections.abc import Iterable, Iterator

from projections.margin.answers import MarginCard, MarginPage, MarginRow
from projections.route_ledger.tables import Cell, row_of, text_of

__all__ = ["COLUMNS", "margin_csv"]

COLUMNS = (
    "begins_at", "ends_at", "route", "bucket", "rate_card", "requests", "failed_attempts", "unit", "owed", "paid",
    "overrun", "cost_unit", "cost", "waste", "requests_without_cost", "failed_attempts_without_cost", "rate",
    "restated_cost", "restated_waste", "margin",
)  # fmt: skip


def margin_csv(page: MarginPage, *, for_excel: bool = False) -> str:
    """Return margins; with `for_excel` texts that a spreadsheet would take for a formula get an apostrophe."""
    rows = [row_of(COLUMNS)]
    for row in page.rows:
        for card in row.cards:
            rows.append(row_of(text_of(cell, for_excel=for_excel) for cell in cells_of(page, row, card)))
    return "".join(rows)


def cells_of(page: MarginPage, row: MarginRow, card: MarginCard) -> Iterator[Cell]:
    """Yield the cells of one card's part of a row, in the order of the columns."""
    yield from (page.period.begins_at, page.period.ends_at, row.route, row.bucket, card.rate_card)
    yield from (card.requests, card.failed_attempts, row.unit)
    yield from (card.charge.owed, card.charge.paid, card.charge.overrun, row.cost_unit)
    yield from (None, None) if card.cost is None else (card.cost.cost, card.cost.waste)
    yield from (card.requests_without_cost, card.failed_attempts_without_cost)
    yield from restated_cells(card)


def restated_cells(card: MarginCard) -> Iterable[Cell]:
    """Return what is restated at a stated rate; empty where none is stated."""
    restated = card.restated
    if restated is None:
        return (None, None, None, None)
    return restated.rate, restated.cost, restated.waste, restated.margin
