"""In whose days a tool counts."""

from gateway.tools.failures import ToolFailed
from ledger.core.identifiers import WORKSPACE_PATTERN
from ledger.store.live import LiveReader
from projections.balances.zones import ZONE_DEFAULT

__all__ = ["zone_of_workspace"]


async def zone_of_workspace(live: LiveReader, workspace: str | None) -> str:
    """Return a workspace's own time zone, UTC over all of them. Raises ToolFailed for one that is not there."""
    if workspace is None:
        return ZONE_DEFAULT
    state = await live.read_workspace(workspace) if WORKSPACE_PATTERN.match(workspace) else None
    if state is None:
        raise ToolFailed(f"there is no workspace {workspace}")
    return state.time_zone
