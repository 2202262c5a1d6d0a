"""Where requests went: what a change of shares is called.

The shares of all routes, here and elsewhere, add up to one. What one of them lost others gained, and which gained it
for which can't be known. It is told by the shortest ways: shares that fell are matched with shares that rose in the
same class first, then between the classes above it, and only what finds no counterpart here came from elsewhere or
went there. So requests that left a discounted route for another bucket have left the bucket, and don't seem to have
moved between its routes; requests that left it for the route beside it did just that.

Within each match everything is in proportion, so that no order and no name plays a part. Swapping the periods
negates it all.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction

from projections.change.places import Spot

__all__ = ["Path", "counterparts", "take_apart"]

Path = tuple[str, ...]
"""The classes that a share is in, from the widest to itself."""


def take_apart(changes: Mapping[Path, int], causes: Sequence[str], outer: str) -> dict[Path, dict[str, Fraction]]:
    """Return each change as what it consists of, by cause; the causes of a path add up to its change.

    A path has as many classes as there are causes: change between the first classes is the first cause, and so on.
    What all changes together come to is the outer cause's.
    """
    nodes: dict[Path, int] = defaultdict(int)
    for path, change in changes.items():
        for depth in range(len(path) + 1):
            nodes[path[:depth]] += change
    same_way: dict[tuple[Path, bool], int] = defaultdict(int)
    for path, change in nodes.items():
        if path:
            same_way[path[:-1], change > 0] += change
    return {path: named(path, change, nodes, same_way, causes, outer) for path, change in changes.items() if change}


def named(
    path: Path,
    change: int,
    nodes: Mapping[Path, int],
    same_way: Mapping[tuple[Path, bool], int],
    causes: Sequence[str],
    outer: str,
) -> dict[str, Fraction]:
    """Return one change by cause: at each class, what its siblings gave or took, and what they all got from outside."""
    found: dict[str, Fraction] = {}
    left = Fraction(change)
    for depth in range(len(path), 0, -1):
        whole = nodes[path[: depth - 1]]
        inherited = Fraction(0)
        if whole and (whole > 0) == (change > 0):
            inherited = left * whole / same_way[path[: depth - 1], change > 0]
        if left != inherited:
            found[causes[depth - 1]] = left - inherited
        left = inherited
        if not left:
            return found
    found[outer] = left
    return found


def counterparts(whole: int, changes: Mapping[tuple[Spot, str], int]) -> dict[tuple[Spot, str], Fraction]:
    """Return which part of a change here each change elsewhere stands against, in proportion; they add up to one.

    Only those that went the other way: others have their counterparts among themselves.
    """
    opposite = {key: change for key, change in changes.items() if change and (change > 0) != (whole > 0)}
    total = sum(opposite.values())
    return {key: Fraction(change, total) for key, change in opposite.items()}
