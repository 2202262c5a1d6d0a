"""What an explanation attributes a difference to: one cause alone, and two at once with the split computed by hand."""

from fractions import Fraction

import pytest

from projections.change.cells import Part, Period
from projections.change.explaining import explain
from projections.route_ledger.spending import Sums
from tests.unit.change_periods import CREDIT, DOLLARS, PRICES, TOKENS, cell_on, effects, on, parts_of, period, spent

# Two causes at once. A request with a prompt of 1000 tokens at 2 CREDIT per million costs 2,000 micro-credits.


def test_twice_the_requests_at_one_and_a_half_times_the_price() -> None:
    """Volume and price share what they make together."""
    # 100 requests of 2,000 are 200,000; 200 of 3,000 are 600,000. More requests alone add 100 · 2,000 = 200,000, higher
    # prices alone 100 · 1,000 = 100,000; both together add 100,000 more, of which each has half.
    before = period(on("plain", 100, 1000, 0))
    sums = spent(200, {"uncached_input": 1000}, {"uncached_input": "3"})
    assert effects(before, {cell_on("plain"): sums}) == {"requests": 250_000, "rates": 150_000}


def test_more_requests_with_larger_prompts() -> None:
    """100 → 300 requests, prompts 1000 → 2000 tokens at 2: (300 − 100) · (2,000 + 4,000) ÷ 2 and 2,000 · 200."""
    before, after = period(on("plain", 100, 1000, 0)), period(on("plain", 300, 2000, 0))
    assert effects(before, after) == {"requests": 600_000, "prompt_size": 400_000}


def test_three_causes_at_once() -> None:
    """Requests ×2, prompts ×3, prices ×1.5 on 100 · 1000 tokens at 2, which is 200,000 and becomes 1,800,000."""
    # In units of 200,000 the product is 1·1·1 → 2·3·1.5. Requests: 1 · ∫(1+2t)(1+t/2) = 1 + 5/4 + 1/3 = 31/12;
    # prompts: 2 · ∫(1+t)(1+t/2) = 2 · (1 + 3/4 + 1/6) = 23/6; prices: 1/2 · ∫(1+t)(1+2t) = 1/2 · (1 + 3/2 + 2/3) =
    # 19/12. Together 8.
    before = period(on("plain", 100, 1000, 0))
    sums = spent(200, {"uncached_input": 3000}, {"uncached_input": "3"})
    wanted = {"requests": Fraction(31, 12), "prompt_size": Fraction(23, 6), "rates": Fraction(19, 12)}
    assert sum(wanted.values()) == 8
    found = effects(before, {cell_on("plain"): sums})
    assert {name: found[name] for name in wanted} == {name: round(each * 200_000) for name, each in wanted.items()}
    assert abs(found.get("rounding", 0)) <= 2


def test_another_mix_at_higher_prices() -> None:
    """Of 100 requests 50 went to each model, then 30 and 70, while the second model's price rose from 1 to 3."""
    # The first model's share falls by 20 at 5,000: −100,000. The second's rises by 20 at (1,000 + 3,000) ÷ 2: +40,000,
    # and its price rises by 2,000 at (50 + 70) ÷ 2 requests: +120,000.
    first, second = cell_on("plain"), cell_on("cheap", model="small")
    before: Period = {
        first: spent(50, {"uncached_input": 1000}, {"uncached_input": "5"}),
        second: spent(50, {"uncached_input": 1000}, {"uncached_input": "1"}),
    }
    after: Period = {
        first: spent(30, {"uncached_input": 1000}, {"uncached_input": "5"}),
        second: spent(70, {"uncached_input": 1000}, {"uncached_input": "3"}),
    }
    assert effects(before, after) == {"model_mix": -60_000, "rates": 120_000}
    assert [(part.about, part.effect_minor) for part in parts_of(before, after, CREDIT, "model_mix")] == [
        ((("model", "smart"),), -100_000),
        ((("model", "small"),), 40_000),
    ]


def test_moved_to_another_bucket_at_a_higher_price() -> None:
    """Of 100 requests 40 are routed to the token bucket, and here the price rises from 2 to 3."""
    # The share here falls by 40 at (2,000 + 3,000) ÷ 2: −100,000. The price rises by 1,000 at (100 + 60) ÷ 2: +80,000.
    before = period(on("plain", 100, 1000, 0))
    after: Period = {
        cell_on("plain"): spent(60, {"uncached_input": 1000}, {"uncached_input": "3"}),
        **period(on("token", 40, 1000, 0)),
    }
    assert effects(before, after) == {"moved": -100_000, "rates": 80_000}
    about = (("bucket", "tokens"), ("how", "routing"), ("direction", "out"), ("discounted", "no"))
    part = Part((*about, ("discounted_here", "no")), -100_000, 0, 40, 0, 40_000)
    assert parts_of(before, after, CREDIT, "moved") == [part]


def test_a_fallback_elsewhere_beside_more_requests() -> None:
    """100 → 200 requests at 2,000; afterwards 1 in 4 leaves for the token bucket by a fallback."""
    # What stays falls from 1 to 3/4: −1/4 · 150 · 2,000 = −75,000. Requests: 100 · (1 + 3/4) ÷ 2 · 2,000 = 175,000. In
    # the other bucket 50 requests arrive, where none were: the share of 1/4 at 150 requests, and 100 more at 1/8.
    before = period(on("plain", 100, 1000, 0))
    after = period(on("plain", 150, 1000, 0), on("token", 50, 1000, 0, first="plain"))
    assert effects(before, after) == {"moved": -75_000, "requests": 175_000}
    assert effects(before, after, TOKENS) == {"moved": 37_500, "requests": 12_500}


