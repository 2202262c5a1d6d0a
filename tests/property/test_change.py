"""Explanations of generated histories: they add up, no order and no naming matters, one cause alone is the only one."""

from collections.abc import Callable
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.core.rounding import Rounding
from ledger.pricing.rate_cards import RATE_PATTERN, parse_rate
from ledger.pricing.rating import rate_tokens
from ledger.pricing.usage import INPUT_PARTS, OUTPUT_PARTS
from projections.change.cells import Explained, Period, Term
from projections.change.explaining import amount_of, customer_period, explain
from projections.change.lines import at_rates
from projections.change.places import Place, ended_at, spot_of
from projections.change.prices import PriceList
from projections.change.tallies import TERMS
from projections.route_ledger.spending import Sums
from tests.strategies import CHANGE_PRICES, CHANGE_ROUTES, change_histories

PLACES = (
    Place("charge", "credit", "CREDIT", 6),
    Place("charge", "tokens", "TOKEN", 6),
    Place("cost", None, "USD", 6),
    Place("cost", "credit", "CNY", 6),
)
NUMBERS: tuple[str, ...] = tuple(name for name in Sums.__struct_fields__ if name != "lines")
MIRRORED = {"new_workflows": "gone_workflows", "gone_workflows": "new_workflows"}

places = st.sampled_from(PLACES)
histories = change_histories()


def effects(explained: Explained) -> dict[str, int]:
    """Return the terms that are not zero."""
    return {term.name: term.effect_minor for term in explained.terms if term.effect_minor}


def line_rounding(period: Period, place: Place) -> Fraction:
    """Return by how much all lines of a period were rounded in a place, and bills that follow a card."""
    total = Fraction(0)
    for cell, sums in period.items():
        if ended_at(cell, place) != spot_of(place):
            continue
        if place.measure == "charge":
            for (_, rate), (tokens, minor) in sums.lines.items():
                mantissa, decimals = parse_rate(rate or "0")
                total += abs(minor - Fraction(tokens * mantissa, 10**decimals))
            continue
        counts = {part: count for (part, _), (count, _) in sums.lines.items()}
        used = at_rates(counts, CHANGE_PRICES.cost_rates(cell.rate_card, cell.reported_model, place.unit))
        if used is not None:
            off = abs(sums.cost_minor - Fraction(sum(part.carded for part in used.values()), 10**12))
            total += off if off <= sums.settled else 0
    return total


@given(histories, places)
def test_terms_add_up_and_what_is_left_is_rounding(history: tuple[Period, Period], place: Place) -> None:
    """To the last unit, in a fixed order, parts to their terms; the rest is no larger than what was rounded."""
    before, after = history
    explained = explain(before, after, place, CHANGE_PRICES)

    assert (explained.before_minor, explained.after_minor) == (amount_of(before, place), amount_of(after, place))
    assert sum(term.effect_minor for term in explained.terms) == explained.after_minor - explained.before_minor
    names = [term.name for term in explained.terms]
    assert names == [name for name in TERMS if name in names]
    assert names[-1] == "rounding"
    for term in explained.terms[:-1]:
        assert sum(part.effect_minor for part in term.parts) == term.effect_minor
        sizes = [abs(part.effect_minor) for part in term.parts]
        assert sizes == sorted(sizes, reverse=True)
        assert all(sizes)
    rounded = sum(line_rounding(period, place) for period in (before, after))
    assert abs(explained.terms[-1].effect_minor) <= rounded + len(names) + 1


@given(histories, places)
def test_swapping_the_periods_negates_every_term(history: tuple[Period, Period], place: Place) -> None:
    """What was new is gone, and everything else is as large the other way."""
    before, after = history
    there = effects(explain(before, after, place, CHANGE_PRICES))
    back = effects(explain(after, before, place, CHANGE_PRICES))
    assert {MIRRORED.get(name, name): -effect for name, effect in back.items()} == there


@given(histories, places, st.randoms(use_true_random=False))
def test_no_order_matters(history: tuple[Period, Period], place: Place, dice: Random) -> None:
    """Cells, and lines in them, may come in any order."""
    before, after = history

    def shuffled(period: Period) -> Period:
        cells = list(period.items())
        dice.shuffle(cells)
        return {cell: replace(sums, lines=dict(reversed(sums.lines.items()))) for cell, sums in cells}

    wanted = explain(before, after, place, CHANGE_PRICES)
    assert explain(shuffled(before), shuffled(after), place, CHANGE_PRICES) == wanted


