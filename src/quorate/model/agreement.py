"""Agreement: a job, a roster of standing offers, the terms; and the ledger's answer that the escrow is open (protocol
messages 3 and 4)."""

from __future__ import annotations

from typing import Annotated

import msgspec

from quorate.model.codec import Part, Value
from quorate.model.policy import Proof, Timeouts
from quorate.model.units import ROSTER_MAX, ROUNDS_MAX, Bytes32, Count, Hash, Job32, Micro, Ms, Node, Word


class RosterEntry(Part, frozen=True):
    """One standing offer and its integer weight in the draw (load and reputation, `market.matching.weight`)."""

    offer: Hash
    provider: Node
    operator: Word
    weight: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class Roster(Value, frozen=True, tag="roster"):
    """Who may be drawn, sorted by provider. Its digest is the roster root of agreements; one roster serves many
    jobs."""

    network: Hash
    entries: Annotated[tuple[RosterEntry, ...], msgspec.Meta(max_length=ROSTER_MAX)]


class LedgerTrust(Part, frozen=True):
    """Who orders the ledger: `kind` is `sequencer` (one node, named) or `validators`."""

    kind: Word
    sequencer: Node


class Agreement(Value, frozen=True, tag="agreement"):
    """Terms of one job. `price_max_micro` bounds what one agreeing member is paid; the escrow covers K x price and the
    attempt fees of all rounds; `bond_micro` is what a member or the requester's side loses by proven misbehaviour.
    `audit_commitment` binds the requester's node to the re-run choice before any claim is made (R13)."""

    network: Hash
    job: Job32
    requester: Node
    node: Node
    roster: Hash
    proof: Proof
    rounds: Annotated[int, msgspec.Meta(ge=1, le=ROUNDS_MAX)]
    reserves: Annotated[int, msgspec.Meta(ge=0, le=ROSTER_MAX)]
    timeouts: Timeouts
    price_max_micro: Micro
    attempt_max_micro: Micro
    bond_micro: Micro
    engine: Word
    ledger_trust: LedgerTrust
    audit_commitment: Hash
    settle_by_ms: Ms


class EscrowOpened(Value, frozen=True, tag="escrow_opened"):
    """Ledger event: the escrow of `agreement` holds `escrow_micro`; `beacon` seeds the draw and was unknown when the
    agreement was signed."""

    network: Hash
    agreement: Hash
    job: Job32
    beacon: Bytes32
    escrow_micro: Micro
    height: Count
    time_ms: Ms
