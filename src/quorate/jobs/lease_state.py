"""What a member keeps of one assignment, and the events that move it. Frozen values; `lease.step` is the only
writer."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

from quorate.crypto.digests import body_digest
from quorate.model.agreement import Agreement
from quorate.model.assignment import Assignment, Brief
from quorate.model.claim import ClaimBody, Opening, RoundClose
from quorate.model.codec import Value, decode
from quorate.model.effects import Effect
from quorate.model.evidence import Proven, Signed
from quorate.model.job import Job
from quorate.model.ledger_events import WindowsOpened
from quorate.model.settlement import Settlement
from quorate.model.units import Digest, Millis, NodeId

Stage = Literal["new", "fetching", "running", "stopping", "committed", "opened", "delivered", "done"]
Step: TypeAlias = "tuple[LeaseState, tuple[Effect, ...]]"


class LeaseState(msgspec.Struct, frozen=True, kw_only=True):
    """`assignment` and `brief` are as received; `body` and `nonce` are the claim, durable before its commitment is
    sent."""

    agreement_id: Digest
    assignment: Signed
    brief: bytes
    stage: Stage
    since_ms: Millis
    said_ms: Millis
    refusal: str = ""
    acked: bool = False
    started: bool = False
    body: ClaimBody | None = None
    nonce: bytes = b""
    commit: Signed | None = None
    close: Signed | None = None
    openings: tuple[Opening, ...] = ()
    delivery_ack: Signed | None = None
    forced: str = ""
    force_due_ms: Millis = Millis(0)
    reveal_due_ms: Millis = Millis(0)
    close_due_ms: Millis = Millis(0)
    settlement: Proven | None = None

    @property
    def order(self) -> Assignment:
        return assignment_of(self.assignment.body)

    @property
    def context(self) -> Brief:
        return brief_of(self.brief)

    @property
    def terms(self) -> Agreement:
        return agreement_of(self.context.agreement.body)

    @property
    def job(self) -> Job:
        return job_of(self.context.job.body)

    @property
    def node(self) -> NodeId:
        """The requester's node, which signed the assignment."""
        return self.assignment.signer

    @property
    def assignment_id(self) -> Digest:
        return assignment_id_of(self.assignment.body)


@lru_cache(maxsize=1024)
def assignment_of(body: bytes) -> Assignment:
    return decode(body, Assignment)


@lru_cache(maxsize=1024)
def assignment_id_of(body: bytes) -> Digest:
    return body_digest("assignment", body)


@lru_cache(maxsize=512)
def brief_of(body: bytes) -> Brief:
    return decode(body, Brief)


@lru_cache(maxsize=512)
def agreement_of(body: bytes) -> Agreement:
    return decode(body, Agreement)


@lru_cache(maxsize=512)
def job_of(body: bytes) -> Job:
    return decode(body, Job)


@lru_cache(maxsize=512)
def close_of(body: bytes) -> RoundClose:
    return decode(body, RoundClose)


class Checked(msgspec.Struct, frozen=True):
    """The assignment stood its checks, or `refusal` says which one it failed."""

    refusal: str


class Fetched(msgspec.Struct, frozen=True):
    """The blobs are in the local store; `missing` names those that no source had."""

    missing: tuple[Digest, ...]


class Lingering(msgspec.Struct, frozen=True):
    """It takes a while: something has to be fetched, or the run waits for a slot."""


class Running(msgspec.Struct, frozen=True):
    """Keys and commitments were checked; the guest runs."""


class Ran(msgspec.Struct, frozen=True):
    """The claim: sealed result and log are durable. `nonce` is 32 fresh random bytes."""

    body: ClaimBody
    nonce: bytes


class Unopenable(msgspec.Struct, frozen=True):
    """The input does not open as committed (R3): nobody is to blame that can be named."""

    reason: str


class Stopped(msgspec.Struct, frozen=True):
    """No process of this lease is left."""


class Received(msgspec.Struct, frozen=True):
    """A message of `sender`. `signed` is the evidence of it, where it is one that others have to believe too."""

    sender: NodeId
    value: Value
    signed: Signed | None = None

    @property
    def evidence(self) -> Signed:
        assert self.signed is not None
        return self.signed


class OwnCommit(msgspec.Struct, frozen=True):
    """This member's commitment as it was signed, for the ledger."""

    signed: Signed


class Settled(msgspec.Struct, frozen=True):
    event: Settlement
    proof: Proven


class Windows(msgspec.Struct, frozen=True):
    """The ledger opened windows for this agreement."""

    event: WindowsOpened


class Refused(msgspec.Struct, frozen=True):
    noun: str
    status: str


class Tick(msgspec.Struct, frozen=True):
    pass


class Restarted(msgspec.Struct, frozen=True):
    pass


Event: TypeAlias = (
    Checked
    | Fetched
    | Lingering
    | Running
    | Ran
    | Unopenable
    | Stopped
    | Received
    | OwnCommit
    | Settled
    | Windows
    | Refused
    | Tick
    | Restarted
)
