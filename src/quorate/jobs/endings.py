"""How a job ends: delivery, rejection, failure, a clock that ran out, cancellation; and the one settlement after any of
them.

    accepted and delivered ──▶ Settle        split and used up ──▶ Settle (attempt fees)
    everything else with an open escrow ──▶ Cancel (R6)

Guests are stopped, and their members have said so, before a job that may still run somewhere is reported as ended. When
the members had the ledger rule while this node was away, the result that was paid for is still asked for, as long as
the clocks allow.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from quorate.jobs.clocks import SILENCE_MS, running_clock
from quorate.jobs.moves import Step, note, replace, with_all_probed
from quorate.jobs.state import Arrival, Condition, JobState, Received, Refused, Settled, Slot, Stored
from quorate.jobs.statements import cancel_order, delivery_ack, openings, own_statements
from quorate.model.assignment import CancelAck
from quorate.model.effects import Effect, Post, Send
from quorate.model.settlement import CallSettled, Settlement
from quorate.model.transaction import Cancel, CloseForced, Settle
from quorate.model.trap import Status
from quorate.model.units import Millis, NodeId
from quorate.model.verdict import Verdict
from quorate.verify.verdicts import verdict_of, vote_of


def expire(state: JobState, now: Millis) -> Step:
    """The phase clock ran out."""
    if state.stage == "stopping":
        return _conclude(state, now)
    name = {"match": "MatchTimeout", "transfer": "TransferTimeout", "run": "RunTimeout", "verify": "VerifyTimeout"}
    clock = running_clock(state)
    return give_up(state, now, "timed_out", name[clock], f"the {clock} clock ran out")


def give_up(state: JobState, now: Millis, condition: Condition, error: str, detail: str) -> Step:
    """Ends a job without a result: stops what runs, then settles."""
    state = note(replace(state, goal=condition, error=error, detail=detail), now, f"{error}: {detail}")
    if state.stage == "matching":
        return _end(replace(state, stage="done", condition=condition), now), ()
    if state.stage == "escrow":
        # The escrow may still open: it is cancelled then. For the user the job is over now.
        return _end(replace(state, condition=condition), now), ()
    return _stop_or_settle(state, now)


def cancel(state: JobState, now: Millis) -> Step:
    if not state.ended_ms:
        state = replace(state, error="JobCancelled", detail="cancelled by the requester")
    goal: Condition = "cancelled" if state.goal == "completed" else state.goal
    state = note(replace(state, goal=goal), now, state.detail or "cancelled")
    if not state.agreement or not state.escrow:
        return _end(replace(state, stage="done", condition=goal), now), ()
    return _stop_or_settle(state, now)


def _stop_or_settle(state: JobState, now: Millis) -> Step:
    working = _working(state)
    if not working:
        return _conclude(state, now)
    order = cancel_order(state)
    state = with_all_probed(replace(state, stage="stopping", stage_ms=now, stopped=()), now)
    return state, tuple(Send(member, order) for member in working)


def _working(state: JobState) -> tuple[NodeId, ...]:
    """Members that may have a process for this job, in this round or as replaced members of it."""
    return tuple(slot.member for slot in state.current.slots) if state.rounds else ()


def stopped(state: JobState, event: Received, ack: CancelAck, now: Millis) -> Step:
    """A member says that nothing of this job runs there any more."""
    if (
        state.stage != "stopping"
        or ack.member != event.sender
        or ack.agreement != state.agreement_id
        or event.sender in state.stopped
    ):
        return state, ()
    state = replace(state, stopped=(*state.stopped, event.sender), cancel_acks=(*state.cancel_acks, event.evidence))
    awaited = {slot.member for slot in state.current.slots if slot.gone not in ("unreached", "silent")}
    if awaited <= set(state.stopped):
        return _conclude(state, now)
    return state, ()


def stop_tick(state: JobState, heard: Mapping[NodeId, Millis], now: Millis) -> Step:
    """Orders again; a peer that is silent altogether is not waited for."""
    alive = [
        slot.member
        for slot in state.current.slots
        if slot.member not in state.stopped
        and now <= max(heard.get(slot.member, Millis(0)), state.stage_ms) + SILENCE_MS
    ]
    if not alive:
        return _conclude(state, now)
    state = with_all_probed(state, now)
    order = cancel_order(state)
    return state, tuple(Send(member, order) for member in alive)


def reject(state: JobState, now: Millis) -> Step:
    """Rounds or members are used up: Rejected, with every vote attached (R7)."""
    reason = "no outcome reached the threshold and no fresh cohort is left"
    state = replace(state, goal="rejected", error="JobRejected", detail=reason, verdict=_verdict(state))
    return _conclude(note(state, now, f"rejected: {reason}"), now)


def undelivered(state: JobState, now: Millis) -> Step:
    """The members were paid, and what they say now makes no result."""
    detail = "the members had themselves paid for a result that they do not deliver"
    state = replace(state, goal="failed", error="JobFailed", detail=detail)
    return _conclude(note(state, now, detail), now)


def fail_all(state: JobState, status: str, now: Millis) -> Step:
    """Every member of the round reports the same failure: another cohort would meet it too."""
    late = status == Status.WALL_CLOCK
    detail = f"every member reports {status}"
    state = replace(
        state,
        goal="timed_out" if late else "failed",
        error="RunTimeout" if late else "JobFailed",
        detail=detail,
        verdict=_verdict(state),
    )
    return _conclude(note(state, now, detail), now)


def deliver(state: JobState, now: Millis) -> Step:
    """Accepted: with a delivery of an agreeing member in the store the job is complete."""
    ended = state.current.tally
    assert ended is not None
    arrived = next((a for a in state.arrivals if a.stored and a.member in ended.agreed), None)
    return _complete(state, arrived, now) if arrived else (state, ())


def delivered(state: JobState, event: Stored, now: Millis) -> Step:
    have = set(event.digests)
    arrivals = tuple(
        msgspec.structs.replace(a, stored=True) if {a.result_digest, a.log_digest} <= have else a
        for a in state.arrivals
    )
    state = replace(state, arrivals=arrivals)
    return deliver(state, now) if state.stage == "delivering" else (state, ())


def _complete(state: JobState, arrived: Arrival, now: Millis) -> Step:
    state = replace(
        state,
        result_digest=arrived.result_digest,
        log_digest=arrived.log_digest,
        delivered_by=arrived.member,
        verdict=_verdict(state),
    )
    state = note(state, now, f"result of {arrived.member.hex()[:8]} in the store")
    ended, receipt = state.current.tally, delivery_ack(state)
    assert ended is not None
    acks = tuple(Send(member, receipt) for member in ended.agreed)
    # Whether a call took effect is the ledger's to say: it is not complete before.
    state, posts = _settle(state, now) if state.value.core.call else _conclude(state, now)
    return state, (*acks, *posts)


def _verdict(state: JobState) -> Verdict:
    tallies = [past.tally for past in state.rounds if past.tally is not None]
    last = state.rounds[-1] if state.rounds else None
    vote, reexecuted = None, False
    if last and last.tally and last.tally.outcome == "accepted":
        vote = vote_of(openings(last)[last.tally.agreed[0]])
        reexecuted = state.terms.proof.method == "rerun" and last.width == 2
    return verdict_of(state.terms, state.agreement_id, tallies, vote, reexecuted)


def _end(state: JobState, now: Millis) -> JobState:
    return replace(state, ended_ms=state.ended_ms or now)


def _conclude(state: JobState, now: Millis) -> Step:
    """Over for the user, as `goal` says; what is left is the settlement."""
    return _settle(_end(replace(state, condition=state.goal), now), now)


def _settle(state: JobState, now: Millis) -> Step:
    """The ledger is asked to settle, if it has not done so for the members already."""
    state, ruled = replace(state, stage="settling", stage_ms=now), state.settled
    return (_over(state, ruled, now), ()) if ruled else (state, settling_posts(state))


def settling_posts(state: JobState) -> tuple[Effect, ...]:
    """The one terminal transaction that fits how the job ended, with everything that was signed about it."""
    commits = tuple(slot.commit for slot in _slots(state) if slot.commit)
    if state.verdict is None:
        evidence = (*commits, *state.cancel_acks)
        cancelled = Cancel(network=state.terms.network, agreement=state.agreement_id, evidence=evidence)
        return (Post(cancelled, own=own_statements(state)),)
    opened = tuple(slot.opening for slot in _slots(state) if slot.opening)
    settle = Settle(
        network=state.terms.network, agreement=state.agreement_id, evidence=commits, openings=opened, outcome=b""
    )
    return (Post(settle, own=own_statements(state)),)


def closing_post(state: JobState) -> Post:
    """Asks for the end whatever became of the terminal transaction: the ledger closes windows that are over, and quotes
    the settlement that there is. The same bytes of another transaction would only get their first answer again."""
    return Post(CloseForced(network=state.terms.network, agreement=state.agreement_id))


def _slots(state: JobState) -> tuple[Slot, ...]:
    return tuple(slot for past in state.rounds for slot in past.slots)


def settled(state: JobState, event: Settled, now: Millis) -> JobState:
    """The ledger's terminal event. It may come from a member's own posting, before this node had finished: what was
    paid for is then still owed to it, and the job goes on without a settlement to come."""
    if state.settlement is not None:
        return state
    ruled = event.event
    state = note(
        replace(state, settlement=event.proof, settled_ms=now), now, f"settled at height {ruled.height}: {ruled.cause}"
    )
    if state.stage == "settling":
        return _over(state, ruled, now)
    if ruled.accepted and state.stage in ("round", "opening", "delivering"):
        return note(state, now, "paid for; the members are asked for the result")
    return _unclaimed(state, ruled, now)


def _unclaimed(state: JobState, ruled: Settlement, now: Millis) -> JobState:
    over = state.goal if state.goal != "completed" else "failed"
    detail = state.detail or f"settled by a member ({ruled.cause})"
    state = replace(state, stage="done", condition=over, error=state.error or "JobFailed", detail=detail)
    return _end(state, now)


def _over(state: JobState, ruled: Settlement, now: Millis) -> JobState:
    if ruled.call is not None and not state.ended_ms:
        state = _end(_called(state, ruled.call), now)
    return replace(state, stage="done")


CALL_ENDINGS = {
    "conflict": ("StateConflict", "another call was settled on the same head first; nothing of this one remains"),
    "unpayable": ("TransferRefused", "the contract pays an id that no account has; nothing of the call remains"),
    "unseen": ("JobFailed", "nobody showed the ledger the outcome; nothing of the call remains"),
    "void": ("JobFailed", "no accepted outcome was delivered; nothing of the call remains"),
}
"""How a call ends whose members agreed and that took no effect. One that failed as agreed is complete: that is its
outcome."""


def _called(state: JobState, call: CallSettled) -> JobState:
    ending = CALL_ENDINGS.get(call.result)
    if ending is None:
        return replace(state, condition="completed")
    return replace(state, condition="failed", goal="failed", error=ending[0], detail=ending[1])


def refused(state: JobState, event: object, now: Millis) -> Step:
    """A refused terminal transaction is a fault of this node or a race with a member's posting: it is noted, the event
    decides."""
    assert isinstance(event, Refused)
    if event.noun == "close_forced":
        return state, ()
    return note(state, now, f"ledger refused {event.noun}: {event.status} {event.detail}".rstrip()), ()
