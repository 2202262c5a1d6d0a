"""Who may serve a call, in which order, and why the others may not; the ledger permits the same moves."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.surface import Interface, spoken
from gateway.routing.candidates import (
    Candidates,
    Conditions,
    Target,
    find_candidates,
    follow_ups,
    has_more_context,
    not_permitted,
)
from ledger.catalog.events import ModelPublished, ProviderPublished, RoutePublished, RouteSuspended
from ledger.catalog.state import Catalog, fold_catalog
from ledger.checks import check_why
from ledger.core.refusals import Refused
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.request.events import Why
from ledger.request.routing import require_allowed, require_move_allowed
from ledger.request.state import RequestState, Status
from ledger.workspace.events import KeyLimits
from tests import strategies as drawn

pinned_routes = st.none() | st.none() | st.sampled_from(drawn.ROUTE_NAMES)
interfaces = st.sampled_from(drawn.INTERFACES)
ALL = KeyLimits(allow_bucket_change=True)


def ledger_permits(model: ModelPublished, limits: KeyLimits, current: RoutePublished, to: RoutePublished) -> bool:
    """Return whether the ledger lets a request on one route move to another."""
    state = RequestState(
        Status.OPEN, 1, route=current.route, upstream_model=current.upstream_model, tier=current.tier,
        bucket=current.bucket,
    )  # fmt: skip
    try:
        # The key's own models are the edge's first question: no target is looked for before it.
        require_allowed(msgspec.structs.replace(limits, models=None), model.model, to.bucket)
        require_move_allowed(state, model, to, limits)
    except Refused:
        return False
    return True


def is_callable(catalog: Catalog, route: RoutePublished, interface: Interface, conditions: Conditions) -> bool:
    """Return whether a route can be called now, by the plain rules."""
    provider = catalog.providers[route.provider]
    return (
        route.route not in catalog.suspended
        and route.route not in conditions.open_circuits
        and route.provider in conditions.providers
        and route.provider not in conditions.empty_providers
        and route.priced_by == "ledger"
        and any(card.valid_from <= conditions.now for card in catalog.cards_of_route.get(route.route, ()))
        and spoken(interface, provider.dialect) is not None
    )


@given(drawn.catalogs(), interfaces, drawn.key_limits, drawn.routing_conditions(), pinned_routes)
def test_exactly_the_routes_that_can_and_may_serve_are_targets(
    catalog: Catalog, interface: Interface, limits: KeyLimits, conditions: Conditions, pinned: str | None
) -> None:
    """A target is callable, permitted and where an earlier answer lives; whatever is all of that is a target."""
    model = catalog.models["smart"]
    home = catalog.routes[model.targets[0]]
    expected = [
        name
        for name in model.targets
        if is_callable(catalog, catalog.routes[name], interface, conditions)
        and ledger_permits(model, limits, home, catalog.routes[name])
        and pinned in {None, name}
    ]
    found = find_candidates(catalog, model, interface, limits, conditions, pinned)
    assert [target.route.route for target in found.targets] == expected


@given(drawn.catalogs(), interfaces, drawn.key_limits, drawn.routing_conditions(), pinned_routes)
def test_each_target_is_planned_or_skipped_with_a_reason(
    catalog: Catalog, interface: Interface, limits: KeyLimits, conditions: Conditions, pinned: str | None
) -> None:
    """Every target of a model is in one of both lists, in the model's order, and the ledger takes the reasons."""
    model = catalog.models["smart"]
    found = find_candidates(catalog, model, interface, limits, conditions, pinned)
    planned = [target.route.route for target in found.targets]
    skipped = [each.route for each in found.skipped]
    order = model.targets.index
    assert sorted(planned + skipped, key=order) == list(model.targets)
    assert (planned, skipped) == (sorted(planned, key=order), sorted(skipped, key=order))
    check_why(Why("first target", found.skipped), "why")


@given(drawn.catalogs(), interfaces, drawn.key_limits, drawn.routing_conditions())
def test_a_target_has_what_a_call_needs(
    catalog: Catalog, interface: Interface, limits: KeyLimits, conditions: Conditions
) -> None:
    """A target carries its own provider, the card in force in its own bucket, and an interface that is spoken there."""
    for target in find_candidates(catalog, catalog.models["smart"], interface, limits, conditions).targets:
        assert target.provider == catalog.providers[target.route.provider]
        assert target.interface == spoken(interface, target.provider.dialect)
        dates = [card.valid_from for card in catalog.cards_of_route[target.route.route]]
        in_force = max(date for date in dates if date <= conditions.now)
        assert (target.card.route, target.card.bucket) == (target.route.route, target.route.bucket)
        assert target.card.valid_from == in_force


