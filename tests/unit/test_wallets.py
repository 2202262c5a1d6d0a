"""Money in and out of wallets: credit limits, reversals, exchanges, freezing; and the catalog's small laws."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, ROUND_UP, Decimal, localcontext
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ledger.catalog import commands as catalog
from ledger.catalog.state import card_in_force
from ledger.core.amounts import AMOUNT_MINOR_MAX, BALANCE_MINOR_MAX, StatedAmount, format_minor
from ledger.core.refusals import Refusal, Refused
from ledger.core.rounding import Rounding
from ledger.pricing.usage import Usage
from ledger.request.events import ChargeCorrected, TokensSettled
from ledger.wallet import commands as wallet
from ledger.wallet.decide import decide_wallet
from ledger.wallet.events import BucketExchanged
from ledger.wallet.state import WalletState
from ledger.workspace import commands as workspace
from tests import strategies as drawn
from tests.unit.story import (
    ACME,
    COMMON,
    MINE,
    USAGE,
    card,
    cny,
    correct_charge,
    credit,
    expire_request,
    extend_hold,
    opened,
    points,
    refund_charge,
    release_request,
    route_request,
    settle_request,
    take_fallback,
)
from tests.unit.world import World

LEVEL = opened()
CATALOG = LEVEL.books["platform"].catalog
MODES = {
    Rounding.HALF_EVEN: ROUND_HALF_EVEN, Rounding.HALF_UP: ROUND_HALF_UP,
    Rounding.UP: ROUND_UP, Rounding.DOWN: ROUND_DOWN,
}  # fmt: skip
balances = st.integers(-BALANCE_MINOR_MAX, BALANCE_MINOR_MAX) | st.integers(-100, 100)


def credit_wallet(world: World) -> WalletState:
    """Return the credit wallet."""
    return world.books[ACME].wallets["credit"]


@given(st.integers(1, 10**12), drawn.rate_texts(10**4), drawn.roundings, st.integers(-2, 2))
def test_an_exchange_adds_up_to_the_last_part(given_minor: int, rate: str, rounding: Rounding, off: int) -> None:
    """Only the amount that rate and named rounding give is accepted, between units of different scales."""
    with localcontext(prec=80):
        exact = Decimal(given_minor).scaleb(-6) * Decimal(rate)
        expected = int(exact.quantize(Decimal(1), rounding=MODES[rounding]))
    assume(0 < expected + off <= AMOUNT_MINOR_MAX)
    wallets = {
        "credit": WalletState("credit", "CREDIT", 6, BALANCE_MINOR_MAX),
        "points": WalletState("points", "POINT", 0),
    }
    command = wallet.ExchangeBuckets(
        **MINE, bucket="credit", exchange_id="x", amount=credit(format_minor(given_minor, 6)),
        to_bucket="points", to_amount=points(str(expected + off)), rate=rate, rounding=rounding,
    )  # fmt: skip
    if off:
        with pytest.raises(Refused) as refused:
            decide_wallet(command, wallets, CATALOG, {})
        assert refused.value.code is Refusal.EXCHANGE_DOES_NOT_ADD_UP
        assert refused.value.facts["expected"] == str(expected)
    else:
        event = decide_wallet(command, wallets, CATALOG, {})
        assert event == BucketExchanged(
            "x", "credit", "CREDIT", given_minor, "points", "POINT", expected, rate, rounding.value
        )


@given(balances, st.integers(-AMOUNT_MINOR_MAX, AMOUNT_MINOR_MAX))
def test_no_balance_leaves_its_range(posted: int, minor: int) -> None:
    """An adjustment is taken exactly when the balance after it is within the range that a bigint holds easily."""
    assume(minor)
    state = WalletState("credit", "CREDIT", 6, posted)
    command = wallet.PostAdjustment(**MINE, bucket="credit", adjustment_id="a", amount=credit(format_minor(minor, 6)))
    if abs(posted + minor) <= BALANCE_MINOR_MAX:
        assert decide_wallet(command, {"credit": state}, CATALOG, {}).amount_minor == minor  # type: ignore[attr-defined]
    else:
        with pytest.raises(Refused) as refused:
            decide_wallet(command, {"credit": state}, CATALOG, {})
        assert refused.value.code is Refusal.BALANCE_OUT_OF_RANGE


@given(balances, st.integers(0, 50), st.integers(0, 50), st.integers(1, 200))
def test_a_payout_never_lends(posted: int, held: int, limit: int, minor: int) -> None:
    """What may be paid out is posted less held, without the credit limit; holds are no reason to give up."""
    state = WalletState("credit", "CREDIT", 6, posted, held, limit)
    command = wallet.WithdrawFunds(
        **MINE, bucket="credit", amount=credit(format_minor(minor, 6)), source="bank", reference="B"
    )
    if minor <= posted - held:
        decide_wallet(command, {"credit": state}, CATALOG, {})
        return
    with pytest.raises(Refused) as refused:
        decide_wallet(command, {"credit": state}, CATALOG, {})
    assert refused.value.transient is (minor <= posted)


def test_a_reversal_takes_back_even_what_was_spent() -> None:
    """A chargeback may leave available below zero; then nothing new is held, but what runs is settled."""
    world = opened().all(route_request(hold=credit("90")))
    world.do(wallet.ReverseFunds(
        **MINE, bucket="credit", amount=credit("100"), source="alipay", reference="A-1"
    ))  # fmt: skip
    assert credit_wallet(world).available_minor == -85_000_000
    for command in (route_request("r2", hold=credit("0.000001")), extend_hold(hold=credit("0.000001"))):
        with pytest.raises(Refused) as refused:
            world.do(command)
        assert refused.value.code in (Refusal.INSUFFICIENT_AVAILABLE, Refusal.AVAILABLE_IS_HELD)
    world.all(extend_hold(hold=None), settle_request())
    assert credit_wallet(world).held_minor == 0


def test_a_lowered_credit_limit_stops_new_holds_only() -> None:
    """The limit counts as available; lowering it below what is used keeps running requests alive."""
    world = opened().all(route_request(hold=credit("105")))
    world.do(wallet.SetCreditLimit(**MINE, bucket="credit", change_id="c", credit_limit=credit("0")))
    assert credit_wallet(world).available_minor == -5_000_000
    event = world.do(wallet.SetCreditLimit(
        **MINE, bucket="credit", change_id="d", credit_limit=credit("6")
    )).fact.event  # fmt: skip
    assert (event.credit_limit_minor, event.previous_minor) == (6_000_000, 0)  # type: ignore[union-attr]
    world.do(route_request("r2", hold=credit("1")))
    with pytest.raises(Refused):
        world.do(route_request("r3", hold=credit("0.000001")))


def test_a_frozen_wallet_stops_what_spends_anew_and_nothing_else() -> None:
    """Frozen: no hold, extension by an amount, or exchange out; settlement, funds, refunds and payouts go on."""
    world = opened().all(route_request(), route_request("r2"), route_request("r3"), settle_request("r3"))
    world.do(wallet.FreezeWallet(**MINE, bucket="credit", change_id="z"))
    blocked = [
        route_request("r9"), extend_hold(),
        take_fallback("r2", to_route="gpt-azure", to_bucket="credit", hold=credit("1"), rate_card=None),
        wallet.ExchangeBuckets(**MINE, bucket="credit", exchange_id="x", amount=credit("1"), to_bucket="points",
                               to_amount=points("1"), rate="1"),
    ]  # fmt: skip
    for command in blocked:
        with pytest.raises(Refused) as refused:
            world.do(command)
        assert refused.value.code is Refusal.WALLET_FROZEN
    world.all(
        extend_hold(hold=None), settle_request(), refund_charge("r3"), release_request("r2"),
        wallet.AddFunds(**MINE, bucket="credit", amount=credit("1"), source="alipay", reference="A-7"),
        wallet.WithdrawFunds(**MINE, bucket="credit", amount=credit("1"), source="bank", reference="B-7"),
        wallet.ExchangeBuckets(**MINE, bucket="rmb", exchange_id="y", amount=cny("1"), to_bucket="credit",
                               to_amount=credit("1"), rate="1"),
    )  # fmt: skip


def test_a_correction_by_usage_names_the_card_that_rated_it() -> None:
    """The difference is the new rating less the charge so far, under the request's own card unless named."""
    world = opened().all(route_request(), settle_request())
    twice = Usage(2000, 0, {"uncached_input": 2000})
    event = world.do(correct_charge(difference=None, usage=twice)).fact.event
    assert isinstance(event, ChargeCorrected)
    assert (event.difference_minor, event.rate_card) == (5000 - 5625, "gpt-direct.1")
    assert sum(line.charge_minor for line in event.lines) == 5000
    again = world.do(correct_charge(correction_id="n2", difference=None, usage=USAGE)).fact.event
    assert again.difference_minor == 5625 - 5000  # type: ignore[union-attr]


