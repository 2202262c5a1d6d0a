"""The hash chain of a book: any change to any event changes every digest after it.

leaf   = SHA-256(0x00 ‖ fields)        of format, workspace, position, stream, version, tag, command_id,
                                       recorded_at, state
digest = SHA-256(0x02 ‖ previous digest ‖ leaf)
start  = SHA-256(0x03 ‖ fields)        of format and workspace: the digest before position 1

Each field is written as its length in bytes (4 bytes, big-endian) and its bytes; texts in UTF-8, integers as
decimal digits. Leading bytes keep leaves, links and starts apart, as RFC 9162 does for leaves and nodes.
Published vectors: tests/golden/chain.json.
"""

from hashlib import sha256

FORMAT = b"route-ledger.chain.v1"
_FORMAT_FIELD = len(FORMAT).to_bytes(4, "big") + FORMAT


def start_digest(workspace_id: str) -> bytes:
    """Return the digest that a book's first event is chained to. It binds the chain to the workspace."""
    return sha256(b"\x03" + _FORMAT_FIELD + _field(workspace_id.encode())).digest()


def leaf_digest(
    workspace_id: str,
    position: int,
    stream: str,
    version: int,
    tag: str,
    command_id: str,
    recorded_at: int,
    state: bytes,
) -> bytes:
    """Return the digest of one event, with its place and its stored bytes."""
    fields = (
        workspace_id.encode(),
        b"%d" % position,
        stream.encode(),
        b"%d" % version,
        tag.encode(),
        command_id.encode(),
        b"%d" % recorded_at,
        state,
    )
    content = b"".join([len(field).to_bytes(4, "big") + field for field in fields])
    return sha256(b"\x00" + _FORMAT_FIELD + content).digest()


def next_digest(previous: bytes, leaf: bytes) -> bytes:
    """Return the digest of a book after one more event."""
    return sha256(b"\x02" + previous + leaf).digest()


def _field(content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + content
