"""What the route ledger answers, as plain structs: for the server that makes it and for clients that read it.

No framework and no database driver is imported. Amounts that stand beside each other are in one unit: the customer's
in the bucket's own, each cost of a provider in an object of its own. What only the platform may see is all in
`platform`: a line and a total for customers have no such field.
"""

import msgspec

from ledger.core.amounts import StatedAmount
from projections.receipt.answers import PriceSource, RouteProvider, SkippedCandidate, TokenCount

__all__ = [
    "BucketTotal",
    "CustomerBucketTotal",
    "CustomerRequestLine",
    "CustomerRequestsPage",
    "CustomerRouteTotal",
    "CustomerRunView",
    "CustomerTotal",
    "EntryPlace",
    "FailedCall",
    "FailedCost",
    "FallbackStep",
    "RequestLine",
    "RequestPlatform",
    "RequestsPage",
    "RouteTotal",
    "RunHead",
    "RunView",
    "ServedCost",
    "TotalPlatform",
]


class FallbackStep(msgspec.Struct, frozen=True):
    """A move to another route. The bucket that pays may change with it, never unseen."""

    position: int
    at: str
    from_route: str
    from_bucket: str
    to_route: str
    to_bucket: str
    failure: str


class FailedCall(msgspec.Struct, frozen=True):
    """An upstream call that served nobody. Nothing is charged for it."""

    attempt: int
    route: str
    bucket: str
    failure: str
    http_status: int | None
    retried: bool
    at: str
    latency_ms: int


class EntryPlace(msgspec.Struct, frozen=True):
    """Where one of the request's journal entries stands in the book."""

    bucket: str
    position: int


class CustomerRequestLine(msgspec.Struct, frozen=True, kw_only=True):
    """One request in the route ledger, as its workspace may see it. All amounts are in the bucket's unit.

    list_price − discount = charge − corrected + waived; paid = charge − refunded. Before a request is settled its
    amounts are null, but for what is held. `upstream_model` is what was asked of the upstream, `reported_model` what
    it said had answered.
    """

    workspace_id: str
    request_id: str
    status: str
    began_at: str
    ended_at: str | None
    changed_at: str
    expires_at: str
    position: int
    last_position: int
    project_id: str
    api_key_id: str
    end_user: str | None
    workflow: str | None
    run: str | None
    step: str | None
    trace_id: str | None
    model: str
    route: str
    tier: str
    upstream_model: str
    reported_model: str | None
    bucket: str
    unit: str
    rule: str
    skipped: list[SkippedCandidate]
    fallback_chain: list[FallbackStep]
    attempts: int
    retries: int
    fallbacks: int
    failures: list[FailedCall]
    input_tokens: int | None
    output_tokens: int | None
    tokens: list[TokenCount]
    usage_source: str | None
    policy: str | None
    terms: list[str]
    priced_by: str
    rate_card: str | None
    model_mismatch: bool
    unpriced: bool
    held: StatedAmount
    charge: StatedAmount | None
    list_price: StatedAmount | None
    discount: StatedAmount | None
    waived: StatedAmount | None
    corrected: StatedAmount | None
    refunded: StatedAmount | None
    paid: StatedAmount | None
    latency_ms: int | None
    first_token_ms: int | None
    entries: list[EntryPlace]


class FailedCost(msgspec.Struct, frozen=True):
    """What a failed attempt cost at its provider, in the provider's unit; null is unknown, never zero."""

    attempt: int
    route: str
    provider: str
    cost: StatedAmount | None


class ServedCost(msgspec.Struct, frozen=True):
    """What the provider bills for the attempt that served, in its own unit; null is unknown, never zero."""

    route: str
    provider: str
    cost: StatedAmount | None


