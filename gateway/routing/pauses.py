"""How long to wait before the same route is called again. Pure: chance comes in as a number."""

from gateway.settings import Retry as RetrySettings

RETRIED = frozenset(
    {"timeout", "connection", "rate_limited", "overloaded", "server_error", "bad_response", "stream_cut"}
)
"""Failures that may pass by themselves on the same route."""

MOVED = RETRIED | {"authentication", "upstream_account_empty", "context_window", "circuit_open", "other"}
"""Failures after which another route may do better."""


def pause_seconds(
    retry: int, retry_after_seconds: float | None, settings: RetrySettings, chance: float
) -> float | None:
    """Return the pause before a retry (1, 2, …), or None where the upstream asks for more than we wait.

    Doubling with full jitter, `chance` from 0 to 1; never less than what the upstream asked for.
    """
    if retry_after_seconds is not None and retry_after_seconds > settings.retry_after_seconds_max:
        return None
    longest = min(settings.first_pause_milliseconds / 1000 * 2.0 ** (retry - 1), settings.pause_seconds_max)
    return max(longest * chance, retry_after_seconds or 0.0)
