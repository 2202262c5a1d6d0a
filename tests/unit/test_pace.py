"""Limits per minute: what a routing counts for, what takes its place, and when the minute is over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.refusals import Refusal, Refused
from ledger.pricing.usage import ModelUsage, Usage
from ledger.request.events import Estimate
from ledger.workspace import commands as workspace
from ledger.workspace.events import KeyLimits
from ledger.workspace.pace import (
    MINUTE_MICROSECONDS,
    MinuteUse,
    PaceNotLoaded,
    add_use,
    minute_of,
    require_pace,
    seconds_to_next_minute,
)
from tests import strategies  # noqa: F401 -- loads the profile
from tests.unit.story import (
    ACME,
    MINE,
    extend_hold,
    limits,
    opened,
    release_request,
    route_request,
    settle_request,
    take_fallback,
)
from tests.unit.world import NOW, SECOND, World

MINUTE = 60 * SECOND
START = NOW - NOW % MINUTE
"""The first microsecond of a minute."""

SMALL = Usage(100, 10, {"uncached_input": 100, "text_output": 10})


def paced(requests: int | None = None, tokens: int | None = None, now: int = START) -> World:
    """Return a world in which the key has these limits per minute."""
    stated = limits(requests_per_minute=requests, tokens_per_minute=tokens)
    return opened(now=now).all(workspace.SetApiKeyLimits(**MINE, change_id="p", api_key_id="k1", limits=stated))


def refused(world: World, request_id: str, tokens: int = 1400) -> Refused | None:
    """Route a request that is estimated at so many tokens, and return its refusal if any."""
    try:
        world.do(route_request(request_id, estimate=Estimate(tokens, 0)))
    except Refused as error:
        return error
    return None


def used(world: World) -> tuple[int, int]:
    """Return what the key used in its latest minute."""
    use = world.books[ACME].pace["k1"]
    return use.requests, use.tokens


def test_the_request_after_the_last_one_is_refused_until_the_minute_ends() -> None:
    """Two are taken, the third is told when to come again, and is taken then."""
    world = paced(requests=2, now=START + 17 * SECOND)
    assert [refused(world, name) for name in ("r1", "r2")] == [None, None]
    found = refused(world, "r3")
    assert found is not None
    assert found.code is Refusal.REQUESTS_PER_MINUTE_EXCEEDED
    assert found.facts == {"limit": 2, "needed": 1, "left": 0, "retry_after_seconds": 43}
    world.now += 43 * SECOND - 1
    assert refused(world, "r3") is not None
    world.now += 1
    assert refused(world, "r3") is None
    assert used(world) == (1, 1400)


def test_tokens_count_as_estimated_and_an_estimate_that_just_fits_is_taken() -> None:
    """Input and output of the estimate count together; one token more than is left is refused."""
    world = paced(tokens=3000)
    assert refused(world, "r1", 1400) is None
    found = refused(world, "r2", 1601)
    assert found is not None
    assert (found.code, found.facts["left"]) == (Refusal.TOKENS_PER_MINUTE_EXCEEDED, 1600)
    assert refused(world, "r2", 1600) is None
    assert refused(world, "r3", 0) is None


def test_a_refused_request_counts_for_nothing() -> None:
    """Whoever is refused, for whatever reason, uses nothing up."""
    world = paced(requests=1, tokens=1000)
    assert refused(world, "r1", 1001) is not None
    with pytest.raises(Refused):
        world.do(route_request("r1", route="nowhere"))
    assert refused(world, "r1", 1000) is None


def test_what_was_used_takes_the_place_of_the_estimate() -> None:
    """A settlement in the same minute counts its tokens, other models' too; the request stays one request."""
    world = paced(tokens=5000)
    world.do(route_request("r1"))
    world.do(settle_request("r1", usage=SMALL, others=(ModelUsage("gpt-4o", SMALL),)))
    assert used(world) == (1, 220)
    world.do(route_request("r2", estimate=Estimate(1, 0)))
    world.do(settle_request("r2", usage=Usage(4000, 4000, {"uncached_input": 4000, "text_output": 4000})))
    assert used(world) == (2, 8220)
    found = refused(world, "r3", 1)
    assert found is not None
    assert found.facts["left"] == 0


