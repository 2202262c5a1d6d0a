"""Causes planted in histories are found again by the explanation over HTTP: with their amounts, and no others."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import msgspec
import pytest

from ledger.core.amounts import parse_minor
from ledger.service import Ledger
from projections.rebuild import rebuild
from tests.integration.api_scene import Api
from tests.integration.histories import FIRST_WEEK, SCALES, SECOND_WEEK, WEEK, Ask, Booked, History, open_books, post
from tests.integration.planted import PLANTED, QUESTIONS, Planted, moved
from tests.integration.requests_scene import follow_requests, open_reads
from tests.integration.scenes import ACME

LEAST_SHARE = Fraction(95, 100)
Told = dict[str, Any]


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    """The reads of a ledger whose workspace has not asked anything yet."""
    open_books(ledger)
    with open_reads(ledger) as opened:
        yield opened


def explained(api: Api, measure: str) -> Told:
    """Return why the second week differs from the first."""
    weeks = f"from={SECOND_WEEK.date()}&to={(SECOND_WEEK + WEEK).date()}&against={FIRST_WEEK.date()}"
    answer = api.get(f"/spend/change?workspace_id={ACME}&measure={measure}&{weeks}")
    assert answer.status_code == 200, answer.text
    told: Told = answer.json()
    assert told["complete"]
    return told


def place_of(change: Told, name: str) -> Told:
    """Return what is said of one bucket, or of one unit of the providers' bills."""
    (found,) = [each for each in change["places"] if name in (each["bucket"], each["unit"])]
    return dict(found)


def minor_of(amount: Told) -> int:
    """Return an amount in smallest parts."""
    return parse_minor(amount["value"], SCALES[amount["unit"]])


def effects_of(place: Told) -> dict[str, int]:
    """Return what each term adds to the difference, in smallest parts."""
    return {term["term"]: minor_of(term["effect"]) for term in place["terms"]}


def require_exact(place: Told, before_minor: int, after_minor: int) -> None:
    """Compare a place's amounts with the book's: they are the same, and all terms and parts add up to them."""
    assert (minor_of(place["before"]), minor_of(place["after"])) == (before_minor, after_minor)
    assert minor_of(place["difference"]) == after_minor - before_minor == sum(effects_of(place).values())
    for term in place["terms"]:
        if term["parts"]:
            assert sum(minor_of(part["effect"]) for part in term["parts"]) == minor_of(term["effect"]), term
    assert {amount["unit"] for amount in amounts_in(place)} == {place["unit"]}


def amounts_in(told: Any) -> Iterator[Told]:
    """Yield every amount of an answer."""
    if isinstance(told, dict):
        if told.keys() == {"value", "unit"}:
            yield told
        else:
            for each in told.values():
                yield from amounts_in(each)
    elif isinstance(told, list):
        for each in told:
            yield from amounts_in(each)


def require_books(measure: str, change: Told, before: Booked, after: Booked) -> None:
    """Compare each place of an answer with what the wallets have paid, and the providers billed."""
    first, second = (before.charged, after.charged) if measure == "charge" else (before.billed, after.billed)
    names = [place["bucket"] if measure == "charge" else place["unit"] for place in change["places"]]
    assert names == sorted(first.keys() | second.keys())
    for place, name in zip(change["places"], names, strict=True):
        require_exact(place, first[name], second[name])


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_planted_cause_is_the_one_that_is_named(api: Api, planted: Planted) -> None:
    """Its term carries at least 95 % of the difference, its question alone says yes, before and after a rebuild."""
    before, after = post(api.ledger, planted.history)
    follow_requests(api.ledger)
    said = {}
    for measure in sorted({found.measure for found in planted.found}):
        said[measure] = change = explained(api, measure)
        require_books(measure, change, before, after)
    for found in planted.found:
        place = place_of(said[found.measure], found.place)
        difference = minor_of(place["difference"])
        share = Fraction(effects_of(place)[found.term], difference)
        assert LEAST_SHARE <= share <= 2 - LEAST_SHARE, (found, share)
        assert place["reasons"][0]["term"] == found.term
        answers = {each["question"]: each["answer"] for each in place["answers"]}
        assert answers == {question: "yes" if question == planted.question else "no" for question in QUESTIONS}, found
    rebuild(api.ledger.url, "route_ledger")
    assert {measure: explained(api, measure) for measure in said} == said


