"""Closing balances of periods: what an event states against what had moved before the period's end."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter

from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.core.identifiers import PLATFORM
from ledger.events import Fact, decode_fact
from ledger.workspace.periods import AccountSums, add_sums
from projections import journal
from projections.audit.findings import Findings
from projections.audit.reading import QUERIES
from projections.audit.sums import ClosedPeriod, Sums, add_turnovers
from projections.closed_periods import closing_differences, standing
from projections.connections import run
from projections.replaying import NOT_APPLICABLE, Turnovers

__all__ = ["compare_periods"]


def compare_periods(connection: Connection[TupleRow], generation: int, sums: Sums, findings: Findings) -> None:
    """Compare every closing of a book with what it must state.

    A book's own is compared with the movements before it, each of which is checked beside its events; the platform's
    with the sum of all books' closings that stood then.
    """
    if sums.workspace_id == PLATFORM:
        compare_platform(connection, sums.periods, findings)
        return
    for closed in sums.periods:
        block = closed.position >> journal.BLOCK_BITS
        if sums.journal_position < (block << journal.BLOCK_BITS) - 1:
            # The movements before it are not all there yet: the book is said to be behind.
            continue
        moved: Turnovers = {account: list(turnover) for account, turnover in closed.own_block.items()}
        before = (sums.workspace_id, generation, closed.day, block)
        for bucket, account, debit, credit in run(connection, QUERIES["read_moved_before"], before):
            add_turnovers(moved, {(bucket, account): [int(debit), int(credit)]})
        expected = {account: debit - credit for account, (debit, credit) in moved.items()}
        report_differences(closed, closed.ends_at, expected, findings)


def report_differences(closed: ClosedPeriod, ends_at: int, expected: AccountSums, findings: Findings) -> None:
    """Report every account that a closing states another balance of."""
    for what, wanted, found in closing_differences(closed.closing, ends_at, expected):
        findings.report(what, wanted, found, closed.position)


def compare_platform(connection: Connection[TupleRow], periods: Sequence[ClosedPeriod], findings: Findings) -> None:
    """Compare the platform's closings with the sums of the books' own. Books come one after the other."""
    sums: list[AccountSums] = [{} for _ in periods]
    for name, facts in read_period_facts(connection):
        for closed, balances in zip(periods, sums, strict=True):
            if not facts or facts[0].catalog_position > closed.catalog_position:
                continue
            own = standing(facts, closed.closing.period, closed.catalog_position)
            if own is None:
                findings.report(f"period {closed.closing.period}", f"closed in {name}", "open", closed.position)
            else:
                add_sums(balances, own.balances)
    for closed, balances in zip(periods, sums, strict=True):
        report_differences(closed, closed.closing.until, balances, findings)


def read_period_facts(connection: Connection[TupleRow]) -> Iterator[tuple[str, list[Fact]]]:
    """Yield for each book but the platform's the fact that it began with, and those about its periods."""
    for name, rows in groupby(run(connection, QUERIES["read_period_events"]), itemgetter(0)):
        try:
            yield name, [decode_fact(state) for _, state in rows]
        except NOT_APPLICABLE:
            # It is reported where it stands.
            continue
