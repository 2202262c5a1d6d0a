"""Placing, enlarging and moving a hold: is this route, bucket, key and balance allowed?"""

from ledger.catalog.events import ModelPublished, RoutePublished
from ledger.catalog.state import card_in_force
from ledger.core.amounts import parse_amount
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refusal, Refused
from ledger.pricing.rate_cards import RateCard
from ledger.request import commands, events
from ledger.request.situation import Situation
from ledger.request.state import RequestState
from ledger.wallet.decide import require_available, require_not_frozen, wallet_of
from ledger.workspace.budgets import budgets_at, require_budget
from ledger.workspace.decide import require_key, require_project
from ledger.workspace.events import KeyLimits
from ledger.workspace.pace import is_paced, require_pace

MICROSECONDS = 1_000_000


def require_caller(situation: Situation, project_id: str, api_key_id: str) -> KeyLimits:
    """Return the key's limits when project and key exist, belong together and may call; else refuse."""
    workspace = situation.workspace
    if workspace.workspace_id == PLATFORM:
        raise Refused(Refusal.WORKSPACE_UNKNOWN, "the platform's own book has no wallets", field="workspace_id")
    require_project(workspace, project_id)
    require_key(workspace, api_key_id)
    key = workspace.api_keys[api_key_id]
    if "call" not in key.scopes:
        raise Refused(Refusal.SCOPE_NOT_ALLOWED, f"key {api_key_id} has no scope call", field="api_key_id")
    if key.project_id is not None and key.project_id != project_id:
        raise Refused(
            Refusal.SCOPE_NOT_ALLOWED,
            f"key {api_key_id} belongs to project {key.project_id}",
            field="project_id",
        )
    return key.limits


def require_route(situation: Situation, model: str, route: str, bucket: str) -> tuple[ModelPublished, RoutePublished]:
    """Return a model and one of its routes that takes requests and settles in the bucket; else refuse."""
    catalog = situation.catalog
    if bucket not in catalog.buckets:
        raise Refused(Refusal.BUCKET_UNKNOWN, f"there is no bucket {bucket[:64]!r}", field="bucket")
    published = catalog.routes.get(route)
    if published is None:
        raise Refused(Refusal.ROUTE_UNKNOWN, f"there is no route {route[:64]!r}", field="route")
    alias = catalog.models.get(model)
    if alias is None:
        raise Refused(Refusal.MODEL_UNKNOWN, f"there is no model {model[:64]!r}", field="model")
    if route not in alias.targets:
        raise Refused(Refusal.ROUTE_NOT_OF_MODEL, f"route {route} is no target of model {model}", field="route")
    if route in catalog.suspended:
        raise Refused(Refusal.ROUTE_SUSPENDED, f"route {route} is suspended", field="route")
    if published.bucket != bucket:
        raise Refused(
            Refusal.BUCKET_NOT_OF_ROUTE,
            f"route {route} settles in bucket {published.bucket}, not {bucket}",
            field="bucket",
            expected=published.bucket,
        )
    return alias, published


def require_rate_card(situation: Situation, route: RoutePublished, named: str | None) -> RateCard | None:
    """Return the card that prices the route at this moment; None where the caller prices. Else refuse."""
    if route.priced_by == "caller":
        if named is not None:
            raise Refused(
                Refusal.RATE_CARD_NOT_IN_FORCE,
                f"route {route.route} is priced by the caller",
                field="rate_card",
            )
        return None
    card = card_in_force(situation.catalog, route.route, situation.happened_at)
    if named is not None and named not in situation.catalog.rate_cards:
        raise Refused(Refusal.RATE_CARD_UNKNOWN, f"there is no rate card {named[:64]!r}", field="rate_card")
    if card is None or (named is not None and named != card.rate_card):
        in_force = "no rate card" if card is None else f"rate card {card.rate_card}"
        raise Refused(
            Refusal.RATE_CARD_NOT_IN_FORCE,
            f"{in_force} is in force on route {route.route} at that moment",
            field="rate_card",
            in_force=None if card is None else card.rate_card,
        )
    return card


def require_allowed(limits: KeyLimits, model: str, bucket: str) -> None:
    """Refuse a model or a bucket that the key may not use."""
    if limits.models is not None and model not in limits.models:
        raise Refused(Refusal.MODEL_NOT_ALLOWED, f"the key may not use model {model}", field="model")
    if limits.buckets is not None and bucket not in limits.buckets:
        raise Refused(Refusal.BUCKET_NOT_ALLOWED, f"the key may not use bucket {bucket}", field="bucket")


