"""Which routes a call may take, in order, and why the others are skipped. Pure.

The first target of a model is its home: its bucket pays unless the model and the key both allow a change in so
many words, and a direct home stays with its upstream model unless the model allows another.
"""

from collections.abc import Mapping

import msgspec

from gateway.dialects.surface import Interface, spoken
from ledger.catalog.events import ModelPublished, ProviderPublished, RoutePublished
from ledger.catalog.state import Catalog, card_in_force
from ledger.pricing.rate_cards import RateCard
from ledger.request.events import SkippedRoute
from ledger.workspace.events import KeyLimits


class Target(msgspec.Struct, frozen=True):
    """A route that can be called now: who serves it, what it costs, and in which interface it is spoken to."""

    route: RoutePublished
    provider: ProviderPublished
    card: RateCard
    interface: Interface


class Conditions(msgspec.Struct, frozen=True):
    """What a gateway knows beside the catalog, at an instant in microseconds.

    `open_circuits` are routes that have failed too often, `empty_providers` those where our account has no money;
    both with words for the record. `providers` can be called from here: their keys are known.
    """

    now: int
    providers: frozenset[str]
    open_circuits: Mapping[str, str] = {}
    empty_providers: Mapping[str, str] = {}


class Candidates(msgspec.Struct, frozen=True):
    """The targets of a model in the order in which they are tried, and those left out with the reason."""

    model: ModelPublished
    targets: tuple[Target, ...]
    skipped: tuple[SkippedRoute, ...] = ()


def find_candidates(
    catalog: Catalog,
    model: ModelPublished,
    interface: Interface,
    limits: KeyLimits,
    conditions: Conditions,
    pinned: str | None = None,
) -> Candidates:
    """Return who may serve a call. `pinned` is the only route that may, where an earlier answer lives there."""
    targets: list[Target] = []
    skipped: list[SkippedRoute] = []
    home = catalog.routes.get(model.targets[0])
    for name in model.targets:
        route = catalog.routes.get(name)
        if route is None or home is None:
            skipped.append(SkippedRoute(name, "not published"))
            continue
        found = target_of(catalog, route, interface, conditions)
        reason = (
            found if isinstance(found, str) else not_permitted(model, limits, home, route) or not_pinned(route, pinned)
        )
        if isinstance(found, str) or reason:
            skipped.append(SkippedRoute(name, str(reason)))
        else:
            targets.append(found)
    return Candidates(model, tuple(targets), tuple(skipped))


def target_of(catalog: Catalog, route: RoutePublished, interface: Interface, conditions: Conditions) -> Target | str:
    """Return a route as a target, or in words why it can't be called now."""
    if route.route in catalog.suspended:
        return "suspended"
    provider = catalog.providers[route.provider]
    spoken_interface = spoken(interface, provider.dialect)
    if spoken_interface is None:
        return f"provider {provider.provider} does not serve {interface}"
    if provider.provider not in conditions.providers:
        return f"this gateway has no key for provider {provider.provider}"
    if route.priced_by == "caller":
        return "priced by the caller, who is not this gateway"
    card = card_in_force(catalog, route.route, conditions.now)
    if card is None:
        return "no rate card is in force"
    if provider.provider in conditions.empty_providers:
        return conditions.empty_providers[provider.provider]
    if route.route in conditions.open_circuits:
        return conditions.open_circuits[route.route]
    return Target(route, provider, card, spoken_interface)


def not_permitted(model: ModelPublished, limits: KeyLimits, home: RoutePublished, route: RoutePublished) -> str | None:
    """Return in words why the key or the model does not permit a route; None when they do."""
    if limits.buckets is not None and route.bucket not in limits.buckets:
        return f"the key may not use bucket {route.bucket}"
    if route.bucket != home.bucket and not (model.allow_bucket_change and limits.allow_bucket_change):
        return f"a change from bucket {home.bucket} to {route.bucket} is not allowed on both the model and the key"
    if home.tier == "direct" and route.upstream_model != home.upstream_model and not model.allow_model_change:
        return f"a direct route stays with {home.upstream_model}"
    return None


def not_pinned(route: RoutePublished, pinned: str | None) -> str | None:
    """Return in words why a route can't continue an earlier answer; None when it can."""
    return None if pinned in {None, route.route} else f"the earlier answer lives on route {pinned}"


def follow_ups(
    targets: tuple[Target, ...], model: ModelPublished, limits: KeyLimits, current: Target, *, larger: bool
) -> tuple[tuple[Target, ...], tuple[SkippedRoute, ...]]:
    """Return where a call may move after the current target failed, and what is skipped on the way.

    `larger` asks for more context than the current route has: a prompt that is too long stays too long.
    """
    at = targets.index(current)
    possible: list[Target] = []
    skipped: list[SkippedRoute] = []
    for target in targets[at + 1 :]:
        reason = not_permitted(model, limits, current.route, target.route)
        if reason is None and larger and not has_more_context(target.route, current.route):
            reason = f"its context is not larger than that of {current.route.route}"
        if reason is None:
            possible.append(target)
        else:
            skipped.append(SkippedRoute(target.route.route, reason))
    return tuple(possible), tuple(skipped)


def has_more_context(route: RoutePublished, than: RoutePublished) -> bool:
    """Return whether a route is known to take longer prompts than another."""
    return route.context_tokens is not None and route.context_tokens > (than.context_tokens or 0)
