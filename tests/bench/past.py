"""Events of a year, made up and the same at every run: routed and settled requests, a payment now and then.

They are not decided by the ledger but written as it would: millions in a minute, each in its place in its book's chain.
Three in five are of one workspace; one in fifty happened days before it was recorded.
"""

from collections.abc import Iterator
from hashlib import sha256
from random import Random
from struct import Struct

import msgspec

from ledger.events import Fact, Recorded, encode_fact
from ledger.store.chain import leaf_digest, next_digest, start_digest
from tests.bench.scene import HOT, spread_names

DAY_MICROSECONDS = 86_400_000_000
HOT_SHARE = 0.6
BEHIND_SHARE, BEHIND_DAYS_MAX = 0.02, 20
PAID_EVERY = 1000
"""So many requests of a workspace come between two payments."""

PAID_MINOR = 100_000_000
HOLD_MINOR = 50_000
MICROS_BETWEEN = 1_000
BUCKETS = (("credit", "CREDIT", "direct"), ("rmb", "CNY", "cheap"))
"""Every fourth request goes to the second."""

ROUTED = (
    b'{"actor":"gateway","effective_at":%d,"catalog_position":17,"event":{"tag":"request_routed.v1","project_id":"main",'
    b'"api_key_id":"k1","model":"gpt-5","route":"%s","tier":"direct","provider":"openai","upstream_model":"gpt-5",'
    b'"bucket":"%s","unit":"%s","hold_minor":%d,"hold_seconds":600,"expires_at":%d,"why":{"rule":"first in order"},'
    b'"rate_card":"%s.1","estimate":{"input_tokens":1000,"output_tokens":500},"end_user":"%s","workflow":"agent-%02d",'
    b'"run":"run-%09d","step":"plan"},"trace_id":"%032x"}'
)
SETTLED = (
    b'{"actor":"gateway","effective_at":%d,"catalog_position":17,"event":{"tag":"tokens_settled.v1","attempt":1,'
    b'"route":"%s","bucket":"%s","unit":"%s","reported_model":"gpt-5-2026","usage":{"input_tokens":%d,'
    b'"output_tokens":%d,"parts":{"uncached_input":%d,"text_output":%d}},"usage_source":"reported","charge_minor":%d,'
    b'"captured_minor":%d,"released_minor":%d,"from_available_minor":0,"overrun_minor":0,"latency_ms":812,'
    b'"lines":[{"part":"uncached_input","tokens":%d,"rate":"2","charge_minor":%d},'
    b'{"part":"text_output","tokens":%d,"rate":"10","charge_minor":%d}],"rate_card":"%s.1","first_token_ms":210,'
    b'"provider_cost":{"minor":4120000,"unit":"USD"}},"trace_id":"%032x"}'
)
PAID = (
    b'{"actor":"finance","effective_at":%d,"catalog_position":17,"event":{"tag":"funds_added.v1","bucket":"%s",'
    b'"unit":"%s","amount_minor":%d,"source":"alipay","reference":"%s"}}'
)


class Tail(msgspec.Struct):
    """The end of a book while it grows, with what its wallets come to: posted minor by bucket."""

    workspace_id: str
    position: int
    digest: bytes
    recorded_at: int
    versions: dict[str, int]
    posted: dict[str, int]
    requests: int = 0

    def write(self, stream: str, version: int, tag: str, command_id: str, recorded_at: int, state: bytes) -> Recorded:
        """Return the next event of the book."""
        self.position += 1
        self.recorded_at = max(self.recorded_at, recorded_at)
        leaf = leaf_digest(self.workspace_id, self.position, stream, version, tag, command_id, self.recorded_at, state)
        self.digest = next_digest(self.digest, leaf)
        return Recorded(
            self.workspace_id, self.position, stream, version, tag, command_id, self.recorded_at, state, self.digest
        )


def rewrite(openings: list[Recorded], began_at: int) -> Iterator[tuple[Recorded, Tail]]:
    """Yield the events that opened the books as if they had happened at the beginning, each with its book's tail."""
    tails: dict[str, Tail] = {}
    for event in openings:
        name = event.workspace_id
        tail = tails.setdefault(name, Tail(name, 0, start_digest(name), began_at, {}, {}))
        fact: Fact = msgspec.structs.replace(event.fact, effective_at=began_at)
        told = tail.write(event.stream, event.version, event.tag, event.command_id, began_at, encode_fact(fact))
        tail.versions[event.stream] = event.version
        yield told, tail


