"""The sentences that sum a receipt up, made of what the receipt says alone: true for whoever it is shown to."""

from projections.receipt.answers import BucketTotals, CustomerReceipt, Settlement
from projections.receipt.moments import FallbackMoment, HoldExtendedMoment, HoldPlacedMoment
from projections.receipt.words import FAILURES, RELEASES, WAIVED, of, said
from projections.stated import is_more, is_zero

ENDINGS = {"failed", "cancelled", "expired"}


def settlement_text(settlement: Settlement) -> str:
    """Return in words how a charge was paid."""
    texts = []
    if settlement.late is not None:
        texts.append(
            f"The counts came late: the hold had gone back before ({settlement.late}), so the charge was taken from "
            "what was available."
        )
    else:
        texts.append(
            f"Of what was set aside, {of(settlement.captured)} were taken and {of(settlement.released)} went back."
        )
        if not is_zero(settlement.from_available):
            texts.append(f"{of(settlement.from_available)} more were taken from what was available.")
    if not is_zero(settlement.waived):
        texts.append(f"{of(settlement.waived)} of the {of(settlement.rated)} that it came to {WAIVED}.")
    if is_more(settlement.charge, settlement.captured, settlement.from_available):
        texts.append("The rest no balance could pay: it is the platform's loss, and is not taken later.")
    return " ".join(texts)


def summary_of(receipt: CustomerReceipt) -> str:
    """Return which wallet a request burned, and why, in a sentence or two."""
    if receipt.route is None:
        return "Nothing was set aside or charged: the request was given up before its hold arrived."
    own = next(totals for totals in receipt.totals if totals.bucket == receipt.route.bucket)
    texts = [outcome_text(receipt, own)]
    moves = [moment for moment in receipt.timeline if isinstance(moment, FallbackMoment)]
    if moves:
        first, last = moves[0], moves[-1]
        begun, ended = first.released.bucket, last.hold.bucket
        wallets = f"from the {begun} wallet to the {ended} wallet" if begun != ended else f"within the {ended} wallet"
        texts.append(
            f"It moved from route {first.from_route} to route {last.to_route}, {wallets}: "
            f"{said(FAILURES, last.failure)}."
        )
    return " ".join(texts)


def outcome_text(receipt: CustomerReceipt, own: BucketTotals) -> str:
    """Return what became of a routed request's money in the bucket where it ended."""
    if receipt.status == "open":
        return (
            f"It is still running: {of(own.still_held)} of the {own.bucket} wallet are set aside until "
            f"{expiry_of(receipt)}, and nothing is charged yet."
        )
    if receipt.status in ENDINGS:
        return f"Nothing was charged; what was set aside went back to the {own.bucket} wallet, " + (
            f"{said(RELEASES, receipt.status)}."
        )
    changed = not (is_zero(own.refunded) and is_zero(own.corrected))
    after = ", after what was given back or corrected" if changed else ""
    return f"{of(own.paid)} were paid from the {own.bucket} wallet{after}."


def expiry_of(receipt: CustomerReceipt) -> str:
    """Return until when an open request's hold lives."""
    kinds = HoldPlacedMoment | HoldExtendedMoment | FallbackMoment
    return next(moment.expires_at for moment in reversed(receipt.timeline) if isinstance(moment, kinds))
