"""Placing and moving the hold of a call: nothing is called before what it may cost is set aside in one bucket."""

import asyncio
from collections.abc import Sequence

import msgspec

from gateway.books.protocol import Posted
from gateway.dialects.calls import CallBody
from gateway.edge.gateway import Gateway
from gateway.edge.journey import Journey, move_text
from gateway.edge.ticket import Ticket
from gateway.routing.candidates import Candidates, Target, follow_ups
from gateway.routing.sizing import affordable_output_limit, estimate_of, hold_minor, output_limit_of
from ledger.catalog.state import Catalog
from ledger.core.amounts import StatedAmount, Unit, parse_amount, state_amount
from ledger.core.refusals import Refusal, Refused
from ledger.request.commands import Failure, ReleaseRequest, RouteRequest, TakeFallback
from ledger.request.events import SkippedRoute, Why
from projections.receipt.customer import UNREACHABLE, revealing

NO_MONEY_HERE = frozenset(
    {
        Refusal.INSUFFICIENT_AVAILABLE,
        Refusal.WALLET_UNKNOWN,
        Refusal.WALLET_FROZEN,
        Refusal.API_KEY_SPEND_LIMIT_EXCEEDED,
        Refusal.PROJECT_SPEND_LIMIT_EXCEEDED,
    }
)
"""Refusals of a bucket: another one may pay, where that is allowed in the open."""

TOO_LARGE = frozenset(
    {
        Refusal.INSUFFICIENT_AVAILABLE,
        Refusal.AVAILABLE_IS_HELD,
        Refusal.API_KEY_SPEND_LIMIT_EXCEEDED,
        Refusal.PROJECT_SPEND_LIMIT_EXCEEDED,
    }
)
"""Refusals of an amount: a smaller one may fit."""

NOT_HERE = frozenset(
    {
        Refusal.ROUTE_SUSPENDED,
        Refusal.ROUTE_UNKNOWN,
        Refusal.ROUTE_NOT_OF_MODEL,
        Refusal.RATE_CARD_UNKNOWN,
        Refusal.RATE_CARD_NOT_IN_FORCE,
        Refusal.BUCKET_CHANGE_NOT_ALLOWED,
        Refusal.MODEL_CHANGE_NOT_ALLOWED,
        Refusal.BUCKET_NOT_ALLOWED,
    }
)
"""Refusals of a route: the ledger knows of a change that this gateway has not seen yet."""

REASON_LENGTH_MAX = 190

HOLD_TRIES = 5
"""What is affordable in the wallet may be too much for a limit of the key or the project, by the day or the month."""


async def place_hold(gateway: Gateway, ticket: Ticket, candidates: Candidates, catalog: Catalog) -> Journey:
    """Return the journey of a call whose hold is on record, on the first route that can be paid. Raises Refused."""
    skipped = list(candidates.skipped)
    targets = candidates.targets
    first_refusal: Refused | None = None
    while targets:
        bucket = targets[0].route.bucket
        group = of_bucket(targets, bucket)
        try:
            journey = await hold_in_bucket(gateway, ticket, candidates, group, skipped, catalog)
            say_bucket(journey, catalog, skipped)
            return journey
        except Refused as refused:
            if refused.code in NO_MONEY_HERE:
                skipped += [SkippedRoute(each.route.route, reason_of(refused)) for each in group]
                targets = tuple(each for each in targets if each.route.bucket != bucket)
            elif refused.code in NOT_HERE:
                skipped.append(SkippedRoute(group[0].route.route, reason_of(refused)))
                targets = tuple(each for each in targets if each is not group[0])
            else:
                void_if_unknown(gateway, ticket, refused)
                raise
            first_refusal = first_refusal or refused
    if first_refusal is None:
        raise Refused(Refusal.MODEL_UNKNOWN, "no route can serve this")
    raise first_refusal


