"""The door of the service: commands become pending ones, or are refused at once for how they were written."""

from collections.abc import Callable, Sequence

from ledger.checks import check_command
from ledger.core.commands import Command
from ledger.core.refusals import Refused
from ledger.store.batch import Outcome, Pending
from ledger.store.periods import PERIOD_COMMANDS, Prepared
from ledger.store.waiting import Group


def admit(
    commands: Sequence[Command],
    actor: str,
    deliver: Callable[[list[Pending]], None],
    group: Group,
    outcomes: list[Outcome | None],
    prepared: Prepared | None = None,
) -> list[Pending]:
    """Return the commands that are well formed as pending; the others' refusals go into `outcomes` at once.

    `prepared` has the same commands with what those on periods are given.
    """
    if prepared is not None:
        return admit_prepared(prepared, actor, deliver, group, outcomes)
    pendings: list[Pending] = []
    for command in commands:
        try:
            check_command(command)
        except Refused as refused:
            outcomes.append(Outcome(refused=refused))
            continue
        outcomes.append(None)
        pendings.append(Pending(command, actor, deliver, group))
    return pendings


def admit_prepared(
    prepared: Prepared,
    actor: str,
    deliver: Callable[[list[Pending]], None],
    group: Group,
    outcomes: list[Outcome | None],
) -> list[Pending]:
    """Return pending commands with the basis of each closing among them."""
    pendings: list[Pending] = []
    for place, command in enumerate(prepared.commands):
        for pending in admit((command,), actor, deliver, group, outcomes):
            pending.basis = prepared.bases.get(place)
            pendings.append(pending)
    return pendings


def is_on_periods(commands: Sequence[Command]) -> bool:
    """Return whether any of these commands closes or reopens a period."""
    return not PERIOD_COMMANDS.isdisjoint(map(type, commands))


def merge(outcomes: list[Outcome | None], pendings: list[Pending]) -> list[Outcome]:
    """Return all outcomes in the order of the commands."""
    decided = iter(pendings)
    return [next(decided).outcome if outcome is None else outcome for outcome in outcomes]
