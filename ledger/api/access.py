"""Who may call what. Default deny: a route that declares no scope answers nobody.

`Authorization` is read here and nowhere else, and never written anywhere.
"""

from collections.abc import Callable, Iterable
from typing import Any

from litestar.types import ASGIApp, Receive, Scope, Send

from ledger.api.problems import HttpRefused
from ledger.api.refusal_table import HttpRefusal
from ledger.core.refusals import Refusal, Refused
from ledger.operating import TOKEN_LENGTH_MAX
from ledger.service import Ledger, Principal
from ledger.workspace.commands import PLATFORM_SCOPES

SCOPES = "scopes"
"""The name under which a route declares its scopes in `opt`: a set of which one is enough, None for anybody."""

PUBLIC: dict[str, Any] = {SCOPES: None}
NOBODY: frozenset[str] = frozenset()


def requires(*scopes: str) -> dict[str, Any]:
    """Return the `opt` of a route that keys with one of these scopes may call."""
    return {SCOPES: frozenset(scopes)}


def effective_scopes(principal: Principal) -> frozenset[str]:
    """Return what a key may do: outside the platform's book nobody posts, funds or administrates."""
    return principal.scopes if principal.is_platform else principal.scopes - PLATFORM_SCOPES


def create_authorization(ledger: Ledger) -> Callable[[ASGIApp], ASGIApp]:
    """Return the middleware that stands before every route.

    The framework's guards would do, but each call of one copies the route handler: an eighth of a post's time.
    """

    def stand_before(app: ASGIApp) -> ASGIApp:
        async def authorize(scope: Scope, receive: Receive, send: Send) -> None:
            needed: frozenset[str] | None = scope["route_handler"].opt.get(SCOPES, NOBODY)
            if needed is not None:
                scope["user"] = await allowed_principal(ledger, scope, needed)
            await app(scope, receive, send)

        return authorize

    return stand_before


async def allowed_principal(ledger: Ledger, scope: Scope, needed: frozenset[str]) -> Principal:
    """Return who is calling when one of the needed scopes is theirs, else refuse."""
    principal = await ledger.authenticate(bearer_token(scope["headers"]))
    if principal is None:
        raise HttpRefused(HttpRefusal.NOT_AUTHENTICATED, "the key is unknown or revoked")
    if needed.isdisjoint(effective_scopes(principal)):
        raise not_allowed(needed)
    return principal


def not_allowed(needed: frozenset[str]) -> HttpRefused:
    """Return the refusal of a key without the scope."""
    scopes = sorted(needed)
    return HttpRefused(
        HttpRefusal.NOT_ALLOWED, f"this needs a key with scope {' or '.join(scopes) or '(none has it)'}", scopes=scopes
    )


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the token of the one Authorization header, else refuse."""
    found = [value for name, value in headers if name == b"authorization"]
    if not found:
        raise HttpRefused(HttpRefusal.NOT_AUTHENTICATED, "send Authorization: Bearer and a key")
    scheme, _, token = found[0].partition(b" ")
    if len(found) > 1 or scheme.lower() != b"bearer" or not 0 < len(token) <= TOKEN_LENGTH_MAX or not token.isascii():
        raise HttpRefused(HttpRefusal.NOT_AUTHENTICATED, "send one Authorization header: Bearer and a key")
    return str(token, "ascii")


def require_own_workspace(principal: Principal, workspace_id: str) -> None:
    """Refuse a workspace's key at another workspace, in the same words as one that does not exist."""
    if not principal.is_platform and principal.workspace_id != workspace_id:
        raise workspace_unknown()


def workspace_unknown() -> Refused:
    """Return the refusal of a workspace that does not exist, or not for this key."""
    return Refused(Refusal.WORKSPACE_UNKNOWN, "there is no such workspace", field="workspace_id")
