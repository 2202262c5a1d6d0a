"""What is easy to get wrong in an explanation: unknown prices, late refunds, failed requests, stated costs."""

from msgspec.structs import replace

from projections.change.cells import Period
from projections.change.explaining import customer_period, places_of
from projections.change.places import Place
from projections.route_ledger.spending import Sums
from tests.unit.change_periods import CATALOG, CREDIT, DOLLARS, TOKENS, cell_on, effects, on, parts_of, period, spent


def test_a_fallback_within_the_bucket_and_a_change_of_models_do_not_mix() -> None:
    """A fallback's premium is what it costs beyond its first route, and the mix is told as if on that one."""
    # Half of the 100 requests now call the small model on the cheap route, and 10 of these fell back to the spare one:
    # 50 · (1,500 − 3,000) for the mix, 10 · (4,500 − 1,500) for the fallback.
    before = period(on("plain", 100))
    after = period(on("plain", 50), on("cheap", 40, model="small"), on("spare", 10, first="cheap", model="small"))
    assert effects(before, after) == {"model_mix": -75_000, "fallback_premium": 30_000}


def test_where_the_first_price_is_not_known_a_fallback_is_a_mix_of_routes() -> None:
    """No premium is guessed: the request stays on the route that it ended on."""
    before = period(on("plain", 90))
    after = period(on("plain", 60), on("spare", 30, first="plain", first_rate_card="lost"))
    assert effects(before, after) == {"route_mix": 30 * 1500}


def test_a_stated_price_of_a_fallback_is_compared_with_the_first_card() -> None:
    """On a route that the caller prices, a request that fell back costs 5,000 where its first route had 3,000."""
    stated = spent(30, {"uncached_input": 1000, "text_output": 100}, {"uncached_input": "0", "text_output": "0"})
    lines = {(part, ""): line for (part, _), line in stated.lines.items()}
    after: Period = {
        **period(on("plain", 60)),
        cell_on("spare", "plain", rate_card=None): replace(stated, charge_minor=150_000, lines=lines),
    }
    assert effects(period(on("plain", 90)), after) == {"fallback_premium": 30 * 2000}


def test_larger_prompts_of_one_route_are_no_change_of_the_mix() -> None:
    """Where the cheap route's prompts doubled and the deep one's did not, that is all that is told."""
    before = period(on("deep", 100, 1000, 0), on("cheap", 100, 1000, 0))
    after = period(on("deep", 100, 1000, 0), on("cheap", 100, 2000, 0))
    assert effects(before, after) == {"prompt_size": 100 * 1000}


def test_routes_with_prompts_of_their_own_are_chosen_more_often() -> None:
    """A deep route whose prompts have always been longer is called more: prompts have not grown."""
    before = period(on("plain", 90, 1000, 0), on("deep", 10, 5000, 0))
    after = period(on("plain", 50, 1000, 0), on("deep", 50, 5000, 0))
    assert effects(before, after) == {"deep_models": 40 * (100_000 - 2000)}


def test_a_discount_lost_and_a_fallback_across_are_told_apart() -> None:
    """All left the cheap route for the plain one, and two thirds of them fell back to the other bucket."""
    before = period(on("cheap", 300, 1000, 0))
    after = period(on("plain", 100, 1000, 0), on("token", 200, 1000, 0, first="plain"))
    # 1,000 more for each of 300, of whom all stayed or a third; 200 left, at 1,000 or 2,000 each: the mean of both.
    assert effects(before, after) == {"moved": -300_000, "discounted_routes": 200_000}


def test_a_stray_fallback_leaves_a_models_depth_as_it_is() -> None:
    """Single requests that ended on a route of another depth don't make a deep model one that can't be told."""
    strays = (on("deep", 1, first="plain"), on("plain", 1, model="thinker", first="deep"))
    before = period(on("plain", 9000), on("deep", 1000, model="thinker"), *strays)
    after = period(on("plain", 5000), on("deep", 5000, model="thinker"), *strays)
    assert effects(before, after).keys() == {"deep_models"}


def test_requests_that_fail_more_often_are_answered_less() -> None:
    """Failed requests count among those that were sent, wherever they ended."""
    before, after = period(on("plain", 100)), period(on("plain", 75), on("token", 0, failed=25))
    assert effects(before, after) == {"answered": -25 * 3000}


