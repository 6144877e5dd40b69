"""The member's side of one assignment: checked, fetched, run, committed, opened, delivered (protocol messages 5 to 10).

    new ──Checked──▶ fetching ──Fetched──▶ running ──Ran──▶ committed ──RoundClose──▶ opened
      └─ refused ──▶ done                     │                                         │ threshold seen
                                              └─ CancelOrder ─▶ stopping ─▶ done        ▼
    (cheated or stalled: ForceRound to the ledger)          done ◀──Settlement── delivered

One lease per agreement: a member is asked once, whatever the round. Every answer is a function of the state, so a
repeated message gets the same bytes again and a restarted member goes on where its last saved state stands (R4). The
commitment leaves only when body and nonce are saved.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import msgspec

from quorate.crypto.digests import body_digest
from quorate.model.agreement import Agreement
from quorate.model.assignment import Ack, Assignment, Brief, CancelAck, CancelOrder, Started
from quorate.model.claim import ClaimBody, Commit, Delivery, DeliveryAck, Opening, RoundAbort, RoundClose
from quorate.model.codec import Value, decode
from quorate.model.effects import Check, Effect, Fetch, Post, Run, Send, Stop
from quorate.model.evidence import Proven, Signed
from quorate.model.job import Job
from quorate.model.ledger_events import WindowsOpened
from quorate.model.settlement import Settlement
from quorate.model.transaction import CloseForced, ForceCommit, ForceReveal, ForceRound, Settle
from quorate.model.units import Digest, Millis, NodeId
from quorate.verify.claims import commit_digest
from quorate.verify.verdicts import count_openings, vote_of, width_of

Stage = Literal["new", "fetching", "running", "stopping", "committed", "opened", "delivered", "done"]
Step: TypeAlias = "tuple[LeaseState, tuple[Effect, ...]]"

RETRY_MS = 2_000
MARGIN_MS = 250
"""Beyond the end of a window of ledger time, so that the next transaction falls behind it."""
FORCE_AFTER_MS = 30_000
"""How long a committed member waits for the next word of the requester's side before it turns to the ledger."""


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
    started: bool = False
    body: ClaimBody | None = None
    nonce: bytes = b""
    commit: Signed | None = None
    close: Signed | None = None
    openings: tuple[Opening, ...] = ()
    delivery_ack: Signed | None = None
    forced: str = ""
    force_due_ms: Millis = Millis(0)
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
        return body_digest("assignment", self.assignment.body)


@lru_cache(maxsize=4096)
def assignment_of(body: bytes) -> Assignment:
    return decode(body, Assignment)


@lru_cache(maxsize=2048)
def brief_of(body: bytes) -> Brief:
    return decode(body, Brief)


@lru_cache(maxsize=2048)
def agreement_of(body: bytes) -> Agreement:
    return decode(body, Agreement)


@lru_cache(maxsize=2048)
def job_of(body: bytes) -> Job:
    return decode(body, Job)


class Checked(msgspec.Struct, frozen=True):
    """The assignment stood its checks, or `refusal` says which one it failed."""

    refusal: str


class Fetched(msgspec.Struct, frozen=True):
    """The blobs are in the local store; `missing` names those that no source had."""

    missing: tuple[Digest, ...]


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
    """A message whose signature was verified."""

    sender: NodeId
    value: Value
    signed: Signed


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
Handler: TypeAlias = Callable[[LeaseState, Any, Millis], Step]


def begin(assignment: Signed, brief: bytes, now: Millis) -> Step:
    """A new assignment with the brief that came for its agreement."""
    value = assignment_of(assignment.body)
    state = LeaseState(
        agreement_id=value.agreement, assignment=assignment, brief=brief, stage="new", since_ms=now, said_ms=now
    )
    return state, (Check(),)


def step(state: LeaseState, event: Event, now: Millis) -> Step:
    """The next state and the wishes that follow; an event without a row for the stage changes nothing."""
    handler = TABLE.get((state.stage, type(event))) or ANY.get(type(event))
    return handler(state, event, now) if handler else (state, ())


def deadline(state: LeaseState) -> Millis | None:
    if state.stage == "done":
        return None
    if state.force_due_ms:
        return state.force_due_ms
    if state.stage in ("committed", "opened", "delivered"):
        return Millis(state.since_ms + FORCE_AFTER_MS)
    return None


