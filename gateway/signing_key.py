"""The private key that signs checkpoints: a file of its owner alone, never in the database and never in a log.

Its public half is published in the platform's own book, so that whoever reads the book knows which key signed when.
"""

import os
import stat
from contextlib import closing
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from ledger.checkpoint.note import Signer
from ledger.core.identifiers import PLATFORM
from ledger.core.refusals import Refused
from ledger.service import SYSTEM, Ledger
from ledger.store.checkpoints import CheckpointRefused, read_keys, read_origin
from ledger.store.connection import connect_writer
from ledger.workspace.commands import PublishSigningKey

__all__ = ["KeyFileUnusable", "create_key_file", "open_signer", "publish_first_key", "publish_key"]


OWNER_ONLY = 0o600


class KeyFileUnusable(Exception):
    """A file holds no key that checkpoints can be signed with, or others may read it. The message says what to do."""


def create_key_file(path: Path) -> None:
    """Write a new private key to a file that does not exist yet, for its owner alone. Raises KeyFileUnusable."""
    content = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except FileExistsError as error:
        raise KeyFileUnusable(f"{path} exists: a key is never overwritten, name another file") from error
    except OSError as error:
        raise KeyFileUnusable(f"{path} can't be written: {error.strerror}") from error
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Return the key in a file that only its owner may read. Raises KeyFileUnusable."""
    try:
        content = path.read_bytes()
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise KeyFileUnusable(f"{path} can't be read: {error.strerror}") from error
    if mode & 0o077:
        raise KeyFileUnusable(f"others may read or change {path}: chmod 600 {path}")
    try:
        key = load_pem_private_key(content, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyFileUnusable(f"{path} holds no unencrypted private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileUnusable(f"{path} holds no Ed25519 key: make one with route-ledger audit new-key")
    return key


def open_signer(url: str, path: Path) -> Signer:
    """Return what signs for a database with the key in a file. Raises KeyFileUnusable, CheckpointRefused."""
    private_key = read_private_key(path)
    with closing(connect_writer(url)) as connection:
        return Signer(read_origin(connection), private_key)


def publish_first_key(ledger: Ledger, signer: Signer) -> None:
    """Publish a key where there is none yet. Raises CheckpointRefused where another one signs."""
    with closing(connect_writer(ledger.url)) as connection:
        published = read_keys(connection)
    if not published:
        publish_key(ledger, signer, None)
    elif published[-1] != signer.key:
        raise CheckpointRefused(
            f"key {published[-1].key_id} signs checkpoints of this database, and not {signer.key.key_id}: give the "
            "file of that one, or put the new one in its place with route-ledger audit rotate-key"
        )


def publish_key(ledger: Ledger, signer: Signer, replaces: str | None, reason: str | None = None) -> None:
    """Publish a key in the place of the one that signs now, if any. Raises Refused where that is another one."""
    command = PublishSigningKey(
        workspace_id=PLATFORM,
        key_id=signer.key.key_id,
        name=signer.key.name,
        public_key=signer.key.public_key_text,
        replaces=replaces,
        reason=reason,
    )
    refused = ledger.execute(command, SYSTEM).refused
    if isinstance(refused, Refused):
        raise refused
