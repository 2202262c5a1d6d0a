"""What an explanation says, as plain structs: for the server that makes it, for clients and for pages that show it.

Every amount is in the unit of the place that it stands in, one bucket's or one provider bill's; places are never added.
Instants are texts with a zone.
"""

from typing import Literal

import msgspec

from ledger.core.amounts import StatedAmount


class Span(msgspec.Struct, frozen=True):
    """A period: from its first instant to just before its end, both as the clocks of the zone show them."""

    begins_at: str
    ends_at: str


class RequestsBehind(msgspec.Struct, frozen=True):
    """How many requests are behind a reason, and the parameters under which `/ledger/v1/requests` lists them.

    Counted are those that ended in the period, as spend counts them; listed are those that began in it.
    """

    requests: int
    query: dict[str, str]


class About(msgspec.Struct, frozen=True):
    """What a part is about: a dimension and its value."""

    dimension: str
    value: str


class TermPart(msgspec.Struct, frozen=True):
    """A part of a term. Across buckets the other side is counted in requests and tokens, never in money."""

    about: list[About]
    effect: StatedAmount
    requests_before: int
    requests_after: int
    tokens_before: int
    tokens_after: int


class ChangeTerm(msgspec.Struct, frozen=True):
    """One cause and what it adds to the difference.

    `share` is its part of the difference in percent, with one digit; null where there is no difference.
    """

    term: str
    title: str
    effect: StatedAmount
    share: str | None
    parts: list[TermPart]


class ChangeReason(msgspec.Struct, frozen=True):
    """One of the largest reasons, as a sentence with numbers."""

    term: str
    text: str
    effect: StatedAmount
    behind: RequestsBehind


class ChangeAnswer(msgspec.Struct, frozen=True):
    """One of the six questions. `measure` says what `before` and `after` count; `rule` when the answer is yes.

    `effect` is null where the question has no money here, as retries under `charge`. The answer is `unknown` only
    for deep models while no route states its depth.
    """

    question: str
    text: str
    measure: str
    before: str
    after: str
    effect: StatedAmount | None
    answer: Literal["yes", "no", "unknown"]
    rule: str


class ChangeGroup(msgspec.Struct, frozen=True):
    """One value of the dimension that was asked for, explained by itself. `others` sums up what is not listed."""

    value: str | None
    others: int
    before: StatedAmount
    after: StatedAmount
    difference: StatedAmount
    terms: list[ChangeTerm]


class ChangeOfPlace(msgspec.Struct, frozen=True):
    """The change in one bucket, or in one unit of the providers' bills: `before` + all terms = `after`."""

    bucket: str | None
    unit: str
    before: StatedAmount
    after: StatedAmount
    difference: StatedAmount
    requests_before: int
    requests_after: int
    summary: str
    reasons: list[ChangeReason]
    answers: list[ChangeAnswer]
    terms: list[ChangeTerm]
    groups: list[ChangeGroup]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Why charge or cost differs between two periods, place by place. Two places are never added.

    `complete` is false while the route ledger has not followed all books to their ends.
    """

    measure: Literal["charge", "cost"]
    workspace_id: str | None
    zone: str
    before: Span
    after: Span
    by: str | None
    complete: bool
    places: list[ChangeOfPlace]
    method: str
