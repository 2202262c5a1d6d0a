"""Of two reasons to refuse a command, the one that stands first in the list is given."""

from datetime import UTC, datetime
from itertools import combinations
from typing import Any, NamedTuple

import pytest

from ledger.catalog import commands as catalog
from ledger.core.commands import Command
from ledger.core.refusals import Refusal, Refused
from ledger.wallet import commands as wallet
from ledger.workspace import commands as workspace
from tests.unit.story import (
    COMMON,
    MINE,
    cny,
    credit,
    limits,
    opened,
    record_attempt,
    release_request,
    route_request,
    settle_request,
    take_fallback,
)
from tests.unit.world import change

R = Refusal


class Fault(NamedTuple):
    """Something wrong: the refusal that it alone meets, what happened before, and what the command says."""

    code: Refusal
    before: tuple[Command, ...] = ()
    fields: dict[str, Any] = {}  # noqa: RUF012 -- never changed


def limit_key(change_id: str, **fields: Any) -> Command:
    """Return a change of the key's limits; without spend limits unless said."""
    return workspace.SetApiKeyLimits(**MINE, change_id=change_id, api_key_id="k1", limits=limits(**fields))


DAY = (workspace.StatedSpendLimit("credit", "day", credit("3")),)
PASSED = datetime(2026, 9, 20, tzinfo=UTC)
SUSPENDED = catalog.SuspendRoute(**COMMON, change_id="p", route="gpt-direct")
FROZEN = wallet.FreezeWallet(**MINE, bucket="credit", change_id="p")
REVOKED = workspace.RevokeApiKey(**MINE, api_key_id="k1")
PACED = (
    limit_key("w", requests_per_minute=1), route_request("r9", hold=credit("0.000001")),
)  # fmt: skip
"""What leaves no room in this minute."""

