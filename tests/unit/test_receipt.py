"""Receipts of hand-made histories: the words, the figures, the page, and what a customer is not told."""

from typing import Any, get_args

import pytest

from ledger.core.amounts import StatedAmount, UnitMismatch
from ledger.core.rounding import Rounding
from ledger.pricing.usage import PARTS, ModelUsage, Usage
from ledger.request.commands import CorrectionCause, Failure, ReleaseCause, SettlementPolicy, UsageSource
from ledger.request.events import RequestEvent, SkippedRoute, Why
from projections.layout import COLUMNS, pair, table, width_of, wrapped
from projections.receipt import words
from projections.receipt.answers import CustomerReceipt, Receipt
from projections.receipt.customer import OWN_REASON, OWN_RULE, UNREACHABLE, customer_view
from projections.receipt.folding import CatalogBehind, receipt_of
from projections.receipt.moments import (
    AnyMoment,
    AttemptFailedMoment,
    CorrectedMoment,
    FallbackMoment,
    HoldExtendedMoment,
)
from projections.receipt.page import page_of
from projections.receipt.pricing import exact_text
from projections.stated import is_more
from tests.unit import story
from tests.unit.receipts import platform_of, receipt_in, recorded_of
from tests.unit.story import cny, credit
from tests.unit.world import SECOND, World


@pytest.fixture
def world() -> World:
    """An opened workspace whose keys and models allow everything."""
    return story.opened()


def amounts(**stated: StatedAmount) -> dict[str, str]:
    """Return amounts as text by their names."""
    return {name: words.of(amount) for name, amount in stated.items()}


def moment_of(receipt: CustomerReceipt, kind: type[Any]) -> Any:
    """Return the one moment of a kind."""
    (found,) = [moment for moment in receipt.timeline if isinstance(moment, kind)]
    return found


@pytest.mark.parametrize(
    ("codes", "known"),
    [
        (get_args(Failure), words.FAILURES),
        (get_args(UsageSource), words.SOURCES),
        (get_args(SettlementPolicy), words.POLICIES),
        ((*get_args(ReleaseCause), "expired"), words.RELEASES),
        (get_args(CorrectionCause), words.CORRECTIONS),
        (tuple(Rounding), words.ROUNDINGS),
        (PARTS, words.PARTS),
    ],
)
def test_every_code_has_words(codes: tuple[str, ...], known: dict[str, str]) -> None:
    """Each closed list that events speak in is said in words, all of it and nothing else."""
    assert set(codes) == set(known)


def test_every_event_of_a_request_is_a_moment() -> None:
    """The kinds of moment are the tags of a request's events without their versions."""
    kinds = {str(kind.__struct_config__.tag) for kind in get_args(AnyMoment)}
    assert kinds == {str(kind.__struct_config__.tag).removesuffix(".v1") for kind in RequestEvent.__subclasses__()}


def test_a_code_of_a_newer_ledger_is_shown_as_it_is() -> None:
    """An unknown code is read as words, not refused."""
    assert words.said(words.FAILURES, "moon_phase") == "moon phase"


def test_the_arithmetic_is_shown_line_by_line(world: World) -> None:
    """Each line has its exact product, its rounding and its list price; what has no rate is listed apart."""
    usage = Usage(1001, 3, {"uncached_input": 1001, "text_output": 3, "requests": 1})
    world.all(story.route_request(), story.settle_request(usage=usage))
    calculation = receipt_in(world).calculation
    assert calculation is not None
    first, second = calculation.lines
    assert (first.part, first.tokens, first.rate, first.exact) == ("uncached_input", 1001, "2.50", "0.0025025")
    assert first.amount == credit("0.002502")
    assert (first.list_rate, first.list_amount, first.discount) == ("3.125", credit("0.003128"), credit("0.000626"))
    assert (second.exact, second.amount) == ("0.00003", credit("0.000030"))
    assert [(each.part, each.tokens) for each in calculation.unpriced] == [("requests", 1)]
    assert (calculation.rated, calculation.list_price) == (credit("0.002532"), credit("0.003166"))
    assert (calculation.discount, calculation.rounding) == (credit("0.000634"), "half_even")


