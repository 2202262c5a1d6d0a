"""Receipts over generated lives of a request: they add up, agree with the books, tell a customer nothing private."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.core.amounts import StatedAmount, UnitMismatch, format_minor
from ledger.core.commands import Command
from ledger.core.refusals import Refused
from ledger.pricing.usage import ModelUsage, Usage
from ledger.request.commands import CorrectCharge, Failure, RefundCharge, SettlementPolicy, SettleRequest
from projections.layout import COLUMNS, width_of
from projections.receipt.answers import CustomerReceipt, Receipt
from projections.receipt.customer import customer_view
from projections.receipt.page import page_of
from projections.stated import is_more, is_zero, negated, plus
from tests import strategies
from tests.unit import story
from tests.unit.receipts import is_amount, json_of, keys_and_texts, minor, objects, platform_of, receipt_in
from tests.unit.world import SECOND, World

PRIVATE = re.compile(
    r"overrun|margin|\bcost|provider|openai|(?<!gpt-)azure|price list|snapshot|USD|revenue|upstream account"
)
"""What no key and no text of a customer's receipt has. The story's cost is in USD, which no bucket is in."""

small = st.integers(1, 60)
failures = st.sampled_from(Failure.__args__)  # type: ignore[attr-defined]
policies = st.none() | st.sampled_from(SettlementPolicy.__args__)  # type: ignore[attr-defined]
terms = st.lists(st.sampled_from(("service_tier=priority", "speed=fast", "region=openai")), max_size=2).map(tuple)


def stated(minor_parts: int, unit: str) -> StatedAmount:
    """Return an amount of smallest parts."""
    return StatedAmount(format_minor(minor_parts, 6), unit)


@st.composite
def settlements(draw: st.DrawFn) -> SettleRequest:
    """Draw a settlement, to be fitted to the route that the request is on."""
    others = draw(st.lists(st.builds(ModelUsage, st.just("gpt-4o"), strategies.usages(5)), max_size=2))
    return story.settle_request(
        usage=draw(strategies.usages(6)),
        usage_source=draw(st.sampled_from(("reported", "partial", "estimated"))),
        policy=draw(policies),
        charge_limit=draw(st.none() | small.map(lambda parts: stated(parts, "CREDIT"))),
        others=tuple(others),
        terms=draw(terms),
    )


def fitted(command: Command, world: World) -> Command:
    """Return a command in the units of the route that the request is on."""
    route = world.books[story.ACME].requests["r1"].route
    unit = "CNY" if route == "gpt-ordinary" else "CREDIT"

    def in_unit(amount: StatedAmount | None) -> StatedAmount | None:
        return None if amount is None else StatedAmount(amount.value, unit)

    match command:
        case SettleRequest(charge_limit=limit):
            cost = StatedAmount("0.000777", "USD" if route == "gpt-direct" else "CNY")
            return replace(command, route=route, charge_limit=in_unit(limit), provider_cost=cost)
        case RefundCharge(refund=amount):
            return replace(command, refund=in_unit(amount))
        case CorrectCharge(difference=difference):
            return replace(command, difference=in_unit(difference))
    return command


def fallback(number: int, hold: int, failure: Failure, *, into_rmb: bool) -> Command:
    """Return a move away from the direct route, into the other bucket or within its own."""
    route, bucket, unit = ("gpt-ordinary", "rmb", "CNY") if into_rmb else ("gpt-azure", "credit", "CREDIT")
    return story.take_fallback(
        fallback=number, to_route=route, to_bucket=bucket, hold=stated(hold, unit), failure=failure,
        rate_card=f"{route}.1",
    )  # fmt: skip


steps: st.SearchStrategy[Command] = st.one_of(
    st.builds(lambda n, hold: story.extend_hold(extension=n, hold=stated(hold, "CREDIT")), st.integers(1, 3), small),
    st.builds(
        lambda n, failure, status: story.record_attempt(attempt=n, failure=failure, http_status=status),
        st.integers(1, 4), failures, st.none() | st.sampled_from((402, 401, 503)),
    ),
    st.builds(lambda n, hold, failure, rmb: fallback(n, hold, failure, into_rmb=rmb), st.integers(1, 2), small,
              failures, st.booleans()),
    settlements(),
    st.builds(lambda cause: story.release_request(cause=cause), st.sampled_from(("failed", "cancelled"))),
)  # fmt: skip
aftermath: st.SearchStrategy[Command] = st.one_of(
    st.builds(lambda n, parts: story.refund_charge(refund_id=f"f{n}", refund=stated(parts, "CREDIT")),
              st.integers(1, 3), st.integers(1, 9)),
    st.builds(lambda n, parts: story.correct_charge(correction_id=f"n{n}", difference=stated(parts, "CREDIT")),
              st.integers(1, 3), st.integers(-60, 60)),
    st.builds(lambda usage: story.correct_charge(correction_id="again", cause="rerated", difference=None,
                                                 usage=usage, rate_card=None), strategies.usages(6)),
)  # fmt: skip


@st.composite
def lives(draw: st.DrawFn) -> World:
    """Draw a world in which a request was routed, and things happened to it that the ledger allows.

    Sometimes the wallet is nearly empty, so that a charge meets nothing more to pay it.
    """
    world = story.opened()
    hold = draw(small)
    world.do(story.route_request(hold=stated(hold, "CREDIT")))
    if draw(st.booleans()):
        left = world.books[story.ACME].wallets["credit"].available_minor - draw(st.integers(0, 9))
        world.do(story.route_request("other", hold=stated(left, "CREDIT")))
    told: list[Any] = [*draw(st.lists(steps, max_size=6)), draw(settlements()), *draw(st.lists(aftermath, max_size=4))]
    for command in told:
        world.now += draw(st.sampled_from((0, SECOND // 3, 5 * SECOND)))
        try:
            world.do(fitted(command, world))
        except Refused:
            continue
    return world


def totals_in(receipt: Receipt) -> dict[str, dict[str, int]]:
    """Return the totals of each bucket in smallest parts."""
    return {
        each.bucket: {name: minor(getattr(each, name)) for name in each.__struct_fields__ if name != "bucket"}
        for each in receipt.totals
    }


@given(lives())
def test_a_receipt_agrees_with_the_books(world: World) -> None:
    """Totals are what the entries changed, bucket by bucket, and what the ledger's own state of the request says."""
    receipt, state = receipt_in(world), world.books[story.ACME].requests["r1"]
    for bucket, totals in totals_in(receipt).items():
        entries = [entry for entry in receipt.entries if entry.bucket == bucket]
        assert totals["still_held"] == sum(minor(entry.held_change) for entry in entries)
        assert totals["paid"] == -sum(minor(entry.posted_change) for entry in entries)
        assert totals["held"] == totals["captured"] + totals["released"] + totals["still_held"]
        assert totals["paid"] == (
            totals["captured"] + totals["from_available"] + totals["corrected"] - totals["refunded"]
        )
        is_own = bucket == state.bucket
        assert totals["still_held"] == (state.held_minor if is_own else 0)
        assert totals["paid"] == (state.paid_minor - state.refunded_minor if is_own else 0)
    assert receipt.status == state.status
    assert (receipt.route.route if receipt.route else None) == state.route


