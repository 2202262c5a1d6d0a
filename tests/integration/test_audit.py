"""`audit verify` finds whatever was changed by hand, names it, and finds nothing where nobody touched anything."""

import threading
from contextlib import closing
from typing import Any

import pytest

from ledger.service import Ledger
from projections import journal
from projections.audit import checking, stretches, verifying
from projections.audit import findings as found_module
from projections.audit.crew import Processes
from projections.audit.findings import AuditReport
from projections.audit.verifying import verify
from projections.connections import connect_projector
from projections.every import every_projection
from projections.followers import Follower, find_news, follow_group, read_generation
from projections.journal_rows import Journal
from projections.rebuild import rebuild
from projections.route_ledger.writing import RouteLedger
from tests.integration.audit_tamperings import CHANGED, EVENTS, ROWS, UNLOCK, forge
from tests.integration.read_side import ask, follow, tell
from tests.integration.route_tables import follow_all, late_commands
from tests.integration.scenes import ACME, do, hold, record, set_up, settle, workspace_commands


@pytest.fixture
def told(ledger: Ledger) -> Ledger:
    """A ledger whose workspace acme has seen everything under a daily spend limit, followed to its end."""
    set_up(ledger, day="100000")
    tell(ledger)
    follow_all(ledger.url)
    return ledger


def cut_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have books checked in stretches of eight events, as large ones are in larger ones."""
    monkeypatch.setattr(journal, "BLOCK_BITS", 2)


@pytest.fixture
def in_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Books are cut small from the beginning."""
    cut_small(monkeypatch)


def found_in(report: AuditReport) -> set[tuple[str, int | None]]:
    """Return what was found, and where."""
    return {(finding.what, finding.position) for finding in report.findings}