def _to(state: LeaseState, stage: Stage, now: Millis, **changes: Any) -> LeaseState:
    return msgspec.structs.replace(state, stage=stage, since_ms=now, **changes)


def _ack(state: LeaseState) -> Send:
    return Send(
        state.node,
        Ack(
            network=state.order.network,
            agreement=state.agreement_id,
            round=state.order.round,
            member=state.order.member,
            assignment=state.assignment_id,
            refusal=state.refusal,
        ),
    )


def _started(state: LeaseState) -> Send:
    order = state.order
    value = Started(network=order.network, agreement=order.agreement, round=order.round, member=order.member)
    return Send(state.node, value, after_save=False)


def _commitment(state: LeaseState) -> Commit:
    assert state.body is not None
    order = state.order
    return Commit(
        network=order.network,
        agreement=order.agreement,
        round=order.round,
        assignment=state.assignment_id,
        member=order.member,
        commit=commit_digest(order.network, state.assignment_id, order.member, state.body, state.nonce),
    )


def opening(state: LeaseState) -> Opening:
    """The member's own opening."""
    assert state.body is not None
    order = state.order
    return Opening(
        network=order.network,
        agreement=order.agreement,
        round=order.round,
        assignment=state.assignment_id,
        member=order.member,
        body=state.body,
        nonce=state.nonce,
    )


def _checked(state: LeaseState, event: Checked, now: Millis) -> Step:
    if event.refusal:
        state = _to(state, "done", now, refusal=event.refusal)
        return state, (_ack(state),)
    state = _to(state, "fetching", now)
    blobs = (state.job.core.program.digest, *state.job.core.program.dependencies, state.job.input_digest)
    return state, (_ack(state), Fetch(blobs, (state.node,)))


def _fetched(state: LeaseState, event: Fetched, now: Millis) -> Step:
    if event.missing:
        return _refuse(state, "blob_missing", now)
    return _to(state, "running", now), (Run(),)


def _running(state: LeaseState, event: Running, now: Millis) -> Step:
    state = msgspec.structs.replace(state, started=True)
    return state, (_started(state),)


def _refuse(state: LeaseState, reason: str, now: Millis) -> Step:
    state = _to(state, "done", now, refusal=reason)
    return state, (_ack(state),)


def _unopenable(state: LeaseState, event: Unopenable, now: Millis) -> Step:
    return _refuse(state, event.reason, now)


def _ran(state: LeaseState, event: Ran, now: Millis) -> Step:
    state = _to(state, "committed", now, body=event.body, nonce=event.nonce)
    return state, (Send(state.node, _commitment(state)),)


def _own_commit(state: LeaseState, event: OwnCommit, now: Millis) -> Step:
    return msgspec.structs.replace(state, commit=event.signed), ()


def _asked_again(state: LeaseState, event: Received, now: Millis) -> Step:
    """Whatever the sender says, a message of the requester's node that repeats the assignment gets the present answer
    once more."""
    value = event.value
    if event.sender != state.node:
        return state, ()
    if isinstance(value, CancelOrder):
        return _ordered_to_stop(state, now)
    if isinstance(value, Assignment) and body_digest("assignment", event.signed.body) == state.assignment_id:
        return state, _present_answer(state)
    return state, ()


def _present_answer(state: LeaseState) -> tuple[Effect, ...]:
    if state.refusal:
        return (_ack(state),)
    if state.stage in ("committed", "opened", "delivered") and state.body is not None:
        return (_ack(state), Send(state.node, _commitment(state)))
    if state.stage == "running" and state.started:
        return _ack(state), _started(state)
    return () if state.stage == "new" else (_ack(state),)


def _ordered_to_stop(state: LeaseState, now: Millis) -> Step:
    if state.stage in ("running", "fetching", "new"):
        return _to(state, "stopping", now), (Stop(),)
    return state, (_cancel_ack(state),)


def _stop_again(state: LeaseState, event: Received, now: Millis) -> Step:
    return state, ((Stop(),) if isinstance(event.value, CancelOrder) and event.sender == state.node else ())


