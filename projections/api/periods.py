"""The time zone and the names that reads of spend are asked with."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import time_ns

from ledger.api.access import workspace_unknown
from ledger.api.context import ApiContext
from projections.api.parameters import invalid
from projections.api.sight import Sight
from projections.balances.zones import ZONE_DEFAULT
from projections.spend.asking import AskedWrongly

__all__ = ["microseconds_now", "require_workspace", "understood", "zone_asked"]


def microseconds_now() -> int:
    """Return the present moment."""
    return time_ns() // 1000


async def zone_asked(context: ApiContext, sight: Sight, query: Mapping[str, str]) -> str:
    """Return the time zone that is asked for, else the workspace's own, UTC over all. Refuse an unknown workspace."""
    own = ZONE_DEFAULT
    if sight.workspace_id is not None:
        workspace = await context.ledger.workspace(sight.workspace_id)
        if workspace is None:
            raise workspace_unknown()
        own = workspace.time_zone
    return query.get("zone", own)


def require_workspace(query: Mapping[str, str], sight: Sight, names: Iterable[str]) -> None:
    """Refuse parameters that mean something in one workspace only where none is named."""
    for name in names:
        if name in query and sight.workspace_id is None:
            raise invalid("workspace_id", f"say in which workspace {name} is meant")


@contextmanager
def understood() -> Iterator[None]:
    """Refuse what is asked wrongly within, and name the parameter."""
    try:
        yield
    except AskedWrongly as wrong:
        raise invalid(wrong.field, wrong.detail) from None
