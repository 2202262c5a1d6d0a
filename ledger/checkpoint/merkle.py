"""The Merkle tree over the heads of all books, with the hashing of RFC 6962.

leaf = SHA-256(0x00 ‖ data), node = SHA-256(0x01 ‖ left ‖ right). The leaves are the books in the order of their
workspaces' bytes; each leaf's data are length-prefixed fields as in the books' own chains: format, workspace,
position, digest.
"""

from collections.abc import Sequence
from hashlib import sha256

FORMAT = b"route-ledger.head.v1"


def head_data(workspace_id: str, position: int, digest: bytes) -> bytes:
    """Return what the leaf of one book is the hash of: which book, and where its chain ended."""
    fields = (FORMAT, workspace_id.encode(), b"%d" % position, digest)
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two neighbours."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree made once, of which any number of paths are asked. Every level is kept, the leaves first.

    A node without a right neighbour moves up as it is: level by level this is the tree of RFC 6962, which splits at
    the largest power of two.
    """

    def __init__(self, leaf_hashes: Sequence[bytes]) -> None:
        self.levels = [list(leaf_hashes)]
        while len(self.levels[-1]) > 1:
            level = self.levels[-1]
            pairs = [node_hash(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
            self.levels.append(pairs + level[len(pairs) * 2 :])

    @property
    def root(self) -> bytes:
        """The hash over everything; that of nothing where there is no leaf."""
        return self.levels[-1][0] if self.levels[0] else sha256(b"").digest()

    def path(self, index: int) -> list[bytes]:
        """Return the neighbours on the way from a leaf to the root. Raises IndexError where there is no such leaf."""
        if not 0 <= index < len(self.levels[0]):
            raise IndexError(f"there is no leaf {index} of {len(self.levels[0])}")
        neighbours = [(level, index >> height ^ 1) for height, level in enumerate(self.levels[:-1])]
        return [level[place] for level, place in neighbours if place < len(level)]


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Return whether a leaf stands at this index of a tree of this size with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for neighbour in path:
        if not last:
            return False
        if place & 1 or place == last:
            found = node_hash(neighbour, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, neighbour)
        place, last = place >> 1, last >> 1
    return not last and found == root