def _stopped(state: LeaseState, event: Stopped, now: Millis) -> Step:
    state = _to(state, "done", now)
    return state, (_cancel_ack(state),)


def _cancel_ack(state: LeaseState) -> Send:
    order = state.order
    ack = CancelAck(
        network=order.network, agreement=order.agreement, member=order.member, committed=state.body is not None
    )
    return Send(state.node, ack)


def _in_ballot(state: LeaseState, event: Received, now: Millis) -> Step:
    """After the commitment: the closing of the round, others' openings, the delivery's receipt, an order to stop."""
    value = event.value
    if isinstance(value, RoundClose) and event.sender == state.node:
        return _closed(state, value, event.signed, now)
    if isinstance(value, Opening):
        return _other_opening(state, value, now)
    if isinstance(value, DeliveryAck) and event.sender == state.node:
        return msgspec.structs.replace(state, delivery_ack=event.signed), ()
    if isinstance(value, RoundAbort) and event.sender == state.node:
        return msgspec.structs.replace(state, since_ms=now), ()
    return _asked_again(state, event, now)


def _closed(state: LeaseState, close: RoundClose, signed: Signed, now: Millis) -> Step:
    order = state.order
    if close.round != order.round or close.agreement != state.agreement_id or order.member not in close.members:
        return state, ()
    own = _commitment(state).commit
    if close.commits[close.members.index(order.member)] != own or len(close.members) != len(close.commits):
        return state, ()
    if state.close is None:
        state = _to(state, "opened", now, close=signed)
    elif state.close.body != signed.body:
        # Two closings of one round: the first stands, the second is evidence against the requester's side (R8).
        return state, ()
    told = (state.node, *(member for member in close.members if member != order.member))
    state, effects = _deliver_if_accepted(state, now)
    return state, (*(Send(member, opening(state), after_save=False) for member in told), *effects)


def _other_opening(state: LeaseState, value: Opening, now: Millis) -> Step:
    if value.round != state.order.round or value.agreement != state.agreement_id:
        return state, ()
    if any(known.member == value.member for known in state.openings) or len(state.openings) >= 64:
        return state, ()
    state = msgspec.structs.replace(state, openings=(*state.openings, value))
    return _deliver_if_accepted(state, now)


def valid_openings(state: LeaseState) -> dict[NodeId, Opening]:
    """Openings (its own among them) that open the commitments listed in the RoundClose, in its order."""
    assert state.close is not None
    close = decode(state.close.body, RoundClose)
    known = {value.member: value for value in (*state.openings, opening(state))}
    valid: dict[NodeId, Opening] = {}
    for member, commitment in zip(close.members, close.commits, strict=True):
        value = known.get(member)
        if value and commit_digest(close.network, value.assignment, member, value.body, value.nonce) == commitment:
            valid[member] = value
    return valid


def _deliver_if_accepted(state: LeaseState, now: Millis) -> Step:
    """Message 10: a member releases its ciphertexts once it has computed the acceptance itself."""
    if state.close is None:
        return state, ()
    close = decode(state.close.body, RoundClose)
    proof = state.terms.proof
    width = width_of(proof, close.round, close.audit_seed, close.commits[0])
    result = count_openings(valid_openings(state), proof, width)
    if result.outcome != "accepted" or result.choice != vote_of(opening(state)):
        return state, ()
    if state.stage == "opened":
        state = _to(state, "delivered", now)
    return state, (Send(state.node, _delivery(state), after_save=False),)


def _delivery(state: LeaseState) -> Delivery:
    """By digest only: the shell puts small results inside."""
    assert state.body is not None
    order = state.order
    return Delivery(
        network=order.network,
        agreement=order.agreement,
        round=order.round,
        member=order.member,
        result_digest=state.body.result_digest,
        log_digest=state.body.log_digest,
        result=b"",
        log=b"",
    )


def _settled(state: LeaseState, event: Settled, now: Millis) -> Step:
    stop: tuple[Effect, ...] = (Stop(),) if state.stage in ("running", "fetching") else ()
    return _to(state, "done", now, settlement=event.proof, force_due_ms=Millis(0)), stop


