"""Spend limits of keys and projects: which budget a request counts in, and what is left of it.

A budget is one limit in one day or month of the workspace's time zone, named
`key/<id>/<bucket>/day/2026-11-21` or `project/<id>/<bucket>/month/2026-11`. A request counts in the periods
of the moment it was routed, until its end; a limit counts from the moment it is set.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from ledger.core.amounts import format_minor
from ledger.core.commands import to_datetime
from ledger.core.refusals import Refusal, Refused
from ledger.workspace.events import SpendLimit
from ledger.workspace.state import WorkspaceState


class Budget(msgspec.Struct, frozen=True):
    """What counts against one limit in one period, in smallest parts."""

    held_minor: int = 0
    charged_minor: int = 0

    @property
    def used_minor(self) -> int:
        """Held and charged together."""
        return self.held_minor + self.charged_minor


class NotLoaded(LookupError):
    """A decision needs a budget that was not read. The store reads it and decides again."""

    def __init__(self, budget: str) -> None:
        super().__init__(budget)
        self.budget = budget


Budgets = Mapping[str, Budget]

MACHINE_TIME_ZONES = frozenset({"Factory", "localtime", "posixrules"})
"""Names that many machines have beside the database, and that mean something else on each."""


def is_time_zone(name: str) -> bool:
    """Return whether a name is one of the time zone database's, and so the same on every machine."""
    if name in MACHINE_TIME_ZONES or name.startswith(("posix/", "right/")):
        return False
    try:
        ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return False
    return True


@lru_cache(maxsize=65_536)
def period_of(seconds: int, period: str, time_zone: str) -> str:
    """Return the day (`2026-11-21`) or month (`2026-11`) of an instant in a time zone."""
    day = to_datetime(seconds * 1_000_000).astimezone(ZoneInfo(time_zone)).date().isoformat()
    return day if period == "day" else day[:7]


def limits_of(
    workspace: WorkspaceState, project_id: str, api_key_id: str, bucket: str
) -> Iterator[tuple[str, SpendLimit]]:
    """Yield (subject, limit) of the key, then of the project, in one bucket."""
    key = workspace.api_keys.get(api_key_id)
    if key is not None:
        for limit in key.limits.spend:
            if limit.bucket == bucket:
                yield f"key/{api_key_id}", limit
    project = workspace.projects.get(project_id)
    if project is not None:
        for limit in project.spend_limits:
            if limit.bucket == bucket:
                yield f"project/{project_id}", limit


def budgets_at(
    workspace: WorkspaceState, project_id: str, api_key_id: str, bucket: str, instant: int
) -> tuple[str, ...]:
    """Return the names of the budgets that a request routed at an instant (microseconds) counts in."""
    return tuple(
        f"{subject}/{bucket}/{limit.period}/{period_of(instant // 1_000_000, limit.period, workspace.time_zone)}"
        for subject, limit in limits_of(workspace, project_id, api_key_id, bucket)
    )


def limit_of(workspace: WorkspaceState, budget: str) -> SpendLimit | None:
    """Return the limit that a budget's name refers to as it is now, or None when it was taken away."""
    subject, name, bucket, period, _ = budget.split("/")
    if subject == "key":
        key = workspace.api_keys.get(name)
        limits = key.limits.spend if key is not None else ()
    else:
        project = workspace.projects.get(name)
        limits = project.spend_limits if project is not None else ()
    for limit in limits:
        if limit.bucket == bucket and limit.period == period:
            return limit
    return None


def left_minor(workspace: WorkspaceState, budgets: Budgets, names: tuple[str, ...]) -> int | None:
    """Return how much more fits under all these budgets; None without limits."""
    left: int | None = None
    for name in names:
        limit = limit_of(workspace, name)
        if limit is None:
            continue
        if name not in budgets:
            raise NotLoaded(name)
        room = limit.limit_minor - budgets[name].used_minor
        left = room if left is None else min(left, room)
    return left


def require_budget(
    workspace: WorkspaceState, budgets: Budgets, names: tuple[str, ...], needed_minor: int, scale: int
) -> None:
    """Refuse when a spend limit does not cover what is needed; the key's limits come before the project's."""
    for budget in names:
        left = left_minor(workspace, budgets, (budget,))
        if left is None or needed_minor <= left:
            continue
        of_key = budget.startswith("key/")
        code = Refusal.API_KEY_SPEND_LIMIT_EXCEEDED if of_key else Refusal.PROJECT_SPEND_LIMIT_EXCEEDED
        needed, room = format_minor(needed_minor, scale), format_minor(left, scale)
        raise Refused(
            code,
            f"spend limit {budget}: {needed} needed, {room} left",
            budget=budget,
            needed=needed,
            left=room,
        )
