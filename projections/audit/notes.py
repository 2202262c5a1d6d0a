"""Checkpoints in the database itself: signed by a key that was published, over the heads that they name.

The heads of all checkpoints are compared with the events where they stand; the tree is computed for the newest one,
as each head of it is the end of a whole chain.
"""

import msgspec
from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.checkpoint.keys import NoteInvalid, VerifierKey
from ledger.checkpoint.note import read_checkpoint_note
from ledger.core.identifiers import PLATFORM
from ledger.store.checkpoints import Checkpoint, checkpoint_of, read_heads, read_keys, tree_of
from projections.audit.findings import Finding, Findings
from projections.audit.reading import QUERIES
from projections.connections import run

__all__ = ["CheckedNotes", "check_heads", "check_notes"]


class CheckedNotes(msgspec.Struct, frozen=True):
    """How many checkpoints the database holds, and what is wrong with them."""

    checkpoints: int = 0
    findings: tuple[Finding, ...] = ()


def check_notes(connection: Connection[TupleRow]) -> CheckedNotes:
    """Check signature and numbers of every checkpoint, and the tree of the newest, all of whose books must be there."""
    findings = Findings(PLATFORM)
    keys = read_keys(connection)
    last: Checkpoint | None = None
    for row in run(connection, QUERIES["read_checkpoints"]):
        checkpoint = checkpoint_of(row)
        number = 1 if last is None else last.checkpoint + 1
        if checkpoint.checkpoint != number:
            findings.report(f"checkpoint {number}", "a checkpoint", f"checkpoint {checkpoint.checkpoint} follows")
        compare_note(checkpoint, keys, findings)
        last = checkpoint
    if last is None:
        return CheckedNotes()
    heads = read_heads(connection, last.checkpoint)
    compared = {"root": tree_of(heads).root.hex() if heads else "", "books": len(heads)}
    compared["events"] = sum(head.position for head in heads)
    for name, found in compared.items():
        expected = last.root.hex() if name == "root" else getattr(last, name)
        if found != expected:
            findings.report(f"checkpoint {last.checkpoint} {name} of the heads", expected, found)
    return CheckedNotes(last.checkpoint, tuple(findings.found))


def compare_note(checkpoint: Checkpoint, keys: tuple[VerifierKey, ...], findings: Findings) -> None:
    """Check that a checkpoint's note is signed by a key that was published, and says what its row says."""
    what = f"checkpoint {checkpoint.checkpoint}"
    try:
        statement = read_checkpoint_note(checkpoint.note, keys)
    except NoteInvalid as error:
        findings.report(f"{what} note", "one that a published key signed", error)
        return
    for name in ("checkpoint", "made_at", "root", "books", "events"):
        expected, found = getattr(statement, name), getattr(checkpoint, name)
        if expected != found:
            findings.report(f"{what} {name}", expected, found)


def check_heads(connection: Connection[TupleRow], findings: dict[str, Findings]) -> None:
    """Report the heads of some books, in all checkpoints, that are not the digests of the events there."""
    for name, checkpoint, position, signed, found in run(connection, QUERIES["read_changed_heads"], (list(findings),)):
        digest = "no event there" if found is None else found.hex()
        findings[name].report(f"checkpoint {checkpoint} head", signed.hex(), digest, position)