def route(command: commands.RouteRequest, state: RequestState | None, situation: Situation) -> events.RequestRouted:
    """Place the hold of a new request."""
    limits = require_caller(situation, command.project_id, command.api_key_id)
    wallet = wallet_of(situation.wallets, command.bucket, situation.catalog)
    _, target = require_route(situation, command.model, command.route, command.bucket)
    card = require_rate_card(situation, target, command.rate_card)
    require_allowed(limits, command.model, command.bucket)
    hold = parse_amount(command.hold, wallet.measure, "hold").minor
    require_not_frozen(wallet)
    require_available(wallet, hold)
    budgets = budgets_at(
        situation.workspace, command.project_id, command.api_key_id, command.bucket, situation.happened_at
    )
    if budgets:
        require_budget(situation.workspace, situation.budgets, budgets, hold, wallet.scale)
    if is_paced(limits):
        tokens = events.estimated_tokens(command.estimate)
        require_pace(limits, situation.pace, command.api_key_id, tokens, situation.now)
    return events.RequestRouted(
        command.project_id,
        command.api_key_id,
        command.model,
        command.route,
        target.tier,
        target.provider,
        target.upstream_model,
        command.bucket,
        wallet.unit,
        hold,
        command.hold_seconds,
        situation.now + command.hold_seconds * MICROSECONDS,
        command.why,
        None if card is None else card.rate_card,
        target.priced_by,
        command.estimate,
        command.end_user,
        command.workflow,
        command.run,
        command.step,
        budgets,
    )


def extend(command: commands.ExtendHold, state: RequestState, situation: Situation) -> events.HoldExtended:
    """Hold more, or longer. The key must still be valid: a revocation stops more from being spent."""
    require_key(situation.workspace, state.api_key_id)
    wallet = wallet_of(situation.wallets, state.bucket, situation.catalog)
    minor = 0 if command.hold is None else parse_amount(command.hold, wallet.measure, "hold").minor
    if minor:
        require_not_frozen(wallet)
        require_available(wallet, minor, own_held_minor=state.held_minor)
        require_budget(situation.workspace, situation.budgets, state.budgets, minor, wallet.scale)
    return events.HoldExtended(
        command.extension,
        state.bucket,
        state.unit,
        minor,
        command.hold_seconds,
        situation.now + command.hold_seconds * MICROSECONDS,
        command.why,
        state.budgets,
    )


def fall_back(command: commands.TakeFallback, state: RequestState, situation: Situation) -> events.FallbackTaken:
    """Move to another route: give the whole hold back and place the new one, in one decision."""
    if command.from_route != state.route:
        raise Refused(Refusal.ROUTE_NOT_OF_REQUEST, f"the request is on route {state.route}", field="from_route")
    limits = require_caller(situation, state.project_id, state.api_key_id)
    wallet = wallet_of(situation.wallets, command.to_bucket, situation.catalog)
    alias, target = require_route(situation, state.model, command.to_route, command.to_bucket)
    card = require_rate_card(situation, target, command.rate_card)
    require_allowed(limits, state.model, command.to_bucket)
    require_move_allowed(state, alias, target, limits)
    hold = parse_amount(command.hold, wallet.measure, "hold").minor
    require_not_frozen(wallet)
    same_bucket = command.to_bucket == state.bucket
    require_available(wallet, hold, state.held_minor if same_bucket else 0)
    budgets = state.budgets
    if not same_bucket:
        budgets = budgets_at(
            situation.workspace, state.project_id, state.api_key_id, command.to_bucket, state.routed_at
        )
    more = hold - state.held_minor if same_bucket else hold
    if budgets and more > 0:
        require_budget(situation.workspace, situation.budgets, budgets, more, wallet.scale)
    return events.FallbackTaken(
        command.fallback,
        state.route,
        target.route,
        state.bucket,
        target.bucket,
        state.unit,
        wallet.unit,
        state.held_minor,
        hold,
        command.hold_seconds,
        situation.now + command.hold_seconds * MICROSECONDS,
        command.failure,
        command.why,
        target.tier,
        target.provider,
        target.upstream_model,
        None if card is None else card.rate_card,
        target.priced_by,
        state.budgets,
        budgets,
    )


def require_move_allowed(state: RequestState, alias: ModelPublished, target: RoutePublished, limits: KeyLimits) -> None:
    """Refuse a change of bucket or, on the direct tier, of upstream model that was not allowed in words."""
    if target.bucket != state.bucket and not (alias.allow_bucket_change and limits.allow_bucket_change):
        raise Refused(
            Refusal.BUCKET_CHANGE_NOT_ALLOWED,
            f"a fallback from bucket {state.bucket} to {target.bucket} needs allow_bucket_change "
            "on the model and on the key",
            field="to_bucket",
        )
    if state.tier == "direct" and target.upstream_model != state.upstream_model and not alias.allow_model_change:
        raise Refused(
            Refusal.MODEL_CHANGE_NOT_ALLOWED,
            f"a direct route falls back to the same upstream model only; {target.route} calls "
            f"{target.upstream_model} instead of {state.upstream_model}",
            field="to_route",
        )
