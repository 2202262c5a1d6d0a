"""Rows of the route ledger and what they add to spend, case by case, with the numbers worked out by hand."""

from datetime import timedelta
from typing import Any

from ledger.core.commands import Command, to_microseconds
from ledger.pricing.usage import Usage
from projections.route_ledger.rows import Amendment, FailedAttempt, RequestRow, RouteTaken, TokenLine
from projections.route_ledger.spending import QUARTER_MICROSECONDS, Sums, quarter_of
from tests.unit.route_rows import KeptRows, kept_of
from tests.unit.story import (
    ACME,
    OTHERS,
    WHEN,
    cny,
    correct_charge,
    credit,
    expire_request,
    opened,
    record_attempt,
    refund_charge,
    release_request,
    route_request,
    settle_request,
    take_fallback,
)
from tests.unit.world import NOW, SECOND, World

AN_HOUR_LATER = NOW + 3600 * SECOND
LATER = WHEN + timedelta(minutes=20)
USED = Usage(1000, 100, {"uncached_input": 1000, "text_output": 100})
"""2.50 for a million in and 10 out: 2,500 and 1,000 millionths."""


def after(*commands: Command, world: World | None = None) -> KeptRows:
    """Return the rows of the story's workspace after some commands more."""
    return kept_of((world or opened(now=AN_HOUR_LATER)).all(*commands), ACME)


def only(kept: KeptRows) -> RequestRow:
    """Return the one row that there is."""
    (row,) = kept.read()
    return row


