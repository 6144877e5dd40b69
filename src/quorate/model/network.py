"""The network's own values: the genesis, whose digest is the network id, and the checkpoints of its ledger."""

from __future__ import annotations

from typing import Annotated

import msgspec

from quorate.model.codec import Part, Value
from quorate.model.identity import KeyBundle
from quorate.model.job import ResourceLimits
from quorate.model.units import Bytes32, Count, Hash, Micro, Ms, Node, Word


class Account(Part, frozen=True):
    """An account of the genesis: registered keys, free balance, and the stake that backs bonds."""

    bundle: KeyBundle
    role: Word
    balance_micro: Micro
    stake_micro: Micro


class Caps(Part, frozen=True):
    """Network-wide caps, signed by being part of the network id. A job above one of them is refused before anyone hears
    of it."""

    limits: ResourceLimits
    input_bytes: Count
    program_bytes: Count
    replicas: Count


class Windows(Part, frozen=True):
    """Ledger time for a forced round: members commit, then open (milliseconds of block time)."""

    commit_ms: Ms
    reveal_ms: Ms
    cancel_ms: Ms


class Genesis(Value, frozen=True, tag="genesis"):
    """`ledger` are the keys whose checkpoints count; `suites` the signature suites the network accepts; `threshold` the
    default fraction of a cohort that must agree, (7, 10), rounded up; `reputation_gate` the least score (of 10,000)
    that may be drawn; `epoch_ms` how long an epoch of contracts is; `seed` makes it unique."""

    name: Word
    ledger: Annotated[tuple[KeyBundle, ...], msgspec.Meta(min_length=1, max_length=64)]
    suites: Annotated[tuple[Word, ...], msgspec.Meta(min_length=1, max_length=8)]
    caps: Caps
    windows: Windows
    bond_micro: Micro
    threshold: tuple[Count, Count]
    reputation_gate: Annotated[int, msgspec.Meta(ge=0, le=10_000)]
    accounts: Annotated[tuple[Account, ...], msgspec.Meta(max_length=4096)]
    epoch_ms: Annotated[int, msgspec.Meta(ge=1, le=31_536_000_000)]
    created_ms: Ms
    seed: Bytes32


class Checkpoint(Value, frozen=True, tag="checkpoint"):
    """Signed by the ledger: after `height` blocks the event log has `size` events under `root`, and the state has
    digest `state`."""

    network: Hash
    height: Count
    size: Count
    root: Hash
    state: Hash
    time_ms: Ms
    sequencer: Node
