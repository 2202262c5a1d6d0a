"""`audit verify` and checkpoints: those in the database, and one that somebody kept, which nobody inside can change."""

from contextlib import closing

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.signing_key import publish_first_key
from ledger.checkpoint.note import Signer
from ledger.core.identifiers import PLATFORM
from ledger.service import Ledger
from ledger.store.checkpoints import Checkpoint, make_checkpoint, read_origin
from projections.audit.findings import AuditReport
from projections.audit.verifying import Kept, verify
from tests.integration.audit_tamperings import UNLOCK, forge
from tests.integration.read_side import ask, tell
from tests.integration.route_tables import follow_all
from tests.integration.scenes import ACME, do, pay, record, set_up, workspace_commands

UNLOCK_CHECKPOINTS = (
    "alter table ledger.checkpoint disable trigger all; alter table ledger.checkpoint_head disable trigger all"
)


@pytest.fixture
def signer(ledger: Ledger) -> Signer:
    """What signs checkpoints of a ledger that has seen everything, its key published."""
    set_up(ledger)
    with closing(psycopg.connect(ledger.url)) as connection:
        made = Signer(read_origin(connection), Ed25519PrivateKey.generate())
    publish_first_key(ledger, made)
    tell(ledger)
    return made


@pytest.fixture
def checkpoints(ledger: Ledger, signer: Signer) -> list[Checkpoint]:
    """Three checkpoints, between which one book grew and one began, and events after the last."""
    made = [make_checkpoint(ledger.url, signer)]
    do(ledger, pay(ACME, "credit", "1", "second"))
    made.append(make_checkpoint(ledger.url, signer))
    record(ledger, workspace_commands("latecomer"))
    made.append(make_checkpoint(ledger.url, signer))
    do(ledger, pay(ACME, "credit", "1", "after"))
    follow_all(ledger.url)
    return made


def whats(report: AuditReport) -> set[tuple[str, str]]:
    """Return what was found, and in which book."""
    return {(finding.workspace_id, finding.what) for finding in report.findings}


def test_true_checkpoints_are_found_true(ledger: Ledger, signer: Signer, checkpoints: list[Checkpoint]) -> None:
    """Checkpoints of growing books, and each of them kept by somebody, are as they must be."""
    for made in checkpoints:
        report = verify(ledger.url, kept=Kept(made.note, (signer.key.line,)))
        assert (report.findings, report.checkpoints, report.is_held_against_kept) == ((), 3, True)
    assert verify(ledger.url, kept=Kept(checkpoints[0].note)).findings == ()
    assert not verify(ledger.url).is_held_against_kept


def test_a_book_that_was_written_anew_is_caught_by_its_checkpoints(
    ledger: Ledger, checkpoints: list[Checkpoint]
) -> None:
    """An event changed with all digests after it leaves the chain intact; checkpoints made before accuse it."""
    assert len(checkpoints) == 3
    forge(ledger.url, 2, b'"project_id":"main"', b'"project_id":"mail"')
    found = whats(verify(ledger.url))
    assert {(ACME, f"checkpoint {number} head") for number in (1, 2)} <= found
    assert not [what for _, what in found if what.startswith("event")]


def test_only_a_kept_checkpoint_catches_who_holds_the_whole_database(
    ledger: Ledger, signer: Signer, checkpoints: list[Checkpoint]
) -> None:
    """Whoever changes an event that moves no money, all digests and all checkpoints, is caught by a note outside."""
    forge(ledger.url, 3, b'"scopes":["call"]', b'"scopes":["read"]')
    ask(ledger.url, f"{UNLOCK_CHECKPOINTS}; delete from ledger.checkpoint_head; delete from ledger.checkpoint")
    assert verify(ledger.url).findings == ()
    for made in checkpoints:
        found = whats(verify(ledger.url, kept=Kept(made.note, (signer.key.line,))))
        assert found == {(PLATFORM, f"kept checkpoint {made.checkpoint}")}


def test_a_database_from_before_a_checkpoint_is_caught(
    ledger: Ledger, signer: Signer, checkpoints: list[Checkpoint]
) -> None:
    """A database that was restored to before a kept checkpoint lacks it, or has another one under its number."""
    kept = Kept(checkpoints[2].note, (signer.key.line,))
    ask(
        ledger.url,
        f"{UNLOCK_CHECKPOINTS}; delete from ledger.checkpoint_head where checkpoint = 3;"
        " delete from ledger.checkpoint where checkpoint = 3",
    )
    assert whats(verify(ledger.url, kept=kept)) == {(PLATFORM, "kept checkpoint 3")}
    do(ledger, pay(ACME, "credit", "1", "another-life"))
    make_checkpoint(ledger.url, signer)
    found = whats(verify(ledger.url, kept=kept))
    assert (PLATFORM, "kept checkpoint 3 root") in found


CHANGED = {
    "a root": ("update ledger.checkpoint set root = decode(repeat('00', 32), 'hex')", "checkpoint 1 root"),
    "a number of books": ("update ledger.checkpoint set books = books + 1", "checkpoint 2 books"),
    "a number of events": ("update ledger.checkpoint set events = events + 1", "checkpoint 3 events"),
    "a note": ("update ledger.checkpoint set note = replace(note, 'events', 'event')", "checkpoint 1 note"),
    "a head's digest": (
        "update ledger.checkpoint_head set digest = decode(repeat('00', 32), 'hex') where workspace_id = 'platform'",
        "checkpoint 1 head",
    ),
    "a head's position": (
        "update ledger.checkpoint_head set position = position - 1 where workspace_id = 'latecomer'",
        "checkpoint 3 root of the heads",
    ),
    "a head gone": (
        "delete from ledger.checkpoint_head where workspace_id = 'acme'",
        "checkpoint 3 books of the heads",
    ),
    "a checkpoint gone": ("delete from ledger.checkpoint where checkpoint = 2", "checkpoint 2"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_checkpoint_is_named(ledger: Ledger, checkpoints: list[Checkpoint], name: str) -> None:
    """Whatever is changed in the checkpoints that the database holds itself is found."""
    assert len(checkpoints) == 3
    statement, what = CHANGED[name]
    ask(ledger.url, f"{UNLOCK_CHECKPOINTS}; {statement}")
    found = {each for _, each in whats(verify(ledger.url))}
    assert what in found, found


def test_a_book_that_is_gone_is_missed_by_the_checkpoints(ledger: Ledger, checkpoints: list[Checkpoint]) -> None:
    """A whole book that was removed with everything of it is named by the newest checkpoint."""
    assert len(checkpoints) == 3
    ask(ledger.url, UNLOCK)
    journal = ("leg", "entry", "movement", "account", "wallet", "progress")
    for table in ("ledger.event", "ledger.book", "ledger.wallet", *(f"projections.{part}" for part in journal)):
        ask(ledger.url, f"delete from {table} where workspace_id = 'latecomer'")
    assert (PLATFORM, "checkpoint 3 books of the heads") in whats(verify(ledger.url))


def test_a_note_of_another_key_is_refused(ledger: Ledger, checkpoints: list[Checkpoint]) -> None:
    """A kept note that was changed, or that the given key has not signed, is a finding and not believed."""
    other = Signer(checkpoints[0].note.partition("\n")[0], Ed25519PrivateKey.generate())
    for kept in (Kept(checkpoints[0].note, (other.key.line,)), Kept(checkpoints[0].note.replace("events", "event"))):
        assert whats(verify(ledger.url, kept=kept)) == {(PLATFORM, "kept checkpoint")}
