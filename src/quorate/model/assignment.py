"""Assignment: one member, one round, one input key wrapped for that member alone; and the small messages around it
(protocol message 5)."""

from __future__ import annotations

from quorate.model.agreement import Roster
from quorate.model.codec import Value
from quorate.model.evidence import Proven, Signed
from quorate.model.units import Count, Hash, KeyBytes, Node, Word


class Assignment(Value, frozen=True, tag="assignment"):
    """Signed by the requester's node. `cohort` is the salted root of the round's first members; `wrap` is empty for a
    public job."""

    network: Hash
    agreement: Hash
    round: Count
    member: Node
    cohort: Hash
    wrap: KeyBytes


class Brief(Value, frozen=True, tag="brief"):
    """What a member needs to check its assignment: the job and agreement as signed, the proof of escrow, the roster,
    who holds the blobs."""

    job: Signed
    agreement: Signed
    escrow: Proven
    roster: Roster


class Ack(Value, frozen=True, tag="ack"):
    """The member has the assignment. Its run time counts on its own monotonic clock. `refusal` is empty, or why it will
    not run."""

    network: Hash
    agreement: Hash
    round: Count
    member: Node
    assignment: Hash
    refusal: Word


class Started(Value, frozen=True, tag="started"):
    """The member has fetched, opened and checked everything: the guest runs. Ends the transfer clock, starts the run
    clock."""

    network: Hash
    agreement: Hash
    round: Count
    member: Node


class CancelOrder(Value, frozen=True, tag="cancel_order"):
    """The requester's node wants the guest gone."""

    network: Hash
    agreement: Hash


class CancelAck(Value, frozen=True, tag="cancel_ack"):
    """No process of this agreement runs on the member any more. `committed` says whether a commitment had been sent
    before."""

    network: Hash
    agreement: Hash
    member: Node
    committed: bool
