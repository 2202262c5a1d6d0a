"""`route-ledger funding` and `margin`: how payments tie out and what routes earn, from a directory's books."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from time import time_ns

import msgspec

from gateway.database import existing_database
from gateway.tools.failures import ToolFailed, WrongUsage
from gateway.tools.following import draw_level
from gateway.tools.voice import note, say
from ledger.core.identifiers import WORKSPACE_PATTERN
from ledger.store.live import LiveReader
from projections.funding.answers import FundingPage
from projections.funding.page import funding_text
from projections.funding.reading import FundingReader, told_funding
from projections.journal_rows import Journal
from projections.margin.answers import MarginPage
from projections.margin.page import margin_text
from projections.margin.reading import read_margin
from projections.margin.tables import margin_csv
from projections.margin.telling import margin_page
from projections.reading import JournalReader
from projections.route_ledger.writing import RouteLedger
from projections.spend.asking import AskedWrongly, PeriodAsked, spend_period, zone_of

__all__ = ["run_funding", "run_margin"]

OTHER_ZONE = "UTC"
Asked = Mapping[str, str | None]


class Period(msgspec.Struct, frozen=True):
    """A period and the zone that its days are of."""

    asked: PeriodAsked
    zone_name: str


def run_funding(asked: Asked, workspace: str | None, data: Path, *, as_json: bool) -> int:
    """Print the funding tie-out. `asked` are from, to and zone. The exit code is 1 where it does not tie out."""
    with existing_database(data) as database:
        draw_level(database, Journal())
        page = asyncio.run(funding_of(database, asked, workspace))
    say(msgspec.json.encode(page).decode() if as_json else funding_text(page))
    if not page.complete:
        note("not complete: the journal has not followed all books to their ends")
    return 0 if page.ties_out else 1


def run_margin(asked: Asked, workspace: str | None, data: Path, *, as_json: bool, as_csv: bool) -> int:
    """Print margins per route: a page for a person, JSON or CSV for a program."""
    with existing_database(data) as database:
        draw_level(database, RouteLedger())
        page = asyncio.run(margin_of(database, asked, workspace))
    if as_csv:
        say(margin_csv(page).removesuffix("\n"))
    else:
        say(msgspec.json.encode(page).decode() if as_json else margin_text(page))
    if not page.complete:
        note("not complete: the route ledger has not followed all books to their ends")
    return 0


async def funding_of(database: str, asked: Asked, workspace: str | None) -> FundingPage:
    """Return the tie-out of a database's books."""
    reader, live = JournalReader(database), LiveReader(database)
    try:
        period = await period_of(live, asked, workspace)
        found = await FundingReader(reader).find(workspace, period.asked)
        # Read after the books, the catalog knows all that they name.
        return told_funding(workspace, period.asked, period.zone_name, found, await live.read_catalog())
    finally:
        await reader.close()
        await live.close()


async def margin_of(database: str, asked: Asked, workspace: str | None) -> MarginPage:
    """Return the margins of a database's books."""
    reader, live = JournalReader(database), LiveReader(database)
    try:
        period = await period_of(live, asked, workspace)
        found = await read_margin(reader.spend, workspace, period.asked)
        complete = not await reader.spend.events_behind(workspace)
        catalog = await live.read_catalog()
        return margin_page(workspace, period.asked, period.zone_name, found, catalog, complete=complete)
    finally:
        await reader.close()
        await live.close()


async def period_of(live: LiveReader, asked: Asked, workspace: str | None) -> Period:
    """Return the period that is asked for, in the zone that is, else the workspace's own, UTC over all."""
    own = OTHER_ZONE
    if workspace is not None:
        state = await live.read_workspace(workspace) if WORKSPACE_PATTERN.match(workspace) else None
        if state is None:
            raise ToolFailed(f"there is no workspace {workspace}")
        own = state.time_zone
    zone_name = asked.get("zone") or own
    stated = {name: value for name, value in asked.items() if value is not None}
    try:
        return Period(spend_period(stated, zone_of(zone_name), time_ns() // 1000), zone_name)
    except AskedWrongly as wrong:
        raise WrongUsage(f"--{wrong.field}: {wrong.detail}") from None
