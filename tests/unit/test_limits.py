"""Spend limits by day and month in the workspace's time zone, over holds, fallbacks and endings."""

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.amounts import StatedAmount
from ledger.core.commands import to_datetime, to_microseconds
from ledger.core.refusals import Refusal, Refused
from ledger.request.events import FallbackTaken, RequestRouted, TokensSettled
from ledger.workspace import commands as workspace
from ledger.workspace.budgets import (
    Budget,
    NotLoaded,
    budgets_at,
    is_time_zone,
    left_minor,
    period_of,
    require_budget,
)
from tests import strategies  # noqa: F401 -- loads the profile
from tests.unit.story import (
    ACME,
    MINE,
    cny,
    correct_charge,
    credit,
    extend_hold,
    limits,
    opened,
    refund_charge,
    release_request,
    route_request,
    settle_request,
    take_fallback,
)
from tests.unit.world import World

SHANGHAI = ZoneInfo("Asia/Shanghai")


def spend(*stated: tuple[str, Any, StatedAmount]) -> tuple[workspace.StatedSpendLimit, ...]:
    """Return spend limits."""
    return tuple(workspace.StatedSpendLimit(bucket, period, limit) for bucket, period, limit in stated)


def limited(*key: tuple[str, Any, StatedAmount], project: tuple[Any, ...] = ()) -> World:
    """Return a world in which the key and the project have these limits only."""
    return opened().all(
        workspace.SetApiKeyLimits(**MINE, change_id="a", api_key_id="k1", limits=limits(spend=spend(*key))),
        workspace.SetProjectLimits(**MINE, change_id="b", project_id="web", spend_limits=spend(*project)),
    )


def budget(world: World, name: str) -> tuple[int, int]:
    """Return held and charged of a budget."""
    found = world.books[ACME].budgets[name]
    return found.held_minor, found.charged_minor


def routed_at(world: World, request_id: str, instant: datetime, hold: str = "10") -> RequestRouted:
    """Route a request that happened at an instant."""
    world.now = max(world.now, to_microseconds(instant))
    event = world.do(route_request(request_id, effective_at=instant, hold=credit(hold))).fact.event
    assert isinstance(event, RequestRouted)
    return event


