"""What the reads of the write side answer: balances, a workspace, the catalog. One object per bucket, never a sum."""

from typing import Any

import msgspec

from ledger.api.answers import Balance, Balances
from ledger.catalog.events import RoutePublished
from ledger.catalog.state import Catalog
from ledger.core.amounts import StatedAmount, Unit, state_amount
from ledger.core.refusals import Refusal, Refused
from ledger.pricing.rate_cards import RateCard
from ledger.service import LiveWallets, Principal
from ledger.wallet.state import WalletState
from ledger.workspace.events import KeyLimits, SpendLimit
from ledger.workspace.state import WorkspaceState

OWN_PRICES = frozenset("source source_unit units_per_source_unit factor snapshot_digest cost_unit cost_models".split())
"""What a rate card says of our cost and of where its prices come from: with it a customer could tell the margin."""


class SpendLimitView(msgspec.Struct, frozen=True):
    """At most `limit` held and charged in a bucket in each day or month of the workspace's time zone."""

    bucket: str
    period: str
    limit: StatedAmount


class KeyLimitsView(msgspec.Struct, frozen=True):
    """What a key may use; null for models or buckets means all of them."""

    spend: list[SpendLimitView]
    models: tuple[str, ...] | None
    buckets: tuple[str, ...] | None
    allow_bucket_change: bool
    requests_per_minute: int | None
    tokens_per_minute: int | None


class ProjectView(msgspec.Struct, frozen=True):
    """A project and its spend limits."""

    project_id: str
    display_name: str | None
    spend_limits: list[SpendLimitView]


class ApiKeyView(msgspec.Struct, frozen=True):
    """A key without anything that its secret could be checked by."""

    api_key_id: str
    display_name: str | None
    scopes: tuple[str, ...]
    project_id: str | None
    revoked: bool
    limits: KeyLimitsView


class WorkspaceView(msgspec.Struct, frozen=True):
    """A workspace with its projects and keys. `version` counts its changes."""

    workspace_id: str
    display_name: str | None
    version: int
    time_zone: str
    projects: list[ProjectView]
    api_keys: list[ApiKeyView]


Names = dict[tuple[str, str], str]
"""What people call things, by kind and name."""


def balance_view(wallet: WalletState, position: int) -> Balance:
    """Return a wallet as it is shown."""
    unit = wallet.measure
    return Balance(
        wallet.bucket,
        state_amount(wallet.posted_minor, unit),
        state_amount(wallet.held_minor, unit),
        state_amount(wallet.available_minor, unit),
        state_amount(wallet.credit_limit_minor, unit),
        wallet.frozen,
        position,
    )


def balances_view(live: LiveWallets) -> Balances:
    """Return all wallets of a workspace, in the order of their buckets' names."""
    wallets = sorted(live.wallets, key=lambda wallet: wallet.bucket)
    return Balances(live.workspace_id, live.position, [balance_view(wallet, live.position) for wallet in wallets])


def unit_named(code: str, units: dict[str, Unit]) -> Unit:
    """Return a unit by its code. The catalog may be a second older than what names the unit."""
    unit = units.get(code)
    if unit is None:
        raise Refused(Refusal.UNAVAILABLE, f"unit {code} was defined a moment ago: repeat")
    return unit


def spend_view(limits: tuple[SpendLimit, ...], units: dict[str, Unit]) -> list[SpendLimitView]:
    """Return spend limits with their amounts in decimal text."""
    return [
        SpendLimitView(limit.bucket, limit.period, state_amount(limit.limit_minor, unit_named(limit.unit, units)))
        for limit in limits
    ]


def limits_view(limits: KeyLimits, units: dict[str, Unit]) -> KeyLimitsView:
    """Return a key's limits with their amounts in decimal text."""
    return KeyLimitsView(
        spend_view(limits.spend, units),
        limits.models,
        limits.buckets,
        limits.allow_bucket_change,
        limits.requests_per_minute,
        limits.tokens_per_minute,
    )


def workspace_view(state: WorkspaceState, catalog: Catalog, names: Names, principal: Principal) -> WorkspaceView:
    """Return a workspace as a key may see it: one that belongs to a project sees that project alone."""
    only = None if principal.is_platform else principal.project_id
    projects = [
        ProjectView(
            project.project_id,
            names.get(("project", project.project_id)),
            spend_view(project.spend_limits, catalog.units),
        )
        for project in state.projects.values()
        if only in (None, project.project_id)
    ]
    keys = [
        ApiKeyView(
            key.api_key_id,
            names.get(("api_key", key.api_key_id)),
            key.scopes,
            key.project_id,
            key.revoked,
            limits_view(key.limits, catalog.units),
        )
        for key in state.api_keys.values()
        if only in (None, key.project_id)
    ]
    name = names.get(("workspace", state.workspace_id))
    return WorkspaceView(state.workspace_id, name, state.version, state.time_zone, projects, keys)


def catalog_view(catalog: Catalog, principal: Principal) -> dict[str, Any]:
    """Return the catalog as a key may see it: outside the platform without providers and price sources."""
    view = {
        "position": catalog.position,
        "version": catalog.version,
        "buckets": catalog.buckets,
        "providers": catalog.providers,
        "routes": catalog.routes,
        "models": catalog.models,
        "rate_cards": catalog.rate_cards,
        "suspended": sorted(catalog.suspended),
        "config_digest": catalog.config_digest,
    }
    if not principal.is_platform:
        del view["providers"], view["config_digest"]
        view["routes"] = {name: shown_route(route) for name, route in catalog.routes.items()}
        view["rate_cards"] = {name: shown_card(card) for name, card in catalog.rate_cards.items()}
    return view


def shown_route(route: RoutePublished) -> dict[str, Any]:
    """Return a route without who serves it."""
    view: dict[str, Any] = msgspec.to_builtins(route)
    del view["provider"]
    return view


def shown_card(card: RateCard) -> dict[str, Any]:
    """Return a rate card's prices without where they come from and what they cost us."""
    return {name: getattr(card, name) for name in card.__struct_fields__ if name not in OWN_PRICES}