def say_bucket(journey: Journey, catalog: Catalog, skipped: Sequence[SkippedRoute]) -> None:
    """Note for the client that another balance pays than that of the model's first target, and why."""
    home = catalog.routes.get(journey.candidates.model.targets[0])
    if home is None or home.bucket == journey.target.route.bucket:
        return
    reason = next((each.reason for each in skipped if each.route == home.route), "skipped")
    reveal = revealing(list(catalog.providers))
    journey.moves.append(move_text(home, journey.target.route, reveal(reason.partition(":")[0], UNREACHABLE)))


def of_bucket(targets: Sequence[Target], bucket: str) -> tuple[Target, ...]:
    """Return the targets that settle in a bucket, in their order."""
    return tuple(target for target in targets if target.route.bucket == bucket)


def reason_of(refused: Refused) -> str:
    """Return a refusal as the reason why a route was skipped."""
    return f"{refused.code.value}: {refused.detail}"[:REASON_LENGTH_MAX]


def void_if_unknown(gateway: Gateway, ticket: Ticket, refused: Refused) -> None:
    """Make sure that a hold whose fate is not known is given back, or refused when it arrives."""
    if refused.code is Refusal.OUTCOME_UNKNOWN:
        release = ReleaseRequest(
            workspace_id=ticket.caller.workspace_id,
            request_id=ticket.request_id,
            trace_id=ticket.trace_id,
            cause="cancelled",
        )
        _ = gateway.settler.settle([release])


async def hold_in_bucket(
    gateway: Gateway,
    ticket: Ticket,
    candidates: Candidates,
    group: Sequence[Target],
    skipped: Sequence[SkippedRoute],
    catalog: Catalog,
) -> Journey:
    """Return the journey with a hold for the dearest of some targets of one bucket, or for the output it affords."""
    unit = unit_of(catalog, group[0].route.bucket)
    settings = gateway.settings.hold
    call, limit = ticket.call, None
    for _ in range(HOLD_TRIES - 1):
        needed = hold_minor(call, group, settings, unit.scale)
        try:
            return await post_hold(gateway, ticket, candidates, group, skipped, call, needed, unit, limit)
        except Refused as refused:
            left = left_of(refused, unit)
            if refused.code not in TOO_LARGE or left is None:
                raise
            limit = affordable_output_limit(ticket.call, group, left, settings, unit.scale)
            if limit is None:
                raise
            call = msgspec.structs.replace(ticket.call, output_limit=limit)
    needed = hold_minor(call, group, settings, unit.scale)
    return await post_hold(gateway, ticket, candidates, group, skipped, call, needed, unit, limit)


def unit_of(catalog: Catalog, bucket: str) -> Unit:
    """Return the unit of a bucket."""
    return catalog.units[catalog.buckets[bucket].unit]


def left_of(refused: Refused, unit: Unit) -> int | None:
    """Return how much a refusal says is left, in smallest parts; None where it does not say."""
    text = refused.facts.get("available", refused.facts.get("left"))
    if not isinstance(text, str):
        return None
    return parse_amount(StatedAmount(text, unit.code), unit, "available", signed=True, zero=True).minor


async def post_hold(
    gateway: Gateway,
    ticket: Ticket,
    candidates: Candidates,
    group: Sequence[Target],
    skipped: Sequence[SkippedRoute],
    call: CallBody,
    needed: int,
    unit: Unit,
    limit: int | None,
) -> Journey:
    """Post the hold and return the journey it begins. Raises Refused."""
    target = group[0]
    timeout = candidates.model.timeout_seconds
    hold_seconds = min(int(timeout + gateway.settings.hold.grace_seconds), 86_400)
    estimate = estimate_of(call, target, gateway.settings.hold)
    labels = ticket.labels
    loop = asyncio.get_running_loop()
    now = loop.time()
    posted = await gateway.books.post(
        RouteRequest(
            workspace_id=ticket.caller.workspace_id,
            request_id=ticket.request_id,
            trace_id=ticket.trace_id,
            project_id=ticket.project_id,
            api_key_id=ticket.caller.api_key_id,
            model=candidates.model.model,
            route=target.route.route,
            bucket=target.route.bucket,
            hold=state_amount(needed, unit),
            hold_seconds=hold_seconds,
            why=Why(rule_of(skipped, limit), tuple(skipped)),
            estimate=estimate,
            end_user=ticket.end_user,
            workflow=labels.workflow,
            run=labels.run,
            step=labels.step,
        )
    )
    gateway.metrics.held.labels(target.route.bucket, unit.code).inc(needed / 10**unit.scale)
    journey = Journey(ticket, candidates, target, call=call, hold_minor=needed, unit=unit, output_limit=limit)
    limit_output(gateway, journey, posted)
    journey.deadline = now + timeout
    journey.hold_until = now + hold_seconds
    return journey


