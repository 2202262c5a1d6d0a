"""What finance and admins may ask of a wallet. Each kind has one path, one body and one event.

Payments are identified by their source's own reference; everything else by an id of its own, which over HTTP
is the Idempotency-Key.
"""

from ledger.core.amounts import StatedAmount
from ledger.core.commands import Command
from ledger.core.rounding import Rounding
from ledger.wallet.events import Paid


class WalletCommand(Command, frozen=True, kw_only=True):
    """Base of all commands on a wallet."""

    bucket: str = ""


class OpenWallet(WalletCommand, frozen=True, kw_only=True, tag="open_wallet"):
    """Give a workspace a balance in a bucket, with a credit limit (none when absent)."""

    credit_limit: StatedAmount | None = None


class SetCreditLimit(WalletCommand, frozen=True, kw_only=True, tag="set_credit_limit"):
    """Replace the credit limit. Zero is stated as `0`."""

    change_id: str = ""
    credit_limit: StatedAmount


class FreezeWallet(WalletCommand, frozen=True, kw_only=True, tag="freeze_wallet"):
    """Stop new holds, extensions and exchanges out of the wallet."""

    change_id: str = ""


class UnfreezeWallet(WalletCommand, frozen=True, kw_only=True, tag="unfreeze_wallet"):
    """Allow holds, extensions and exchanges again."""

    change_id: str = ""


class AddFunds(WalletCommand, frozen=True, kw_only=True, tag="add_funds"):
    """Record a payment that arrived."""

    amount: StatedAmount
    source: str
    reference: str
    paid: Paid | None = None


class GrantFunds(WalletCommand, frozen=True, kw_only=True, tag="grant_funds"):
    """Give an amount without a payment."""

    grant_id: str = ""
    amount: StatedAmount


class ReverseFunds(WalletCommand, frozen=True, kw_only=True, tag="reverse_funds"):
    """Take back a payment, named by source and reference; reversals of one differ in `reversal_id`."""

    amount: StatedAmount
    source: str
    reference: str
    reversal_id: str = "1"
    paid: Paid | None = None


class WithdrawFunds(WalletCommand, frozen=True, kw_only=True, tag="withdraw_funds"):
    """Pay an amount out to the customer."""

    amount: StatedAmount
    source: str
    reference: str
    paid: Paid | None = None


class PostAdjustment(WalletCommand, frozen=True, kw_only=True, tag="post_adjustment"):
    """Change a balance by a signed amount. A reason is required."""

    adjustment_id: str = ""
    amount: StatedAmount


class ExchangeBuckets(WalletCommand, frozen=True, kw_only=True, tag="exchange_buckets"):
    """Give an amount of this bucket for one of another. Both are stated; the ledger checks the arithmetic."""

    exchange_id: str = ""
    amount: StatedAmount
    to_bucket: str
    to_amount: StatedAmount
    rate: str
    rounding: Rounding = Rounding.HALF_EVEN


def wallet_command_id(command: WalletCommand) -> str:
    """Return the identity of a command on a wallet. The leading @ keeps it apart from every request's id."""
    match command:
        case OpenWallet(bucket=bucket):
            return f"@wallet/{bucket}"
        case AddFunds(source=source, reference=reference):
            return f"@funds/{source}/{reference}"
        case ReverseFunds(source=source, reference=reference, reversal_id=name):
            return f"@reversal/{source}/{reference}/{name}"
        case WithdrawFunds(source=source, reference=reference):
            return f"@withdrawal/{source}/{reference}"
        case SetCreditLimit(change_id=name) | FreezeWallet(change_id=name) | UnfreezeWallet(change_id=name):
            return f"@wallet_change/{name}"
        case GrantFunds(grant_id=name):
            return f"@grant/{name}"
        case PostAdjustment(adjustment_id=name):
            return f"@adjustment/{name}"
        case ExchangeBuckets(exchange_id=name):
            return f"@exchange/{name}"
    raise TypeError(f"{type(command).__name__} is no command on a wallet")
