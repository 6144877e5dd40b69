"""What a machine may ask of the world. Wishes are values; the nodes (`node/requester.py`, `node/provider.py`) carry
them out after the state is saved, but for what a crash may undo: a guest is begun, and what may be said again is sent,
while the state is being saved."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from quorate.model.codec import Value
from quorate.model.units import Digest, NodeId


class Send(msgspec.Struct, frozen=True):
    """Sign `value` as a leaf of the next envelope to `to`. When `after_save` the new state is durable before it
    leaves."""

    to: NodeId
    value: Value
    after_save: bool = True


class Post(msgspec.Struct, frozen=True):
    """Send `transaction` to the ledger until it answers. `own` are statements of this node to be signed and added to
    its evidence."""

    transaction: Value
    own: tuple[Value, ...] = ()


class Match(msgspec.Struct, frozen=True):
    """Look for standing offers that fit the job; the answer comes as an event."""


class Fetch(msgspec.Struct, frozen=True):
    """Bring these blobs from `sources`, in that order, into the local store."""

    digests: tuple[Digest, ...]
    sources: tuple[NodeId, ...]


class Check(msgspec.Struct, frozen=True):
    """Check an assignment: signatures, escrow proof, ownership proof, capability (protocol message 6)."""


class Run(msgspec.Struct, frozen=True):
    """Unwrap, check the commitments, run in the jail, seal, make durable."""


class Stop(msgspec.Struct, frozen=True):
    """End the guest's process."""


class Keep(msgspec.Struct, frozen=True):
    """Put these bytes into the blob store before anything that follows is sent."""

    data: bytes


Effect: TypeAlias = Send | Post | Match | Fetch | Check | Run | Stop | Keep
