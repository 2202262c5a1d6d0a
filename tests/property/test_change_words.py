"""Explanations of generated histories in words: every amount is its term's, every table adds up, no two units meet."""

import re
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from projections.change.answers import Change, ChangeOfPlace, Span
from projections.change.behind import Compared
from projections.change.cells import Period
from projections.change.explaining import customer_period, explain
from projections.change.page import change_page
from projections.change.places import Place
from projections.change.telling import REASONS_MAX, tell
from projections.change.words import METHOD, with_sign
from projections.layout import COLUMNS, width_of
from tests.strategies import CHANGE_PRICES, change_histories

PLACES = (
    Place("charge", "credit", "CREDIT", 6),
    Place("charge", "tokens", "TOKEN", 0),
    Place("cost", None, "USD", 9),
    Place("cost", "credit", "CNY", 6),
)
UNITS = ("CREDIT", "TOKEN", "USD", "CNY")
EARLIER = Span("2026-11-08T00:00:00+01:00", "2026-11-15T00:00:00+01:00")
LATER = Span("2026-11-15T00:00:00+01:00", "2026-11-22T00:00:00+01:00")
AMOUNT = re.compile(r"[+-][0-9]+(?:\.[0-9]+)? [A-Z]+")

History = tuple[Period, Period]
histories = change_histories()
places = st.sampled_from(PLACES)


def told(history: History, place: Place, *, grouped: bool = False) -> ChangeOfPlace:
    """Return what changed in a place, in words."""
    before, after = history
    explained = explain(before, after, place, CHANGE_PRICES)
    return tell(place, Compared(before, after, EARLIER, LATER), explained, CHANGE_PRICES, grouped=grouped)


def page(place: Place, *found: ChangeOfPlace) -> str:
    """Return the page of one measure's places."""
    change = Change(
        measure=place.measure, workspace_id=None, zone="Europe/Berlin", before=EARLIER, after=LATER, by="key",
        complete=True, places=list(found), method=METHOD,
    )  # fmt: skip
    return change_page(change)


def minor(value: str) -> int:
    """Return the smallest parts of an amount at full scale."""
    return int(value.replace(".", ""))


def texts(value: Any) -> Iterator[str]:
    """Yield every text of a JSON value, but for what says in which other unit's bills moved requests are."""
    match value:
        case str():
            yield value
        case {"dimension": "unit"}:
            return
        case dict():
            for inner in value.values():
                yield from texts(inner)
        case list():
            for inner in value:
                yield from texts(inner)


@given(histories, places)
def test_a_reason_says_the_amount_of_its_term(history: History, place: Place) -> None:
    """Reasons are the terms that move most; each sentence has one amount, its term's, at full scale and with a sign."""
    found = told(history, place)
    effects = {term.term: minor(term.effect.value) for term in found.terms}
    causes = [name for name, effect in effects.items() if effect and name != "rounding"]
    assert len(found.reasons) == min(REASONS_MAX, len(causes) or bool(effects["rounding"]))
    for reason in found.reasons:
        assert reason.effect == next(term.effect for term in found.terms if term.term == reason.term)
        assert AMOUNT.findall(reason.text) == [with_sign(reason.effect)]
        assert reason.text.endswith(f": {with_sign(reason.effect)}.")
    told_least = min((abs(effects[reason.term]) for reason in found.reasons), default=0)
    untold = set(causes) - {reason.term for reason in found.reasons}
    assert all(abs(effects[name]) <= told_least for name in untold)


@given(histories, places)
def test_the_table_of_a_page_adds_up(history: History, place: Place) -> None:
    """On the page, the amount before and all terms that are shown come to the amount after, digit by digit."""
    found = told(history, place)
    _, _, table = page(place, found).partition(f"FROM BEFORE TO AFTER (IN {place.unit})")
    before, *terms, after = (
        minor(re.sub(r" +-?[0-9.]+ %$", "", line).rsplit(" ", 1)[1]) for line in table.split("\n\n")[0].splitlines()[2:]
    )
    assert before == minor(found.before.value)
    assert before + sum(terms) == after == minor(found.after.value)


@given(histories, st.booleans())
def test_nothing_that_is_said_of_a_place_names_another_unit(history: History, customer: bool) -> None:
    """No sentence, measure, rule, title or amount of a place names a unit but its own."""
    if customer:
        history = (customer_period(history[0]), customer_period(history[1]))
    for place in PLACES:
        spoken = "\n".join(texts(msgspec.to_builtins(told(history, place, grouped=True))))
        assert [unit for unit in UNITS if re.search(rf"\b{unit}\b", spoken)] == [place.unit]


@given(histories, places)
def test_a_page_fits_a_terminal(history: History, place: Place) -> None:
    """No line is wider than the page or ends with a blank, and the summary comes before everything else."""
    found = told(history, place, grouped=True)
    lines = page(place, found).splitlines()
    assert max(map(width_of, lines)) <= COLUMNS
    assert [line for line in lines if line != line.rstrip()] == []
    assert found.summary.startswith(lines[1].strip())


@given(histories, places)
def test_groups_add_up(history: History, place: Place) -> None:
    """What the groups come to adds up to the whole, and each group's terms to its own difference."""
    found = told(history, place, grouped=True)
    for name in ("before", "after", "difference"):
        assert sum(minor(getattr(group, name).value) for group in found.groups) == minor(getattr(found, name).value)
    for group in found.groups:
        assert sum(minor(term.effect.value) for term in group.terms) == minor(group.difference.value)


@given(histories, places, st.randoms(use_true_random=False))
def test_no_order_of_cells_changes_a_word(history: History, place: Place, random: Random) -> None:
    """The same cells in another order are told the same."""
    shuffled = []
    for period in history:
        cells = list(period.items())
        random.shuffle(cells)
        shuffled.append(dict(cells))
    assert told((shuffled[0], shuffled[1]), place, grouped=True) == told(history, place, grouped=True)


@given(histories, places)
def test_no_question_is_a_yes_both_ways(history: History, place: Place) -> None:
    """What rose from one period to the other did not rise from the other to the one."""
    forth, back = told(history, place), told((history[1], history[0]), place)
    for one, other in zip(forth.answers, back.answers, strict=True):
        assert (one.question, one.before, one.after) == (other.question, other.after, other.before) or (
            one.question == "deep_model_more_often"
        )
        assert (one.answer, other.answer) != ("yes", "yes") or one.question == "deep_model_more_often"


@given(histories, places)
def test_requests_behind_a_reason_are_among_those_that_ended(history: History, place: Place) -> None:
    """No reason has more requests behind it than ended in the period that it names."""
    ended = [sum(sums.requests for sums in period.values()) for period in history]
    for reason in told(history, place).reasons:
        is_later = reason.behind.query["from"] == "2026-11-14T23:00:00Z"
        assert 0 <= reason.behind.requests <= ended[is_later]
