"""A term as a sentence with numbers, which names its largest part. Pure.

The only amount in it is the term's own, in the unit of its place; other buckets and units are spoken of in requests.
"""

from collections.abc import Mapping

import msgspec

from projections.change.cells import Part, Term
from projections.change.places import UNKNOWN_UNIT, Place
from projections.change.words import TITLES, amount_in, counted, percent, ratio_text, with_sign

__all__ = ["Lead", "lead_of", "other_side", "sentence_of"]

ADDS_OR_TAKES = {
    "answered": (
        "A larger share of the requests to {model} was answered",
        "A smaller share of the requests to {model} was answered",
    ),
    "deep_models": (
        "A larger share of the requests {workflow} went to {depth}",
        "A smaller share of the requests {workflow} went to {depth}",
    ),
    "model_mix": ("A larger share of the requests went to {model}", "A smaller share of the requests went to {model}"),
    "discounted_routes": (
        "As discounted routes were used otherwise, a larger share of the requests went to {route}",
        "As discounted routes were used otherwise, a smaller share of the requests went to {route}",
    ),
    "route_mix": ("A larger share of the requests went to {route}", "A smaller share of the requests went to {route}"),
    "prompt_size": ("Prompts to {model} grew", "Prompts to {model} shrank"),
    "output_size": ("Answers on {route} grew", "Answers on {route} shrank"),
    "cache_share": (
        "The use of the cache made input on {route} dearer",
        "The use of the cache made input on {route} cheaper",
    ),
    "reasoning_share": ("Reasoning made output on {route} dearer", "Less reasoning made output on {route} cheaper"),
    "counted": (
        "Requests on {route} made more searches, tool calls and the like",
        "Requests on {route} made fewer searches, tool calls and the like",
    ),
    "rates": ("Prices on {route} rose", "Prices on {route} fell"),
    "stated_prices": ("Prices on {route} that no rate card has rose", "Prices on {route} that no rate card has fell"),
    "fallback_premium": (
        "Fallbacks from {first_route} to {route} made requests dearer",
        "Fallbacks from {first_route} to {route} made requests cheaper",
    ),
    "retry_waste": ("Failed attempts on {route} cost more", "Failed attempts on {route} cost less"),
    "refunds": ("Less was refunded on {route}", "More was refunded on {route}"),
    "corrections": ("Corrections of charges on {route} added more", "Corrections of charges on {route} took more off"),
    "waived": ("Less was waived on {route}", "More was waived on {route}"),
}
"""What is said of a term that adds, and of one that takes away."""

WITH_COUNTS = frozenset(
    {"deep_models", "model_mix", "discounted_routes", "route_mix", "fallback_premium", "retry_waste"}
)
WITH_SIZES = frozenset({"prompt_size", "output_size"})


class Lead(msgspec.Struct, frozen=True):
    """The part of a term that a sentence names: the largest one that goes the same way as the term."""

    term: Term
    part: Part
    about: dict[str, str]

    def name(self, dimension: str) -> str | None:
        """Return the value of a dimension, None where the part is about no single one."""
        return self.about.get(dimension)


def lead_of(term: Term) -> Lead:
    """Return the part that a sentence names; a term without parts stands for itself."""
    same_way = [part for part in term.parts if part.effect_minor * term.effect_minor > 0]
    part = max(same_way, key=lambda each: abs(each.effect_minor), default=Part((), term.effect_minor))
    return Lead(term, part, dict(part.about))


def sentence_of(term: Term, place: Place) -> str:
    """Return what a term says, and what it comes to."""
    lead = lead_of(term)
    return f"{clause_of(lead)}{weight_of(lead)}: {with_sign(amount_in(place, term.effect_minor))}."


def weight_of(lead: Lead) -> str:
    """Return how much of its term a part is, where there are others."""
    term, parts = lead.term, lead.term.parts
    if len(parts) < 2:
        return ""
    same_way = all(part.effect_minor * term.effect_minor >= 0 for part in parts)
    weight = f" ({percent(lead.part.effect_minor, term.effect_minor)} %)" if same_way else ""
    return f", the largest of {len(parts):,} parts{weight}"


