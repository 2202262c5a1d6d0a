"""`audit verify` holds the closing balances of periods against the entries before them, the platform's against all."""

import pytest

from ledger.core.identifiers import PLATFORM
from ledger.service import Ledger
from projections import journal
from projections.audit.verifying import verify
from projections.rebuild import rebuild
from tests.integration.audit_tamperings import forge
from tests.integration.periods_scene import CLOSED, EARLIER, LATER, close, grant, reopen, within
from tests.integration.read_side import ask, tell
from tests.integration.route_tables import follow_all
from tests.integration.scenes import ACME, do, record, set_up, workspace_commands

ZONE = "Asia/Shanghai"


@pytest.fixture
def closed(ledger: Ledger) -> Ledger:
    """A ledger whose two books closed months, one of them twice, with entries on both sides of their ends."""
    set_up(ledger, time_zone=ZONE)
    record(ledger, workspace_commands("other"))
    for name, zone in ((ACME, ZONE), ("other", "UTC")):
        for place, period in enumerate((EARLIER, CLOSED, LATER)):
            last = within(period, zone, seconds_before_end=1)
            do(ledger, grant(f"last-{place}", "3", last, workspace_id=name))
    tell(ledger)
    do(ledger, close(EARLIER), close(CLOSED), grant("late", "5", within(EARLIER)))
    do(ledger, close(EARLIER, "other"), close(EARLIER, PLATFORM), close(CLOSED, "other"), close(CLOSED, PLATFORM))
    do(ledger, reopen(CLOSED, PLATFORM), reopen(CLOSED), grant("found", "7", within(CLOSED, ZONE)), close(CLOSED))
    do(ledger, close(CLOSED, PLATFORM))
    follow_all(ledger.url)
    return ledger


def closings_of(url: str, name: str) -> list[int]:
    """Return the positions of a book's closings."""
    query = "select position from ledger.event where workspace_id = %s and tag = 'period_closed.v1' order by position"
    return [row[0] for row in ask(url, query, name)]


@pytest.mark.parametrize("is_cut", [False, True], ids=["whole", "in stretches"])
def test_true_closings_are_found_true(closed: Ledger, *, is_cut: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closings, reopenings, late entries and the platform's sums are as they must be, in whatever parts."""
    if is_cut:
        monkeypatch.setattr(journal, "BLOCK_BITS", 2)
        rebuild(closed.url)
    report = verify(closed.url)
    assert report.findings == ()
    assert report.periods == sum(len(closings_of(closed.url, name)) for name in (ACME, "other", PLATFORM)) == 8


@pytest.mark.parametrize("name", [ACME, PLATFORM])
def test_a_closing_that_states_another_balance_is_named(closed: Ledger, name: str) -> None:
    """One unit more in a closing balance is found though the whole chain was computed anew."""
    position = closings_of(closed.url, name)[0]
    (state,) = ask(
        closed.url, "select state from ledger.event where workspace_id = %s and position = %s", name, position
    )[0]
    old = b'"promotion","balance_minor":'
    assert old in state
    forge(closed.url, position, old, old + b"1", name)
    found = [(each.workspace_id, each.what, each.position) for each in verify(closed.url).findings]
    assert (name, f"period {EARLIER} credit promotion", position) in found
    # The platform's sum does not fit any more either, where it is a book's own.
    assert {each for each, _, _ in found} == {name, PLATFORM}


def test_an_end_in_another_moment_is_named(closed: Ledger) -> None:
    """A closing that ends a microsecond late is found."""
    position = closings_of(closed.url, "other")[0]
    (state,) = ask(
        closed.url, "select state from ledger.event where workspace_id = 'other' and position = %s", position
    )[0]
    digits = state.split(b'"until":')[1].split(b",")[0]
    forge(closed.url, position, b'"until":' + digits, b'"until":%d' % (int(digits) + 1), "other")
    (finding,) = verify(closed.url).findings
    assert (finding.workspace_id, finding.what, finding.position) == ("other", f"period {EARLIER} until", position)


def test_a_closing_before_the_journal_is_there_is_no_finding(closed: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the movements before a closing were not followed yet, nothing is claimed of it."""
    monkeypatch.setattr(journal, "BLOCK_BITS", 2)
    for part in ("leg", "entry", "movement", "account", "wallet"):
        ask(closed.url, f"delete from projections.{part}")
    ask(closed.url, "update projections.progress set position = 0 where projection = 'journal'")
    report = verify(closed.url)
    assert report.findings == ()
    assert {each.projection for each in report.behind} == {"journal"}
