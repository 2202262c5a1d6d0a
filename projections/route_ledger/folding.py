"""A request's events → its row. Pure: the same events give the same row, in whatever pages they come."""

from collections.abc import Iterable, Iterator

from ledger.core.accounts import WALLET_AVAILABLE, WALLET_HELD
from ledger.core.entries import Entry
from ledger.events import Event, Fact
from ledger.posting_rules import post
from ledger.pricing.usage import PARTS, Usage
from ledger.request import events
from projections.route_ledger.rows import (
    Amendment,
    Detail,
    FailedAttempt,
    Move,
    PlacedEntry,
    RequestRow,
    RouteTaken,
    Skipped,
    TokenLine,
)

__all__ = ["begin_row", "fold_row"]

WALLET_ACCOUNTS = frozenset({WALLET_AVAILABLE, WALLET_HELD})


def begin_row(
    workspace_id: str, generation: int, request_id: str, position: int, recorded_at: int, fact: Fact
) -> RequestRow | None:
    """Return the row that a request's first event makes; None for a request that was never routed."""
    event = fact.event
    if isinstance(event, events.RequestVoided):
        return None
    if not isinstance(event, events.RequestRouted):
        raise LookupError(f"{type(event).__name__} on a request that was never routed")
    row = RequestRow(
        workspace_id, generation, request_id, position, position, "open", fact.happened_at, recorded_at, None,
        event.expires_at, event.project_id, event.api_key_id, event.end_user, event.workflow, event.run, event.step,
        event.model, event.route, event.tier, event.provider, event.upstream_model, None, event.bucket, event.unit,
        event.why.rule, event.route, event.bucket, event.rate_card, event.rate_card, event.priced_by, 0, 0, 0, False,
        None, None, None, None, event.hold_minor, None, None, 0, None, None, None, None, None, None, None, None, False,
        False, fact.trace_id,
        Detail([RouteTaken(event.route, event.tier, event.provider, event.bucket)], skipped=skipped(event.why)),
    )  # fmt: skip
    place_entries(row, position, entries_of(event))
    return row


def fold_row(row: RequestRow, position: int, recorded_at: int, fact: Fact) -> None:
    """Change a row by the request's next event. Raises, and leaves it as it was, for one that cannot follow."""
    event = fact.event
    entries = entries_of(event)
    match event:
        case events.TokensSettled():
            settle(row, event, fact.effective_at)
            row.detail.served_at = fact.served_at
        case events.AttemptFailed():
            fail(row, event, fact)
        case events.FallbackTaken():
            move(row, event, position, fact.happened_at)
        case events.HoldExtended():
            row.held_minor += event.hold_minor
            row.expires_at = event.expires_at
        case events.RequestReleased():
            row.status = event.cause
            row.ended_at = fact.effective_at
            row.detail.served_at = fact.served_at
            row.held_minor = 0
            row.went_wrong = True
        case events.ChargeRefunded():
            row.refunded_minor += event.refund_minor
            row.detail.amendments.append(Amendment("refund", fact.effective_at, -event.refund_minor))
        case events.ChargeCorrected():
            correct(row, event, fact.effective_at)
        case _:
            raise TypeError(f"{type(event).__name__} does not change a request that was routed")
    place_entries(row, position, entries)
    row.last_position = position
    row.changed_at = recorded_at


def entries_of(event: Event) -> Iterable[tuple[str, bool]]:
    """Return the bucket of each journal entry that an event makes, and whether a leg of it touches the wallet."""
    # What every request has is told without making the entry: this runs millions of times.
    match event:
        case events.TokensSettled() if event.captured_minor > 0:
            return ((event.bucket, True),)
        case events.RequestRouted() if event.hold_minor > 0:
            return ((event.bucket, True),)
    return [(entry.bucket, touches_wallet(entry)) for entry in post(event)]


def touches_wallet(entry: Entry) -> bool:
    """Return whether any leg of an entry moves a wallet."""
    return any(not WALLET_ACCOUNTS.isdisjoint((leg.debit_account, leg.credit_account)) for leg in entry.legs)


def place_entries(row: RequestRow, position: int, entries: Iterable[tuple[str, bool]]) -> None:
    """Note journal entries, apart those between the platform's own accounts."""
    for bucket, of_wallet in entries:
        (row.detail.entries if of_wallet else row.detail.own_entries).append(PlacedEntry(bucket, position))