def test_named_workflows_are_new_or_gone_and_nameless_requests_are_more_or_fewer() -> None:
    """A workflow without a request in one period is told whole; requests without a workflow are volume."""
    quiet = period(on("plain", 10))
    assert effects(quiet, {**quiet, **period(on("plain", 20, workflow="new"))}) == {"new_workflows": 60_000}
    assert effects({**quiet, **period(on("plain", 20, workflow="old"))}, quiet) == {"gone_workflows": -60_000}
    assert effects(quiet, {**quiet, **period(on("plain", 20, workflow=None))}) == {"requests": 60_000}
    assert effects({}, {**period(on("plain", 20, workflow=None))}) == {"requests": 60_000}
    assert effects({}, {}) == {}


def test_a_workflow_that_only_changed_its_bucket_is_not_new_there() -> None:
    """New is what has no requests in any bucket."""
    before, after = period(on("token", 10)), period(on("plain", 10))
    assert effects(before, after) == {"moved": 30_000}


def test_refunds_corrections_and_waived_amounts_are_told_line_by_line() -> None:
    """They may be those of requests that were settled in an earlier period, and add nothing to any other term."""
    before = period(on("plain", 100))
    cell, sums = on("plain", 100)
    late = Sums(refunded_minor=700, corrected_minor=-50)
    after: Period = {
        cell: replace(sums, charge_minor=sums.charge_minor - 2000, waived_minor=2000),
        cell_on("spare", workflow="ended"): late,
    }
    assert effects(before, after) == {"refunds": -700, "corrections": -50, "waived": -2000}


def test_a_new_route_brings_no_size_and_no_price() -> None:
    """All requests moved to another route of the bucket, with longer answers there: that is a mix of routes."""
    assert effects(period(on("plain", 10)), period(on("spare", 10, 1000, 300))) == {"route_mix": 10 * (7500 - 3000)}


def test_a_larger_part_from_the_cache_lowers_its_term() -> None:
    """Half of 1000 tokens at 2 now come from the cache at 0.5."""
    before = period(on("plain", 100, tokens={"uncached_input": 1000}))
    after = period(on("plain", 100, tokens={"uncached_input": 500, "cache_read": 500}))
    assert effects(before, after) == {"cache_share": -100 * 750}


def test_reasoning_searches_and_longer_answers_have_their_own_terms() -> None:
    """Reasoning is a share of the output, a search is counted, and an answer has a size."""
    rates = {"text_output": "10", "reasoning": "20", "web_searches": "1000"}

    def answers(**tokens: int) -> Period:
        return {cell_on("plain"): spent(100, tokens, rates)}

    plain = answers(text_output=400, reasoning=0, web_searches=1)
    assert effects(plain, answers(text_output=300, reasoning=100, web_searches=1)) == {"reasoning_share": 100_000}
    assert effects(plain, answers(text_output=500, reasoning=0, web_searches=1)) == {"output_size": 100_000}
    assert effects(plain, answers(text_output=400, reasoning=0, web_searches=3)) == {"counted": 200_000}


def test_tokens_without_a_price_come_to_nothing_until_they_have_one() -> None:
    """Tokens that no card priced count among the tokens; their first price is a change of rates."""
    cell = cell_on("plain")
    free, priced = ({("cache_read", rate): [1_000_000, minor]} for rate, minor in (("", 0), ("2", 2_000_000)))
    before: Period = {cell: Sums(requests=10, settled=10, unpriced=10, lines=free)}
    after: Period = {cell: Sums(requests=10, settled=10, charge_minor=2_000_000, lines=priced)}
    assert effects(before, after) == {"rates": 2_000_000}


def test_a_cost_that_the_provider_states_follows_the_prompts() -> None:
    """A bill of one and a half times the card's: prompts of twice the size are larger prompts, not dearer ones."""

    def bill(prompt: int, minor: int) -> Period:
        cell, sums = on("plain", 100, prompt, 0)
        return {cell: replace(sums, cost_minor=minor)}

    assert effects(bill(1000, 300_000_000), bill(2000, 600_000_000), DOLLARS) == {"prompt_size": 300_000_000}
    assert effects(bill(1000, 200_000_000), bill(1000, 300_000_000), DOLLARS) == {"stated_prices": 100_000_000}


def test_a_cost_within_its_rounding_is_the_cards() -> None:
    """A bill that differs from the card's by less than a smallest part for each request is no other price."""
    cell, sums = on("plain", 100, 1000, 0)
    assert effects({cell: sums}, {cell: replace(sums, cost_minor=sums.cost_minor + 60)}, DOLLARS) == {"rounding": 60}


