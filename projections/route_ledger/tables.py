"""Lines of the route ledger as CSV: RFC 4180, a header row, and every amount beside its unit. Pure.

All amounts of a row between `unit` and `paid` are in that row's `unit`; a column is never to be added up over rows of
two units. A provider's cost has a unit of its own beside it; the costs of failed attempts, of which each may be in
another, are a text that lists them. Tokens have a column for each part. What is not known is empty, never 0.

Cells are written as they are, for programs. Texts that a spreadsheet would take for a formula get a leading
apostrophe when `for_excel` is asked for, and only then: numbers never do.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from ledger.core.amounts import StatedAmount
from ledger.pricing.usage import PARTS
from projections.route_ledger.answers import CustomerRequestLine, EntryPlace, RequestLine

__all__ = ["COLUMNS", "PLATFORM_COLUMNS", "csv_header", "csv_rows"]

LINE_END = "\r\n"
TO_QUOTE = frozenset('",\r\n')
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
BETWEEN = "; "
UNKNOWN = "unknown"

COLUMNS = (
    "workspace_id", "request_id", "status", "began_at", "ended_at", "changed_at", "expires_at", "project_id",
    "api_key_id", "end_user", "workflow", "run", "step", "trace_id", "model", "route", "tier", "upstream_model",
    "reported_model", "rule", "skipped", "fallback_chain", "attempts", "retries", "fallbacks", "failures",
    "input_tokens", "output_tokens", *(f"tokens_{part}" for part in PARTS), "usage_source", "policy", "terms",
    "priced_by", "rate_card", "model_mismatch", "unpriced", "bucket", "unit", "held", "charge", "list_price",
    "discount", "waived", "corrected", "refunded", "paid", "latency_ms", "first_token_ms", "entries", "position",
    "last_position",
)  # fmt: skip
"""What a workspace's own key gets."""

PLATFORM_COLUMNS = (
    "provider", "cost_unit", "cost", "failed_costs", "overrun_unit", "overrun", "price_sources", "own_entries",
)  # fmt: skip
"""What a key of the platform gets behind them."""

Cell = str | int | bool | StatedAmount | None


def csv_header(*, for_platform: bool) -> str:
    """Return the header row."""
    return row_of(COLUMNS + PLATFORM_COLUMNS if for_platform else COLUMNS)


def csv_rows(lines: Iterable[CustomerRequestLine], *, for_excel: bool = False) -> str:
    """Return lines as rows: those of the platform with its columns, those of a customer without."""
    return "".join(row_of(text_of(cell, for_excel=for_excel) for cell in cells_of(line)) for line in lines)


def row_of(cells: Iterable[str]) -> str:
    """Return cells as one row, quoted where they must be."""
    return ",".join(map(quoted, cells)) + LINE_END


def quoted(cell: str) -> str:
    """Return a cell in quotes where it holds a comma, a quote or the end of a line."""
    return cell if TO_QUOTE.isdisjoint(cell) else '"' + cell.replace('"', '""') + '"'


def text_of(cell: Cell, *, for_excel: bool) -> str:
    """Return a cell's text."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, StatedAmount):
        return cell.value
    if isinstance(cell, int):
        return str(cell)
    return f"'{cell}" if for_excel and cell.startswith(FORMULA_STARTS) else cell


def cells_of(line: CustomerRequestLine) -> Iterator[Cell]:
    """Yield a line's cells in the order of the columns."""
    tokens: dict[str, int] = {}
    for each in line.tokens:
        tokens[each.part] = tokens.get(each.part, 0) + each.tokens
    for name in COLUMNS:
        if name in LISTED:
            yield LISTED[name](line)
        elif name.startswith(TOKENS):
            yield tokens.get(name.removeprefix(TOKENS), 0) if line.input_tokens is not None else None
        else:
            yield getattr(line, name)
    if isinstance(line, RequestLine):
        yield from platform_cells(line)


def platform_cells(line: RequestLine) -> Iterator[Cell]:
    """Yield the cells of the platform's columns."""
    facts = line.platform
    yield facts.provider
    cost = None if facts.served_cost is None else facts.served_cost.cost
    yield None if cost is None else cost.unit
    yield cost
    yield BETWEEN.join(
        UNKNOWN if each.cost is None else f"{each.cost.value} {each.cost.unit}" for each in facts.failed_costs
    )
    yield None if facts.overrun is None else facts.overrun.unit
    yield facts.overrun
    yield BETWEEN.join(f"{each.rate_card}: {each.source}" for each in facts.price_sources)
    yield places_text(facts.entries)


def skipped_text(line: CustomerRequestLine) -> str:
    """Return the candidates that were not taken, with the reasons."""
    return BETWEEN.join(f"{each.route}: {each.reason}" for each in line.skipped)


def chain_text(line: CustomerRequestLine) -> str:
    """Return the moves, each with route and bucket on both sides."""
    return BETWEEN.join(
        f"{each.from_route} ({each.from_bucket}) > {each.to_route} ({each.to_bucket}): {each.failure}"
        for each in line.fallback_chain
    )


def failures_text(line: CustomerRequestLine) -> str:
    """Return the failed attempts."""
    return BETWEEN.join(
        f"{each.attempt} {each.route}: {each.failure}"
        + ("" if each.http_status is None else f" HTTP {each.http_status}")
        + f" after {each.latency_ms} ms"
        for each in line.failures
    )


def listed_text(name: str, line: CustomerRequestLine) -> str:
    """Return a list of texts."""
    texts: Sequence[str] = getattr(line, name)
    return BETWEEN.join(texts)


def entries_text(line: CustomerRequestLine) -> str:
    """Return where the entries stand."""
    return places_text(line.entries)


def places_text(places: Iterable[EntryPlace]) -> str:
    """Return places as bucket and position."""
    return BETWEEN.join(f"{each.bucket} {each.position}" for each in places)


TOKENS = "tokens_"
LISTED: dict[str, Callable[[Any], str]] = {
    "skipped": skipped_text,
    "fallback_chain": chain_text,
    "failures": failures_text,
    "terms": partial(listed_text, "terms"),
    "entries": entries_text,
}
"""Columns that hold a list as text."""