def test_unpriced_tokens_are_listed_and_a_mismatch_is_flagged() -> None:
    """Parts without a rate and models without a pattern are charged by the named card, and say so."""
    world = opened().all(route_request())
    event = world.do(settle_request(reported_model="gemini-3")).fact.event
    assert isinstance(event, TokensSettled)
    assert event.model_mismatch
    assert [(line.part, line.tokens) for line in event.unpriced] == [("requests", 1)]
    assert (event.charge_minor, event.list_minor) == (5625, 6875)


def test_a_settlement_keeps_the_providers_cost_apart() -> None:
    """Cost stays in the provider's unit at the provider's scale and touches no balance."""
    world = opened().all(route_request())
    event = world.do(settle_request(provider_cost=StatedAmount("0.000000001", "USD"))).fact.event
    assert event.provider_cost.minor == 1  # type: ignore[union-attr]
    assert credit_wallet(world).posted_minor == 100_000_000 - 5625


def test_a_late_settlement_says_how_the_hold_had_ended() -> None:
    """After a release all of the charge comes from available, and nothing is captured or released."""
    world = opened().all(route_request(), release_request(cause="failed"))
    event = world.do(settle_request()).fact.event
    assert isinstance(event, TokensSettled)
    assert event.status_before == "failed"
    assert (event.captured_minor, event.released_minor, event.from_available_minor) == (0, 0, 5625)


