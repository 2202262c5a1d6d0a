"""May a wallet do this? Pure: (wallets, command) → event, or a refusal that says what is missing."""

from collections.abc import Mapping

from ledger.catalog.state import Catalog
from ledger.core.amounts import BALANCE_MINOR_MAX, Unit, format_minor, parse_amount
from ledger.core.refusals import Refusal, Refused
from ledger.core.rounding import divide
from ledger.pricing.rate_cards import parse_rate
from ledger.wallet import commands, events
from ledger.wallet.state import Payment, WalletState

Wallets = Mapping[str, WalletState]


def wallet_of(wallets: Wallets, bucket: str, catalog: Catalog) -> WalletState:
    """Return the open wallet of a bucket, else refuse."""
    wallet = wallets.get(bucket)
    if wallet is not None:
        return wallet
    if bucket not in catalog.buckets:
        raise Refused(Refusal.BUCKET_UNKNOWN, f"there is no bucket {bucket[:64]!r}", field="bucket")
    raise Refused(Refusal.WALLET_UNKNOWN, f"the workspace has no wallet in bucket {bucket}", field="bucket")


def require_not_frozen(wallet: WalletState) -> None:
    """Refuse when the wallet is frozen."""
    if wallet.frozen:
        raise Refused(
            Refusal.WALLET_FROZEN,
            f"the wallet {wallet.bucket} is frozen; an admin can unfreeze it",
            bucket=wallet.bucket,
        )


def require_available(
    wallet: WalletState, needed_minor: int, returning_minor: int = 0, own_held_minor: int = 0
) -> None:
    """Refuse when available, with what the same command gives back, does not cover what is needed.

    Only other open holds in the way is another refusal than no balance: the first passes by itself.
    """
    available = wallet.available_minor + returning_minor
    if needed_minor <= available:
        return
    held_by_others = wallet.held_minor - max(returning_minor, own_held_minor)
    is_held = needed_minor <= available + held_by_others
    code = Refusal.AVAILABLE_IS_HELD if is_held else Refusal.INSUFFICIENT_AVAILABLE
    raise Refused(
        code,
        f"{format_minor(needed_minor, wallet.scale)} {wallet.unit} needed in bucket {wallet.bucket}, "
        f"{format_minor(available, wallet.scale)} available, "
        f"{format_minor(wallet.held_minor, wallet.scale)} held",
        bucket=wallet.bucket,
        unit=wallet.unit,
        needed=format_minor(needed_minor, wallet.scale),
        available=format_minor(available, wallet.scale),
        held=format_minor(wallet.held_minor, wallet.scale),
    )


def require_range(wallet: WalletState, change_minor: int) -> None:
    """Refuse when posted would leave the range that every balance keeps."""
    if abs(wallet.posted_minor + change_minor) > BALANCE_MINOR_MAX:
        raise Refused(
            Refusal.BALANCE_OUT_OF_RANGE,
            f"the balance of {wallet.bucket} would leave its range",
            bucket=wallet.bucket,
        )


def decide_wallet(
    command: commands.WalletCommand,
    wallets: Wallets,
    catalog: Catalog,
    payments: Mapping[tuple[str, str], Payment],
) -> events.WalletEvent:
    """Return the event of a command on a wallet, or refuse. `payments` are by source and reference."""
    if isinstance(command, commands.OpenWallet):
        return open_wallet(command, wallets, catalog)
    wallet = wallet_of(wallets, command.bucket, catalog)
    match command:
        case commands.AddFunds() | commands.GrantFunds() | commands.PostAdjustment():
            return put_in(command, wallet)
        case commands.ReverseFunds():
            return reverse(command, wallet, payments.get((command.source, command.reference)))
        case commands.WithdrawFunds():
            return withdraw(command, wallet)
        case commands.ExchangeBuckets():
            return exchange(command, wallet, wallets, catalog)
        case commands.SetCreditLimit():
            limit = parse_amount(command.credit_limit, wallet.measure, "credit_limit", zero=True)
            return events.CreditLimitChanged(wallet.bucket, wallet.unit, limit.minor, wallet.credit_limit_minor)
        case commands.FreezeWallet():
            if wallet.frozen:
                raise Refused(Refusal.WALLET_FROZEN_ALREADY, f"the wallet {wallet.bucket} is frozen already")
            return events.WalletFrozen(wallet.bucket)
        case commands.UnfreezeWallet():
            if not wallet.frozen:
                raise Refused(Refusal.WALLET_NOT_FROZEN, f"the wallet {wallet.bucket} is not frozen")
            return events.WalletUnfrozen(wallet.bucket)
    raise TypeError(f"{type(command).__name__} is no command on a wallet")


