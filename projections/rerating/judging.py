"""A request's events and a rate card → what the card would have charged. Pure.

The ledger's own decision is asked, with the request as its events leave it: what is shown is what a correction by
this card would record.
"""

from collections.abc import Iterable, Sequence
from typing import Any, get_args

import msgspec

from ledger.api.answers import instant
from ledger.catalog.state import Catalog
from ledger.core.amounts import Unit, state_amount
from ledger.core.refusals import Refusal, Refused
from ledger.events import Fact
from ledger.pricing.rating import ChargeLine
from ledger.request import events
from ledger.request.commands import rerating_id
from ledger.request.correcting import NewCharge, rerated, undone_minor
from ledger.request.state import RequestState, Status, fold_request
from projections.rerating.answers import Outcome, RatedLine, RerateLine, Why

__all__ = ["SettledRequest", "judged"]

WHYS: dict[str, Why] = {word: word for word in get_args(Why)}
NOTHING_CHANGES = NewCharge(0)


class SettledRequest(msgspec.Struct, frozen=True):
    """A settled request: whose it is, when it was settled (microseconds), and all its events in order."""

    workspace_id: str
    request_id: str
    settled_at: int
    facts: Sequence[Fact]


class Judgement(msgspec.Struct, frozen=True):
    """What the card does to a request, with the new charge where there is one, and the reason where there is none."""

    outcome: Outcome
    new: NewCharge = NOTHING_CHANGES
    corrected_minor: int = 0
    why: Why | None = None
    text: str | None = None


def judged(request: SettledRequest, rate_card: str, catalog: Catalog) -> RerateLine:
    """Return what a card would have charged for a request. Raises LookupError for one that was never settled."""
    state, settled, corrections = told_by(request.facts)
    judgement = judge(state, corrections, rate_card, catalog)
    unit, new = catalog.units[state.unit], judgement.new
    is_changed = judgement.outcome == "changed"
    is_possible = judgement.outcome != "impossible"
    rating = new.rating
    return RerateLine(
        workspace_id=request.workspace_id,
        request_id=request.request_id,
        settled_at=instant(request.settled_at),
        outcome=judgement.outcome,
        why=judgement.why,
        text=judgement.text,
        rate_card=card_of_charge(settled, corrections),
        usage_source=settled.usage_source,
        model_mismatch=rating.model_mismatch if rating is not None else False,
        charge=state_amount(state.charge_minor, unit),
        new_charge=state_amount(state.charge_minor + new.difference_minor, unit) if is_possible else None,
        difference=state_amount(new.difference_minor, unit) if is_possible else None,
        corrected=state_amount(judgement.corrected_minor, unit) if judgement.outcome == "applied" else None,
        waived=state_amount(new.waived_minor, unit) if new.waived_minor else None,
        lines=rated_lines(lines_of_charge(settled, corrections), unit),
        new_lines=rated_lines(rating.lines, unit) if is_changed and rating is not None else [],
    )


def told_by(facts: Iterable[Fact]) -> tuple[RequestState, events.TokensSettled, list[events.ChargeCorrected]]:
    """Return a request as its events leave it, with the settlement and the corrections since."""
    state: RequestState | None = None
    settled: events.TokensSettled | None = None
    corrections: list[events.ChargeCorrected] = []
    for fact in facts:
        event: Any = fact.event
        state = fold_request(state, event, fact.happened_at)
        if isinstance(event, events.TokensSettled):
            settled = event
        elif isinstance(event, events.ChargeCorrected):
            corrections.append(event)
    if state is None or settled is None or state.status is not Status.SETTLED:
        raise LookupError("the request is not settled")
    return state, settled, corrections


def judge(
    state: RequestState, corrections: Sequence[events.ChargeCorrected], rate_card: str, catalog: Catalog
) -> Judgement:
    """Return what a card does to a request as it stands."""
    own = rerating_id(rate_card)
    before = next((each for each in corrections if each.correction_id == own), None)
    if before is not None:
        if before is corrections[-1]:
            return Judgement("applied", corrected_minor=before.difference_minor)
        text = f"{rate_card} has corrected it before, and it was corrected again since"
        return Judgement("impossible", why="corrected_since", text=text)
    try:
        new = rerated(state, rate_card, catalog)
        if new.difference_minor == 0:
            return Judgement("unchanged", new)
        undone_minor(state, new.difference_minor, catalog.units[state.unit].scale)
    except Refused as refused:
        return Judgement("impossible", why=why_of(refused), text=refused.detail)
    return Judgement("changed", new)


def why_of(refused: Refused) -> Why:
    """Return a refusal's reason as a word of the closed list."""
    named = refused.facts.get("why") if refused.code is Refusal.RERATING_NOT_POSSIBLE else refused.code.value
    return WHYS.get(str(named), "other")


def card_of_charge(settled: events.TokensSettled, corrections: Sequence[events.ChargeCorrected]) -> str | None:
    """Return the card that the present charge was rated by; None where a caller or a person has set it."""
    return corrections[-1].rate_card if corrections else settled.rate_card


def lines_of_charge(
    settled: events.TokensSettled, corrections: Sequence[events.ChargeCorrected]
) -> Sequence[ChargeLine]:
    """Return the lines that the present charge was rated from; none where a caller or a person has set it."""
    return corrections[-1].lines if corrections else settled.lines


def rated_lines(lines: Iterable[ChargeLine], unit: Unit) -> list[RatedLine]:
    """Return charge lines as they are shown."""
    return [
        RatedLine(line.part, line.model, line.tokens, line.rate, state_amount(line.charge_minor, unit))
        for line in lines
    ]
