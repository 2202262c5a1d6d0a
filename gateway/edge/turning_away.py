"""What a client is told when no route may take its call, without a word of who is behind a route and why."""

from collections.abc import Sequence

from gateway.dialects.calls import CallRefused
from gateway.dialects.errors import no_route, unsupported
from gateway.dialects.surface import Interface, spoken
from gateway.edge.journey import CallFailed
from ledger.catalog.events import ModelPublished
from ledger.catalog.state import Catalog
from ledger.core.refusals import Refusal, Refused
from ledger.request.events import SkippedRoute
from ledger.workspace.events import KeyLimits
from projections.receipt.customer import UNREACHABLE, revealing


def turned_away(
    catalog: Catalog, model: ModelPublished, interface: Interface, limits: KeyLimits, skipped: Sequence[SkippedRoute]
) -> CallRefused | Refused | CallFailed:
    """Return what to raise. Only CallFailed is worth another try: the others say what the client must change."""
    routes = [catalog.routes[name] for name in model.targets if name in catalog.routes]
    providers = catalog.providers
    if not any(spoken(interface, providers[route.provider].dialect) for route in routes):
        return CallRefused(unsupported(f"{interface} with the model `{model.model}`", "model"))
    if limits.buckets is not None and not any(route.bucket in limits.buckets for route in routes):
        return Refused(Refusal.BUCKET_NOT_ALLOWED, f"the key may use no bucket of model {model.model}")
    reveal = revealing(list(providers))
    return CallFailed(no_route(model.model, [f"{each.route}: {reveal(each.reason, UNREACHABLE)}" for each in skipped]))
