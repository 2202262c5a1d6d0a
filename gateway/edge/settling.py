"""The last words of a call: what is charged and why, or that the hold is given back.

Every choice made here is a rule that the configuration declares and the receipt prints (`SettlementPolicy`).
"""

import asyncio
from functools import partial
from time import monotonic
from typing import Any, Literal

import msgspec

from gateway.books.protocol import Posted
from gateway.books.settler import Settled
from gateway.edge.gateway import Gateway
from gateway.edge.journey import Journey
from gateway.routing.costing import provider_cost
from gateway.usage.filling import doubted, fill_in
from gateway.usage.reported import ModelUsage as ReportedModelUsage
from gateway.usage.reported import ReportedUsage
from ledger.core.amounts import Unit, format_minor, state_amount
from ledger.pricing.usage import ModelUsage
from ledger.request.commands import ReleaseCause, ReleaseRequest, SettlementPolicy, SettleRequest, UsageSource
from ledger.request.events import TokensSettled

PLAIN_TERMS = frozenset({"auto", "default", "global", "not_available", "on_demand", "standard"})
"""Words of upstreams that say that nothing special was billed."""

OUTPUT_BELIEVED = 2
"""An output so many times as long as the limit that was sent can't be right; some count thoughts beside the limit."""

UNNAMED_MODEL = "unnamed"
"""A model beside the serving one that the upstream does not name: nobody's price but a card's that takes any model."""

Ending = Literal["complete", "client_gone", "stream_cut"]
"""How an answer came to its end: whole, after its client had hung up, or cut off by the upstream."""


class Charged(msgspec.Struct, frozen=True):
    """What the client is told of its charge. `charge` is None while the settlement is under way."""

    status: Literal["settled", "settling", "released"]
    usage: str
    charge: str | None = None


