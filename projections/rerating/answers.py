"""What re-rating answers, as plain structs: for the server that makes it and for clients that read it.

No framework and no database driver is imported. One card prices one route, and a route settles in one bucket: all
amounts of a page are in that bucket's unit.
"""

from typing import Literal

import msgspec

from ledger.core.amounts import StatedAmount

__all__ = ["Outcome", "RatedLine", "RerateLine", "ReratePage", "Reratings", "Why"]

Outcome = Literal["changed", "unchanged", "applied", "impossible"]
"""What the card does to a request: another charge, the same, it was corrected by it before, or it cannot be said."""

Why = Literal[
    "caller_priced",
    "corrected_by_hand",
    "corrected_since",
    "unpriced",
    "correction_exceeds_paid",
    "amount_out_of_range",
    "other",
]
"""Why a request cannot be rated anew: the closed list."""


class RatedLine(msgspec.Struct, frozen=True):
    """Tokens of one part at one rate per million, and what they come to."""

    part: str
    model: str | None
    tokens: int
    rate: str
    amount: StatedAmount


class RerateLine(msgspec.Struct, frozen=True, kw_only=True):
    """One settled request under the card: difference = new_charge − charge.

    `charge` is as it stands, under `rate_card` where one rated it. Where it is `impossible`, `new_charge` and
    `difference` are null and `why` and `text` say the reason. Where it is `applied`, `corrected` is by how much the
    card had changed it. `waived` is what the new lines come to above the most that the request may be charged.
    """

    workspace_id: str
    request_id: str
    settled_at: str
    outcome: Outcome
    why: Why | None
    text: str | None
    rate_card: str | None
    usage_source: str
    model_mismatch: bool
    charge: StatedAmount
    new_charge: StatedAmount | None
    difference: StatedAmount | None
    corrected: StatedAmount | None
    waived: StatedAmount | None
    lines: list[RatedLine]
    new_lines: list[RatedLine]


class ReratePage(msgspec.Struct, frozen=True):
    """Some requests in the order of time, book by book. `next_cursor` leads on while `has_more`, even from none."""

    rate_card: str
    route: str
    bucket: str
    unit: str
    scale: int
    begins_at: str
    ends_at: str
    correction_id: str
    data: list[RerateLine]
    next_cursor: str | None
    has_more: bool


class Reratings(msgspec.Struct, kw_only=True):
    """What a period comes to in its one bucket: counts of requests, and amounts of the bucket's unit.

    `charge`, `new_charge` and `difference` are those of the requests that change; `corrected` of those that the card
    corrected before. `estimated` and `mismatched` are among the changed.
    """

    bucket: str
    charge: StatedAmount
    new_charge: StatedAmount
    difference: StatedAmount
    corrected: StatedAmount
    requests: int = 0
    changed: int = 0
    unchanged: int = 0
    applied: int = 0
    impossible: dict[Why, int] = {}
    estimated: int = 0
    mismatched: int = 0