def test_a_release_gives_the_tokens_back_and_not_the_request() -> None:
    """What was released used no tokens, but it was a request; settled late it counts no more."""
    world = paced(requests=9, tokens=1400)
    world.do(route_request("r1"))
    assert refused(world, "r2") is not None
    world.do(release_request("r1"))
    assert used(world) == (1, 0)
    world.do(settle_request("r1"))
    assert used(world) == (1, 0)
    assert refused(world, "r2") is None


def test_an_end_in_a_later_minute_changes_nothing() -> None:
    """The estimate stays with the minute in which the request began."""
    world = paced(requests=9, tokens=9000)
    world.all(route_request("r1"), route_request("r2"))
    world.now += MINUTE
    world.all(settle_request("r1"), release_request("r2"), route_request("r3"))
    assert used(world) == (1, 1400)


def test_moving_and_enlarging_a_hold_is_no_request() -> None:
    """Extensions and fallbacks count for nothing, and the end still takes the estimate's place."""
    world = paced(requests=1, tokens=2000)
    world.all(route_request("r1"), extend_hold("r1"), take_fallback("r1"))
    assert used(world) == (1, 1400)
    world.do(settle_request("r1", route="gpt-ordinary", usage=SMALL, provider_cost=None))
    assert used(world) == (1, 110)


def test_a_request_from_before_the_limit_never_counts_in_it() -> None:
    """A limit counts from the moment it is set; what was routed before ends without it."""
    world = paced()
    world.do(route_request("r1"))
    stated = limits(requests_per_minute=1)
    world.do(workspace.SetApiKeyLimits(**MINE, change_id="q", api_key_id="k1", limits=stated))
    world.all(route_request("r2"), settle_request("r1"))
    assert used(world) == (1, 1400)


def test_a_key_without_such_limits_is_not_even_asked_about() -> None:
    """Nothing is read or counted for it."""
    world = paced()
    world.all(route_request("r1"), settle_request("r1"))
    assert world.books[ACME].pace == {}


def test_what_was_not_read_is_asked_for() -> None:
    """A decision never takes a minute that was not read for an empty one."""
    for pace in ({}, {"k1": MinuteUse(minute_of(START), 1, 1)}):
        with pytest.raises(PaceNotLoaded) as missing:
            require_pace(KeyLimits(requests_per_minute=5), pace, "k1", 0, START)
        assert missing.value.api_key_id == "k1"


@given(st.integers(0, 4_102_444_800_000_000))
def test_the_next_minute_has_begun_when_we_say_so(now: int) -> None:
    """After the stated whole seconds the minute is another one, and a second earlier it is still this one."""
    seconds = seconds_to_next_minute(now)
    assert 1 <= seconds <= 60
    assert minute_of(now + seconds * SECOND) == minute_of(now) + 1
    assert minute_of(now + (seconds - 1) * SECOND) == minute_of(now)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(-9, 9))))
def test_only_the_latest_minute_is_kept(steps: list[tuple[int, int, int]]) -> None:
    """Use adds up within a minute and begins anew with the next one."""
    minute, use = 1, MinuteUse(is_whole=True)
    sums: dict[int, tuple[int, int]] = {}
    for later, requests, tokens in steps:
        minute += later
        use = add_use(use, minute, requests, tokens)
        before = sums.get(minute, (0, 0))
        sums[minute] = before[0] + requests, before[1] + tokens
        assert (use.minute, use.requests, use.tokens, use.is_whole) == (minute, *sums[minute], True)


def test_a_minute_is_the_calendars() -> None:
    """Minutes begin with the clock's own minutes, in whole seconds of UTC."""
    assert minute_of(START) * MINUTE_MICROSECONDS == START
    assert minute_of(START - 1) == minute_of(START) - 1
