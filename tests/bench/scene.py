"""What is measured on: the books of many workspaces, and an endless, realistic mix of commands for them.

Half of the commands route a request and place its hold, half settle one routed earlier and capture a part of its
hold. Each carries what a gateway would send: labels, end user, trace, usage, latencies, the provider's cost.
"""

from collections import deque
from collections.abc import Sequence
from hashlib import sha256

import psycopg

from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.events import Recorded
from ledger.service import Ledger, Outcome
from tests.integration.scenes import catalog_commands, hold, record, settle, workspace_commands

HOT = "hot"
FUNDS = "1000000"
HOLD = "0.05"
"""More than the 36,000 millionths that the longest answer costs, so that every capture is a part."""

HOLD_SECONDS = 86_400
END_USERS = tuple(sha256(f"user {number}".encode()).hexdigest() for number in range(1000))
WORKFLOWS = tuple(f"support-agent-{number}" for number in range(20))
STEPS = ("plan", "search", "answer", "review")
STRIDE = 7919
"""A prime, so that walking by it visits every workspace and neighbours in time are none in name."""

TABLES = """
select format('%%I.%%I', relnamespace::regnamespace, relname) from pg_class
where relkind = 'r' and relnamespace = %s::regnamespace
"""
TRACE_STEP = 0x9E3779B97F4A7C15F39CC0605CEDC835
REQUEST_ID_LENGTH = 32


def spread_names(count: int) -> list[str]:
    """Return the names of the workspaces that a load is spread over."""
    return [f"ws-{number:05d}" for number in range(count)]


def set_scene(url: str, workspaces: int) -> None:
    """Publish the catalog; open and fund the hot workspace and the many others."""
    with Ledger(url) as ledger:
        record(ledger, catalog_commands())
        names = [HOT, *spread_names(workspaces)]
        for start in range(0, len(names), 500):
            page = names[start : start + 500]
            record(ledger, [command for name in page for command in workspace_commands(name, FUNDS)])


def tidy_tables(url: str, schema: str) -> None:
    """Do at once what the database does by itself in the background, for the tables of a schema that have rows.

    Of an empty table it would be told that it is empty, and would go on as if: by itself it never does that.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        for (table,) in connection.execute(TABLES, (schema,)).fetchall():
            if connection.execute(f"select from {table} limit 1".encode()).fetchone() is not None:
                connection.execute(f"vacuum analyze {table}".encode())


class Mix:
    """Commands for some workspaces in turn. What is routed is settled `lag` requests later."""

    def __init__(self, workspaces: Sequence[str], prefix: str, lag: int, start: int = 0) -> None:
        self._workspaces = workspaces
        self._prefix = prefix
        self._lag = lag
        self._number = start
        self._open: deque[tuple[int, str, str]] = deque()

    def opening(self) -> list[Command]:
        """Return the requests that are open before the mix begins: post them first."""
        return [self._route() for _ in range(self._lag)]

    def take(self, commands: int) -> list[Command]:
        """Return the next commands, routing and settling by turns."""
        return [self._settle() if number % 2 else self._route() for number in range(commands)]

    def _route(self) -> Command:
        self._number += 1
        number = self._number
        workspace_id = self._workspaces[number * STRIDE % len(self._workspaces)]
        request_id = self._prefix + f"{number:0{REQUEST_ID_LENGTH - len(self._prefix)}d}"
        self._open.append((number, workspace_id, request_id))
        return hold(
            request_id, HOLD, workspace_id=workspace_id, hold_seconds=HOLD_SECONDS,
            end_user=END_USERS[number % len(END_USERS)], workflow=WORKFLOWS[number % len(WORKFLOWS)],
            run=f"run-{number // 8:09d}", step=STEPS[number % len(STEPS)], trace_id=trace_of(number),
        )  # fmt: skip

    def _settle(self) -> Command:
        number, workspace_id, request_id = self._open.popleft()
        return settle(
            request_id, 400 + number * 37 % 2600, workspace_id=workspace_id, first_token_ms=100 + number % 400,
            provider_cost=StatedAmount("0.00412", "USD"), trace_id=trace_of(number),
        )  # fmt: skip


def trace_of(number: int) -> str:
    """Return a trace id that looks like a random one."""
    return f"{number * TRACE_STEP % 2**128:032x}"


def events_of(outcomes: Sequence[Outcome]) -> list[Recorded]:
    """Return the events of outcomes that must all be new."""
    events = []
    for outcome in outcomes:
        assert outcome.refused is None, repr(outcome.refused)
        assert outcome.recorded is not None
        assert not outcome.repeated
        events.append(outcome.recorded)
    return events
