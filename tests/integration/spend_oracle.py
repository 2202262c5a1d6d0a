"""What was spent, summed straight from the events without any of the read side's code, and rows of spend to compare."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any

import msgspec

from ledger.core.amounts import StatedAmount, count_minor
from ledger.core.commands import to_datetime
from ledger.events import REQUEST_STREAM, Fact, decode_fact
from ledger.request import events
from tests.integration.read_side import ask

Told = dict[str, Any]
Dimensions = dict[str, str | None]
Key = tuple[str, str | None, tuple[str | None, ...]]
"""The first instant of a row's span, its bucket, its values."""

COUNTS = (
    "requests", "settled", "failed", "cancelled", "expired", "estimated", "unpriced", "retries", "fallbacks",
    "failed_attempts",
)  # fmt: skip


class Spent(msgspec.Struct):
    """What one fact adds to spend: when, of what, and how much of everything."""

    at: datetime
    of: Dimensions
    numbers: Counter[str]


def spent(url: str) -> list[Spent]:
    """Return what every request of every book adds."""
    query = "select workspace_id, stream, state from ledger.event order by workspace_id, position"
    streams: dict[tuple[str, str], list[Fact]] = {}
    for workspace_id, stream, state in ask(url, query):
        if stream.startswith(REQUEST_STREAM):
            streams.setdefault((workspace_id, stream), []).append(decode_fact(bytes(state)))
    return [each for (workspace_id, _), facts in streams.items() for each in spent_by(workspace_id, facts)]


def spent_by(workspace_id: str, facts: Sequence[Fact]) -> Iterator[Spent]:
    """Yield what one request adds."""
    routed: Any = facts[0].event
    if not isinstance(routed, events.RequestRouted):
        return
    common = {
        "workspace": workspace_id, "project": routed.project_id, "key": routed.api_key_id, "workflow": routed.workflow,
        "run": routed.run, "model": routed.model, "end_user": routed.end_user, "step": routed.step,
    }  # fmt: skip
    taken = {routed.route: (routed.bucket, routed.tier, routed.provider)}
    last = routed.route
    moves = 0
    end: tuple[Fact, Any] | None = None
    amendments: list[tuple[Fact, Counter[str]]] = []
    for fact in facts[1:]:
        event: Any = fact.event
        match event:
            case events.FallbackTaken():
                taken[event.to_route] = (event.to_bucket, event.tier, event.provider)
                last = event.to_route
                moves += 1
            case events.AttemptFailed():
                yield Spent(to_datetime(fact.effective_at), common | of_route(event.route, taken), failure(event))
            case events.TokensSettled() | events.RequestReleased():
                end = (fact, event)
            case events.ChargeRefunded():
                amendments.append((fact, Counter(refunded=event.refund_minor, owed=-event.refund_minor)))
            case events.ChargeCorrected():
                change = event.difference_minor
                amendments.append((fact, Counter(corrected=change, owed=change, undone=event.overrun_minor)))
    where = common | of_route(last, taken)
    if end is not None:
        numbers = settled(end[1]) if isinstance(end[1], events.TokensSettled) else Counter({end[1].cause: 1})
        numbers.update(requests=1, fallbacks=moves)
        yield Spent(to_datetime(end[0].effective_at), where, numbers)
    for fact, numbers in amendments:
        yield Spent(to_datetime(fact.effective_at), where, numbers)


def of_route(route: str, taken: Mapping[str, tuple[str, str, str]]) -> Dimensions:
    """Return what a route tells."""
    bucket, tier, provider = taken[route]
    return {"route": route, "bucket": bucket, "tier": tier, "provider": provider}


def failure(event: events.AttemptFailed) -> Counter[str]:
    """Return what a failed attempt adds."""
    cost = event.provider_cost
    numbers = Counter(failed_attempts=1, retries=int(event.retried))
    numbers.update({"waste unknown": 1} if cost is None else {f"waste {cost.unit}": cost.minor})
    return numbers


