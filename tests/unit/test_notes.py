"""Checkpoints as signed notes: published vectors, forgeries, and two implementations that agree on every one."""

import base64

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from ledger.checkpoint.keys import NoteInvalid, VerifierKey
from ledger.checkpoint.note import Signer, Statement, body_of, open_note, read_checkpoint_note
from projections.audit.verify_export import is_signed, open_checkpoint, parse_key

# The key, private and public, and the note of the reference implementation of signed notes.
PETER_LINE = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_SEED = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PETER_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_NOTE = (
    PETER_TEXT + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6R"
    "yyBwJnAM=\n"
)
# RFC 8032, 7.1: public key, message, signature.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24"
        "655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
        "b00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
        "c027beceea1ec40a",
    ),
]
ORDER = 2**252 + 27742317777372353535851937790883648493
ORIGIN = "route-ledger/0123456789abcdef"
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
STATED = Statement(ORIGIN, 3, bytes(range(32)), 1042, 1_790_000_000_123_456, 7)
NOTE = SIGNER.sign(body_of(STATED))


def both(note: str, *lines: str) -> Statement | None:
    """Return what both implementations read of a checkpoint, None where both refuse it."""
    ours: Statement | None
    theirs: dict[str, str] | None
    try:
        ours = read_checkpoint_note(note, [VerifierKey.parse(line) for line in lines])
    except NoteInvalid:
        ours = None
    try:
        theirs = open_checkpoint(note, [parse_key(line) for line in lines])
    except ValueError:
        theirs = None
    assert (ours is None) == (theirs is None)
    if ours is not None and theirs is not None:
        stated = {"origin": ours.origin, "books": str(ours.books), "events": str(ours.events)}
        assert stated.items() <= theirs.items()
        assert base64.b64decode(theirs["root"]) == ours.root
    return ours


def test_the_reference_note_is_signed_and_read() -> None:
    """The published note verifies with the published key, and signing its text gives the very same bytes."""
    assert open_note(PETER_NOTE, [VerifierKey.parse(PETER_LINE)]) == PETER_TEXT
    signer = Signer("PeterNeumann", Ed25519PrivateKey.from_private_bytes(base64.b64decode(PETER_SEED)[1:]))
    assert (signer.sign(PETER_TEXT), signer.key.line) == (PETER_NOTE, PETER_LINE)


@pytest.mark.parametrize(("public_key", "message", "signature"), RFC_8032)
def test_vectors_of_the_rfc(public_key: str, message: str, signature: str) -> None:
    """The auditor's own Ed25519 takes the signatures of RFC 8032, and not for another message."""
    key, text, signed = bytes.fromhex(public_key), bytes.fromhex(message), bytes.fromhex(signature)
    assert is_signed(key, text, signed)
    assert not is_signed(key, text + b"x", signed)


@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200), bit=st.integers(0, 511))
def test_pure_python_and_the_library_agree(seed: bytes, message: bytes, bit: int) -> None:
    """Of any key and message the library's signature is good, and with any bit changed it is not."""
    private_key = Ed25519PrivateKey.from_private_bytes(seed)
    public_key, signature = private_key.public_key().public_bytes_raw(), private_key.sign(message)
    assert is_signed(public_key, message, signature)
    flipped = (int.from_bytes(signature, "big") ^ 1 << bit).to_bytes(64, "big")
    assert not is_signed(public_key, message, flipped)
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(public_key).verify(flipped, message)


def test_a_signature_has_one_spelling() -> None:
    """The same signature with its second half enlarged by the group's order, cut or lengthened is not taken."""
    key, signature = SIGNER.key.public_key, Ed25519PrivateKey.from_private_bytes(bytes(range(32))).sign(b"text")
    larger = int.from_bytes(signature[32:], "little") + ORDER
    for wrong in (signature[:32] + larger.to_bytes(32, "little"), signature[:63], signature + b"\0", b""):
        assert not is_signed(key, b"text", wrong)


def test_a_key_off_the_curve_is_refused() -> None:
    """Bytes that are no point, or a point in a second spelling, are no key."""
    for wrong in (b"\2" + bytes(31), (2**255 - 19).to_bytes(32, "little"), b"\xff" * 32):
        with pytest.raises(ValueError, match="no point"):
            is_signed(wrong, b"", bytes(64))


def test_a_checkpoint_says_what_was_signed() -> None:
    """What is read of a signed checkpoint is what it was made of."""
    assert both(NOTE, SIGNER.key.line) == STATED
    assert NOTE.splitlines()[3:6] == ["events 1042", "time 2026-09-21T14:13:20.123456Z", "checkpoint 7"]


def test_another_key_proves_nothing() -> None:
    """A note of another key is refused: of another name, of the same name, and with the true key's hash forged."""
    other = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))
    named = Signer("route-ledger/ffffffffffffffff", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    text = body_of(STATED)
    forged_hash = SIGNER.key.key_hash + base64.b64decode(other.sign(text).split()[-1])[4:]
    forged = f"{text}\n— {ORIGIN} {base64.b64encode(forged_hash).decode()}\n"
    for note in (other.sign(text), named.sign(text), forged, text, f"{text}\n"):
        assert both(note, SIGNER.key.line) is None
    assert both(NOTE, named.key.line) is None
    assert both(NOTE) is None


def test_the_origin_is_the_name_of_the_key() -> None:
    """A note that is well signed, but says that it comes from elsewhere, is refused."""
    elsewhere = Statement("route-ledger/ffffffffffffffff", 3, bytes(32), 5, 0, 1)
    assert both(SIGNER.sign(body_of(elsewhere)), SIGNER.key.line) is None


def test_more_signatures_do_no_harm() -> None:
    """Lines of unknown keys are passed over; one of a known key that is not good makes the note bad."""
    witness = Signer("witness", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
    line = witness.sign(body_of(STATED)).splitlines()[-1] + "\n"
    assert both(NOTE + line, SIGNER.key.line) == STATED
    bad = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(range(32)))).sign("other\n").splitlines()[-1] + "\n"
    assert both(NOTE + bad, SIGNER.key.line) is None


def test_no_byte_of_a_note_can_be_changed() -> None:
    """Any character replaced, removed or doubled makes the note bad, in both implementations."""
    for place, letter in enumerate(NOTE):
        for change in (chr(ord(letter) ^ 1), "", letter * 2):
            changed = NOTE[:place] + change + NOTE[place + 1 :]
            # The line break at the very end may be missing: a mail program takes it away.
            expected = STATED if changed == NOTE.removesuffix("\n") else None
            assert changed == NOTE or both(changed, SIGNER.key.line) == expected, (place, change)


def test_a_signed_text_that_is_no_checkpoint_is_refused() -> None:
    """Words that the key signed, a number with leading zeros, or further lines are not taken for a checkpoint."""
    body = body_of(STATED)
    others = (f"{ORIGIN}\nhello\n", body.replace("\n3\n", "\n03\n"), body + "more\n", body.replace("events", "event"))
    for text in others:
        assert both(SIGNER.sign(text), SIGNER.key.line) is None


def test_keys_are_read_strictly() -> None:
    """No part of a key's line can be changed or cut."""
    line = SIGNER.key.line
    assert (VerifierKey.parse(line), parse_key(line)[0]) == (SIGNER.key, ORIGIN)
    for place in range(len(line)):
        for wrong in (line[:place] + chr(ord(line[place]) ^ 1) + line[place + 1 :], line[:place]):
            with pytest.raises(NoteInvalid):
                VerifierKey.parse(wrong)
            with pytest.raises(ValueError, match=r"key of the form|base64|[Pp]adding|multiple of 4"):
                parse_key(wrong)
