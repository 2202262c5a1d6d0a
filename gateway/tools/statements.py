"""`route-ledger statement`: a month of one wallet, from a directory's books, for people, programs and printers."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from gateway.database import existing_database
from gateway.tools.failures import ToolFailed, WrongUsage
from gateway.tools.following import draw_level
from gateway.tools.voice import note, say
from ledger.core.identifiers import PLATFORM, WORKSPACE_PATTERN
from ledger.store.live import LiveReader
from projections.journal_rows import Journal
from projections.reading import JournalReader
from projections.route_ledger.writing import RouteLedger
from projections.spend.asking import AskedWrongly
from projections.statements.answers import Statement
from projections.statements.asking import month_of
from projections.statements.page import statement_page
from projections.statements.reading import JournalBehind, StatementReader, WalletUnknown
from projections.statements.sheet import statement_sheet
from projections.statements.tables import statement_csv
from projections.statements.telling import statement_of

__all__ = ["SHAPES", "run_statement"]

Shape = Callable[[Statement], str]
SHAPES: dict[str, Shape] = {
    "page": statement_page,
    "json": lambda statement: msgspec.json.encode(statement).decode(),
    "csv": statement_csv,
    "excel": partial(statement_csv, for_excel=True),
    "html": statement_sheet,
}
"""How a statement may be printed, by name."""


def run_statement(workspace: str, bucket: str, month: str, data: Path, shape: str) -> int:
    """Print a statement in one of the shapes. The exit code is 1 for one that does not tie out."""
    with existing_database(data) as database:
        draw_level(database, RouteLedger())
        draw_level(database, Journal())
        statement = asyncio.run(read_statement(database, workspace, bucket, month))
    say(SHAPES[shape](statement).removesuffix("\n"))
    if statement.events_behind:
        note(f"not complete: the route ledger is {statement.events_behind:,} events behind the book")
    for problem in statement.problems:
        note(f"does not tie out: {problem}")
    return 1 if statement.problems else 0


async def read_statement(database: str, workspace: str, bucket: str, month_name: str) -> Statement:
    """Return the statement that a database gives. Raises ToolFailed for what is not there, WrongUsage."""
    reader, live = JournalReader(database), LiveReader(database)
    try:
        state = await live.read_workspace(workspace) if WORKSPACE_PATTERN.match(workspace) else None
        if state is None:
            raise ToolFailed(f"there is no workspace {workspace}")
        month = month_of(month_name, state.time_zone)
        found = await StatementReader(reader).find(workspace, bucket, month)
        platform = await live.read_workspace(PLATFORM)
        return statement_of(workspace, bucket, month, found, "" if platform is None else platform.closed_period)
    except AskedWrongly as wrong:
        raise WrongUsage(f"{wrong.field}: {wrong.detail}") from None
    except WalletUnknown:
        raise ToolFailed(f"workspace {workspace} has no wallet in the bucket {bucket}") from None
    except JournalBehind as behind:
        raise ToolFailed(str(behind)) from None
    finally:
        await reader.close()
        await live.close()
