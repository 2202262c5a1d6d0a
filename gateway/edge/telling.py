"""What a client is told beside the answer: headers, and in a stream a comment and a member of the usage."""

from typing import Any

import msgspec

from gateway.edge.journey import Journey
from gateway.edge.settling import Charged

Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
EVENT_STREAM: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


def journey_headers(journey: Journey) -> Headers:
    """Return what every answer says about its way: route, tier, bucket, hold, attempts, retries, fallbacks."""
    route = journey.target.route
    headers = [
        (b"x-ledger-route", route.route.encode()),
        (b"x-ledger-tier", route.tier.encode()),
        (b"x-ledger-bucket", route.bucket.encode()),
        (b"x-ledger-hold", journey.held().encode()),
        (b"x-ledger-attempts", b"%d" % journey.attempts),
        (b"x-ledger-retries", b"%d" % journey.retries),
        (b"x-ledger-fallback", "; ".join(journey.moves).encode() or b"none"),
    ]
    if journey.output_limit is not None:
        headers.append((b"x-ledger-output-limit", b"%d" % journey.output_limit))
    return headers


def charge_headers(charged: Charged) -> Headers:
    """Return what an answer says about its charge."""
    if charged.charge is None:
        return [(b"x-ledger-status", charged.status.encode()), (b"x-ledger-usage", charged.usage.encode())]
    return [
        (b"x-ledger-status", charged.status.encode()),
        (b"x-ledger-charge", charged.charge.encode()),
        (b"x-ledger-usage", charged.usage.encode()),
    ]


def ledger_note(journey: Journey, charged: Charged) -> dict[str, Any]:
    """Return the same for a stream, whose headers went out before anything was charged."""
    route = journey.target.route
    note: dict[str, Any] = {
        "request_id": journey.ticket.request_id,
        "status": charged.status,
        "charge": charged.charge,
        "usage": charged.usage,
        "route": route.route,
        "tier": route.tier,
        "bucket": route.bucket,
        "hold": journey.held(),
        "output_limit": journey.output_limit,
        "attempts": journey.attempts,
        "retries": journey.retries,
        "fallback": journey.moves or None,
    }
    return note


def note_text(note: dict[str, Any]) -> str:
    """Return a note as the text of a comment."""
    return "x-ledger " + msgspec.json.encode(note).decode()
