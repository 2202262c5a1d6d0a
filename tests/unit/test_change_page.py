"""Explanations made by hand, in words: sentences, the requests behind them, what is answered, and the page."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from projections.change.answers import Change, ChangeOfPlace
from projections.change.behind import behind
from projections.change.cells import Explained, Part, Period, Term
from projections.change.page import MOVES_MAX, change_page
from projections.change.places import Place
from projections.change.sentences import lead_of, sentence_of
from projections.change.tallies import TERMS
from projections.change.telling import GROUPS_MAX, group_of, tell
from projections.change.words import METHOD, TITLES, percent, share_text, span_text, summary_of
from projections.layout import COLUMNS, width_of
from tests.unit.change_scenes import (
    CREDIT,
    DOLLARS,
    EARLIER,
    LATER,
    PRICES,
    RMB,
    cell,
    compared,
    explained,
    part,
    sums,
    term,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "change_page.txt"

FELL = cell("desk", "backup", first_route="sale")
BEFORE: Period = {
    cell("support-agent"): sums(1204, 2000),
    cell("support-agent", "deep"): sums(10, 2000),
    cell("desk", "sale"): sums(100, 812, list_minor=5, listed_minor=4),
    cell(None): sums(7, 500, retries=3),
}
AFTER: Period = {
    cell("support-agent"): sums(1811, 1980),
    cell("support-agent", "deep"): sums(15, 1980),
    cell("desk", "sale"): sums(20, 812, list_minor=5, listed_minor=4),
    FELL: sums(80, 812),
    cell("digest"): sums(40),
    cell(None): sums(7, 500, retries=21),
}
WHY = explained(
    100_000_000,
    term("requests", part(12_400_000, 1214, 1826, workflow="support-agent"), part(-1_000_000, 7, 7, workflow="")),
    term("moved", part(6_500_000, 0, 80, 0, 64_960, bucket="rmb", how="fallback", direction="in")),
    term("prompt_size", part(-400_000, 1221, 1873, 2_431_500, 3_658_980, model="smart")),
    term("new_workflows", part(400_000, 0, 40, 0, 40_000, workflow="digest")),
    Term("rates", 0),
)
LEFT = explained(
    3_000_000, term("moved", part(-2_400_000, 0, 80, 0, 64_960, bucket="credit", how="fallback", direction="out"))
)


def told(place: Place, why: Explained, before: Period = BEFORE, after: Period = AFTER) -> ChangeOfPlace:
    """Return an explanation in words, as it is asked for in one workspace."""
    return tell(place, compared(before, after, workspace_id="acme"), why, PRICES)


def change(*places: ChangeOfPlace) -> Change:
    """Return an answer about charges in places."""
    return Change(
        measure="charge", workspace_id="acme", zone="Europe/Berlin", before=EARLIER, after=LATER, by=None,
        complete=True, places=list(places), method=METHOD,
    )  # fmt: skip


def one(name: str, effect_minor: int, *counts: int, **about: str) -> Term:
    """Return a term of a single part."""
    return term(name, part(effect_minor, *counts, **about))


def query_of(found: Term, place: Place = CREDIT, before: Period = BEFORE, after: Period = AFTER) -> dict[str, str]:
    """Return the parameters of the requests behind a term, without the period, and how many there are."""
    requests = behind(lead_of(found), place, compared(before, after), PRICES)
    query = {name: value for name, value in requests.query.items() if name not in ("from", "to")}
    return query | {"requests": str(requests.requests)}


def test_the_page_is_as_it_is_written() -> None:
    """The page of two wallets is the golden one: words first, then answers, a table that adds up, then how."""
    groups = [
        group_of("support-agent", 0, explained(90_000_000, one("requests", 12_000_000)), CREDIT),
        group_of(None, 0, explained(10_000_000, one("requests", -1_000_000)), CREDIT),
        group_of(None, 12, Explained(0, 6_900_000, ()), CREDIT),
    ]
    credit = replace(told(CREDIT, rounded(WHY)), groups=groups)
    page = change_page(replace(change(credit, told(RMB, LEFT)), by="workflow"))
    assert page + "\n" == GOLDEN.read_text(encoding="utf-8")


def rounded(why: Explained) -> Explained:
    """Return an explanation that rounding took a smallest part from."""
    return replace(why, after_minor=why.after_minor - 1, terms=(*why.terms[:-1], Term("rounding", -1)))


def test_a_page_of_nothing_and_one_that_is_not_complete_say_so() -> None:
    """Without any place the page says that nothing was charged; while books are behind, that comes first."""
    assert change_page(change()).startswith("  Nothing was charged in either period.\n")
    page = change_page(replace(change(), complete=False, measure="cost", workspace_id=None))
    assert page.startswith("  NOT COMPLETE: the route ledger has not followed all books to their ends yet.\n")
    assert "Nothing was billed" in page
    assert "  2026-11-15 to 2026-11-21 against 2026-11-08 to 2026-11-14, by the clocks of Europe/Berlin.\n" in page


def test_a_page_stays_in_its_columns() -> None:
    """Names that are far too long or turn the line around break no line and reach no terminal."""
    name = "\x1b[2J" + "漢" * 120
    found = told(CREDIT, explained(1, one("requests", 10**15, 10**9, 2 * 10**9, workflow=name)))
    group = group_of(name, 0, explained(10**15, one("rates", 1)), CREDIT)
    page = change_page(replace(change(replace(found, groups=[group])), by="workflow", workspace_id=name))
    assert max(width_of(line) for line in page.splitlines()) <= COLUMNS
    assert "\x1b" not in page


def test_many_moves_are_shortened() -> None:
    """The page shows the largest moves and how many smaller ones there are."""
    parts = [part(1000 - at, 1, 2, 3, 4, bucket=f"b{at}", how="routing", direction="in") for at in range(MOVES_MAX + 2)]
    page = change_page(change(told(CREDIT, explained(0, term("moved", *parts)))))
    assert page.count(" wallet by routing, +") == MOVES_MAX
    assert "and 2 smaller ones" in page


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (one("requests", 12_400_000, 1204, 1811, workflow="support-agent"),
         "Requests of workflow support-agent rose from 1,204 to 1,811: +12.400000 CREDIT."),
        (one("requests", -1, 9, 4, workflow=""), "Requests without a workflow fell from 9 to 4: -0.000001 CREDIT."),
        (one("prompt_size", 2_000_000, 10, 10, 8120, 16305, model="smart"),
         "Prompts to model smart grew from 812.0 to 1,630.5 tokens a request: +2.000000 CREDIT."),
        (one("prompt_size", 2_000_000, 10, 0, 8120, 0, model="smart"),
         "Prompts to model smart grew: +2.000000 CREDIT."),
        (one("prompt_size", 2_000_000, 10, 10, 8120, 8000, model="smart"),
         "Prompts to model smart grew: +2.000000 CREDIT."),
        (one("output_size", -2_000_000, 10, 20, 1000, 1000, route="direct"),
         "Answers on route direct shrank from 100.0 to 50.0 tokens a request: -2.000000 CREDIT."),
        (one("deep_models", 5, 3, 12, workflow="agent", depth="deep"),
         "A larger share of the requests of workflow agent went to deep models (3 before, 12 after):"
         " +0.000005 CREDIT."),
        (one("discounted_routes", 5, 3, 12, route="plain", workspace="acme"),
         "As discounted routes were used otherwise, a larger share of the requests went to route plain of workspace"
         " acme (3 before, 12 after): +0.000005 CREDIT."),
        (one("fallback_premium", 5, 3, 12, route="backup", first_route="direct"),
         "Fallbacks from route direct to route backup made requests dearer (3 before, 12 after): +0.000005 CREDIT."),
        (one("retry_waste", -5, 12, 3, route="direct"),
         "Failed attempts on route direct cost less (12 before, 3 after): -0.000005 CREDIT."),
        (one("refunds", -5, route="direct"), "More was refunded on route direct: -0.000005 CREDIT."),
        (one("gone_workflows", -5, 40, 0, workflow="digest", workspace="acme"),
         "Workflow digest of workspace acme is gone, after 40 requests: -0.000005 CREDIT."),
        (one("new_workflows", 5, 0, 1, workflow="digest"),
         "Workflow digest is new, with 1 request: +0.000005 CREDIT."),
        (one("moved", 5, 33, 0, bucket="rmb", how="routing", direction="in", discounted="yes"),
         "Requests moved in from the rmb wallet by routing, which answered 33 before and 0 after: +0.000005 CREDIT."),
        (one("moved", -5, 0, 33, unit="CNY", how="routing", direction="out"),
         "Requests moved out to routes that are billed in another unit by routing, which answered 0 before and 33"
         " after: -0.000005 CREDIT."),
        (one("moved", 5, 0, 80, bucket="rmb", how="fallback", direction="in"),
         "More requests fell back from the rmb wallet (0 before, 80 after): +0.000005 CREDIT."),
        (one("moved", -5, 80, 0, bucket="rmb", how="fallback", direction="in"),
         "Fewer requests fell back from the rmb wallet (80 before, 0 after): -0.000005 CREDIT."),
        (one("moved", -5, 0, 80, bucket="rmb", unit="unknown", how="fallback", direction="out"),
         "More requests fell back to the rmb wallet, routes whose cost is unknown (0 before, 80 after):"
         " -0.000005 CREDIT."),
        (one("moved", 5, 80, 0, bucket="rmb", how="fallback", direction="out"),
         "Fewer requests fell back to the rmb wallet (80 before, 0 after): +0.000005 CREDIT."),
        (Term("rounding", -1), "Rounding: -0.000001 CREDIT."),
        (Term("of_a_newer_ledger", 1), "Of a newer ledger: +0.000001 CREDIT."),
    ],
)  # fmt: skip
def test_a_term_is_a_sentence(found: Term, text: str) -> None:
    """Each term says with numbers what happened, and ends with its amount at full scale with sign and unit."""
    assert sentence_of(found, CREDIT) == text


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((part(75, 1, 4, workflow="a"), part(25, 1, 2, workflow="b")),
         "Requests of workflow a rose from 1 to 4, the largest of 2 parts (75.0 %): +0.000100 CREDIT."),
        ((part(-90, 9, 1, workflow="b"), part(100, 1, 4, workflow="a")),
         "Requests of workflow a rose from 1 to 4, the largest of 2 parts: +0.000010 CREDIT."),
        ((part(-100, 9, 1, workflow="b"), part(60, 1, 4, workflow="a"), part(60, 1, 3, workflow="c")),
         "Requests of workflow a rose from 1 to 4, the largest of 3 parts: +0.000020 CREDIT."),
        ((part(100, 1, 4, workflow="a"), part(-110, 9, 1, workflow="b")),
         "Requests of workflow b fell from 9 to 1, the largest of 2 parts: -0.000010 CREDIT."),
    ],
)  # fmt: skip
def test_a_sentence_names_the_largest_part_that_goes_its_way(parts: tuple[Part, ...], text: str) -> None:
    """Of several parts the largest with the term's own sign is named, with its share where none goes against it."""
    assert sentence_of(term("requests", *parts), CREDIT) == text


