"""The member's side of one assignment: checked, fetched, run, committed, opened, delivered (protocol messages 5 to 10).

    new ──Checked──▶ fetching ──Fetched──▶ running ──Ran──▶ committed ──RoundClose──▶ opened
      └─ refused ──▶ done                     │                                         │ threshold seen
                                              └─ CancelOrder ─▶ stopping ─▶ done        ▼
    (cheated or stalled: ForceRound to the ledger)          done ◀──Settlement── delivered

One lease per agreement: a member is asked once, whatever the round. Every answer is a function of the state, so a
repeated message gets the same bytes again and a restarted member goes on where its last saved state stands (R4). The
commitment leaves only when body and nonce are saved. A done lease whose result was paid for still answers the
requester's side with its commitment, its opening and the result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from quorate.crypto.digests import body_digest
from quorate.jobs import forcing
from quorate.jobs.lease_state import (
    Checked,
    Event,
    Fetched,
    LeaseState,
    Lingering,
    OwnCommit,
    Ran,
    Received,
    Refused,
    Restarted,
    Running,
    Settled,
    Stage,
    Step,
    Stopped,
    Tick,
    Unopenable,
    Windows,
    assignment_of,
    close_of,
)
from quorate.jobs.lease_statements import ack, cancel_ack, commitment, delivery, opening, started, valid_openings
from quorate.model.assignment import Assignment, CancelOrder
from quorate.model.claim import DeliveryAck, Opening, RoundAbort, RoundClose
from quorate.model.codec import decode
from quorate.model.effects import Check, Effect, Fetch, Post, Run, Send, Stop
from quorate.model.evidence import Signed
from quorate.model.settlement import Settlement
from quorate.model.transaction import Equivocation
from quorate.model.units import Millis
from quorate.verify.verdicts import count_openings, vote_of, width_of

__all__ = [
    "Checked",
    "Event",
    "Fetched",
    "LeaseState",
    "Lingering",
    "OwnCommit",
    "Ran",
    "Received",
    "Refused",
    "Restarted",
    "Running",
    "Settled",
    "Stopped",
    "Tick",
    "Unopenable",
    "Windows",
    "begin",
    "deadline",
    "step",
]

Handler: TypeAlias = Callable[[LeaseState, Any, Millis], Step]

BALLOT = ("committed", "opened", "delivered")
OPENINGS_MAX = 64


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


def must_save(before: LeaseState, after: LeaseState) -> bool:
    """Whether the change has to survive a crash. Fetching and running begin again; openings of others are sent again. A
    lease is kept from its first moment: the ledger may open windows before the member commits, and whoever has
    forgotten the lease would not hear that its commitment is at stake in them."""
    return _kept(before) != _kept(after)


def _kept(state: LeaseState) -> tuple[object, ...]:
    stage = "new" if state.stage in ("fetching", "running") else "opened" if state.stage == "delivered" else state.stage
    # Its own commitment is signed again when it is said again.
    return (stage, state.refusal, state.close, state.delivery_ack, state.forced, state.force_due_ms)


def deadline(state: LeaseState) -> Millis | None:
    """When `Tick` should come next, if nothing else does."""
    return forcing.due(state) if state.stage in BALLOT else None


def _to(state: LeaseState, stage: Stage, now: Millis, **changes: Any) -> LeaseState:
    return msgspec.structs.replace(state, stage=stage, since_ms=now, **changes)


def _checked(state: LeaseState, event: Checked, now: Millis) -> Step:
    if event.refusal:
        state = _to(state, "done", now, refusal=event.refusal)
        return state, (ack(state),)
    state = _to(state, "fetching", now)
    core = state.job.core
    head = (core.call.state,) if core.call else ()
    blobs = (core.program.digest, *core.program.dependencies, *head, state.job.input_digest)
    return state, (Fetch(blobs, (state.node,)),)


def _lingering(state: LeaseState, event: Lingering, now: Millis) -> Step:
    """An answer that comes at once needs no acknowledgement before it."""
    if state.acked:
        return state, ()
    state = msgspec.structs.replace(state, acked=True)
    return state, (ack(state),)


def _fetched(state: LeaseState, event: Fetched, now: Millis) -> Step:
    if event.missing:
        return _refuse(state, "blob_missing", now)
    return _to(state, "running", now), (Run(),)


def _running(state: LeaseState, event: Running, now: Millis) -> Step:
    state, effects = _lingering(state, Lingering(), now)
    state = msgspec.structs.replace(state, started=True)
    return state, (*effects, started(state))


def _refuse(state: LeaseState, reason: str, now: Millis) -> Step:
    state = _to(state, "done", now, refusal=reason)
    return state, (ack(state),)


def _unopenable(state: LeaseState, event: Unopenable, now: Millis) -> Step:
    return _refuse(state, event.reason, now)


def _ran(state: LeaseState, event: Ran, now: Millis) -> Step:
    state = _to(state, "committed", now, body=event.body, nonce=event.nonce)
    return state, (Send(state.node, commitment(state)),)


def _own_commit(state: LeaseState, event: OwnCommit, now: Millis) -> Step:
    return forcing.show_if_closed(msgspec.structs.replace(state, commit=event.signed))


def _asked_again(state: LeaseState, event: Received, now: Millis) -> Step:
    """Whatever the sender says, a message of the requester's node that repeats the assignment gets the present answer
    once more."""
    value = event.value
    if event.sender != state.node:
        return state, ()
    if isinstance(value, RoundClose) and _paid(state):
        return state, tuple(Send(state.node, owed, after_save=False) for owed in (opening(state), delivery(state)))
    if isinstance(value, CancelOrder):
        return _ordered_to_stop(state, now)
    if isinstance(value, Assignment) and body_digest("assignment", event.evidence.body) == state.assignment_id:
        return state, _present_answer(state)
    return state, ()


def _paid(state: LeaseState) -> bool:
    """Whether the ledger has paid for the claim: if the requester's side was away then, it is owed the result."""
    if state.settlement is None:
        return False
    ruled = decode(state.settlement.event, Settlement)
    return any(paid.account == state.order.member and paid.reason == "price" for paid in ruled.payments)


