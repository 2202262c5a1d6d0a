"""What only the platform may see of a request: providers, their cost, overrun, sources of prices, whole entries."""

from collections.abc import Iterator, Mapping, Sequence

from ledger.catalog.state import Catalog
from ledger.core.amounts import Amount, Unit, state_amount
from ledger.events import Fact, Recorded
from ledger.request import events
from ledger.request.state import RequestState
from projections.receipt.answers import Act, AttemptCost, PlatformFacts, PriceSource, RouteProvider
from projections.receipt.pricing import price_source
from projections.receipt.totals import entries_of, ledger_entry


def platform_facts(
    recorded: Sequence[Recorded],
    facts: Sequence[Fact],
    state: RequestState,
    units: Mapping[str, Unit],
    catalog: Catalog,
) -> PlatformFacts:
    """Return the platform's part of a receipt."""
    providers = providers_of(facts, catalog)
    return PlatformFacts(
        provider=providers.get(state.route),
        providers=[RouteProvider(route, provider) for route, provider in providers.items()],
        overrun=state_amount(state.overrun_minor, units[state.bucket]) if state.settled_attempt else None,
        costs=list(costs_of(facts, providers, catalog)),
        price_sources=price_sources(facts, catalog),
        entries=[ledger_entry(each, entry, units[entry.bucket]) for each, entry in entries_of(recorded, facts)],
        acts=[
            Act(each.position, each.command_id, fact.actor, fact.reason)
            for each, fact in zip(recorded, facts, strict=True)
        ],
    )


def providers_of(facts: Sequence[Fact], catalog: Catalog) -> dict[str, str]:
    """Return who serves each route that the request names: as its events say, else as the catalog does."""
    providers: dict[str, str] = {}
    for fact in facts:
        event = fact.event
        if isinstance(event, events.RequestRouted | events.FallbackTaken):
            own = event.route if isinstance(event, events.RequestRouted) else event.to_route
            providers[own] = event.provider
            for skipped in event.why.skipped:
                published = catalog.routes.get(skipped.route)
                if published is not None:
                    providers.setdefault(skipped.route, published.provider)
    return providers


def costs_of(facts: Sequence[Fact], providers: Mapping[str, str], catalog: Catalog) -> Iterator[AttemptCost]:
    """Yield what each attempt cost. Providers may bill in different units: nothing is added up."""
    for fact in facts:
        event = fact.event
        if isinstance(event, events.AttemptFailed | events.TokensSettled):
            served = isinstance(event, events.TokensSettled)
            cost: Amount | None = event.provider_cost
            stated = None if cost is None else state_amount(cost.minor, catalog.units[cost.unit])
            yield AttemptCost(event.attempt, event.route, providers.get(event.route, ""), served, stated)


def price_sources(facts: Sequence[Fact], catalog: Catalog) -> list[PriceSource]:
    """Return the source of every rate card that was named on the way, each once."""
    named = (getattr(fact.event, "rate_card", None) for fact in facts)
    cards = dict.fromkeys(name for name in named if name is not None)
    return [price_source(catalog.rate_cards[name]) for name in cards]