def test_every_term_has_words_both_ways() -> None:
    """No term of an explanation is told by its code, and what it says depends on its sign."""
    assert set(TERMS) == set(TITLES)
    for name in set(TERMS) - {"rounding"}:
        more, less = (
            sentence_of(one(name, sign, 2 - sign, 2 + sign, workflow="w"), CREDIT).partition(":")[0] for sign in (1, -1)
        )
        assert more != less or name in ("new_workflows", "gone_workflows")
        assert "_" not in more + less


def test_three_reasons_at_most_and_rounding_only_alone() -> None:
    """Reasons are the largest terms in either direction; rounding is one only where nothing else moved."""
    reasons = told(CREDIT, WHY).reasons
    assert [reason.term for reason in reasons] == ["requests", "moved", "prompt_size"]
    rounding = Explained(10, 13, (Term("requests", 0), Term("rounding", 3)))
    assert [reason.term for reason in told(CREDIT, rounding).reasons] == ["rounding"]
    small = Explained(10, 13, (Term("rates", 1), Term("rounding", 2)))
    assert [reason.term for reason in told(CREDIT, small).reasons] == ["rates"]
    assert told(CREDIT, Explained(10, 10, (Term("rounding", 0),))).reasons == []


def test_the_requests_behind_a_reason_keep_what_was_asked() -> None:
    """The parameters are those that were asked for, those of the part, and the ends of the period in UTC."""
    (reason, *_) = told(CREDIT, WHY).reasons
    assert reason.behind.query == {
        "workspace_id": "acme",
        "workflow": "support-agent",
        "from": "2026-11-14T23:00:00Z",
        "to": "2026-11-21T23:00:00Z",
    }
    assert reason.behind.requests == 1826


