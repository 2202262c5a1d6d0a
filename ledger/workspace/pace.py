"""Limits per minute: how many requests and tokens of a key were taken in the minute of the decision.

A minute is the calendar's, by the clock that the decision is made at. A book's clock never goes back, so of each
key only the latest minute matters. A routing counts the tokens that it was estimated at; when the request ends
within the same minute, what was used takes their place.
"""

from collections.abc import Mapping

import msgspec

from ledger.core.refusals import Refusal, Refused
from ledger.workspace.events import KeyLimits
from ledger.workspace.state import WorkspaceState

MINUTE_MICROSECONDS = 60_000_000
SECOND_MICROSECONDS = 1_000_000


class MinuteUse(msgspec.Struct, frozen=True):
    """What a key used in one minute. `is_whole` when what earlier batches counted is in it."""

    minute: int = 0
    requests: int = 0
    tokens: int = 0
    is_whole: bool = False


UNREAD = MinuteUse()
Pace = Mapping[str, MinuteUse]
"""By key, the latest minute."""


class PaceNotLoaded(LookupError):
    """A decision needs a key's minute that was not read. The store reads it and decides again."""

    def __init__(self, api_key_id: str) -> None:
        super().__init__(api_key_id)
        self.api_key_id = api_key_id


def minute_of(instant: int) -> int:
    """Return the number of the minute of an instant (microseconds)."""
    return instant // MINUTE_MICROSECONDS


def is_paced(limits: KeyLimits) -> bool:
    """Return whether a key has a limit per minute."""
    return limits.requests_per_minute is not None or limits.tokens_per_minute is not None


def is_key_paced(workspace: WorkspaceState, api_key_id: str) -> bool:
    """Return whether a workspace has such a key, and it has a limit per minute."""
    key = workspace.api_keys.get(api_key_id)
    return key is not None and is_paced(key.limits)


def require_pace(limits: KeyLimits, pace: Pace, api_key_id: str, tokens: int, now: int) -> None:
    """Refuse a request that the key's limits per minute have no room for at `now`.

    Raises PaceNotLoaded where what the key used was not read.
    """
    use = pace.get(api_key_id, UNREAD)
    if not use.is_whole:
        raise PaceNotLoaded(api_key_id)
    is_same_minute = use.minute == minute_of(now)
    for code, what, limit, used, needed in (
        (Refusal.REQUESTS_PER_MINUTE_EXCEEDED, "requests", limits.requests_per_minute, use.requests, 1),
        (Refusal.TOKENS_PER_MINUTE_EXCEEDED, "tokens", limits.tokens_per_minute, use.tokens, tokens),
    ):
        if limit is None:
            continue
        left = max(0, limit - used) if is_same_minute else limit
        if needed > left:
            raise Refused(
                code,
                f"{limit} {what} per minute: {needed} needed, {left} left",
                limit=limit,
                needed=needed,
                left=left,
                retry_after_seconds=seconds_to_next_minute(now),
            )


def seconds_to_next_minute(now: int) -> int:
    """Return whole seconds after which the next minute has begun: 1 to 60."""
    return -((now - (minute_of(now) + 1) * MINUTE_MICROSECONDS) // SECOND_MICROSECONDS)


def add_use(use: MinuteUse, minute: int, requests: int, tokens: int) -> MinuteUse:
    """Return a key's latest minute after more use in `minute`, which is that one or a later one."""
    if use.minute == minute:
        return MinuteUse(minute, use.requests + requests, use.tokens + tokens, use.is_whole)
    return MinuteUse(minute, requests, tokens, use.is_whole)
