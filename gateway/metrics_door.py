"""Who may read the figures of a gateway apart from its ledger, which alone knows whose keys are whose."""

from hashlib import sha256

from gateway.books.protocol import Books
from ledger.api.access import not_allowed
from ledger.api.health import SEEING
from ledger.api.problems import HttpRefused
from ledger.api.refusal_table import HttpRefusal
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refused


class MetricsDoor:
    """Lets keys of the platform in, and the last one of them also while the ledger is away: that is when one looks."""

    def __init__(self) -> None:
        self._last: bytes | None = None

    async def require_watcher(self, books: Books, token: str) -> None:
        """Refuse a token that is no platform's key with scope `read` or `audit`."""
        # What stays in memory is no key.
        name = sha256(token.encode()).digest()
        try:
            caller = await books.identify(token)
        except Refused as refused:
            if refused.transient and name == self._last:
                return
            raise
        if caller is None:
            raise HttpRefused(HttpRefusal.NOT_AUTHENTICATED, "the key is unknown or revoked")
        if caller.workspace_id != PLATFORM or SEEING.isdisjoint(caller.scopes):
            raise not_allowed(SEEING)
        self._last = name
