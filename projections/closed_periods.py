"""Whether closed periods say what the events say: each book's own closings, and the platform's as their sum. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ledger.core.identifiers import PLATFORM
from ledger.events import Fact
from ledger.workspace.events import PeriodClosed, PeriodReopened
from ledger.workspace.periods import AccountSums, add_sums

__all__ = ["Buckets", "Turnovers", "closing_differences", "platform_differences", "sums_before", "turnovers_of"]

Buckets = defaultdict[str, dict[str, list[int]]]
"""[debit, credit] in smallest parts by bucket, then by account."""

Turnovers = dict[tuple[str, str], list[int]]
"""[debit, credit] by (bucket, account), in smallest parts."""

Finding = tuple[str, object, object]
"""What differs, what the events say, and what was found."""


def turnovers_of(months: Iterable[Buckets]) -> Turnovers:
    """Return what went through each account in these months."""
    turnovers: Turnovers = {}
    for month in months:
        for bucket, accounts in month.items():
            for account, (debit, credit) in accounts.items():
                turnover = turnovers.setdefault((bucket, account), [0, 0])
                turnover[0] += debit
                turnover[1] += credit
    return turnovers


def sums_before(months: Mapping[int, Buckets], until: int) -> AccountSums:
    """Return debit less credit of each account in the months that begin before an instant."""
    turnovers = turnovers_of(month for begin, month in months.items() if begin < until)
    return {account: debit - credit for account, (debit, credit) in turnovers.items()}


def closing_differences(closing: PeriodClosed, ends_at: int, expected: AccountSums) -> Iterator[Finding]:
    """Yield where a closing ends at another instant than its month, or states another balance than the expected one."""
    if closing.until != ends_at:
        yield f"period {closing.period} until", ends_at, closing.until
    stated: AccountSums = {}
    add_sums(stated, closing.balances)
    for bucket, account in sorted(expected.keys() | stated.keys()):
        wanted, found = (sums.get((bucket, account), 0) for sums in (expected, stated))
        if wanted != found:
            yield f"period {closing.period} {bucket} {account}", wanted, found


def platform_differences(books: Mapping[str, Sequence[Fact]], position: int) -> Iterator[Finding]:
    """Yield where a closing of the platform is not the sum of the books' closings that stood at its position.

    `books` has of each the fact that it began with and those that closed or reopened periods. A fact that was decided
    before the platform's closing knew fewer positions of the platform's book: no clock is asked. Closings behind
    `position`, where the platform's book stood before any book was read, are left to the next time.
    """
    for fact in books.get(PLATFORM, ()):
        closing = fact.event
        if not isinstance(closing, PeriodClosed) or fact.catalog_position >= position:
            continue
        expected: AccountSums = {}
        for name, facts in books.items():
            if name == PLATFORM or not facts or facts[0].catalog_position > fact.catalog_position:
                continue
            own = standing(facts, closing.period, fact.catalog_position)
            if own is None:
                yield f"period {closing.period}", f"closed in {name}", "open"
            else:
                add_sums(expected, own.balances)
        yield from closing_differences(closing, closing.until, expected)


def standing(facts: Sequence[Fact], period: str, platform_position: int) -> PeriodClosed | None:
    """Return the closing of a period that stood when the platform's book was at a position, None where none did."""
    found: PeriodClosed | None = None
    for fact in facts:
        if fact.catalog_position <= platform_position:
            match fact.event:
                case PeriodClosed() as closing if closing.period == period:
                    found = closing
                case PeriodReopened(period=reopened) if reopened == period:
                    found = None
    return found
