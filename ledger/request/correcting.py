"""Changing a charge that was made: by a stated difference, by another usage, or by another rate card.

What a card would have charged is worked out here for the decision and for whoever wants to see it first.
"""

import msgspec

from ledger.catalog.state import Catalog
from ledger.core.amounts import AMOUNT_MINOR_MAX, format_minor, parse_amount
from ledger.core.refusals import Refusal, Refused
from ledger.pricing.rate_cards import RateCard
from ledger.pricing.rating import Rating, rate_usage
from ledger.request import commands, events
from ledger.request.situation import Situation
from ledger.request.state import RequestState
from ledger.wallet.decide import require_range, wallet_of
from ledger.wallet.state import WalletState


class NewCharge(msgspec.Struct, frozen=True):
    """What a charge becomes: the signed difference to the present one, and the rating and card that say so, if any.

    `waived_minor` is what the rating comes to above the most that this request may be charged.
    """

    difference_minor: int
    rating: Rating | None = None
    rate_card: str | None = None
    waived_minor: int = 0


def correct(command: commands.CorrectCharge, state: RequestState, situation: Situation) -> events.ChargeCorrected:
    """Change the charge by a stated difference, or to what a usage costs under a rate card.

    A correction is an act of finance: upwards it may leave available below zero. Downwards it first undoes what
    no balance had paid, and gives back at most what was paid and not refunded.
    """
    wallet = wallet_of(situation.wallets, state.bucket, situation.catalog)
    new = new_charge(command, state, situation, wallet)
    undone = undone_minor(state, new.difference_minor, wallet.scale)
    require_range(wallet, -new.difference_minor - undone)
    rating = new.rating
    return events.ChargeCorrected(
        command.correction_id,
        state.route,
        state.bucket,
        state.unit,
        new.difference_minor,
        command.cause,
        command.usage,
        new.rate_card,
        rating.lines if rating is not None else (),
        rating.unpriced if rating is not None else (),
        undone,
        state.budgets,
        command.others,
        new.waived_minor,
    )


def undone_minor(state: RequestState, difference_minor: int, scale: int) -> int:
    """Return how much of a difference undoes what no balance had paid; refuse a difference that cannot be made."""
    if difference_minor == 0:
        raise Refused(Refusal.AMOUNT_NOT_POSITIVE, "the correction changes nothing", field="difference")
    if state.charge_minor + difference_minor > AMOUNT_MINOR_MAX:
        raise Refused(Refusal.AMOUNT_OUT_OF_RANGE, "the charge is larger than one command may name", field="difference")
    undone = min(max(-difference_minor, 0), state.overrun_minor)
    left = state.paid_minor - state.refunded_minor
    if -difference_minor - undone > left:
        raise Refused(
            Refusal.CORRECTION_EXCEEDS_PAID,
            f"{format_minor(left, scale)} {state.unit} were paid and not given back",
            field="difference",
        )
    return undone


def new_charge(
    command: commands.CorrectCharge, state: RequestState, situation: Situation, wallet: WalletState
) -> NewCharge:
    """Return what the charge becomes, by the one way that the command states."""
    if command.difference is not None and command.usage is None:
        for field in ("rate_card", "others"):
            if getattr(command, field):
                raise Refused(Refusal.COMMAND_INCOMPLETE, "a stated difference is not rated by a card", field=field)
        return NewCharge(parse_amount(command.difference, wallet.measure, "difference", signed=True).minor)
    if command.difference is None and command.usage is not None:
        card = card_of(command.rate_card or state.rate_card, state, situation.catalog)
        rating = rate_usage(command.usage, card, state.reported_model, wallet.scale, command.others)
        return NewCharge(rating.charge_minor - state.charge_minor, rating, card.rate_card)
    if command.difference is None and command.rate_card is not None and not command.others:
        return rerated(state, command.rate_card, situation.catalog)
    raise Refused(
        Refusal.COMMAND_INCOMPLETE,
        "a correction states a difference, or a usage, or the rate card for the usage that was settled",
        field="difference",
    )


def card_of(name: str | None, state: RequestState, catalog: Catalog) -> RateCard:
    """Return the card of that name when it prices the request's bucket, else refuse."""
    card = catalog.rate_cards.get(name) if name is not None else None
    if card is None or card.bucket != state.bucket:
        raise Refused(Refusal.RATE_CARD_UNKNOWN, f"no rate card {name!r} in bucket {state.bucket}", field="rate_card")
    return card


def rerated(state: RequestState, rate_card: str, catalog: Catalog) -> NewCharge:
    """Return what the tokens of a settled request come to under another card of its route.

    The most that it may be charged stays the most. Refused where the charge is not a rating of these tokens, and where
    the card has no rate for some of them: they would become free in silence.
    """
    card = card_of(rate_card, state, catalog)
    if state.rate_card is None or state.usage is None:
        raise not_rerated("caller_priced", "the charge was stated by the caller")
    if card.route != state.route:
        detail = f"rate card {rate_card} is of route {card.route}, the request was on {state.route}"
        raise Refused(Refusal.RATE_CARD_UNKNOWN, detail, field="rate_card")
    if state.is_charged_by_hand:
        raise not_rerated("corrected_by_hand", "the charge was corrected by a stated difference")
    scale = catalog.units[state.unit].scale
    rating = rate_usage(state.usage, card, state.reported_model, scale, state.others)
    if rating.unpriced:
        parts = ", ".join(dict.fromkeys(line.part for line in rating.unpriced))
        raise not_rerated("unpriced", f"rate card {rate_card} has no rate for {parts}")
    limit = state.charge_limit_minor
    charge = rating.charge_minor if limit is None else min(rating.charge_minor, limit)
    return NewCharge(charge - state.charge_minor, rating, card.rate_card, rating.charge_minor - charge)


def not_rerated(why: str, detail: str) -> Refused:
    """Return the refusal of a request that no card can rate anew; `why` is of a closed list."""
    return Refused(Refusal.RERATING_NOT_POSSIBLE, detail, why=why)