class RequestPlatform(msgspec.Struct, frozen=True):
    """What a workspace never sees of a request. Costs are in the providers' units and never added.

    `overrun` is what of the charge no balance could pay: for the platform paid = charge − overrun − refunded.
    """

    provider: str
    providers: list[RouteProvider]
    served_cost: ServedCost | None
    failed_costs: list[FailedCost]
    overrun: StatedAmount | None
    price_sources: list[PriceSource]
    entries: list[EntryPlace]


class RequestLine(CustomerRequestLine, frozen=True, kw_only=True):
    """One request in the route ledger, as the platform sees it. `charge` is what is owed, `waived` what was forgiven.

    `entries` have those between the platform's own accounts in `platform`.
    """

    platform: RequestPlatform


class CustomerRequestsPage(msgspec.Struct, frozen=True):
    """Some requests, the latest first. `next_cursor` leads on while `has_more`, even from a page that is short."""

    data: list[CustomerRequestLine]
    next_cursor: str | None
    has_more: bool


class RequestsPage(msgspec.Struct, frozen=True):
    """Some requests as the platform sees them."""

    data: list[RequestLine]
    next_cursor: str | None
    has_more: bool


class CustomerTotal(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did in one bucket, or on one of its routes. All amounts are in the bucket's unit.

    Requests count where they are now or ended, failed attempts and retries where they failed. `held` is what open
    requests have reserved at this moment; paid = charge − refunded.
    """

    requests: int
    open: int
    settled: int
    failed: int
    cancelled: int
    expired: int
    estimated: int
    failed_attempts: int
    retries: int
    fallbacks: int
    input_tokens: int
    output_tokens: int
    held: StatedAmount
    charge: StatedAmount
    refunded: StatedAmount
    paid: StatedAmount


class TotalPlatform(msgspec.Struct, frozen=True):
    """What a workspace never sees of a total: costs, with one amount for each unit in which providers bill.

    `waste` is the cost of failed attempts. `without_cost` settled requests and `waste_unknown` failed attempts have a
    cost that nobody stated: it is not in these amounts, and it is not zero. paid = charge − overrun − refunded.
    """

    overrun: StatedAmount
    costs: list[StatedAmount]
    without_cost: int
    waste: list[StatedAmount]
    waste_unknown: int


class CustomerRouteTotal(CustomerTotal, frozen=True, kw_only=True):
    """What a run did on one route in one bucket."""

    route: str


class RouteTotal(CustomerRouteTotal, frozen=True, kw_only=True):
    """What a run did on one route in one bucket, as the platform sees it."""

    platform: TotalPlatform


class CustomerBucketTotal(CustomerTotal, frozen=True, kw_only=True):
    """What a run did in one bucket, and on each of its routes. Buckets are never added to each other."""

    bucket: str
    unit: str
    routes: list[CustomerRouteTotal]


class BucketTotal(CustomerTotal, frozen=True, kw_only=True):
    """What a run did in one bucket, as the platform sees it."""

    bucket: str
    unit: str
    routes: list[RouteTotal]
    platform: TotalPlatform


class RunHead(msgspec.Struct, frozen=True, kw_only=True):
    """A run of a workflow: what can be counted over all buckets. `status` is `running` while a request is open.

    `ended_at` is when the last request ended, null while one is open: a run itself has no end, more may follow.
    """

    workspace_id: str
    run: str
    status: str
    workflows: list[str]
    began_at: str
    changed_at: str
    ended_at: str | None
    requests: int
    open: int
    settled: int
    failed: int
    cancelled: int
    expired: int
    failed_attempts: int
    retries: int
    fallbacks: int
    input_tokens: int
    output_tokens: int


class CustomerRunView(RunHead, frozen=True, kw_only=True):
    """A run with its totals per bucket and a page of its requests, in order of time."""

    buckets: list[CustomerBucketTotal]
    data: list[CustomerRequestLine]
    next_cursor: str | None
    has_more: bool


class RunView(RunHead, frozen=True, kw_only=True):
    """A run as the platform sees it."""

    buckets: list[BucketTotal]
    data: list[RequestLine]
    next_cursor: str | None
    has_more: bool
