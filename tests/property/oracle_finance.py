"""The oracle on wallets, keys and projects."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from tests.property.oracle_model import ZERO, Limits, Model, Refuse, Wallet


class Finance(Model):
    """What finance and admins ask."""

    def do_open_wallet(self, command: Any) -> None:
        """Open a balance."""
        limit = Decimal(command.credit_limit.value) if command.credit_limit else ZERO
        self.wallets[command.bucket] = Wallet(credit_limit=limit)

    def do_set_credit_limit(self, command: Any) -> None:
        """Replace the credit limit."""
        self.wallets[command.bucket].credit_limit = Decimal(command.credit_limit.value)

    def do_freeze_wallet(self, command: Any) -> None:
        """Freeze."""
        if self.wallets[command.bucket].frozen:
            raise Refuse("wallet_frozen_already")
        self.wallets[command.bucket].frozen = True

    def do_unfreeze_wallet(self, command: Any) -> None:
        """Unfreeze."""
        if not self.wallets[command.bucket].frozen:
            raise Refuse("wallet_not_frozen")
        self.wallets[command.bucket].frozen = False

    def do_add_funds(self, command: Any) -> None:
        """Take a payment in."""
        amount = Decimal(command.amount.value)
        self.payments[command.source, command.reference] = [command.bucket, amount]
        self.deposit(command.bucket, f"funding.{command.source}", amount)

    def do_grant_funds(self, command: Any) -> None:
        """Give."""
        self.deposit(command.bucket, "promotion", Decimal(command.amount.value))

    def do_post_adjustment(self, command: Any) -> None:
        """Adjust."""
        self.deposit(command.bucket, "adjustment", Decimal(command.amount.value))

    def do_reverse_funds(self, command: Any) -> None:
        """Take a payment back."""
        payment = self.payments.get((command.source, command.reference))
        if payment is None or payment[0] != command.bucket:
            raise Refuse("payment_unknown")
        amount = Decimal(command.amount.value)
        if amount > payment[1]:
            raise Refuse("reversal_exceeds_payment")
        payment[1] -= amount
        self.deposit(command.bucket, f"funding.{command.source}", -amount)

    def do_withdraw_funds(self, command: Any) -> None:
        """Pay out."""
        wallet, amount = self.wallets[command.bucket], Decimal(command.amount.value)
        self.need(wallet, amount, wallet.posted - wallet.held, wallet.held)
        self.deposit(command.bucket, f"funding.{command.source}", -amount)

    def do_exchange_buckets(self, command: Any) -> None:
        """Exchange, when the amounts agree."""
        source, target = self.wallets[command.bucket], self.wallets[command.to_bucket]
        given, received = Decimal(command.amount.value), Decimal(command.to_amount.value)
        smallest = Decimal(1).scaleb(-self.decimals[command.to_bucket])
        if received != (given * Decimal(command.rate)).quantize(smallest, ROUND_HALF_EVEN):
            raise Refuse("exchange_does_not_add_up")
        if source.frozen:
            raise Refuse("wallet_frozen")
        self.need(source, given, source.available, source.held)
        self.deposit(command.bucket, "exchange", -given)
        assert target is not source
        self.deposit(command.to_bucket, "exchange", received)

    def do_create_project(self, command: Any) -> None:
        """Note a project."""
        self.projects[command.project_id] = Limits(spend_of(command.spend_limits))

    def do_set_project_limits(self, command: Any) -> None:
        """Replace a project's limits."""
        self.projects[command.project_id].spend = spend_of(command.spend_limits)

    def do_issue_api_key(self, command: Any) -> None:
        """Note a key."""
        limits = command.limits
        self.keys[command.api_key_id] = Limits(
            spend_of(limits.spend), False, limits.allow_bucket_change, per_minute_of(limits)
        )

    def do_set_api_key_limits(self, command: Any) -> None:
        """Replace a key's limits."""
        key = self.keys[command.api_key_id]
        if key.revoked:
            raise Refuse("api_key_revoked")
        key.spend = spend_of(command.limits.spend)
        key.allow_bucket_change = command.limits.allow_bucket_change
        key.per_minute = per_minute_of(command.limits)

    def do_revoke_api_key(self, command: Any) -> None:
        """Revoke."""
        if self.keys[command.api_key_id].revoked:
            raise Refuse("api_key_revoked")
        self.keys[command.api_key_id].revoked = True


def spend_of(limits: Any) -> dict[tuple[str, str], Decimal]:
    """Return stated spend limits by bucket and period."""
    return {(limit.bucket, limit.period): Decimal(limit.limit.value) for limit in limits}


def per_minute_of(limits: Any) -> tuple[int | None, int | None]:
    """Return how many requests and tokens a key may use in a minute."""
    return limits.requests_per_minute, limits.tokens_per_minute
