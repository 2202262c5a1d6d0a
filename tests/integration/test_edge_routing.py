"""Which way a call takes, and what of it stands in the book: retries, fallbacks, skipped routes, suspended ones."""

from typing import Any

import pytest

from ledger.catalog.commands import PublishModel, ResumeRoute, SuspendRoute
from ledger.events import Event
from ledger.request.events import AttemptFailed, FallbackTaken, RequestReleased, RequestRouted, TokensSettled
from tests.integration.edge_scene import EdgeScene


def kinds(events: list[Event]) -> list[str]:
    """Return the events' names in short."""
    return [type(event).__name__ for event in events]


def of(events: list[Event], kind: type[Any]) -> list[Any]:
    """Return the events of one kind."""
    return [event for event in events if isinstance(event, kind)]


def test_a_call_is_held_answered_and_settled(edge: EdgeScene) -> None:
    """One hold, one settlement, and headers that say which balance paid."""
    answer = edge.chat("smart", "Hello")
    assert answer.status_code == 200, answer.text
    routed, settled = edge.events(answer.headers["x-request-id"])
    assert isinstance(routed, RequestRouted)
    assert isinstance(settled, TokensSettled)
    assert (routed.api_key_id, routed.project_id, routed.model) == ("app", "assistant", "smart")
    assert answer.headers["x-ledger-bucket"] == settled.bucket == "credit"
    assert answer.headers["x-ledger-charge"] == f"0.00{settled.charge_minor} CREDIT"
    assert answer.headers["x-ledger-usage"] == settled.usage_source == "reported"
    assert (answer.headers["x-ledger-attempts"], answer.headers["x-ledger-retries"]) == ("1", "0")
    assert answer.headers["x-ledger-fallback"] == "none"
    assert settled.policy == "complete"
    assert settled.provider_cost is not None
    assert settled.provider_cost.unit == "USD"


def test_a_failure_that_passes_is_tried_again_on_the_same_route(edge: EdgeScene) -> None:
    """The failed attempt is an event of its own, and only the second one is charged."""
    answer = edge.chat("smart", "again", **{"x-demo_header": "openai:status=500;times=1"})
    assert answer.status_code == 200
    events = edge.events(answer.headers["x-request-id"])
    assert sorted(kinds(events)) == ["AttemptFailed", "RequestRouted", "TokensSettled"]
    failed, settled = of(events, AttemptFailed)[0], of(events, TokensSettled)[0]
    assert (failed.attempt, failed.failure, failed.http_status, failed.retried) == (1, "server_error", 500, True)
    assert (settled.attempt, settled.route) == (2, "smart-direct")
    assert answer.headers["x-ledger-retries"] == "1"


def test_a_fallback_within_the_bucket_keeps_the_bucket(edge: EdgeScene) -> None:
    """After its retries a direct route gives way to another provider of the same model."""
    answer = edge.chat("smart", "over", **{"x-demo_header": "openai:status=401"})
    events = edge.events(answer.headers["x-request-id"])
    assert kinds(events) == ["RequestRouted", "AttemptFailed", "FallbackTaken", "TokensSettled"]
    taken = of(events, FallbackTaken)[0]
    assert (taken.from_bucket, taken.to_bucket, taken.failure) == ("credit", "credit", "authentication")
    assert answer.headers["x-ledger-route"] == "smart-backup"


def test_a_bucket_changes_only_in_the_open(edge: EdgeScene) -> None:
    """The move is an event with both buckets, a header, and the charge is in the new bucket's unit alone."""
    answer = edge.chat("economy", "move", **{"x-demo_header": "deepseek:status=503"})
    assert answer.status_code == 200
    events = edge.events(answer.headers["x-request-id"])
    taken, settled = of(events, FallbackTaken)[0], of(events, TokensSettled)[0]
    assert (taken.from_bucket, taken.from_unit, taken.to_bucket, taken.to_unit) == ("rmb", "CNY", "credit", "CREDIT")
    assert taken.released_minor == of(events, RequestRouted)[0].hold_minor
    assert (settled.bucket, settled.unit) == ("credit", "CREDIT")
    assert answer.headers["x-ledger-fallback"] == "cheap-ordinary -> smart-backup bucket rmb -> credit (overloaded)"