@given(lives())
def test_the_arithmetic_adds_up(world: World) -> None:
    """Lines sum to what was rated, which is charge and waived; the charge is what was paid and what nothing paid."""
    receipt = receipt_in(world)
    settlement, calculation = receipt.settlement, receipt.calculation
    if settlement is None or calculation is None:
        return
    assert sum(minor(line.amount) for line in calculation.lines) == minor(calculation.rated)
    assert calculation.rated == settlement.rated == plus(settlement.charge, settlement.waived)
    if calculation.list_price is not None:
        listed = [line.list_amount or line.amount for line in calculation.lines]
        assert minor(calculation.list_price) == sum(minor(amount) for amount in listed)
        assert plus(calculation.rated, calculation.discount or calculation.rated) == calculation.list_price
    corrections = sum(
        minor(moment["change"]["amount"]) for moment in json_of(receipt)["timeline"] if "correction_id" in moment
    )
    paid = totals_in(receipt)[settlement.bucket]
    left = minor(platform_of(receipt).overrun)
    assert minor(settlement.charge) + corrections == paid["paid"] + paid["refunded"] + left


@given(lives())
def test_no_object_of_a_receipt_holds_two_units(world: World) -> None:
    """Amounts that stand beside each other are in one unit, for the platform and for the customer."""
    for receipt in (receipt_in(world), customer_view(receipt_in(world))):
        for each in objects(json_of(receipt)):
            assert len({inner["unit"] for inner in each.values() if is_amount(inner)}) <= 1, each