def _present_answer(state: LeaseState) -> tuple[Effect, ...]:
    if state.refusal:
        return (ack(state),)
    if state.body is not None and (state.stage in BALLOT or _paid(state)):
        return (Send(state.node, commitment(state)),)
    if state.stage == "running" and state.started:
        return ack(state), started(state)
    return () if state.stage == "new" else (ack(state),)


def _ordered_to_stop(state: LeaseState, now: Millis) -> Step:
    if state.stage in ("running", "fetching", "new"):
        return _to(state, "stopping", now), (Stop(),)
    return state, (cancel_ack(state),)


def _stop_again(state: LeaseState, event: Received, now: Millis) -> Step:
    return state, ((Stop(),) if isinstance(event.value, CancelOrder) and event.sender == state.node else ())


def _stopped(state: LeaseState, event: Stopped, now: Millis) -> Step:
    state = _to(state, "done", now)
    return state, (cancel_ack(state),)


def _in_ballot(state: LeaseState, event: Received, now: Millis) -> Step:
    """After the commitment: the closing of the round, others' openings, the delivery's receipt, an order to stop."""
    value = event.value
    if isinstance(value, RoundClose) and event.sender == state.node:
        return _closed(state, value, event.evidence, now)
    if isinstance(value, Opening):
        return _other_opening(state, event, value, now)
    if isinstance(value, DeliveryAck) and event.sender == state.node:
        return msgspec.structs.replace(state, delivery_ack=event.evidence), ()
    if isinstance(value, RoundAbort) and event.sender == state.node:
        return msgspec.structs.replace(state, since_ms=now), ()
    return _asked_again(state, event, now)