def spent(kept: KeptRows) -> list[tuple[int, str, str, Sums]]:
    """Return what was spent as (quarters since the first, bucket, route, sums)."""
    first = quarter_of(to_microseconds(WHEN))
    found = [
        ((quarter - first) // QUARTER_MICROSECONDS, cell.bucket, cell.route, sums)
        for (quarter, cell), sums in kept.spending.items()
    ]
    return sorted(found, key=lambda each: each[:3])


def settled(**more: Any) -> Sums:
    """Return the sums of one settled request with its usage of 3,500 millionths, changed as stated."""
    sums = Sums(
        requests=1, settled=1, input_tokens=1000, output_tokens=100, charge_minor=3500, listed_minor=3500,
        list_minor=4375, cost_minor=4_000_000,
        lines={("uncached_input", "2.50"): [1000, 2500], ("text_output", "10"): [100, 1000]},
    )  # fmt: skip
    for name, value in more.items():
        setattr(sums, name, value)
    return sums


def test_a_quarter_begins_on_the_clock() -> None:
    """Quarters begin at :00, :15, :30 and :45, before 1970 as well."""
    assert quarter_of(0) == 0
    assert quarter_of(QUARTER_MICROSECONDS - 1) == 0
    assert quarter_of(QUARTER_MICROSECONDS) == QUARTER_MICROSECONDS
    assert quarter_of(-1) == -QUARTER_MICROSECONDS


def test_an_open_request_has_a_row_and_spends_nothing() -> None:
    """What is only held is in the row, and in no sum."""
    kept = after(route_request())
    row = only(kept)
    assert (row.status, row.held_minor, row.charge_minor, row.ended_at) == ("open", 10_000_000, None, None)
    assert row.detail.routes == [RouteTaken("gpt-direct", "direct", "openai", "credit")]
    assert kept.spending == {}


def test_a_settled_request_counts_when_it_was_settled() -> None:
    """Tokens, charge, list price and the provider's cost stand in the quarter of the settlement, by part and rate."""
    kept = after(route_request(), settle_request(usage=USED, effective_at=LATER))
    row = only(kept)
    assert (row.charge_minor, row.paid_minor, row.overrun_minor, row.held_minor) == (3500, 3500, 0, 0)
    assert (row.list_minor, row.listed_minor, row.cost_minor, row.cost_unit) == (4375, 3500, 4_000_000, "USD")
    assert row.detail.lines == [
        TokenLine("uncached_input", 1000, "2.50", 2500, 3125),
        TokenLine("text_output", 100, "10", 1000, 1250),
    ]
    assert spent(kept) == [(1, "credit", "gpt-direct", settled())]


def test_a_request_that_was_never_routed_has_no_row() -> None:
    """A release that came before its hold leaves nothing."""
    kept = after(release_request("r4"))
    assert (kept.read(), kept.spending) == ([], {})


def test_a_late_settlement_takes_the_expiry_back() -> None:
    """Expired in one quarter and settled in a later one, the request counts once, where it was settled."""
    world = opened(now=AN_HOUR_LATER)
    world.all(route_request(hold_seconds=1))
    world.now += 2 * SECOND
    kept = after(expire_request(), world=world)
    ((_, _, _, sums),) = spent(kept)
    assert sums == Sums(requests=1, expired=1)
    kept = after(settle_request(usage=USED, effective_at=LATER), world=world)
    assert (only(kept).status, only(kept).went_wrong) == ("settled", True)
    assert spent(kept) == [(1, "credit", "gpt-direct", settled())]


def test_waste_stays_in_the_bucket_of_the_route_that_failed() -> None:
    """A failed attempt counts on its own route, the settlement where the fallback led; neither knows of the other."""
    kept = after(
        route_request(),
        record_attempt(),
        take_fallback(effective_at=LATER),
        settle_request(route="gpt-ordinary", usage=USED, provider_cost=None, effective_at=LATER),
    )
    row = only(kept)
    assert (row.attempts, row.retries, row.fallbacks, row.went_wrong) == (2, 1, 1, True)
    assert (row.first_bucket, row.bucket, row.first_route, row.route) == ("credit", "rmb", "gpt-direct", "gpt-ordinary")
    waste = Sums(retries=1, failed_attempts=1, waste_minor=1_000_000)
    served = settled(fallbacks=1, without_cost=1, cost_minor=0)
    assert spent(kept) == [(0, "credit", "gpt-direct", waste), (1, "rmb", "gpt-ordinary", served)]


def test_an_attempt_that_failed_late_is_on_the_route_that_it_was_made_on() -> None:
    """Recorded after fallback and settlement, a failure still counts in the bucket of its route, when it was."""
    kept = after(
        route_request(),
        take_fallback(),
        settle_request(route="gpt-ordinary", usage=USED, provider_cost=None),
        record_attempt(attempt=1, provider_cost=None, retried=False, effective_at=LATER),
    )
    assert only(kept).detail.failures == [
        FailedAttempt(
            1, "gpt-direct", "direct", "openai", "credit", "timeout", False, to_microseconds(LATER), 30_000, 504
        )
    ]
    assert spent(kept)[1] == (1, "credit", "gpt-direct", Sums(failed_attempts=1, waste_unknown=1))


def test_refunds_and_corrections_count_when_they_happen() -> None:
    """The charge stays as it was settled; what changed it later stands in its own quarter."""
    kept = after(
        route_request(),
        settle_request(usage=USED),
        refund_charge(refund=credit("0.0005"), effective_at=LATER),
        correct_charge(difference=credit("-0.001"), effective_at=LATER),
    )
    row = only(kept)
    assert (row.charge_minor, row.paid_minor, row.refunded_minor) == (2500, 2500, 500)
    assert row.detail.amendments == [
        Amendment("refund", to_microseconds(LATER), -500),
        Amendment("correction", to_microseconds(LATER), -1000, 0, "mistake"),
    ]
    assert spent(kept) == [
        (0, "credit", "gpt-direct", settled()),
        (1, "credit", "gpt-direct", Sums(refunded_minor=500, corrected_minor=-1000)),
    ]


def test_a_correction_undoes_first_what_nothing_had_paid() -> None:
    """With 0.003 left of the wallet, 0.0005 are overrun; a correction by 0.0007 undoes that and gives 0.0002 back."""
    world = opened(now=AN_HOUR_LATER)
    left = world.books[ACME].wallets["credit"].available_minor - 3000
    world.all(route_request("other", hold=credit(f"{left // 10**6}.{left % 10**6:06d}")))
    world.all(route_request(hold=credit("0.001")), settle_request(usage=USED))
    row = after(world=world).read()[1]
    assert (row.charge_minor, row.paid_minor, row.overrun_minor) == (3500, 3000, 500)
    kept = after(correct_charge(difference=credit("-0.0007"), effective_at=LATER), world=world)
    row = kept.read()[1]
    assert (row.charge_minor, row.paid_minor, row.overrun_minor) == (2800, 2800, 0)
    assert spent(kept) == [
        (0, "credit", "gpt-direct", settled(overrun_minor=500)),
        (1, "credit", "gpt-direct", Sums(corrected_minor=-700, undone_minor=500)),
    ]


def test_what_was_waived_is_no_charge() -> None:
    """With a most that is charged, the lines stay what they came to, and the rest is waived."""
    kept = after(route_request(), settle_request(usage=USED, charge_limit=credit("0.002")))
    assert (only(kept).charge_minor, only(kept).waived_minor) == (2000, 1500)
    assert spent(kept) == [(0, "credit", "gpt-direct", settled(charge_minor=2000, waived_minor=1500))]


def test_tokens_without_a_price_are_lines_without_a_rate() -> None:
    """Parts that no rate is known for, and all parts where the caller prices, are counted and cost nothing by line."""
    usage = Usage(1010, 100, {"uncached_input": 1000, "audio_input": 10, "text_output": 100})
    kept = after(route_request(), settle_request(usage=usage))
    assert only(kept).unpriced
    ((_, _, _, sums),) = spent(kept)
    assert (sums.unpriced, sums.lines[("audio_input", "")]) == (1, [10, 0])
    own = after(
        route_request(route="own-price", rate_card=None),
        settle_request(route="own-price", usage=USED, charge=credit("0.25")),
    )
    assert not only(own).unpriced
    ((_, _, _, sums),) = spent(own)
    assert (sums.charge_minor, sums.lines) == (
        250_000,
        {("uncached_input", ""): [1000, 0], ("text_output", ""): [100, 0]},
    )


def test_tokens_of_other_models_are_lines_of_their_own() -> None:
    """Other models' tokens are in the totals; their lines name the model in the row and add up by rate in spend."""
    kept = after(route_request(), settle_request(usage=USED, others=OTHERS))
    row = only(kept)
    assert (row.input_tokens, row.output_tokens) == (1100, 120)
    assert [(line.part, line.tokens, line.model) for line in row.detail.lines if line.model] == [
        ("uncached_input", 100, "gpt-4o"), ("text_output", 20, "gpt-4o"),
    ]  # fmt: skip
    ((_, _, _, sums),) = spent(kept)
    assert sums.lines[("uncached_input", "5")] == [100, 500]
    assert sums.lines[("text_output", "")] == [20, 0]


def test_a_request_that_ended_without_a_charge_is_counted_by_how_it_ended() -> None:
    """Failed and cancelled requests count as such, with their fallbacks, in the bucket where they were left."""
    kept = after(
        route_request(),
        take_fallback(hold=cny("3")),
        release_request(cause="failed"),
        route_request("r2"),
        release_request("r2"),
    )
    assert spent(kept) == [
        (0, "credit", "gpt-direct", Sums(requests=1, cancelled=1)),
        (0, "rmb", "gpt-ordinary", Sums(requests=1, failed=1, fallbacks=1)),
    ]
