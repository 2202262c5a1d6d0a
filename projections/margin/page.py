"""Margins as a page for a person: plain text of at most 100 columns. Pure."""

from collections.abc import Iterator

from ledger.core.amounts import StatedAmount
from projections.change.words import counted
from projections.layout import pair, sentence, table, title
from projections.margin.answers import MarginCard, MarginPage, MarginRow

__all__ = ["margin_text"]

METHOD = (
    "Charges are in the wallet's unit, costs in the provider's: the two are never added or subtracted. A cost is "
    "restated in the wallet's unit only at a rate that a rate card states, and rounded half to even."
)


def margin_text(page: MarginPage) -> str:
    """Return the page: each route by itself."""
    whose = f"workspace {page.workspace_id}" if page.workspace_id else "all workspaces"
    lines = [
        *title(f"Margin per route, {whose}"),
        *pair("period", f"{page.period.begins_at} until before {page.period.ends_at}"),
        *pair("time zone", page.zone),
        *sentence(METHOD),
    ]
    if not page.complete:
        lines += sentence("NOT COMPLETE: the route ledger has not followed all books to their ends yet.")
    for row in page.rows:
        lines += route_part(row)
    if not page.rows:
        lines += sentence("Nothing was charged or billed.")
    return "\n".join(lines).lstrip("\n")


def route_part(row: MarginRow) -> list[str]:
    """Return one route in one bucket and unit of bills."""
    bills = "costs not known" if row.cost_unit is None else f"billed in {row.cost_unit}"
    lines = title(f"{row.route}, {row.bucket} wallet ({row.unit}), {bills}")
    lines += pair("charges", f"owed {said(row.charge.owed)}, paid {said(row.charge.paid)}")
    if row.cost is not None:
        lines += pair("costs", f"{said(row.cost.cost)} and {said(row.cost.waste)} as waste")
    lines += pair("of", f"{counted(row.requests, 'request')} and {counted(row.failed_attempts, 'failed attempt')}")
    unknown = (row.requests_without_cost, row.failed_attempts_without_cost)
    if any(unknown):
        lines += pair(
            "cost unknown", f"of {counted(unknown[0], 'request')} and {counted(unknown[1], 'failed attempt')}"
        )
    if row.restated_cost is not None and row.margin is not None:
        lines += pair("margin", f"{said(row.margin)}, costs restated as {said(row.restated_cost)}")
    else:
        lines += pair("margin", "not known: no rate is stated for all of the costs")
    return [*lines, *table(("rate card", "rate", "paid", "cost", "restated", "margin"), card_rows(row), left=1)]


def card_rows(row: MarginRow) -> Iterator[tuple[str, ...]]:
    """Yield what each rate card has priced: `cost` in the unit of the bill, the other amounts in the wallet's."""
    for card in row.cards:
        cost = "" if card.cost is None else card.cost.cost.value
        yield (card.rate_card or "without one", *rate_cells(card, cost))


def rate_cells(card: MarginCard, cost: str) -> tuple[str, str, str, str, str]:
    """Return rate, paid, cost, restated cost and margin of one card."""
    if card.restated is None:
        return "", card.charge.paid.value, cost, "", ""
    restated = card.restated
    return restated.rate, card.charge.paid.value, cost, restated.cost.value, restated.margin.value


def said(amount: StatedAmount) -> str:
    """Return an amount with its unit."""
    return f"{amount.value} {amount.unit}"