def test_what_left_a_bucket_is_counted_on_the_other_side(api: Api) -> None:
    """Requests that another bucket took over are told in requests and tokens, and those of other workflows are not."""
    (planted,) = [each for each in PLANTED if each.name == "a discount lost across buckets"]
    post(api.ledger, planted.history)
    follow_requests(api.ledger)
    change = explained(api, "charge")
    for name, direction, before, after in (("rmb", "out", 0, 33), ("credit", "in", 33, 0)):
        (term,) = [each for each in place_of(change, name)["terms"] if each["term"] == "moved"]
        (part,) = term["parts"]
        about = {each["dimension"]: each["value"] for each in part["about"]}
        assert (about["how"], about["direction"]) == ("routing", direction)
        assert (part["requests_before"], part["requests_after"]) == (before, after)


def test_more_requests_and_larger_prompts_are_split_by_hand(api: Api) -> None:
    """10 requests of 1,000 tokens become 20 of 1,600: what both did together is shared by halves."""
    usual = Ask(workflow="desk", input_tokens=1000, output_tokens=100)
    grown = Ask(workflow="desk", input_tokens=1600, output_tokens=100)
    before, after = post(api.ledger, History([usual] * 10, [grown] * 20))
    follow_requests(api.ledger)
    place = place_of(explained(api, "charge"), "credit")
    require_exact(place, before.charged["credit"], after.charged["credit"])
    # A token of input costs 10 smallest parts and one of output 50.
    requests = (20 - 10) * (1000 + 1600) // 2 * 10 + (20 - 10) * 100 * 50
    prompts = (1600 - 1000) * (10 + 20) // 2 * 10
    assert (requests, prompts, requests + prompts) == (180_000, 90_000, 420_000 - 150_000)
    assert effects_of(place) == {"requests": requests, "prompt_size": prompts, "rounding": 0}
    assert yes_in(place) == ["more_requests", "larger_prompts"]


def test_more_requests_and_an_outage_are_split_by_hand(api: Api) -> None:
    """20 requests become 30, of which 12 are answered in the other bucket: both buckets tell both causes."""
    usual = Ask(workflow="tags", model="economy", route="sale", input_tokens=10_000, output_tokens=1000)
    before, after = post(api.ledger, History([usual] * 20, [usual] * 18 + [moved(usual)] * 12))
    follow_requests(api.ledger)
    change = explained(api, "charge")
    require_books("charge", change, before, after)
    in_rmb = (10_000 * 16 + 1000 * 48) // 10
    in_credit = 10_000 * 12 + 1000 * 60
    # The share that stays in rmb falls from 1 to 0.6; the share that credit gets rises from 0 to 0.4.
    assert effects_of(place_of(change, "rmb")) == {
        "requests": (30 - 20) * 8 * in_rmb // 10,
        "moved": -4 * 25 * in_rmb // 10,
        "rounding": 0,
    }
    assert effects_of(place_of(change, "credit")) == {
        "requests": (30 - 20) * 2 * in_credit // 10,
        "moved": 4 * 25 * in_credit // 10,
        "rounding": 0,
    }
    assert (18 - 20) * in_rmb == minor_of(place_of(change, "rmb")["difference"])
    for name in ("rmb", "credit"):
        assert yes_in(place_of(change, name)) == ["more_requests", "more_fallbacks"]


def test_the_deep_model_and_larger_prompts_are_split_by_hand(api: Api) -> None:
    """Of 10 steps 4 instead of 2 are deep, and prompts to both models have 1,500 tokens instead of 1,000."""
    usual = Ask(workflow="agent", input_tokens=1000, output_tokens=100)
    deep = Ask(workflow="agent", model="deep", route="deep-direct", input_tokens=1000, output_tokens=200)
    longer, longer_deep = (msgspec.structs.replace(each, input_tokens=1500) for each in (usual, deep))
    before, after = post(api.ledger, History([usual] * 8 + [deep] * 2, [longer] * 6 + [longer_deep] * 4))
    follow_requests(api.ledger)
    place = place_of(explained(api, "charge"), "credit")
    require_exact(place, before.charged["credit"], after.charged["credit"])
    # Input costs 10 and 100 smallest parts a token, output 50 and 800.
    deeper = (4 - 2) * (1250 * 100 + 200 * 800) + (6 - 8) * (1250 * 10 + 100 * 50)
    prompts = (1500 - 1000) * (3 * 100 + 7 * 10)
    assert effects_of(place) == {"deep_models": deeper, "prompt_size": prompts, "rounding": 0}
    assert yes_in(place) == ["larger_prompts", "deep_model_more_often"]


def yes_in(place: Told) -> list[str]:
    """Return the questions that are answered with yes."""
    return [each["question"] for each in place["answers"] if each["answer"] == "yes"]
