"""How much of a change makes the answer to a question a yes: the rules' thresholds, from both sides."""

import pytest

from tests.unit.change_scenes import FIVE, HUNDRED, answers, cell, explained, figures, part, sums, term, yes


@pytest.mark.parametrize(
    ("prompt_tokens", "effect_minor", "others_minor", "answer"),
    [
        (1010, 6_000_000, 14_000_000, "yes"),
        (1010, 5_999_999, 14_000_001, "no"),
        (1100, 1_200_000, 18_800_000, "yes"),
        (1100, 1_199_999, 18_800_001, "no"),
        (1099, 5_999_999, 14_000_001, "no"),
        (1010, 5_000_000, -20_000_000, "yes"),
        (1010, 4_999_999, -20_000_000, "no"),
        (1010, 60_000_000, -60_000_000, "yes"),
        (1010, -60_000_000, 0, "no"),
        (1000, 60_000_000, 0, "no"),
    ],
)
def test_a_yes_needs_five_percent_or_one_where_much_changed(
    prompt_tokens: int, effect_minor: int, others_minor: int, answer: str
) -> None:
    """Five percent of the larger amount, or one where the number rose by a tenth; what others cancel stays."""
    why = explained(HUNDRED, term("prompt_size", part(effect_minor)), term("rates", part(others_minor, route="direct")))
    found = answers({cell(): sums(100, 1000)}, {cell(): sums(100, prompt_tokens)}, why)
    assert found["larger_prompts"].answer == answer


@pytest.mark.parametrize(
    ("before", "after", "effect_minor", "answer"),
    [
        (100, 109, 4_000_000, "no"),
        (100, 110, 4_000_000, "yes"),
        (100, 101, 6_000_000, "yes"),
        (0, 1, 4_000_000, "yes"),
        (100, 110, 900_000, "no"),
    ],
)
def test_requests_need_the_same(before: int, after: int, effect_minor: int, answer: str) -> None:
    """A tenth more requests are a yes with one percent of the larger amount, fewer with five."""
    why = explained(HUNDRED, term("requests", part(effect_minor, workflow="desk")))
    found = answers({cell(): sums(before)}, {cell(): sums(after)}, why)
    assert found["more_requests"].answer == answer


@pytest.mark.parametrize(
    ("before", "after", "effect_minor", "answer"),
    [
        (50, 46, 4_000_000, "no"),
        (50, 45, 4_000_000, "yes"),
        (50, 49, -6_000_000, "yes"),
        (50, 0, 900_000, "no"),
        (50, 51, 6_000_000, "no"),
    ],
)
def test_discounts_need_the_same(before: int, after: int, effect_minor: int, answer: str) -> None:
    """A share that fell by a tenth of itself is a yes with one percent, one that fell less with five, up or down."""
    cheap = cell(route="backup")
    why = explained(HUNDRED, term("discounted_routes", part(effect_minor, route="direct")))
    found = answers(
        {cell(): sums(100 - before), cheap: sums(before, list_minor=2, listed_minor=1)},
        {cell(): sums(100 - after), cheap: sums(after)},
        why,
    )
    assert found["discounted_route_dropped"].answer == answer


@pytest.mark.parametrize(
    ("first", "second", "effects", "answer"),
    [
        ((50, 54), (50, 50), (4_000_000, 0), "no"),
        ((50, 55), (50, 50), (4_000_000, 0), "yes"),
        ((50, 51), (50, 51), (3_000_000, 3_000_000), "yes"),
        ((50, 51), (50, 51), (2_000_000, 2_000_000), "no"),
        ((50, 51), (50, 90), (4_000_000, 900_000), "no"),
        ((50, 51), (50, 40), (6_000_000, -6_000_000), "yes"),
        ((50, 90), (50, 90), (2_000_000, -2_000_000), "yes"),
    ],
)
def test_deep_models_need_the_same(
    first: tuple[int, int], second: tuple[int, int], effects: tuple[int, int], answer: str
) -> None:
    """What all workflows add in which the share rose is five percent, or one of those in which it rose by a tenth."""
    periods = [
        {
            cell("a"): sums(100 - first[at]), cell("a", "deep"): sums(first[at]),
            cell("b"): sums(100 - second[at]), cell("b", "deep"): sums(second[at]),
        }
        for at in (0, 1)
    ]  # fmt: skip
    parts = [part(effect, workflow=name, depth="deep") for name, effect in zip("ab", effects, strict=True)]
    found = answers(periods[0], periods[1], explained(HUNDRED, term("deep_models", *parts)))
    assert found["deep_model_more_often"].answer == answer


def test_a_premium_that_grew_with_the_requests_is_no_more_fallbacks() -> None:
    """Where the share of fallbacks stayed and there were more requests, the premium's growth is no yes."""
    fell = cell(route="backup", first_route="direct")
    why = explained(HUNDRED, term("fallback_premium", part(2 * FIVE, route="backup", first_route="direct")))
    for fallbacks, answer in ((438, "no"), (440, "yes")):
        found = answers(
            {cell(): sums(800), fell: sums(200)}, {cell(): sums(2000 - fallbacks), fell: sums(fallbacks)}, why
        )
        assert found["more_fallbacks"].answer == answer


@pytest.mark.parametrize(
    ("before", "after", "answer"),
    [(5, 15, "yes"), (5, 14, "no"), (100, 150, "yes"), (100, 149, "no"), (0, 10, "yes"), (0, 0, "no"), (30, 5, "no")],
)
def test_retries_are_answered_by_counts_under_charge(before: int, after: int, answer: str) -> None:
    """Ten more and half as many again for each request are a yes; nobody is charged for them, so there is no effect."""
    found = answers({cell(): sums(1000, retries=before)}, {cell(): sums(1000, retries=after)}, explained(HUNDRED))
    assert found["more_retries"].answer == answer
    assert found["more_retries"].effect is None
    assert "cost" not in found["more_retries"].rule


def test_what_costs_nothing_is_no_yes() -> None:
    """Where nothing is charged in either period, more requests explain nothing."""
    found = answers({cell(): sums(10)}, {cell(): sums(90)}, explained(0))
    assert yes(found) == []
    assert figures(found["more_requests"]) == ("10", "90", "0.000000")
