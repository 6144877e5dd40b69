"""Ids and amounts as types, with the unit last in every name that uses them.

Shapes: a `Digest` is 32 bytes of BLAKE3-256; a `NodeId` is the digest of a public key bundle; amounts are unsigned
integers. The annotated forms are for fields of values: the decoder holds peers to them.
"""

from __future__ import annotations

from typing import Annotated, NewType, TypeAlias

import msgspec

Digest = NewType("Digest", bytes)
NodeId = NewType("NodeId", bytes)
JobId = NewType("JobId", bytes)
MicroCredits = NewType("MicroCredits", int)
Fuel = NewType("Fuel", int)
Millis = NewType("Millis", int)

AMOUNT_MAX = 2**63 - 1
"""The largest amount, so that SQLite and 64-bit peers hold every value exactly."""
DIGEST_BYTES = 32
KIB = 1 << 10
MIB = 1 << 20
LOG_BYTES_MAX = 65_536
"""What is kept of what one run writes to standard error."""
ROSTER_MAX = 4096
"""Most providers in one roster."""
COHORT_MAX = 64
"""Most members of one round."""
ROUNDS_MAX = 3
"""Most rounds of one job (protocol R7)."""

_32 = msgspec.Meta(min_length=32, max_length=32)
_UP = msgspec.Meta(ge=0, le=AMOUNT_MAX)
_SHORT = msgspec.Meta(max_length=128)

Hash: TypeAlias = Annotated[Digest, _32]
Node: TypeAlias = Annotated[NodeId, _32]
Job32: TypeAlias = Annotated[JobId, _32]
Bytes32: TypeAlias = Annotated[bytes, _32]
Micro: TypeAlias = Annotated[MicroCredits, _UP]
FuelAmount: TypeAlias = Annotated[Fuel, _UP]
Ms: TypeAlias = Annotated[Millis, _UP]
Count: TypeAlias = Annotated[int, _UP]
Word: TypeAlias = Annotated[str, _SHORT]
"""A short text: a name, a label, a version."""
KeyBytes: TypeAlias = Annotated[bytes, msgspec.Meta(max_length=4096)]
"""A public key, an encapsulation or a proof."""
Members: TypeAlias = Annotated[tuple[Node, ...], msgspec.Meta(max_length=COHORT_MAX)]