def test_without_the_keys_permission_the_bucket_stays(edge: EdgeScene) -> None:
    """A key that does not allow it never pays from another balance: the call fails and says why."""
    key = edge.issue("no-change")
    body = {"model": "economy", "messages": [{"role": "user", "content": "stay"}]}
    answer = edge.post("/chat/completions", body, key=key, x_demo="deepseek:status=503")
    assert answer.status_code == 503
    events = edge.events(answer.headers["x-request-id"])
    assert "FallbackTaken" not in kinds(events)
    assert kinds(events)[-1] == "RequestReleased"
    skipped = of(events, RequestRouted)[0].why.skipped
    assert [each.route for each in skipped] == ["smart-backup"]
    assert "not allowed on both" in skipped[0].reason


def test_when_all_fail_the_hold_goes_back_and_nothing_is_charged(edge: EdgeScene) -> None:
    """Every attempt is on record, the hold is released, the client hears a 5xx in its dialect."""
    answer = edge.chat("smart", "all fail", **{"x-demo_header": "*:status=401"})
    assert answer.status_code >= 500
    assert answer.json()["error"]["code"] == "upstream_unavailable"
    events = edge.events(answer.headers["x-request-id"])
    assert of(events, TokensSettled) == []
    assert len(of(events, AttemptFailed)) == 2
    released = of(events, RequestReleased)[0]
    assert (released.cause, released.released_minor > 0) == ("failed", True)


def test_an_error_of_the_callers_own_is_passed_on_and_not_tried_elsewhere(edge: EdgeScene) -> None:
    """The upstream's words reach the client, the hold is given back."""
    answer = edge.chat("smart", "mine", **{"x-demo_header": "openai:refused"})
    assert answer.status_code == 400
    assert "policy" in answer.json()["error"]["message"]
    events = edge.events(answer.headers["x-request-id"])
    assert sorted(kinds(events)) == ["AttemptFailed", "RequestReleased", "RequestRouted"]
    assert of(events, AttemptFailed)[0].failure == "refused_content"


@pytest.fixture
def deeper(edge: EdgeScene) -> str:
    """A model that may move to a route with more context."""
    edge.do(
        PublishModel(
            model="deeper",
            targets=("cheap-ordinary", "smart-direct"),
            num_retries=1,
            allow_bucket_change=True,
            change_id="deeper",
        )
    )
    edge.follow_catalog()
    return "deeper"


def test_a_prompt_that_is_too_long_goes_to_a_route_with_more_context(edge: EdgeScene, deeper: str) -> None:
    """Not repeated where it can't fit, but moved to a larger model of the same alias."""
    answer = edge.chat(deeper, "long", **{"x-demo_header": "deepseek:context_window"})
    assert answer.status_code == 200, answer.text
    events = edge.events(answer.headers["x-request-id"])
    assert [each.failure for each in of(events, AttemptFailed)] == ["context_window"]
    assert of(events, FallbackTaken)[0].to_route == "smart-direct"


def test_a_suspended_route_is_skipped_at_once(edge: EdgeScene) -> None:
    """Suspension reaches the gateway, the reason stands in the book, and resuming brings the route back."""
    edge.do(SuspendRoute(route="smart-direct", change_id="s1", reason="provider incident"))
    try:
        edge.follow_catalog()
        answer = edge.chat("smart", "around")
        assert answer.headers["x-ledger-route"] == "smart-backup"
        routed = of(edge.events(answer.headers["x-request-id"]), RequestRouted)[0]
        assert [(each.route, each.reason) for each in routed.why.skipped] == [("smart-direct", "suspended")]
    finally:
        edge.do(ResumeRoute(route="smart-direct", change_id="r1", reason="it is over"))
    edge.follow_catalog()
    assert edge.chat("smart", "back").headers["x-ledger-route"] == "smart-direct"


def test_a_dead_upstream_never_sees_a_call_without_a_hold(edge: EdgeScene) -> None:
    """A key without money is refused before any upstream is called."""
    before = edge.served("openai")
    key = edge.issue("poor", spend=edge.spend("credit", "0.000001"))
    answer = edge.post(
        "/chat/completions", {"model": "smart", "messages": [{"role": "user", "content": "x" * 400}]}, key=key
    )
    assert answer.status_code == 402
    assert answer.json()["error"]["code"] == "key_spend_limit_exceeded"
    assert edge.served("openai") == before
