"""A settled charge under another card: what the ledger decides, and what is shown of it before."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from ledger.catalog import commands as catalog
from ledger.checks import PATTERNS
from ledger.core.amounts import StatedAmount, Unit
from ledger.core.commands import Command
from ledger.core.identifiers import IDENTIFIER_PATTERN
from ledger.core.refusals import Refusal, Refused
from ledger.pricing.rate_cards import ModelRates
from ledger.pricing.usage import ModelUsage, Usage
from ledger.request.commands import CorrectCharge, rerating_id
from ledger.request.events import ChargeCorrected
from projections.receipt.customer import customer_view
from projections.receipt.moments import CorrectedMoment
from projections.rerating.answers import RerateLine
from projections.rerating.judging import SettledRequest, judged
from projections.rerating.totals import add_line, no_reratings
from tests.unit.receipts import receipt_in
from tests.unit.story import (
    ACME,
    COMMON,
    card,
    correct_charge,
    credit,
    opened,
    refund_charge,
    route_request,
    settle_request,
)
from tests.unit.world import NOW, Recording, World

TEXT = Usage(1000, 100, {"uncached_input": 1000, "text_output": 100})
"""Under the first card 0.0025 and 0.001."""

OTHER = (ModelUsage("gpt-4o", Usage(400, 0, {"uncached_input": 400})),)
"""Under the first card 0.002."""

OWN: dict[str, Any] = {"route": "own-price", "rate_card": None}


def publish(name: str, input_rate: str, output_rate: str | None = None, route: str = "gpt-direct") -> Command:
    """Return what publishes another card of a route, as if it had always been wanted."""
    rates = {"uncached_input": input_rate} | ({} if output_rate is None else {"text_output": output_rate})
    models = (ModelRates("gpt-5*", rates), ModelRates("gpt-4o", rates))
    valid_from = 1_600_000_000_000_000 + len(name) + sum(map(ord, name))
    made = msgspec.structs.replace(card(name, route, "credit", valid_from=valid_from), models=models)
    return catalog.PublishRateCard(**COMMON, card=made)


def rerated(rate_card: str, **fields: Any) -> CorrectCharge:
    """Return what corrects the request by a card."""
    return correct_charge(
        correction_id=rerating_id(rate_card), cause="rerated", difference=None, rate_card=rate_card, **fields
    )


def settled(*before: Command, **fields: Any) -> World:
    """Return a world with a request that was settled, and two more cards of its route: cheaper and dearer."""
    settlement = settle_request(**{"usage": TEXT, **fields})
    return opened().all(publish("half", "1.25", "5"), publish("twice", "5", "20"), *before, route_request(), settlement)


def corrected(done: Recording) -> ChargeCorrected:
    """Return the event of a correction."""
    assert isinstance(done.fact.event, ChargeCorrected)
    return done.fact.event


def line_of(world: World, rate_card: str) -> RerateLine:
    """Return what is shown of the request under a card."""
    request = SettledRequest(ACME, "r1", NOW, facts_of(world))
    return judged(request, rate_card, world.books["platform"].catalog)


def facts_of(world: World) -> Sequence[Any]:
    """Return the request's facts in order."""
    own = [each for (_, name), each in world.recorded.items() if name.startswith("r1/")]
    return [each.fact for each in sorted(own, key=lambda each: each.position)]


def refused_by(world: World, command: Command) -> Refused:
    """Return the refusal that a command meets."""
    with pytest.raises(Refused) as refused:
        world.do(command)
    return refused.value


@pytest.mark.parametrize(("rate_card", "difference"), [("half", -1750), ("twice", 3500)])
def test_a_card_alone_rates_what_was_settled(rate_card: str, difference: int) -> None:
    """The ledger has the usage: it works out the difference, and keeps card and lines, not the usage again."""
    world = settled()
    event = corrected(world.do(rerated(rate_card)))
    assert (event.difference_minor, event.rate_card, event.usage, event.waived_minor) == (
        difference,
        rate_card,
        None,
        0,
    )
    assert sum(line.charge_minor for line in event.lines) == 3500 + difference
    assert world.books[ACME].requests["r1"].charge_minor == 3500 + difference


