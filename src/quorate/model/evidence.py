"""Signed bytes as they are kept and forwarded: the body a signer committed to, and its place in one signed batch
(protocol R8).

Bodies stay the bytes that were received; nothing is encoded again before it is verified. One stamp (a signed Merkle
root) serves many bodies, so a `Signed` names its stamp by digest and whatever carries it carries the stamps beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Annotated, get_args, get_type_hints

import msgspec

from quorate.model.codec import Part, Value
from quorate.model.identity import KeyBundle
from quorate.model.signature import Stamp
from quorate.model.units import MIB, Bytes32, Count, Hash, Node, Word

Path = Annotated[tuple[Bytes32, ...], msgspec.Meta(max_length=40)]
Body = Annotated[bytes, msgspec.Meta(max_length=4 * MIB)]


class Signed(Value, frozen=True, tag="signed"):
    """A body, its noun and signer, and the leaf that binds it to the stamp with digest `stamp`."""

    noun: Word
    body: Body
    signer: Node
    stamp: Hash
    index: Count
    salt: bytes
    path: Path


PARCEL_BYTES_MAX = 32 << 10
"""A blob up to this size is sent along instead of being fetched."""
Parcel = Annotated[bytes, msgspec.Meta(max_length=PARCEL_BYTES_MAX)]


class Leaf(Part, frozen=True):
    """One body of an envelope: the envelope's own stamp signs it."""

    noun: Word
    body: Body
    index: Count
    salt: bytes
    path: Path


class Plain(Part, frozen=True):
    """One body of an envelope that only its receiver has to believe: the channel vouches for who said it."""

    noun: Word
    body: Body


class Envelope(Value, frozen=True, tag="envelope"):
    """What one node sends to another in one go: plain statements, leaves under one stamp (none without leaves), and the
    stamps of the evidence quoted inside them. Plain statements come first: they bring what the others speak of."""

    size_max = 16 * MIB
    stamp: Stamp | None
    plain: Annotated[tuple[Plain, ...], msgspec.Meta(max_length=4096)]
    leaves: Annotated[tuple[Leaf, ...], msgspec.Meta(max_length=4096)]
    stamps: Annotated[tuple[Stamp, ...], msgspec.Meta(max_length=4096)]
    parcels: Annotated[tuple[Parcel, ...], msgspec.Meta(max_length=4096)]


class Hello(Value, frozen=True, tag="hello"):
    """Introduces a signer: its key bundle (its NodeId is the digest of it) and the wall clock it reads, for the skew
    check."""

    bundle: KeyBundle
    role: Word
    now_ms: Count


class Proven(Value, frozen=True, tag="proven"):
    """A ledger event with its inclusion proof under a signed checkpoint."""

    event: Body
    index: Count
    path: Path
    checkpoint: Signed


def quoted(value: Value | Part) -> Iterator[Signed]:
    """Every `Signed` inside `value`, however deep, so that its stamps can travel beside it."""
    for name in _quoting(type(value)):
        yield from _quoted_in(getattr(value, name))


def _quoted_in(item: object) -> Iterator[Signed]:
    if isinstance(item, Signed):
        yield item
    elif isinstance(item, (Value, Part)):
        yield from quoted(item)
    elif isinstance(item, tuple):
        for entry in item:
            yield from _quoted_in(entry)


@cache
def _quoting(kind: type[Value | Part]) -> tuple[str, ...]:
    """The fields of a type that can hold evidence: most types have none, and are not searched."""
    return tuple(name for name, hint in get_type_hints(kind).items() if _can_hold(hint))


def _can_hold(hint: object) -> bool:
    if isinstance(hint, type) and issubclass(hint, (Value, Part)):
        return hint is Signed or bool(_quoting(hint))
    return any(_can_hold(part) for part in get_args(hint))
