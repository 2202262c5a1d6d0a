"""The six questions, each answered with numbers, and yes or no by a rule that stands beside it. Pure.

A cause is worth a yes for what it does to the larger of the two amounts, not to their difference: one that another
has cancelled is still there.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from projections.change.answers import ChangeAnswer
from projections.change.cells import Explained, Part, Period
from projections.change.counting import (
    Scope,
    alike,
    deep_requests,
    discounted_requests,
    fallen_back,
    input_tokens,
    requests_of_users,
    retries,
    share_of,
)
from projections.change.words import amount_in, average_text, ratio_text, share_text

__all__ = ["QUESTIONS", "RULES", "Inquiry", "answers_of"]

QUESTIONS = {
    "more_requests": "Did users send more requests?",
    "larger_prompts": "Did prompts get larger?",
    "more_fallbacks": "Did a fallback route run more often?",
    "more_retries": "Did retries increase after a provider issue?",
    "discounted_route_dropped": "Did a discounted route stop being used?",
    "deep_model_more_often": "Did an agent workflow call the deep model too often?",
}
ONE_MIX = "at one mix of workflows and models"
FIVE_PERCENT = "at least 5 % of the larger of the two amounts"
ONE_PERCENT = "at least 1 % of the larger of the two amounts"
MORE_RETRIES = "yes when there were at least 10 more of them, and half as many again for each request"
RULES = {
    "more_requests": (
        f"yes when there were more of them and that added {FIVE_PERCENT}, or a tenth more and that added 1 %"
    ),
    "larger_prompts": f"yes when this average rose and that added {FIVE_PERCENT}, or rose by a tenth and added 1 %",
    "more_fallbacks": (
        f"yes when this share rose by a tenth of itself, and what that added and took away comes to {ONE_PERCENT}"
    ),
    "more_retries": (
        f"{MORE_RETRIES}; or a tenth more for each request, and what failed attempts cost added {ONE_PERCENT}"
    ),
    "discounted_route_dropped": (
        f"yes when this share fell and what that added and took away comes to {FIVE_PERCENT}, or fell by a tenth of"
        " itself and that comes to 1 %"
    ),
    "deep_model_more_often": (
        "yes when this share rose in workflows that have a name and what that added and took away comes to"
        f" {FIVE_PERCENT}, or rose by a tenth of itself and that comes to 1 %; unknown while no route states its depth"
    ),
}
RETRIES_MORE = 10
Workflow = tuple[str | None, str]
"""A workflow by its workspace, None where there is only one, and its name."""


class Inquiry(msgspec.Struct, frozen=True):
    """What the questions are answered from."""

    before: Period
    after: Period
    explained: Explained
    scope: Scope

    def effect(self, *names: str) -> int:
        """Return what terms add to the difference."""
        return sum(term.effect_minor for term in self.explained.terms if term.name in names)

    def parts(self, name: str) -> list[tuple[dict[str, str], Part]]:
        """Return the parts of a term with what they are about."""
        return [(dict(part.about), part) for term in self.explained.terms if term.name == name for part in term.parts]

    def moved_by_fallback(self, direction: str) -> int:
        """Return what requests add that fell back into the place, or out of it."""
        wanted = {"how": "fallback", "direction": direction}
        return sum(part.effect_minor for about, part in self.parts("moved") if wanted.items() <= about.items())

    def moved_discounted(self) -> int:
        """Return what requests add that were routed elsewhere than before, from or to a discounted route.

        Where both routes are discounted, or neither, the discount isn't why.
        """
        return sum(
            part.effect_minor
            for about, part in self.parts("moved")
            if about.get("how") == "routing"
            and [about.get("discounted"), about.get("discounted_here")].count("yes") == 1
        )

    def is_enough(self, moved_minor: int, *, by_a_tenth: bool) -> bool:
        """Return whether what a cause moves is worth a yes: five percent, or one where its number changed by much."""
        larger = max(abs(self.explained.before_minor), abs(self.explained.after_minor))
        return moved_minor > 0 and 100 * moved_minor >= (larger if by_a_tenth else 5 * larger)

    def answer(
        self, question: str, measure: str, before: str, after: str, effect_minor: int | None,
        answer: Literal["yes", "no", "unknown"],
    ) -> ChangeAnswer:  # fmt: skip
        """Return an answer, with its words and rule."""
        effect = None if effect_minor is None else amount_in(self.scope.place, effect_minor)
        rule = RULES[question]
        if question == "more_retries" and effect is None:
            rule = MORE_RETRIES
        return ChangeAnswer(question, QUESTIONS[question], measure, before, after, effect, answer, rule)


def answers_of(inquiry: Inquiry) -> list[ChangeAnswer]:
    """Return the six answers, in the order of the questions."""
    return [
        more_requests(inquiry),
        larger_prompts(inquiry),
        more_fallbacks(inquiry),
        more_retries(inquiry),
        discounted_route_dropped(inquiry),
        deep_model_more_often(inquiry),
    ]


def yes_if(is_so: bool) -> Literal["yes", "no"]:
    """Return a truth as an answer."""
    return "yes" if is_so else "no"


def more_requests(inquiry: Inquiry) -> ChangeAnswer:
    """Answer whether users sent more requests. A new workflow's are more, a gone one's are less."""
    before, after = (requests_of_users(period, inquiry.scope) for period in (inquiry.before, inquiry.after))
    effect = inquiry.effect("requests", "new_workflows", "gone_workflows")
    is_enough = inquiry.is_enough(effect, by_a_tenth=rose_by_a_tenth(before, after))
    return inquiry.answer(
        "more_requests", "requests of the workflows that come here, in all wallets",
        f"{before:,}", f"{after:,}", effect, yes_if(after > before and is_enough),
    )  # fmt: skip


def larger_prompts(inquiry: Inquiry) -> ChangeAnswer:
    """Answer whether prompts got larger."""
    before, after = alike(input_tokens(inquiry.before, inquiry.scope), input_tokens(inquiry.after, inquiry.scope))
    effect = inquiry.effect("prompt_size")
    is_enough = inquiry.is_enough(effect, by_a_tenth=rose_by_a_tenth(before, after))
    return inquiry.answer(
        "larger_prompts", f"input tokens per answered request, {ONE_MIX}",
        average_text(before), average_text(after), effect, yes_if(rose(before, after) and is_enough),
    )  # fmt: skip


def more_fallbacks(inquiry: Inquiry) -> ChangeAnswer:
    """Answer whether a fallback route ran more often: within the place, into it or out of it."""
    before, after = alike(fallen_back(inquiry.before, inquiry.scope), fallen_back(inquiry.after, inquiry.scope))
    effects = (
        inquiry.effect("fallback_premium"),
        inquiry.moved_by_fallback("in"),
        inquiry.moved_by_fallback("out"),
    )
    # A tenth, for the premium of an unchanged share grows with the number of requests.
    is_enough = inquiry.is_enough(sum(abs(each) for each in effects), by_a_tenth=True)
    return inquiry.answer(
        "more_fallbacks", f"share of answered requests that fell back, {ONE_MIX}",
        share_text(before), share_text(after), sum(effects),
        yes_if(rose_by_a_tenth(before, after) and is_enough),
    )  # fmt: skip


def more_retries(inquiry: Inquiry) -> ChangeAnswer:
    """Answer whether retries increased. They are never charged: only under cost do they come to an amount."""
    (before, of_before), (after, of_after) = (
        retries(period, inquiry.scope) for period in (inquiry.before, inquiry.after)
    )
    effect = inquiry.effect("retry_waste") if inquiry.scope.place.measure == "cost" else None
    by_half = 2 * after * of_before >= 3 * before * of_after and after >= before + RETRIES_MORE
    by_a_tenth = after > before and rose_by_a_tenth(before * of_after, after * of_before)
    costly = effect is not None and by_a_tenth and inquiry.is_enough(effect, by_a_tenth=True)
    return inquiry.answer(
        "more_retries", "attempts that failed and were tried again on the same route",
        retries_text(before, of_before), retries_text(after, of_after), effect, yes_if(by_half or costly),
    )  # fmt: skip


def retries_text(count: int, of_requests: int) -> str:
    """Return retries with how many there are for a hundred requests, where there are any."""
    rate = f" ({ratio_text(100 * count, of_requests)} per 100 requests)" if count and of_requests else ""
    return f"{count:,}{rate}"


def discounted_route_dropped(inquiry: Inquiry) -> ChangeAnswer:
    """Answer whether discounted routes were used less, be it for routes of the same bucket or of another."""
    before, after = alike(
        discounted_requests(inquiry.before, inquiry.scope), discounted_requests(inquiry.after, inquiry.scope)
    )
    effects = (inquiry.effect("discounted_routes"), inquiry.moved_discounted())
    by_a_tenth = before is not None and after is not None and 10 * after <= 9 * before
    is_enough = inquiry.is_enough(sum(abs(each) for each in effects), by_a_tenth=by_a_tenth)
    return inquiry.answer(
        "discounted_route_dropped",
        f"share of answered requests that were sent to a discounted route first, {ONE_MIX}",
        share_text(before), share_text(after), sum(effects),
        yes_if(rose(after, before) and is_enough),
    )  # fmt: skip


def deep_model_more_often(inquiry: Inquiry) -> ChangeAnswer:
    """Answer whether workflows that have a name called deep models more often, and name the one that counts most."""
    question, prices = "deep_model_more_often", inquiry.scope.prices
    before, after = deep_requests(inquiry.before, prices), deep_requests(inquiry.after, prices)
    if (before or after) and not is_classified(inquiry):
        measure = "share of the requests of workflows on deep routes: no route that they use states its depth"
        return inquiry.answer(question, measure, "not classified", "not classified", None, "unknown")
    effects: dict[Workflow, int] = {}
    for about, part in inquiry.parts("deep_models"):
        if about.get("workflow"):
            workflow = (about.get("workspace"), about["workflow"])
            effects[workflow] = effects.get(workflow, 0) + part.effect_minor
    rising = {each: effect for each, effect in effects.items() if rose(share_of(before, each), share_of(after, each))}
    if not rising:
        return inquiry.answer(
            question, "share of the requests of all named workflows that ended on deep routes",
            share_text(share_of(before)), share_text(share_of(after)), sum(effects.values()), "no",
        )  # fmt: skip
    much = [each for each in rising if rose_by_a_tenth(share_of(before, each), share_of(after, each))]
    is_enough = any(
        inquiry.is_enough(sum(abs(rising[each]) for each in workflows), by_a_tenth=by_a_tenth)
        for workflows, by_a_tenth in ((rising, False), (much, True))
    )
    first = min(rising, key=lambda each: (-abs(rising[each]), each[0] or "", each[1]))
    return inquiry.answer(
        question, deep_measure(first, rising), share_text(share_of(before, first)), share_text(share_of(after, first)),
        sum(rising.values()), yes_if(is_enough),
    )  # fmt: skip


def deep_measure(first: Workflow, rising: Mapping[Workflow, int]) -> str:
    """Return of which workflow a share is told, and of how many the effect."""
    workspace_id, name = first
    owner = "" if workspace_id is None else f" of workspace {workspace_id}"
    others = len(rising) - 1
    more = "" if not others else f"; it rose in {others:,} more, and the effect is that of all of them"
    return f"share of the requests of workflow {name}{owner} that ended on deep routes{more}"


def is_classified(inquiry: Inquiry) -> bool:
    """Return whether any route that a named workflow uses states its depth."""
    return any(
        inquiry.scope.prices.depth(cell.route) is not None
        for period in (inquiry.before, inquiry.after)
        for cell, sums in period.items()
        if cell.workflow and sums.requests
    )


def rose(before: int | None, after: int | None) -> bool:
    """Return whether an average rose. One that a period does not have can't have."""
    return before is not None and after is not None and after > before


def rose_by_a_tenth(before: int | None, after: int | None) -> bool:
    """Return whether a number rose by a tenth of itself or more."""
    return before is not None and after is not None and after > before and 10 * after >= 11 * before