def clause_of(lead: Lead) -> str:
    """Return what happened, without the amount."""
    name, part = lead.term.name, lead.part
    if name in ADDS_OR_TAKES:
        adds, takes = ADDS_OR_TAKES[name]
        text = (adds if lead.term.effect_minor > 0 else takes).format_map(names_of(lead))
        return f"{text}{counts_text(part) if name in WITH_COUNTS else sizes_text(lead) if name in WITH_SIZES else ''}"
    match name:
        case "requests":
            return f"Requests {workflow_text(lead)} {went(part.requests_before, part.requests_after)}"
        case "moved":
            return moved_text(lead)
        case "new_workflows":
            return f"{workflow_named(lead)} is new, with {counted(part.requests_after, 'request')}"
        case "gone_workflows":
            return f"{workflow_named(lead)} is gone, after {counted(part.requests_before, 'request')}"
    return TITLES.get(name, name.replace("_", " ").capitalize())


def names_of(lead: Lead) -> dict[str, str]:
    """Return what a part is about, in words."""
    return {
        "workflow": workflow_text(lead),
        "model": named(lead, "model", "model"),
        "route": named(lead, "route", "route"),
        "first_route": named(lead, "first_route", "route"),
        "depth": depth_text(lead.name("depth")),
    }


def moved_text(lead: Lead) -> str:
    """Return from where or to where requests moved, in requests of the other side."""
    adds, there = lead.term.effect_minor > 0, other_side(lead.about)
    if lead.name("how") != "fallback":
        counts = f"which answered {lead.part.requests_before:,} before and {lead.part.requests_after:,} after"
        return f"Requests moved {'in from' if adds else 'out to'} {there} by routing, {counts}"
    incoming = lead.name("direction") == "in"
    said = f"{'More' if adds is incoming else 'Fewer'} requests fell back {'from' if incoming else 'to'} {there}"
    return said + counts_text(lead.part)


def other_side(about: Mapping[str, str]) -> str:
    """Return what requests moved from or to, without naming its unit."""
    bills = {None: "", UNKNOWN_UNIT: "routes whose cost is unknown"}.get(
        about.get("unit"), "routes that are billed in another unit"
    )
    wallet = f"the {about['bucket']} wallet" if "bucket" in about else ""
    return ", ".join(each for each in (wallet, bills) if each) or "elsewhere"


def counts_text(part: Part) -> str:
    """Return how many there were in each period."""
    return f" ({part.requests_before:,} before, {part.requests_after:,} after)"


def went(before: int, after: int) -> str:
    """Return how a count changed."""
    if before == after:
        return f"stayed at {after:,}"
    return f"{'rose' if after > before else 'fell'} from {before:,} to {after:,}"


def sizes_text(lead: Lead) -> str:
    """Return how many tokens a request had in each period.

    Nothing where one of them had no requests, or where requests of other sizes hide what happened to each.
    """
    part = lead.part
    before, after = (part.tokens_before, part.requests_before), (part.tokens_after, part.requests_after)
    if (after[0] * before[1] - before[0] * after[1]) * lead.term.effect_minor <= 0:
        return ""
    return f" from {ratio_text(*before)} to {ratio_text(*after)} tokens a request"


def workflow_text(lead: Lead) -> str:
    """Return of which workflow requests are."""
    workflow = lead.name("workflow")
    if workflow is None:
        return f"of all workflows{owner_text(lead)}"
    return f"of workflow {workflow}{owner_text(lead)}" if workflow else f"without a workflow{owner_text(lead)}"


def workflow_named(lead: Lead) -> str:
    """Return a workflow as what a sentence begins with."""
    return f"Workflow {lead.name('workflow')}{owner_text(lead)}"


def named(lead: Lead, dimension: str, noun: str) -> str:
    """Return a model or route by its name, or all of them where the part is about no single one."""
    value = lead.name(dimension)
    return f"all {noun}s" if value is None else f"{noun} {value}{owner_text(lead)}"


def owner_text(lead: Lead) -> str:
    """Return the workspace that it is in, where there are several."""
    workspace_id = lead.name("workspace")
    return "" if workspace_id is None else f" of workspace {workspace_id}"


def depth_text(depth: str | None) -> str:
    """Return models of a depth class in words."""
    match depth:
        case None:
            return "models of another depth"
        case "not classified":
            return "models that are not classified"
        case "mixed":
            return "models that are deep on some routes only"
    return f"{depth} models"
