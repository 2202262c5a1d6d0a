"""Settlement arithmetic: where a charge is taken from, over generated balances, holds and limits."""

from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.amounts import StatedAmount, format_minor
from ledger.core.refusals import Refusal, Refused
from ledger.pricing.usage import ModelUsage, Usage
from ledger.request.events import ChargeRefunded, TokensSettled
from ledger.request.state import RequestState
from ledger.wallet.state import WalletState
from ledger.workspace import commands as workspace
from tests import strategies  # noqa: F401 -- loads the profile
from tests.unit.story import (
    ACME,
    MINE,
    correct_charge,
    expire_request,
    limits,
    opened,
    refund_charge,
    release_request,
    route_request,
    settle_request,
)
from tests.unit.world import SECOND, World

LEVEL = opened()
"""The world every example starts from; its values are never changed in place."""

small = st.integers(0, 40)
positive = st.integers(1, 40)


def stated(minor: int) -> StatedAmount:
    """Return an amount of the credit bucket."""
    return StatedAmount(format_minor(minor, 6), "CREDIT")


class Case(NamedTuple):
    """Balances and limits, a hold and a charge, all in smallest parts; `ended` is how the hold ended before."""

    posted: int
    credit_limit: int
    other_hold: int
    hold: int
    charge: int
    key_limit: int | None
    project_limit: int | None
    ended: str | None
    charge_limit: int | None = None

    @property
    def charged(self) -> int:
        """What may be charged of the charge."""
        return self.charge if self.charge_limit is None else min(self.charge, self.charge_limit)


cases = st.builds(
    Case, st.integers(-30, 60), small, small, positive, st.integers(0, 90), st.none() | small, st.none() | small,
    st.sampled_from((None, "failed", "cancelled", "expired")), st.none() | st.integers(0, 90),
)  # fmt: skip


def wallet(world: World) -> WalletState:
    """Return the credit wallet."""
    return world.books[ACME].wallets["credit"]


def set_limits(world: World, key_limit: int | None, project_limit: int | None) -> None:
    """Replace the spend limits of key and project in the credit bucket."""

    def stated_limits(limit: int | None) -> tuple[workspace.StatedSpendLimit, ...]:
        return () if limit is None else (workspace.StatedSpendLimit("credit", "day", stated(limit)),)

    world.do(
        workspace.SetApiKeyLimits(**MINE, change_id="a", api_key_id="k1", limits=limits(spend=stated_limits(key_limit)))
    )
    world.do(
        workspace.SetProjectLimits(**MINE, change_id="b", project_id="web", spend_limits=stated_limits(project_limit))
    )


def routed(case: Case) -> World | None:
    """Return a world in which the request is routed and then ended as the case says; None where it can't be."""
    world = World()
    platform, acme = LEVEL.books["platform"], LEVEL.books[ACME]
    world.books["platform"].catalog = platform.catalog
    book = world.book_of(ACME)
    book.workspace = acme.workspace
    rich = WalletState("credit", "CREDIT", 6, 10_000, 0, case.credit_limit, version=1)
    book.wallets = {**acme.wallets, "credit": rich}
    set_limits(world, case.key_limit, case.project_limit)
    own: dict[str, Any] = {"route": "own-price", "rate_card": None}
    try:
        world.do(route_request(**own, hold=stated(case.hold)))
    except Refused as refused:
        found = refused
        assert found.code in (
            Refusal.API_KEY_SPEND_LIMIT_EXCEEDED, Refusal.PROJECT_SPEND_LIMIT_EXCEEDED,
        )  # fmt: skip
        assert min(limit for limit in (case.key_limit, case.project_limit) if limit is not None) < case.hold
        return None
    if case.ended == "expired":
        world.now += 3600 * SECOND
        world.do(expire_request())
    elif case.ended is not None:
        world.do(release_request(cause=case.ended))
    held = wallet(world).held_minor + case.other_hold
    book.wallets["credit"] = msgspec.structs.replace(wallet(world), posted_minor=case.posted, held_minor=held)
    return world


def settle(world: World, charge: int, charge_limit: int | None = None) -> TokensSettled:
    """Settle at a charge that the caller states, within a limit if there is one."""
    most = None if charge_limit is None else stated(charge_limit)
    command = settle_request(route="own-price", charge=stated(charge), provider_cost=None, charge_limit=most)
    event = world.do(command).fact.event
    assert isinstance(event, TokensSettled)
    return event


def request_of(world: World) -> RequestState:
    """Return the request."""
    return world.books[ACME].requests["r1"]


@given(cases)
def test_a_charge_is_taken_from_hold_then_available_then_overrun(case: Case) -> None:
    """All identities hold, each source is used up before the next, and limits cap only the excess."""
    world = routed(case)
    if world is None:
        return
    hold = case.hold if case.ended is None else 0
    available = case.posted - case.other_hold - hold + case.credit_limit
    event = settle(world, case.charge, case.charge_limit)
    assert min(event.captured_minor, event.released_minor, event.from_available_minor, event.overrun_minor) >= 0
    assert hold == event.captured_minor + event.released_minor
    assert (event.charge_minor, event.waived_minor) == (case.charged, case.charge - case.charged)
    assert case.charged == event.captured_minor + event.from_available_minor + event.overrun_minor
    assert event.captured_minor == min(hold, case.charged)
    rooms = [limit - hold for limit in (case.key_limit, case.project_limit) if limit is not None]
    reach = max(0, min([available, *rooms]))
    assert event.from_available_minor == min(case.charged - event.captured_minor, reach)
    assert event.status_before == (case.ended or "open")
    assert wallet(world).held_minor == case.other_hold
    assert wallet(world).posted_minor == case.posted - case.charged + event.overrun_minor
    assert wallet(world).available_minor >= min(0, available)
    state = request_of(world)
    assert (state.charge_minor, state.paid_minor) == (case.charged, case.charged - event.overrun_minor)
    assert (state.held_minor, state.status.value) == (0, "settled")