@pytest.mark.parametrize(
    ("found", "query"),
    [
        (one("prompt_size", 1, model="smart"),
         {"model": "smart", "bucket": "credit", "status": "settled", "requests": "1953"}),
        (one("deep_models", 1, workflow="support-agent", depth="deep"),
         {"workflow": "support-agent", "status": "settled", "route": "deep", "requests": "15"}),
        (one("deep_models", -1, workflow="support-agent", depth="mixed"),
         {"workflow": "support-agent", "status": "settled", "requests": "1826"}),
        (one("fallback_premium", 1, route="backup", first_route="sale"),
         {"route": "backup", "bucket": "credit", "status": "settled", "fallback": "yes", "requests": "80"}),
        (one("moved", 1, bucket="rmb", how="fallback", direction="in"),
         {"bucket": "credit", "status": "settled", "fallback": "yes", "workflow": "desk", "model": "smart",
          "requests": "80"}),
        (one("moved", 1, bucket="rmb", how="routing", direction="in"),
         {"bucket": "credit", "status": "settled", "workflow": "desk", "model": "smart", "requests": "80"}),
        (one("retry_waste", 1, route="direct"), {"route": "direct", "bucket": "credit", "requests": "1858"}),
        (one("new_workflows", 1, workflow="digest"), {"workflow": "digest", "requests": "40"}),
        (one("requests", 1, workflow="", workspace="acme"), {"workspace_id": "acme", "requests": "1973"}),
    ],
)  # fmt: skip
def test_the_requests_behind_a_term(found: Term, query: dict[str, str]) -> None:
    """Each kind of term is about other requests: of one route, of all buckets, answered or not, fallen back or not."""
    assert query_of(found) == query


