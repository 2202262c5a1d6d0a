"""The arithmetic under an explanation: Shapley values, grains, and what a change of shares consists of."""

from fractions import Fraction
from itertools import permutations
from math import prod

import pytest

from projections.change.moving import Path, counterparts, take_apart
from projections.change.prices import PriceList, rate_units
from projections.change.rounding import GRAINS, apportion, grains_of, whole_minor
from projections.change.shapley import slopes
from tests.unit.change_periods import PRICES


@pytest.mark.parametrize("count", range(1, 6))
def test_slopes_are_the_average_over_all_orders(count: int) -> None:
    """What each factor adds where it changes, averaged over every order in which they can change."""
    factors = [(3, 5), (0, 7), (4, 4), (9, 0), (-2, 6)][:count]
    orders = list(permutations(range(count)))
    wanted = [Fraction(0)] * count
    for order in orders:
        current = [before for before, _ in factors]
        for each in order:
            earlier = prod(current)
            current[each] = factors[each][1]
            wanted[each] += Fraction(prod(current) - earlier, len(orders))
    found, denominator = slopes(factors)
    assert [
        Fraction((after - before) * slope, denominator) for (before, after), slope in zip(factors, found, strict=True)
    ] == wanted


def test_grains_become_whole_and_add_up() -> None:
    """Quotients lose what falls off towards zero, sums are rounded half to even, and parts add up to them."""
    assert (grains_of(7, 2), grains_of(-7, 2)) == (3, -3)
    assert [whole_minor(GRAINS * halves // 2) for halves in (1, 3, -1, -3)] == [0, 2, 0, -2]
    third = GRAINS // 3
    assert apportion(1, [third, third, third]) == [1, 0, 0]
    assert apportion(0, [GRAINS // 2, -GRAINS // 2]) == [1, -1]


def test_changes_are_matched_within_their_class_first() -> None:
    """What fell is matched with what rose beside it, then in other classes; the rest came from outside."""
    changes: dict[Path, int] = {("deep", "a"): 30, ("deep", "b"): -10, ("plain", "c"): -5, ("plain", "d"): 0}
    assert take_apart(changes, ("between", "within"), "outside") == {
        ("deep", "a"): {"within": 10, "between": 5, "outside": 15},
        ("deep", "b"): {"within": -10},
        ("plain", "c"): {"between": -5},
    }
    opposed = {(("x", ""), "yes"): -10, (("y", ""), "no"): -20, (("z", ""), ""): 15}
    assert counterparts(15, opposed) == {(("x", ""), "yes"): Fraction(1, 3), (("y", ""), "no"): Fraction(2, 3)}


def test_a_price_list_knows_what_the_catalog_has() -> None:
    """Rates are whole numbers of 10^-12 of the unit; what is not known is None."""
    assert rate_units("0.5") == 5 * 10**11
    assert PRICES.charge_rates("deep.1", "gpt") == {
        "uncached_input": 20 * 10**12, "text_output": 10**14, "reasoning": 10**14
    }  # fmt: skip
    assert PRICES.cost_rates("cheap.1", None, "USD") == PRICES.charge_rates("cheap.1", None)
    assert (PRICES.charge_rates("lost", "gpt"), PRICES.charge_rates(None, "gpt")) == (None, None)
    assert (PRICES.cost_rates("cheap.1", "gpt", "CNY"), PRICES.cost_rates("lost", "gpt", "USD")) == (None, None)
    assert (PRICES.depth("deep"), PRICES.depth("plain"), PRICES.depth("lost")) == ("deep", None, None)
    assert (PRICES.bill_unit("lost", "token.1"), PRICES.bill_unit("token", None)) == ("CNY", "CNY")
    assert PriceList().bill_unit("token", "token.1") is None