def settled(event: events.TokensSettled) -> Counter[str]:
    """Return what a settlement adds."""
    cost = event.provider_cost
    numbers = Counter(
        settled=1, charged=event.charge_minor, owed=event.charge_minor, waived=event.waived_minor,
        overrun=event.overrun_minor, estimated=int(event.usage_source != "reported"),
        unpriced=int(bool(event.unpriced)),
    )  # fmt: skip
    if event.list_minor is not None:
        numbers.update({"list price": event.list_minor, "rated": event.charge_minor + event.waived_minor})
    numbers.update({"cost unknown": 1} if cost is None else {f"cost {cost.unit}": cost.minor})
    for usage in (event.usage, *(other.usage for other in event.others)):
        numbers.update(input=usage.input_tokens, output=usage.output_tokens)
        numbers.update({f"tokens {part}": tokens for part, tokens in usage.parts.items()})
    return numbers


def wanted(found: Sequence[Spent], filters: Mapping[str, str]) -> list[Spent]:
    """Return what the parameters of a query ask for."""
    asked = {name.removesuffix("_id"): value for name, value in filters.items()}
    return [each for each in found if asked.items() <= each.of.items()]


def summed(found: Sequence[Spent], by: Sequence[str], begin_of: Callable[[datetime], str]) -> dict[Key, Counter[str]]:
    """Return sums by span, bucket and dimensions, less what is zero."""
    sums: dict[Key, Counter[str]] = {}
    for each in found:
        key = (begin_of(each.at), each.of["bucket"], tuple(each.of[name] for name in by))
        sums.setdefault(key, Counter()).update(each.numbers)
    return {key: without_zeros(numbers) for key, numbers in sums.items()}


def without_zeros(numbers: Mapping[str, int]) -> Counter[str]:
    """Return numbers less those that are zero."""
    return Counter({name: number for name, number in numbers.items() if number})


def shown(rows: Sequence[Told]) -> dict[Key, Counter[str]]:
    """Return rows of spend as the platform reads them in the shape of `summed`. No row stands twice."""
    told = {key_of(row): numbers_of(row) for row in rows if row["bucket"] is not None}
    assert len(told) == sum(row["bucket"] is not None for row in rows)
    return told


def key_of(row: Told) -> Key:
    """Return what a row is of."""
    return row["begins_at"], row["bucket"], tuple(row["by"].values())


def numbers_of(row: Told) -> Counter[str]:
    """Return all counts and amounts of a row, of which every amount of the customer's is in the row's unit."""
    numbers = Counter({name: row[name] for name in COUNTS})
    numbers.update(input=row["tokens"]["input"], output=row["tokens"]["output"])
    numbers.update({f"tokens {part}": tokens for part, tokens in row["tokens"]["parts"].items()})
    numbers.update({name: minor_of(amount, row["unit"]) for name, amount in row["charge"].items()})
    if row["discount"] is not None:
        listed, rated = (minor_of(row["discount"][name], row["unit"]) for name in ("list_price", "rated"))
        assert minor_of(row["discount"]["discount"], row["unit"]) == listed - rated
        numbers.update({"list price": listed, "rated": rated})
    platform = row["platform"]
    numbers.update({name: minor_of(platform[name], row["unit"]) for name in ("overrun", "undone")})
    numbers.update({"cost unknown": platform["requests_without_cost"]})
    numbers.update({"waste unknown": platform["failed_attempts_without_cost"]})
    for each in platform["costs"]:
        numbers.update({f"{name} {each['unit']}": minor_of(each[name], each["unit"]) for name in ("cost", "waste")})
    return without_zeros(numbers)


def minor_of(amount: Told, unit: str) -> int:
    """Return an amount in smallest parts of the unit that it must be in."""
    stated = StatedAmount(**amount)
    assert stated.unit == unit
    return count_minor(stated)


def local_days(zone: tzinfo) -> Callable[[datetime], str]:
    """Return what tells the first instant of a day in a zone whose days begin at midnight."""

    def begin_of(at: datetime) -> str:
        day = at.astimezone(zone).date()
        return datetime(day.year, day.month, day.day, tzinfo=zone).isoformat()

    return begin_of
