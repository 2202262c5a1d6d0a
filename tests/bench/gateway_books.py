"""Whether the books agree with what the upstream served: request by request, and in sum."""

from decimal import ROUND_HALF_EVEN, Decimal

import httpx
import msgspec
import psycopg

from gateway.demo.scene import WORKSPACE
from gateway.demo.upstream.served import ServedCall
from ledger.events import decode_fact
from ledger.request.events import RequestRouted, TokensSettled
from tests.bench.http_posts import HOST

INPUT_RATE, OUTPUT_RATE = Decimal("7.8125"), Decimal("62.5")
"""Of the route that `smart` begins with, in millionths of a CREDIT for a token."""

EVENTS = "select stream, state from ledger.event where workspace_id = %s and stream like 'request/%%' order by position"
OPEN_HOLDS = "select count(*) from ledger.hold where workspace_id = %s"


class ServedReport(msgspec.Struct, frozen=True):
    """What the upstream says that it has served for a provider, by request."""

    requests: dict[str, list[ServedCall]]


def read_served(upstream_port: int, provider: str) -> dict[str, ServedCall]:
    """Return the one call of each request that a provider has served."""
    answer = httpx.get(f"http://{HOST}:{upstream_port}/demo/{provider}/calls", timeout=60, trust_env=False)
    found = msgspec.json.decode(answer.content, type=ServedReport).requests
    calls = {request_id: call for request_id, (call,) in found.items()}
    assert all(call.ending == "complete" for call in calls.values())
    return calls


def charge_of(call: ServedCall) -> int:
    """Return what a call costs, in millionths: each part rounded by itself."""
    parts = (call.input_tokens * INPUT_RATE, call.output_tokens * OUTPUT_RATE)
    return sum(int(part.quantize(Decimal(1), ROUND_HALF_EVEN)) for part in parts)


def read_settled(url: str) -> dict[str, TokensSettled]:
    """Return the settlement of each request in the book. Every one of them must have one, and nothing else happened."""
    routed: set[str] = set()
    settled: dict[str, TokensSettled] = {}
    with psycopg.connect(url) as connection:
        for stream, state in connection.execute(EVENTS, (WORKSPACE,)):
            event = decode_fact(bytes(state)).event
            request_id = stream.removeprefix("request/")
            if isinstance(event, RequestRouted):
                routed.add(request_id)
            else:
                assert isinstance(event, TokensSettled), event
                settled[request_id] = event
        row = connection.execute(OPEN_HOLDS, (WORKSPACE,)).fetchone()
    assert row == (0,), row
    assert routed == settled.keys()
    return settled


def check_books(url: str, upstream_port: int, provider: str, calls: int) -> None:
    """Compare the book of the workspace with what a provider has served. The gateway must have ended by then."""
    served, settled = read_served(upstream_port, provider), read_settled(url)
    assert len(settled) == calls
    assert settled.keys() == served.keys()
    for request_id, event in settled.items():
        call = served[request_id]
        assert (event.usage.input_tokens, event.usage.output_tokens) == (call.input_tokens, call.output_tokens)
        assert (event.charge_minor, event.overrun_minor, event.policy) == (charge_of(call), 0, "complete")
    assert sum(event.charge_minor for event in settled.values()) == sum(map(charge_of, served.values()))