@given(lives())
def test_a_customer_sees_nothing_of_the_platforms_side(world: World) -> None:
    """No key and no text speaks of cost, overrun, provider, account or price source; the charge is what was paid."""
    whole = receipt_in(world)
    shown = customer_view(whole)
    said = json_of(shown)
    assert [text for text in keys_and_texts(said) if PRIVATE.search(text)] == []
    assert not {"platform", "actor", "legs", "acts"} & {key for each in objects(said) for key in each}
    assert "upstream_account_empty" not in str(said)
    if shown.settlement is not None and whole.settlement is not None:
        charge = minor(shown.settlement.charge)
        assert charge == minor(whole.settlement.captured) + minor(whole.settlement.from_available)
        require_waived(said)
    overrun = platform_of(whole).overrun
    if overrun is not None and not is_zero(overrun):
        taken = [entry for entry in shown.entries if entry.tag == "tokens_settled.v1"]
        assert all(not is_zero(entry.posted_change) or not is_zero(entry.held_change) for entry in taken)
    assert type(shown) is CustomerReceipt


def require_waived(said: Any) -> None:
    """Fail where lines in a customer's JSON do not sum to what is paid and what is waived."""
    settlement, calculation = said["settlement"], said["calculation"]
    paid = minor(settlement["charge"])
    assert paid == minor(settlement["captured"]) + minor(settlement["from_available"])
    assert minor(settlement["rated"]) == paid + minor(settlement["waived"])
    if calculation is not None:
        assert sum(minor(line["amount"]) for line in calculation["lines"]) == minor(settlement["rated"])
    for moment in said["timeline"]:
        if moment["kind"] == "tokens_settled":
            assert minor(moment["charge"]["amount"]) == paid
        elif moment["kind"] == "charge_corrected":
            paid += minor(moment["change"]["amount"])
            if moment["lines"]:
                waived = 0 if moment["waived"] is None else minor(moment["waived"]["amount"])
                assert sum(minor(line["amount"]) for line in moment["lines"]) == paid + waived


@given(small, st.integers(0, 30), strategies.usages(6), st.none() | small, st.booleans())
def test_what_no_balance_paid_looks_like_what_was_waived(
    hold: int, left: int, usage: Usage, charge_limit: int | None, late: bool
) -> None:
    """A customer's receipt of a charge with overrun is, to the last byte, one of a charge limited to what was paid."""

    def settled(most: int | None) -> Receipt:
        world = story.opened()
        world.do(story.route_request(hold=stated(hold, "CREDIT")))
        rest = world.books[story.ACME].wallets["credit"].available_minor - left
        world.do(story.route_request("other", hold=stated(rest, "CREDIT")))
        if late:
            world.do(story.release_request())
        limit = None if most is None else stated(most, "CREDIT")
        world.do(story.settle_request(usage=usage, charge_limit=limit))
        return receipt_in(world)

    whole = settled(charge_limit)
    assert whole.settlement is not None
    paid = minor(whole.settlement.captured) + minor(whole.settlement.from_available)
    assert json_of(customer_view(whole)) == json_of(customer_view(settled(paid)))


@given(lives())
def test_a_page_stays_within_its_columns(world: World) -> None:
    """Every line of the page, for the platform and the customer, fits 100 columns and has no trailing blank."""
    for receipt in (receipt_in(world), customer_view(receipt_in(world))):
        for line in page_of(receipt).split("\n"):
            assert width_of(line) <= COLUMNS, line
            assert line == line.rstrip()


amounts = st.builds(lambda parts: stated(parts, "CREDIT"), strategies.minors)


@given(amounts, amounts)
def test_stated_amounts_add_up_like_numbers(left: StatedAmount, right: StatedAmount) -> None:
    """Sums, signs and comparisons of texts are those of their smallest parts, and two units never meet."""
    assert minor(plus(left, right)) == minor(left) + minor(right)
    assert minor(negated(left)) == -minor(left)
    assert is_more(left, right) == (minor(left) > minor(right))
    assert is_zero(left) == (minor(left) == 0)
    try:
        plus(left, StatedAmount(right.value, "CNY"))
    except UnitMismatch:
        return
    raise AssertionError("two units were added")