@given(histories, places)
def test_no_name_matters(history: tuple[Period, Period], place: Place) -> None:
    """Workspaces, workflows, models, routes and cards may be called anything: names that sort the other way round."""
    before, after = history

    def other(name: str) -> str:
        return "".join(chr(ord("z") + ord("0") - ord(letter)) for letter in name)

    def renamed(period: Period) -> Period:
        return {
            replace(
                cell,
                workspace_id=other(cell.workspace_id),
                workflow=cell.workflow and other(cell.workflow),
                model=other(cell.model),
                route=other(cell.route),
                rate_card=cell.rate_card and other(cell.rate_card),
                first_route=other(cell.first_route),
                first_rate_card=cell.first_rate_card and other(cell.first_rate_card),
            ): sums
            for cell, sums in period.items()
        }

    prices = PriceList(
        {other(name): card for name, card in CHANGE_PRICES.cards.items()},
        {other(name): depth for name, depth in CHANGE_PRICES.depths.items()},
    )
    wanted = effects(explain(before, after, place, CHANGE_PRICES))
    assert effects(explain(renamed(before), renamed(after), place, prices)) == wanted


@given(histories, places, st.data())
def test_groups_of_cells_do_not_matter(history: tuple[Period, Period], place: Place, data: st.DataObject) -> None:
    """A cell in two, told apart by what the explanation doesn't use, is one; groups' differences are the whole's."""
    before, after = history

    def halves(period: Period) -> Period:
        found: Period = {}
        for cell, sums in period.items():
            first, second = split(sums, data.draw(st.integers(0, 4)))
            found[replace(cell, group=f"{cell.group} first")] = first
            found[replace(cell, group=f"{cell.group} second")] = second
        return found

    first, second = halves(before), halves(after)
    explained = explain(first, second, place, CHANGE_PRICES)
    assert explained == explain(before, after, place, CHANGE_PRICES)
    difference = 0
    for group in {cell.group for cell in (*first, *second)}:
        alone = explain(of_group(first, group), of_group(second, group), place, CHANGE_PRICES)
        difference += alone.after_minor - alone.before_minor
    assert difference == explained.after_minor - explained.before_minor


def of_group(period: Period, group: str) -> Period:
    """Return the cells of one group."""
    return {cell: sums for cell, sums in period.items() if cell.group == group}


