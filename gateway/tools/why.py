"""`route-ledger why`: why charge or cost differs between two periods, from a directory's books or from a ledger's."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from time import time_ns

import httpx
import msgspec

from gateway.database import existing_database
from gateway.ledger_client import LedgerClient, LedgerError, RefusedByLedger
from gateway.tools.failures import ToolFailed, WrongUsage
from gateway.tools.following import draw_level
from gateway.tools.receipt import KEY_VARIABLE
from gateway.tools.voice import note, say
from gateway.tools.zones import zone_of_workspace
from ledger.store.live import LiveReader
from projections.change.answers import Change
from projections.change.page import change_page
from projections.collecting import rare_collections
from projections.route_ledger.writing import RouteLedger
from projections.spend.asking import AskedWrongly, Seen, change_question
from projections.spend.explaining import change_of
from projections.spend.reading import SpendReader

WRONGLY_ASKED = 400


def run_why(
    asked: Mapping[str, str | None], workspace: str | None, data: Path, url: str | None, *, as_json: bool
) -> int:
    """Print why: a page for a person, or JSON for a program. `asked` are the parameters of `/spend/change`."""
    parameters = {name: value for name, value in asked.items() if value is not None}
    if url is None:
        with existing_database(data) as database, rare_collections():
            draw_level(database, RouteLedger())
            change, behind = asyncio.run(read_change(database, parameters, workspace))
        if behind:
            note(f"not complete: the route ledger is {behind:,} events behind the books")
    else:
        change = ask_change(url, parameters, workspace, os.environ)
    say(msgspec.json.encode(change).decode() if as_json else change_page(change))
    return 0


async def read_change(database: str, asked: Mapping[str, str], workspace: str | None) -> tuple[Change, int]:
    """Return the answer as the platform sees it, made of the database itself, and how many events it does not have."""
    spend, live = SpendReader(database), LiveReader(database)
    try:
        own_zone = await zone_of_workspace(live, workspace)
        question = change_question(asked, asked.get("zone", own_zone), time_ns() // 1000)
        seen = Seen(workspace)
        comparison = await spend.compare(question, seen)
        # Read after the sums, the catalog knows all that they name.
        change = change_of(question, seen, comparison, await live.read_catalog())
        return change, 0 if change.complete else await spend.events_behind(workspace)
    except AskedWrongly as wrong:
        raise WrongUsage(f"--{wrong.field}: {wrong.detail}") from None
    finally:
        await spend.close()
        await live.close()


def ask_change(url: str, asked: Mapping[str, str], workspace: str | None, environ: Mapping[str, str]) -> Change:
    """Return the answer of the ledger at an address, as the key there may see it."""
    key = environ.get(KEY_VARIABLE, "").strip()
    if not key:
        raise WrongUsage(f"{KEY_VARIABLE} is not set: a key with scope call, read or audit is needed for {url}")
    parameters = dict(asked) if workspace is None else {**asked, "workspace_id": workspace}
    try:
        with LedgerClient(url, key) as client:
            return client.change(parameters)
    except RefusedByLedger as refused:
        raise (WrongUsage if refused.status == WRONGLY_ASKED else ToolFailed)(str(refused)) from None
    except LedgerError as error:
        raise ToolFailed(str(error)) from None
    except (ValueError, httpx.InvalidURL) as error:
        raise WrongUsage(str(error)) from None
