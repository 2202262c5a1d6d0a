"""The funding tie-out as a page for a person: plain text of at most 100 columns. Pure."""

from collections.abc import Iterator

from projections.change.words import counted
from projections.funding.answers import FundingEvents, FundingPage, FundingRow, ListedFunding, MemoTotal
from projections.layout import pair, sentence, table, title
from projections.stated import negated
from projections.statements.words import minute_of

__all__ = ["LINES_MAX", "funding_text"]

LINES_MAX = 20
"""How many listed events, and ids, are shown; more of them are in the JSON."""


def funding_text(page: FundingPage) -> str:
    """Return the page: what was asked, each source, and what memos lack."""
    whose = f"workspace {page.workspace_id}" if page.workspace_id else f"all {counted(page.books, 'book')}"
    lines = [
        *title(f"Funding of {whose}"),
        *pair("period", f"{page.period.begins_at} until before {page.period.ends_at}"),
        *pair("time zone", page.zone),
        *pair("ties out", "yes: accounts and events agree" if page.ties_out else "NO: see the differences"),
    ]
    if not page.complete:
        lines += sentence("NOT COMPLETE: the journal has not followed all books to their ends yet.")
    for row in page.rows:
        lines += source_part(row)
    return "\n".join([*lines, *incomplete_part(page), *repeated_part(page)]).lstrip("\n")


def source_part(row: FundingRow) -> list[str]:
    """Return one source in one bucket: the account, the events, the difference, and the memos."""
    lines = title(f"{row.account}, {row.bucket} wallets (in {row.unit})")
    lines += table(("", "account", "events"), account_rows(row), left=1)
    for words, events in (("paid", row.payments), ("taken back", row.reversals), ("paid out", row.withdrawals)):
        if events.events:
            lines += pair(words, memo_text(events))
    return lines


def account_rows(row: FundingRow) -> Iterator[tuple[str, str, str]]:
    """Yield what the account says beside what the events say."""
    yield "opening balance", row.opening.value, ""
    yield "debit, payments", row.debit.value, row.payments.amount.value
    yield "credit, payments taken back", negated(row.credit).value, negated(row.reversals.amount).value
    yield "and withdrawals", "", negated(row.withdrawals.amount).value
    yield "balance", row.balance.value, ""
    yield "difference of the period", row.difference.value, ""
    yield "difference of the balance", row.balance_difference.value, ""


def memo_text(events: FundingEvents) -> str:
    """Return what memos come to, each currency by itself, and how many events have none."""
    parts = [counted(events.events, "event"), *map(total_text, events.memos)]
    if events.without_memo:
        parts.append(f"{events.without_memo} without a memo")
    if events.without_external_id:
        parts.append(f"{events.without_external_id} without an external id")
    return "; ".join(parts)


def total_text(total: MemoTotal) -> str:
    """Return what memos in one currency come to."""
    if total.fee is None:
        return f"{total.amount} {total.currency} (fees not known)"
    unknown = f", of {total.without_fee} not known" if total.without_fee else ""
    return f"{total.amount} {total.currency} (fees {total.fee}{unknown})"


def incomplete_part(page: FundingPage) -> list[str]:
    """Return the events whose memo lacks something."""
    if not page.incomplete:
        return []
    rows = list(map(incomplete_row, page.incomplete_events[:LINES_MAX]))
    header = ("when", "workspace", "what", "reference", "amount", "lacks")
    return [*title(f"{counted(page.incomplete, 'event')} without a whole memo"), *table(header, rows, left=4)]


def incomplete_row(event: ListedFunding) -> tuple[str, ...]:
    """Return an event that lacks something as a row."""
    lacks = "no memo" if event.lacks == "memo" else "no external id"
    name = f"{event.source} {event.reference}"
    return minute_of(event.happened_at), event.workspace_id, event.kind, name, event.amount.value, lacks


def repeated_part(page: FundingPage) -> list[str]:
    """Return external ids that stand twice."""
    if not page.repeated:
        return []
    rows = [
        (
            each.source,
            each.kind,
            each.external_id,
            ", ".join(f"{use.workspace_id} {use.reference}" for use in each.uses),
        )
        for each in page.repeated_ids[:LINES_MAX]
    ]
    header = ("source", "what", "external id", "used by")
    return [*title(f"{counted(page.repeated, 'external id')} used more than once"), *table(header, rows, left=4)]
