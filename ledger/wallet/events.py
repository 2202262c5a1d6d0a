"""What can happen to a wallet beside requests. Stored for ever: fields are only ever added, with a default.

Money fields end in `_minor` and count smallest parts of the event's own `unit`.
"""

import msgspec


class Paid(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the customer paid for funds, in the currency of the payment: ¥200 by Alipay may buy CREDIT.

    A memo in decimal text, never added to a balance.
    """

    amount: str
    currency: str
    fee: str | None = None
    external_id: str | None = None


class WalletEvent(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="tag"):
    """Base of all events in a wallet's stream."""


class WalletOpened(WalletEvent, frozen=True, tag="wallet_opened.v1"):
    """A workspace has a balance in a bucket from now on, in the bucket's unit at the bucket's scale."""

    bucket: str
    unit: str
    scale: int
    credit_limit_minor: int = 0


class CreditLimitChanged(WalletEvent, frozen=True, tag="credit_limit_changed.v1"):
    """How far the available balance may go below what was posted. May leave available below zero."""

    bucket: str
    unit: str
    credit_limit_minor: int
    previous_minor: int


class WalletFrozen(WalletEvent, frozen=True, tag="wallet_frozen.v1"):
    """No new holds, extensions or exchanges out of this wallet. Everything else goes on."""

    bucket: str


class WalletUnfrozen(WalletEvent, frozen=True, tag="wallet_unfrozen.v1"):
    """Holds, extensions and exchanges are possible again."""

    bucket: str


class FundsAdded(WalletEvent, frozen=True, tag="funds_added.v1"):
    """A payment arrived from a source under the source's own reference."""

    bucket: str
    unit: str
    amount_minor: int
    source: str
    reference: str
    paid: Paid | None = None


class FundsGranted(WalletEvent, frozen=True, tag="funds_granted.v1"):
    """An amount was given without a payment."""

    bucket: str
    unit: str
    amount_minor: int
    grant_id: str


class FundsReversed(WalletEvent, frozen=True, tag="funds_reversed.v1"):
    """A payment was taken back, wholly or in part (a chargeback). May leave available below zero."""

    bucket: str
    unit: str
    amount_minor: int
    source: str
    reference: str
    reversal_id: str
    paid: Paid | None = None


class FundsWithdrawn(WalletEvent, frozen=True, tag="funds_withdrawn.v1"):
    """An amount was paid out to the customer."""

    bucket: str
    unit: str
    amount_minor: int
    source: str
    reference: str
    paid: Paid | None = None


class AdjustmentPosted(WalletEvent, frozen=True, tag="adjustment_posted.v1"):
    """Finance changed a balance by a signed amount with a stated reason. May leave available below zero."""

    bucket: str
    unit: str
    amount_minor: int
    adjustment_id: str


class BucketExchanged(WalletEvent, frozen=True, tag="bucket_exchanged.v1"):
    """An amount of one bucket was given for an amount of another, at a stated rate and rounding.

    `rate` is decimal text: units of the target per unit of the source.
    """

    exchange_id: str
    from_bucket: str
    from_unit: str
    from_minor: int
    to_bucket: str
    to_unit: str
    to_minor: int
    rate: str
    rounding: str
