"""What a receipt says, as plain structs: for the server that makes it, for clients and for pages that show it.

No framework and no database driver is imported. No struct holds amounts of two units beside each other: where two
buckets meet, each has a struct of its own. What only the platform may see is all in `Receipt.platform`; a
`CustomerReceipt` has no such field.
"""

import msgspec

from ledger.core.amounts import StatedAmount
from projections.api.answers import EntryLeg
from projections.receipt.moments import AnyMoment


class SkippedCandidate(msgspec.Struct, frozen=True):
    """A route that was not taken, and the gateway's reason."""

    route: str
    reason: str


class Choice(msgspec.Struct, frozen=True):
    """Why a route and with it a bucket was chosen: at the beginning, and again at every fallback."""

    position: int
    route: str
    tier: str
    bucket: str
    rule: str
    skipped: list[SkippedCandidate]
    text: str


class RouteTaken(msgspec.Struct, frozen=True):
    """The route that the request is on, or ended on. `model` is what was asked of the upstream."""

    route: str
    tier: str
    model: str
    bucket: str
    unit: str
    priced_by: str


class TokenEstimate(msgspec.Struct, frozen=True):
    """The tokens that the hold was sized for."""

    input_tokens: int
    output_tokens: int


class TokenCount(msgspec.Struct, frozen=True):
    """The tokens of one part. `model` where another model than the reported one used them."""

    part: str
    tokens: int
    model: str | None


class TokensUsed(msgspec.Struct, frozen=True):
    """What the answer used: totals of the reported model, and all parts. `text` says where the numbers come from.

    `terms` are what the upstream billed under, where the rate card does not name it.
    """

    reported_model: str
    input_tokens: int
    output_tokens: int
    parts: list[TokenCount]
    source: str
    policy: str | None
    terms: list[str]
    text: str


class PricedLine(msgspec.Struct, frozen=True):
    """tokens × rate ÷ 1,000,000 = exact, rounded to amount. The same for the list price, where the card has one."""

    part: str
    model: str | None
    tokens: int
    rate: str
    exact: str
    amount: StatedAmount
    list_rate: str | None
    list_amount: StatedAmount | None
    discount: StatedAmount | None


class UnpricedTokens(msgspec.Struct, frozen=True):
    """Tokens for which the rate card has no rate: not charged, listed, and priced later by a correction."""

    part: str
    model: str | None
    tokens: int


class Calculation(msgspec.Struct, frozen=True):
    """The arithmetic of a charge, all in the bucket's own unit.

    `rated` is the sum of the lines, `list_price` the same at list prices (lines without one at their amount),
    `discount` what lies between them. Both are null where no line has a list price.
    """

    bucket: str
    rate_card: str
    valid_from: str
    rounding: str
    model_mismatch: bool
    lines: list[PricedLine]
    unpriced: list[UnpricedTokens]
    rated: StatedAmount
    list_price: StatedAmount | None
    discount: StatedAmount | None
    text: str


class Settlement(msgspec.Struct, frozen=True):
    """How the charge was made up and paid. rated = charge + waived; hold = captured + released.

    A workspace sees as `charge` what was paid, captured + from available, and all the rest as `waived`. `late` is how
    the hold had ended before, when the settlement came after its end.
    """

    position: int
    attempt: int
    bucket: str
    rated: StatedAmount
    waived: StatedAmount
    charge: StatedAmount
    captured: StatedAmount
    released: StatedAmount
    from_available: StatedAmount
    late: str | None
    latency_ms: int
    first_token_ms: int | None
    text: str


class BucketTotals(msgspec.Struct, frozen=True):
    """All that the request did to one wallet.

    held = captured + released + still_held; paid = captured + from_available + corrected − refunded.
    """

    bucket: str
    held: StatedAmount
    released: StatedAmount
    captured: StatedAmount
    still_held: StatedAmount
    from_available: StatedAmount
    corrected: StatedAmount
    refunded: StatedAmount
    paid: StatedAmount


class WalletEntry(msgspec.Struct, frozen=True):
    """What one event did to the wallet of one bucket, and where it stands in the chained book. `digest` in hex."""

    position: int
    tag: str
    bucket: str
    posted_change: StatedAmount
    held_change: StatedAmount
    digest: str


class LedgerEntry(msgspec.Struct, frozen=True):
    """One event's entry in one bucket, with the accounts of the general ledger."""

    position: int
    tag: str
    bucket: str
    legs: list[EntryLeg]


class AttemptCost(msgspec.Struct, frozen=True):
    """What an attempt cost us at its provider, in the provider's unit; null is unknown, never zero."""

    attempt: int
    route: str
    provider: str
    served: bool
    cost: StatedAmount | None


class PriceSource(msgspec.Struct, frozen=True):
    """Where a rate card's prices were taken from, and how they became rates of the bucket's unit."""

    rate_card: str
    source: str
    source_unit: str | None
    units_per_source_unit: str | None
    factor: str | None
    snapshot_digest: str | None


class RouteProvider(msgspec.Struct, frozen=True):
    """Who serves a route that the receipt names."""

    route: str
    provider: str


class Act(msgspec.Struct, frozen=True):
    """Who caused an event, under which identity, and the reason where a person gave one."""

    position: int
    command_id: str
    actor: str
    reason: str | None


class AppliedPolicy(msgspec.Struct, frozen=True):
    """A policy that had a say in the request, by its name and in words."""

    policy: str
    text: str


class PlatformFacts(msgspec.Struct, frozen=True):
    """What a workspace never sees. `overrun` is what of the charge no balance could pay, as it stands now."""

    provider: str | None
    providers: list[RouteProvider]
    overrun: StatedAmount | None
    costs: list[AttemptCost]
    price_sources: list[PriceSource]
    entries: list[LedgerEntry]
    acts: list[Act]


class CustomerReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one request that its workspace may know, at a position of its book.

    A key of a workspace gets this and nothing else. Its words leave out what is the platform's alone.
    """

    workspace_id: str
    request_id: str
    status: str
    summary: str
    position: int
    began_at: str
    changed_at: str
    trace_id: str | None
    model: str | None
    project_id: str | None
    api_key_id: str | None
    end_user: str | None
    workflow: str | None
    run: str | None
    step: str | None
    route: RouteTaken | None
    choices: list[Choice]
    estimate: TokenEstimate | None
    policies: list[AppliedPolicy]
    attempts: int
    retries: int
    fallbacks: int
    timeline: list[AnyMoment]
    usage: TokensUsed | None
    calculation: Calculation | None
    settlement: Settlement | None
    totals: list[BucketTotals]
    entries: list[WalletEntry]


class Receipt(CustomerReceipt, frozen=True, kw_only=True):
    """Everything about one request, as a key of the platform gets it: the same with what is the platform's alone."""

    platform: PlatformFacts