def open_wallet(command: commands.OpenWallet, wallets: Wallets, catalog: Catalog) -> events.WalletOpened:
    """Open a wallet in the bucket's unit, or refuse."""
    bucket = catalog.buckets.get(command.bucket)
    if bucket is None:
        raise Refused(Refusal.BUCKET_UNKNOWN, f"there is no bucket {command.bucket[:64]!r}", field="bucket")
    if command.bucket in wallets:
        raise Refused(Refusal.WALLET_EXISTS, f"the workspace has a wallet in bucket {command.bucket} already")
    unit = Unit(bucket.unit, bucket.scale)
    limit = 0
    if command.credit_limit is not None:
        limit = parse_amount(command.credit_limit, unit, "credit_limit", zero=True).minor
    return events.WalletOpened(bucket.bucket, unit.code, unit.scale, limit)


def put_in(
    command: commands.AddFunds | commands.GrantFunds | commands.PostAdjustment, wallet: WalletState
) -> events.WalletEvent:
    """Add a payment or a gift, or adjust in either direction."""
    signed = isinstance(command, commands.PostAdjustment)
    minor = parse_amount(command.amount, wallet.measure, signed=signed).minor
    require_range(wallet, minor)
    match command:
        case commands.AddFunds():
            return events.FundsAdded(wallet.bucket, wallet.unit, minor, command.source, command.reference, command.paid)
        case commands.GrantFunds():
            return events.FundsGranted(wallet.bucket, wallet.unit, minor, command.grant_id)
        case commands.PostAdjustment():
            return events.AdjustmentPosted(wallet.bucket, wallet.unit, minor, command.adjustment_id)


def reverse(command: commands.ReverseFunds, wallet: WalletState, payment: Payment | None) -> events.FundsReversed:
    """Take a payment back, even below zero: the money is gone already. Never more than was paid."""
    if payment is None or payment.bucket != wallet.bucket:
        raise Refused(
            Refusal.PAYMENT_UNKNOWN,
            f"no payment {command.source}/{command.reference} was added to bucket {wallet.bucket}",
            field="reference",
        )
    minor = parse_amount(command.amount, wallet.measure).minor
    left = payment.amount_minor - payment.reversed_minor
    if minor > left:
        raise Refused(
            Refusal.REVERSAL_EXCEEDS_PAYMENT,
            f"{format_minor(left, wallet.scale)} {wallet.unit} of the payment are left to reverse",
            field="amount",
            left=format_minor(left, wallet.scale),
        )
    require_range(wallet, -minor)
    return events.FundsReversed(
        wallet.bucket,
        wallet.unit,
        minor,
        command.source,
        command.reference,
        command.reversal_id,
        command.paid,
    )


def withdraw(command: commands.WithdrawFunds, wallet: WalletState) -> events.FundsWithdrawn:
    """Pay out what is available without the credit limit: that would lend the customer money."""
    minor = parse_amount(command.amount, wallet.measure).minor
    require_available(wallet, minor, -wallet.credit_limit_minor)
    return events.FundsWithdrawn(wallet.bucket, wallet.unit, minor, command.source, command.reference, command.paid)


def exchange(
    command: commands.ExchangeBuckets, source: WalletState, wallets: Wallets, catalog: Catalog
) -> events.BucketExchanged:
    """Exchange between two buckets when both stated amounts agree with the stated rate and rounding."""
    target = wallet_of(wallets, command.to_bucket, catalog)
    if target.bucket == source.bucket:
        raise Refused(Refusal.EXCHANGE_DOES_NOT_ADD_UP, "an exchange needs two buckets", field="to_bucket")
    given = parse_amount(command.amount, source.measure).minor
    received = parse_amount(command.to_amount, target.measure, "to_amount").minor
    mantissa, exponent = parse_rate(command.rate)
    expected = divide(given * mantissa * 10**target.scale, 10 ** (exponent + source.scale), command.rounding)
    if received != expected:
        raise Refused(
            Refusal.EXCHANGE_DOES_NOT_ADD_UP,
            f"{command.amount.value} at {command.rate} rounded {command.rounding} is "
            f"{format_minor(expected, target.scale)} {target.unit}, not {command.to_amount.value}",
            field="to_amount",
            expected=format_minor(expected, target.scale),
        )
    require_not_frozen(source)
    require_available(source, given)
    require_range(target, received)
    return events.BucketExchanged(
        command.exchange_id, source.bucket, source.unit, given,
        target.bucket, target.unit, received, command.rate, command.rounding.value,
    )  # fmt: skip