def test_the_same_again_is_a_repeat() -> None:
    """A correction by a card is made once for each request; another reason or a stated difference is a conflict."""
    world = settled()
    world.do(rerated("half"))
    assert world.do(rerated("half")).repeated
    assert refused_by(world, rerated("half", reason="another")).facts["field"] == "reason"
    for fields in ({"usage": TEXT}, {"difference": credit("-1"), "rate_card": None}):
        assert refused_by(world, msgspec.structs.replace(rerated("half"), **fields)).code is Refusal.IDENTITY_CONFLICT


def test_other_models_are_rated_by_their_own_rates() -> None:
    """What other models used for the answer is rated with it."""
    world = settled(others=OTHER)
    event = corrected(world.do(rerated("half")))
    assert [(line.model, line.charge_minor) for line in event.lines] == [(None, 1250), (None, 500), ("gpt-4o", 500)]
    assert event.difference_minor == 2250 - 5500


def test_the_most_that_was_to_be_charged_stays_the_most() -> None:
    """A dearer card does not charge above the settlement's limit: the rest is waived, and the event says how much."""
    world = settled(charge_limit=credit("0.004"), usage_source="estimated", policy="stream_cut_estimated")
    event = corrected(world.do(rerated("twice")))
    assert (event.difference_minor, event.waived_minor) == (500, 3000)
    assert sum(line.charge_minor for line in event.lines) == 4000 + 3000
    line = line_of(world, "half")
    assert (line.outcome, line.usage_source, line.difference) == ("changed", "estimated", credit("-0.002250"))


def test_the_receipt_says_what_is_waived_of_a_new_charge() -> None:
    """The platform and the customer read the same sentence where the new lines come to more than the limit."""
    world = settled(charge_limit=credit("0.004"))
    world.do(rerated("twice"))
    whole = receipt_in(world)
    for receipt in (whole, customer_view(whole)):
        (moment,) = [each for each in receipt.timeline if isinstance(each, CorrectedMoment)]
        assert moment.waived is not None
        assert moment.waived.amount == credit("0.003000")
        assert "rose by 0.000500 CREDIT" in moment.text
        assert "0.003000 CREDIT of what it comes to now are waived" in moment.text


def test_another_usage_is_what_is_rated_after_it_was_stated() -> None:
    """A correction that replaced the usage, and its limit, is what a card rates anew."""
    world = settled(charge_limit=credit("0.004"))
    more = Usage(2000, 0, {"uncached_input": 2000})
    world.do(correct_charge(cause="estimate_replaced", difference=None, usage=more))
    assert world.books[ACME].requests["r1"].charge_minor == 5000
    assert corrected(world.do(rerated("twice"))).difference_minor == 5000
    assert world.books[ACME].requests["r1"].charge_minor == 10_000


def test_a_lower_charge_first_undoes_what_nobody_paid() -> None:
    """Where no balance had paid all, a cheaper card gives back only what was paid too much."""
    world = opened().all(publish("half", "1.25", "5"), route_request(hold=credit("0.000001")))
    left = world.books[ACME].wallets["credit"].available_minor
    world.do(route_request("r2", hold=StatedAmount(f"{left // 10**6}.{left % 10**6:06d}", "CREDIT")))
    world.do(settle_request(usage=TEXT))
    assert world.books[ACME].requests["r1"].overrun_minor == 3499
    event = corrected(world.do(rerated("half")))
    assert (event.difference_minor, event.overrun_minor) == (-1750, 1750)


def test_a_debt_may_come_of_a_dearer_card() -> None:
    """A correction is an act of finance: it takes available below zero where the balance does not reach."""
    world = settled()
    left = world.books[ACME].wallets["credit"].available_minor
    world.do(route_request("r2", hold=StatedAmount(f"{left // 10**6}.{left % 10**6:06d}", "CREDIT")))
    world.do(rerated("twice"))
    assert world.books[ACME].wallets["credit"].available_minor == -3500