def test_tokens_of_other_models_are_told_apart(world: World) -> None:
    """An answer that two models worked on has the second one's tokens and lines under its own name."""
    other = ModelUsage("gpt-4o", Usage(100, 0, {"uncached_input": 100}))
    usage = Usage(10, 0, {"uncached_input": 10})
    world.all(story.route_request(), story.settle_request(usage=usage, others=(other,)))
    receipt = receipt_in(world)
    assert receipt.usage is not None
    assert receipt.calculation is not None
    assert [(each.model, each.tokens) for each in receipt.usage.parts] == [(None, 10), ("gpt-4o", 100)]
    assert [(each.model, each.rate) for each in receipt.calculation.lines] == [(None, "2.50"), ("gpt-4o", "5")]
    assert "gpt-4o" in page_of(receipt)


def test_a_waived_part_is_said(world: World) -> None:
    """A charge that was limited says what it came to, what was waived, and the policy it rests on."""
    policy = "client_gone_estimated"
    settle = story.settle_request(usage_source="partial", policy=policy, charge_limit=credit("0.001"))
    world.all(story.route_request(), settle)
    receipt = receipt_in(world)
    assert receipt.settlement is not None
    assert receipt.usage is not None
    shown = receipt.settlement
    assert amounts(rated=shown.rated, waived=shown.waived, charge=shown.charge) == {
        "rated": "0.005625 CREDIT", "waived": "0.004625 CREDIT", "charge": "0.001000 CREDIT",
    }  # fmt: skip
    assert "0.004625 CREDIT of the 0.005625 CREDIT that it came to are waived" in shown.text
    assert "went away before the answer was complete" in receipt.usage.text


def test_a_move_to_another_wallet_is_told_in_the_open(world: World) -> None:
    """The timeline and the summary name both wallets, each amount stays in its own, and the reasons are there."""
    why = Why("next target", (SkippedRoute("gpt-azure", "suspended"),))
    fall = story.take_fallback(why=why, failure="overloaded")
    settle = story.settle_request(route="gpt-ordinary", provider_cost=None)
    world.all(story.route_request(), fall, settle)
    receipt = receipt_in(world)
    moved = moment_of(receipt, FallbackMoment)
    assert (moved.released.bucket, moved.released.amount) == ("credit", credit("10.000000"))
    assert (moved.hold.bucket, moved.hold.amount) == ("rmb", cny("30.000000"))
    assert "ANOTHER WALLET PAYS" in moved.text
    assert receipt.summary == (
        "0.005625 CNY were paid from the rmb wallet. It moved from route gpt-direct to route gpt-ordinary, from the "
        "credit wallet to the rmb wallet: the upstream was overloaded."
    )
    assert [totals.bucket for totals in receipt.totals] == ["credit", "rmb"]
    assert [(each.route, each.reason) for each in receipt.choices[1].skipped] == [("gpt-azure", "suspended")]
    assert receipt.fallbacks == 1


def test_an_open_request_says_until_when_it_holds(world: World) -> None:
    """Nothing is charged yet; the end of the hold is that of its last extension."""
    world.all(story.route_request(), story.extend_hold())
    receipt = receipt_in(world)
    assert (receipt.status, receipt.settlement, receipt.calculation) == ("open", None, None)
    until = moment_of(receipt, HoldExtendedMoment).expires_at
    assert receipt.summary.startswith(
        f"It is still running: 12.000000 CREDIT of the credit wallet are set aside until {until}"
    )


@pytest.mark.parametrize(("cause", "said"), [("failed", "the request failed"), ("cancelled", "was given up")])
def test_a_released_request_charged_nothing(world: World, cause: str, said: str) -> None:
    """The whole hold went back, and why is said."""
    world.all(story.route_request(), story.release_request(cause=cause))
    receipt = receipt_in(world)
    assert receipt.summary.startswith("Nothing was charged")
    assert said in receipt.summary
    assert words.of(receipt.totals[0].paid) == "0.000000 CREDIT"


