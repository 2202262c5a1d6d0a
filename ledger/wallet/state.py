"""A wallet's balances, and the movements that events make in them."""

import msgspec

from ledger.core.amounts import Unit
from ledger.wallet import events


class WalletState(msgspec.Struct, frozen=True):
    """One workspace's balance in one bucket, in smallest parts of its unit.

    posted: what came in less what was charged and paid out; held: what open requests have reserved.
    """

    bucket: str
    unit: str
    scale: int
    posted_minor: int = 0
    held_minor: int = 0
    credit_limit_minor: int = 0
    frozen: bool = False
    version: int = 0

    @property
    def available_minor(self) -> int:
        """What a new hold may take: posted − held + credit limit."""
        return self.posted_minor - self.held_minor + self.credit_limit_minor

    @property
    def measure(self) -> Unit:
        """The unit with its scale."""
        return Unit(self.unit, self.scale)


class Payment(msgspec.Struct, frozen=True):
    """A payment that arrived, and how much of it was taken back since."""

    bucket: str
    amount_minor: int
    reversed_minor: int = 0


def move(wallet: WalletState, posted_minor: int, held_minor: int) -> WalletState:
    """Return the wallet after posted and held changed by these signed amounts."""
    return WalletState(
        wallet.bucket,
        wallet.unit,
        wallet.scale,
        wallet.posted_minor + posted_minor,
        wallet.held_minor + held_minor,
        wallet.credit_limit_minor,
        wallet.frozen,
        wallet.version,
    )


def fold_wallet(wallet: WalletState | None, event: events.WalletEvent, bucket: str) -> WalletState:
    """Return what an event of a wallet's stream makes of the wallet of `bucket`."""
    if isinstance(event, events.WalletOpened):
        return WalletState(event.bucket, event.unit, event.scale, credit_limit_minor=event.credit_limit_minor)
    if wallet is None:
        raise ValueError(f"{type(event).__name__} on a wallet that was never opened: {bucket}")
    match event:
        case events.CreditLimitChanged(credit_limit_minor=limit):
            return msgspec.structs.replace(wallet, credit_limit_minor=limit)
        case events.WalletFrozen():
            return msgspec.structs.replace(wallet, frozen=True)
        case events.WalletUnfrozen():
            return msgspec.structs.replace(wallet, frozen=False)
        case events.FundsAdded() | events.FundsGranted() | events.AdjustmentPosted():
            return move(wallet, event.amount_minor, 0)
        case events.FundsReversed() | events.FundsWithdrawn():
            return move(wallet, -event.amount_minor, 0)
        case events.BucketExchanged():
            return move(wallet, -event.from_minor if bucket == event.from_bucket else event.to_minor, 0)
    raise TypeError(f"{type(event).__name__} is no event of a wallet")


def buckets_of(event: events.WalletEvent) -> tuple[str, ...]:
    """Return the buckets whose wallets an event of a wallet's stream changes, its own stream's first."""
    if isinstance(event, events.BucketExchanged):
        return event.from_bucket, event.to_bucket
    return (event.bucket,)  # type: ignore[attr-defined]


def fold_payment(payment: Payment | None, event: events.FundsAdded | events.FundsReversed) -> Payment:
    """Return what an event makes of the payment with its source and reference."""
    if isinstance(event, events.FundsAdded):
        return Payment(event.bucket, event.amount_minor)
    if payment is None:
        raise ValueError(f"a reversal of an unknown payment {event.source}/{event.reference}")
    return Payment(payment.bucket, payment.amount_minor, payment.reversed_minor + event.amount_minor)
