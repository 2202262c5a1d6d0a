"""Grains: how an explanation counts fractions of a smallest part, and how they become whole again.

Every leaf of the chain splits its change exactly, as a quotient of integers. A sum of ten thousand such quotients has
a denominator of millions of digits, so each is counted in grains, whole numbers so small that what falls off
towards zero is never seen: a million leaves lose less than 10^-26 of a smallest part. Towards zero, because then
swapping the periods negates every grain; and whole numbers, because their sum doesn't depend on any order.
"""

from collections.abc import Sequence
from math import lcm

from ledger.core.rounding import Rounding, divide

__all__ = ["GRAINS", "apportion", "grains_of", "whole_minor"]

GRAINS = 10**18 * lcm(*range(1, 33))
"""Grains in one smallest part: halves, thirds and so on up to 32nds, and 18 decimal places, are whole."""


def grains_of(numerator: int, denominator: int) -> int:
    """Return a quotient as whole grains where the numerator counts grains already; the denominator is positive."""
    return numerator // denominator if numerator >= 0 else -(-numerator // denominator)


def whole_minor(grains: int) -> int:
    """Return grains as whole smallest parts, half to even."""
    return divide(grains, GRAINS, Rounding.HALF_EVEN)


def apportion(total_minor: int, parts: Sequence[int]) -> list[int]:
    """Return parts, in grains, as whole smallest parts that add up to the total, their sum rounded.

    By largest remainder; between equal remainders the earlier part goes first.
    """
    floors = [part // GRAINS for part in parts]
    left = total_minor - sum(floors)
    order = sorted(range(len(parts)), key=lambda each: -(parts[each] % GRAINS))
    for each in order[:left]:
        floors[each] += 1
    return floors