ROUTING = (
    Fault(R.VALID_UNTIL_PASSED, (), {"valid_until": PASSED}),
    Fault(R.EFFECTIVE_AT_OUT_OF_RANGE, (), {"effective_at": datetime(2030, 1, 1, tzinfo=UTC)}),
    Fault(R.WORKSPACE_UNKNOWN, (), {"workspace_id": "nobody"}),
    Fault(R.REQUEST_VOIDED, (release_request(),)),
    Fault(R.PROJECT_UNKNOWN, (), {"project_id": "other"}),
    Fault(R.API_KEY_REVOKED, (REVOKED,)),
    Fault(R.BUCKET_UNKNOWN, (), {"bucket": "gold"}),
    Fault(R.ROUTE_UNKNOWN, (), {"route": "nowhere"}),
    Fault(R.MODEL_UNKNOWN, (), {"model": "gpt-9"}),
    Fault(R.ROUTE_SUSPENDED, (SUSPENDED,)),
    Fault(R.BUCKET_NOT_OF_ROUTE, (), {"bucket": "rmb"}),
    Fault(R.RATE_CARD_UNKNOWN, (), {"rate_card": "none"}),
    Fault(R.RATE_CARD_NOT_IN_FORCE, (), {"rate_card": "gpt-azure.1"}),
    Fault(R.MODEL_NOT_ALLOWED, (limit_key("m", models=("strict",), spend=DAY),)),
    Fault(R.UNIT_MISMATCH, (), {"hold": cny("1000")}),
    Fault(R.AMOUNT_OUT_OF_RANGE, (), {"hold": credit("999999999999")}),
    Fault(R.AMOUNT_NOT_POSITIVE, (), {"hold": credit("0")}),
    Fault(R.WALLET_FROZEN, (FROZEN,)),
    Fault(R.INSUFFICIENT_AVAILABLE, (), {"hold": credit("1000")}),
    Fault(R.AVAILABLE_IS_HELD, (route_request("r0", hold=credit("100")),)),
    Fault(R.API_KEY_SPEND_LIMIT_EXCEEDED, (limit_key("n", spend=DAY),)),
    Fault(R.PROJECT_SPEND_LIMIT_EXCEEDED, (
        workspace.SetProjectLimits(**MINE, change_id="o", project_id="web", spend_limits=DAY),)),
    Fault(R.REQUESTS_PER_MINUTE_EXCEEDED, PACED),
)  # fmt: skip
FALLING_BACK = (
    Fault(R.REQUEST_RELEASED, (release_request(),)),
    Fault(R.ROUTE_NOT_OF_REQUEST, (), {"from_route": "gpt-azure"}),
    Fault(R.API_KEY_REVOKED, (REVOKED,)),
    Fault(R.BUCKET_UNKNOWN, (), {"to_bucket": "gold"}),
    Fault(R.ROUTE_UNKNOWN, (), {"to_route": "nowhere"}),
    Fault(R.ROUTE_SUSPENDED, (change(SUSPENDED, route="gpt-ordinary"),)),
    Fault(R.BUCKET_NOT_OF_ROUTE, (), {"to_bucket": "points"}),
    Fault(R.RATE_CARD_UNKNOWN, (), {"rate_card": "none"}),
    Fault(R.BUCKET_NOT_ALLOWED, (limit_key("q", buckets=("credit",), allow_bucket_change=False),)),
    Fault(R.BUCKET_CHANGE_NOT_ALLOWED, (limit_key("s", allow_bucket_change=False),)),
    Fault(R.UNIT_MISMATCH, (), {"hold": credit("1")}),
    Fault(R.WALLET_FROZEN, (change(FROZEN, bucket="rmb"),)),
    Fault(R.INSUFFICIENT_AVAILABLE, (), {"hold": cny("7000")}),
)
SETTLING = (
    Fault(R.REQUEST_UNKNOWN, (), {"request_id": "r8"}),
    Fault(R.ROUTE_NOT_OF_REQUEST, (), {"route": "gpt-azure"}),
    Fault(R.ATTEMPT_ALREADY_FAILED, (record_attempt(),), {"attempt": 1}),
    Fault(R.CHARGE_NOT_ACCEPTED, (), {"charge": credit("1")}),
    Fault(R.UNIT_MISMATCH, (), {"provider_cost": cny("1")}),
)
ROUTED = (route_request(),)
LIMITS = (R.API_KEY_SPEND_LIMIT_EXCEEDED, R.PROJECT_SPEND_LIMIT_EXCEEDED, R.REQUESTS_PER_MINUTE_EXCEEDED)
CASES = [
    (name, before, command, first, second)
    for name, before, command, faults in (
        ("route", (), route_request(), ROUTING),
        ("fallback", ROUTED, take_fallback(), FALLING_BACK),
        ("settle", ROUTED, settle_request(), SETTLING),
    )
    for first, second in combinations(faults, 2)
    if not first.fields.keys() & second.fields.keys()
    # The hold in the way would itself be refused by the limits.
    and (first.code is not R.AVAILABLE_IS_HELD or second.code not in LIMITS)
]


def refusal_of(before: tuple[Command, ...], command: Command) -> Refusal:
    """Return what a command meets after others, all of which are accepted."""
    world = opened().all(*before)
    with pytest.raises(Refused) as refused:
        world.do(command)
    return refused.value.code


@pytest.mark.parametrize(("start", "command", "faults"), [
    ((), route_request(), ROUTING), (ROUTED, take_fallback(), FALLING_BACK), (ROUTED, settle_request(), SETTLING),
], ids=["route", "fallback", "settle"])  # fmt: skip
def test_each_fault_is_refused_alone(start: tuple[Command, ...], command: Command, faults: tuple[Fault, ...]) -> None:
    """Each fault alone meets its own refusal, and the faults are in the order of the list."""
    order = list(Refusal)
    places = [order.index(fault.code) for fault in faults]
    assert places == sorted(places)
    for fault in faults:
        assert refusal_of((*start, *fault.before), change(command, **fault.fields)) is fault.code


@pytest.mark.parametrize(
    ("before", "command", "first", "second"),
    [case[1:] for case in CASES],
    ids=[f"{name}-{first.code.value}-{second.code.value}" for name, _, _, first, second in CASES],
)
def test_the_earlier_reason_is_given(
    before: tuple[Command, ...], command: Command, first: Fault, second: Fault
) -> None:
    """A command with two faults is refused for the one that is earlier in the list."""
    assert (
        refusal_of((*before, *second.before, *first.before), change(command, **first.fields, **second.fields))
        is first.code
    )
