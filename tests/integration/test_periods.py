"""Months that are closed on a real database: exact balances, nothing moves them any more, and what comes late."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

import pytest

from ledger import decisions
from ledger.catalog.commands import PublishRateCard
from ledger.core.commands import Command, to_datetime, to_microseconds
from ledger.core.refusals import Refusal
from ledger.events import Recorded, encode_fact
from ledger.pricing.rate_cards import ModelRates, RateCard
from ledger.request.events import RequestRouted, TokensSettled
from ledger.service import Ledger
from ledger.store import closing
from ledger.workspace import commands as workspace
from ledger.workspace.events import PeriodClosed
from ledger.workspace.periods import Basis, balances_of, end_of
from projections.closing import basis_reader
from projections.replay import replay
from projections.route_ledger.writing import RouteLedger
from tests.integration.periods_scene import (
    CLOSED,
    EARLIER,
    LATER,
    close,
    facts_of,
    folded,
    grant,
    reopen,
    require_final,
    require_true_closings,
    within,
)
from tests.integration.read_side import follow, tell
from tests.integration.scenes import (
    ACME,
    RATES,
    catalog_commands,
    do,
    hold,
    key_limits,
    pay,
    record,
    refund,
    refusal,
    refusals,
    release,
    set_up,
    settle,
    workspace_commands,
)

LATE = within(CLOSED)


def closing_of(recorded: Recorded) -> PeriodClosed:
    """Return a closing that was recorded."""
    event = recorded.fact.event
    assert isinstance(event, PeriodClosed)
    return event


def spend_in(period: str, request_id: str) -> list[Command]:
    """Return a request that was routed and settled in a month."""
    when = within(period)
    return [hold(request_id, effective_at=when), settle(request_id, effective_at=when)]


def test_a_closing_states_what_was_effective_before_its_end(ledger: Ledger, database_url: str) -> None:
    """Every account with a balance is stated, of entries before the end alone, an open hold among them."""
    set_up(ledger)
    do(ledger, *spend_in(EARLIER, "r1"), *spend_in(CLOSED, "r2"), *spend_in(LATER, "r3"))
    do(ledger, grant("g1", "5", within(EARLIER)), grant("g2", "3", within(LATER)), hold("open", effective_at=LATE))
    closed = closing_of(do(ledger, close())[0])
    until = end_of(CLOSED, "UTC")
    assert (closed.period, closed.until) == (CLOSED, until)
    stated = {(each.bucket, each.account): each.balance_minor for each in closed.balances}
    assert stated == {
        ("credit", "promotion"): 5_000_000,
        ("credit", "revenue.direct"): -24_000,
        ("credit", "wallet.available"): -5_000_000 + 24_000 + 1_000_000,
        ("credit", "wallet.held"): -1_000_000,
    }
    assert require_true_closings(facts_of(database_url)) == 1


@pytest.mark.parametrize("followed", [0.0, 0.4, 1.0])
def test_the_journal_and_the_tail_of_the_book_come_to_the_same(
    ledger: Ledger, database_url: str, followed: float
) -> None:
    """However far the journal has come, a closing states the fold up to its own position."""
    set_up(ledger)
    follow_all = [*spend_in(CLOSED, "r1"), *spend_in(LATER, "r2"), grant("g1", "5", LATE), refund("r1")]
    do(ledger, *follow_all[: int(len(follow_all) * followed)])
    follow(database_url)
    do(ledger, *follow_all[int(len(follow_all) * followed) :])
    asked: list[Basis] = []

    def read_basis(workspace_id: str, until: int) -> Basis:
        asked.append(basis_reader(database_url)(workspace_id, until))
        return asked[-1]

    ledger.read_basis = read_basis
    do(ledger, close())
    assert require_true_closings(facts_of(database_url)) == 1
    [basis] = asked
    assert basis.position == len(workspace_commands()) + int(len(follow_all) * followed)
    assert balances_of(basis.sums) == folded(facts_of(database_url)[: basis.position], basis.until)


def test_what_its_own_batch_posts_before_it_is_in_a_closing(ledger: Ledger, database_url: str) -> None:
    """Commands of one call are one batch: what stands before the closing counts, what stands behind it is moved."""
    set_up(ledger)
    before, closed, behind = do(ledger, grant("g1", "5", LATE), close(), grant("g2", "7", LATE))
    assert before.recorded_at == closed.recorded_at == behind.recorded_at
    stated = {each.account: each.balance_minor for each in closing_of(closed).balances}
    assert stated == {"promotion": 5_000_000, "wallet.available": -5_000_000}
    assert behind.fact.effective_at == end_of(CLOSED, "UTC")
    require_final(facts_of(database_url))


def test_what_comes_late_is_posted_in_the_open_month(ledger: Ledger, database_url: str) -> None:
    """Each kind of money that is stated in a closed month is effective after it, and says when it was served."""
    set_up(ledger)
    do(ledger, *spend_in(CLOSED, "r1"), hold("r2", effective_at=LATE), hold("r3", effective_at=LATE))
    closed = closing_of(do(ledger, close())[0])
    late: list[Command] = [
        settle("r2", effective_at=LATE), release("r3", effective_at=LATE), refund("r1", effective_at=LATE),
        *spend_in(EARLIER, "r4"), pay(ACME, "rmb", "10", "late", effective_at=LATE), grant("g1", "1", LATE),
    ]  # fmt: skip
    for command, recorded in zip(late, do(ledger, *late), strict=True):
        fact, stated = recorded.fact, command.effective_at
        assert stated is not None
        assert (fact.effective_at, fact.served_at) == (closed.until, to_microseconds(stated))
    facts = facts_of(database_url)
    require_final(facts)
    assert folded(facts, closed.until) == closed.balances


def test_what_is_open_is_recorded_as_ever(ledger: Ledger, database_url: str) -> None:
    """Without a closed month, and after one, an event in an open month has the same bytes as before there were any."""
    set_up(ledger)
    do(ledger, grant("g1", "5", LATE), close(EARLIER), grant("g2", "5", LATE), grant("g3", "5"))
    facts = facts_of(database_url)
    for fact in facts:
        assert fact.served_at is None
        assert b"served_at" not in encode_fact(fact)
    assert [fact.effective_at for fact in facts[-4:-1:2]] == [to_microseconds(LATE)] * 2


def test_the_first_open_instant_is_open_and_the_last_closed_one_is_not(ledger: Ledger) -> None:
    """The microsecond before the end is moved by one, the end itself stays."""
    set_up(ledger)
    do(ledger, close())
    until = to_datetime(end_of(CLOSED, "UTC"))
    last, first = do(ledger, grant("g1", "1", until - timedelta(microseconds=1)), grant("g2", "1", until))
    assert (last.fact.effective_at, last.fact.served_at) == (first.fact.effective_at, first.fact.effective_at - 1)
    assert first.fact.served_at is None


def test_a_moved_command_is_repeated_and_contradicted_like_any_other(ledger: Ledger) -> None:
    """The same content is a repeat before and after moving; another moment, the moved one too, is a conflict."""
    set_up(ledger)
    early = do(ledger, grant("early", "1", LATE))[0]
    do(ledger, close())
    late = do(ledger, grant("late", "1", LATE))[0]
    for name, first in (("early", early), ("late", late)):
        again = ledger.execute(grant(name, "1", LATE), "system")
        assert (again.repeated, again.recorded) == (True, first)
        assert ledger.execute(grant(name, "1"), "system").repeated
        for moment in (within(CLOSED, seconds_before_end=5), to_datetime(end_of(CLOSED, "UTC"))):
            outcome = ledger.execute(grant(name, "1", moment), "system")
            assert refusal(outcome) == (Refusal.IDENTITY_CONFLICT, "effective_at")


def test_closing_and_reopening_are_each_done_once(ledger: Ledger, database_url: str) -> None:
    """A month that is closed, reopened and closed again makes three events, however often each is asked for."""
    set_up(ledger)
    asked = [close(), close(), reopen(), reopen(), close(), close(), close(closing=1), reopen(closing=1)]
    recorded = [do(ledger, each)[0] for each in asked]
    positions = [each.position - recorded[0].position for each in recorded]
    assert positions == [0, 0, 1, 1, 2, 2, 0, 1]
    assert [each.command_id.split("/")[-1] for each in recorded] == list("11112211")
    assert refusals(ledger, close(closing=3), reopen(closing=3), close(EARLIER), reopen(EARLIER)) == [
        Refusal.PERIOD_CLOSED, Refusal.PERIOD_NOT_CLOSED, Refusal.PERIOD_NOT_LAST, Refusal.PERIOD_NOT_CLOSED,
    ]  # fmt: skip
    assert require_true_closings(facts_of(database_url)) == 2


def test_one_call_may_close_reopen_and_close_again(ledger: Ledger, database_url: str) -> None:
    """Commands of one call count on those before them, as if each had come by itself."""
    set_up(ledger)
    recorded = do(
        ledger, grant("g1", "1", LATE), close(EARLIER), close(), reopen(), grant("g2", "1", LATE), close(), close(LATER)
    )
    assert [each.position for each in recorded] == list(range(recorded[0].position, recorded[0].position + 7))
    assert closing_of(recorded[2]).balances != closing_of(recorded[5]).balances
    assert require_true_closings(facts_of(database_url)) == 4


def test_a_reopened_month_takes_postings_and_is_closed_with_them(ledger: Ledger, database_url: str) -> None:
    """After reopening what comes late stays in its month; the next closing states it, the first one stays as it was."""
    set_up(ledger)
    first = closing_of(do(ledger, grant("g1", "5", LATE), close())[1])
    moved = do(ledger, grant("moved", "1", LATE))[0]
    do(ledger, reopen())
    stays = do(ledger, grant("stays", "2", LATE))[0]
    second = closing_of(do(ledger, close())[0])
    assert (moved.fact.served_at, stays.fact.served_at) == (to_microseconds(LATE), None)
    assert [each.balance_minor for each in first.balances] == [5_000_000, -5_000_000]
    assert [each.balance_minor for each in second.balances] == [7_000_000, -7_000_000]
    require_final(facts_of(database_url))
    assert require_true_closings(facts_of(database_url)) == 2


def test_prices_are_those_of_when_it_happened(ledger: Ledger) -> None:
    """A request that is posted later is rated by the card that was in force when it was served."""
    set_up(ledger)
    dearer = RateCard("direct.2", "direct", "credit", end_of(CLOSED, "UTC"), (ModelRates("*", RATES),), "test")
    do(ledger, PublishRateCard(card=dearer), close())
    routed, settled = do(ledger, *spend_in(CLOSED, "r1"))
    assert (routed.fact.effective_at, routed.fact.served_at) == (end_of(CLOSED, "UTC"), to_microseconds(LATE))
    assert isinstance(routed.fact.event, RequestRouted)
    assert isinstance(settled.fact.event, TokensSettled)
    assert (routed.fact.event.rate_card, settled.fact.event.rate_card) == ("direct.1", "direct.1")
    now = do(ledger, hold("r2"))[0].fact.event
    assert isinstance(now, RequestRouted)
    assert now.rate_card == "direct.2"


def test_spend_limits_count_in_the_day_on_which_it_happened(ledger: Ledger) -> None:
    """A moved request counts in the budget of the day on which it was served, and leaves the open day's alone."""
    record(ledger, catalog_commands())
    do(ledger, *workspace_commands(day="1"), close())
    routed = do(ledger, hold("r1", "1", effective_at=LATE))[0].fact.event
    assert isinstance(routed, RequestRouted)
    assert routed.budgets == (f"key/k1/credit/day/{LATE:%Y-%m-%d}",)
    spent, open_day = (
        hold("r2", "1", effective_at=LATE),
        hold("r3", "1", effective_at=to_datetime(end_of(CLOSED, "UTC"))),
    )
    assert refusals(ledger, spent, open_day) == [Refusal.API_KEY_SPEND_LIMIT_EXCEEDED, None]


