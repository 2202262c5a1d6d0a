"""`route-ledger rerate`: a preview, the corrections, the same again, broken off, and over HTTP."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.database import URL_VARIABLE
from gateway.tools import rerate
from gateway.tools.failures import ToolFailed
from gateway.tools.rerate import Asked, run_rerate
from ledger.core.amounts import StatedAmount, count_minor
from ledger.core.commands import Command, to_microseconds
from ledger.events import decode_fact
from ledger.pricing.usage import Usage
from ledger.request.commands import CorrectCharge, rerating_id
from ledger.request.events import ChargeCorrected
from ledger.service import Ledger, Outcome
from ledger.workspace.commands import ClosePeriod, IssueApiKey
from projections.replay import replay
from projections.route_ledger.writing import RouteLedger
from tests.integration.read_side import ask, follow
from tests.integration.rerating_scene import (
    PERIOD,
    REASON,
    RIGHT,
    WEEK,
    by_hand,
    same_prices,
    tell_week,
)
from tests.integration.scenes import ACME, do
from tests.integration.test_api_receipts import command
from tests.integration.test_ledger_client import free_port, serving, token

CARD = ("rerate", "--rate-card", RIGHT)
APPLY = ("--apply", "--reason", REASON)
CHANGED = 10
"""Requests of the week in UTC that the right card changes: seven, an estimate, a late one, and one of another book."""

DIFFERENCE = "-0.058000"


@pytest.fixture
def there(ledger: Ledger) -> dict[str, str]:
    """Where the database of the week is, which no follower has seen."""
    tell_week(ledger)
    return {URL_VARIABLE: ledger.url}


def told(*words: str, **variables: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the lines of the JSON of a run, and its sums."""
    ran = command(*words, "--json", **variables)
    assert ran.returncode == 0, ran.stderr
    *lines, totals = [json.loads(line) for line in ran.stdout.splitlines()]
    assert all(line["kind"] == "request" for line in lines)
    assert totals["kind"] == "totals"
    return [line["line"] for line in lines], totals


def corrections(ledger: Ledger) -> list[tuple[str, str, str | None, ChargeCorrected]]:
    """Return the corrections by a card on record: workspace, actor, reason, event."""
    rows = ask(ledger.url, "select workspace_id, state from ledger.event where tag = 'charge_corrected.v1' order by 1")
    facts = [(row[0], decode_fact(bytes(row[1]))) for row in rows]
    return [
        (name, fact.actor, fact.reason, fact.event)
        for name, fact in facts
        if isinstance(fact.event, ChargeCorrected) and fact.event.cause == "rerated"
    ]


def minor(amount: dict[str, str]) -> int:
    """Return an amount in smallest parts."""
    return count_minor(StatedAmount(**amount))


def verified(ledger: Ledger) -> None:
    """Fail unless everything live is what the events say, and every column adds up."""
    follow(ledger.url)
    follow(ledger.url, projection=RouteLedger())
    assert replay(ledger.url, verify=True).differences == ()


def test_a_preview_is_a_table_and_its_sums(ledger: Ledger, there: dict[str, str]) -> None:
    """Each request that changes or cannot, what they come to, and that nothing was written."""
    before = ask(ledger.url, "select sum(position) from ledger.book")
    ran = command(*CARD, *PERIOD, "--parts", **there)
    assert (ran.returncode, ran.stderr) == (0, "nothing was written: --apply --reason TEXT posts these corrections\n")
    assert ask(ledger.url, "select sum(position) from ledger.book") == before
    page = ran.stdout
    assert "Route direct under rate card direct.right: the credit wallet, in CREDIT" in page
    (row,) = [line for line in page.splitlines() if " r-3 " in line]
    assert row.split() == ["acme", "r-3", "2025-06-12T12:00:00", "0.012000", "0.006000", "-0.006000"]
    assert "was uncached_input: 1,000 × 2 per million = 0.002000" in page
    assert "is  text_output: 1,000 × 5 per million = 0.005000" in page
    assert "12 requests: 10 change, 0 stay as they are, 0 were corrected by this card before, 2 cannot" in page
    assert "1 corrected_by_hand: charge set by hand" in page
    assert "1 of those that change were charged on an estimate, and are rated on it again" in page
    assert f"charged 0.118000 CREDIT, under the card 0.060000 CREDIT\ndifference {DIFFERENCE} CREDIT\n" in page