def skipped(why: events.Why) -> list[Skipped]:
    """Return the candidates that were not taken."""
    return [Skipped(each.route, each.reason) for each in why.skipped]


def settle(row: RequestRow, event: events.TokensSettled, effective_at: int) -> None:
    """Charge the request."""
    cost = event.provider_cost
    row.status = "settled"
    row.ended_at = effective_at
    row.held_minor = 0
    row.attempts += 1
    row.reported_model = event.reported_model
    row.input_tokens = event.usage.input_tokens + sum(other.usage.input_tokens for other in event.others)
    row.output_tokens = event.usage.output_tokens + sum(other.usage.output_tokens for other in event.others)
    row.usage_source = event.usage_source
    row.policy = event.policy
    row.charge_minor = event.charge_minor
    row.paid_minor = event.captured_minor + event.from_available_minor
    row.list_minor = event.list_minor
    row.listed_minor = None if event.list_minor is None else event.charge_minor + event.waived_minor
    row.waived_minor = event.waived_minor
    row.overrun_minor = event.overrun_minor
    row.latency_ms = event.latency_ms
    row.first_token_ms = event.first_token_ms
    row.cost_minor = None if cost is None else cost.minor
    row.cost_unit = None if cost is None else cost.unit
    row.unpriced = bool(event.unpriced)
    row.model_mismatch = event.model_mismatch
    row.detail.lines = list(lines_of(event))
    row.detail.terms = list(event.terms)


def lines_of(event: events.TokensSettled) -> Iterator[TokenLine]:
    """Yield all tokens that were used, with the rate of those that the ledger priced."""
    if event.rate_card is None:
        yield from unrated(event.usage, None)
        for other in event.others:
            yield from unrated(other.usage, other.model)
        return
    for line in event.lines:
        yield TokenLine(line.part, line.tokens, line.rate, line.charge_minor, line.list_minor, line.model)
    for missing in event.unpriced:
        yield TokenLine(missing.part, missing.tokens, model=missing.model)


def unrated(usage: Usage, model: str | None) -> Iterable[TokenLine]:
    """Yield the parts of a usage that no rate card has priced."""
    return (TokenLine(part, usage.parts[part], model=model) for part in PARTS if usage.parts.get(part))


def fail(row: RequestRow, event: events.AttemptFailed, fact: Fact) -> None:
    """Note a failed attempt, in the bucket of its route where the request was on it, else in the one that it is in."""
    cost = event.provider_cost
    on_it = (each for each in reversed(row.detail.routes) if each.route == event.route)
    taken = next(on_it, RouteTaken(event.route, "", "", row.bucket))
    row.attempts += 1
    row.retries += event.retried
    row.went_wrong = True
    row.detail.failures.append(
        FailedAttempt(
            event.attempt, event.route, taken.tier, taken.provider, taken.bucket, event.failure, event.retried,
            fact.effective_at, event.latency_ms, event.http_status, None if cost is None else cost.minor,
            None if cost is None else cost.unit, fact.served_at,
        )
    )  # fmt: skip


def move(row: RequestRow, event: events.FallbackTaken, position: int, happened_at: int) -> None:
    """Put the request on another route, with another hold."""
    row.detail.moves.append(
        Move(position, happened_at, event.from_route, event.to_route, event.from_bucket, event.to_bucket, event.failure)
    )
    row.detail.skipped += skipped(event.why)
    row.detail.routes.append(RouteTaken(event.to_route, event.tier, event.provider, event.to_bucket))
    row.route = event.to_route
    row.tier = event.tier
    row.provider = event.provider
    row.upstream_model = event.upstream_model
    row.bucket = event.to_bucket
    row.unit = event.to_unit
    row.rule = event.why.rule
    row.rate_card = event.rate_card
    row.priced_by = event.priced_by
    row.held_minor = event.hold_minor
    row.expires_at = event.expires_at
    row.fallbacks += 1
    row.went_wrong = True


def correct(row: RequestRow, event: events.ChargeCorrected, happened_at: int) -> None:
    """Change what is owed."""
    if row.charge_minor is None or row.paid_minor is None or row.overrun_minor is None:
        raise ValueError("a charge was corrected before it was made")
    row.charge_minor += event.difference_minor
    row.paid_minor += event.difference_minor + event.overrun_minor
    row.overrun_minor -= event.overrun_minor
    row.detail.amendments.append(
        Amendment("correction", happened_at, event.difference_minor, event.overrun_minor, event.cause)
    )
