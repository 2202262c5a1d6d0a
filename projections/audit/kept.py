"""A checkpoint that somebody kept outside, held against the database: has it lost or changed what was signed?"""

from collections.abc import Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from ledger.checkpoint.keys import NoteInvalid, VerifierKey
from ledger.checkpoint.note import Statement, read_checkpoint_note
from ledger.core.identifiers import PLATFORM
from ledger.store.checkpoints import Head, read_checkpoint, read_digests, read_heads, read_keys, read_origin, tree_of
from projections.audit.findings import Finding, Findings

__all__ = ["check_kept", "read_vkeys"]


def read_vkeys(connection: Connection[TupleRow]) -> list[str]:
    """Return the lines of all signing keys that the database itself names, for a caller who was given none.

    Whoever can change the whole database can change these too: a key that was kept outside is worth more.
    """
    return [key.line for key in read_keys(connection)]


def check_kept(connection: Connection[TupleRow], note_text: str, vkeys: Sequence[str]) -> list[Finding]:
    """Return what a database lacks of a checkpoint that was kept outside; nothing where it still holds all of it.

    `vkeys` are lines of the keys that the note may be signed with. Reads only; as any role.
    """
    findings = Findings(PLATFORM)
    try:
        statement = read_checkpoint_note(note_text, [VerifierKey.parse(line) for line in vkeys])
    except NoteInvalid as error:
        findings.report("kept checkpoint", "a note signed with the key", error)
        return findings.found
    origin = read_origin(connection)
    if statement.origin != origin:
        findings.report("kept checkpoint origin", statement.origin, f"{origin}: it is of another database")
        return findings.found
    return check_statement(connection, note_text, statement, findings)


def check_statement(
    connection: Connection[TupleRow], note_text: str, statement: Statement, findings: Findings
) -> list[Finding]:
    """Hold what a kept note says against the checkpoint of the same number, its heads, and the events there."""
    number = statement.checkpoint
    what = f"kept checkpoint {number}"
    stored = read_checkpoint(connection, number)
    if stored is None:
        newest = read_checkpoint(connection, None)
        found = "no checkpoint at all" if newest is None else f"checkpoint {newest.checkpoint} as the newest one"
        findings.report(
            what, f"{statement.events} events in {statement.books} books, signed", f"{found}: restored to before it?"
        )
        return findings.found
    if stored.note.rpartition("\n\n")[0] != note_text.rpartition("\n\n")[0]:
        findings.report(f"{what} note", stored.note, "another one under this number: restored to before it?")
    heads = read_heads(connection, number)
    if tree_of(heads).root != statement.root:
        findings.report(f"{what} root", statement.root.hex(), f"{tree_of(heads).root.hex()} of the heads kept here")
    return findings.found + check_heads(connection, what, heads)


def check_heads(connection: Connection[TupleRow], what: str, heads: Sequence[Head]) -> list[Finding]:
    """Hold the heads of a checkpoint against the events that stand there now."""
    found: list[Finding] = []
    for head, (position, digest) in zip(heads, read_digests(connection, heads), strict=True):
        findings = Findings(head.workspace_id)
        if position is None or position < head.position:
            findings.report(f"{what} head", f"at least {head.position} events", position or 0, head.position)
        elif digest is None:
            findings.report(f"{what} head", head.digest.hex(), "no event there", head.position)
        elif digest != head.digest:
            findings.report(f"{what} head", head.digest.hex(), digest.hex(), head.position)
        found += findings.found
    return found
