"""A statement as a page for a person: plain text of at most 100 columns. Pure."""

from collections.abc import Iterator

from projections.change.words import counted
from projections.layout import pair, sentence, table, title
from projections.stated import is_zero
from projections.statements.answers import FundsLine, MovedPosting, Statement
from projections.statements.words import CHANGE_WORDS, minute_of, other_text, paid_text, status_text

__all__ = ["statement_page"]


def statement_page(statement: Statement) -> str:
    """Return the page."""
    return "\n".join(
        [
            *head(statement),
            *title(f"Balance (in {statement.unit})"),
            *table(("", "amount"), balance_rows(statement), left=1),
            *funds_part(statement),
            *charges_part(statement),
            *moved_part(statement),
        ]
    ).lstrip("\n")


def head(statement: Statement) -> list[str]:
    """Return of what the page is, whether it may still change, and what does not tie out."""
    lines = [
        *title(f"Statement {statement.month}, {statement.bucket} wallet of {statement.workspace_id}"),
        *sentence(statement.notice),
        *pair("period", f"{statement.period.begins_at} until before {statement.period.ends_at}"),
        *pair("time zone", statement.zone),
        *pair("status", status_text(statement)),
        *pair("holds for", position_text(statement)),
    ]
    for problem in statement.problems:
        lines += pair("NOT RIGHT", problem)
    return lines


def position_text(statement: Statement) -> str:
    """Return for which position of the book the statement holds."""
    behind = statement.events_behind
    later = f", {counted(behind, 'event')} before its end" if behind else ""
    return f"position {statement.position} of the book{later}"


def balance_rows(statement: Statement) -> Iterator[tuple[str, str]]:
    """Yield what adds up: the opening balance, everything that is not zero, the closing balance."""
    yield "opening balance", statement.opening.balance.value
    for name, words in CHANGE_WORDS.items():
        amount = getattr(statement.changes, name)
        if not is_zero(amount):
            yield words, amount.value
    yield "closing balance", statement.closing.balance.value
    if not is_zero(statement.closing.reserved):
        yield "of it reserved for open requests", statement.closing.reserved.value


def funds_part(statement: Statement) -> list[str]:
    """Return money in and out beside charges, line by line, then what was paid for it and what else is to be told."""
    memos = [(reference_text(line), memo_text(line)) for line in statement.funds if memo_text(line)]
    return [
        *titled(
            f"Money in and out (in {statement.unit})",
            table(("when", "what", "reference", "amount"), map(funds_row, statement.funds), left=3),
        ),
        *titled("Memos of these, added to nothing", table(("reference", "memo"), memos, left=2)),
    ]


def titled(text: str, lines: list[str]) -> list[str]:
    """Return lines under a title, nothing where there are none."""
    return [*title(text), *lines] if lines else []


def funds_row(line: FundsLine) -> tuple[str, ...]:
    """Return a line as a row."""
    return minute_of(line.happened_at), line.kind, reference_text(line), line.amount.value


def reference_text(line: FundsLine) -> str:
    """Return what names a line: its source, where it has one, and its reference."""
    return line.reference if line.source is None else f"{line.source} {line.reference}"


def memo_text(line: FundsLine) -> str:
    """Return what was paid, the other side of an exchange, and when what came late had happened."""
    parts = (paid_text(line.paid), other_text(line.other_side), served_text(line.served_at))
    return "; ".join(part for part in parts if part)


def served_text(served_at: str | None) -> str:
    """Return when something happened that a closed period moved."""
    return "" if served_at is None else f"of {minute_of(served_at)}, which is closed"


def charges_part(statement: Statement) -> list[str]:
    """Return charges by project and model."""
    if not statement.charges:
        return []
    header = ("project", "model", "requests", "tokens in", "tokens out", "charged", "corrected", "refunded", "net")
    rows = [
        (
            line.project, line.model, str(line.requests), str(line.input_tokens), str(line.output_tokens),
            line.charged.value, blank_zero(line.corrected.value), blank_zero(line.refunded.value), line.net.value,
        )
        for line in statement.charges
    ]  # fmt: skip
    return [*title(f"Charges by project and model (in {statement.unit})"), *table(header, rows, left=2)]


def blank_zero(value: str) -> str:
    """Return an amount's text, empty where it is zero."""
    return value if value.strip("-0.") else ""


def moved_part(statement: Statement) -> list[str]:
    """Return what is part of this month because its own was closed."""
    if not statement.moved:
        return []
    lines = title(f"Moved here from a closed month, counted above (in {statement.unit})")
    lines += table(("what", "request", "of", "amount"), map(moved_row, statement.moved), left=3)
    return lines + (sentence("and more") if statement.has_more_moved else [])


def moved_row(moved: MovedPosting) -> tuple[str, str, str, str]:
    """Return a posting as a row."""
    return moved.what, moved.request_id or "", minute_of(moved.served_at), moved.amount.value
