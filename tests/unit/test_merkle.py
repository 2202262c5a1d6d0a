"""The tree over the heads of all books: RFC 6962's reference roots, and proofs that lead to them."""

import pytest

from ledger.checkpoint.merkle import Tree, head_data, leaf_hash, verify_inclusion
from projections.audit.verify_export import root_over

# The inputs and roots that the reference implementations of RFC 6962 are tested with.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(bytes.fromhex(text)) for text in INPUTS]


@pytest.mark.parametrize("size", range(1, 9))
def test_reference_roots(size: int) -> None:
    """The roots over the first leaves are those of the reference implementations."""
    assert Tree(LEAVES[:size]).root.hex() == ROOTS[size - 1]


def test_nothing_has_a_root() -> None:
    """The root over no leaf is the hash of nothing, as the RFC has it."""
    assert Tree([]).root.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_every_leaf_is_proven_at_its_own_place_only() -> None:
    """In trees of every size up to 40 a path proves its leaf at its index and nowhere else, twice implemented."""
    for size in range(1, 41):
        leaves = [leaf_hash(b"%d" % number) for number in range(size)]
        tree = Tree(leaves)
        for index, leaf in enumerate(leaves):
            path = tree.path(index)
            assert verify_inclusion(leaf, index, size, path, tree.root)
            assert root_over(leaf, index, size, path) == tree.root
            for other in {index - 1, index + 1, size, -1} - {index}:
                assert not verify_inclusion(leaf, other, size, path, tree.root)
                assert not proves(leaf, other, size, path, tree.root)


def proves(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """Return whether the auditor's implementation takes a path."""
    try:
        return root_over(leaf, index, size, path) == root
    except ValueError:
        return False


def test_a_path_is_taken_whole_or_not_at_all() -> None:
    """A path with a neighbour less, one more, another one or two exchanged proves nothing."""
    tree = Tree(LEAVES)
    path = tree.path(2)
    for wrong in (path[:-1], path[1:], [*path, path[0]], [*path[:-1], LEAVES[0]], path[::-1], []):
        assert not verify_inclusion(LEAVES[2], 2, 8, wrong, tree.root)
        assert not proves(LEAVES[2], 2, 8, wrong, tree.root)


def test_a_node_is_no_leaf() -> None:
    """The two children of a node, taken for a leaf's data, are not proven: leaves and nodes are hashed apart."""
    tree = Tree(LEAVES[:4])
    forged = leaf_hash(LEAVES[0] + LEAVES[1])
    assert not verify_inclusion(forged, 0, 2, [tree.levels[1][1]], tree.root)


def test_there_is_no_path_to_what_is_not_there() -> None:
    """An index outside the tree is an error, never another leaf's path."""
    for index in (-1, 8):
        with pytest.raises(IndexError):
            Tree(LEAVES).path(index)


def test_heads_are_told_apart() -> None:
    """Another workspace, position or digest is another leaf, and no two fields run into each other."""
    heads = {head_data("a", 1, bytes(32)), head_data("a", 11, bytes(32)), head_data("a1", 1, bytes(32))}
    assert len(heads | {head_data("a", 1, b"\1" * 32)}) == 4
    fields = (b"route-ledger.head.v1", b"acme", b"12", b"d")
    assert head_data("acme", 12, b"d") == b"".join(len(field).to_bytes(4, "big") + field for field in fields)