def test_a_voided_request_has_a_receipt_too(world: World) -> None:
    """A release that came first leaves a receipt without a route."""
    world.do(story.release_request("r4"))
    receipt = receipt_in(world, "r4")
    assert (receipt.status, receipt.route, receipt.totals, receipt.entries) == ("voided", None, [], [])
    assert "Nothing was set aside or charged" in page_of(customer_view(receipt))


def test_a_late_charge_says_that_the_hold_was_gone(world: World) -> None:
    """After an expiry all of the charge comes from what was available."""
    world.do(story.route_request(hold_seconds=1))
    world.now += 10 * SECOND
    world.all(story.expire_request(), story.settle_request())
    settlement = receipt_in(world).settlement
    assert settlement is not None
    assert (settlement.late, settlement.captured, settlement.from_available) == (
        "expired", credit("0.000000"), credit("0.005625"),
    )  # fmt: skip
    assert "The counts came late" in settlement.text


def overrun(world: World) -> Receipt:
    """Return the receipt of a charge of 0.005625 for which the wallet had 0.001 and no more."""
    rest = world.books[story.ACME].wallets["credit"].available_minor - 1000
    left = StatedAmount(f"{rest // 10**6}.{rest % 10**6:06d}", "CREDIT")
    world.all(story.route_request(hold=credit("0.001")), story.route_request("other", hold=left))
    world.all(story.settle_request(), story.record_attempt("other"))
    return receipt_in(world)


def test_overrun_is_the_platforms_to_know(world: World) -> None:
    """The platform reads the loss; to the customer it is waived, and in no other words than any part that is."""
    whole = overrun(world)
    shown = customer_view(whole)
    assert whole.settlement is not None
    assert shown.settlement is not None
    assert platform_of(whole).overrun == credit("0.004625")
    assert "the platform's loss" in whole.settlement.text
    assert (whole.settlement.charge, shown.settlement.charge) == (credit("0.005625"), credit("0.001000"))
    assert (whole.settlement.waived, shown.settlement.waived) == (credit("0.000000"), credit("0.004625"))
    assert shown.settlement.text.endswith(
        "0.004625 CREDIT of the 0.005625 CREDIT that it came to are waived: they are not taken, now or later."
    )
    assert "0.001000 CREDIT were charged" in page_of(shown)


def test_a_correction_of_what_nobody_paid_is_nothing_to_the_customer(world: World) -> None:
    """A charge that falls by its unpaid part takes nothing back to the wallet, and the customer reads zero."""
    overrun(world)
    world.do(story.correct_charge(difference=credit("-0.004")))
    whole = receipt_in(world)
    assert "fell by 0.004000 CREDIT" in whole.timeline[-1].text
    assert "nothing changed for the credit wallet" in customer_view(whole).timeline[-1].text
    assert platform_of(whole).overrun == credit("0.000625")


def test_a_charge_that_is_rated_anew_says_what_is_waived_of_it(world: World) -> None:
    """New lines that come to more than the wallet paid are waived in part, as the first ones were."""
    overrun(world)
    less = Usage(1200, 200, {"uncached_input": 1200, "text_output": 200})
    world.do(story.correct_charge(cause="rerated", difference=None, usage=less))
    told = moment_of(customer_view(receipt_in(world)), CorrectedMoment)
    assert told.waived is not None
    assert (words.of(told.change.amount), words.of(told.waived.amount)) == ("0.000000 CREDIT", "0.004000 CREDIT")
    assert "0.004000 CREDIT of what it comes to now are waived" in told.text
    assert moment_of(receipt_in(world), CorrectedMoment).waived is None


