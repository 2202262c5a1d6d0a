"""What the book must say of calls, reckoned from what the upstream says it served and what the clients were told.

It shares no code with the gateway or the ledger: events are read as plain JSON, prices from the configuration's text.
Amounts stay in the smallest part of their bucket's unit, and are added up bucket by bucket.
"""

import json
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import psycopg

from tests.integration.edge_clients import Told

Served = Mapping[str, Mapping[str, list[dict[str, Any]]]]

ROUTED, FALLBACK, FAILED = "request_routed.v1", "fallback_taken.v1", "attempt_failed.v1"
SETTLED, RELEASED, VOIDED = "tokens_settled.v1", "request_released.v1", "request_voided.v1"
WHOLE = {"complete", "client_gone_drained"}
NEVER = -1
"""No charge is that: nothing was served."""

BYTES_PER_TOKEN = 4
SCALE = 6


@dataclass
class Request:
    """One request as the book has it."""

    request_id: str
    events: list[dict[str, Any]] = field(default_factory=list)

    def of(self, tag: str) -> list[dict[str, Any]]:
        """Return its events of a kind."""
        return [event for event in self.events if event["tag"] == tag]

    @property
    def routed(self) -> dict[str, Any]:
        """How it began."""
        return next(iter(self.of(ROUTED)), {})

    @property
    def settled(self) -> dict[str, Any] | None:
        """How it was charged, if it was."""
        return next(iter(self.of(SETTLED)), None)

    @property
    def held_minor(self) -> int:
        """What was held for it at last."""
        return int((self.of(FALLBACK) or [self.routed])[-1].get("hold_minor", 0))


@dataclass(frozen=True)
class Price:
    """A route as its configuration has it. Rates are per million tokens, so per token in smallest parts."""

    provider: str
    bucket: str
    rates: Mapping[str, Decimal]

    def minor(self, parts: Mapping[str, int]) -> int:
        """Return what tokens cost, each part rounded half even by itself."""
        lines = (self.rates[part] * tokens for part, tokens in parts.items() if tokens)
        return sum(int(line.quantize(Decimal(1), ROUND_HALF_EVEN)) for line in lines)


def prices_of(text: str) -> dict[str, Price]:
    """Return the routes of a configuration."""
    read = tomllib.loads(text)
    scales = {bucket["name"]: bucket["scale"] for bucket in read["buckets"]}
    assert set(scales.values()) == {SCALE}
    return {
        route["name"]: Price(
            route["provider"],
            route["bucket"],
            {part: Decimal(rate) for part, rate in route["price"]["rates"].items()},
        )
        for route in read["routes"]
    }


def read_requests(url: str) -> dict[str, Request]:
    """Return all requests of a database by their label `run`."""
    requests: dict[str, Request] = {}
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select stream, state from ledger.event where stream like 'request/%' order by workspace_id, position"
        )
        for stream, state in rows:
            name = stream.removeprefix("request/")
            requests.setdefault(name, Request(name)).events.append(json.loads(bytes(state))["event"])
    return {request.routed.get("run") or request.request_id: request for request in requests.values()}


def whole_parts(call: Mapping[str, Any]) -> dict[str, int]:
    """Return the tokens of a complete answer."""
    return {
        "uncached_input": call["input_tokens"] - call["cached_tokens"],
        "cache_read": call["cached_tokens"],
        "text_output": call["output_tokens"] - call["reasoning_tokens"],
        "reasoning": call["reasoning_tokens"],
    }


