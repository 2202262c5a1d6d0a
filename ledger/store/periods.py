"""What commands on periods are given before they are queued: the number of their closing, and a basis of balances.

Read without any lock: the batch that decides them checks the number by its identity, and adds to the basis what the
book has since.
"""

from collections.abc import Sequence

import msgspec

from ledger.checks import check_command
from ledger.core.commands import Command
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refused
from ledger.store.connection import connect_writer
from ledger.store.reading import read_workspace
from ledger.workspace.commands import ClosePeriod, ReopenPeriod
from ledger.workspace.events import PeriodClosed, PeriodReopened
from ledger.workspace.periods import Basis, ReadBasis, end_of, numbered
from ledger.workspace.state import WorkspaceState, fold_workspace

_ON_PERIODS: tuple[type[Command], ...] = (ClosePeriod, ReopenPeriod)
PERIOD_COMMANDS = frozenset(_ON_PERIODS)


class Prepared(msgspec.Struct, frozen=True):
    """Commands in their order, those on periods with their numbers; by place the basis of each closing."""

    commands: tuple[Command, ...]
    bases: dict[int, Basis]


def prepare(url: str, commands: Sequence[Command], read_basis: ReadBasis) -> Prepared:
    """Return commands with what those on periods need. Raises psycopg.Error where the database does not answer."""
    states: dict[str, WorkspaceState] = {}
    prepared = list(commands)
    bases: dict[int, Basis] = {}
    with connect_writer(url) as connection:
        for place, command in enumerate(commands):
            if isinstance(command, ClosePeriod | ReopenPeriod) and is_well_formed(command):
                name = command.workspace_id
                state = states.get(name) or read_workspace(connection, WorkspaceState(name))
                prepared[place] = numbered(command, state)
                if isinstance(command, ClosePeriod) and command.period not in state.closed_periods:
                    until = end_of(command.period, state.time_zone)
                    if name != PLATFORM:
                        bases[place] = read_basis(name, until)
                states[name] = expected(command, state)
    return Prepared(tuple(prepared), bases)


def is_well_formed(command: Command) -> bool:
    """Return whether a command passes the checks at the door, where it is refused else."""
    try:
        check_command(command)
    except Refused:
        return False
    return True


def expected(command: ClosePeriod | ReopenPeriod, state: WorkspaceState) -> WorkspaceState:
    """Return a workspace as it will be if the command is accepted, for the commands behind it in one call."""
    is_closed = command.period in state.closed_periods
    if isinstance(command, ClosePeriod):
        if is_closed:
            return state
        return fold_workspace(state, PeriodClosed(command.period, end_of(command.period, state.time_zone)))
    return fold_workspace(state, PeriodReopened(command.period)) if is_closed else state
