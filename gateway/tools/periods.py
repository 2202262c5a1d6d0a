"""`route-ledger periods`: months are closed, reopened and listed, in a directory's books or at a ledger elsewhere."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gateway.database import existing_database
from gateway.ledger_client import PostOutcome
from gateway.remote_catalog import RemoteCatalog
from gateway.tools.elsewhere import client_at
from gateway.tools.failures import ToolFailed, WrongUsage
from gateway.tools.following import draw_level
from gateway.tools.voice import note, say
from ledger.api.period_answers import PeriodsView
from ledger.api.period_views import periods_view
from ledger.core.identifiers import PERIOD_PATTERN, PLATFORM, WORKSPACE_PATTERN
from ledger.core.refusals import Refusal
from ledger.service import SYSTEM, Ledger, Outcome, Principal
from ledger.store.install import read_purpose
from ledger.store.live import LiveReader
from ledger.workspace.commands import ClosePeriod, ReopenPeriod
from projections.closing import basis_reader
from projections.journal_rows import Journal

__all__ = ["run_close", "run_list", "run_reopen"]

Books = Ledger | RemoteCatalog
"""Who executes commands: the ledger on a database, or the client of one elsewhere."""

BOOKS_PER_CALL = 500
"""Each closing reads what the journal has of its book: a call of so many takes seconds."""


def run_close(period: str, workspace: str | None, data: Path, url: str | None, *, everywhere: bool) -> int:
    """Close a month of one book, or of all books and then the platform's. Exit code 1 where any stays open."""
    require_period(period)
    if (workspace is None) != everywhere:
        raise WrongUsage("say whose month it is with --workspace, or --all for every book and the platform's")
    with books_at(data, url) as keeper:
        if everywhere:
            return close_everywhere(keeper, period)
        return 0 if not close_books(keeper, period, [workspace or PLATFORM]) else 1


def run_reopen(period: str, workspace: str, reason: str, data: Path, url: str | None) -> int:
    """Reopen the last closed month of a book."""
    require_period(period)
    with books_at(data, url) as keeper:
        outcome = keeper.execute_many((ReopenPeriod(workspace_id=workspace, period=period, reason=reason),), SYSTEM)[0]
    if outcome.refused is not None:
        raise ToolFailed(f"{outcome.refused.code}: {outcome.refused.detail}")
    say(f"{workspace}: {period} takes postings again")
    return 0


def run_list(workspace: str, data: Path, url: str | None, *, as_json: bool) -> int:
    """Print the months that a book has closed, the latest first."""
    if not WORKSPACE_PATTERN.match(workspace):
        raise WrongUsage(f"{workspace[:64]!r} is no workspace")
    if url is None:
        with existing_database(data) as database:
            found = asyncio.run(read_periods(database, workspace))
    else:
        with client_at(url, "scope admin") as client:
            found = client.periods(workspace)
    if as_json:
        say(msgspec.json.encode(found).decode())
        return 0
    since = f", open from {found.open_from}" if found.open_from else ""
    say(f"{found.workspace_id}: months of {found.time_zone}{since}")
    for period in found.periods:
        last = period.closings[-1]
        act = last.closed if last.reopened is None else last.reopened
        accounts = f"{len(last.balances)} account{'' if len(last.balances) == 1 else 's'}"
        why = f", {act.reason}" if act.reason else ""
        say(
            f"{period.period}  {period.status:<8}  closing {last.closing}  {accounts:>12}  "
            f"position {act.position}, {act.at}, by {act.actor}{why}"
        )
    return 0


def require_period(period: str) -> None:
    """Refuse what is no month."""
    if not PERIOD_PATTERN.match(period):
        raise WrongUsage(f"a period is a month such as 2026-10, not {period[:64]!r}")


@contextmanager
def books_at(data: Path, url: str | None) -> Iterator[Books]:
    """Yield the ledger on a directory's database, its journal drawn level, or with an address the one there."""
    if url is not None:
        with client_at(url, "scope admin") as client:
            yield RemoteCatalog(client)
        return
    with existing_database(data) as database:
        draw_level(database, Journal())
        with Ledger(database, purpose=read_purpose(database)) as ledger:
            ledger.read_basis = basis_reader(database)
            yield ledger


def close_books(keeper: Books, period: str, names: Sequence[str]) -> dict[str, str]:
    """Close a month in some books, say of each what became of it, and return the refusals by book."""
    refused: dict[str, str] = {}
    for start in range(0, len(names), BOOKS_PER_CALL):
        some = names[start : start + BOOKS_PER_CALL]
        commands = [ClosePeriod(workspace_id=name, period=period) for name in some]
        outcomes: Sequence[Outcome | PostOutcome] = keeper.execute_many(commands, SYSTEM)
        for name, outcome in zip(some, outcomes, strict=True):
            if outcome.refused is not None:
                refused[name] = f"{outcome.refused.code}: {outcome.refused.detail}"
                note(f"{name}: {refused[name]}")
            elif outcome.recorded is not None:
                before = "was closed before" if outcome.repeated else "is closed"
                say(f"{name}: {period} {before}, at position {outcome.recorded.position}")
    return refused


def close_everywhere(keeper: Books, period: str) -> int:
    """Close a month in the books that the platform's closing names as open, until it passes. Return the exit code."""
    tried: set[str] = set()
    while True:
        outcome = keeper.execute_many((ClosePeriod(workspace_id=PLATFORM, period=period),), SYSTEM)[0]
        refused = outcome.refused
        if refused is None:
            close_books(keeper, period, [PLATFORM])
            return 0
        if refused.code is not Refusal.PERIOD_BOOKS_OPEN:
            raise ToolFailed(f"{PLATFORM}: {refused.code}: {refused.detail}")
        still_open = [str(name) for name in refused.facts["open_books"]]
        if not set(still_open) - tried or close_books(keeper, period, still_open):
            note(f"{PLATFORM}: {refused.detail}")
            return 1
        tried |= set(still_open)


async def read_periods(database: str, workspace: str) -> PeriodsView:
    """Return the months of a book as the platform sees them, from the database itself."""
    live = LiveReader(database)
    try:
        state = await live.read_workspace(workspace)
        if state is None:
            raise ToolFailed(f"there is no workspace {workspace}")
        of_platform, events = await live.read_period_events(PLATFORM), await live.read_period_events(workspace)
        reader = Principal(PLATFORM, SYSTEM, frozenset())
        return periods_view(state, events, of_platform, await live.read_catalog(), reader)
    finally:
        await live.close()
