"""An explanation as it is answered: in words first, then term by term. Pure."""

from collections.abc import Iterable

from projections.change.answers import (
    About,
    ChangeGroup,
    ChangeOfPlace,
    ChangeReason,
    ChangeTerm,
    TermPart,
)
from projections.change.behind import Compared, behind
from projections.change.cells import OTHER_GROUPS, Explained, Period, Term
from projections.change.counting import requests_here, scope_of
from projections.change.explaining import amount_of, explain
from projections.change.places import Place
from projections.change.prices import PriceList
from projections.change.questions import Inquiry, answers_of
from projections.change.sentences import lead_of, sentence_of
from projections.change.words import TITLES, amount_in, percent, summary_of

__all__ = ["GROUPS_MAX", "REASONS_MAX", "Compared", "tell"]

REASONS_MAX = 3
GROUPS_MAX = 10
"""Groups that are explained; the others are one line."""


def tell(
    place: Place, compared: Compared, explained: Explained, prices: PriceList, *, grouped: bool = False, groups: int = 0
) -> ChangeOfPlace:
    """Return what changed in a place, and why. `grouped` asks for each group of the cells by itself, too.

    Where many groups' cells are one group, OTHER_GROUPS, `groups` is how many have an amount in the place.
    """
    before, after = compared.before, compared.after
    scope = scope_of(place, before, after, prices)
    first, second = explained.before_minor, explained.after_minor
    return ChangeOfPlace(
        place.bucket,
        place.unit,
        amount_in(place, first),
        amount_in(place, second),
        amount_in(place, second - first),
        requests_here(before, place),
        requests_here(after, place),
        summary_of(place, first, second),
        [reason_of(term, place, compared, prices) for term in reasons_among(explained.terms)],
        answers_of(Inquiry(before, after, explained, scope)),
        terms_of(explained, place),
        groups_of(place, compared, prices, groups) if grouped else [],
    )


def reasons_among(terms: Iterable[Term]) -> list[Term]:
    """Return the terms that move most, in either direction. Rounding is a reason only where there is no other."""
    moving = [term for term in terms if term.effect_minor]
    causes = [term for term in moving if term.name != "rounding"] or moving
    return sorted(causes, key=lambda term: -abs(term.effect_minor))[:REASONS_MAX]


def reason_of(term: Term, place: Place, compared: Compared, prices: PriceList) -> ChangeReason:
    """Return a term as a sentence, with the requests behind it."""
    return ChangeReason(
        term.name,
        sentence_of(term, place),
        amount_in(place, term.effect_minor),
        behind(lead_of(term), place, compared, prices),
    )


def terms_of(explained: Explained, place: Place) -> list[ChangeTerm]:
    """Return all terms, in their order."""
    difference = explained.after_minor - explained.before_minor
    return [
        ChangeTerm(
            term.name,
            TITLES.get(term.name, term.name),
            amount_in(place, term.effect_minor),
            percent(term.effect_minor, difference) if difference else None,
            [
                TermPart(
                    [About(dimension, value) for dimension, value in part.about],
                    amount_in(place, part.effect_minor),
                    part.requests_before,
                    part.requests_after,
                    part.tokens_before,
                    part.tokens_after,
                )
                for part in term.parts
            ],
        )
        for term in explained.terms
    ]


def groups_of(place: Place, compared: Compared, prices: PriceList, groups: int) -> list[ChangeGroup]:
    """Return each group by itself, those that changed most first, and what all others come to in one."""
    earlier, later = by_group(compared.before), by_group(compared.after)
    amounts = {
        value: (amount_of(earlier.get(value, {}), place), amount_of(later.get(value, {}), place))
        for value in earlier.keys() | later.keys()
    }
    present = [value for value, (first, second) in amounts.items() if first or second]
    order = sorted(present, key=lambda value: (-abs(amounts[value][1] - amounts[value][0]), value))
    shown = [value for value in order if value != OTHER_GROUPS][:GROUPS_MAX]
    others = [value for value in order if value not in shown]
    told = [
        group_of(value or None, 0, explain(earlier.get(value, {}), later.get(value, {}), place, prices), place)
        for value in shown
    ]
    if others:
        first, second = (sum(amounts[value][at] for value in others) for at in (0, 1))
        told.append(group_of(None, max(len(others), groups - len(shown)), Explained(first, second, ()), place))
    return told


def group_of(value: str | None, others: int, explained: Explained, place: Place) -> ChangeGroup:
    """Return one group, or what others come to."""
    first, second = explained.before_minor, explained.after_minor
    return ChangeGroup(
        value,
        others,
        amount_in(place, first),
        amount_in(place, second),
        amount_in(place, second - first),
        terms_of(explained, place),
    )


def by_group(period: Period) -> dict[str, Period]:
    """Return a period taken apart by group."""
    found: dict[str, Period] = {}
    for cell, sums in period.items():
        found.setdefault(cell.group, {})[cell] = sums
    return found
