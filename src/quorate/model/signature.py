"""One signature for many values: a stamp signs the root of a Merkle tree, a signature is a leaf's place under a stamp
(protocol R8).

Equivocation is told by leaves, never by signature bytes, because ML-DSA signatures differ each time.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from quorate.errors import InvalidField
from quorate.model.codec import Value
from quorate.model.identity import Suite
from quorate.model.units import Bytes32, Hash, Node

BATCH_MAX = 1 << 16
"""Most leaves under one stamp."""
PATH_MAX = 16
"""Longest path: the height of a tree of BATCH_MAX leaves."""
SALT_BYTES = 16

BatchSize = Annotated[int, msgspec.Meta(ge=1, le=BATCH_MAX)]
SignatureBytes = Annotated[bytes, msgspec.Meta(max_length=8192)]
Salt = Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
LeafIndex = Annotated[int, msgspec.Meta(ge=0, lt=BATCH_MAX)]
LeafPath = Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=PATH_MAX)]


class Stamp(Value, frozen=True, tag="stamp"):
    """`signature` is by `signer` over network, signer, suite, size and root. `suite` repeats what the signer's bundle
    says; another is refused."""

    size_max = 16384

    network: Hash
    signer: Node
    suite: Suite
    size: BatchSize
    root: Hash
    signature: SignatureBytes


class Signature(Value, frozen=True, tag="signature"):
    """Leaf `index` of the stamp. The salt keeps a neighbour's guess at another leaf from being confirmed by its digest
    in a path."""

    size_max = 24576

    stamp: Stamp
    index: LeafIndex
    salt: Salt
    path: LeafPath

    def __post_init__(self) -> None:
        if self.index >= self.stamp.size:
            raise InvalidField(str(self.index), field="index", limit=f"below the batch size {self.stamp.size}")
