"""Re-rated requests as text for a person: a line for each, and what they come to. Pure."""

from collections.abc import Iterator

from ledger.core.amounts import StatedAmount
from ledger.pricing.rate_cards import RateCard
from projections.rerating.answers import RatedLine, RerateLine, Reratings
from projections.rerating.totals import REPORTED
from projections.stated import is_zero

__all__ = ["head_lines", "request_lines", "totals_lines"]

WHYS = {
    "caller_priced": "priced by the caller",
    "corrected_by_hand": "charge set by hand",
    "corrected_since": "corrected by this card, then again",
    "unpriced": "the card has no rate for some tokens",
    "correction_exceeds_paid": "more would go back than was paid",
    "amount_out_of_range": "the charge would be too large",
    "other": "refused",
}
NOTHING = "—"


def head_lines(card: RateCard, unit: str, begins_at: str, ends_at: str) -> Iterator[str]:
    """Yield what is compared, and the heading of the table."""
    yield f"Route {card.route} under rate card {card.rate_card}: the {card.bucket} wallet, in {unit}"
    yield f"Requests that began from {begins_at} until before {ends_at}"
    yield ""
    yield row_of("workspace", "request", "settled at", "charge", "new charge", "difference", "")


def row_of(workspace: str, request: str, at: str, charge: str, new: str, difference: str, note: str) -> str:
    """Return a row of the table."""
    return f"{workspace:<16} {request:<28} {at:<19} {charge:>16} {new:>16} {difference:>16}  {note}".rstrip()


def request_lines(line: RerateLine, *, with_parts: bool) -> Iterator[str]:
    """Yield a request's row, and below it the parts of the old charge and of the new one where they are asked for."""
    yield row_of(
        line.workspace_id, line.request_id, line.settled_at[:19], line.charge.value, value_of(line.new_charge),
        signed(line.difference), note_of(line),
    )  # fmt: skip
    if with_parts and line.outcome == "changed":
        for sign, parts in (("was", line.lines), ("is", line.new_lines)):
            for part in parts:
                yield part_text(sign, part)


def part_text(sign: str, part: RatedLine) -> str:
    """Return the arithmetic of one part of a charge."""
    name = part.part if part.model is None else f"{part.part} of {part.model}"
    return f"    {sign:<3} {name}: {part.tokens:,} × {part.rate} per million = {part.amount.value}"


def note_of(line: RerateLine) -> str:
    """Return what a person should know of a request, in few words."""
    if line.outcome == "impossible":
        return WHYS[line.why or "other"]
    if line.outcome == "applied":
        return f"corrected before by {signed(line.corrected)}"
    notes = []
    if line.usage_source != REPORTED:
        notes.append(f"{line.usage_source} usage")
    if line.model_mismatch:
        notes.append("model not on the card")
    if line.waived is not None:
        notes.append(f"limited, {line.waived.value} waived")
    return ", ".join(notes)


def value_of(amount: StatedAmount | None) -> str:
    """Return an amount without its unit, which stands above the table."""
    return NOTHING if amount is None else amount.value


def signed(amount: StatedAmount | None) -> str:
    """Return a difference with its sign."""
    if amount is None:
        return NOTHING
    return amount.value if amount.value.startswith("-") or is_zero(amount) else f"+{amount.value}"


def totals_lines(totals: Reratings) -> Iterator[str]:
    """Yield what the requests come to in their one bucket."""
    unit = totals.difference.unit
    impossible = sum(totals.impossible.values())
    yield ""
    yield (
        f"{totals.requests:,} requests: {totals.changed:,} change, {totals.unchanged:,} stay as they are, "
        f"{totals.applied:,} were corrected by this card before, {impossible:,} cannot be rated anew"
    )
    for why, count in sorted(totals.impossible.items()):
        yield f"    {count:,} {why}: {WHYS[why]}"
    if totals.estimated:
        yield f"    {totals.estimated:,} of those that change were charged on an estimate, and are rated on it again"
    if totals.mismatched:
        yield f"    {totals.mismatched:,} of those that change had a model that the card does not name"
    yield f"charged {totals.charge.value} {unit}, under the card {totals.new_charge.value} {unit}"
    yield f"difference {signed(totals.difference)} {unit}"
    if totals.applied:
        yield f"corrected before {signed(totals.corrected)} {unit}"