def estimated_input(gateway: Gateway, journey: Journey) -> int:
    """Return a fair estimate of the input: what a hold takes is meant to be too much."""
    call = journey.call
    settings = gateway.settings
    return -(-call.text_bytes // settings.settlement.bytes_per_token) + call.images * settings.hold.tokens_per_image


def policy_of(report: ReportedUsage, ending: Ending) -> tuple[UsageSource, SettlementPolicy]:
    """Return where the usage comes from, and by which rule it is charged."""
    if report.status == "complete":
        return "reported", "client_gone_drained" if ending == "client_gone" else "complete"
    if ending == "client_gone":
        return "partial", "client_gone_estimated"
    if ending == "stream_cut":
        return "partial", "stream_cut_estimated"
    return "estimated", "usage_missing_estimated"


def is_released(gateway: Gateway, policy: SettlementPolicy) -> bool:
    """Return whether the configuration gives the hold back where usage is not known."""
    settings = gateway.settings.settlement
    return (policy == "stream_cut_estimated" and settings.stream_cut == "release") or (
        policy == "usage_missing_estimated" and settings.usage_missing == "release"
    )


def settle(
    gateway: Gateway,
    journey: Journey,
    report: ReportedUsage,
    delivered_bytes: int,
    ending: Ending,
    first_token_ms: int | None,
) -> tuple[asyncio.Future[Settled], UsageSource]:
    """Begin to settle what an attempt served; the task goes on whatever happens to the call."""
    report = doubted(report, delivered_bytes)
    source, policy = policy_of(report, ending)
    if source == "reported" and is_doubtful(journey, report):
        policy = "report_doubted"
    if is_released(gateway, policy):
        return give_back(gateway, journey, "failed"), source
    per_token = gateway.settings.settlement.bytes_per_token
    usage = fill_in(
        report, input_estimate=estimated_input(gateway, journey), output_estimate=-(-delivered_bytes // per_token)
    )
    target = journey.target
    served_model = report.upstream_model or unnamed(journey, report)
    terms = terms_of(report)
    others = tuple(ModelUsage(each.model or UNNAMED_MODEL, each.usage) for each in report.others)
    entries = [ReportedModelUsage(each.model, each.usage) for each in (ModelUsage(served_model, usage), *others)]
    is_capped = source != "reported" or policy == "report_doubted"
    limit = state_amount(journey.hold_minor, journey.unit) if is_capped else None
    command = SettleRequest(
        workspace_id=journey.ticket.caller.workspace_id,
        request_id=journey.ticket.request_id,
        trace_id=journey.ticket.trace_id,
        attempt=journey.attempts,
        route=target.route.route,
        reported_model=served_model,
        usage=usage,
        usage_source=source,
        latency_ms=milliseconds_since(journey.attempt_started),
        first_token_ms=first_token_ms,
        # Under terms that the card does not name only the provider itself knows its price.
        provider_cost=None
        if terms and report.cost is None
        else provider_cost(entries, target.card, target.provider, report.cost),
        charge_limit=limit,
        policy=policy,
        others=others,
        terms=terms,
    )
    gateway.metrics.settlements.labels(source, policy).inc()
    settling = gateway.settler.settle([command])
    settling.add_done_callback(partial(count, gateway, journey.unit))
    return settling, source


def is_doubtful(journey: Journey, report: ReportedUsage) -> bool:
    """Return whether a report can't be right: more input than the route takes, far more output than was allowed."""
    context_tokens = journey.target.route.context_tokens
    if context_tokens is not None and report.input is not None and report.input.tokens > context_tokens:
        return True
    limit = journey.output_limit or journey.call.output_limit
    if limit is None or report.output is None:
        return False
    return report.output.tokens > OUTPUT_BELIEVED * limit * journey.call.choices


def unnamed(journey: Journey, report: ReportedUsage) -> str:
    """Return which model served where the report names none: the one that was called, unless its name was no name."""
    return UNNAMED_MODEL if "bad:model" in report.problems else journey.target.route.upstream_model


def terms_of(report: ReportedUsage) -> tuple[str, ...]:
    """Return the words under which an upstream has billed and that mean another price than the card's."""
    words = {"service_tier": report.service_tier or "", **report.modifiers}
    return tuple(f"{name}={word}"[:64] for name, word in words.items() if word and word.lower() not in PLAIN_TERMS)


def milliseconds_since(started: float) -> int:
    """Return how long ago something happened, by this process's monotonic clock."""
    return max(0, round((monotonic() - started) * 1000))


def release(gateway: Gateway, journey: Journey, cause: ReleaseCause) -> None:
    """Give the hold back; nobody waits for it."""
    _ = give_back(gateway, journey, cause)


async def released(gateway: Gateway, journey: Journey, cause: ReleaseCause) -> None:
    """Give the hold back and wait for its commit, but only so long: the client's next call may need the money."""
    wait_seconds = gateway.settings.settlement.charge_wait_seconds
    await asyncio.wait([give_back(gateway, journey, cause)], timeout=wait_seconds)


def give_back(gateway: Gateway, journey: Journey, cause: ReleaseCause) -> asyncio.Future[Settled]:
    """Begin to give the hold back."""
    ticket = journey.ticket
    command = ReleaseRequest(
        workspace_id=ticket.caller.workspace_id, request_id=ticket.request_id, trace_id=ticket.trace_id, cause=cause
    )
    return gateway.settler.settle([command])


async def charge_of(
    gateway: Gateway,
    journey: Journey,
    task: asyncio.Future[Settled],
    source: UsageSource,
    beside: asyncio.Future[None] | None = None,
) -> Charged:
    """Return what was charged, waiting for the commit, and for what is done beside it, only so long."""
    seconds = gateway.settings.settlement.charge_wait_seconds
    if beside is None:
        await settled_within(task, seconds)
    else:
        both: list[asyncio.Future[Any]] = [task, beside]
        await asyncio.wait(both, timeout=seconds)
    posted = task.result() if task.done() and not task.cancelled() else None
    if not isinstance(posted, Posted):
        return Charged("settling", source)
    if not isinstance(posted.event, TokensSettled):
        return Charged("released", source, amount_text(0, journey.unit))
    # What the customer paid. An overrun is the platform's loss and its own affair.
    paid_minor = posted.event.captured_minor + posted.event.from_available_minor
    return Charged("settled", source, amount_text(paid_minor, journey.unit))


async def settled_within(task: asyncio.Future[Settled], seconds: float) -> None:
    """Wait for one future, but only so long: a third of the time that waiting for several takes."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def wake(_: object) -> None:
        if not waiter.done():
            waiter.set_result(None)

    timer = loop.call_later(seconds, wake, None)
    task.add_done_callback(wake)
    try:
        await waiter
    finally:
        timer.cancel()
        task.remove_done_callback(wake)


def amount_text(minor: int, unit: Unit) -> str:
    """Return an amount as text with its unit."""
    return f"{format_minor(minor, unit.scale)} {unit.code}"


def count(gateway: Gateway, unit: Unit, settling: asyncio.Future[Settled]) -> None:
    """Count a settlement for whoever watches, once it is on record. One from the spool is counted with the spool."""
    posted = None if settling.cancelled() else settling.result()
    if not isinstance(posted, Posted) or not isinstance(posted.event, TokensSettled):
        return
    metrics, event = gateway.metrics, posted.event
    one = 10**unit.scale
    metrics.settled.labels(event.bucket, event.unit).inc(event.charge_minor / one)
    if event.overrun_minor:
        metrics.overrun.labels(event.bucket, event.unit).inc(event.overrun_minor / one)
    for line in event.unpriced:
        metrics.unpriced.labels(event.route, line.part).inc(line.tokens)
    if event.model_mismatch:
        metrics.mismatches.labels(event.route).inc()
    for term in event.terms:
        metrics.terms.labels(event.route, term).inc()
