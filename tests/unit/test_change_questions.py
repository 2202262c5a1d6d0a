"""The six questions: each is answered yes for its own cause alone, by the rule that stands beside it."""

import pytest

from projections.change.cells import Period
from projections.change.questions import QUESTIONS
from tests.unit.change_scenes import (
    DOLLARS,
    FIVE,
    HUNDRED,
    RMB,
    UNCLASSIFIED,
    answers,
    cell,
    explained,
    figures,
    part,
    sums,
    term,
    yes,
)


def test_more_requests_are_seen_alone() -> None:
    """Where only the number of requests rose, that question is a yes and no other is."""
    before, after = {cell(): sums(1204)}, {cell(): sums(1811)}
    found = answers(before, after, explained(HUNDRED, term("requests", part(12 * FIVE, workflow="desk"))))
    assert yes(found) == ["more_requests"]
    assert figures(found["more_requests"]) == ("1,204", "1,811", "60.000000")


def test_requests_of_other_buckets_count_where_the_workflow_comes_here() -> None:
    """A workflow's requests are counted over all buckets; a workflow that never comes here is left out."""
    before = {cell(): sums(10), cell(route="sale"): sums(5), cell("far", "sale"): sums(1000)}
    found = answers(before, before, explained(HUNDRED))
    assert figures(found["more_requests"])[:2] == ("15", "15")


def test_a_new_workflow_is_more_requests() -> None:
    """What a new workflow adds counts as more requests, for its requests do."""
    after = {cell(): sums(100), cell("new"): sums(100)}
    why = explained(HUNDRED, term("new_workflows", part(HUNDRED, 0, 100, workflow="new")))
    assert yes(answers({cell(): sums(100)}, after, why)) == ["more_requests"]


def test_fewer_requests_that_add_are_no_yes() -> None:
    """Where fewer requests came and yet the term adds, the number decides: no."""
    why = explained(HUNDRED, term("requests", part(12 * FIVE, workflow="desk")))
    assert yes(answers({cell(): sums(100)}, {cell(): sums(99)}, why)) == []


def test_larger_prompts_are_seen_alone() -> None:
    """Where only prompts grew, that question is a yes and no other is."""
    before, after = {cell(): sums(100, 812)}, {cell(): sums(100, 1630)}
    found = answers(before, after, explained(HUNDRED, term("prompt_size", part(HUNDRED, model="smart"))))
    assert yes(found) == ["larger_prompts"]
    assert figures(found["larger_prompts"]) == ("812.0", "1,630.0", "100.000000")


def test_prompts_are_weighed_alike_in_both_periods() -> None:
    """A workflow with large prompts that sends more makes no prompt larger; one that grows is seen all the same."""
    before = {cell("large"): sums(10, 9000), cell("small"): sums(90, 100)}
    more = {cell("large"): sums(90, 9000), cell("small"): sums(10, 100)}
    first, second, _ = figures(answers(before, more, explained(HUNDRED))["larger_prompts"])
    assert first == second == "4,550.0"
    fewer = {cell("large"): sums(1, 9900), cell("small"): sums(90, 100)}
    grown = explained(HUNDRED, term("prompt_size", part(2 * FIVE, model="smart")))
    assert yes(answers(before, fewer, grown)) == ["larger_prompts"]


def test_prompts_that_arrive_by_fallback_are_weighed_apart() -> None:
    """Where more requests with large prompts came by fallback from elsewhere, no prompt got larger."""
    came = cell(route="backup", first_route="sale")
    before, after = {cell(): sums(99), came: sums(1, 3000)}, {cell(): sums(50), came: sums(50, 3000)}
    first, second, _ = figures(answers(before, after, explained(HUNDRED))["larger_prompts"])
    assert first == second


def test_prompts_that_shrank_and_yet_add_are_no_yes() -> None:
    """Where prompts shrank on the whole and the dear ones grew, the average decides: no."""
    why = explained(HUNDRED, term("prompt_size", part(2 * FIVE, model="smart")))
    assert yes(answers({cell(): sums(100, 1000)}, {cell(): sums(100, 999)}, why)) == []


def test_a_fallback_within_a_bucket_is_seen_alone() -> None:
    """Where more requests ended on a dearer route of the same bucket, that question is a yes and no other is."""
    fell = cell(route="backup", first_route="direct")
    why = explained(HUNDRED, term("fallback_premium", part(2 * FIVE, route="backup", first_route="direct")))
    found = answers({cell(): sums(98), fell: sums(2)}, {cell(): sums(60), fell: sums(40)}, why)
    assert yes(found) == ["more_fallbacks"]
    assert figures(found["more_fallbacks"]) == ("2.0 %", "40.0 %", "10.000000")