@given(drawn.catalogs(), interfaces, drawn.key_limits, drawn.routing_conditions())
def test_another_bucket_needs_both_permissions(
    catalog: Catalog, interface: Interface, limits: KeyLimits, conditions: Conditions
) -> None:
    """No plan leaves the bucket of the model's first target unless the model and the key both say so."""
    model = catalog.models["smart"]
    found = find_candidates(catalog, model, interface, limits, conditions)
    if not (model.allow_bucket_change and limits.allow_bucket_change):
        home = catalog.routes[model.targets[0]].bucket
        assert {target.route.bucket for target in found.targets} <= {home}


@given(drawn.catalogs(), drawn.key_limits)
def test_the_ledger_permits_exactly_the_moves_that_are_planned(catalog: Catalog, limits: KeyLimits) -> None:
    """Between any two routes of any catalog the gateway and the ledger agree on whether a request may move."""
    model = catalog.models["smart"]
    for current in catalog.routes.values():
        for to in catalog.routes.values():
            planned = not_permitted(model, limits, current, to) is None
            assert planned == ledger_permits(model, limits, current, to)


@given(drawn.catalogs(), interfaces, drawn.key_limits, drawn.routing_conditions(), st.booleans())
def test_a_call_moves_on_and_never_back(
    catalog: Catalog, interface: Interface, limits: KeyLimits, conditions: Conditions, larger: bool
) -> None:
    """Behind the current target each other is possible, which the ledger permits, or skipped with a reason."""
    model = catalog.models["smart"]
    targets = find_candidates(catalog, model, interface, limits, conditions).targets
    for at, current in enumerate(targets):
        possible, skipped = follow_ups(targets, model, limits, current, larger=larger)
        behind = targets[at + 1 :]
        expected = tuple(
            target
            for target in behind
            if ledger_permits(model, limits, current.route, target.route)
            and (not larger or has_more_context(target.route, current.route))
        )
        assert possible == expected
        assert [each.route for each in skipped] == [each.route.route for each in behind if each not in expected]
        check_why(Why("moved", skipped), "why")


CREDIT = RoutePublished("home", "openai", "gpt-5", "credit", "direct")
CATALOG = Catalog(
    providers={"openai": ProviderPublished("openai", "openai", "https://api.example/v1", "USD", 9)},
    routes={"home": CREDIT},
    cards_of_route={"home": (RateCard("card", "home", "credit", 0, (ModelRates("*", {"text_output": "1"}),), "test"),)},
)
SMART = ModelPublished("smart", ("home",))
READY = Conditions(10, frozenset({"openai"}))


def plan(
    model: ModelPublished = SMART,
    interface: Interface = "chat",
    conditions: Conditions = READY,
    limits: KeyLimits = ALL,
    pinned: str | None = None,
    **routes: RoutePublished,
) -> Candidates:
    """Return the plan in a small catalog, with some routes changed."""
    catalog = msgspec.structs.replace(CATALOG, routes=CATALOG.routes | routes)
    return find_candidates(catalog, model, interface, limits, conditions, pinned)


def reasons(found: Candidates) -> list[str]:
    """Return why targets were skipped."""
    return [each.reason for each in found.skipped]