def _ballot_tick(state: LeaseState, event: Tick, now: Millis) -> Step:
    """Stalled or cheated: with a DeliveryAck the member settles itself; without one it opens the windows of the
    ledger."""
    if state.force_due_ms and now >= state.force_due_ms:
        return _force_on(state, now)
    if state.forced or now < state.since_ms + FORCE_AFTER_MS:
        return state, ()
    if state.commit is None:
        return msgspec.structs.replace(state, since_ms=now), ()
    order = state.order
    evidence = tuple(signed for signed in (state.assignment, state.commit, state.close, state.delivery_ack) if signed)
    if state.delivery_ack is not None:
        settle = Settle(
            network=order.network,
            agreement=state.agreement_id,
            evidence=evidence,
            openings=tuple(valid_openings(state).values()),
        )
        return msgspec.structs.replace(state, since_ms=now), (Post(settle),)
    force = ForceRound(network=order.network, agreement=state.agreement_id, round=order.round, evidence=evidence)
    return msgspec.structs.replace(state, forced="commit", since_ms=now), (Post(force),)


def _windows(state: LeaseState, event: Windows, now: Millis) -> Step:
    """The ledger opened windows (R7): show the commitment now; in a forced round open it in the second window and have
    the round closed after it."""
    if state.commit is None or state.forced in ("reveal", "close"):
        return state, ()
    order, opened = state.order, event.event
    evidence = (state.assignment, state.commit)
    commit = ForceCommit(network=order.network, agreement=state.agreement_id, round=order.round, evidence=evidence)
    if opened.cause != "force":
        return msgspec.structs.replace(state, since_ms=now), (Post(commit),)
    state = msgspec.structs.replace(
        state,
        forced="reveal",
        force_due_ms=Millis(now + opened.commit_by_ms - opened.time_ms + MARGIN_MS),
        close_due_ms=Millis(now + opened.reveal_by_ms - opened.time_ms + MARGIN_MS),
    )
    return state, (Post(commit),)


def _force_on(state: LeaseState, now: Millis) -> Step:
    order = state.order
    if state.forced == "reveal":
        reveal = ForceReveal(
            network=order.network,
            agreement=state.agreement_id,
            round=order.round,
            opening=opening(state),
            result=b"",
        )
        return msgspec.structs.replace(state, forced="close", force_due_ms=state.close_due_ms), (Post(reveal),)
    close = CloseForced(network=order.network, agreement=state.agreement_id)
    return msgspec.structs.replace(state, force_due_ms=Millis(now + RETRY_MS)), (Post(close),)


def _restarted(state: LeaseState, event: Restarted, now: Millis) -> Step:
    """From the saved state on: what was not finished is begun again, what was said is said again when asked."""
    if state.stage == "new":
        return state, (Check(),)
    if state.stage in ("fetching", "running"):
        state = _to(state, "fetching", now, started=False)
        blobs = (state.job.core.program.digest, *state.job.core.program.dependencies, state.job.input_digest)
        return state, (_ack(state), Fetch(blobs, (state.node,)))
    if state.stage == "stopping":
        return state, (Stop(),)
    if state.stage == "committed":
        return state, (Send(state.node, _commitment(state)),)
    if state.stage in ("opened", "delivered"):
        assert state.close is not None
        close = decode(state.close.body, RoundClose)
        return _closed(state, close, state.close, now)
    return state, ()


TABLE: dict[tuple[Stage, type[Event]], Handler] = {
    ("new", Checked): _checked,
    ("fetching", Fetched): _fetched,
    ("running", Running): _running,
    ("running", Ran): _ran,
    ("running", Unopenable): _unopenable,
    ("stopping", Stopped): _stopped,
    ("stopping", Received): _stop_again,
    ("committed", Received): _in_ballot,
    ("opened", Received): _in_ballot,
    ("delivered", Received): _in_ballot,
    ("committed", Tick): _ballot_tick,
    ("opened", Tick): _ballot_tick,
    ("delivered", Tick): _ballot_tick,
    ("committed", Windows): _windows,
    ("opened", Windows): _windows,
    ("delivered", Windows): _windows,
}
ANY: dict[type[Event], Handler] = {
    Received: _asked_again,
    OwnCommit: _own_commit,
    Settled: _settled,
    Restarted: _restarted,
}
