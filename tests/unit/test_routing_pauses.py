"""Pauses before a retry, and which failures are worth one."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.breaker import COUNTED
from gateway.routing.pauses import MOVED, RETRIED, pause_seconds
from gateway.settings import Retry
from ledger.request.commands import Failure

retries = st.integers(1, 21)
chances = st.floats(0, 1)
asked = st.none() | st.floats(0, 100)
settings = st.builds(
    Retry,
    first_pause_milliseconds=st.integers(0, 60_000),
    pause_seconds_max=st.floats(0, 86_400),
    retry_after_seconds_max=st.floats(0, 86_400),
)


@given(retries, asked, settings, chances)
def test_a_pause_is_never_shorter_than_what_was_asked_for(
    retry: int, retry_after: float | None, retry_settings: Retry, chance: float
) -> None:
    """A pause is at least Retry-After, at most the longer of that and the settings; too long a wait is none."""
    pause = pause_seconds(retry, retry_after, retry_settings, chance)
    if retry_after is not None and retry_after > retry_settings.retry_after_seconds_max:
        assert pause is None
    else:
        assert pause is not None
        assert (retry_after or 0) <= pause <= max(retry_after or 0, retry_settings.pause_seconds_max)


@given(retries, settings, chances)
def test_pauses_double_up_to_their_longest(retry: int, retry_settings: Retry, chance: float) -> None:
    """Without Retry-After a pause is any part of first × 2^(retry−1), which itself has a longest."""
    pause = pause_seconds(retry, None, retry_settings, chance)
    longest = pause_seconds(retry, None, retry_settings, 1.0)
    after = pause_seconds(retry + 1, None, retry_settings, 1.0)
    assert pause is not None
    assert longest is not None
    assert after == min(2 * longest, retry_settings.pause_seconds_max)
    assert pause == longest * chance


@pytest.mark.parametrize(
    ("retry", "retry_after", "chance", "pause"),
    [(1, None, 1.0, 0.25), (2, None, 1.0, 0.5), (3, None, 0.5, 0.5), (6, None, 1.0, 8.0), (20, None, 1.0, 8.0),
     (1, None, 0.0, 0.0), (1, 3.0, 1.0, 3.0), (6, 3.0, 1.0, 8.0), (1, 20.0, 1.0, 20.0), (1, 20.1, 1.0, None)],
)  # fmt: skip
def test_pauses_with_the_default_settings(
    retry: int, retry_after: float | None, chance: float, pause: float | None
) -> None:
    """A quarter of a second, doubled to eight at most; up to twenty where the upstream asks for it."""
    assert pause_seconds(retry, retry_after, Retry(), chance) == pause


def test_failures_are_sorted_from_the_ledgers_closed_list() -> None:
    """What is retried may also move on; what the caller did is neither, nor does it speak against a route."""
    failures = frozenset(get_args(Failure))
    assert COUNTED < RETRIED < MOVED < failures
    assert failures - MOVED == {"refused_content", "invalid_request", "cancelled", "insufficient_hold"}
    assert {"authentication", "upstream_account_empty", "context_window", "circuit_open", "other"} == MOVED - RETRIED
    assert {"rate_limited"} == RETRIED - COUNTED