def test_what_is_shown_is_what_is_recorded() -> None:
    """Old and new charge, difference and lines are those of the event; afterwards it says so, and by how much."""
    world = settled()
    line = line_of(world, "half")
    assert (line.outcome, line.rate_card, line.charge, line.new_charge) == (
        "changed", "gpt-direct.1", credit("0.003500"), credit("0.001750"),
    )  # fmt: skip
    assert [(each.rate, each.amount.value) for each in line.lines] == [("2.50", "0.002500"), ("10", "0.001000")]
    assert [(each.rate, each.amount.value) for each in line.new_lines] == [("1.25", "0.001250"), ("5", "0.000500")]
    world.do(rerated("half"))
    after = line_of(world, "half")
    assert (after.outcome, after.difference, after.corrected) == ("applied", credit("0.000000"), line.difference)
    assert (after.rate_card, after.charge, after.new_lines) == ("half", line.new_charge, [])


@pytest.mark.parametrize(
    ("fields", "after", "rate_card", "why"),
    [
        ({}, (correct_charge(),), "half", "corrected_by_hand"),
        ({}, (refund_charge(refund=credit("0.002")),), "half", "correction_exceeds_paid"),
        ({}, (rerated("half"), rerated("twice")), "half", "corrected_since"),
        ({}, (), "input-only", "unpriced"),
        ({"usage": Usage(0, 0, {"requests": 1})}, (), "half", "unpriced"),
    ],
)
def test_what_cannot_be_rated_anew_says_why(
    fields: dict[str, Any], after: tuple[Command, ...], rate_card: str, why: str
) -> None:
    """There is no new charge and no difference, one word of the list, and a sentence; nothing is changed by asking."""
    world = settled(publish("input-only", "1"), **fields).all(*after)
    line = line_of(world, rate_card)
    assert (line.outcome, line.why, line.new_charge, line.difference) == ("impossible", why, None, None)
    assert line.text
    if why != "corrected_since":
        before = world.books[ACME].position
        assert refused_by(world, rerated(rate_card)).detail == line.text
        assert world.books[ACME].position == before


def test_what_the_caller_priced_has_no_other_price() -> None:
    """A charge that the caller stated is no rating."""
    world = opened().all(route_request(**OWN), settle_request(route="own-price", charge=credit("0.25")))
    line = line_of(world, "gpt-direct.1")
    assert (line.outcome, line.why, line.rate_card, line.lines) == ("impossible", "caller_priced", None, [])


def test_a_model_that_the_card_does_not_name_is_marked() -> None:
    """It is rated as the ledger would have rated it, by the card's first model, and that is said."""
    world = settled(reported_model="other-model")
    line = line_of(world, "half")
    assert (line.outcome, line.model_mismatch, line.difference) == ("changed", True, credit("-0.001750"))


def test_sums_are_of_one_bucket_and_tell_all_apart() -> None:
    """Changed, unchanged, corrected before and impossible are counted; amounts are those of the changed alone."""
    totals = no_reratings("credit", Unit("CREDIT", 6))
    for world, rate_card in (
        (settled(), "half"),
        (settled(usage_source="estimated"), "twice"),
        (settled(), "gpt-direct.1"),
        (settled().all(rerated("half")), "half"),
        (settled().all(correct_charge()), "half"),
    ):
        add_line(totals, line_of(world, rate_card))
    assert (totals.requests, totals.changed, totals.unchanged, totals.applied) == (5, 2, 1, 1)
    assert (totals.impossible, totals.estimated, totals.mismatched) == ({"corrected_by_hand": 1}, 1, 0)
    assert (totals.charge.value, totals.new_charge.value, totals.difference.value, totals.corrected.value) == (
        "0.007000", "0.008750", "0.001750", "-0.001750",
    )  # fmt: skip


def test_every_card_has_an_identity_of_its_own() -> None:
    """A card's correction has a name that the ledger takes, however long the card's is."""
    names = ["a", "a" * 120, "a" * 128, "a" * 127 + "b"]
    ids = [rerating_id(name) for name in names]
    assert len(set(ids)) == 4
    assert all(IDENTIFIER_PATTERN.match(each) and PATTERNS["correction_id"].match(each) for each in ids)
    assert ids[0] == "rerate.a"
