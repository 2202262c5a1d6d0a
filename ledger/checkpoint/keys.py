"""Public keys of checkpoints: how a C2SP signed note names them, as bytes and as one line of text."""

import base64
import binascii
import re
from hashlib import sha256
from typing import Self

import msgspec

ED25519 = b"\x01"
"""The type of a key and its signatures, as C2SP numbers them."""

PUBLIC_KEY_LENGTH = 32
NAME_PATTERN = re.compile(r"[^\s+\x00-\x1f\x7f]{1,128}\Z")


class NoteInvalid(ValueError):
    """A note or a key is malformed, or not signed by any of the keys. The message says which."""


class VerifierKey(msgspec.Struct, frozen=True):
    """A public key with the name that its signatures carry; as text `name+hash+base64`, C2SP's "vkey"."""

    name: str
    public_key: bytes

    @property
    def key_hash(self) -> bytes:
        """The four bytes by which a note names the key."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public_key).digest()[:4]

    @property
    def key_id(self) -> str:
        """The same in hex: how the book of the platform calls the key."""
        return self.key_hash.hex()

    @property
    def public_key_text(self) -> str:
        """The public key in base64, as the book of the platform states it."""
        return base64.b64encode(self.public_key).decode()

    @property
    def line(self) -> str:
        """The key as one line of text, for whoever verifies."""
        return f"{self.name}+{self.key_id}+{base64.b64encode(ED25519 + self.public_key).decode()}"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Return the key that a line states. Raises NoteInvalid."""
        name, _, rest = line.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        content = decode_base64(encoded, "the key")
        if not NAME_PATTERN.match(name) or len(content) != 1 + PUBLIC_KEY_LENGTH or content[:1] != ED25519:
            raise NoteInvalid("the key is no Ed25519 key of the form name+hash+base64")
        key = cls(name, content[1:])
        if key.key_id != key_id:
            raise NoteInvalid("the key's hash is not that of its name and public key")
        return key


def decode_base64(text: str, what: str) -> bytes:
    """Return the bytes of strict base64, in the one spelling that they have. Raises NoteInvalid."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteInvalid(f"{what} is not base64") from error
    if base64.b64encode(content).decode() != text:
        raise NoteInvalid(f"{what} is not canonical base64")
    return content