def estimated_tokens(size: int) -> int:
    """Return how many tokens a text of so many bytes is taken for."""
    return -(-size // BYTES_PER_TOKEN)


class Reckoning:
    """Every request of a database against what was served and told. `wrong` is empty where all is as it should be.

    Where a gateway was killed (`may_expire`), a hold may expire although its call was served: the customer pays
    nothing. Where one was stopped (`may_break`), connections may break off.
    """

    def __init__(
        self,
        url: str,
        configuration: str,
        served: Served,
        told: Iterable[Told],
        *,
        may_expire: bool = False,
        may_break: bool = False,
    ) -> None:
        self.requests = read_requests(url)
        self.wrong: list[str] = []
        self.expected: Counter[str] = Counter()
        self.charged: Counter[str] = Counter()
        self.policies: Counter[str] = Counter()
        self._prices = prices_of(configuration)
        self._served = served
        self._may_expire = may_expire
        self._may_break = may_break or may_expire
        self._told = {each.ask.run: each for each in told}
        for run, request in self.requests.items():
            self.wrong += [f"{run} ({request.request_id}): {wrong}" for wrong in self.check(request)]
        for each in self._told.values():
            self.wrong += self.check_told(each)
        if self.expected != self.charged:
            self.wrong.append(f"{dict(self.charged)} was charged, {dict(self.expected)} was served")

    def check(self, request: Request) -> Iterator[str]:
        """Yield what is wrong with one request."""
        tags = Counter(event["tag"] for event in request.events)
        if tags[VOIDED] and not tags[ROUTED]:
            return
        causes = [event["cause"] for event in request.of(RELEASED)]
        settled = request.settled
        last_words = tags[SETTLED] + tags[RELEASED]
        is_late = settled is not None and settled.get("status_before", "open") != "open"
        if tags[SETTLED] > 1 or tags[RELEASED] > 1 or last_words != 1 + is_late or tags[ROUTED] != 1:
            yield f"has {dict(tags)}"
        if "expired" in causes and not self._may_expire:
            yield "expired, and its gateway lived"
        yield from self.check_buckets(request)
        yield from self.check_calls(request)
        if settled is not None:
            yield from self.check_charge(request, settled, is_late=is_late)

    def check_buckets(self, request: Request) -> Iterator[str]:
        """Yield where an amount stands in another bucket than its route's, or a bucket changed unseen."""
        units = {"credit": "CREDIT", "rmb": "CNY"}
        for event in request.events:
            route = event.get("to_route") or event.get("route")
            bucket = event.get("to_bucket") or event.get("bucket")
            unit = event.get("to_unit") or event.get("unit")
            if bucket is not None and unit != units[bucket]:
                yield f"{event['tag']} has {unit} in {bucket}"
            if route is not None and bucket is not None and self._prices[route].bucket != bucket:
                yield f"{event['tag']} puts route {route} into {bucket}"
            if event["tag"] == FALLBACK and event["from_bucket"] != bucket and request.routed["model"] != "economy":
                yield "changed its bucket where nobody allowed it"

    def calls(self, request: Request, route: str | None = None) -> list[dict[str, Any]]:
        """Return the upstream calls of a request, of one route's provider or of all."""
        wanted = None if route is None else self._prices[route].provider
        return [
            call
            for provider, requests in self._served.items()
            if wanted in (None, provider)
            for call in requests.get(request.request_id, ())
        ]

    def check_calls(self, request: Request) -> Iterator[str]:
        """Yield where an upstream call is not in the book, or was served and not charged."""
        calls = self.calls(request)
        failed = request.of(FAILED)
        unheard = sum(event["failure"] == "connection" for event in failed)
        known = len(failed) + (request.settled is not None)
        if not self._may_expire and not known - unheard <= len(calls) <= known:
            yield f"has {known} attempts in the book, and {[call['ending'] for call in calls]} at the upstream"
        complete = sum(call["ending"] == "complete" for call in calls)
        if complete > 1 or (complete and request.settled is None and not self._may_expire):
            yield f"was served {complete} times and not charged"

    def check_charge(self, request: Request, settled: dict[str, Any], *, is_late: bool) -> Iterator[str]:
        """Yield what is wrong with a charge, and count what it should be."""
        price, policy = self._prices[settled["route"]], settled["policy"]
        charge, bucket = settled["charge_minor"], settled["bucket"]
        self.policies[policy] += 1
        self.charged[bucket] += charge
        least, most = self.expected_minor(request, settled, price)
        if policy not in WHOLE:
            least, most = min(least, request.held_minor), min(most, request.held_minor)
        self.expected[bucket] += charge if least <= charge <= most else least
        if not least <= charge <= most:
            yield f"was charged {charge} by {policy}, and {least} to {most} were served"
        if is_late and settled["captured_minor"]:
            yield "was settled late from a hold that was given back"
        if settled.get("overrun_minor") or charge != settled["captured_minor"] + settled["from_available_minor"]:
            yield "was charged more than was there"
        if not is_late and settled["captured_minor"] + settled["released_minor"] != request.held_minor:
            yield "did not use up its hold"

    def expected_minor(self, request: Request, settled: dict[str, Any], price: Price) -> tuple[int, int]:
        """Return what a settlement should charge at least and at most, before it is capped at the hold."""
        calls = self.calls(request, settled["route"])
        if settled["policy"] in WHOLE:
            whole = [price.minor(whole_parts(call)) for call in calls if call["ending"] == "complete"]
            return (whole[0], whole[0]) if whole else (NEVER, NEVER)
        ask = self._told[request.routed["run"]].ask
        estimated = {"uncached_input": estimated_tokens(len(ask.text.encode()))}
        if not calls:
            return price.minor(estimated), price.minor(estimated)
        call = calls[-1]
        sent = estimated_tokens(call["content_bytes"])
        # What was on its way when the gateway hung up, only one of both knows.
        is_unsure = settled["policy"] == "client_gone_estimated" or call["ending"] == "caller_gone"
        if call["interface"] != "messages" or "no_usage" in ask.told:
            least = price.minor(estimated | {"text_output": 0 if is_unsure else sent})
            return least, price.minor(estimated | {"text_output": sent})
        # The first event of such a stream has the input, and one token of output.
        known = whole_parts(call) | {"reasoning": 0}
        most = price.minor(known | {"text_output": max(sent, 1)})
        if not is_unsure:
            return most, most
        least = min(price.minor(estimated), price.minor(known | {"text_output": 0}))
        return least, max(price.minor(estimated), most)

    def check_told(self, told: Told) -> Iterator[str]:
        """Yield where a client heard something else than the book says."""
        request = self.requests.get(told.ask.run)
        if not self._may_break:
            yield from told.complaints()
        note = told.note
        if note is None:
            return
        if request is None:
            yield f"{told.ask.run} was answered and is not in the book"
            return
        settled = request.settled
        if note["status"] == "settled":
            if settled is None:
                yield f"{told.ask.run} was told that it paid {note['charge']}, and the book has no charge"
                return
            paid = settled["captured_minor"] + settled["from_available_minor"]
            said = f"{Decimal(paid).scaleb(-SCALE):.{SCALE}f} {settled['unit']}"
            if (note["charge"], note["bucket"]) != (said, settled["bucket"]):
                yield f"{told.ask.run} was told {note['charge']}, and the book says {said}"
        elif note["status"] == "settling" and settled is None and not self._may_expire:
            yield f"{told.ask.run} was told that it is being settled, and never was"
