"""`route-ledger balances`: wallets and trial balances at any moment, from a directory's books."""

import asyncio
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from gateway.database import existing_database
from gateway.tools.failures import ToolFailed, WrongUsage
from gateway.tools.following import draw_level
from gateway.tools.voice import note, say
from gateway.tools.zones import zone_of_workspace
from ledger.core.amounts import format_minor
from ledger.store.live import LiveReader
from projections.api.answers import BalanceMoment, TrialBalance, WalletBalance
from projections.api.views import balance_view, moment_view, trial_balance_view
from projections.balances.moments import Moment, moment_of
from projections.balances.reading import AccountsAt, BalanceReader, NotFollowed, WalletsAt
from projections.balances.wallets import WalletAt
from projections.journal_rows import Journal
from projections.reading import JournalReader
from projections.spend.asking import AskedWrongly, zone_of

__all__ = ["WalletBalances", "run_balances"]

POSITION_PATTERN = re.compile(r"[0-9]{1,19}\Z")
DAYS_AGO = {"today": "0", "yesterday": "1"}
AGO_PATTERN = re.compile(r"([0-9]{1,5}) days? ago\Z")
TIMES = {"effective": "effective_at", "recorded": "recorded_at"}
MEANT = {"effective": "what had happened by", "recorded": "what had been recorded by"}


class WalletBalances(msgspec.Struct, frozen=True):
    """Wallets at a moment, null for now. Nothing is summed over them."""

    as_of: BalanceMoment | None
    wallets: list[WalletBalance]


class Found(msgspec.Struct, frozen=True):
    """What was asked for at a moment: accounts or wallets."""

    moment: Moment | None
    at: AccountsAt | WalletsAt


def run_balances(
    data: Path,
    workspace: str | None,
    when: str | None,
    by: str | None,
    zone: str | None,
    *,
    with_accounts: bool,
    as_json: bool,
) -> int:
    """Print balances at a moment: a line per wallet, or the trial balance of each bucket."""
    asked = {name: text for name, text in (("at", when), ("by", by), ("zone", zone)) if text is not None}
    with existing_database(data) as database:
        draw_level(database, Journal())
        found = asyncio.run(read_balances(database, workspace, asked, with_accounts=with_accounts))
    own_zone = found.at.books[0].time_zone if workspace is not None and found.at.books else None
    as_of = moment_view(found.moment, own_zone)
    if isinstance(found.at, AccountsAt):
        balance = trial_balance_of(found.at, workspace, as_of)
        say_json(balance) if as_json else show_accounts(balance)
    else:
        wallets = [each for each in found.at.wallets if each.is_open or each.posted_minor or each.held_minor]
        if as_json:
            say_json(WalletBalances(as_of, [balance_view(each, as_of) for each in wallets]))
        else:
            show_wallets(wallets)
    if as_of is not None and not as_json:
        note(told_moment(as_of))
    return 0


async def read_balances(
    database: str, workspace: str | None, asked: Mapping[str, str], *, with_accounts: bool
) -> Found:
    """Return what a database gives. Raises ToolFailed for what is not there, WrongUsage."""
    reader, live = JournalReader(database), LiveReader(database)
    balances = BalanceReader(reader, wait_seconds=0)
    try:
        own_zone = await zone_of_workspace(live, workspace)
        moment = moment_meant(asked, own_zone, is_one=workspace is not None)
        if with_accounts:
            return Found(moment, await balances.accounts(moment, workspace))
        return Found(moment, await balances.wallets(moment, workspace))
    except AskedWrongly as wrong:
        raise WrongUsage(f"--{'zone' if wrong.field == 'zone' else 'at'}: {wrong.detail}") from None
    except NotFollowed as behind:
        raise ToolFailed(f"position {behind.wanted} is not there: {behind.reached} is reached") from None
    finally:
        await reader.close()
        await live.close()


def moment_meant(asked: Mapping[str, str], own_zone: str, *, is_one: bool) -> Moment | None:
    """Return the moment that `at`, `by` and `zone` mean. Raises AskedWrongly and WrongUsage."""
    when, zone = asked.get("at"), asked.get("zone")
    if when is None:
        if "by" in asked or zone is not None:
            raise WrongUsage("--by and --zone say how a moment is meant: name it with --at")
        return None
    if zone is not None:
        zone_of(zone)
    if POSITION_PATTERN.match(when):
        if not is_one:
            raise WrongUsage("a position is one book's: name the workspace")
        if "by" in asked or zone is not None:
            raise WrongUsage("a position needs neither --by nor --zone")
        return moment_of("position", when, None)
    return moment_of(TIMES[asked.get("by", "effective")], day_meant(when, zone or own_zone), zone)


def day_meant(when: str, zone: str) -> str:
    """Return the day that `today`, `yesterday` or `7 days ago` is in a time zone; any other text as it is."""
    ago = AGO_PATTERN.match(when)
    days = ago.group(1) if ago is not None else DAYS_AGO.get(when)
    if days is None:
        return when
    return (datetime.now(UTC).astimezone(ZoneInfo(zone)).date() - timedelta(days=int(days))).isoformat()


def trial_balance_of(found: AccountsAt, workspace: str | None, as_of: BalanceMoment | None) -> TrialBalance:
    """Return accounts as a trial balance, with the position, or the positions, that it holds for."""
    if workspace is None:
        return trial_balance_view(
            found.accounts, as_of=as_of, positions={book.workspace_id: book.position for book in found.books}
        )
    return trial_balance_view(found.accounts, workspace, found.books[0].position if found.books else 0, as_of)


def say_json(answer: msgspec.Struct) -> None:
    """Print an answer for a program."""
    say(msgspec.json.encode(answer).decode())


def show_wallets(wallets: list[WalletAt]) -> None:
    """Print a line per wallet; each bucket in its own unit, nothing summed."""
    say(f"{'workspace':<20} {'bucket':<12} {'position':>9} {'posted':>22} {'held':>20} {'available':>22} unit")
    for wallet in wallets:
        posted, held, available = (
            format_minor(minor, wallet.unit.scale)
            for minor in (wallet.posted_minor, wallet.held_minor, wallet.available_minor)
        )
        names = f"{wallet.workspace_id:<20} {wallet.bucket:<12} {wallet.position:>9}"
        say(f"{names} {posted:>22} {held:>20} {available:>22} {wallet.unit.code}")


def show_accounts(balance: TrialBalance) -> None:
    """Print each bucket's accounts with its two totals; no line is of two buckets."""
    for bucket in balance.buckets:
        say(f"{bucket.bucket} ({bucket.debit.unit})")
        say(f"  {'account':<40} {'type':<10} {'debit':>24} {'credit':>24}")
        for line in bucket.lines:
            say(f"  {line.account:<40} {line.type:<10} {line.debit.value:>24} {line.credit.value:>24}")
        said = "in balance" if bucket.in_balance else f"NOT in balance: {bucket.difference.value}"
        say(f"  {said:<51} {bucket.debit.value:>24} {bucket.credit.value:>24}")
    if balance.position is not None:
        say(f"position {balance.position}")


def told_moment(as_of: BalanceMoment) -> str:
    """Return in words what the figures are of."""
    if as_of.by == "position":
        return "as of this position of the book"
    if as_of.day is None:
        return f"{MEANT[as_of.by]} {as_of.through}"
    return f"{MEANT[as_of.by]} the end of {as_of.day}, {as_of.zone or 'in the time zone of each workspace'}"
