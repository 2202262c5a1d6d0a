"""Words and figures of an explanation: titles of terms, and how counts, averages and amounts are written. Pure."""

from datetime import date, timedelta

from ledger.core.amounts import StatedAmount, Unit, state_amount
from ledger.core.rounding import Rounding, divide
from projections.change.answers import Span
from projections.change.counting import FINENESS
from projections.change.places import Place
from projections.receipt.words import of

METHOD = (
    "Terms that add up line by line are told first; the rest is a product of counts, shares, sizes and prices, whose"
    " change is split by the Shapley value, so that no order and no naming plays a part."
)
TITLES = {
    "requests": "Number of requests",
    "answered": "Share of requests that were answered",
    "moved": "Moved in and out",
    "deep_models": "Deep and other models",
    "model_mix": "Mix of models",
    "discounted_routes": "Use of discounted routes",
    "route_mix": "Mix of routes",
    "prompt_size": "Size of prompts",
    "output_size": "Size of answers",
    "cache_share": "Share of input that is cached",
    "reasoning_share": "Share of output that is reasoning",
    "counted": "Searches, tool calls and the like",
    "rates": "Prices of rate cards",
    "stated_prices": "Prices stated outside rate cards",
    "fallback_premium": "Premium of fallbacks",
    "retry_waste": "Waste of failed attempts and retries",
    "refunds": "Refunds",
    "corrections": "Corrections of charges",
    "waived": "Waived amounts",
    "new_workflows": "New workflows",
    "gone_workflows": "Gone workflows",
    "rounding": "Rounding",
}


def amount_in(place: Place, minor: int) -> StatedAmount:
    """Return an amount of smallest parts in a place's unit."""
    return state_amount(minor, Unit(place.unit, place.scale))


def with_sign(amount: StatedAmount) -> str:
    """Return an amount as what is added or taken away: `+1.250000 CREDIT`."""
    return of(amount) if amount.value.startswith("-") else f"+{of(amount)}"


def percent(part: int, whole: int) -> str:
    """Return a part of a whole in percent with one digit, halves to the even one."""
    sized = (part, whole) if whole > 0 else (-part, -whole)
    tenths = divide(1000 * sized[0], sized[1], Rounding.HALF_EVEN)
    sign = "-" if tenths < 0 else ""
    return f"{sign}{abs(tenths) // 10}.{abs(tenths) % 10}"


def share_text(share: int | None) -> str:
    """Return a share of requests: `2.1 %`; below one percent with one more digit."""
    if share is None:
        return "no requests"
    hundredths = divide(share * 10_000, FINENESS, Rounding.HALF_EVEN)
    if 0 < hundredths < 100:
        return f"0.{hundredths:02} %"
    return f"{percent(share, FINENESS)} %"


def average_text(average: int | None) -> str:
    """Return an average with one digit: `1,630.5`."""
    if average is None:
        return "no requests"
    tenths = divide(average * 10, FINENESS, Rounding.HALF_EVEN)
    return f"{tenths // 10:,}.{tenths % 10}"


def ratio_text(count: int, of_requests: int) -> str:
    """Return how much of something there is for each request: `1,630.5`."""
    return average_text(FINENESS * count // of_requests if of_requests else None)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 request`, `1,204 requests`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def span_text(span: Span) -> str:
    """Return a period in words: its first and last day, or its ends where they are not midnights."""
    ends = (span.begins_at, span.ends_at)
    if all(each[11:19] == "00:00:00" for each in ends):
        return f"{ends[0][:10]} to {date.fromisoformat(ends[1][:10]) - timedelta(days=1)}"
    return f"{ends[0][:19].replace('T', ' ')} until {ends[1][:19].replace('T', ' ')}"


def summary_of(place: Place, before_minor: int, after_minor: int) -> str:
    """Return in a sentence what changed in a place."""
    subject = subject_of(place)
    difference = after_minor - before_minor
    before, after = of(amount_in(place, before_minor)), of(amount_in(place, after_minor))
    if not difference:
        return f"{subject} did not change: {after} in both periods."
    verb = "rose" if difference > 0 else "fell"
    return f"{subject} {verb} by {of(amount_in(place, abs(difference)))}, from {before} to {after}."


def subject_of(place: Place) -> str:
    """Return what it is that changes in a place."""
    if place.measure == "charge":
        return f"Charges to the {place.bucket} wallet"
    within = "" if place.bucket is None else f" for the {place.bucket} wallet"
    return f"Cost billed in {place.unit}{within}"
