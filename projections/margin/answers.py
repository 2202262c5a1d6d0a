"""Margin per route as plain structs. No framework and no database driver is imported.

Two columns that are never added or subtracted: `charge` is in the bucket's unit, `cost` in the provider's. Only where
an admin has stated a rate between the two is a cost restated in the bucket's unit, and the rate and its card are named.
"""

import msgspec

from ledger.core.amounts import StatedAmount
from ledger.core.rounding import Rounding
from projections.change.answers import Span

__all__ = ["MarginCard", "MarginCharge", "MarginCost", "MarginPage", "MarginRow", "Restated"]


class MarginCharge(msgspec.Struct, frozen=True):
    """What customers owe, charge + corrections − refunds, and what of it a balance has paid; the rest is overrun."""

    owed: StatedAmount
    paid: StatedAmount
    overrun: StatedAmount


class MarginCost(msgspec.Struct, frozen=True):
    """What the provider bills: for requests that were settled, and as waste for failed attempts."""

    cost: StatedAmount
    waste: StatedAmount


class Restated(msgspec.Struct, frozen=True):
    """Cost and waste in the bucket's unit at the rate that a card states, and margin = paid − both.

    `rate` is units of the bucket for one unit of the provider's bill. Each of the two sums is rounded once.
    """

    rate: str
    cost: StatedAmount
    waste: StatedAmount
    margin: StatedAmount


class MarginCard(msgspec.Struct, frozen=True):
    """The part of a row that one rate card has priced. Null is the part that none has: prices of callers, attempts that
    failed on a route that the request was not routed to at first, requests that were never settled.

    `restated` is null where the card states no rate for this unit of bills, or a cost is not known.
    """

    rate_card: str | None
    requests: int
    failed_attempts: int
    charge: MarginCharge
    cost: MarginCost | None
    requests_without_cost: int
    failed_attempts_without_cost: int
    restated: Restated | None


class MarginRow(msgspec.Struct, frozen=True):
    """One route in one bucket, with bills in one unit; null stands for requests of which no cost is known.

    `restated_cost` and `margin` are null unless a rate is stated for every cost in the row and each is known.
    """

    route: str
    bucket: str
    unit: str
    cost_unit: str | None
    requests: int
    failed_attempts: int
    charge: MarginCharge
    cost: MarginCost | None
    requests_without_cost: int
    failed_attempts_without_cost: int
    restated_cost: StatedAmount | None
    margin: StatedAmount | None
    cards: list[MarginCard]


class MarginPage(msgspec.Struct, frozen=True, kw_only=True):
    """All routes of a workspace, or of all, in a period. `complete` when all that is on record is in it."""

    workspace_id: str | None
    zone: str
    period: Span
    complete: bool
    rounding: Rounding
    rows: list[MarginRow]
