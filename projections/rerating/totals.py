"""What re-rated requests come to, counted line by line, so that no number of requests takes memory. Pure."""

from ledger.core.amounts import Unit, state_amount
from projections.rerating.answers import RerateLine, Reratings
from projections.stated import plus

__all__ = ["add_line", "no_reratings"]

REPORTED = "reported"


def no_reratings(bucket: str, unit: Unit) -> Reratings:
    """Return the totals of no request at all."""
    nothing = state_amount(0, unit)
    return Reratings(bucket=bucket, charge=nothing, new_charge=nothing, difference=nothing, corrected=nothing)


def add_line(totals: Reratings, line: RerateLine) -> None:
    """Count one more request."""
    totals.requests += 1
    if line.outcome == "impossible":
        why = line.why or "other"
        totals.impossible[why] = totals.impossible.get(why, 0) + 1
    elif line.outcome == "unchanged":
        totals.unchanged += 1
    elif line.outcome == "applied" and line.corrected is not None:
        totals.applied += 1
        totals.corrected = plus(totals.corrected, line.corrected)
    elif line.new_charge is not None and line.difference is not None:
        totals.changed += 1
        totals.estimated += line.usage_source != REPORTED
        totals.mismatched += line.model_mismatch
        totals.charge = plus(totals.charge, line.charge)
        totals.new_charge = plus(totals.new_charge, line.new_charge)
        totals.difference = plus(totals.difference, line.difference)
