"""Factors of the products that an explanation splits, and the split of one product's change among them."""

from fractions import Fraction
from math import gcd

import msgspec

from projections.change.rounding import grains_of
from projections.change.shapley import slopes
from projections.change.tallies import Pair

__all__ = ["Chain", "Factor", "joined", "ratio", "split_leaf"]


class Factor(msgspec.Struct):
    """One factor of a product in both periods, as whole numbers over a common one.

    The leaves that it is in add to `effect` what its change contributes, in grains; to `weight`, where it is a share
    that will be taken apart, what a change from nought to one would at the same others.
    """

    before: int
    after: int
    over: int = 1
    is_share: bool = False
    effect: int = 0
    weight: int = 0

    def effect_of(self, change: Fraction, over: int) -> int:
        """Return what a part of a share's change contributes, in grains: the part counts `over`-ths."""
        return grains_of(change.numerator * self.weight, change.denominator * over)


Chain = tuple[Factor, ...]
"""The factors of a product, from the widest link to the narrowest."""


def ratio(above: Pair, below: Pair, *, is_share: bool = False) -> Factor | None:
    """Return a share or an average. Where there is nothing below, it is that of the other period; in neither, None."""
    first, second = below
    if first and second:
        return lowest(above[0] * second, above[1] * first, first * second, is_share=is_share)
    if first:
        return lowest(above[0], above[0], first, is_share=is_share)
    return lowest(above[1], above[1], second, is_share=is_share) if second else None


def joined(one: Factor, other: Factor) -> Factor:
    """Return two factors that belong together as one: their product."""
    return lowest(one.before * other.before, one.after * other.after, one.over * other.over, is_share=False)


def lowest(before: int, after: int, over: int, *, is_share: bool) -> Factor:
    """Return a factor in lowest terms."""
    common = gcd(before, after, over)
    return Factor(before // common, after // common, over // common, is_share)


def split_leaf(chain: Chain, grains_per_atom: int) -> None:
    """Split a product's change among its factors. Those that are the same in both periods only multiply."""
    numerator, denominator = grains_per_atom, 1
    changed: list[Factor] = []
    for each in chain:
        denominator *= each.over
        if each.before == each.after:
            numerator *= each.before
        else:
            changed.append(each)
    if not numerator or not changed:
        return
    found, common = slopes([(each.before, each.after) for each in changed])
    denominator *= common
    for each, slope in zip(changed, found, strict=True):
        scaled = slope * numerator
        each.effect += grains_of((each.after - each.before) * scaled, denominator)
        if each.is_share:
            each.weight += grains_of(each.over * scaled, denominator)
