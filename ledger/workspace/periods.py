"""Periods of finance: months of a workspace's own time zone, how often each was closed, and what is still open.

A period is named `2026-10`. It is closed once it has ended, and from then on whatever comes late is posted at the
first instant after it. It can be reopened, the last one first; each closing of a month has a number, from 1.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from ledger.catalog.state import Catalog
from ledger.core.commands import to_datetime, to_microseconds
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refusal, Refused
from ledger.workspace.commands import ClosePeriod, ReopenPeriod
from ledger.workspace.events import AccountBalance, PeriodClosed, PeriodReopened
from ledger.workspace.state import WorkspaceState

LAST_ON_EARTH = "Etc/GMT+12"
"""Where a month ends last: the platform's month, which is that of every book, ends with it."""

EARLIEST_ON_EARTH_MICROSECONDS = 14 * 3_600_000_000
"""So long before a date begins by UTC it begins where it does so first."""

AccountSums = dict[tuple[str, str], int]
"""Debit less credit in smallest parts, by (bucket, account)."""

StateBalances = Callable[[str, int], tuple[AccountBalance, ...]]
"""Returns what a book's closing balances of a period are: (period, until). Refuses where they cannot be stated."""


class Basis(msgspec.Struct, frozen=True):
    """What the accounts of a book stood at: of its entries up to `position` those effective before `until`."""

    position: int
    until: int
    sums: AccountSums


ReadBasis = Callable[[str, int], Basis]
"""Returns the basis of a workspace's closing balances, as late a one as there is: (workspace_id, until)."""


def nothing_read(workspace_id: str, until: int) -> Basis:
    """Return the basis of a book of which nothing is known yet: all of its events are still to be added."""
    return Basis(0, until, {})


@lru_cache(maxsize=4096)
def end_of(period: str, time_zone: str) -> int:
    """Return the first instant after a period (microseconds), as the clocks of a time zone show it."""
    year, month = int(period[:4]), int(period[5:])
    after = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=ZoneInfo(time_zone))
    # Where clocks skip midnight this is the moment at which they do.
    return to_microseconds(after)


def begin_of(period: str, time_zone: str) -> int:
    """Return the first instant of a period (microseconds), as the clocks of a time zone show it."""
    return end_of(before(period), time_zone)


def before(period: str) -> str:
    """Return the period before another one."""
    year, month = int(period[:4]), int(period[5:])
    return f"{year - (month == 1):04}-{(month - 2) % 12 + 1:02}"


def period_at(instant: int, time_zone: str) -> str:
    """Return the period that an instant (microseconds) belongs to, whatever date clocks show that were put back."""
    period = f"{to_datetime(instant).astimezone(ZoneInfo(time_zone)):%Y-%m}"
    if instant < begin_of(period, time_zone):
        return before(period)
    ends_at = end_of(period, time_zone)
    return period if instant < ends_at else f"{to_datetime(ends_at).astimezone(ZoneInfo(time_zone)):%Y-%m}"


def period_begun_at(instant: int) -> str:
    """Return the period that begins at an instant (microseconds), in whatever time zone it does so."""
    return f"{to_datetime(instant + EARLIEST_ON_EARTH_MICROSECONDS):%Y-%m}"


def open_from(workspace: WorkspaceState, catalog: Catalog) -> int:
    """Return the first instant that a book still takes postings at.

    A book that is younger than what the platform has closed has closed nothing itself.
    """
    if catalog.closed_period > workspace.closed_period:
        return end_of(catalog.closed_period, workspace.time_zone)
    return workspace.closed_until


def numbered(command: ClosePeriod | ReopenPeriod, state: WorkspaceState) -> ClosePeriod | ReopenPeriod:
    """Return a command with the number of the closing that it makes or undoes, where it states none.

    A month that is closed is closed again under the same number, which makes that a repeat; so is reopening one that
    was reopened.
    """
    if command.closing is not None:
        return command
    reopened = state.reopened.get(command.period, 0)
    is_next = isinstance(command, ClosePeriod) or command.period in state.closed_periods
    return msgspec.structs.replace(command, closing=max(1, reopened + is_next))


def decide_period(
    command: ClosePeriod | ReopenPeriod,
    state: WorkspaceState,
    catalog: Catalog,
    now: int,
    state_balances: StateBalances | None,
) -> PeriodClosed | PeriodReopened:
    """Close a month that has ended, with the balance of every account at its end, or reopen the last one."""
    is_platform = state.workspace_id == PLATFORM
    if isinstance(command, ReopenPeriod):
        require_reopenable(command, state, catalog, is_platform=is_platform)
        return PeriodReopened(command.period)
    until = require_closable(command, state, now, is_platform=is_platform)
    if state_balances is None:
        raise Refused(Refusal.PERIOD_BALANCES_BEHIND, "the balances of the book could not be read", field="period")
    return PeriodClosed(command.period, until, state_balances(command.period, until))


def require_closable(command: ClosePeriod, state: WorkspaceState, now: int, *, is_platform: bool) -> int:
    """Return the first instant after a period that can be closed now, else refuse."""
    period = command.period
    ends_at = end_of(period, LAST_ON_EARTH if is_platform else state.time_zone)
    if now < ends_at:
        where = "everywhere" if is_platform else f"in {state.time_zone}"
        raise Refused(Refusal.PERIOD_NOT_ENDED, f"the month {period} has not ended {where} yet", field="period")
    if period in state.closed_periods:
        raise Refused(Refusal.PERIOD_CLOSED, f"the month {period} is closed", field="closing")
    require_last(period, state)
    if command.closing != state.reopened.get(period, 0) + 1:
        raise Refused(Refusal.PERIOD_NOT_CLOSED, f"the month {period} was not closed so often", field="closing")
    return end_of(period, state.time_zone)


def require_reopenable(command: ReopenPeriod, state: WorkspaceState, catalog: Catalog, *, is_platform: bool) -> None:
    """Refuse a period that is not closed, or before a closed one, or closed by the platform."""
    period = command.period
    if period not in state.closed_periods or command.closing != state.reopened.get(period, 0) + 1:
        raise Refused(Refusal.PERIOD_NOT_CLOSED, f"the month {period} is not closed", field="period")
    require_last(period, state)
    if not is_platform and period <= catalog.closed_period:
        raise Refused(
            Refusal.PERIOD_CLOSED_BY_PLATFORM,
            f"the platform has closed {catalog.closed_period}: reopen that first",
            field="period",
            closed_period=catalog.closed_period,
        )


def require_last(period: str, state: WorkspaceState) -> None:
    """Refuse a period that is earlier than the last closed one."""
    if period < state.closed_period:
        raise Refused(
            Refusal.PERIOD_NOT_LAST,
            f"a later month, {state.closed_period}, is closed",
            field="period",
            closed_period=state.closed_period,
        )


def add_sums(sums: AccountSums, balances: Iterable[AccountBalance]) -> None:
    """Add balances to sums: each within its own bucket and account."""
    for each in balances:
        key = (each.bucket, each.account)
        sums[key] = sums.get(key, 0) + each.balance_minor


def balances_of(sums: AccountSums) -> tuple[AccountBalance, ...]:
    """Return the balances of accounts that have one, by bucket and account."""
    return tuple(AccountBalance(*account, minor) for account, minor in sorted(sums.items()) if minor)
