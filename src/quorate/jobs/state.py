"""The state of one job on the requester's node, and the events that move it. Frozen values; `lifecycle.step` is the
only writer."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

from quorate.cohort.selection import draw_order, draw_seed
from quorate.crypto.digests import body_digest, digest
from quorate.model.agreement import Agreement, EscrowOpened, Roster, RosterEntry
from quorate.model.claim import Opening, RoundAbort, RoundClose
from quorate.model.codec import Value, decode
from quorate.model.evidence import Proven, Signed
from quorate.model.job import Job
from quorate.model.settlement import Settlement
from quorate.model.units import Digest, JobId, Millis, NodeId
from quorate.model.verdict import Tally, Verdict

Stage = Literal["matching", "escrow", "wraps", "round", "opening", "delivering", "stopping", "settling", "done"]
Condition = Literal["pending", "assigned", "running", "completed", "failed", "timed_out", "cancelled", "rejected"]
TERMINAL: frozenset[Condition] = frozenset({"completed", "failed", "timed_out", "cancelled", "rejected"})
NOTES_MAX = 64


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One place of a round and the member in it. `gone` says why the member lost it (unreached, silent, refused ...),
    empty while it holds."""

    member: NodeId
    assigned_ms: Millis
    probed_ms: Millis
    heard_ms: Millis
    ack: Signed | None = None
    started_ms: Millis = Millis(0)
    commit: Signed | None = None
    commitment: bytes = b""
    opening: Opening | None = None
    gone: str = ""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One round. `width` is how many places it has now: K, or for a re-run one until the choice is made, then two when
    audited. `drawn` is how many the draw gave it at first: replacements come behind them."""

    number: int
    width: int
    drawn: int
    slots: tuple[Slot, ...]
    close: RoundClose | None = None
    closed_ms: Millis = Millis(0)
    abort: RoundAbort | None = None
    tally: Tally | None = None

    @property
    def live(self) -> tuple[Slot, ...]:
        return tuple(slot for slot in self.slots if not slot.gone)


class Wrap(msgspec.Struct, frozen=True):
    """The input key, wrapped for one member by the client."""

    member: NodeId
    sealed: bytes


class Arrival(msgspec.Struct, frozen=True):
    """A delivery of a member that is being stored or is stored."""

    member: NodeId
    result_digest: Digest
    log_digest: Digest
    stored: bool


class Note(msgspec.Struct, frozen=True):
    """One line of `explain`: when, and what was decided by which rule."""

    time_ms: Millis
    text: str


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a restarted node needs to go on with a job. `secret` (32 bytes) is the node's own: salts and the
    re-run choice come from it."""

    job: Signed
    job_id: JobId
    secret: bytes
    stage: Stage
    condition: Condition
    submitted_ms: Millis
    stage_ms: Millis
    agreement: bytes = b""
    agreement_signed: Signed | None = None
    roster: Roster | None = None
    escrow: Proven | None = None
    beacon: bytes = b""
    escrow_ms: Millis = Millis(0)
    wraps: tuple[Wrap, ...] = ()
    rounds: tuple[Round, ...] = ()
    decided_ms: Millis = Millis(0)
    arrivals: tuple[Arrival, ...] = ()
    verdict: Verdict | None = None
    result_digest: bytes = b""
    log_digest: bytes = b""
    delivered_by: bytes = b""
    error: str = ""
    detail: str = ""
    cancel_acks: tuple[Signed, ...] = ()
    stopped: tuple[NodeId, ...] = ()
    goal: Condition = "completed"
    settlement: Proven | None = None
    ended_ms: Millis = Millis(0)
    settled_ms: Millis = Millis(0)
    notes: tuple[Note, ...] = ()

    @property
    def value(self) -> Job:
        return job_of(self.job.body)

    @property
    def terms(self) -> Agreement:
        return agreement_of(self.agreement)

    @property
    def agreement_id(self) -> Digest:
        return agreement_id_of(self.agreement)

    @property
    def order(self) -> tuple[RosterEntry, ...]:
        assert self.roster is not None
        return order_of(self.roster, draw_seed(self.agreement_id, self.beacon))

    @property
    def current(self) -> Round:
        return self.rounds[-1]

    @property
    def former(self) -> frozenset[NodeId]:
        """Members of earlier rounds (R7)."""
        return frozenset(slot.member for past in self.rounds[:-1] for slot in past.slots)

    @property
    def settled(self) -> Settlement | None:
        return decode(self.settlement.event, Settlement) if self.settlement else None

    def cohort_salt(self, number: int) -> Digest:
        return cohort_salt(self.secret, number)

    @property
    def audit_seed(self) -> Digest:
        return digest("audit-secret", self.secret, self.job_id)


def cohort_salt(secret: bytes, number: int) -> Digest:
    return digest("cohort-salt", secret, number.to_bytes(4, "big"))


@lru_cache(maxsize=1024)
def job_of(body: bytes) -> Job:
    return decode(body, Job)


@lru_cache(maxsize=1024)
def agreement_id_of(body: bytes) -> Digest:
    return body_digest("agreement", body)


@lru_cache(maxsize=1024)
def agreement_of(body: bytes) -> Agreement:
    return decode(body, Agreement)


@lru_cache(maxsize=256)
def order_of(roster: Roster, seed: Digest) -> tuple[RosterEntry, ...]:
    return draw_order(roster, seed)


class Matched(msgspec.Struct, frozen=True):
    """Offers fit: the terms, the roster they come from, and who was left out by which rule."""

    agreement: Agreement
    roster: Roster
    removed: tuple[Note, ...] = ()


class Unmatched(msgspec.Struct, frozen=True):
    """No agreement is possible now: the error's name, and which rule removed which node."""

    error: str
    detail: str
    removed: tuple[Note, ...] = ()


class Opened(msgspec.Struct, frozen=True):
    """The ledger opened the escrow. `agreement` is the node's own agreement as it signed it."""

    event: EscrowOpened
    proof: Proven
    agreement: Signed


class Refused(msgspec.Struct, frozen=True):
    """The ledger answered a transaction of this agreement with a refusal."""

    noun: str
    status: str
    detail: str


class Settled(msgspec.Struct, frozen=True):
    event: Settlement
    proof: Proven


class Wrapped(msgspec.Struct, frozen=True):
    """The client wrapped the input key for every member that may be asked."""

    wraps: tuple[Wrap, ...]


class Received(msgspec.Struct, frozen=True):
    """A message of `sender`. `signed` is the evidence of it, where it is one that others have to believe too."""

    sender: NodeId
    value: Value
    signed: Signed | None = None

    @property
    def evidence(self) -> Signed:
        assert self.signed is not None
        return self.signed


class Stored(msgspec.Struct, frozen=True):
    """These blobs are in the local store, durable."""

    digests: tuple[Digest, ...]


class CancelAsked(msgspec.Struct, frozen=True):
    pass


class Tick(msgspec.Struct, frozen=True):
    """Time passed. `heard` says when each peer was last heard of, by anything it sent."""

    heard: dict[NodeId, Millis]


class Returned(msgspec.Struct, frozen=True):
    """A peer is there again: it may have died and forgotten what it had not committed to."""

    peer: NodeId


class Restarted(msgspec.Struct, frozen=True):
    """The node came back: everything that waits for an answer is said again."""


Event: TypeAlias = (
    Matched
    | Unmatched
    | Opened
    | Refused
    | Settled
    | Wrapped
    | Received
    | Stored
    | CancelAsked
    | Tick
    | Returned
    | Restarted
)