@pytest.mark.parametrize("time_zone", ["Asia/Shanghai", "America/New_York", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_a_month_ends_by_the_clocks_of_its_workspace(ledger: Ledger, database_url: str, time_zone: str) -> None:
    """What happens a second before and after midnight of the workspace's own month end is told apart."""
    set_up(ledger, time_zone=time_zone)
    until = end_of(CLOSED, time_zone)
    do(ledger, grant("in", "1", to_datetime(until - 1)), grant("out", "10", to_datetime(until)))
    closed = closing_of(do(ledger, close())[0])
    assert closed.until == until
    assert [each.balance_minor for each in closed.balances] == [1_000_000, -1_000_000]
    late = do(ledger, grant("late", "100", to_datetime(until - 1)))[0].fact
    assert (late.effective_at, late.served_at) == (until, until - 1)
    require_final(facts_of(database_url))


def test_a_journal_that_is_far_behind_is_waited_for(
    ledger: Ledger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More events than may be folded under the lock refuse the closing for now; with the journal level it passes."""
    set_up(ledger)
    monkeypatch.setattr(closing, "TAIL_EVENTS_MAX", 5)
    ledger.read_basis = basis_reader(database_url)
    outcome = ledger.execute(close(), "system")
    assert outcome.refused is not None
    assert (outcome.refused.code, outcome.refused.transient) == (Refusal.PERIOD_BALANCES_BEHIND, True)
    follow(database_url)
    do(ledger, close())
    assert require_true_closings(facts_of(database_url)) == 1


def test_a_database_that_is_away_refuses_a_closing_for_now(ledger: Ledger, database_url: str) -> None:
    """Nothing is decided when what a closing needs cannot be read."""
    set_up(ledger)
    ledger.url = "postgresql://127.0.0.1:1/nowhere"
    assert refusals(ledger, close(), grant("g1", "1")) == [Refusal.UNAVAILABLE, Refusal.UNAVAILABLE]


def test_closing_races_with_late_postings_over_two_processes(ledger: Ledger, database_url: str) -> None:
    """While one ledger closes and reopens, others post into the month: every closing states the fold at its place."""
    set_up(ledger)
    ended = Event()

    def post_late(name: str) -> None:
        with Ledger.open(database_url) as other:
            number = 0
            while not ended.is_set():
                number += 1
                do(other, *(grant(f"{name}.{number}.{part}", "0.000001", LATE) for part in range(5)))

    with ThreadPoolExecutor(3) as threads:
        posting = [threads.submit(post_late, name) for name in ("a", "b")]
        try:
            for turn in range(12):
                follow(database_url)
                ledger.read_basis = basis_reader(database_url)
                do(ledger, close())
                if turn < 11:
                    do(ledger, reopen())
        finally:
            ended.set()
        for each in posting:
            each.result()
    facts = facts_of(database_url)
    assert require_true_closings(facts) == 12
    require_final(facts)
    amounts = [fact.event.balances[0].balance_minor for fact in facts if isinstance(fact.event, PeriodClosed)]
    assert amounts == sorted(amounts)
    assert len(set(amounts)) > 3
    assert sum(fact.served_at is not None for fact in facts) > 3


def test_a_replay_checks_what_closings_state(ledger: Ledger, database_url: str) -> None:
    """The fold agrees with every closing of a book that has seen everything, reopened ones included."""
    set_up(ledger, time_zone="America/New_York")
    tell(ledger)
    paid = pay(ACME, "rmb", "2", "in", effective_at=LATE)
    do(ledger, grant("g", "1", within(EARLIER)), close(EARLIER), paid, close())
    do(ledger, grant("late", "4", LATE), reopen(), grant("in-time", "8", LATE), close(), close(LATER))
    follow(database_url)
    follow(database_url, projection=RouteLedger())
    assert replay(database_url, verify=True).differences == ()


def test_a_replay_finds_a_false_closing_and_a_posting_behind_it(ledger: Ledger, database_url: str) -> None:
    """A closing that states another balance, and an entry that slipped into a closed month, are differences."""
    set_up(ledger)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closing, "balances_of", lambda sums: balances_of({key: minor + 1 for key, minor in sums.items()}))
        do(ledger, grant("g1", "5", LATE), close())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decisions, "open_from", lambda workspace, catalog: 0)
        slipped = do(ledger, grant("g2", "1", LATE))[0]
    found = {each.what: (each.expected, each.found) for each in replay(database_url, verify=True).differences}
    assert found[f"period {CLOSED} credit promotion"] == ("5000000", "5000001")
    assert found[f"period {CLOSED} credit wallet.available"] == ("-5000000", "-4999999")
    expected = f"at least {end_of(CLOSED, 'UTC')}", str(to_microseconds(LATE))
    assert found[f"event {slipped.position} effective_at"] == expected


def test_a_key_that_may_spend_is_asked_for_its_limits(ledger: Ledger) -> None:
    """Limits that are set after a closing hold for what is moved."""
    set_up(ledger)
    do(ledger, close())
    do(ledger, workspace.SetApiKeyLimits(workspace_id=ACME, change_id="l", api_key_id="k1", limits=key_limits("0.5")))
    assert refusals(ledger, hold("r1", "1", effective_at=LATE)) == [Refusal.API_KEY_SPEND_LIMIT_EXCEEDED]