def test_requests_that_left_are_listed_where_they_are_now() -> None:
    """What moved out of a place is listed in the other bucket, and only the workflow that moved."""
    left = one("moved", -1, bucket="credit", how="fallback", direction="out")
    assert query_of(left, RMB) == {
        "bucket": "credit", "status": "settled", "fallback": "yes", "workflow": "desk", "model": "smart",
        "requests": "80",
    }  # fmt: skip
    unit = one("moved", -1, unit="USD", how="routing", direction="out")
    assert query_of(unit, replace(DOLLARS, unit="CNY")) == {
        "status": "settled", "workflow": "desk", "model": "smart", "requests": "100",
    }  # fmt: skip


@pytest.mark.parametrize(("small", "query"), [(10, {"workflow": "desk"}), (11, {})])
def test_requests_that_moved_are_narrowed_to_what_most_are_of(small: int, query: dict[str, str]) -> None:
    """A workflow is named where nine tenths of what moved are of it; a model where all of these have it."""
    before = {cell("desk", "sale"): sums(100), cell("other", "sale"): sums(20)}
    after = {
        cell("desk", "sale"): sums(10), cell("desk"): sums(90),
        cell("other", "sale"): sums(20 - small), cell("other"): sums(small),
    }  # fmt: skip
    found = query_of(one("moved", 1, bucket="rmb", how="routing", direction="in"), CREDIT, before, after)
    assert {name: value for name, value in found.items() if name == "workflow"} == query
    assert found["model"] == "smart"


def test_what_fell_is_shown_by_the_period_that_has_more_of_it() -> None:
    """A workflow that is gone is listed in the earlier period; prompts are in the later one while there are any."""
    gone = behind(lead_of(one("gone_workflows", -1, workflow="desk")), CREDIT, compared({cell(): sums(5)}, {}), PRICES)
    assert (gone.requests, gone.query["from"]) == (5, "2026-11-07T23:00:00Z")
    assert "Behind it: 100 requests of the earlier period (workspace_id=acme, workflow=desk)." in change_page(
        change(told(CREDIT, explained(1, one("gone_workflows", -1, 100, 0, workflow="desk")), BEFORE, {}))
    ).replace("\n                  ", " ")
    fewer = compared({cell(): sums(5)}, {cell(): sums(2)})
    prompts = behind(lead_of(one("prompt_size", 1, model="smart")), CREDIT, fewer, PRICES)
    assert (prompts.requests, prompts.query["from"]) == (2, "2026-11-14T23:00:00Z")