def test_what_is_applied_is_what_was_shown_and_once(ledger: Ledger, there: dict[str, str]) -> None:
    """The sum of the preview is the sum recorded; live is what is replayed; the second run changes nothing."""
    lines, preview = told(*CARD, *PERIOD, **there)
    changed = {(line["workspace_id"], line["request_id"]): line for line in lines if line["outcome"] == "changed"}
    assert (len(changed), preview["preview"]["difference"]["value"], preview["applied"]) == (CHANGED, DIFFERENCE, None)
    ran = command(*CARD, *PERIOD, *APPLY, **there)
    assert (ran.returncode, ran.stderr) == (0, f"10 corrections recorded, together {DIFFERENCE} CREDIT\n")
    recorded = corrections(ledger)
    assert sum(event.difference_minor for *_, event in recorded) == minor(preview["preview"]["difference"])
    assert {(actor, reason, event.correction_id, event.rate_card) for _, actor, reason, event in recorded} == {
        ("system", REASON, rerating_id(RIGHT), RIGHT)
    }
    verified(ledger)
    again = command(*CARD, *PERIOD, "--apply", "--reason", "another day", **there)
    assert (again.returncode, again.stderr) == (0, "nothing to correct: no charge changes under direct.right\n")
    assert "0 change, 0 stay as they are, 10 were corrected by this card before, 2 cannot" in again.stdout
    assert f"corrected before {DIFFERENCE} CREDIT" in again.stdout
    assert len(corrections(ledger)) == CHANGED
    verified(ledger)


@pytest.fixture
def here(ledger: Ledger, there: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that nobody looks into, because the environment names the database."""
    monkeypatch.setenv(URL_VARIABLE, there[URL_VARIABLE])
    return Path("nowhere")


PERIOD_ASKED = {"rate_card": RIGHT, **WEEK}
TO_APPLY = Asked(as_json=True, with_parts=False, apply=True, reason=REASON)


def test_broken_off_half_way_it_is_run_again(
    ledger: Ledger, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After an end between two batches the next run does the rest, and no request is corrected twice."""
    monkeypatch.setattr(rerate, "CORRECTIONS_AT_ONCE", 4)
    batches: list[int] = []
    execute_many = Ledger.execute_many

    def ends(self: Ledger, commands: Sequence[Command], actor: str) -> list[Outcome]:
        batches.extend(len(commands) for each in commands[:1] if isinstance(each, CorrectCharge))
        if len(batches) == 2:
            raise KeyboardInterrupt
        return execute_many(self, commands, actor)

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "execute_many", ends)
        with pytest.raises(KeyboardInterrupt):
            run_rerate(PERIOD_ASKED, None, here, None, TO_APPLY)
    half = len(corrections(ledger))
    assert 0 < half < CHANGED
    capsys.readouterr()
    assert run_rerate(PERIOD_ASKED, None, here, None, TO_APPLY) == 0
    totals = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (totals["preview"]["applied"], totals["applied"]["recorded"]) == (half, CHANGED - half)
    assert len(corrections(ledger)) == CHANGED
    verified(ledger)