def test_terms_that_the_card_does_not_name_are_told(world: World) -> None:
    """Both sides read under what terms the upstream billed, unless a term speaks of the platform's side."""
    terms = ("service_tier=priority", "speed=fast", "azure quota")
    world.all(story.route_request(), story.settle_request(terms=terms))
    whole = receipt_in(world)
    shown = customer_view(whole)
    assert whole.usage is not None
    assert shown.usage is not None
    assert (whole.usage.terms, shown.usage.terms) == (list(terms), list(terms[:2]))
    sentence = "The upstream billed under terms that the rate card does not name: service_tier=priority, speed=fast"
    assert f"{sentence}, azure quota." in whole.usage.text
    assert f"{sentence}." in shown.usage.text
    assert "azure" not in page_of(shown)


def test_a_doubted_report_is_charged_within_the_hold(world: World) -> None:
    """Counts that can't be right are charged as reported up to a limit, and the receipt says so."""
    settle = story.settle_request(policy="report_doubted", charge_limit=credit("0.002"))
    world.all(story.route_request(hold=credit("0.002")), settle)
    shown = customer_view(receipt_in(world))
    assert shown.usage is not None
    assert shown.settlement is not None
    assert "can hardly be right" in shown.usage.text
    assert (shown.settlement.charge, shown.settlement.waived) == (credit("0.002000"), credit("0.003625"))


def test_an_entry_between_our_own_accounts_is_not_the_customers(world: World) -> None:
    """A late charge that no balance could pay leaves the wallet alone: the customer's receipt has no line of it."""
    world.do(story.route_request(hold=credit("0.001")))
    world.do(story.release_request())
    rest = world.books[story.ACME].wallets["credit"].available_minor
    world.do(story.route_request("other", hold=StatedAmount(f"{rest // 10**6}.{rest % 10**6:06d}", "CREDIT")))
    world.do(story.settle_request())
    whole = receipt_in(world)
    tags = [entry.tag for entry in whole.entries]
    assert tags == ["request_routed.v1", "request_released.v1", "tokens_settled.v1"]
    assert [entry.tag for entry in customer_view(whole).entries] == tags[:2]
    assert customer_view(whole).summary == "0.000000 CREDIT were paid from the credit wallet."


@pytest.mark.parametrize(
    "reason",
    [
        "provider azure does not serve chat", "our account is out of money", "circuit open: upstream_account_empty",
        "this gateway has no key for it", "AZURE is slow", "billing limit reached", "its margin is too low",
    ],
)  # fmt: skip
def test_a_gateways_reason_about_our_side_is_not_repeated(world: World, reason: str) -> None:
    """Rules and reasons that name a provider or our own affairs are replaced for the customer alone."""
    why = Why(reason, (SkippedRoute("gpt-azure", reason), SkippedRoute("gpt-mini", "suspended")))
    world.all(story.route_request(why=why), story.extend_hold(why=reason))
    whole = receipt_in(world)
    (choice,) = customer_view(whole).choices
    assert (choice.rule, [each.reason for each in choice.skipped]) == (OWN_RULE, [UNREACHABLE, "suspended"])
    assert moment_of(customer_view(whole), HoldExtendedMoment).why == OWN_REASON
    assert reason not in page_of(customer_view(whole))
    assert whole.choices[0].skipped[0].reason == reason


@pytest.mark.parametrize(("failure", "status"), [("upstream_account_empty", 402), ("authentication", 401)])
def test_the_state_of_our_account_is_not_told(world: World, failure: Failure, status: int) -> None:
    """A failed attempt that was about our own account or key is `other` to the customer, without its status."""
    world.all(story.route_request(), story.record_attempt(failure=failure, http_status=status))
    whole = receipt_in(world)
    told = moment_of(customer_view(whole), AttemptFailedMoment)
    assert (told.failure, told.http_status) == ("other", None)
    assert "account" not in told.text
    assert moment_of(whole, AttemptFailedMoment).failure == failure


