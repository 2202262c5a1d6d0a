"""A statement as CSV: RFC 4180, a header row, one line after the other as they stand on the page. Pure.

`amount` is in the row's `unit`: what a line did to the balance. The opening balance, in the first row, and all lines
come to the closing balance, in the last. Lines that say what a closed period has moved have no amount: it is counted
above. What was paid and the other side of an exchange are memos in units of their own.
"""

from collections.abc import Iterator

from projections.route_ledger.tables import Cell, row_of, text_of
from projections.stated import is_zero, negated
from projections.statements.answers import ChargeLine, FundsLine, MovedPosting, Statement

__all__ = ["COLUMNS", "statement_csv"]

COLUMNS = (
    "workspace_id", "bucket", "month", "line", "happened_at", "position", "project", "model", "requests",
    "input_tokens", "output_tokens", "source", "reference", "amount", "unit", "paid", "paid_currency", "paid_fee",
    "external_id", "other_bucket", "other_amount", "other_unit", "rate", "served_at", "status", "note",
)  # fmt: skip

Cells = dict[str, Cell]


def statement_csv(statement: Statement, *, for_excel: bool = False) -> str:
    """Return the statement; with `for_excel` texts that a spreadsheet would take for a formula get an apostrophe."""
    rows = [row_of(COLUMNS)]
    for cells in lines(statement):
        whole: Cells = {
            "workspace_id": statement.workspace_id, "bucket": statement.bucket, "month": statement.month,
            "unit": statement.unit, **cells,
        }  # fmt: skip
        rows.append(row_of(text_of(whole.get(name), for_excel=for_excel) for name in COLUMNS))
    return "".join(rows)


def lines(statement: Statement) -> Iterator[Cells]:
    """Yield the rows: opening, funds, charges with what changed them, what of it was moved, closing."""
    yield {
        "line": "opening", "happened_at": statement.period.begins_at, "position": statement.position,
        "amount": statement.opening.balance, "status": statement.status, "note": statement.notice,
    }  # fmt: skip
    yield from map(funds_cells, statement.funds)
    for line in statement.charges:
        yield from charge_cells(line)
    yield from map(moved_cells, statement.moved)
    yield {
        "line": "closing", "happened_at": statement.period.ends_at, "position": statement.position,
        "amount": statement.closing.balance, "status": statement.status, "note": "; ".join(statement.problems),
    }  # fmt: skip


def funds_cells(line: FundsLine) -> Cells:
    """Return a line of funds."""
    cells: Cells = {
        "line": line.kind, "happened_at": line.happened_at, "position": line.position, "source": line.source,
        "reference": line.reference, "amount": line.amount, "served_at": line.served_at,
    }  # fmt: skip
    if line.paid is not None:
        cells |= {
            "paid": line.paid.amount, "paid_currency": line.paid.currency, "paid_fee": line.paid.fee,
            "external_id": line.paid.external_id,
        }  # fmt: skip
    if line.other_side is not None:
        side = line.other_side
        cells |= {
            "other_bucket": side.bucket, "other_amount": side.amount, "other_unit": side.amount.unit, "rate": side.rate,
        }  # fmt: skip
    return cells


def charge_cells(line: ChargeLine) -> Iterator[Cells]:
    """Yield a line of charges, and one for its corrections and its refunds where there are any."""
    about: Cells = {"project": line.project, "model": line.model}
    yield {
        **about, "line": "charge", "requests": line.requests, "input_tokens": line.input_tokens,
        "output_tokens": line.output_tokens, "amount": negated(line.charged),
    }  # fmt: skip
    for name, amount in (("correction", negated(line.corrected)), ("refund", line.refunded)):
        if not is_zero(amount):
            yield {**about, "line": name, "amount": amount}


def moved_cells(moved: MovedPosting) -> Cells:
    """Return what a closed period moved, without an amount of its own."""
    return {
        "line": "moved", "position": moved.position, "reference": moved.request_id, "served_at": moved.served_at,
        "note": f"{moved.what} of {moved.amount.value} {moved.amount.unit}, counted above",
    }  # fmt: skip