def test_a_stated_price_is_one_for_whole_requests() -> None:
    """Where the caller states prices, 100 → 200 requests at 5 and then 7 each: 100 · 6 and 2 · 150."""
    cell = cell_on("plain", rate_card=None, first_rate_card=None)
    lines = {("uncached_input", ""): [1000, 0]}
    before: Period = {cell: Sums(requests=100, settled=100, charge_minor=500, input_tokens=1000, lines=lines)}
    after: Period = {cell: Sums(requests=200, settled=200, charge_minor=1400, input_tokens=1000, lines=lines)}
    assert effects(before, after) == {"requests": 600, "stated_prices": 300}


# One cause alone.


def test_more_requests_are_volume() -> None:
    """Users sent more requests, in the same mix."""
    before = period(on("plain", 90), on("deep", 10, model="best"))
    after = period(on("plain", 180), on("deep", 20, model="best"))
    assert effects(before, after) == {"requests": 90 * 3000 + 10 * 30_000}


def test_larger_prompts_are_prompt_size() -> None:
    """Prompts got larger, on all routes of two models, one part cached."""
    tokens = {"uncached_input": 600, "cache_read": 400, "text_output": 100}
    larger = {"uncached_input": 1200, "cache_read": 800, "text_output": 100}
    before = period(on("plain", 60, tokens=tokens), on("cheap", 40, tokens=tokens), on("deep", 5, model="best"))
    after = period(on("plain", 60, tokens=larger), on("cheap", 40, tokens=larger), on("deep", 5, 3000, model="best"))
    found = effects(before, after)
    assert set(found) == {"prompt_size"}


def test_a_fallback_to_a_dearer_route_of_the_bucket_is_its_premium() -> None:
    """A route of the same bucket took over a third of the requests, at a higher price."""
    before = period(on("plain", 90))
    after = period(on("plain", 60), on("spare", 30, first="plain"))
    assert effects(before, after) == {"fallback_premium": 30 * (4500 - 3000)}
    names = [term.name for term in explain(before, after, CREDIT, PRICES).terms]
    assert names == ["fallback_premium", "rounding"], "no factor sees the fallback again"
    part = Part((("route", "spare"), ("first_route", "plain")), 45_000, 0, 30, 0, 33_000)
    assert parts_of(before, after, CREDIT, "fallback_premium") == [part]


def test_a_fallback_to_another_bucket_is_told_in_both() -> None:
    """Requests fell back from one bucket to another: they moved out of the one by a fallback, and into the other."""
    before = period(on("plain", 90))
    after = period(on("plain", 60), on("token", 30, first="plain"))
    assert effects(before, after) == {"moved": -30 * 3000}
    assert parts_of(before, after, CREDIT, "moved") == [
        Part((("bucket", "tokens"), ("how", "fallback"), ("direction", "out")), -90_000, 0, 30, 0, 33_000)
    ]
    assert effects(before, after, TOKENS) == {"moved": 30 * 1100}
    assert parts_of(before, after, TOKENS, "moved") == [
        Part((("bucket", "credit"), ("how", "fallback"), ("direction", "in")), 33_000, 0, 30, 0, 33_000)
    ]


def test_failed_attempts_that_were_billed_are_waste() -> None:
    """Retries after a provider's failures: under cost their bill is a term, under charge there is no difference."""
    failing = cell_on("plain", reported_model=None, rate_card=None)
    before, more = period(on("plain", 90)), Sums(retries=20, failed_attempts=25, waste_minor=70_000_000)
    after = {**before, failing: more}
    assert effects(before, after, DOLLARS) == {"retry_waste": 70_000_000}
    assert parts_of(before, after, DOLLARS, "retry_waste") == [Part((("route", "plain"),), 70_000_000, 0, 25)]
    assert effects(before, after) == {}


def test_a_discounted_route_that_stops_is_named() -> None:
    """What the discounted route answered is answered by the route beside it, in the same bucket."""
    before, after = period(on("plain", 60), on("cheap", 40)), period(on("plain", 100))
    assert effects(before, after) == {"discounted_routes": 40 * 1500}


def test_a_discounted_route_that_stops_for_another_bucket_is_named_in_both() -> None:
    """The requests of a discounted route are routed to another bucket; what the route beside it had, it keeps."""
    before, after = period(on("plain", 60), on("cheap", 40)), period(on("plain", 60), on("token", 40))
    assert effects(before, after) == {"moved": -40 * 1500}
    out = (("bucket", "tokens"), ("how", "routing"), ("direction", "out"), ("discounted", "no"))
    assert parts_of(before, after, CREDIT, "moved") == [
        Part((*out, ("discounted_here", "yes")), -60_000, 0, 40, 0, 44_000)
    ]
    assert effects(before, after, TOKENS) == {"moved": 40 * 1100}
    arrived = {dict(part.about)["discounted"]: part.effect_minor for part in parts_of(before, after, TOKENS, "moved")}
    assert arrived == {"yes": 44_000}


@pytest.mark.parametrize("model", ["smart", "best"])
def test_a_workflow_that_calls_the_deep_model_more_is_named(model: str) -> None:
    """The deep model is called in place of one of two others: by its own name, or chosen behind the same name."""

    def calls(deep: int) -> Period:
        return period(
            on("plain", 60, workflow="agent"),
            on("spare", 40 - deep, model="other", workflow="agent"),
            on("deep", deep, model=model if model == "best" else "other", workflow="agent"),
            on("plain", 500),
        )

    found = effects(calls(5), calls(20))
    assert found == {"deep_models": 15 * (30_000 - 4500)}
    abouts = {part.about for part in parts_of(calls(5), calls(20), CREDIT, "deep_models")}
    assert (("workflow", "agent"), ("depth", "deep")) in abouts