@given(cases)
def test_a_settlement_moves_budgets_from_held_to_charged(case: Case) -> None:
    """After a settlement a budget counts what was paid, no overrun, and nothing held."""
    world = routed(case)
    if world is None:
        return
    before = dict(world.books[ACME].budgets)
    event = settle(world, case.charge, case.charge_limit)
    paid = case.charged - event.overrun_minor
    for name in event.budgets:
        budget = world.books[ACME].budgets[name]
        assert (budget.held_minor, budget.charged_minor) == (0, paid)
        assert before[name].held_minor == (case.hold if case.ended is None else 0)
    assert len(event.budgets) == (case.key_limit is not None) + (case.project_limit is not None)


@given(cases, st.lists(positive, max_size=4))
def test_refunds_never_exceed_what_was_paid(case: Case, refunds: list[int]) -> None:
    """Refunds are given while what was paid lasts; the first one past it is refused and changes nothing."""
    world = routed(case)
    if world is None:
        return
    event = settle(world, case.charge, case.charge_limit)
    left = case.charged - event.overrun_minor
    for number, minor in enumerate(refunds):
        before = wallet(world)
        try:
            made = world.do(refund_charge(refund_id=f"f{number}", refund=stated(minor))).fact.event
        except Refused as refused:
            found = refused
            assert found.code is Refusal.REFUND_EXCEEDS_PAID
            assert (minor > left, found.facts["left"]) == (True, format_minor(left, 6))
            assert wallet(world) == before
        else:
            assert isinstance(made, ChargeRefunded)
            left -= minor
            assert wallet(world).posted_minor == before.posted_minor + minor
    assert left >= 0
    assert request_of(world).paid_minor - request_of(world).refunded_minor == left


@given(cases, st.lists(st.integers(-50, 50), max_size=4))
def test_corrections_give_back_at_most_what_was_paid(case: Case, steps: list[int]) -> None:
    """Upward corrections are taken even below zero; downward ones undo overrun first, then stop at what was paid."""
    world = routed(case)
    if world is None:
        return
    overrun = settle(world, case.charge, case.charge_limit).overrun_minor
    left = case.charged - overrun
    for number, minor in enumerate(steps):
        before = wallet(world)
        command = correct_charge(correction_id=f"n{number}", difference=stated(minor))
        undone = min(overrun, max(-minor, 0))
        if minor == 0 or -minor - undone > left:
            with pytest.raises(Refused) as refused:
                world.do(command)
            expected = Refusal.AMOUNT_NOT_POSITIVE if minor == 0 else Refusal.CORRECTION_EXCEEDS_PAID
            assert refused.value.code is expected
            assert wallet(world) == before
        else:
            world.do(command)
            left += minor + undone
            overrun -= undone
            assert wallet(world).posted_minor == before.posted_minor - minor - undone
            assert wallet(world).held_minor == before.held_minor
    assert (request_of(world).paid_minor, request_of(world).overrun_minor) == (left, overrun)


@given(st.data())
def test_a_settled_request_settles_once(data: st.DataObject) -> None:
    """The same settlement again is a repeat; another content is a conflict; neither moves anything."""
    world = routed(Case(1000, 0, 0, 10, 20, None, None, None))
    assert world is not None
    settle(world, 20)
    before = wallet(world)
    charge = data.draw(st.integers(0, 50))
    command: Any = settle_request(route="own-price", charge=stated(charge), provider_cost=None)
    if charge == 20:
        assert world.do(command).repeated
    else:
        with pytest.raises(Refused) as refused:
            world.do(command)
        assert (refused.value.code, refused.value.facts["field"]) == (Refusal.IDENTITY_CONFLICT, "charge")
    assert wallet(world) == before


@given(st.integers(0, 9_000), st.integers(0, 3_000), st.integers(0, 40_000), st.none() | st.integers(0, 60_000))
def test_lines_sum_to_charge_and_waived(
    input_tokens: int, output_tokens: int, other_tokens: int, charge_limit: int | None
) -> None:
    """Where the ledger prices, the lines of all models are what is charged, within the limit, and what is waived."""
    world = World()
    world.books["platform"].catalog = LEVEL.books["platform"].catalog
    book = world.book_of(ACME)
    book.workspace, book.wallets = LEVEL.books[ACME].workspace, dict(LEVEL.books[ACME].wallets)
    world.do(route_request())
    own = Usage(input_tokens, output_tokens, {"uncached_input": input_tokens, "text_output": output_tokens})
    others = (ModelUsage("gpt-4o", Usage(other_tokens, 7, {"uncached_input": other_tokens, "text_output": 7})),)
    most = None if charge_limit is None else stated(charge_limit)
    event = world.do(settle_request(usage=own, others=others, charge_limit=most, policy="complete")).fact.event
    assert isinstance(event, TokensSettled)
    assert sum(line.charge_minor for line in event.lines) == event.charge_minor + event.waived_minor
    assert sum(line.charge_minor for line in event.lines if line.model == "gpt-4o") == other_tokens * 5
    assert [(line.part, line.tokens, line.model) for line in event.unpriced] == [("text_output", 7, "gpt-4o")]
    assert event.waived_minor == 0 or event.charge_minor == charge_limit
    assert charge_limit is None or event.charge_minor <= charge_limit
    assert (event.charge_limit_minor, event.policy, event.others) == (charge_limit, "complete", others)