class Past:
    """So many events over so many days, from an instant (microseconds) on."""

    def __init__(self, events: int, days: int, workspaces: int, began_at: int) -> None:
        self.requests = events // 2
        self.names = [HOT, *spread_names(workspaces)]
        self.began_at, self.days = began_at, days
        self._dice = Random(6)

    def events(self, tails: dict[str, Tail]) -> Iterator[Recorded]:
        """Yield the events as they were recorded, and carry the tails of the books along."""
        step = self.days * DAY_MICROSECONDS // (self.requests + 1)
        dice = self._dice
        for number in range(self.requests):
            recorded_at = self.began_at + number * step
            name = HOT if dice.random() < HOT_SHARE else self.names[1 + int(dice.random() * (len(self.names) - 1))]
            effective_at = recorded_at
            if dice.random() < BEHIND_SHARE:
                effective_at -= int(
                    dice.random() * min(BEHIND_DAYS_MAX * DAY_MICROSECONDS, recorded_at - self.began_at)
                )
            yield from self._request(tails[name], number, recorded_at, effective_at)

    def _request(self, tail: Tail, number: int, recorded_at: int, effective_at: int) -> Iterator[Recorded]:
        bucket, unit, route = BUCKETS[number % 4 == 0]
        names = (route.encode(), bucket.encode(), unit.encode())
        tail.requests += 1
        if tail.requests % PAID_EVERY == 1:
            yield self._payment(tail, bucket, unit, number, recorded_at, effective_at)
        request_id = f"{number:024d}"
        stream = "request/" + request_id
        trace = number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128
        state = ROUTED % (
            effective_at, *names, HOLD_MINOR, effective_at + 600_000_000, names[0], END_USERS[number % len(END_USERS)],
            number % 20, number // 8, trace,
        )  # fmt: skip
        yield tail.write(stream, 1, "request_routed.v1", f"{request_id}/route", recorded_at, state)
        tokens = 400 + number * 37 % 2600
        charge = 12 * tokens
        tail.posted[bucket] -= charge
        state = SETTLED % (
            effective_at + 812_000, *names, tokens, tokens, tokens, tokens, charge, charge, HOLD_MINOR - charge, tokens,
            2 * tokens, tokens, 10 * tokens, names[0], trace,
        )  # fmt: skip
        yield tail.write(stream, 2, "tokens_settled.v1", f"{request_id}/settle", recorded_at + MICROS_BETWEEN, state)

    def _payment(
        self, tail: Tail, bucket: str, unit: str, number: int, recorded_at: int, effective_at: int
    ) -> Recorded:
        reference = f"A-{number}"
        tail.posted[bucket] += PAID_MINOR
        stream = f"wallet/{bucket}"
        tail.versions[stream] += 1
        state = PAID % (effective_at, bucket.encode(), unit.encode(), PAID_MINOR, reference.encode())
        return tail.write(
            stream, tail.versions[stream], "funds_added.v1", f"alipay/{reference}/{bucket}", recorded_at, state
        )


END_USERS = tuple(sha256(f"user {number}".encode()).hexdigest().encode() for number in range(1000))
pack_length = Struct("!i").pack
pack_int8 = Struct("!iq").pack
pack_int4 = Struct("!ii").pack
ROW_START = (9).to_bytes(2, "big")


def encode_event(event: Recorded) -> bytes:
    """Return an event as a row of PostgreSQL's binary COPY."""
    texts = [text.encode() for text in (event.workspace_id, event.stream, event.tag, event.command_id)]
    workspace, stream, tag, command = (pack_length(len(text)) + text for text in texts)
    state = pack_length(len(event.state)) + event.state
    return b"".join(
        (
            ROW_START, workspace, pack_int8(8, event.position), stream, pack_int4(4, event.version), tag, command,
            pack_int8(8, event.recorded_at), state, pack_length(32), event.digest,
        )
    )  # fmt: skip