def test_a_reason_says_what_is_in_the_way() -> None:
    """Each thing that keeps a route from serving is named in its own words."""
    assert [target.interface for target in plan().targets] == ["chat"]
    assert reasons(plan(conditions=Conditions(10, frozenset()))) == ["this gateway has no key for provider openai"]
    assert reasons(plan(interface="messages")) == []
    gemini = {"openai": ProviderPublished("openai", "gemini", "https://api.example/v1", "USD", 9)}
    catalog = msgspec.structs.replace(CATALOG, providers=gemini)
    assert reasons(find_candidates(catalog, SMART, "responses", ALL, READY)) == [
        "provider openai does not serve responses"
    ]
    suspended = fold_catalog(CATALOG, RouteSuspended("home"), 1)
    assert reasons(find_candidates(suspended, SMART, "chat", ALL, READY)) == ["suspended"]
    own_price = msgspec.structs.replace(CREDIT, priced_by="caller")
    assert reasons(plan(home=own_price)) == ["priced by the caller, who is not this gateway"]
    assert reasons(plan(conditions=Conditions(-1, frozenset({"openai"})))) == ["no rate card is in force"]
    assert reasons(plan(conditions=Conditions(10, frozenset({"openai"}), {"home": "it fails"}))) == ["it fails"]
    assert reasons(plan(conditions=Conditions(10, frozenset({"openai"}), {}, {"openai": "empty"}))) == ["empty"]
    assert reasons(plan(limits=KeyLimits(buckets=("rmb",)))) == ["the key may not use bucket credit"]
    assert reasons(plan(pinned="other")) == ["the earlier answer lives on route other"]
    assert reasons(plan(model=ModelPublished("smart", ("gone",)))) == ["not published"]


@pytest.mark.parametrize(
    ("tier", "upstream", "bucket", "allowed", "key", "reason"),
    [
        ("direct", "gpt-5", "credit", (False, False), False, None),
        ("direct", "claude", "credit", (False, False), True, "a direct route stays with gpt-5"),
        ("direct", "claude", "credit", (False, True), False, None),
        ("ordinary", "claude", "credit", (False, False), False, None),
        ("direct", "gpt-5", "rmb", (True, False), True, None),
        ("direct", "gpt-5", "rmb", (False, False), True, "a change from bucket credit to rmb"),
        ("direct", "gpt-5", "rmb", (True, False), False, "a change from bucket credit to rmb"),
    ],
)
def test_a_move_needs_its_permission_in_words(
    tier: str, upstream: str, bucket: str, allowed: tuple[bool, bool], key: bool, reason: str | None
) -> None:
    """A change of bucket is allowed by model and key, a change of a direct route's model by the model alone."""
    home = msgspec.structs.replace(CREDIT, tier=tier)
    to = RoutePublished("other", "openai", upstream, bucket, "ordinary")
    model = ModelPublished("smart", ("home", "other"), 0, 600, *allowed)
    said = not_permitted(model, KeyLimits(allow_bucket_change=key), home, to)
    assert said == reason if said is None or reason is None else said.startswith(reason)


@pytest.mark.parametrize(
    ("tokens", "than", "more"),
    [(2000, 1000, True), (1000, 1000, False), (500, 1000, False), (None, 1000, False), (None, None, False),
     (500, None, True)],
)  # fmt: skip
def test_a_longer_prompt_goes_to_a_larger_context(tokens: int | None, than: int | None, more: bool) -> None:
    """A context that is not known is not larger; next to one that is not known, any known one is worth a try."""
    first = msgspec.structs.replace(CREDIT, context_tokens=than)
    second = msgspec.structs.replace(CREDIT, route="second", context_tokens=tokens)
    card = CATALOG.cards_of_route["home"][0]
    targets = tuple(Target(route, CATALOG.providers["openai"], card, "chat") for route in (first, second))
    model = ModelPublished("smart", ("home", "second"))
    possible, skipped = follow_ups(targets, model, ALL, targets[0], larger=True)
    assert (len(possible), [each.reason for each in skipped]) == (
        (1, []) if more else (0, ["its context is not larger than that of home"])
    )
    assert follow_ups(targets, model, ALL, targets[0], larger=False) == ((targets[1],), ())
    assert follow_ups(targets, model, ALL, targets[1], larger=False) == ((), ())


def test_a_move_is_judged_from_where_the_call_is() -> None:
    """An ordinary route may move to another model; the direct one that it has moved to may not."""
    ordinary = msgspec.structs.replace(CREDIT, tier="ordinary")
    direct = msgspec.structs.replace(CREDIT, route="second")
    other = msgspec.structs.replace(ordinary, route="third", upstream_model="claude")
    card = CATALOG.cards_of_route["home"][0]
    targets = tuple(Target(route, CATALOG.providers["openai"], card, "chat") for route in (ordinary, direct, other))
    model = ModelPublished("smart", ("home", "second", "third"))
    assert follow_ups(targets, model, ALL, targets[0], larger=False) == (targets[1:], ())
    possible, skipped = follow_ups(targets, model, ALL, targets[1], larger=False)
    assert (possible, [each.reason for each in skipped]) == ((), ["a direct route stays with gpt-5"])