def _closed(state: LeaseState, close: RoundClose, signed: Signed, now: Millis) -> Step:
    order = state.order
    if close.round != order.round or close.agreement != state.agreement_id or order.member not in close.members:
        return state, ()
    own = commitment(state).commit
    if close.commits[close.members.index(order.member)] != own or len(close.members) != len(close.commits):
        return state, ()
    if state.close is None:
        state = _to(state, "opened", now, close=signed)
    elif state.close.body != signed.body:
        # Two closings of one round: the first stands, both are evidence against the requester's side (R8).
        return state, (Post(Equivocation(network=order.network, first=state.close, second=signed)),)
    told = (state.node, *(member for member in close.members if member != order.member))
    state, effects = _deliver_if_accepted(state, now)
    state, posts = forcing.show_if_closed(state)
    shown = opening(state)
    return state, (*(Send(member, shown, after_save=False) for member in told), *effects, *posts)


def _other_opening(state: LeaseState, event: Received, value: Opening, now: Millis) -> Step:
    """From its own member only: a stranger's false opening must not take the place of the true one."""
    if event.sender != value.member or value.round != state.order.round or value.agreement != state.agreement_id:
        return state, ()
    if any(known.member == value.member for known in state.openings) or len(state.openings) >= OPENINGS_MAX:
        return state, ()
    state = msgspec.structs.replace(state, openings=(*state.openings, value))
    return _deliver_if_accepted(state, now)


def _deliver_if_accepted(state: LeaseState, now: Millis) -> Step:
    """Message 10: a member releases its ciphertexts once it has computed the acceptance itself."""
    if state.close is None:
        return state, ()
    close = close_of(state.close.body)
    proof = state.terms.proof
    width = width_of(proof, close.round, close.audit_seed, close.commits[0])
    result = count_openings(valid_openings(state), proof, width)
    if result.outcome != "accepted" or result.choice != vote_of(opening(state)):
        return state, ()
    if state.stage == "opened":
        state = _to(state, "delivered", now)
    # Said again for each repeated closing: the requester's side asks in this way for a delivery that was lost.
    return state, (Send(state.node, delivery(state), after_save=False),)


def _settled(state: LeaseState, event: Settled, now: Millis) -> Step:
    stop: tuple[Effect, ...] = (Stop(),) if state.stage in ("running", "fetching") else ()
    return _to(state, "done", now, settlement=event.proof, force_due_ms=Millis(0)), stop


def _restarted(state: LeaseState, event: Restarted, now: Millis) -> Step:
    """From the saved state on: what was said is said again, what was not finished is begun again."""
    if state.stage in ("new", "fetching", "running"):
        return _to(state, "new", now, started=False, acked=False), (Check(),)
    if state.stage == "stopping":
        return state, (Stop(),)
    if state.stage == "committed":
        return state, (Send(state.node, commitment(state)), *forcing.resume(state))
    if state.stage in ("opened", "delivered"):
        assert state.close is not None
        close = close_of(state.close.body)
        state, effects = _closed(state, close, state.close, now)
        return state, (*effects, *forcing.resume(state))
    return state, ()


TABLE: dict[tuple[Stage, type[Event]], Handler] = {
    ("new", Checked): _checked,
    ("fetching", Fetched): _fetched,
    ("fetching", Lingering): _lingering,
    ("running", Lingering): _lingering,
    ("running", Running): _running,
    ("running", Ran): _ran,
    ("running", Unopenable): _unopenable,
    ("stopping", Stopped): _stopped,
    ("stopping", Received): _stop_again,
    ("committed", Received): _in_ballot,
    ("opened", Received): _in_ballot,
    ("delivered", Received): _in_ballot,
    ("committed", Tick): forcing.tick,
    ("opened", Tick): forcing.tick,
    ("delivered", Tick): forcing.tick,
    ("committed", Refused): forcing.refused,
    ("opened", Refused): forcing.refused,
    ("delivered", Refused): forcing.refused,
    ("new", Windows): forcing.windows,
    ("fetching", Windows): forcing.windows,
    ("running", Windows): forcing.windows,
    ("committed", Windows): forcing.windows,
    ("opened", Windows): forcing.windows,
    ("delivered", Windows): forcing.windows,
}
ANY: dict[type[Event], Handler] = {
    Received: _asked_again,
    OwnCommit: _own_commit,
    Settled: _settled,
    Restarted: _restarted,
}
