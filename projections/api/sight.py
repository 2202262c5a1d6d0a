"""What of the requests a key may see: all of them, those of its workspace or project, or its own."""

import msgspec

from ledger.api.access import effective_scopes, not_allowed, workspace_unknown
from ledger.api.problems import HttpRefused
from ledger.api.refusal_table import HttpRefusal
from ledger.core.identifiers import WORKSPACE_PATTERN
from ledger.service import Principal

__all__ = ["SEEING", "Sight", "require_platform_key", "sight_of"]

SEEING = frozenset({"read", "audit"})
"""With one of these a key sees more than the requests that were made with it."""


class Sight(msgspec.Struct, frozen=True):
    """How far a key sees; None is everything there is. Only the platform sees what is the platform's alone."""

    is_platform: bool
    workspace_id: str | None
    project_id: str | None
    api_key_id: str | None


def require_platform_key(principal: Principal, detail: str) -> None:
    """Refuse a workspace's own key where all is the platform's; `detail` says what."""
    if not principal.is_platform:
        raise HttpRefused(HttpRefusal.NOT_ALLOWED, detail)


def sight_of(principal: Principal, named: str | None) -> Sight:
    """Return how far a key sees when it names a workspace, or none.

    Refused: a platform's key without `read` or `audit`, and a workspace that is not the key's own, in the words of
    one that does not exist.
    """
    if named is not None and not WORKSPACE_PATTERN.match(named):
        raise workspace_unknown()
    sees = not SEEING.isdisjoint(effective_scopes(principal))
    if principal.is_platform:
        if not sees:
            raise not_allowed(SEEING)
        return Sight(True, named, None, None)
    if named not in {None, principal.workspace_id}:
        raise workspace_unknown()
    return Sight(False, principal.workspace_id, principal.project_id, None if sees else principal.api_key_id)