def test_a_fallback_across_buckets_is_seen_from_both() -> None:
    """Requests that fell back into another bucket are a yes in both, with what it added here and took away there."""
    before = {cell(route="sale"): sums(100), cell("other"): sums(10)}
    after = {
        cell(route="sale"): sums(40), cell(route="backup", first_route="sale"): sums(60), cell("other"): sums(10),
    }  # fmt: skip
    into = term("moved", part(2 * FIVE, 0, 60, bucket="rmb", how="fallback", direction="in"))
    out = term("moved", part(-FIVE, 0, 60, bucket="credit", how="fallback", direction="out"))
    in_credit = answers(before, after, explained(FIVE, into))
    in_rmb = answers(before, after, explained(2 * FIVE, out), RMB)
    assert yes(in_credit) == yes(in_rmb) == ["more_fallbacks"]
    assert figures(in_credit["more_fallbacks"])[2] == "10.000000"
    assert figures(in_rmb["more_fallbacks"]) == ("0.0 %", "60.0 %", "-5.000000")


def test_fallbacks_that_add_and_take_away_are_a_yes() -> None:
    """Where fallbacks cost more here and others left, the two do not cancel the answer."""
    before = {cell(): sums(100)}
    after = {
        cell(): sums(20), cell(route="backup", first_route="direct"): sums(40),
        cell(route="sale", first_route="direct"): sums(40),
    }  # fmt: skip
    why = explained(
        HUNDRED,
        term("fallback_premium", part(2 * FIVE, route="backup", first_route="direct")),
        term("moved", part(-2 * FIVE, 0, 40, bucket="rmb", how="fallback", direction="out")),
    )
    found = answers(before, after, why)
    assert yes(found) == ["more_fallbacks"]
    assert figures(found["more_fallbacks"]) == ("0.0 %", "80.0 %", "0.000000")


def test_retries_that_grew_with_the_requests_are_no_more_retries() -> None:
    """Twice the retries for twice the requests are a no, also where their waste doubled."""
    why = explained(HUNDRED, term("retry_waste", part(2 * FIVE, 100, 200, route="direct")))
    found = answers({cell(): sums(1000, retries=100)}, {cell(): sums(2000, retries=200)}, why, DOLLARS)
    assert found["more_retries"].answer == "no"


def test_few_retries_that_are_dear_are_a_yes_under_cost() -> None:
    """Under cost a few retries are a yes where what they wasted is worth it."""
    failed = cell(reported_model=None, rate_card=None)
    before = {cell(): sums(1000), failed: sums(retries=2)}
    after = {cell(): sums(1000), failed: sums(retries=6)}
    why = explained(HUNDRED, term("retry_waste", part(2 * FIVE, 2, 6, route="direct")))
    found = answers(before, after, why, DOLLARS)
    assert yes(found) == ["more_retries"]
    assert figures(found["more_retries"]) == ("2 (0.2 per 100 requests)", "6 (0.6 per 100 requests)", "10.000000")


def test_retries_whose_cost_is_unknown_count_by_their_route() -> None:
    """A failed attempt without a known cost is counted where its route is billed, and nowhere else."""
    failed = cell(reported_model=None, rate_card=None, cost_unit=None)
    elsewhere = cell(route="sale", reported_model=None, rate_card=None, cost_unit=None)
    after = {cell(): sums(100), failed: sums(retries=20), elsewhere: sums(retries=7)}
    found = answers({cell(): sums(100)}, after, explained(HUNDRED), DOLLARS)
    assert figures(found["more_retries"])[1] == "20 (20.0 per 100 requests)"
    assert yes(found) == ["more_retries"]


def test_a_discounted_route_that_is_dropped_within_a_bucket_is_seen_alone() -> None:
    """Where requests went to the full price of the same bucket, that question is a yes and no other is."""
    cheap = cell(route="backup")
    before = {cell(): sums(10), cheap: sums(90, list_minor=100, listed_minor=80)}
    after = {cell(): sums(90), cheap: sums(10, list_minor=10, listed_minor=8)}
    found = answers(before, after, explained(HUNDRED, term("discounted_routes", part(2 * FIVE, route="direct"))))
    assert yes(found) == ["discounted_route_dropped"]
    assert figures(found["discounted_route_dropped"]) == ("90.0 %", "10.0 %", "10.000000")


def test_a_discounted_route_that_is_dropped_for_another_bucket_is_seen_from_both() -> None:
    """Requests that were routed to the full price of another bucket are a yes in both, with each side's own effect."""
    before = {cell(route="sale"): sums(100, list_minor=100, listed_minor=80)}
    after = {cell(route="sale"): sums(10, list_minor=10, listed_minor=8), cell(): sums(90)}
    came = part(2 * FIVE, 100, 10, bucket="rmb", how="routing", discounted="yes", discounted_here="no")
    left = part(-FIVE, 0, 90, bucket="credit", how="routing", discounted="no", discounted_here="yes")
    in_credit = answers(before, after, explained(0, term("moved", came)))
    in_rmb = answers(before, after, explained(2 * FIVE, term("moved", left)), RMB)
    assert yes(in_credit) == yes(in_rmb) == ["discounted_route_dropped"]
    assert figures(in_credit["discounted_route_dropped"]) == ("100.0 %", "10.0 %", "10.000000")
    assert figures(in_rmb["discounted_route_dropped"]) == ("100.0 %", "10.0 %", "-5.000000")


