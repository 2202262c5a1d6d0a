"""A request's own events → its receipt. Pure: the same events and catalog give the same receipt, for ever."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from ledger.api.answers import instant
from ledger.catalog.state import Catalog
from ledger.core.amounts import Unit, state_amount
from ledger.events import Fact, Recorded
from ledger.request import events
from ledger.request.state import RequestState, Status, fold_request
from projections.receipt.answers import (
    Calculation,
    Choice,
    Receipt,
    RouteTaken,
    Settlement,
    SkippedCandidate,
    TokenEstimate,
)
from projections.receipt.platform import platform_facts
from projections.receipt.policies import policies_of
from projections.receipt.pricing import calculation_of, tokens_used
from projections.receipt.summary import settlement_text, summary_of
from projections.receipt.timeline import moment_of
from projections.receipt.totals import buckets_of, entries_of, totals_of, wallet_entry
from projections.receipt.words import choice_text

__all__ = ["CatalogBehind", "receipt_of"]

UNIT_FIELDS = ("unit", "from_unit", "to_unit")


class CatalogBehind(LookupError):
    """The catalog is older than the events: it lacks a unit or a rate card that they name."""


def receipt_of(request_id: str, recorded: Sequence[Recorded], catalog: Catalog) -> Receipt:
    """Return the receipt of a request from all events of its stream, in order, as the platform sees it.

    Raises CatalogBehind when the catalog is older than the events: they name its units and rate cards.
    """
    if not recorded:
        raise ValueError("a request without events has no receipt")
    facts = [each.fact for each in recorded]
    require_known(facts, catalog)
    state = folded(facts)
    bucket_units = {bucket: catalog.units[unit] for bucket, unit in buckets_of(facts).items()}
    routed = next((fact.event for fact in facts if isinstance(fact.event, events.RequestRouted)), None)
    settled = settlement_of(recorded, facts)
    receipt = Receipt(
        workspace_id=recorded[0].workspace_id,
        request_id=request_id,
        status=state.status.value,
        summary="",
        position=recorded[-1].position,
        began_at=instant(facts[0].happened_at),
        changed_at=instant(recorded[-1].recorded_at),
        trace_id=facts[0].trace_id,
        model=routed.model if routed else None,
        project_id=routed.project_id if routed else None,
        api_key_id=routed.api_key_id if routed else None,
        end_user=routed.end_user if routed else None,
        workflow=routed.workflow if routed else None,
        run=routed.run if routed else None,
        step=routed.step if routed else None,
        route=None if routed is None else route_taken(state),
        choices=choices_of(recorded, facts),
        estimate=estimate_of(routed),
        policies=policies_of(facts, bucket_units),
        attempts=len({*state.failed_attempts, state.settled_attempt} - {0}),
        retries=sum(isinstance(fact.event, events.AttemptFailed) and fact.event.retried for fact in facts),
        fallbacks=sum(isinstance(fact.event, events.FallbackTaken) for fact in facts),
        timeline=[moment_of(each, fact, catalog.units) for each, fact in zip(recorded, facts, strict=True)],
        usage=tokens_used(settled[1]) if settled else None,
        calculation=None if settled is None else calculation(settled[1], catalog),
        settlement=None if settled is None else settlement(*settled, bucket_units),
        totals=totals_of(facts, bucket_units),
        entries=[wallet_entry(each, entry, bucket_units[entry.bucket]) for each, entry in entries_of(recorded, facts)],
        platform=platform_facts(recorded, facts, state, bucket_units, catalog),
    )
    return replace(receipt, summary=summary_of(receipt))


def require_known(facts: Sequence[Fact], catalog: Catalog) -> None:
    """Refuse a catalog that lacks what the events name."""
    for fact in facts:
        units = [getattr(fact.event, field, None) for field in UNIT_FIELDS]
        cost = getattr(fact.event, "provider_cost", None)
        units.append(None if cost is None else cost.unit)
        missing = [unit for unit in units if unit is not None and unit not in catalog.units]
        card = getattr(fact.event, "rate_card", None)
        if missing or (card is not None and card not in catalog.rate_cards):
            raise CatalogBehind(*missing, card)


def folded(facts: Sequence[Fact]) -> RequestState:
    """Return where the request stands after its events, as the ledger itself folds them."""
    state = RequestState(Status.ABSENT, 0)
    for fact in facts:
        if isinstance(fact.event, events.RequestEvent):
            state = fold_request(state, fact.event, fact.happened_at)
    return state


def route_taken(state: RequestState) -> RouteTaken:
    """Return the route that a request is on."""
    return RouteTaken(state.route, state.tier, state.upstream_model, state.bucket, state.unit, state.priced_by)


def estimate_of(routed: events.RequestRouted | None) -> TokenEstimate | None:
    """Return what the hold was sized for, where the gateway said so."""
    if routed is None or routed.estimate is None:
        return None
    return TokenEstimate(routed.estimate.input_tokens, routed.estimate.output_tokens)


def choices_of(recorded: Sequence[Recorded], facts: Sequence[Fact]) -> list[Choice]:
    """Return why each route was chosen, in order."""
    choices = []
    for each, fact in zip(recorded, facts, strict=True):
        event = fact.event
        if isinstance(event, events.RequestRouted):
            choices.append(choice(each.position, event.route, event.tier, event.bucket, event.why, moved=False))
        elif isinstance(event, events.FallbackTaken):
            choices.append(choice(each.position, event.to_route, event.tier, event.to_bucket, event.why, moved=True))
    return choices


def choice(position: int, route: str, tier: str, bucket: str, why: events.Why, *, moved: bool) -> Choice:
    """Return a choice with its reasons."""
    skipped = [SkippedCandidate(each.route, each.reason) for each in why.skipped]
    text = choice_text(route, bucket, why.rule, moved=moved)
    return Choice(position, route, tier, bucket, why.rule, skipped, text)


def settlement_of(recorded: Sequence[Recorded], facts: Sequence[Fact]) -> tuple[Recorded, events.TokensSettled] | None:
    """Return the one event that charged the request, with its place; None before it."""
    for each, fact in zip(recorded, facts, strict=True):
        if isinstance(fact.event, events.TokensSettled):
            return each, fact.event
    return None


def calculation(event: events.TokensSettled, catalog: Catalog) -> Calculation | None:
    """Return the arithmetic of a charge that the ledger rated; None where the caller stated it."""
    if event.rate_card is None:
        return None
    return calculation_of(event, catalog.rate_cards[event.rate_card], catalog.units[event.unit])


def settlement(each: Recorded, event: events.TokensSettled, units: Mapping[str, Unit]) -> Settlement:
    """Return how a charge was paid, with its sentence."""
    unit = units[event.bucket]
    paid = Settlement(
        position=each.position,
        attempt=event.attempt,
        bucket=event.bucket,
        rated=state_amount(event.charge_minor + event.waived_minor, unit),
        waived=state_amount(event.waived_minor, unit),
        charge=state_amount(event.charge_minor, unit),
        captured=state_amount(event.captured_minor, unit),
        released=state_amount(event.released_minor, unit),
        from_available=state_amount(event.from_available_minor, unit),
        late=None if event.status_before == Status.OPEN else event.status_before,
        latency_ms=event.latency_ms,
        first_token_ms=event.first_token_ms,
        text="",
    )
    return replace(paid, text=settlement_text(paid))
