"""Merkle trees: the shape of RFC 6962, every path of every tree, and paths that are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorate.crypto import merkle
from quorate.crypto.digests import digest
from quorate.errors import BadSignature
from quorate.model.units import Digest


def leaves_of(size: int) -> list[Digest]:
    return [digest("test leaf", at.to_bytes(4, "big")) for at in range(size)]


def recursive_root(leaves: list[Digest]) -> Digest:
    """The definition of RFC 6962, section 2.1: split at the largest power of two below the size."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return digest(merkle.NODE_DOMAIN, recursive_root(leaves[:split]), recursive_root(leaves[split:]))


def recursive_path(index: int, leaves: list[Digest]) -> list[Digest]:
    """PATH(m, D[n]) of RFC 6962, section 2.1.1."""
    if len(leaves) == 1:
        return []
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < split:
        return [*recursive_path(index, leaves[:split]), recursive_root(leaves[split:])]
    return [*recursive_path(index - split, leaves[split:]), recursive_root(leaves[:split])]


@pytest.mark.parametrize("size", [*range(1, 34), 100])
def test_roots_and_paths_are_those_of_the_rfc(size):
    leaves = leaves_of(size)
    tree = merkle.levels(leaves)
    assert merkle.root(leaves) == tree[-1][0] == recursive_root(leaves)
    for index in range(size):
        path = merkle.path(tree, index)
        assert list(path) == recursive_path(index, leaves)
        merkle.verify(tree[-1][0], leaves[index], index, size, path)


@given(st.integers(1, 70), st.data())
def test_no_other_place_leaf_or_path_verifies(size: int, data: st.DataObject):
    leaves = leaves_of(size)
    tree = merkle.levels(leaves)
    root, index = tree[-1][0], data.draw(st.integers(0, size - 1))
    path = merkle.path(tree, index)
    other = data.draw(st.integers(0, size - 1).filter(lambda at: at != index or size == 1))
    wrong = [
        (digest("test leaf", b"foreign"), index, size, path),
        (leaves[index], index, size, (*path, leaves[0])),
        (leaves[index], size, size, path),
        (leaves[index], -1, size, path),
    ]
    if size > 1:
        wrong += [(leaves[index], other, size, path), (leaves[index], index, size, path[:-1])]
        altered = list(path)
        at = data.draw(st.integers(0, len(path) - 1))
        altered[at] = digest("test leaf", b"altered")
        wrong.append((leaves[index], index, size, tuple(altered)))
    for leaf, place, count, siblings in wrong:
        with pytest.raises(BadSignature):
            merkle.verify(root, leaf, place, count, siblings)


def test_an_inner_node_is_not_a_leaf_of_a_smaller_tree():
    """Paths are as long as their place demands; the leaf domain of `batch` keeps nodes and leaves apart as digests."""
    leaves = leaves_of(4)
    tree = merkle.levels(leaves)
    with pytest.raises(BadSignature):
        merkle.verify(tree[-1][0], tree[1][0], 0, 4, (tree[1][1],))


def test_a_tree_without_leaves_is_refused():
    with pytest.raises(ValueError):
        merkle.levels([])


@given(st.integers(1, 40), st.data())
def test_known_nodes_refuse_what_a_fresh_verifier_refuses(size: int, data: st.DataObject):
    """Leaves in any order, one sibling of one path altered at some time."""
    leaves = leaves_of(size)
    tree = merkle.levels(leaves)
    known: merkle.Known = {merkle.top(size): tree[-1][0]}
    for index in data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=12)):
        path = list(merkle.path(tree, index))
        if path and data.draw(st.booleans()):
            path[data.draw(st.integers(0, len(path) - 1))] = digest("test leaf", b"altered")
            before = dict(known)
            with pytest.raises(BadSignature):
                merkle.verify_known(known, leaves[index], index, size, path)
            assert known == before
        else:
            merkle.verify_known(known, leaves[index], index, size, path)
    assert all(tree[level][index] == node for (level, index), node in known.items())
