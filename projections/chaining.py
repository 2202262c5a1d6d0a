"""The hash chain of a book recomputed from what is stored, event after event: the hot loop of every verification.

The bytes that are hashed are those that `ledger.store.chain.leaf_digest` hashes (a test holds the two together), put
together from parts that repeat.
"""

from collections.abc import Iterable
from hashlib import sha256

from ledger.store.chain import FORMAT

__all__ = ["ChainedEvent", "Link", "find_broken_links"]

ChainedEvent = tuple[str, int, str, int, str, str, int, bytes, bytes]
"""Workspace, position, stream, version, tag, command id, recorded at, state, digest."""

Link = tuple[int, bytes, bytes]
"""A position, the digest that its event must have, and the one that is stored."""

LENGTHS = [length.to_bytes(4, "big") for length in range(4096)]
NUMBERS = [LENGTHS[len(b"%d" % number)] + b"%d" % number for number in range(1024)]


def field(content: bytes) -> bytes:
    """Return a field of a leaf: its length and its bytes."""
    return len(content).to_bytes(4, "big") + content


def find_broken_links(workspace_id: str, previous: bytes | None, events: Iterable[ChainedEvent]) -> list[Link]:
    """Return the events of one book whose digest is not that of the one before (`previous`) and of their own content.

    The chain goes on from what is stored: one changed event is one broken link. Without `previous` nothing can be said
    of the first event.
    """
    broken: list[Link] = []
    tags: dict[str, bytes] = {}
    leaf_start = b"\x00" + field(FORMAT) + field(workspace_id.encode())
    for _, position, stream, version, tag, command_id, recorded_at, content, digest in events:
        place, name, command, instant = b"%d" % position, stream.encode(), command_id.encode(), b"%d" % recorded_at
        leaf = sha256(
            b"".join(
                (
                    leaf_start,
                    LENGTHS[len(place)], place,
                    LENGTHS[len(name)], name,
                    NUMBERS[version] if 0 <= version < 1024 else field(b"%d" % version),
                    tags[tag] if tag in tags else tags.setdefault(tag, field(tag.encode())),
                    LENGTHS[len(command)], command,
                    LENGTHS[len(instant)], instant,
                    LENGTHS[len(content)] if len(content) < 4096 else len(content).to_bytes(4, "big"), content,
                )
            )
        ).digest()  # fmt: skip
        if previous is not None:
            computed = sha256(b"\x02" + previous + leaf).digest()
            if computed != digest:
                broken.append((position, computed, digest))
        previous = digest
    return broken
