"""A checkpoint as text: a C2SP signed note in the form of a tlog-checkpoint, signed with Ed25519.

    route-ledger/0f3a…            where it comes from: the first event of this database's own book
    3                             how many books
    4Nn…=                         the Merkle root over their heads, in base64
    events 1042                   the sum of their positions
    time 2026-11-22T04:47:30.123456Z
    checkpoint 7
                                  (a blank line)
    — route-ledger/0f3a… sQ9c…    name of the key; its hash and the signature, in base64

https://c2sp.org/signed-note and https://c2sp.org/tlog-checkpoint say the rest. A book's leaf changes as the book
grows, so unlike a log's two checkpoints are not compared by a consistency proof but by the books' own chains.
"""

import base64
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.checkpoint.keys import NAME_PATTERN, NoteInvalid, VerifierKey, decode_base64

DASH = "\N{EM DASH} "
ORIGIN_PREFIX = "route-ledger/"
NOTE_LENGTH_MAX = 20_000
SIGNATURES_MAX = 100
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
BODY_PATTERN = re.compile(
    r"(?P<origin>[^\n]+)\n(?P<books>[1-9][0-9]{0,17})\n(?P<root>[A-Za-z0-9+/]{43}=)\n"
    r"events (?P<events>[1-9][0-9]{0,37})\n"
    r"time (?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z)\n"
    r"checkpoint (?P<checkpoint>[1-9][0-9]{0,17})\n\Z"
)


class Signer:
    """A private key with the name that its signatures carry. It is never written anywhere."""

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self.key = VerifierKey(name, private_key.public_key().public_bytes_raw())

    def sign(self, text: str) -> str:
        """Return a text (which ends with a line break) as a signed note."""
        content = self.key.key_hash + self._private_key.sign(text.encode())
        return f"{text}\n{DASH}{self.key.name} {base64.b64encode(content).decode()}\n"


def is_signed(key: VerifierKey, text: str, signature: bytes) -> bool:
    """Return whether a signature is a key's over a text."""
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(signature, text.encode())
    except (InvalidSignature, ValueError):
        return False
    return True


class Statement(msgspec.Struct, frozen=True):
    """What a checkpoint says. `events` is the sum of all positions, `made_at` microseconds since 1970 (UTC)."""

    origin: str
    books: int
    root: bytes
    events: int
    made_at: int
    checkpoint: int


def origin_of(first_digest: bytes) -> str:
    """Return what notes of a database begin with: by the digest of the first event of the platform's book."""
    return ORIGIN_PREFIX + first_digest.hex()[:16]


def body_of(statement: Statement) -> str:
    """Return the text that is signed."""
    time = (EPOCH + timedelta(microseconds=statement.made_at)).isoformat(timespec="microseconds")
    return (
        f"{statement.origin}\n{statement.books}\n{base64.b64encode(statement.root).decode()}\n"
        f"events {statement.events}\ntime {time.removesuffix('+00:00')}Z\ncheckpoint {statement.checkpoint}\n"
    )


def open_note(note: str, keys: Iterable[VerifierKey]) -> str:
    """Return the text of a note that one of the keys signed. Raises NoteInvalid for any other note.

    A signature of a known key that does not verify makes the note invalid, whatever other keys say.
    """
    if len(note) > NOTE_LENGTH_MAX:
        raise NoteInvalid("the note is too long")
    text, blank, signatures = note.rpartition("\n\n")
    # The last line break is lost where a note is copied by hand; it is not signed.
    lines = signatures.removesuffix("\n").split("\n")
    if not blank or len(lines) > SIGNATURES_MAX:
        raise NoteInvalid("the note has no signatures after a blank line")
    text += "\n"
    if any(ord(letter) < 0x20 and letter != "\n" for letter in note):
        raise NoteInvalid("the note holds a control character")
    known = {(key.name, key.key_hash): key for key in keys}
    verified = False
    for line in lines:
        name, content = signature_of(line)
        key = known.get((name, content[:4]))
        if key is not None and not is_signed(key, text, content[4:]):
            raise NoteInvalid(f"the signature of {key.name}+{key.key_id} is not good")
        verified = verified or key is not None
    if not verified:
        raise NoteInvalid("the note is signed by none of the keys")
    return text


def signature_of(line: str) -> tuple[str, bytes]:
    """Return name and content (hash of the key and signature) of a signature line. Raises NoteInvalid."""
    name, _, encoded = line.removeprefix(DASH).partition(" ")
    content = decode_base64(encoded, "a signature")
    if not line.startswith(DASH) or not NAME_PATTERN.match(name) or len(content) < 5:
        raise NoteInvalid("a signature line is malformed")
    return name, content


def read_checkpoint_note(note: str, keys: Iterable[VerifierKey]) -> Statement:
    """Return what a checkpoint says that a key of its origin's name signed. Raises NoteInvalid for any other text."""
    origin = note.partition("\n")[0]
    match = BODY_PATTERN.match(open_note(note, [key for key in keys if key.name == origin]))
    if match is None:
        raise NoteInvalid("the note is signed, but it is no checkpoint of a route ledger")
    try:
        made_at = datetime.fromisoformat(match["time"])
    except ValueError as error:
        raise NoteInvalid("the note states no time") from error
    root = decode_base64(match["root"], "the root")
    microseconds = (made_at - EPOCH) // timedelta(microseconds=1)
    return Statement(
        match["origin"], int(match["books"]), root, int(match["events"]), microseconds, int(match["checkpoint"])
    )