def split(sums: Sums, quarters: int) -> tuple[Sums, Sums]:
    """Return sums in two that add up to them."""
    numbers = {name: getattr(sums, name) for name in NUMBERS}
    first = {name: number * quarters // 4 for name, number in numbers.items()}
    rest = {name: number - first[name] for name, number in numbers.items()}
    lines = {line: [tokens * quarters // 4, minor * quarters // 4] for line, (tokens, minor) in sums.lines.items()}
    others = {line: [tokens - lines[line][0], minor - lines[line][1]] for line, (tokens, minor) in sums.lines.items()}
    return Sums(**first, lines=lines), Sums(**rest, lines=others)


@given(histories)
def test_a_customer_is_told_of_no_cost(history: tuple[Period, Period]) -> None:
    """What a customer's explanation explains is what was paid, and there is no bill in it."""
    before, after = history
    first, second = customer_period(before), customer_period(after)
    assert explain(first, second, PLACES[2], CHANGE_PRICES) == Explained(0, 0, (Term("rounding", 0),))
    assert not any(sums.cost_minor or sums.waste_minor or sums.overrun_minor for sums in (first | second).values())
    paid = sum(
        sums.charge_minor - sums.overrun_minor + sums.corrected_minor + sums.undone_minor - sums.refunded_minor
        for cell, sums in after.items()
        if cell.bucket == "credit"
    )
    assert explain(first, second, PLACES[0], CHANGE_PRICES).after_minor == paid


# One cause alone.


def steady(period: Period) -> Period:
    """Return a period with nothing that adds up line by line: all were routed where they ended, or elsewhere."""
    found: Period = {}
    for cell, sums in period.items():
        own = replace(cell, first_route=cell.route, first_bucket=cell.bucket, first_rate_card=cell.rate_card, group="")
        kept = own if cell.first_bucket == cell.bucket else replace(cell, group="")
        found[kept] = replace(
            sums,
            charge_minor=sums.charge_minor + sums.waived_minor,
            waived_minor=0,
            refunded_minor=0,
            corrected_minor=0,
        )
    return found


def more_requests(sums: Sums, times: int) -> Sums:
    """Return everything many times."""
    numbers = {name: times * getattr(sums, name) for name in NUMBERS}
    return Sums(
        **numbers, lines={line: [times * tokens, times * minor] for line, (tokens, minor) in sums.lines.items()}
    )


def larger(sums: Sums, times: int, parts: tuple[str, ...]) -> Sums:
    """Return as many requests with many times the tokens of some parts, rounded anew."""
    lines: dict[tuple[str, str], list[int]] = {}
    stated = sums.charge_minor
    for (part, rate), (tokens, minor) in sums.lines.items():
        factor = times if part in parts else 1
        again = rate_tokens(factor * tokens, rate, 6, Rounding.HALF_EVEN) if rate else 0
        lines[part, rate] = [factor * tokens, again]
        stated -= minor
    return replace(sums, lines=lines, charge_minor=stated + sum(minor for _, minor in lines.values()))


def larger_prompts(sums: Sums, times: int) -> Sums:
    """Return many times the input."""
    return larger(sums, times, INPUT_PARTS)


def longer_answers(sums: Sums, times: int) -> Sums:
    """Return many times the output."""
    return larger(sums, times, OUTPUT_PARTS)


def more_searches(sums: Sums, times: int) -> Sums:
    """Return many times the searches."""
    return larger(sums, times, ("web_searches",))


def dearer(sums: Sums, times: int) -> Sums:
    """Return the same usage at many times the rates."""
    lines: dict[tuple[str, str], list[int]] = {}
    charge = sums.charge_minor
    for (part, rate), (tokens, minor) in sums.lines.items():
        mantissa, decimals = parse_rate(rate or "0")
        digits = str(mantissa * times).rjust(decimals + 1, "0")
        higher = f"{digits[:-decimals]}.{digits[-decimals:]}" if decimals else digits
        assert RATE_PATTERN.match(higher)
        lines[part, higher if rate else ""] = [tokens, rate_tokens(tokens, higher, 6, Rounding.HALF_EVEN)]
        charge += lines[part, higher if rate else ""][1] - minor
    return replace(sums, lines=lines, charge_minor=charge)


def dearer_by_callers(sums: Sums, times: int) -> Sums:
    """Return many times what callers stated."""
    rated = sum(minor for _, minor in sums.lines.values())
    return replace(sums, charge_minor=rated + times * (sums.charge_minor - rated))


@pytest.mark.parametrize(
    ("cause", "term"),
    [
        (more_requests, "requests"),
        (larger_prompts, "prompt_size"),
        (longer_answers, "output_size"),
        (more_searches, "counted"),
        (dearer, "rates"),
        (dearer_by_callers, "stated_prices"),
    ],
)
@given(history=histories, times=st.integers(2, 9), place=st.sampled_from(PLACES[:2]))
def test_one_cause_alone_is_the_only_term(
    cause: Callable[[Sums, int], Sums], term: str, history: tuple[Period, Period], times: int, place: Place
) -> None:
    """Where the periods differ in one thing, its term is the difference, up to rounding, and no other is there."""
    before = steady(history[0])
    after = {cell: cause(sums, times) for cell, sums in before.items()}

    explained = explain(before, after, place, CHANGE_PRICES)

    found = effects(explained)
    assert set(found) <= {term, "rounding"}
    rounded = sum(line_rounding(period, place) for period in (before, after))
    difference = explained.after_minor - explained.before_minor
    assert abs(difference - found.get(term, 0)) <= rounded + 1


def test_generated_routes_are_in_several_buckets_units_and_depths() -> None:
    """The histories above have something to move between."""
    assert [len({route[at] for route in CHANGE_ROUTES.values()}) for at in range(3)] == [2, 2, 2]