def limit_output(gateway: Gateway, journey: Journey, posted: Posted) -> None:
    """Send the held output limit where the caller states none and available could not pay for a much longer answer."""
    call, settings = journey.ticket.call, gateway.settings.hold
    if call.output_limit is not None or journey.call.output_limit is not None or call.interface == "embeddings":
        return
    available = posted.available_minor
    is_short = available is not None and available < settings.headroom * journey.hold_minor
    journey.output_limit = output_limit_of(call, journey.target, settings) if is_short else None


def rule_of(skipped: Sequence[SkippedRoute], limit: int | None) -> str:
    """Return in words why this route was chosen."""
    rule = "first target that can serve and be paid" if skipped else "first target"
    return rule if limit is None else f"{rule}; output limited to {limit} tokens, which available covers"


async def move(gateway: Gateway, journey: Journey, failure: Failure) -> bool:
    """Move the hold to the next route that may take over; False when there is none. Raises Refused when transient."""
    catalog = await gateway.books.catalog()
    targets, skipped = follow_ups(
        journey.candidates.targets,
        journey.candidates.model,
        journey.ticket.caller.limits,
        journey.target,
        larger=failure == "context_window",
    )
    reasons = list(skipped)
    conditions = gateway.health.conditions()
    for at, target in enumerate(targets):
        route = target.route.route
        closed = (
            ("suspended" if route in catalog.suspended else None)
            or conditions.empty_providers.get(target.provider.provider)
            or conditions.open_circuits.get(route)
        )
        if closed:
            reasons.append(SkippedRoute(route, closed))
            continue
        try:
            await take_fallback(gateway, journey, targets[at:], failure, reasons, catalog)
        except Refused as refused:
            if refused.code not in NO_MONEY_HERE | TOO_LARGE | NOT_HERE:
                raise
            reasons.append(SkippedRoute(route, reason_of(refused)))
            continue
        return True
    return False


async def take_fallback(
    gateway: Gateway,
    journey: Journey,
    targets: Sequence[Target],
    failure: Failure,
    skipped: Sequence[SkippedRoute],
    catalog: Catalog,
) -> None:
    """Post a fallback to the first of some targets, with a hold for the dearest of its bucket. Raises Refused."""
    target = targets[0]
    ticket = journey.ticket
    current = journey.target.route
    unit = unit_of(catalog, target.route.bucket)
    group = of_bucket(targets, target.route.bucket)
    needed = hold_minor(journey.call, group, gateway.settings.hold, unit.scale)
    now = asyncio.get_running_loop().time()
    hold_seconds = max(1, min(int(journey.deadline - now + gateway.settings.hold.grace_seconds), 86_400))
    posted = await gateway.books.post(
        TakeFallback(
            workspace_id=ticket.caller.workspace_id,
            request_id=ticket.request_id,
            trace_id=ticket.trace_id,
            fallback=journey.fallbacks + 1,
            from_route=current.route,
            to_route=target.route.route,
            to_bucket=target.route.bucket,
            hold=state_amount(needed, unit),
            hold_seconds=hold_seconds,
            failure=failure,
            why=Why(f"{current.route} failed: {failure}; next target that can serve and be paid", tuple(skipped)),
        )
    )
    gateway.metrics.fallbacks.labels(current.route, target.route.route, failure).inc()
    gateway.metrics.held.labels(target.route.bucket, unit.code).inc(needed / 10**unit.scale)
    journey.moved_to(target, needed, unit, failure)
    limit_output(gateway, journey, posted)
    journey.hold_until = now + hold_seconds
