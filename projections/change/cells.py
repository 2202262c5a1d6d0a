"""What an explanation is made from, and what it comes to before it is put into words."""

import msgspec

from projections.route_ledger.spending import Sums

__all__ = ["OTHER_GROUPS", "ChangeCell", "Explained", "Part", "Period", "Term"]

OTHER_GROUPS = "\n"
"""Stands for all groups that a reader does not see apart. No label can be that."""


class ChangeCell(msgspec.Struct, frozen=True):
    """What requests are told apart by in an explanation. `group` is the value that a reader wants to see apart.

    `first_*` is where a request was routed to before any fallback; `cost_unit` is the unit of its provider's bill.
    """

    workspace_id: str
    workflow: str | None
    model: str
    bucket: str
    route: str
    reported_model: str | None
    rate_card: str | None
    first_route: str
    first_bucket: str
    first_rate_card: str | None
    cost_unit: str | None
    group: str = ""


Period = dict[ChangeCell, Sums]
"""What was spent in a period, by cell."""


class Part(msgspec.Struct, frozen=True):
    """A part of a term: what it is about, as (dimension, value) pairs, and what it contributes, in smallest parts.

    Counts are those of the requests that it is about, in each period; across buckets they stand in the place of money.
    """

    about: tuple[tuple[str, str], ...]
    effect_minor: int
    requests_before: int = 0
    requests_after: int = 0
    tokens_before: int = 0
    tokens_after: int = 0


class Term(msgspec.Struct, frozen=True):
    """One cause and what it contributes to the difference; its parts add up to it, the largest first."""

    name: str
    effect_minor: int
    parts: tuple[Part, ...] = ()


class Explained(msgspec.Struct, frozen=True):
    """A difference and its terms, in a fixed order: they add up to after − before, to the last unit."""

    before_minor: int
    after_minor: int
    terms: tuple[Term, ...]
