"""What a statement's parts are called, on both of its pages. Pure."""

from projections.statements.answers import OtherSide, PaidMemo, Statement

__all__ = ["CHANGE_WORDS", "minute_of", "other_text", "paid_text", "status_text"]

CHANGE_WORDS = {
    "payments": "payments",
    "grants": "grants",
    "reversals": "payments taken back",
    "withdrawals": "withdrawals",
    "exchanges": "exchanges with other wallets",
    "adjustments": "adjustments",
    "charges": "charges",
    "corrections": "corrections of charges",
    "refunds": "refunds",
}
"""By field of the changes, in their order."""


def minute_of(instant: str) -> str:
    """Return an instant as the clocks of its zone show it, to the minute."""
    return instant[:16].replace("T", " ")


def paid_text(paid: PaidMemo | None) -> str:
    """Return what was paid, in the currency of the payment."""
    if paid is None:
        return ""
    fee = "" if paid.fee is None else f", fee {paid.fee} {paid.currency}"
    name = "" if paid.external_id is None else f", {paid.external_id}"
    return f"paid {paid.amount} {paid.currency}{fee}{name}"


def other_text(side: OtherSide | None) -> str:
    """Return the other side of an exchange, with what it did there."""
    if side is None:
        return ""
    return f"{side.bucket} wallet {side.amount.value} {side.amount.unit} at {side.rate}"


def status_text(statement: Statement) -> str:
    """Return whether the month is closed."""
    closed = statement.closed
    if statement.status == "open":
        return "open: what comes late may still change it"
    if closed is None:
        return "closed before there was this book"
    return f"closed {minute_of(closed.recorded_at)} at position {closed.position}: nothing in it changes any more"
