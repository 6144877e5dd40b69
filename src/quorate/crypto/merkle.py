"""Merkle trees over leaf digests, in the shape of RFC 6962 (section 2.1) with nodes under a domain of their own.

A tree of n leaves splits at the largest power of two below n. Leaves come in as digests made under another domain, so
that a node can never be passed off as a leaf. A path lists the siblings from the leaf up (RFC 9162, section 2.1.3.2).
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.crypto.digests import digest_of_pairs
from quorate.errors import BadSignature
from quorate.model.units import Digest

NODE_DOMAIN = "merkle node"
node_digest = digest_of_pairs(NODE_DOMAIN)
"""The node above a left and a right one."""
_OTHER_ROOT = "the path leads to another root"


def levels(leaves: Sequence[Digest]) -> list[list[Digest]]:
    """All levels, leaves first, root last. Pairing neighbours and lifting an odd last one unchanged gives the RFC's
    shape."""
    if not leaves:
        raise ValueError("a tree has at least one leaf")
    tree = [list(leaves)]
    while len(tree[-1]) > 1:
        below = tree[-1]
        above = [*map(node_digest, below[::2], below[1::2])]  # an odd last one has no partner
        if len(below) % 2:
            above.append(below[-1])
        tree.append(above)
    return tree


def root(leaves: Sequence[Digest]) -> Digest:
    return levels(leaves)[-1][0]


def path(tree: Sequence[Sequence[Digest]], index: int) -> tuple[Digest, ...]:
    """The siblings of leaf `index` in a tree made by `levels`. A lifted node has no sibling and adds nothing."""
    siblings = []
    for level in tree[:-1]:
        beside = index ^ 1
        if beside < len(level):
            siblings.append(level[beside])
        index >>= 1
    return tuple(siblings)


def folded(leaf: Digest, index: int, size: int, siblings: Sequence[bytes]) -> Digest:
    """The root that `leaf` at `index` of `size` leads to. Raises BadSignature unless the path has exactly the length
    this place has."""
    if not 0 <= index < size:
        raise BadSignature(f"leaf {index} of {size}", field="index", limit=f"0 to {size - 1}")
    node, last, used = leaf, size - 1, 0
    while last:
        if index ^ 1 <= last:
            if used == len(siblings):
                raise BadSignature("too short", field="path")
            sibling = siblings[used]
            node = node_digest(sibling, node) if index & 1 else node_digest(node, sibling)
            used += 1
        index, last = index >> 1, last >> 1
    if used != len(siblings):
        raise BadSignature("too long", field="path")
    return node


def verify(expected_root: bytes, leaf: Digest, index: int, size: int, siblings: Sequence[bytes]) -> None:
    """Raises BadSignature unless `leaf` stands at `index` of the `size` leaves under `expected_root`."""
    if folded(leaf, index, size, siblings) != expected_root:
        raise BadSignature(_OTHER_ROOT, field="path")


Known = dict[tuple[int, int], bytes]
"""Nodes of one tree that are authenticated, by level and index. Whenever one is here, so are its sibling and its
parent."""


def verify_known(known: Known, leaf: Digest, index: int, size: int, siblings: Sequence[bytes]) -> None:
    """The same as `verify` for many leaves of one tree: `known` holds at least the root, and grows by what each path
    shows. A node that is known is compared instead of hashed; every sibling is still checked, so that no path is
    accepted that another verifier would refuse."""
    if not 0 <= index < size:
        raise BadSignature(f"leaf {index} of {size}", field="index", limit=f"0 to {size - 1}")
    learned: Known = {}
    node: bytes = leaf
    trusted, last, level, used = False, size - 1, 0, 0
    while last:
        beside = index ^ 1
        if not trusted:
            trusted = _is_known(known, (level, index), node)
        if beside <= last:
            if used == len(siblings):
                raise BadSignature("too short", field="path")
            sibling, used = siblings[used], used + 1
            if not trusted:
                learned[level, index], learned[level, beside] = node, sibling
                node = node_digest(sibling, node) if index & 1 else node_digest(node, sibling)
            elif known.get((level, beside), sibling) != sibling:
                raise BadSignature(_OTHER_ROOT, field="path")
        elif not trusted:
            learned[level, index] = node
        index, last, level = index >> 1, last >> 1, level + 1
    if used != len(siblings):
        raise BadSignature("too long", field="path")
    if not trusted:
        _is_known(known, (level, 0), node)
    known.update(learned)


def _is_known(known: Known, place: tuple[int, int], node: bytes) -> bool:
    seen = known.get(place)
    if seen is not None and seen != node:
        raise BadSignature(_OTHER_ROOT, field="path")
    return seen is not None


def top(size: int) -> tuple[int, int]:
    """The place of the root of a tree of `size` leaves."""
    return (size - 1).bit_length(), 0
