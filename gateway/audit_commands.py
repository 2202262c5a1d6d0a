"""`route-ledger audit`: exports, checkpoints, verification, and who did what."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from gateway.options import DEFAULT_DATA, Data, From, Json, LedgerUrl, SigningKey, To, Zone

__all__ = ["audit_app"]

audit_app = App(name="audit", help="Exports of the journal, signed checkpoints, verification, and who did what.")


@audit_app.command
def verify(
    *,
    data: Data = DEFAULT_DATA,
    workspace: str | None = None,
    checkpoint: Path | None = None,
    key: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    processes: Annotated[int | None, Parameter(validator=Number(gte=1, lte=256))] = None,
    as_json: Json = False,
) -> int:
    """Check that nobody touched the books: chains, entries and legs, balances, closed periods, checkpoints.

    The service may go on meanwhile. Exit 1, and a line for each finding, where anything is not what the events say.

    Parameters
    ----------
    workspace
        Only this workspace's book.
    checkpoint
        A checkpoint that was kept outside: whether these books still hold all that it signed.
    key
        A line of the key that signed it, kept outside as well; several times for several keys.
    processes
        How many work at once; as many as there are cores when absent.
    """
    from gateway.tools.auditing import run_verify

    return run_verify(data, workspace, checkpoint, key, processes, as_json=as_json)


@audit_app.command
def export(
    directory: Path,
    *,
    format_: Annotated[str, Parameter(name="--format")] = "csv,jsonl",
    workspace: str | None = None,
    from_: From = None,
    to: To = None,
    zone: Zone = None,
    checkpoint: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    signing_key: SigningKey = None,
    excel_safe: Annotated[bool, Parameter(negative="")] = False,
    data: Data = DEFAULT_DATA,
) -> int:
    """Write the journal to a directory: files of one moment, and a manifest with counts, digests and SHA-256.

    Books go as far as they do in the checkpoint: a new one with a signing key, else the newest there is, else none. A
    period is that of effective time; the evidence in journal.jsonl goes on to the checkpoint all the same.

    Parameters
    ----------
    directory
        A directory that does not exist yet, or an empty one.
    format_
        Of csv, jsonl, beancount, hledger, parquet; several with commas. Only jsonl is evidence.
    workspace
        Only this workspace's book, in whose time zone days then begin.
    checkpoint
        The number of an older checkpoint; no new one is made.
    signing_key
        File of the private key: sign all books as they are now, and export up to there.
    excel_safe
        Put a ' before texts of the CSV that a spreadsheet would take for a formula. Not for machines.
    """
    from gateway.tools.exporting import Asked, run_export

    period = {"from": from_, "to": to, "zone": zone}
    return run_export(data, directory, Asked(format_, workspace, period, checkpoint, signing_key, excel_safe))


@audit_app.command
def actions(
    *,
    workspace: str | None = None,
    actor: str | None = None,
    tag: str | None = None,
    from_: From = None,
    to: To = None,
    zone: Zone = None,
    format_: Annotated[Literal["table", "csv", "jsonl"], Parameter(name="--format")] = "table",
    data: Data = DEFAULT_DATA,
    ledger: LedgerUrl = None,
) -> int:
    """List who did what, the newest first: everything in the books that no gateway wrote, with the reason given.

    Parameters
    ----------
    workspace
        Only this workspace's book, in whose time zone days then begin.
    actor
        Only what was done with this key; `system` is the ledger's own machine.
    tag
        Only this kind, such as api_key_revoked or charge_corrected.
    format_
        A line for a person, or what the export has: csv with a header row, or a line of JSON each.
    """
    from gateway.tools.actions import run_actions

    asked = {"workspace": workspace, "actor": actor, "tag": tag, "from": from_, "to": to, "zone": zone}
    return run_actions(asked, format_, data, ledger)


@audit_app.command
def new_key(file: Path) -> int:
    """Make the private key that signs checkpoints: a new file that only its owner may read.

    Parameters
    ----------
    file
        Where to; a file that exists is never overwritten.
    """
    from gateway.tools.checkpoint import run_new_key

    return run_new_key(file)


@audit_app.command
def checkpoint(*, data: Data = DEFAULT_DATA, signing_key: SigningKey = None, out: Path | None = None) -> int:
    """Sign the heads of all books as they are now, and print the note: it proves nothing until it is kept outside.

    Where nothing has moved since the newest checkpoint, that one is printed again.

    Parameters
    ----------
    out
        A file for the note; one that exists is never overwritten.
    """
    from gateway.tools.checkpoint import run_checkpoint

    return run_checkpoint(data, signing_key, out)


@audit_app.command
def key(*, data: Data = DEFAULT_DATA) -> int:
    """Print the public keys of checkpoints, a line each for whoever verifies; the one that signs now comes last."""
    from gateway.tools.checkpoint import run_key

    return run_key(data)


@audit_app.command
def rotate_key(file: Path, *, reason: str, data: Data = DEFAULT_DATA) -> int:
    """Put a new key in the place of the one that signs checkpoints now, and print its line.

    Parameters
    ----------
    file
        File of the new private key; audit new-key makes one.
    reason
        Why: recorded with the change.
    """
    from gateway.tools.checkpoint import run_rotate_key

    return run_rotate_key(data, file, reason)


@audit_app.command
def prove(
    workspace: str,
    *,
    checkpoint: Annotated[int | None, Parameter(validator=Number(gte=1))] = None,
    data: Data = DEFAULT_DATA,
) -> int:
    """Print the proof that a book's head is in a checkpoint, as JSON.

    Parameters
    ----------
    workspace
        Whose book.
    checkpoint
        The checkpoint's number; the newest when absent.
    """
    from gateway.tools.checkpoint import run_prove

    return run_prove(data, workspace, checkpoint)


@audit_app.command
def verify_export(
    manifest: Path,
    *,
    checkpoint: Path,
    key: Annotated[tuple[str, ...], Parameter(negative="")],
    assume_scales: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Verify an export offline, with no database and no service: the same as running verify_export.py by itself.

    Parameters
    ----------
    manifest
        The export's manifest.json.
    checkpoint
        The note that you kept.
    key
        The line of the public key that you were given; several times for several keys.
    assume_scales
        Trust the decimal places of wallets that the export of a period states: they were fixed before it.
    """
    from projections.audit.verify_export import verify as verify_offline

    return verify_offline(manifest, checkpoint, key, assume_scales=assume_scales)