def test_a_hold_ends_at_its_moment_and_not_before() -> None:
    """A sweeper one microsecond early is refused; at the very moment it is right."""
    world = opened().all(route_request(hold_seconds=10))
    world.now += 10_000_000 - 1
    with pytest.raises(Refused):
        world.do(expire_request())
    world.now += 1
    assert world.do(expire_request()).fact.event.released_minor == 10_000_000  # type: ignore[union-attr]


def test_an_extension_lives_from_now() -> None:
    """An extension without an amount moves only the expiry, counted from its own recording."""
    world = opened().all(route_request(hold_seconds=10))
    world.now += 7_000_000
    event = world.do(extend_hold(hold=None, hold_seconds=60)).fact.event
    assert (event.hold_minor, event.expires_at) == (0, world.now + 60_000_000)  # type: ignore[union-attr]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6, unique=True), st.integers(-5, 10**6 + 5))
def test_the_card_in_force_is_the_latest_that_has_begun(starts: list[int], instant: int) -> None:
    """At an instant the route's price is the card with the latest start not after it; before all, none."""
    world = World().all(
        workspace.CreateWorkspace(workspace_id="platform"),
        catalog.DefineBucket(**COMMON, bucket="credit", unit="CREDIT", scale=6),
        *(
            catalog.PublishRateCard(**COMMON, card=card(f"c{start}", "r", "credit", valid_from=start))
            for start in starts
        ),
    )
    found = card_in_force(world.books["platform"].catalog, "r", instant)
    begun = [start for start in starts if start <= instant]
    assert (found.valid_from if found else None) == (max(begun) if begun else None)


def test_a_direct_route_keeps_its_upstream_model() -> None:
    """A direct route falls back to the same upstream model; an ordinary one, or by leave of the model, to any."""
    mini: dict[str, Any] = {"to_route": "gpt-mini", "to_bucket": "credit", "rate_card": None, "hold": credit("1")}
    world = opened().all(route_request("r1"), take_fallback("r1", **mini))
    assert world.books[ACME].requests["r1"].upstream_model == "gpt-5-mini"
    world.do(route_request("r2", model="strict"))
    with pytest.raises(Refused) as refused:
        world.do(take_fallback("r2", **mini))
    assert refused.value.code is Refusal.MODEL_CHANGE_NOT_ALLOWED
    world.do(take_fallback("r2", **{**mini, "to_route": "gpt-azure"}))
    world.do(route_request("r3", model="strict", route="own-price", rate_card=None))
    world.do(take_fallback("r3", **mini, from_route="own-price"))


def test_a_bucket_change_needs_leave_of_the_model_too() -> None:
    """A key's leave alone doesn't let a fallback pay from another balance."""
    world = opened().all(route_request())
    published = msgspec.structs.replace(world.books["platform"].catalog.models["gpt-5"], allow_bucket_change=False)
    models = {**world.books["platform"].catalog.models, "gpt-5": published}
    world.books["platform"].catalog = msgspec.structs.replace(world.books["platform"].catalog, models=models)
    with pytest.raises(Refused) as refused:
        world.do(take_fallback())
    assert refused.value.code is Refusal.BUCKET_CHANGE_NOT_ALLOWED