@pytest.mark.parametrize("is_cut", [False, True], ids=["whole", "in stretches"])
def test_nothing_is_found_where_nobody_touched_anything(
    told: Ledger, *, is_cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After everything that can happen, all that is stored is what the events say, and all of it is looked at."""
    if is_cut:
        cut_small(monkeypatch)
        rebuild(told.url)
    report = verify(told.url)
    assert report.findings == ()
    assert report.behind == ()
    assert report.events == ask(told.url, "select sum(position) from ledger.book")[0][0]
    assert report.entries == ask(told.url, "select count(*) from projections.entry")[0][0]
    assert report.legs == ask(told.url, "select count(*) from projections.leg")[0][0]


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_row_is_named(told: Ledger, name: str) -> None:
    """One unit, one byte or one row changed in any table is found, and named."""
    statement, what = CHANGED[name]
    ask(told.url, statement)
    found = found_in(verify(told.url))
    assert [each for each, _ in found if each.startswith(what)], found


@pytest.mark.parametrize("name", ROWS)
def test_a_changed_row_of_the_journal_is_all_that_is_named(told: Ledger, name: str) -> None:
    """What is changed in an entry or a leg is named with its position, once, and nothing else is."""
    statement, findings = ROWS[name]
    ask(told.url, statement)
    assert found_in(verify(told.url)) == findings


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.usefixtures("in_stretches")
def test_a_changed_row_is_named_in_a_stretch(told: Ledger, name: str) -> None:
    """The same is found in a stretch of a large book; a balance wrong at its end is named by the next one too."""
    rebuild(told.url)
    statement, findings = ROWS[name]
    ask(told.url, statement)
    found = found_in(verify(told.url))
    assert findings <= found
    assert {what.rpartition(" ")[0] for what, _ in found - findings} <= {"entry credit"}


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("is_cut", [False, True], ids=["whole", "in stretches"])
def test_a_changed_event_is_named(told: Ledger, name: str, *, is_cut: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is changed in an event, the audit says at which position, and accuses no other."""
    if is_cut:
        cut_small(monkeypatch)
        rebuild(told.url)
    statement, expected = EVENTS[name]
    ask(told.url, f"{UNLOCK}; {statement}")
    found = found_in(verify(told.url))
    assert expected <= found
    assert {each for each in found if each[0].startswith("event")} <= expected


def test_what_an_event_says_is_held_against_its_balances(told: Ledger) -> None:
    """An event changed together with all digests after it leaves the chain intact; entries and balances accuse it."""
    forge(told.url, 5, b'"amount_minor":1000000000', b'"amount_minor":2000000000')
    found = found_in(verify(told.url))
    assert not [what for what, _ in found if what.startswith(("event", "book"))]
    assert {("leg credit 1 minor", 5), ("wallet credit posted_minor", None)} <= found


def test_a_journal_that_lags_is_checked_as_far_as_it_came(told: Ledger) -> None:
    """What was not followed yet is said to be behind; what was is right, and a change in it is found all the same."""
    reached = len(record(told, workspace_commands("other")))
    follow_all(told.url)
    late = len(record(told, [*late_commands("other"), hold("open", route="cheap", workspace_id="other")]))
    report = verify(told.url)
    assert report.findings == ()
    assert {(each.workspace_id, each.projection, each.position, each.events) for each in report.behind} == {
        ("other", "journal", reached, late),
        ("other", "route_ledger", reached, late),
    }
    ask(told.url, "update projections.leg set minor = minor + 1 where position = 5")
    ask(told.url, "update ledger.wallet set held_minor = held_minor + 1 where bucket = 'rmb'")
    found = found_in(verify(told.url, "other"))
    assert {what for what, _ in found} == {"leg credit 1 minor", "wallet rmb held_minor"}


@pytest.mark.usefixtures("in_stretches")
def test_a_lagging_journal_may_end_in_any_stretch(ledger: Ledger) -> None:
    """Wherever the journal has come in a book that is cut, nothing is found, and the rest is said to be behind."""
    set_up(ledger)
    tell(ledger)
    ends = dict(ask(ledger.url, "select workspace_id, position from ledger.book"))
    follow(ledger.url, projection=RouteLedger())
    while behind := verify_cleanly(ledger.url).behind:
        assert {each.position + each.events - ends[each.workspace_id] for each in behind} == {0}
        follow_a_little(ledger.url)


def verify_cleanly(url: str) -> AuditReport:
    """Return a report without findings."""
    report = verify(url)
    assert report.findings == ()
    return report


def follow_a_little(url: str) -> None:
    """Follow three events of each book with the journal."""
    with closing(connect_projector(url, "test")) as connection:
        generation = read_generation(connection, "journal")
        for news in find_news(connection, Journal(), generation):
            follow_group(connection, Journal(), generation, [news], 3)


def test_an_event_that_stopped_the_journal_is_named(told: Ledger) -> None:
    """A book that an event has stopped is said to be behind, with the reason that was noted."""
    ask(told.url, "update projections.progress set position = position - 1, failed_position = position,"
        " failure = 'KeyError: x' where projection = 'route_ledger' and workspace_id = 'acme'")  # fmt: skip
    (behind,) = verify(told.url).behind
    assert (behind.projection, behind.events, behind.failure) == ("route_ledger", 1, "KeyError: x")


def test_findings_are_one_books(told: Ledger) -> None:
    """What is wrong in one book is reported of that book, in the order of the books, and others are still checked."""
    record(told, workspace_commands("other"))
    follow_all(told.url)
    ask(told.url, "update ledger.wallet set posted_minor = posted_minor + 1 where bucket = 'rmb'")
    report = verify(told.url)
    assert [(each.workspace_id, each.what) for each in report.findings] == [
        (ACME, "wallet rmb posted_minor"),
        ("other", "wallet rmb posted_minor"),
    ]
    assert int(report.findings[0].found) - int(report.findings[0].expected) == 1
    assert {each.workspace_id for each in verify(told.url, "other").findings} == {"other"}


def test_an_unknown_workspace_is_refused(told: Ledger) -> None:
    """A workspace without a book is an error in words."""
    with pytest.raises(LookupError, match="nobody"):
        verify(told.url, "nobody")


def test_very_many_findings_are_counted(told: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever changes everything is named as often as is useful, and the rest is counted."""
    monkeypatch.setattr(found_module, "FINDINGS_PER_PART_MAX", 7)
    ask(told.url, "update projections.entry set tag = 'x'")
    report = verify(told.url, ACME)
    assert (len(report.findings), report.suppressed) == (7, report.entries - 7)


def test_processes_look_at_one_moment(told: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several processes find what one finds, and report how far they are, while all is still written to."""
    for number in range(6):
        record(told, workspace_commands(f"w{number}"))
    follow_all(told.url)
    ask(told.url, "update projections.leg set minor = minor + 1 where position = 5")
    alone = verify(told.url)
    monkeypatch.setattr(verifying, "SMALL_AUDIT_EVENTS", 0)
    monkeypatch.setattr(stretches, "BOOKS_PER_TASK", 2)
    seen: list[tuple[int, int]] = []
    begin = Processes

    def begin_late(*asked: Any) -> Processes:
        do(told, hold("meanwhile", workspace_id="w1"))
        return begin(*asked)

    monkeypatch.setattr(verifying, "Processes", begin_late)
    assert verify(told.url, processes=2, on_progress=lambda *done: seen.append(done)) == alone
    assert len(alone.findings) == 7
    assert (len(seen), seen[-1]) == (4, (alone.events, alone.events))
    with pytest.raises(LookupError):
        verify(told.url, "nobody", processes=2)


def test_nothing_is_found_beside_writers_and_followers(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """While books are written, followed and built anew, no audit finds anything: each looks at one moment."""
    monkeypatch.setattr(checking, "EVENTS_PER_FETCH", 50)
    set_up(ledger)
    record(ledger, workspace_commands("other", day="1000"))
    ending = threading.Event()

    def write() -> None:
        for number in range(100_000):
            if ending.is_set():
                return
            name = (ACME, "other")[number % 2]
            do(ledger, hold(f"r{number}", workspace_id=name), settle(f"r{number}", workspace_id=name))
            if number % 3 == 0:
                do(ledger, hold(f"open{number}", "0.001", workspace_id=name))

    def build() -> None:
        while not ending.is_set():
            rebuild(ledger.url, processes=1)

    threads = [threading.Thread(target=write), threading.Thread(target=build)]
    followers = [Follower(ledger.url, projection, 0.005) for projection in every_projection()]
    for thread in (*threads, *followers):
        thread.start()
    try:
        reports = [verify(ledger.url) for _ in range(25)]
    finally:
        ending.set()
        for thread in threads:
            thread.join()
        for follower in followers:
            follower.stop()
    assert [finding for report in reports for finding in report.findings] == []
    assert reports[-1].events > reports[0].events
    assert reports[-1].entries > reports[0].entries
