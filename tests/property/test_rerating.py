"""Re-rating over generated cards, usages and lives of requests: what is shown is what is recorded, once."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.catalog import commands as catalog
from ledger.core.amounts import StatedAmount, format_minor
from ledger.core.commands import Command
from ledger.core.refusals import Refusal, Refused
from ledger.pricing.rate_cards import ModelRates
from ledger.pricing.rating import rate_usage
from ledger.pricing.usage import ModelUsage, Usage
from ledger.request.commands import rerating_id
from ledger.request.events import ChargeCorrected
from projections.rerating.answers import RerateLine
from projections.rerating.judging import SettledRequest, judged
from projections.rerating.totals import add_line, no_reratings
from projections.stated import plus
from tests import strategies
from tests.unit.story import ACME, COMMON, card, correct_charge, opened, refund_charge, route_request, settle_request
from tests.unit.world import NOW, World

CARDS = ("x", "y")
PARTS = ("uncached_input", "text_output", "reasoning")
LEVEL = opened()
"""The world every example starts from; its values are never changed in place."""


def stated(minor: int) -> StatedAmount:
    """Return an amount of the credit bucket."""
    return StatedAmount(format_minor(minor, 6), "CREDIT")


def rerated(name: str) -> Command:
    """Return what corrects the request by a card."""
    return correct_charge(correction_id=rerating_id(name), cause="rerated", difference=None, rate_card=name)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Draw a usage of the parts that a card mostly has rates for."""
    uncached, text, reasoning = (draw(st.integers(0, 5) | st.integers(0, 10**6)) for _ in PARTS)
    counts = {"uncached_input": uncached, "text_output": text, "reasoning": reasoning}
    return Usage(uncached, text + reasoning, counts)


@st.composite
def publications(draw: st.DrawFn) -> list[Command]:
    """Draw two more cards of the route, with any rates and rounding, which sometimes lack a part."""
    commands: list[Command] = []
    for number, name in enumerate(CARDS):
        parts = draw(st.sampled_from((PARTS, PARTS, PARTS, PARTS[:2])))
        models = tuple(
            ModelRates(pattern, {part: draw(strategies.rate_texts(99)) for part in parts})
            for pattern in ("gpt-5*", "gpt-4o")
        )
        made = card(name, "gpt-direct", "credit", valid_from=1_600_000_000_000_000 + number)
        rounding = draw(strategies.roundings)
        made = msgspec.structs.replace(made, models=models, rounding=rounding)
        commands.append(catalog.PublishRateCard(**COMMON, card=made))
    return commands


others = st.just(()) | st.tuples(st.builds(ModelUsage, st.just("gpt-4o"), usages()))
settlements: st.SearchStrategy[Command] = st.builds(
    lambda usage, more, limit, source: settle_request(
        usage=usage, others=more, charge_limit=None if limit is None else stated(limit), usage_source=source,
        policy="complete",
    ),
    usages(), others, st.none() | st.integers(0, 10**6), st.sampled_from(("reported", "estimated", "partial")),
)  # fmt: skip
aftermath: st.SearchStrategy[Command] = st.one_of(
    st.builds(lambda n, parts: refund_charge(refund_id=f"f{n}", refund=stated(parts)),
              st.integers(1, 3), st.integers(1, 10**6)),
    st.builds(lambda n, parts: correct_charge(correction_id=f"n{n}", difference=stated(parts)),
              st.integers(1, 2), st.integers(-10**5, 10**5)),
    st.builds(lambda usage, more: correct_charge(correction_id="again", cause="estimate_replaced", difference=None,
                                                 usage=usage, others=more), usages(), others),
    st.sampled_from(CARDS).map(rerated),
)  # fmt: skip


@st.composite
def lives(draw: st.DrawFn) -> World:
    """Draw a world in which a request was settled, and things happened to its charge; its balance may be small."""
    world = World()
    world.books["platform"].workspace = LEVEL.books["platform"].workspace
    world.books["platform"].catalog = LEVEL.books["platform"].catalog
    world.books["platform"].wallets = LEVEL.books["platform"].wallets
    book = world.book_of(ACME)
    book.workspace, book.wallets = LEVEL.books[ACME].workspace, dict(LEVEL.books[ACME].wallets)
    world.all(*draw(publications()))
    hold = draw(st.integers(1, 10) | st.integers(1, 10**6))
    world.do(route_request(hold=stated(hold)))
    if draw(st.booleans()):
        left = book.wallets["credit"].available_minor - draw(st.integers(0, 10**5))
        world.do(route_request("other", hold=stated(left)))
    for command in (draw(settlements), *draw(st.lists(aftermath, max_size=4))):
        try:
            world.do(command)
        except Refused:
            continue
    return world


