"""The change of a product, split among its factors: their Shapley values, exactly.

A product changes from a₁·a₂·…·aₙ to b₁·b₂·…·bₙ. What a factor contributes depends on which others changed before it;
the Shapley value is its contribution averaged over all n! orders. It is the only split that adds up, does not depend
on any order or name, treats equal causes equally and gives a factor that did not change nothing.

For a product it needs no orders. Each factor runs from aⱼ to bⱼ as aⱼ + t·(bⱼ − aⱼ), all at once, and factor i
contributes (bᵢ − aᵢ) · ∫₀¹ Π_{j≠i} (aⱼ + t·(bⱼ − aⱼ)) dt. (In an order drawn at random each factor changes at a moment
of its own between 0 and 1; at moment t each other one has changed with probability t. The integral is the average.)
This is also the value of Aumann and Shapley, and it is a polynomial's integral: n² products of integers.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import lcm

__all__ = ["slopes"]


def slopes(factors: Sequence[tuple[int, int]]) -> tuple[list[int], int]:
    """Return for each factor, given before and after, the integral of all others, and their common denominator.

    Factor i contributes (after − before) · slope / denominator.
    """
    count = len(factors)
    behind, denominator = moments(count)
    suffixes = [behind]
    for before, after in reversed(factors[1:]):
        step = after - before
        last = suffixes[-1]
        suffixes.append([before * last[power] + step * last[power + 1] for power in range(len(last) - 1)])
    found = []
    prefix = [1]
    for (before, after), suffix in zip(factors, reversed(suffixes), strict=True):
        found.append(sum(map(int.__mul__, prefix, suffix)))
        step = after - before
        prefix = [before * low + step * high for low, high in zip([*prefix, 0], [0, *prefix], strict=True)]
    return found, denominator


@lru_cache(maxsize=64)
def moments(count: int) -> tuple[list[int], int]:
    """Return ∫₀¹ tᵏ dt for k below a count, over their common denominator."""
    denominator = lcm(*range(1, count + 1))
    return [denominator // (power + 1) for power in range(count)], denominator
