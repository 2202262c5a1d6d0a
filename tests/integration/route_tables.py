"""The route ledger's tables as tests read them, and commands that come late."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.request import commands as request
from ledger.service import Ledger
from projections.following import Projection
from projections.journal_rows import Journal
from projections.route_ledger.rows import RequestRow
from projections.route_ledger.spending import SpendCell, Spending, Sums
from projections.route_ledger.writing import RouteLedger
from tests.integration.read_side import ask, follow, rows_of
from tests.integration.scenes import ACME, credit, fail_attempt, hold, record, refund, release, settle

ROUTE_PARTS = ("request", "spend_cell", "spend", "spend_line")
CELL_FIELDS = ", ".join(SpendCell.__struct_fields__[1:])
SUM_FIELDS = ", ".join(name for name in Sums.__struct_fields__ if name != "lines")


def late_commands(name: str = ACME) -> list[Command]:
    """Return commands whose content happened hours ago, quarters apart, each taking back or changing what was before.

    A late settlement, a correction down and up again, a late failed attempt, a refund; nothing may be left of zero.
    """
    at: dict[str, Any] = {"workspace_id": name}
    began = datetime.now(UTC) - timedelta(hours=5)
    moments: list[dict[str, Any]] = [{"effective_at": began + timedelta(minutes=minutes)} for minutes in (0, 30, 60)]
    first, second, third = moments
    cost: dict[str, Any] = {"provider_cost": StatedAmount("0.004", "USD")}

    def correct(correction_id: str, difference: str, when: dict[str, Any]) -> request.CorrectCharge:
        return request.CorrectCharge(
            **at, **when, request_id="late-2", correction_id=correction_id, cause="mistake",
            difference=credit(difference), reason="miscounted",
        )  # fmt: skip

    return [
        hold("late-1", **at, **first), release("late-1", **at, **first), settle("late-1", **at, **second, **cost),
        hold("late-2", run="run-2", **at, **first), settle("late-2", **at, **first, **cost),
        correct("down", "-0.002", second), correct("up", "0.002", second), correct("more", "0.001", third),
        fail_attempt("late-2", attempt=5, **at, **third, **cost), refund("late-2", **at, **third),
        hold("late-3", **at, **first), release("late-3", **at, **first), settle("late-3", 10**9, **at, **first),
        msgspec.structs.replace(correct("spared", "-0.5", second), request_id="late-3"),
    ]  # fmt: skip


def tell_late(ledger: Ledger, name: str = ACME) -> None:
    """Record the late commands, each in a batch of its own."""
    for command in late_commands(name):
        record(ledger, [command])


def follow_routes(url: str, events_max: int = 4000) -> int:
    """Follow all books to their ends with the route ledger, and return how many events were applied."""
    return follow(url, events_max, RouteLedger())


def follow_all(url: str) -> None:
    """Follow all books to their ends with every projection."""
    projections: tuple[Projection, ...] = (Journal(), RouteLedger())
    for projection in projections:
        follow(url, projection=projection)


def route_tables(url: str) -> dict[str, list[tuple[str, ...]]]:
    """Return all rows of the route ledger, table by table; of the cells those that something was spent in.

    A cell is a name: one whose last quarter was taken back may stay.
    """
    found = {part: [tuple(map(str, row)) for row in rows_of(url, part)] for part in ROUTE_PARTS}
    used = {(row[0], row[2]) for row in found["spend"]}
    found["spend_cell"] = [row for row in found["spend_cell"] if (row[0], row[1]) in used]
    return found


def request_rows(url: str) -> list[RequestRow]:
    """Return the rows of requests, in the order in which they began."""
    query = "select to_json(request)::text from projections.request order by workspace_id, position"
    return [msgspec.json.decode(row[0], type=RequestRow) for row in ask(url, query)]


def spending_in(url: str) -> Spending:
    """Return what was spent, with its lines."""
    cells = {
        (workspace_id, name): SpendCell(workspace_id, *dimensions)
        for workspace_id, name, *dimensions in ask(
            url, f"select workspace_id, cell, {CELL_FIELDS} from projections.spend_cell"
        )
    }
    found: Spending = {}
    for workspace_id, name, quarter, *sums in ask(
        url, f"select workspace_id, cell, quarter, {SUM_FIELDS} from projections.spend"
    ):
        numbers: list[Any] = [int(each) for each in sums]
        found[quarter, cells[workspace_id, name]] = Sums(*numbers)
    lines = "select workspace_id, cell, quarter, part, rate, tokens, rated_minor from projections.spend_line"
    for workspace_id, name, quarter, part, rate, tokens, rated_minor in ask(url, lines):
        found[quarter, cells[workspace_id, name]].lines[part, rate] = [tokens, int(rated_minor)]
    return found