def shown(world: World, name: str) -> RerateLine:
    """Return what is shown of the request under a card."""
    own = sorted((each.position, each.fact) for (_, key), each in world.recorded.items() if key.startswith("r1/"))
    request = SettledRequest(ACME, "r1", NOW, [fact for _, fact in own])
    return judged(request, name, world.books["platform"].catalog)


def charge_of(world: World) -> int:
    """Return what the request is charged."""
    return world.books[ACME].requests["r1"].charge_minor


@given(lives(), st.sampled_from(CARDS))
def test_what_is_shown_is_what_a_correction_records(world: World, name: str) -> None:
    """What changes does by the difference that was shown; all else is refused, or was done: nothing else happens."""
    line = shown(world, name)
    before, position = charge_of(world), world.books[ACME].position
    assert line.charge == stated(before)
    if line.outcome == "changed":
        event = world.do(rerated(name)).fact.event
        assert isinstance(event, ChargeCorrected)
        assert (line.difference, line.new_charge) == (stated(event.difference_minor), stated(charge_of(world)))
        assert charge_of(world) == before + event.difference_minor
        return
    if line.outcome == "applied" or line.why == "corrected_since":
        assert world.do(rerated(name)).repeated
    else:
        expected = {
            None: Refusal.AMOUNT_NOT_POSITIVE,
            "correction_exceeds_paid": Refusal.CORRECTION_EXCEEDS_PAID,
            "amount_out_of_range": Refusal.AMOUNT_OUT_OF_RANGE,
        }
        with pytest.raises(Refused) as refused:
            world.do(rerated(name))
        assert refused.value.code is expected.get(line.why, Refusal.RERATING_NOT_POSSIBLE)
    assert (charge_of(world), world.books[ACME].position) == (before, position)


@given(lives(), st.sampled_from(CARDS))
def test_afterwards_the_charge_is_what_the_card_says(world: World, name: str) -> None:
    """The charge is the rating of the usage by the card, at most its limit; lines sum to charge and waived."""
    if shown(world, name).outcome != "changed":
        return
    event: Any = world.do(rerated(name)).fact.event
    state = world.books[ACME].requests["r1"]
    assert state.usage is not None
    made = world.books["platform"].catalog.rate_cards[name]
    rating = rate_usage(state.usage, made, state.reported_model, 6, state.others)
    limit = state.charge_limit_minor
    assert state.charge_minor == (rating.charge_minor if limit is None else min(rating.charge_minor, limit))
    assert sum(line.charge_minor for line in event.lines) == state.charge_minor + event.waived_minor
    assert state.charge_minor == state.paid_minor + state.overrun_minor
    assert state.paid_minor >= state.refunded_minor >= 0
    assert not state.is_charged_by_hand


@given(lives(), st.sampled_from(CARDS))
def test_twice_is_once(world: World, name: str) -> None:
    """After a correction by a card the request is shown as corrected, and the same again changes nothing."""
    line = shown(world, name)
    if line.outcome != "changed":
        return
    world.do(rerated(name))
    before = charge_of(world), world.books[ACME].position, dict(world.books[ACME].wallets)
    again = shown(world, name)
    assert (again.outcome, again.corrected, again.charge) == ("applied", line.difference, line.new_charge)
    assert world.do(rerated(name)).repeated
    assert before == (charge_of(world), world.books[ACME].position, dict(world.books[ACME].wallets))


@given(st.lists(lives(), max_size=5), st.sampled_from(CARDS))
def test_the_sum_that_is_shown_is_the_sum_that_is_recorded(worlds: list[World], name: str) -> None:
    """Over many requests, the difference of a preview is what their corrections come to, and wallets moved by it."""
    totals = no_reratings("credit", LEVEL.books["platform"].catalog.units["CREDIT"])
    recorded, moved = stated(0), 0
    for world in worlds:
        line = shown(world, name)
        add_line(totals, line)
        if line.outcome == "changed":
            before = world.books[ACME].wallets["credit"].posted_minor
            event: Any = world.do(rerated(name)).fact.event
            recorded = plus(recorded, stated(event.difference_minor))
            moved += before - world.books[ACME].wallets["credit"].posted_minor - event.overrun_minor
    assert totals.difference == recorded == stated(moved)
    assert plus(totals.charge, totals.difference) == totals.new_charge
    impossible = sum(totals.impossible.values())
    assert totals.requests == len(worlds) == totals.changed + totals.unchanged + totals.applied + impossible
