"""What takes long: total deadlines, streams that outlive them, and prices that change meanwhile."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from ledger.catalog.commands import PublishModel, PublishRateCard
from ledger.request.events import (
    AttemptFailed,
    FallbackTaken,
    HoldExtended,
    RequestReleased,
    RequestRouted,
    TokensSettled,
)
from tests.integration.edge_scene import EdgeScene, beside


@pytest.fixture(scope="module")
def short(edge: EdgeScene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EdgeScene]:
    """A gateway with short times, and models that must be answered within a second."""
    edge.do(
        PublishModel(
            model="brief", targets=("smart-direct", "smart-backup"), num_retries=5, timeout_seconds=1, change_id="b1"
        ),
        PublishModel(
            model="brief-claude", targets=("claude-direct",), num_retries=5, timeout_seconds=1, change_id="b2"
        ),
    )
    settings = (
        "hold.grace_seconds = 2\nedge.stream_idle_seconds = 1\nretry.first_pause_milliseconds = 1\n"
        "breaker.failures = 1000\n"
    )
    with beside(edge, tmp_path_factory.mktemp("short"), settings) as second:
        yield second


@pytest.mark.parametrize("is_stream", [True, False])
@pytest.mark.parametrize(
    "told", ["*:stall_ms=3000", "*:hang_after=0", "openai:status=500,azure:hang_after=0", "*:status=429;retry_after=1"]
)
def test_nothing_takes_longer_than_the_total_deadline(short: EdgeScene, told: str, is_stream: bool) -> None:
    """All attempts and pauses together have one deadline: 504, the hold goes back, nothing is charged."""
    started = time.monotonic()
    answer = short.chat("brief", "slow", stream=is_stream, **{"x-demo_header": told})
    took = time.monotonic() - started
    assert took < 1.8
    events = short.ended(answer.headers["x-request-id"])
    assert isinstance(events[-1], RequestReleased)
    assert events[-1].cause == "failed"
    if "retry_after" in told:
        # A pause that would end after the deadline is not begun.
        assert answer.status_code == 429
        assert answer.headers["retry-after"] == "1"
        return
    assert took > 0.9
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline_exceeded")
    failures = [event.failure for event in events if isinstance(event, AttemptFailed)]
    assert failures[-1] == "timeout"
    assert any(isinstance(event, FallbackTaken) for event in events) == told.startswith("openai")


def test_the_deadline_is_said_in_anthropics_words_too(short: EdgeScene) -> None:
    """504 is a timeout_error there."""
    body = {"model": "brief-claude", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    answer = short.post("/messages", body, x_demo="anthropic:stall_ms=3000")
    assert (answer.status_code, answer.json()["error"]["type"]) == (504, "timeout_error")


def test_a_stream_may_live_longer_than_the_deadline(short: EdgeScene) -> None:
    """Once content comes it goes on; its hold is extended before it expires, and all of it is charged."""
    told = "openai:chunks=40;delay_ms=100"
    answer = short.chat("brief", "long", stream=True, **{"x-demo_header": told})
    assert answer.text.endswith("data: [DONE]\n\n")
    events = short.ended(answer.headers["x-request-id"])
    routed, settled = events[0], events[-1]
    assert isinstance(routed, RequestRouted)
    assert isinstance(settled, TokensSettled)
    assert routed.hold_seconds == 3
    extended = [event for event in events if isinstance(event, HoldExtended)]
    assert len(extended) == 1
    assert (extended[0].hold_minor, extended[0].why) == (0, "the stream goes on")
    assert extended[0].expires_at > routed.expires_at
    assert (settled.status_before, settled.policy) == ("open", "complete")
    assert settled.captured_minor == settled.charge_minor


@pytest.mark.parametrize("model", ["brief", "brief-claude"])
def test_a_stream_that_falls_silent_is_cut(short: EdgeScene, model: str) -> None:
    """After the longest silence that is allowed it ends with an error, and what came is charged."""
    answer = short.chat(model, "silence", stream=True, **{"x-demo_header": "*:hang_after=3"})
    assert '"code":"upstream_stream_cut"' in answer.text
    settled = short.ended(answer.headers["x-request-id"])[-1]
    assert isinstance(settled, TokensSettled)
    assert (settled.policy, settled.usage_source) == ("stream_cut_estimated", "partial")


def test_a_price_that_changes_meanwhile_is_for_later_calls(edge: EdgeScene) -> None:
    """A call is charged by the card that was named when it was routed, whatever was published since."""
    before = edge.ledger.read_catalog()
    [card] = [each for each in before.rate_cards.values() if each.route == "cheap-ordinary"]
    dearer = tuple(
        msgspec.structs.replace(each, rates=dict.fromkeys(each.rates, "900"), list_rates={}) for each in card.models
    )
    with ThreadPoolExecutor(1) as beside_it:
        told = {"x-demo_header": "deepseek:stall_ms=1500"}
        waiting = beside_it.submit(lambda: edge.chat("cheap", "in flight", **told))
        time.sleep(0.3)
        now = time.time_ns() // 1000
        new = msgspec.structs.replace(card, rate_card=f"{card.rate_card}-dearer", valid_from=now, models=dearer)
        edge.do(PublishRateCard(card=new))
        answer = waiting.result()
    edge.follow_catalog()
    for each, name, rate in ((answer, card.rate_card, "2.4"), (edge.chat("cheap", "later"), new.rate_card, "900")):
        settled = edge.ended(each.headers["x-request-id"])[-1]
        assert isinstance(settled, TokensSettled)
        assert settled.rate_card == name
        assert [line.rate for line in settled.lines if line.part == "text_output"] == [rate]