def test_the_platform_reads_costs_and_sources(world: World) -> None:
    """Each attempt's cost stands in its provider's unit, unknown is not zero, and the card's source is named."""
    world.all(story.route_request(), story.record_attempt(provider_cost=None), story.settle_request())
    facts = platform_of(receipt_in(world))
    assert [(each.attempt, each.served, each.cost) for each in facts.costs] == [
        (1, False, None), (2, True, StatedAmount("0.004000000", "USD")),
    ]  # fmt: skip
    (source,) = facts.price_sources
    assert (source.source_unit, source.units_per_source_unit, source.factor) == ("USD", "7.1", "1.25")
    assert {act.actor for act in facts.acts} == {"tester"}
    assert "cost unknown" in page_of(receipt_in(world))


def test_an_old_catalog_is_refused_and_not_guessed_from(world: World) -> None:
    """Without the rate card or the unit that the events name there is no receipt, rather than a wrong one."""
    recorded = recorded_of(world.all(story.route_request(), story.settle_request()))
    with pytest.raises(CatalogBehind):
        receipt_of("r1", recorded, World().books["platform"].catalog)
    with pytest.raises(ValueError, match="without events"):
        receipt_of("r1", [], world.books["platform"].catalog)


def test_products_are_exact() -> None:
    """Every digit of tokens × rate ÷ 1,000,000 is there, and no zero behind the last one."""
    assert exact_text(1, "0.000000000001") == "0.000000000000000001"
    assert exact_text(1_000_000, "2.50") == "2.5"
    assert exact_text(3_000_000, "10") == "30"


def test_units_are_never_compared() -> None:
    """A credit is neither more nor less than a yuan."""
    with pytest.raises(UnitMismatch):
        is_more(credit("1.000000"), cny("0.500000"))


def test_the_page_reads_well(world: World) -> None:
    """A request as a person reads it: what was paid, why, what happened, tokens, arithmetic, totals, costs."""
    again = Usage(2000, 300, {"uncached_input": 2000, "text_output": 300})
    rerated: dict[str, Any] = {"correction_id": "n2", "cause": "rerated", "difference": None, "usage": again}
    world.all(story.route_request(), story.extend_hold(), story.record_attempt(), story.settle_request())
    world.all(story.refund_charge(), story.correct_charge(), story.correct_charge(**rerated))
    page = page_of(receipt_in(world))
    for line in (
        "  0.007000 CREDIT were paid from the credit wallet, after what was given back or corrected.",
        "  skipped         own-price: not in this tier",
        "  in all          2 attempts, 1 retry, 0 fallbacks",
        "  input                   1,000         2.50    0.0025  0.002500    0.003125  0.000625",
        "  NOT PRICED: 1 requests: the card has no rate for it.",
        "  paid in all      0.007000",
        "  attempt 1       failed on route gpt-direct (openai), cost 0.001000000 USD",
    ):
        assert line in page.split("\n")
    assert "FOR THE PLATFORM ONLY" not in page_of(customer_view(receipt_in(world)))


def test_lines_break_where_a_terminal_does() -> None:
    """Chinese characters take two columns, endless words are cut, and nothing moves the cursor."""
    assert list(wrapped("发票 发票 发票", 10)) == ["发票 发票", "发票"]
    assert list(wrapped("x" * 25, 10)) == ["x" * 10, "x" * 10, "x" * 5]
    assert list(wrapped("a\x1b[2Jb\u3000c", 20)) == ["a?[2Jb c"]
    assert pair("a very long label indeed", "value")[1].strip() == "value"
    assert pair("nothing", None) == []


def test_a_table_that_is_too_wide_is_written_row_by_row() -> None:
    """Every cell is still there, under its column's name, within the page."""
    rows = [("input", "1" * 60, "2" * 60), ("output", "3", "")]
    lines = table(("part", "rate", "exact"), rows)
    assert all(width_of(line) <= COLUMNS for line in lines)
    assert [line.split() for line in lines[:3]] == [["part", "input"], ["rate", "1" * 60], ["exact", "2" * 60]]