def test_requests_whose_cost_is_not_known_have_moved_there() -> None:
    """Under cost a request counts elsewhere when nobody knows its bill; that is no fallback."""
    before = period(on("plain", 100))
    cell, sums = on("plain", 40, cost_unit=None)
    after: Period = {**period(on("plain", 60)), cell: replace(sums, cost_minor=0, without_cost=40)}
    assert effects(before, after, DOLLARS) == {"moved": -40 * 3_000_000}
    (part,) = parts_of(before, after, DOLLARS, "moved")
    assert dict(part.about).items() >= {"unit": "unknown", "how": "routing", "direction": "out"}.items()


def test_under_cost_a_bucket_may_be_asked_for_too() -> None:
    """A fallback to a route that bills in another unit, or for another bucket, has left the place."""
    before = period(on("plain", 100))
    after = period(on("plain", 60), on("token", 40, first="plain", cost_unit="USD", rate_card="plain.1"))
    within = Place("cost", "credit", "USD", 9)
    assert effects(before, after, within) == {"moved": -40 * 3_000_000}
    yuan = period(on("plain", 60), on("token", 40, first="plain"))
    assert effects(before, yuan, DOLLARS) == {"moved": -40 * 3_000_000}


def test_several_workspaces_are_told_apart() -> None:
    """A part names its workspace where there are several."""
    before = period(on("plain", 10), on("plain", 10, workspace_id="v"))
    after = period(on("plain", 20), on("plain", 10, workspace_id="v"))
    assert [part.about for part in parts_of(before, after, CREDIT, "requests")] == [
        (("workflow", "chat"), ("workspace", "w"))
    ]


def test_a_customer_is_charged_what_was_paid() -> None:
    """What no balance paid is waived, a correction leaves out what it undid of that, and there is no cost."""
    cell, sums = on("plain", 10)
    owed = replace(sums, overrun_minor=1000, corrected_minor=-500, undone_minor=300, waste_minor=5)
    shown = customer_period({cell: owed, replace(cell, cost_unit="CNY"): Sums(refunded_minor=1)})
    assert list(shown) == [replace(cell, cost_unit=None)]
    (seen,) = shown.values()
    assert (seen.charge_minor, seen.waived_minor, seen.corrected_minor, seen.refunded_minor) == (29_000, 1000, -200, 1)
    assert (seen.overrun_minor, seen.undone_minor, seen.cost_minor, seen.waste_minor) == (0, 0, 0, 0)
    assert effects(period((cell, sums)), shown) == {"waived": -1000, "corrections": -200, "refunds": -1}


def test_sums_beyond_64_bits_are_exact() -> None:
    """A thousand requests at the largest amount of a command: 10^20 smallest parts, and one more at the end."""
    cell = cell_on("plain")
    before: Period = {cell: spent(1000, {"uncached_input": 10**12}, {"uncached_input": "100000"})}
    after: Period = {cell: spent(3000, {"uncached_input": 10**12}, {"uncached_input": "100000"})}
    after[cell].corrected_minor = 1
    assert effects(before, after) == {"requests": 2 * 10**20, "corrections": 1}


def test_places_are_the_buckets_or_units_that_occur() -> None:
    """In either period, by name, narrowed to a bucket or unit where one is asked for; unknown names are left out."""
    before, after = period(on("token", 1)), period(on("plain", 1), on("plain", 1, cost_unit=None, bucket="lost"))
    assert places_of(before, after, "charge", None, None, CATALOG) == [CREDIT, TOKENS]
    assert places_of(before, after, "charge", "tokens", None, CATALOG) == [TOKENS]
    assert places_of(before, after, "charge", None, "CREDIT", CATALOG) == [CREDIT]
    assert places_of(before, after, "charge", "lost", None, CATALOG) == []
    assert places_of(before, after, "cost", None, None, CATALOG) == [Place("cost", None, "CNY", 6), DOLLARS]
    assert places_of(before, after, "cost", "credit", None, CATALOG) == [Place("cost", "credit", "USD", 9)]
    assert places_of(before, after, "cost", None, "CNY", CATALOG) == [Place("cost", None, "CNY", 6)]


def test_a_route_is_discounted_when_it_was_in_either_period() -> None:
    """A discount that ends is a change of rates; the share of the route stays that of a discounted one."""
    cell, sums = on("cheap", 100, 1000, 0)
    ended = {**period(on("plain", 50)), cell: spent(50, {"uncached_input": 1000}, {"uncached_input": "2"})}
    found = effects(period((cell, sums), on("plain", 0, failed=1)), ended)
    assert set(found) >= {"discounted_routes", "rates"}


def test_shares_of_nothing_take_the_other_periods_value() -> None:
    """A model without an answer in one period had fewer answers, and its routes and prompts stay as they were."""
    assert effects(period(on("plain", 100)), period(on("plain", 0, failed=100))) == {"answered": -100 * 3000}
