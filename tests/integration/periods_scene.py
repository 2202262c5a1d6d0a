"""What the tests of periods share: months that have ended, moments in them, and a slow fold of a book's events."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from ledger.core.amounts import StatedAmount
from ledger.core.commands import to_datetime
from ledger.events import Fact, decode_fact
from ledger.posting_rules import post
from ledger.wallet import commands as wallet
from ledger.workspace import commands as workspace
from ledger.workspace.events import AccountBalance, PeriodClosed, PeriodReopened
from ledger.workspace.periods import AccountSums, balances_of, end_of
from tests.integration.scenes import ACME, UNITS

PLATFORM = "platform"


def month(back: int) -> str:
    """Return the month so many months ago: 1 is the last one, which has not ended everywhere on its first day."""
    first = datetime.now(UTC).replace(day=1)
    for _ in range(back):
        first = (first - timedelta(days=1)).replace(day=1)
    return f"{first:%Y-%m}"


EARLIER, CLOSED, LATER = month(4), month(3), month(2)
"""Three months that have ended long ago, in order."""


def within(period: str, time_zone: str = "UTC", *, seconds_before_end: int = 86_400) -> datetime:
    """Return a moment in a month, so many seconds before its end."""
    return to_datetime(end_of(period, time_zone)) - timedelta(seconds=seconds_before_end)


def close(period: str = CLOSED, workspace_id: str = ACME, **more: Any) -> workspace.ClosePeriod:
    """Return what closes a month of a book."""
    return workspace.ClosePeriod(workspace_id=workspace_id, period=period, **more)


def reopen(period: str = CLOSED, workspace_id: str = ACME, **more: Any) -> workspace.ReopenPeriod:
    """Return what reopens a month of a book."""
    return workspace.ReopenPeriod(workspace_id=workspace_id, period=period, reason="an invoice came late", **more)


def grant(
    grant_id: str, value: str, when: datetime | None = None, *, workspace_id: str = ACME, bucket: str = "credit"
) -> wallet.GrantFunds:
    """Return what gives funds, at a moment of the past if one is given."""
    return wallet.GrantFunds(
        workspace_id=workspace_id, bucket=bucket, grant_id=grant_id, amount=StatedAmount(value, UNITS[bucket]),
        effective_at=when,
    )  # fmt: skip


def facts_of(url: str, workspace_id: str = ACME) -> list[Fact]:
    """Return all facts of a book in order: the first has position 1."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select state from ledger.event where workspace_id = %s order by position", (workspace_id,)
        ).fetchall()
    return [decode_fact(row[0]) for row in rows]


def folded(facts: list[Fact], until: int) -> tuple[AccountBalance, ...]:
    """Return the balances of all entries of these facts that are effective before an instant, leg by leg."""
    sums: AccountSums = {}
    for fact in facts:
        if fact.effective_at >= until:
            continue
        for entry in post(fact.event):
            for leg in entry.legs:
                for account, minor in ((leg.debit_account, leg.minor), (leg.credit_account, -leg.minor)):
                    sums[entry.bucket, account] = sums.get((entry.bucket, account), 0) + minor
    return balances_of(sums)


def require_true_closings(facts: list[Fact]) -> int:
    """Check that each closing of a book states the fold up to its own position; return how many there are."""
    closings = 0
    for place, fact in enumerate(facts):
        if isinstance(fact.event, PeriodClosed):
            assert fact.event.balances == folded(facts[:place], fact.event.until), fact.event
            closings += 1
    return closings


def require_final(facts: list[Fact]) -> None:
    """Check that nothing behind a closing that stands is effective before its end."""
    closed: dict[str, int] = {}
    for fact in facts:
        assert fact.effective_at >= max(closed.values(), default=0), fact
        match fact.event:
            case PeriodClosed(period=period, until=until):
                closed[period] = until
            case PeriodReopened(period=period):
                del closed[period]
