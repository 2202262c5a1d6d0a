"""The terms of an explanation while they are added up, and the counts of what their parts are about."""

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from projections.change.cells import Part, Term
from projections.change.rounding import apportion, whole_minor

__all__ = ["TERMS", "About", "Pair", "Tally", "pair"]

TERMS = tuple(
    "requests answered moved deep_models model_mix discounted_routes route_mix prompt_size output_size cache_share"
    " reasoning_share counted rates stated_prices fallback_premium retry_waste refunds corrections waived"
    " new_workflows gone_workflows rounding".split()
)
"""Every term, in the order in which an explanation has them."""

About = tuple[tuple[str, str], ...]
"""What a part is about, as pairs of a dimension and its value."""

Pair = list[int]
"""Something counted in both periods: before, after."""


def pair() -> Pair:
    """Return nothing counted yet."""
    return [0, 0]


class Counted(msgspec.Struct):
    """Requests and tokens in each period."""

    requests: Pair = msgspec.field(default_factory=pair)
    tokens: Pair = msgspec.field(default_factory=pair)


class Tally(msgspec.Struct):
    """Effects in grains by term and part; requests and tokens by what is counted, of what it is about.

    `is_wide` where there are several workspaces: then every part names its own.
    """

    is_wide: bool
    effects: dict[str, dict[About, int]] = msgspec.field(default_factory=lambda: defaultdict(dict))
    counted_as: dict[tuple[str, About], tuple[str, About]] = {}
    counts: dict[tuple[str, About], Counted] = msgspec.field(default_factory=lambda: defaultdict(Counted))

    def about(self, workspace_id: str, *pairs: tuple[str, str]) -> About:
        """Return what a part is about, with its workspace where there are several."""
        return (*pairs, ("workspace", workspace_id)) if self.is_wide else pairs

    def add(self, term: str, about: About, grains: int, kind: str, counted: About | None = None) -> None:
        """Add to a part of a term. `kind`, and `counted` where it is not `about`, say whose counts the part shows."""
        if grains:
            parts = self.effects[term]
            parts[about] = parts.get(about, 0) + grains
            self.counted_as[term, about] = (kind, about if counted is None else counted)

    def count(self, kind: str, about: About, period: int, requests: int, tokens: int) -> None:
        """Count requests and tokens of a period: 0 before, 1 after."""
        counted = self.counts[kind, about]
        counted.requests[period] += requests
        counted.tokens[period] += tokens

    def terms(self, difference_minor: int) -> tuple[Term, ...]:
        """Return the terms that there are, each rounded once, and last what all roundings leave of the difference."""
        terms = [self.term(name) for name in TERMS if self.effects.get(name)]
        left = difference_minor - sum(term.effect_minor for term in terms)
        return (*(term for term in terms if term.parts), Term("rounding", left))

    def term(self, name: str) -> Term:
        """Return one term with those of its parts that come to something."""
        effects = self.effects[name]
        abouts = sorted(effects, key=lambda about: (-abs(effects[about]), about))
        total_minor = whole_minor(sum(effects.values()))
        minors = apportion(total_minor, [effects[about] for about in abouts])
        return Term(name, total_minor, tuple(self.parts(name, abouts, minors)))

    def parts(self, name: str, abouts: list[About], minors: list[int]) -> Iterator[Part]:
        """Yield the parts of a term that are not zero, the largest first."""
        for minor, about in sorted(zip(minors, abouts, strict=True), key=lambda each: (-abs(each[0]), each[1])):
            if minor:
                counted = self.counts.get(self.counted_as[name, about], Counted())
                yield Part(about, minor, *counted.requests, *counted.tokens)