def test_groups_are_those_that_changed_most_and_one_line_of_others() -> None:
    """Ten groups are explained, those that changed most first; the others are summed up in one line."""
    rates = {("text_output", "1"): [1, 0]}
    values = ["", *(f"g{at:02}" for at in range(GROUPS_MAX + 2))]
    before = {cell(group=value): sums(1, charge_minor=100) for value in values}
    after = {cell(group=value): sums(1, charge_minor=200 + at) for at, value in enumerate(values)}
    for period in (before, after):
        for spent in period.values():
            spent.lines = rates
    why = explained(100 * len(values), term("stated_prices", part(sum(100 + at for at in range(len(values))))))
    found = tell(CREDIT, compared(before, after), why, PRICES, grouped=True).groups
    assert [group.value for group in found] == [*reversed(values[3:]), None]
    assert [group.others for group in found] == [0] * GROUPS_MAX + [3]
    assert found[-1].terms == []
    assert (found[-1].before.value, found[-1].after.value) == ("0.000300", "0.000603")


def test_a_group_that_came_to_nothing_is_left_out() -> None:
    """A group without an amount in either period is no group of the place; one without a value has none."""
    before = {cell(group=""): sums(1, charge_minor=100), cell(route="sale", group="b"): sums(1, charge_minor=100)}
    found = tell(CREDIT, compared(before, {}), explained(100, one("requests", -100)), PRICES, grouped=True)
    assert [(group.value, group.others) for group in found.groups] == [(None, 0)]


def test_shares_are_of_the_difference() -> None:
    """A term's share is its part of the difference with one digit; without a difference there is none."""
    shares = {each.term: each.share for each in told(CREDIT, WHY).terms}
    assert shares == {
        "requests": "63.7", "moved": "36.3", "prompt_size": "-2.2", "new_workflows": "2.2", "rates": "0.0",
        "rounding": "0.0",
    }  # fmt: skip
    even = explained(100, one("requests", 5), one("rates", -5))
    assert [each.share for each in told(CREDIT, even).terms] == [None, None, None]


@pytest.mark.parametrize(
    ("place", "amounts", "text"),
    [
        (CREDIT, (1_000_000, 2_500_000),
         "Charges to the credit wallet rose by 1.500000 CREDIT, from 1.000000 CREDIT to 2.500000 CREDIT."),
        (RMB, (1, -1), "Charges to the rmb wallet fell by 0.000002 CNY, from 0.000001 CNY to -0.000001 CNY."),
        (CREDIT, (7, 7), "Charges to the credit wallet did not change: 0.000007 CREDIT in both periods."),
        (DOLLARS, (0, 1), "Cost billed in USD rose by 0.000001 USD, from 0.000000 USD to 0.000001 USD."),
        (replace(DOLLARS, bucket="rmb"), (0, 1),
         "Cost billed in USD for the rmb wallet rose by 0.000001 USD, from 0.000000 USD to 0.000001 USD."),
    ],
)  # fmt: skip
def test_the_summary_says_what_changed(place: Place, amounts: tuple[int, int], text: str) -> None:
    """One sentence says by how much which amount rose or fell, from what to what."""
    assert summary_of(place, *amounts) == text


def test_figures_are_written_for_people() -> None:
    """Small shares keep a second digit, halves go to the even one, periods are days where they are whole days."""
    assert [share_text(share) for share in (None, 0, 4_440_000, 9_996_000, 21_000_000, 10**9)] == [
        "no requests", "0.0 %", "0.44 %", "1.0 %", "2.1 %", "100.0 %",
    ]  # fmt: skip
    assert [percent(*each) for each in ((1, 3), (-1, 3), (1, -3), (-1, -3), (5, 10_000), (0, 7))] == [
        "33.3", "-33.3", "-33.3", "33.3", "0.0", "0.0",
    ]  # fmt: skip
    assert span_text(EARLIER) == "2026-11-08 to 2026-11-14"
    hours = replace(EARLIER, ends_at="2026-11-08T06:15:00+01:00")
    assert span_text(hours) == "2026-11-08 00:00:00 until 2026-11-08 06:15:00"
