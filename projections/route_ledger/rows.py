"""A row of the route ledger: everything that one request can tell, as its events have left it so far.

Fields stand in the order of the columns of `projections.request`. Money fields end in `_minor` and count smallest
parts: the customer's in `unit`, the provider's in `cost_unit`. Instants are microseconds since 1970 (UTC).
"""

import msgspec

__all__ = [
    "Amendment",
    "Detail",
    "FailedAttempt",
    "Move",
    "PlacedEntry",
    "RequestRow",
    "RouteTaken",
    "Skipped",
    "TokenLine",
]


class TokenLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens of one part. Without a rate they were not priced, or their price is the caller's own.

    `model` is another model than the reported one that used them.
    """

    part: str
    tokens: int
    rate: str = ""
    rated_minor: int = 0
    list_minor: int | None = None
    model: str | None = None


class FailedAttempt(msgspec.Struct, frozen=True, omit_defaults=True):
    """An upstream call that served nobody, in the bucket in which its route was tried. No cost is unknown, not zero.

    `happened_at` is when it counts. Where that is later, as its month was closed, `served_at` is when it really was.
    """

    attempt: int
    route: str
    tier: str
    provider: str
    bucket: str
    failure: str
    retried: bool
    happened_at: int
    latency_ms: int
    http_status: int | None = None
    cost_minor: int | None = None
    cost_unit: str | None = None
    served_at: int | None = None


class RouteTaken(msgspec.Struct, frozen=True):
    """A route that the request was on, in order: its first one, and where each fallback led."""

    route: str
    tier: str
    provider: str
    bucket: str


class Skipped(msgspec.Struct, frozen=True):
    """A candidate that was not taken, and the gateway's reason."""

    route: str
    reason: str


class Move(msgspec.Struct, frozen=True):
    """A fallback: from which route and bucket to which, and why."""

    position: int
    happened_at: int
    from_route: str
    to_route: str
    from_bucket: str
    to_bucket: str
    failure: str


class Amendment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A refund or a correction of the charge: what it changes in what is owed, less is negative.

    A correction downwards first undoes what no balance had paid, `undone_minor` of the change.
    """

    kind: str
    happened_at: int
    change_minor: int
    undone_minor: int = 0
    cause: str = ""


class PlacedEntry(msgspec.Struct, frozen=True, array_like=True):
    """Where one of the request's journal entries stands."""

    bucket: str
    position: int


class Detail(msgspec.Struct, omit_defaults=True):
    """What of a request is listed. `own_entries` are those between the platform's own accounts: no wallet moves.

    `served_at` is when the request really ended where it counts later, as that month was closed.
    """

    routes: list[RouteTaken] = []
    lines: list[TokenLine] = []
    failures: list[FailedAttempt] = []
    moves: list[Move] = []
    amendments: list[Amendment] = []
    entries: list[PlacedEntry] = []
    own_entries: list[PlacedEntry] = []
    skipped: list[Skipped] = []
    terms: list[str] = []
    served_at: int | None = None


class RequestRow(msgspec.Struct):
    """One request. Changed in place while its events are folded.

    `began_at` is when it really began, `ended_at` when its end counts: later than it was where that month was closed.
    charge = paid + overrun, as they stand after corrections; what was refunded is still in `paid_minor`. `listed_minor`
    is what the lines came to where any of them has a list price, beside `list_minor`.
    """

    workspace_id: str
    generation: int
    request_id: str
    position: int
    last_position: int
    status: str
    began_at: int
    changed_at: int
    ended_at: int | None
    expires_at: int
    project_id: str
    api_key_id: str
    end_user: str | None
    workflow: str | None
    run: str | None
    step: str | None
    model: str
    route: str
    tier: str
    provider: str
    upstream_model: str
    reported_model: str | None
    bucket: str
    unit: str
    rule: str
    first_route: str
    first_bucket: str
    first_rate_card: str | None
    rate_card: str | None
    priced_by: str
    attempts: int
    retries: int
    fallbacks: int
    went_wrong: bool
    input_tokens: int | None
    output_tokens: int | None
    usage_source: str | None
    policy: str | None
    held_minor: int
    charge_minor: int | None
    paid_minor: int | None
    refunded_minor: int
    list_minor: int | None
    listed_minor: int | None
    waived_minor: int | None
    overrun_minor: int | None
    latency_ms: int | None
    first_token_ms: int | None
    cost_minor: int | None
    cost_unit: str | None
    unpriced: bool
    model_mismatch: bool
    trace_id: str | None
    detail: Detail
