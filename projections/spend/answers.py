"""What spend is answered with, as plain structs: for the server that makes them and for clients that read them.

No framework and no database driver is imported. A row has one bucket, and all its amounts are in that bucket's unit,
but for what providers bill: each bill's unit stands by itself. What only the platform may see is all in `platform`.
"""

import msgspec

from ledger.core.amounts import StatedAmount
from projections.change.answers import Span

__all__ = [
    "CustomerSpendPage", "CustomerSpendRow", "ProviderCost", "SpendCharge", "SpendDiscount", "SpendHead",
    "SpendPage", "SpendPlatform", "SpendRow", "SpendTokens",
]  # fmt: skip


class SpendTokens(msgspec.Struct, frozen=True):
    """Tokens of the requests that were settled. Parts are disjoint; those that are no tokens are in neither total."""

    input: int
    output: int
    parts: dict[str, int]


class SpendCharge(msgspec.Struct, frozen=True):
    """What was charged: owed = charged + corrected − refunded.

    `charged` is as settled; corrections and refunds stand where they happened, whenever the request was settled.
    `waived` is what usage came to and was not charged. To a customer, what no balance has paid is waived.
    """

    owed: StatedAmount
    charged: StatedAmount
    corrected: StatedAmount
    refunded: StatedAmount
    waived: StatedAmount


class SpendDiscount(msgspec.Struct, frozen=True):
    """Of the requests that have list prices: what they came to, and at list prices; discount = list price − rated."""

    rated: StatedAmount
    list_price: StatedAmount
    discount: StatedAmount


class ProviderCost(msgspec.Struct, frozen=True):
    """What providers bill in one unit: for so many requests that were settled, and as waste for failed attempts."""

    unit: str
    cost: StatedAmount
    requests: int
    waste: StatedAmount
    failed_attempts: int


class SpendPlatform(msgspec.Struct, frozen=True):
    """What customers never see: `overrun`, which no balance could pay of the charge, and what corrections undid of it.

    What requests and failed attempts cost of which no cost is known is unknown, not zero.
    """

    overrun: StatedAmount
    undone: StatedAmount
    costs: list[ProviderCost]
    requests_without_cost: int
    failed_attempts_without_cost: int


class CustomerSpendRow(msgspec.Struct, frozen=True, kw_only=True):
    """One span of time, one bucket, and one value of each dimension in `by`, null where requests have none.

    A request counts when it ends. Calls that were refused have no bucket yet: they stand in rows of their own, without
    amounts, and `refused_calls` is null in all others, and everywhere where they are not told apart as is asked.
    """

    begins_at: str
    ends_at: str
    by: dict[str, str | None]
    bucket: str | None
    unit: str | None
    requests: int
    settled: int
    failed: int
    cancelled: int
    expired: int
    estimated: int
    unpriced: int
    retries: int
    fallbacks: int
    failed_attempts: int
    refused_calls: int | None
    tokens: SpendTokens
    charge: SpendCharge | None
    discount: SpendDiscount | None


class SpendRow(CustomerSpendRow, frozen=True, kw_only=True):
    """The same for the platform."""

    platform: SpendPlatform | None


class SpendHead(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked, and whether all that is on record is in the answer.

    `knows_refused_calls` is whether calls that were refused can be told as is asked.
    """

    zone: str
    period: Span
    every: str
    by: list[str]
    complete: bool
    knows_refused_calls: bool


class CustomerSpendPage(SpendHead, frozen=True, kw_only=True):
    """Rows in the order of time, bucket and values. `next_cursor` leads on while `has_more`."""

    data: list[CustomerSpendRow]
    next_cursor: str | None
    has_more: bool


class SpendPage(SpendHead, frozen=True, kw_only=True):
    """The same for the platform."""

    data: list[SpendRow]
    next_cursor: str | None
    has_more: bool
