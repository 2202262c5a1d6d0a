"""`route-ledger audit`: signing keys, checkpoints and proofs, straight on a directory's database."""

from contextlib import closing
from pathlib import Path

import msgspec

from gateway.database import existing_database
from gateway.signing_key import create_key_file, open_signer, publish_first_key, publish_key
from gateway.tools.failures import ToolFailed
from gateway.tools.voice import note, say
from ledger.api.checkpoints import inclusion_view
from ledger.service import Ledger
from ledger.store.checkpoints import (
    Checkpoint,
    make_checkpoint,
    prove,
    read_checkpoint,
    read_heads,
    read_keys,
    tree_of,
)
from ledger.store.connection import connect_writer
from ledger.store.install import read_purpose

__all__ = ["run_checkpoint", "run_key", "run_new_key", "run_prove", "run_rotate_key"]


def run_new_key(file: Path) -> int:
    """Make a private key, for its owner alone."""
    create_key_file(file)
    note(f"{file} holds a new signing key. Keep a copy where the database is not; it is nowhere else.")
    note(f"Its public half is published with the first checkpoint: route-ledger audit checkpoint --signing-key {file}")
    return 0


def run_checkpoint(data: Path, key_file: Path | None, out: Path | None) -> int:
    """Sign the heads of all books now and print the note, or write it to a file that does not exist yet."""
    if key_file is None:
        raise ToolFailed("name the file of the signing key with --signing-key; audit new-key makes one")
    with existing_database(data) as url:
        signer = open_signer(url, key_file)
        with Ledger(url, purpose=read_purpose(url)) as ledger:
            publish_first_key(ledger, signer)
        made = make_checkpoint(url, signer)
    hand_out(made, out)
    note(f"checkpoint {made.checkpoint}: {made.books:,} books, {made.events:,} events. It proves nothing in this ")
    note("database: send the note to somebody outside, with the line that audit key prints.")
    return 0


def hand_out(made: Checkpoint, out: Path | None) -> None:
    """Print a note, or write it to a file. Raises ToolFailed where the file exists or can't be written."""
    if out is None:
        say(made.note.removesuffix("\n"))
        return
    try:
        with out.open("x", encoding="utf-8", newline="\n") as file:
            file.write(made.note)
    except FileExistsError as error:
        raise ToolFailed(f"{out} exists: a note that was kept is never overwritten, name another file") from error
    except OSError as error:
        raise ToolFailed(f"{out} can't be written: {error.strerror}") from error


def run_key(data: Path) -> int:
    """Print the lines of all signing keys that were ever published; the last one signs now."""
    with existing_database(data) as url, closing(connect_writer(url)) as connection:
        keys = read_keys(connection)
    if not keys:
        raise ToolFailed("no signing key was published yet: make a checkpoint first")
    for key in keys:
        say(key.line)
    return 0


def run_rotate_key(data: Path, key_file: Path, reason: str) -> int:
    """Put a new key in the place of the one that signs checkpoints now."""
    with existing_database(data) as url:
        signer = open_signer(url, key_file)
        with closing(connect_writer(url)) as connection:
            published = read_keys(connection)
        if published and published[-1] == signer.key:
            raise ToolFailed(f"key {signer.key.key_id} signs checkpoints already")
        with Ledger(url, purpose=read_purpose(url)) as ledger:
            publish_key(ledger, signer, published[-1].key_id if published else None, reason)
    note("Servers that sign on schedule must be started again with the new file. Hand out the new line:")
    say(signer.key.line)
    return 0


def run_prove(data: Path, workspace: str, number: int | None) -> int:
    """Print the proof that a book's head is in a checkpoint, as JSON."""
    with existing_database(data) as url, closing(connect_writer(url)) as connection:
        checkpoint = read_checkpoint(connection, number)
        heads = [] if checkpoint is None else read_heads(connection, checkpoint.checkpoint)
    if checkpoint is None:
        raise ToolFailed("there is no checkpoint yet" if number is None else f"there is no checkpoint {number}")
    inclusion = prove(heads, tree_of(heads), workspace)
    if inclusion is None:
        raise ToolFailed(f"checkpoint {checkpoint.checkpoint} has no book of a workspace {workspace}")
    say(msgspec.json.encode(inclusion_view(checkpoint, inclusion)).decode())
    return 0