def test_the_ledger_decides_and_not_the_tool(
    ledger: Ledger, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What changed after it was shown is decided again: refused where it cannot be, else by the difference of then."""
    execute_many = Ledger.execute_many
    more = Usage(5000, 0, {"uncached_input": 5000})
    meanwhile = [
        by_hand("r-1", "0.001"),
        CorrectCharge(
            workspace_id=ACME, request_id="r-2", correction_id="again", cause="estimate_replaced", usage=more,
            reason="counted again",
        ),
        CorrectCharge(
            workspace_id=ACME, request_id="r-3", correction_id=f"rerate.{RIGHT}", cause="rerated", rate_card=RIGHT,
            reason=REASON,
        ),
    ]  # fmt: skip

    def later(self: Ledger, commands: Sequence[Command], actor: str) -> list[Outcome]:
        if meanwhile and isinstance(commands[0], CorrectCharge):
            theirs, meanwhile[:] = list(meanwhile), []
            assert [each.refused for each in execute_many(self, theirs, "finance")] == [None] * 3
        return execute_many(self, commands, actor)

    monkeypatch.setattr(Ledger, "execute_many", later)
    with pytest.raises(ToolFailed, match="1 corrections were refused"):
        run_rerate(PERIOD_ASKED, None, here, None, TO_APPLY)
    said = capsys.readouterr()
    assert "refused: acme r-1: rerating_not_possible: the charge was corrected by a stated difference" in said.err
    assert "acme r-2 changed meanwhile: corrected by -0.005000, not by -0.006000" in said.err
    assert "8 corrections recorded, together -0.045000 CREDIT, 1 were on record already" in said.err
    verified(ledger)


def test_over_http_the_key_is_who_acts(ledger: Ledger, there: dict[str, str]) -> None:
    """The same preview and corrections at a ledger elsewhere; the actor is the key, which needs fund to write."""
    local, _ = told(*CARD, *PERIOD, **there)
    root, reads = token(ledger), read_token(ledger)
    follow(ledger.url, projection=RouteLedger())
    with serving(ledger, free_port()) as address:
        at = ("--ledger", address)
        lines, _ = told(*CARD, *PERIOD, *at, ROUTE_LEDGER_KEY=reads)
        refused = command(*CARD, *PERIOD, *APPLY, *at, ROUTE_LEDGER_KEY=reads)
        nothing_yet = corrections(ledger)
        one = command(*CARD, *PERIOD, *APPLY, *at, "--workspace", "other", ROUTE_LEDGER_KEY=root)
        ran = command(*CARD, *PERIOD, *APPLY, *at, ROUTE_LEDGER_KEY=root)
        again = command(*CARD, *PERIOD, *APPLY, *at, ROUTE_LEDGER_KEY=root)
        wrong = command("rerate", "--rate-card", "nothing", *PERIOD, *at, ROUTE_LEDGER_KEY=root)
    assert lines == local
    assert (refused.returncode, "not_allowed" in refused.stderr, nothing_yet) == (1, True, [])
    assert (one.returncode, one.stderr) == (0, "1 corrections recorded, together -0.006000 CREDIT\n")
    assert (ran.returncode, ran.stderr) == (0, "9 corrections recorded, together -0.052000 CREDIT\n")
    assert (again.returncode, again.stderr) == (0, "nothing to correct: no charge changes under direct.right\n")
    assert (wrong.returncode, "--rate-card: there is no such rate card" in wrong.stderr) == (2, True)
    assert {actor for _, actor, _, _ in corrections(ledger)} == {"root"}
    verified(ledger)


def read_token(ledger: Ledger) -> str:
    """Issue a platform key that may only read, and return its token."""
    issued = ledger.issue_key(IssueApiKey(workspace_id="platform", api_key_id="reads", scopes=("read",)), "system")
    assert issued.token is not None
    return issued.token


def test_a_closed_month_stays_as_it_is(ledger: Ledger, there: dict[str, str]) -> None:
    """Corrections of its requests count when they are made, in the open period."""
    until = to_microseconds(datetime(2025, 6, 30, 16, tzinfo=UTC))
    do(ledger, ClosePeriod(workspace_id=ACME, period="2025-06"))
    ran = command(*CARD, *PERIOD, *APPLY, "--workspace", ACME, "--zone", "UTC", **there)
    assert (ran.returncode, ran.stderr) == (0, "9 corrections recorded, together -0.052000 CREDIT\n")
    rows = ask(ledger.url, "select state from ledger.event where tag = 'charge_corrected.v1' order by position")
    facts = [decode_fact(bytes(row[0])) for row in rows]
    assert [fact.effective_at >= until for fact in facts] == [True] * len(facts)
    verified(ledger)


def test_the_same_prices_change_nothing(ledger: Ledger, there: dict[str, str]) -> None:
    """A card with the prices of before has nothing to correct, but for what was limited and cannot be."""
    do(ledger, same_prices())
    ran = command("rerate", "--rate-card", "direct.same", *PERIOD, *APPLY, "--workspace", ACME, **there)
    assert ran.returncode == 0
    assert "nothing to correct" in ran.stderr
    assert "11 stay as they are" in ran.stdout
    assert corrections(ledger) == []


def test_what_means_nothing_is_wrong_usage(there: dict[str, str]) -> None:
    """Exit code 2 and the option's name for what means nothing, 1 for what is not there; never a traceback."""
    for words, code, said in (
        ((*CARD, *PERIOD, "--apply"), 2, "--apply needs --reason"),
        ((*CARD, *PERIOD, "--apply", "--reason", " "), 2, "--apply needs --reason"),
        ((*CARD, *PERIOD, "--reason", "x"), 2, "--reason goes with --apply"),
        ((*CARD,), 2, "--from: say where the period begins"),
        ((*CARD, "--from", "2025-06-09"), 2, "--to: say where the period ends"),
        ((*CARD, *PERIOD, "--zone", "Mars"), 2, "--zone"),
        (("rerate", "--rate-card", "nothing", *PERIOD), 2, "--rate-card: there is no such rate card"),
        ((*CARD, *PERIOD, "--workspace", "nobody"), 1, "there is no workspace nobody"),
        ((*CARD, *PERIOD, "--ledger", "http://127.0.0.1:9"), 2, "ROUTE_LEDGER_KEY is not set"),
    ):
        ran = command(*words, **there)
        assert (ran.returncode, "Traceback" in ran.stderr) == (code, False), (words, ran.stderr)
        assert said in ran.stderr + ran.stdout, (words, ran.stderr)