def test_a_discounted_route_that_failed_is_a_fallback_and_not_dropped() -> None:
    """Requests count for the route that they were sent to first: an outage of a discounted route is a fallback."""
    before = {cell(route="sale"): sums(100, list_minor=100, listed_minor=80)}
    after = {
        cell(route="sale"): sums(10, list_minor=10, listed_minor=8),
        cell(route="backup", first_route="sale"): sums(90),
    }
    moved = term("moved", part(2 * FIVE, 0, 90, bucket="rmb", how="fallback", direction="in"))
    found = answers(before, after, explained(0, moved))
    assert yes(found) == ["more_fallbacks"]
    assert figures(found["discounted_route_dropped"])[:2] == ("100.0 %", "100.0 %")


def test_a_workflow_that_calls_the_deep_model_more_often_is_named() -> None:
    """The answer names the workflow that adds most, its own shares, and what all such workflows add."""
    before = {
        cell("agent"): sums(96), cell("agent", "deep"): sums(4), cell("bot"): sums(50), cell(None): sums(10),
        cell("calm"): sums(10), cell("calm", "deep"): sums(30),
    }  # fmt: skip
    after = {
        cell("agent"): sums(60), cell("agent", "deep"): sums(40), cell("bot"): sums(45), cell("bot", "deep"): sums(5),
        cell(None, "deep"): sums(10), cell("calm"): sums(20), cell("calm", "deep"): sums(20),
    }  # fmt: skip
    why = explained(
        HUNDRED,
        term(
            "deep_models",
            part(4 * FIVE, workflow="agent", depth="deep"),
            part(-FIVE, workflow="agent", depth="standard"),
            part(FIVE, workflow="bot", depth="deep"),
            part(-9 * FIVE, workflow="calm", depth="deep"),
            part(9 * FIVE, workflow="", depth="deep"),
        ),
    )
    found = answers(before, after, why)
    assert yes(found) == ["deep_model_more_often"]
    assert figures(found["deep_model_more_often"]) == ("4.0 %", "40.0 %", "20.000000")
    assert "workflow agent that" in found["deep_model_more_often"].measure
    assert "it rose in 1 more" in found["deep_model_more_often"].measure


def test_requests_without_a_workflow_are_no_agent() -> None:
    """What people without a workflow ask of the deep model is no answer to this question."""
    before, after = {cell(None): sums(10), cell(): sums(5)}, {cell(None, "deep"): sums(10), cell(): sums(5)}
    found = answers(before, after, explained(HUNDRED, term("deep_models", part(HUNDRED, workflow="", depth="deep"))))
    assert found["deep_model_more_often"].answer == "no"
    assert figures(found["deep_model_more_often"]) == ("0.0 %", "0.0 %", "0.000000")


def test_depths_that_no_route_states_are_not_guessed() -> None:
    """Where no route of a workflow states its depth, the answer is that it is unknown, with no figure."""
    before, after = {cell("agent"): sums(90)}, {cell("agent", "deep"): sums(90)}
    others = {cell(None, "deep"): sums(5), cell("agent", "backup"): sums(10)}
    for found in (
        answers(before, after, explained(HUNDRED), prices=UNCLASSIFIED)["deep_model_more_often"],
        answers(others, others, explained(HUNDRED))["deep_model_more_often"],
    ):
        assert (found.answer, *figures(found)) == ("unknown", "not classified", "not classified", None)
        assert "no route that they use states its depth" in found.measure


def test_the_same_workflow_of_two_workspaces_is_told_apart() -> None:
    """Where an explanation is about several workspaces, a workflow's shares are those in the one that is named."""
    globex = {"workspace_id": "globex"}
    before = {cell("agent"): sums(50), cell("agent", "deep"): sums(50), cell("agent", **globex): sums(10)}
    after = {cell("agent"): sums(50), cell("agent", "deep"): sums(50), cell("agent", "deep", **globex): sums(10)}
    why = explained(HUNDRED, term("deep_models", part(4 * FIVE, workflow="agent", depth="deep", workspace="globex")))
    found = answers(before, after, why)["deep_model_more_often"]
    assert (found.answer, *figures(found)) == ("yes", "0.0 %", "100.0 %", "20.000000")
    assert "workflow agent of workspace globex" in found.measure


@pytest.mark.parametrize(("before", "after"), [({}, {}), ({}, {cell(): sums(3)}), ({cell(): sums(3)}, {})])
def test_an_empty_period_is_answered(before: Period, after: Period) -> None:
    """Where a period has no requests, averages and shares say so instead of a number, and only requests can rise."""
    why = explained(HUNDRED, term("requests", part(HUNDRED if after else -HUNDRED, workflow="desk")))
    found = answers(before, after, why)
    assert yes(found) == (["more_requests"] if after else [])
    assert found["larger_prompts"].before == ("1,000.0" if before else "no requests")


def test_every_rule_is_said_in_words() -> None:
    """Each answer states the question, what is counted and when it is a yes."""
    found = answers({cell(): sums(3)}, {cell(): sums(3)}, explained(HUNDRED), DOLLARS)
    for name, answer in found.items():
        assert answer.text == QUESTIONS[name]
        assert answer.rule.startswith("yes when ")
        assert answer.measure
