"""What a ledger must answer, computed in another way: dictionaries of decimals and no code of the ledger's.

It reads commands (their fields, not their logic) and says which refusal or balances must come of them. Feed it
every command with its outcome, in the order in which they were recorded; `apply` raises AssertionError where the
outcome can't be. Then compare what it counts with what is there: `wallets`, `budgets`, `requests`, `accounts`.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from tests.property.oracle_finance import Finance
from tests.property.oracle_model import ZERO, Outcome, Refuse, Request, Route


class Oracle(Finance):
    """One workspace: every command, and what must come of it."""

    def apply(self, command: Any, identity: str, outcome: Outcome) -> None:
        """Compare an outcome with what must come of the command, and follow it."""
        self.now = outcome.recorded_at
        expected, repeated = self.expect(command, identity)
        assert outcome.refusal == expected, f"{command} met {outcome.refusal}, not {expected}"
        assert outcome.repeated is repeated, f"{command}: repeated is {outcome.repeated}"

    def expect(self, command: Any, identity: str) -> tuple[str | None, bool]:
        """Return the refusal that a command must meet (None: it is accepted), and whether it is a repeat."""
        kind = str(command.__struct_config__.tag)
        if identity in self.seen:
            return (None, True) if self.is_same(command, self.seen[identity]) else ("identity_conflict", False)
        try:
            getattr(self, f"do_{kind}")(command)
        except Refuse as refused:
            return str(refused), False
        self.seen[identity] = command
        return None, False

    def is_same(self, command: Any, before: Any) -> bool:
        """Return whether two commands say the same; a moment that is not stated is any moment."""
        if type(command) is not type(before):
            return False
        unsaid = {"trace_id", "valid_until", *(() if command.effective_at else ("effective_at",))}
        fields = [name for name in command.__struct_fields__ if name not in unsaid]
        return all(getattr(command, name) == getattr(before, name) for name in fields)

    def do_route_request(self, command: Any) -> None:
        """Place a hold."""
        request = self.requests.get(command.request_id)
        if request is not None:
            raise Refuse("request_voided" if request.status == "voided" else "request_exists")
        if self.keys[command.api_key_id].revoked:
            raise Refuse("api_key_revoked")
        route = self.routes[command.route]
        wallet, amount = self.wallets[route.bucket], Decimal(command.hold.value)
        if wallet.frozen:
            raise Refuse("wallet_frozen")
        self.need(wallet, amount, wallet.available, wallet.held)
        request = Request("open", command.project_id, command.api_key_id, command.route)
        request.routed_at = self.instant(command)
        request.budgets = self.budget_names(request, route.bucket)
        self.need_budgets(request.budgets, amount)
        tokens = command.estimate.input_tokens + command.estimate.output_tokens if command.estimate else 0
        self.need_pace(request.key, tokens)
        request.expires_at = self.now + command.hold_seconds * 1_000_000
        self.hold(request, amount)
        self.begin_minute(request, tokens)
        self.requests[command.request_id] = request

    def do_extend_hold(self, command: Any) -> None:
        """Hold more or longer."""
        request = self.in_state(command.request_id, "open")
        if self.keys[request.key].revoked:
            raise Refuse("api_key_revoked")
        amount = Decimal(command.hold.value) if command.hold else ZERO
        wallet = self.wallets[self.routes[request.route].bucket]
        if amount:
            if wallet.frozen:
                raise Refuse("wallet_frozen")
            self.need(wallet, amount, wallet.available, wallet.held - request.hold)
            self.need_budgets(request.budgets, amount)
        self.hold(request, amount)
        request.expires_at = self.now + command.hold_seconds * 1_000_000

    def do_record_attempt(self, command: Any) -> None:
        """Note a failed attempt."""
        request = self.in_state(command.request_id, "open", "settled", "failed", "cancelled", "expired")
        if command.attempt == request.settled_attempt:
            raise Refuse("attempt_already_settled")
        request.failed_attempts.add(command.attempt)

    def do_take_fallback(self, command: Any) -> None:
        """Give the hold back and place another."""
        request = self.in_state(command.request_id, "open")
        if command.from_route != request.route:
            raise Refuse("route_not_of_request")
        key = self.keys[request.key]
        if key.revoked:
            raise Refuse("api_key_revoked")
        old, new = self.routes[request.route], self.routes[command.to_route]
        wallet, amount = self.wallets[new.bucket], Decimal(command.hold.value)
        same = old.bucket == new.bucket
        if not same and not key.allow_bucket_change:
            raise Refuse("bucket_change_not_allowed")
        if wallet.frozen:
            raise Refuse("wallet_frozen")
        returning = request.hold if same else ZERO
        self.need(wallet, amount, wallet.available + returning, wallet.held - returning)
        budgets = request.budgets if same else self.budget_names(request, new.bucket)
        self.need_budgets(budgets, amount - returning if amount > returning else Decimal("-Infinity"))
        self.hold(request, -request.hold)
        request.route, request.budgets = command.to_route, budgets
        self.hold(request, amount)
        request.expires_at = self.now + command.hold_seconds * 1_000_000

    def do_settle_request(self, command: Any) -> None:
        """Charge."""
        request = self.in_state(command.request_id, "open", "failed", "cancelled", "expired")
        if command.route != request.route:
            raise Refuse("route_not_of_request")
        if command.attempt in request.failed_attempts:
            raise Refuse("attempt_already_failed")
        route = self.routes[request.route]
        wallet = self.wallets[route.bucket]
        charge = self.price(route, command)
        if command.charge_limit is not None:
            charge = min(charge, Decimal(command.charge_limit.value))
        held = request.hold
        captured = min(charge, held)
        available = wallet.available
        rooms = [room for room in map(self.room, request.budgets) if room is not None]
        from_available = min(charge - captured, max(ZERO, min([available, *rooms])))
        overrun = charge - captured - from_available
        self.hold(request, -held)
        self.charge(request, captured + from_available)
        self.post(route.bucket, "wallet.available", f"revenue.{request.route}", captured + from_available)
        self.post(route.bucket, f"overrun.{request.route}", f"revenue.{request.route}", overrun)
        request.status, request.charge, request.paid = "settled", charge, captured + from_available
        request.overrun, request.settled_attempt = overrun, command.attempt
        usages = [command.usage, *(other.usage for other in command.others)]
        self.end_minute(request, sum(usage.input_tokens + usage.output_tokens for usage in usages))

    def price(self, route: Route, command: Any) -> Decimal:
        """Return the charge: stated by the caller, or the sum of lines rounded half to even."""
        if route.rates is None:
            if command.charge is None:
                raise Refuse("charge_required")
            return Decimal(command.charge.value)
        if command.charge is not None:
            raise Refuse("charge_not_accepted")
        smallest = Decimal(1).scaleb(-self.decimals[route.bucket])
        usages = [(command.usage, route.rates)]
        usages += [(other.usage, self.other_rates.get(other.model, route.rates)) for other in command.others]
        lines = (
            Decimal(tokens) * rates[part] / 1_000_000
            for usage, rates in usages
            for part, tokens in usage.parts.items()
            if part in rates
        )
        return sum((line.quantize(smallest, ROUND_HALF_EVEN) for line in lines), ZERO)

    def do_release_request(self, command: Any) -> None:
        """Give the hold back, or refuse it in advance."""
        if command.request_id not in self.requests:
            self.requests[command.request_id] = Request("voided")
            return
        request = self.in_state(command.request_id, "open")
        self.hold(request, -request.hold)
        self.end_minute(request, 0)
        request.status = command.cause

    def do_expire_request(self, command: Any) -> None:
        """Give back a hold whose time has passed."""
        request = self.in_state(command.request_id, "open")
        if self.now < request.expires_at:
            raise Refuse("hold_not_expired")
        self.hold(request, -request.hold)
        self.end_minute(request, 0)
        request.status = "expired"

    def do_refund_charge(self, command: Any) -> None:
        """Give back a part of what was paid."""
        request = self.in_state(command.request_id, "settled")
        amount = Decimal(command.refund.value)
        if amount > request.paid - request.refunded:
            raise Refuse("refund_exceeds_paid")
        request.refunded += amount
        self.charge(request, -amount)
        bucket = self.routes[request.route].bucket
        self.post(bucket, f"refunds.{request.route}", "wallet.available", amount)

    def do_correct_charge(self, command: Any) -> None:
        """Change a charge."""
        request = self.in_state(command.request_id, "settled")
        amount = Decimal(command.difference.value)
        undone = min(max(-amount, ZERO), request.overrun)
        if -amount - undone > request.paid - request.refunded:
            raise Refuse("correction_exceeds_paid")
        request.charge += amount
        request.paid += amount + undone
        request.overrun -= undone
        self.charge(request, amount + undone)
        bucket = self.routes[request.route].bucket
        self.post(bucket, "wallet.available", f"revenue.{request.route}", amount + undone)
        self.post(bucket, f"revenue.{request.route}", f"overrun.{request.route}", undone)
