"""What the tests of an explanation's words share: cells with what was spent in them, and explanations made by hand."""

from typing import Any

from projections.change.answers import ChangeAnswer, Span
from projections.change.behind import Compared
from projections.change.cells import ChangeCell, Explained, Part, Period, Term
from projections.change.counting import scope_of
from projections.change.places import Place
from projections.change.prices import PriceList
from projections.change.questions import QUESTIONS, Inquiry, answers_of
from projections.route_ledger.spending import Sums

CREDIT = Place("charge", "credit", "CREDIT", 6)
RMB = Place("charge", "rmb", "CNY", 6)
DOLLARS = Place("cost", None, "USD", 6)
EARLIER = Span("2026-11-08T00:00:00+01:00", "2026-11-15T00:00:00+01:00")
LATER = Span("2026-11-15T00:00:00+01:00", "2026-11-22T00:00:00+01:00")
HUNDRED = 100_000_000
FIVE = 5_000_000
"""Smallest parts: an amount to start from, and five percent of it."""
PRICES = PriceList(
    depths={"direct": "standard", "deep": "deep", "sale": None, "backup": None},
    bill_units={"direct": "USD", "deep": "USD", "backup": "USD", "sale": "CNY"},
)
UNCLASSIFIED = PriceList(bill_units=PRICES.bill_units)


def cell(workflow: str | None = "desk", route: str = "direct", **fields: Any) -> ChangeCell:
    """Return a cell of the workspace acme; requests on `sale` are paid from rmb, all others from credit."""
    first = fields.get("first_route", route)
    given: dict[str, Any] = {
        "workspace_id": "acme",
        "workflow": workflow,
        "model": "smart",
        "bucket": bucket_of(route),
        "route": route,
        "reported_model": "gpt-5",
        "rate_card": f"{route}.1",
        "first_route": first,
        "first_bucket": bucket_of(first),
        "first_rate_card": f"{first}.1",
        "cost_unit": PRICES.bill_units[route],
    }
    return ChangeCell(**(given | fields))


def bucket_of(route: str) -> str:
    """Return the bucket that a route is paid from."""
    return "rmb" if route == "sale" else "credit"


def sums(settled: int = 0, prompt_tokens: int = 1000, **fields: int) -> Sums:
    """Return what so many answered requests come to, each with a prompt of a size."""
    given = {"requests": settled, "settled": settled, "input_tokens": settled * prompt_tokens} | fields
    return Sums(**given)  # type: ignore[arg-type]


def part(effect_minor: int, *counts: int, **about: str) -> Part:
    """Return a part: its effect, requests before and after, tokens before and after, and what it is about."""
    return Part(tuple(about.items()), effect_minor, *counts)


def term(name: str, *parts: Part) -> Term:
    """Return a term that is its parts."""
    return Term(name, sum(each.effect_minor for each in parts), parts)


def explained(before_minor: int, *terms: Term) -> Explained:
    """Return an explanation of terms, with no rounding left."""
    after_minor = before_minor + sum(each.effect_minor for each in terms)
    return Explained(before_minor, after_minor, (*terms, Term("rounding", 0)))


def compared(before: Period, after: Period, **asked: str) -> Compared:
    """Return two weeks with what was spent in them."""
    return Compared(before, after, EARLIER, LATER, asked)


def answers(
    before: Period, after: Period, why: Explained, place: Place = CREDIT, prices: PriceList = PRICES
) -> dict[str, ChangeAnswer]:
    """Return the answers by question."""
    found = answers_of(Inquiry(before, after, why, scope_of(place, before, after, prices)))
    assert [answer.question for answer in found] == list(QUESTIONS)
    return {answer.question: answer for answer in found}


def yes(found: dict[str, ChangeAnswer]) -> list[str]:
    """Return the questions that are answered with yes."""
    return [name for name, answer in found.items() if answer.answer == "yes"]


def figures(answer: ChangeAnswer) -> tuple[str, str, str | None]:
    """Return before, after and effect."""
    return answer.before, answer.after, None if answer.effect is None else answer.effect.value