@given(
    st.integers(31_536_000_000_000, 4_102_444_800_000_000).map(to_datetime),
    st.sampled_from(("UTC", "Asia/Shanghai", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati")),
)  # fmt: skip
def test_periods_are_those_of_the_time_zone(instant: datetime, zone: str) -> None:
    """An instant's day and month are what a calendar on the wall of that zone says."""
    local = instant.astimezone(ZoneInfo(zone))
    seconds = to_microseconds(instant) // 1_000_000
    assert period_of(seconds, "day", zone) == f"{local:%Y-%m-%d}"
    assert period_of(seconds, "month", zone) == f"{local:%Y-%m}"


def test_a_month_ends_at_the_workspaces_midnight() -> None:
    """One microsecond before and after midnight in Shanghai count in two months, whatever UTC says."""
    world = limited(("credit", "month", credit("15")), ("credit", "day", credit("12")))
    midnight = datetime(2026, 10, 1, tzinfo=SHANGHAI)
    before = routed_at(world, "r1", midnight - timedelta(microseconds=1))
    after = routed_at(world, "r2", midnight)
    assert before.budgets == ("key/k1/credit/month/2026-09", "key/k1/credit/day/2026-09-30")
    assert after.budgets == ("key/k1/credit/month/2026-10", "key/k1/credit/day/2026-10-01")
    for request_id, instant, period in (
        ("r3", midnight - timedelta(days=2), "month/2026-09"), ("r4", midnight, "month/2026-10"),
    ):  # fmt: skip
        with pytest.raises(Refused) as refused:
            routed_at(world, request_id, instant)
        assert refused.value.code is Refusal.API_KEY_SPEND_LIMIT_EXCEEDED
        assert refused.value.facts["budget"] == f"key/k1/credit/{period}"
        assert (refused.value.facts["needed"], refused.value.facts["left"]) == ("10.000000", "5.000000")


def test_a_request_counts_where_it_was_routed_until_its_end() -> None:
    """A settlement, refund and correction in the next month count in the month of the routing."""
    world = limited(("credit", "month", credit("15")))
    midnight = datetime(2026, 10, 1, tzinfo=SHANGHAI)
    routed_at(world, "r1", midnight - timedelta(seconds=1))
    name = "key/k1/credit/month/2026-09"
    assert budget(world, name) == (10_000_000, 0)
    world.now += 5 * 86_400_000_000
    world.do(settle_request(effective_at=midnight + timedelta(days=3)))
    assert budget(world, name) == (0, 5625)
    world.all(refund_charge(), correct_charge(difference=credit("0.005")))
    assert budget(world, name) == (0, 5625 - 1000 + 5000)
    assert set(world.books[ACME].budgets) == {name}


def test_a_release_gives_the_budget_back() -> None:
    """What was held and not charged may be spent again."""
    world = limited(("credit", "day", credit("10")))
    world.do(route_request())
    with pytest.raises(Refused):
        world.do(route_request("r2"))
    world.all(release_request(), route_request("r3"))


def test_a_limit_counts_from_the_moment_it_is_set() -> None:
    """A request from before a limit never counts in it; one from after does, and a limit taken away frees it."""
    world = limited()
    assert world.do(route_request()).fact.event.budgets == ()  # type: ignore[union-attr]
    tight = limits(spend=spend(("credit", "day", credit("10"))))
    world.do(workspace.SetApiKeyLimits(**MINE, change_id="c", api_key_id="k1", limits=tight))
    world.do(route_request("r2"))
    with pytest.raises(Refused):
        world.do(extend_hold("r2"))
    world.do(workspace.SetApiKeyLimits(**MINE, change_id="d", api_key_id="k1", limits=limits(spend=())))
    world.all(extend_hold("r2"), extend_hold("r1"))
    assert budget(world, "key/k1/credit/day/2026-09-21") == (12_000_000, 0)


def test_the_keys_limit_is_named_before_the_projects() -> None:
    """Where both are exceeded the key's is reported, even if the project's is tighter."""
    world = limited(("credit", "day", credit("9")), project=(("credit", "day", credit("1")),))
    with pytest.raises(Refused) as refused:
        world.do(route_request())
    assert refused.value.code is Refusal.API_KEY_SPEND_LIMIT_EXCEEDED


def test_a_limit_in_one_bucket_says_nothing_about_another() -> None:
    """Limits are per bucket: amounts of two buckets are never added, and a fallback moves the count."""
    world = limited(("credit", "day", credit("10")), ("rmb", "day", cny("30")))
    world.do(route_request())
    moved = world.do(take_fallback()).fact.event
    assert isinstance(moved, FallbackTaken)
    assert moved.released_budgets == ("key/k1/credit/day/2026-09-21",)
    assert moved.budgets == ("key/k1/rmb/day/2026-09-21",)
    assert budget(world, "key/k1/credit/day/2026-09-21") == (0, 0)
    assert budget(world, "key/k1/rmb/day/2026-09-21") == (30_000_000, 0)
    world.do(route_request("r2"))
    with pytest.raises(Refused) as refused:
        world.do(take_fallback("r2", hold=cny("0.000001")))
    assert refused.value.facts["budget"] == "key/k1/rmb/day/2026-09-21"


def test_a_fallback_counts_in_the_period_of_the_routing() -> None:
    """A move into another bucket after midnight still counts in the day on which the request was routed."""
    world = limited(("rmb", "day", cny("30")))
    world.do(route_request())
    world.now += 86_400_000_000
    moved = world.do(take_fallback(effective_at=None)).fact.event
    assert isinstance(moved, FallbackTaken)
    assert moved.budgets == ("key/k1/rmb/day/2026-09-21",)


def test_a_fallback_within_a_bucket_needs_only_the_difference() -> None:
    """A smaller or equal hold always fits its own limits; a larger one needs room for what it adds."""
    world = limited(("credit", "day", credit("10")))
    to_azure: dict[str, Any] = {"to_route": "gpt-azure", "to_bucket": "credit", "rate_card": None}
    world.do(route_request(hold=credit("8")))
    with pytest.raises(Refused):
        world.do(take_fallback(**to_azure, hold=credit("10.000001")))
    world.do(take_fallback(**to_azure, hold=credit("10")))
    assert budget(world, "key/k1/credit/day/2026-09-21") == (10_000_000, 0)
    lower = limits(spend=spend(("credit", "day", credit("1"))))
    world.do(workspace.SetApiKeyLimits(**MINE, change_id="c", api_key_id="k1", limits=lower))
    world.do(take_fallback(**{**to_azure, "to_route": "gpt-mini"}, fallback=2, from_route="gpt-azure",
                           hold=credit("9")))  # fmt: skip
    assert budget(world, "key/k1/credit/day/2026-09-21") == (9_000_000, 0)


def test_limits_cap_what_is_taken_above_the_hold() -> None:
    """The excess of a charge is taken from available only as far as the spend limits reach; the rest is overrun."""
    world = limited(("credit", "day", credit("12")), project=(("credit", "month", credit("11")),))
    world.do(route_request(route="own-price", rate_card=None))
    settled = world.do(settle_request(route="own-price", charge=credit("20"))).fact.event
    assert isinstance(settled, TokensSettled)
    paid = (settled.captured_minor, settled.from_available_minor, settled.overrun_minor)
    assert paid == (10_000_000, 1_000_000, 9_000_000)


def test_a_budget_that_was_not_read_is_asked_for() -> None:
    """A decision never takes an unread budget for an empty one."""
    state = limited(("credit", "day", credit("10"))).books[ACME].workspace
    names = budgets_at(state, "web", "k1", "credit", 0)
    with pytest.raises(NotLoaded) as missing:
        require_budget(state, {}, names, 1, 6)
    assert missing.value.budget == names[0] == "key/k1/credit/day/1970-01-01"
    assert left_minor(state, {names[0]: Budget(3, 4)}, names) == 10_000_000 - 7
    assert Budget(3, 4).used_minor == 7
    assert left_minor(state, {}, ("key/gone/credit/day/1970-01-01", "project/gone/credit/day/x")) is None


def test_time_zones_are_the_databases() -> None:
    """Names of the time zone database are taken; paths, nonsense and what only one machine has are not."""
    for name in ("UTC", "Asia/Shanghai", "America/Argentina/Buenos_Aires"):
        assert is_time_zone(name)
    for name in ("", "Mars/Base", "../UTC", "/etc/localtime", "localtime", "posixrules", "right/UTC", "posix/UTC",
                 "Asia", "UTC\0", "x" * 10_000, "\ud800"):  # fmt: skip
        assert not is_time_zone(name)
    assert date(2026, 9, 21).isoformat() == period_of(1_790_000_000, "day", "UTC")
