"""Charging: settlement and refund."""

from ledger.core.amounts import format_minor, parse_amount
from ledger.core.refusals import Refusal, Refused
from ledger.pricing.rating import Rating, rate_usage
from ledger.request import commands, events
from ledger.request.situation import Situation, provider_cost
from ledger.request.state import RequestState
from ledger.wallet.decide import require_range, wallet_of
from ledger.wallet.state import WalletState
from ledger.workspace.budgets import left_minor


def settle(command: commands.SettleRequest, state: RequestState, situation: Situation) -> events.TokensSettled:
    """Charge the usage of the attempt that served: from the hold, then from available, then overrun.

    After an expiry or a cancellation the tokens were burned all the same: nothing is captured or released
    then, all comes from available as far as it reaches.
    """
    require_route_and_attempt(command.route, command.attempt, state)
    wallet = wallet_of(situation.wallets, state.bucket, situation.catalog)
    rating, rated = price(command, state, situation, wallet)
    limit = charge_limit(command, wallet)
    charge = rated if limit is None else min(rated, limit)
    captured = min(charge, state.held_minor)
    released = state.held_minor - captured
    from_available = min(charge - captured, reachable_minor(state, situation, wallet, captured))
    has_list_price = rating is not None and any(line.list_rate is not None for line in rating.lines)
    return events.TokensSettled(
        command.attempt,
        state.route,
        state.bucket,
        state.unit,
        command.reported_model,
        command.usage,
        command.usage_source,
        charge,
        captured,
        released,
        from_available,
        charge - captured - from_available,
        command.latency_ms,
        state.status.value,
        rating.list_minor if rating is not None and has_list_price else None,
        rating.lines if rating is not None else (),
        rating.unpriced if rating is not None else (),
        rating is not None and rating.model_mismatch,
        state.rate_card,
        state.priced_by,
        command.first_token_ms,
        provider_cost(command.provider_cost, state.route, situation),
        state.budgets,
        rated - charge,
        limit,
        command.policy,
        command.others,
        command.terms,
    )


def require_route_and_attempt(route: str, attempt: int, state: RequestState) -> None:
    """Refuse a route that the request is not on, and an attempt that was recorded as failed."""
    if route != state.route:
        raise Refused(Refusal.ROUTE_NOT_OF_REQUEST, f"the request is on route {state.route}", field="route")
    if attempt in state.failed_attempts:
        raise Refused(Refusal.ATTEMPT_ALREADY_FAILED, f"attempt {attempt} was recorded as failed", field="attempt")


def price(
    command: commands.SettleRequest, state: RequestState, situation: Situation, wallet: WalletState
) -> tuple[Rating | None, int]:
    """Return the rating (None where the caller prices) and what it comes to in smallest parts."""
    if state.rate_card is None:
        if command.charge is None:
            raise Refused(
                Refusal.CHARGE_REQUIRED,
                f"route {state.route} is priced by the caller: state a charge",
                field="charge",
            )
        return None, parse_amount(command.charge, wallet.measure, "charge", zero=True).minor
    if command.charge is not None:
        raise Refused(
            Refusal.CHARGE_NOT_ACCEPTED,
            f"the ledger rates route {state.route} by {state.rate_card}",
            field="charge",
        )
    card = situation.catalog.rate_cards[state.rate_card]
    rating = rate_usage(command.usage, card, command.reported_model, wallet.scale, command.others)
    return rating, rating.charge_minor


def charge_limit(command: commands.SettleRequest, wallet: WalletState) -> int | None:
    """Return the most that is charged, in smallest parts; None without a limit."""
    if command.charge_limit is None:
        return None
    return parse_amount(command.charge_limit, wallet.measure, "charge_limit", zero=True).minor


def reachable_minor(state: RequestState, situation: Situation, wallet: WalletState, captured: int) -> int:
    """Return how much of a charge above its hold available and the spend limits can still pay.

    This is asked only when the whole hold was captured, so nothing of it is left to count twice.
    """
    if captured < state.held_minor:
        return 0
    reachable = wallet.available_minor
    if state.budgets:
        left = left_minor(situation.workspace, situation.budgets, state.budgets)
        if left is not None:
            reachable = min(reachable, left)
    return max(reachable, 0)


def refund(command: commands.RefundCharge, state: RequestState, situation: Situation) -> events.ChargeRefunded:
    """Give back a part of what was paid and not given back yet."""
    wallet = wallet_of(situation.wallets, state.bucket, situation.catalog)
    minor = parse_amount(command.refund, wallet.measure, "refund").minor
    left = state.paid_minor - state.refunded_minor
    if minor > left:
        raise Refused(
            Refusal.REFUND_EXCEEDS_PAID,
            f"{format_minor(left, wallet.scale)} {wallet.unit} were paid and not given back",
            field="refund",
            left=format_minor(left, wallet.scale),
        )
    require_range(wallet, minor)
    return events.ChargeRefunded(command.refund_id, state.route, state.bucket, state.unit, minor, state.budgets)
