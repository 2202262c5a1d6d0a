"""The demo's second workspace: two weeks that are told once, and are the same whenever that is."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from gateway.demo.configuration import demo_configuration
from gateway.demo.history import HISTORY_WORKSPACE, HOLDS, ZONE, Teller, set_history
from gateway.tools.config import apply_text
from gateway.tools.failures import ToolFailed
from ledger.core.commands import Command, to_datetime
from ledger.events import decode_fact
from ledger.request import commands as request
from ledger.service import SYSTEM, Ledger
from ledger.wallet import commands as wallet
from ledger.workspace.commands import CreateWorkspace
from projections.replay import replay
from tests.integration.read_side import ask
from tests.integration.scenes import do

FIRST_START = date(2026, 7, 20)


@pytest.fixture
def demo(ledger: Ledger) -> Ledger:
    """A ledger with the demo's catalog, before any workspace is there."""
    apply_text(ledger, demo_configuration("127.0.0.1", 8080))
    return ledger


def told(ledger: Ledger, first_start: date) -> list[Command]:
    """Return the commands of the two weeks before a day."""
    return Teller(ledger.read_catalog(), lambda number: f"{number:064x}", first_start).tell()


def test_a_second_start_changes_nothing(demo: Ledger) -> None:
    """The history is whole after the first start, no hold is left or expires, and a repeat adds no event."""
    first = demo.execute(CreateWorkspace(workspace_id=HISTORY_WORKSPACE, time_zone=ZONE.key), SYSTEM)
    set_history(demo)
    books = ask(demo.url, "select workspace_id, position from ledger.book")
    assert dict(books)[HISTORY_WORKSPACE] > 1200
    set_history(demo)

    assert ask(demo.url, "select workspace_id, position from ledger.book") == books
    assert ask(demo.url, "select count(*) from ledger.hold where workspace_id = %s", HISTORY_WORKSPACE) == [(0,)]
    assert replay(demo.url, verify=True).differences == ()
    assert first.recorded is not None
    today = to_datetime(first.recorded.fact.effective_at).astimezone(ZONE).date()
    settled = "select state from ledger.event where workspace_id = %s and tag = 'tokens_settled.v1'"
    facts = [decode_fact(bytes(state)) for (state,) in ask(demo.url, settled, HISTORY_WORKSPACE)]
    days = Counter(to_datetime(fact.effective_at).astimezone(ZONE).date() for fact in facts)
    assert sorted(days) == [today - timedelta(days=days) for days in range(14, 0, -1)]
    assert min(days.values()) > 30


def test_the_numbers_are_the_same_on_every_day(demo: Ledger) -> None:
    """Only the instants move with the day of the first start, also where clocks are changed on the way."""
    summer = told(demo, FIRST_START)
    for first_start in (date(2026, 4, 3), date(2026, 10, 31), date(2027, 1, 8)):
        other = told(demo, first_start)
        assert [timeless(each) for each in other] == [timeless(each) for each in summer]
        instants = [instant_of(each) for each in other]
        assert instants == sorted(instants)
        assert instants[0] == datetime.combine(first_start - timedelta(days=14), datetime.min.time(), ZONE)
        assert instants[-1] < datetime.combine(first_start, datetime.min.time(), ZONE)


def timeless(command: Command) -> Command:
    """Return a command without the instant at which it happened."""
    return msgspec.structs.replace(command, effective_at=None)


def instant_of(command: Command) -> datetime:
    """Return the instant at which a command happened."""
    assert command.effective_at is not None
    assert command.effective_at.tzinfo is UTC
    return command.effective_at


def test_the_history_has_something_of_everything(demo: Ledger) -> None:
    """Retries, fallbacks in a bucket and across two, billed failures, cache, reasoning, guesses, refunds, runs."""
    commands = told(demo, FIRST_START)
    routed = [each for each in commands if isinstance(each, request.RouteRequest)]
    failed = [each for each in commands if isinstance(each, request.RecordAttempt)]
    moved = [each for each in commands if isinstance(each, request.TakeFallback)]
    settled = [each for each in commands if isinstance(each, request.SettleRequest)]
    assert 400 < len(routed) < 900
    assert {each.retried for each in failed} == {True, False}
    assert {each.provider_cost is None for each in failed} == {True, False}
    assert {(each.from_route, each.to_bucket) for each in moved} == {
        ("smart-direct", "credit"), ("cheap-ordinary", "credit"),
    }  # fmt: skip
    assert {part for each in settled for part in each.usage.parts} == {
        "uncached_input", "cache_read", "text_output", "reasoning",
    }  # fmt: skip
    assert all(each.provider_cost is not None for each in settled)
    assert {each.usage_source for each in settled} == {"reported", "estimated"}
    assert {each.cause for each in commands if isinstance(each, request.ReleaseRequest)} == {"failed", "cancelled"}
    assert len([each for each in commands if isinstance(each, request.RefundCharge)]) == 1
    assert len({each.run for each in routed}) == 1 + 28
    assert None in {each.workflow for each in routed}


def test_what_an_earlier_version_told_stands(demo: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this version would tell of other holds, those in the book stay, and the demo starts."""
    count = "select count(*) from ledger.event where workspace_id = %s"
    set_history(demo)
    before = ask(demo.url, count, HISTORY_WORKSPACE)
    monkeypatch.setitem(HOLDS, "smart-direct", "0.46")
    set_history(demo)
    assert ask(demo.url, count, HISTORY_WORKSPACE) == before


def test_a_history_that_is_refused_stops_the_start(demo: Ledger) -> None:
    """A wallet that takes no holds is named in the failure."""
    do(
        demo,
        CreateWorkspace(workspace_id=HISTORY_WORKSPACE, time_zone=ZONE.key),
        wallet.OpenWallet(workspace_id=HISTORY_WORKSPACE, bucket="credit"),
        wallet.FreezeWallet(workspace_id=HISTORY_WORKSPACE, bucket="credit", change_id="1", reason="under review"),
    )
    with pytest.raises(ToolFailed, match="frozen"):
        set_history(demo)
