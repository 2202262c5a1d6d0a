"""What the reads answer. Amounts are decimal text with their unit; no object holds amounts of two buckets."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from operator import attrgetter

import msgspec

from ledger.api.answers import instant
from ledger.core.accounts import AccountType, Side, kind_of
from ledger.core.amounts import StatedAmount, Unit, state_amount
from ledger.events import Recorded
from projections.api.answers import (
    BalanceMoment,
    BookEvent,
    EntryLeg,
    JournalEntry,
    StatementLine,
    TrialBalance,
    TrialBalanceOfBucket,
    TrialLine,
    WalletBalance,
)
from projections.balances.moments import Moment
from projections.balances.wallets import WalletAt
from projections.reading import AccountRow, EntryWithLegs, Failure, Lag, StatementRow


class AccountView(msgspec.Struct, frozen=True):
    """One account: what went through it on each side, and its balance on its normal side."""

    bucket: str
    account: str
    type: AccountType
    normal_side: Side
    debit: StatedAmount
    credit: StatedAmount
    balance: StatedAmount


class AccountsView(msgspec.Struct, frozen=True):
    """All accounts of a workspace at a position of its book, and at a moment if one was asked for."""

    workspace_id: str
    position: int
    accounts: list[AccountView]
    as_of: BalanceMoment | None = None


class EntriesPage(msgspec.Struct, frozen=True):
    """Some entries in the order of their positions; `next_cursor` leads on while `has_more`."""

    data: list[JournalEntry]
    next_cursor: str | None
    has_more: bool


class EventsPage(msgspec.Struct, frozen=True):
    """Some events in the order of their positions."""

    data: list[BookEvent]
    next_cursor: str | None
    has_more: bool


class StatementPage(msgspec.Struct, frozen=True):
    """A part of a wallet's statement, oldest first. Up to a moment it says the book's position that it holds for."""

    workspace_id: str
    bucket: str
    data: list[StatementLine]
    next_cursor: str | None
    has_more: bool
    position: int | None = None
    as_of: BalanceMoment | None = None


class ProjectionsView(msgspec.Struct, frozen=True):
    """How far every projection is behind, and the books that stand still."""

    projections: list[Lag]
    failures: list[Failure]


def account_view(row: AccountRow) -> AccountView:
    """Return an account as it is shown."""
    kind = kind_of(row.account)
    balance = row.debit_minor - row.credit_minor
    return AccountView(
        row.bucket,
        row.account,
        kind.type,
        kind.normal_side,
        state_amount(row.debit_minor, row.unit),
        state_amount(row.credit_minor, row.unit),
        state_amount(balance if kind.normal_side is Side.DEBIT else -balance, row.unit),
    )


def trial_balance_view(
    rows: Sequence[AccountRow],
    workspace_id: str | None = None,
    position: int | None = None,
    as_of: BalanceMoment | None = None,
    positions: dict[str, int] | None = None,
) -> TrialBalance:
    """Return a trial balance of accounts that are sorted by bucket."""
    buckets = [trial_balance_of_bucket(bucket, list(own)) for bucket, own in groupby(rows, attrgetter("bucket"))]
    return TrialBalance(workspace_id, position, buckets, as_of, positions)


def moment_view(moment: Moment | None, own_zone: str | None = None) -> BalanceMoment | None:
    """Return a moment as it is shown, for a workspace with a time zone or for all."""
    if moment is None:
        return None
    zone = None if moment.day is None else moment.zone or own_zone
    is_one = moment.instant is not None or zone is not None
    return BalanceMoment(
        moment.kind,
        None if moment.day is None else moment.day.isoformat(),
        zone,
        instant(moment.before(zone or "") - 1) if is_one else None,
    )


def balance_view(wallet: WalletAt, as_of: BalanceMoment | None) -> WalletBalance:
    """Return a wallet at a moment as it is shown."""
    amounts = (wallet.posted_minor, wallet.held_minor, wallet.available_minor, wallet.credit_limit_minor)
    return WalletBalance(
        wallet.workspace_id,
        wallet.bucket,
        wallet.position,
        as_of,
        *(state_amount(minor, wallet.unit) for minor in amounts),
    )


def trial_balance_of_bucket(bucket: str, rows: Sequence[AccountRow]) -> TrialBalanceOfBucket:
    """Return the trial balance of one bucket."""
    unit = rows[0].unit
    lines = [trial_line(row, unit) for row in rows]
    balances = [row.debit_minor - row.credit_minor for row in rows]
    debit = sum(balance for balance in balances if balance > 0)
    credit = -sum(balance for balance in balances if balance < 0)
    return TrialBalanceOfBucket(
        bucket,
        lines,
        state_amount(debit, unit),
        state_amount(credit, unit),
        state_amount(debit - credit, unit),
        debit == credit,
    )


def trial_line(row: AccountRow, unit: Unit) -> TrialLine:
    """Return an account's line: its balance on the side where it stands."""
    balance = row.debit_minor - row.credit_minor
    debit, credit = state_amount(max(balance, 0), unit), state_amount(max(-balance, 0), unit)
    return TrialLine(row.account, kind_of(row.account).type, debit, credit)


def entry_view(entry: EntryWithLegs) -> JournalEntry:
    """Return an entry as it is shown."""
    return JournalEntry(
        entry.bucket,
        entry.position,
        entry.tag,
        entry.request_id,
        instant(entry.effective_at),
        instant(entry.recorded_at),
        [EntryLeg(leg.debit_account, leg.credit_account, state_amount(leg.minor, entry.unit)) for leg in entry.legs],
    )


def event_view(recorded: Recorded) -> BookEvent:
    """Return an event as it is shown."""
    return BookEvent(
        recorded.workspace_id,
        recorded.position,
        recorded.stream,
        recorded.version,
        recorded.tag,
        recorded.command_id,
        instant(recorded.recorded_at),
        msgspec.Raw(recorded.state),
        recorded.digest.hex(),
    )


def statement_lines(rows: Iterable[StatementRow], unit: Unit) -> list[StatementLine]:
    """Return a statement's lines as they are shown."""
    return [
        StatementLine(
            row.position,
            row.tag,
            row.request_id,
            instant(row.effective_at),
            instant(row.recorded_at),
            state_amount(row.posted_change_minor, unit),
            state_amount(row.held_change_minor, unit),
            state_amount(row.posted_minor, unit),
            state_amount(row.held_minor, unit),
            state_amount(row.available_minor, unit),
        )
        for row in rows
    ]
