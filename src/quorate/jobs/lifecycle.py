"""THE TABLE: the life of a job on the requester's node, the seven steps of `walk` as rows (stage, event) -> handler.

    matching ──Matched──▶ escrow ──Opened──▶ wraps ──Wrapped──▶ round ──all committed──▶ opening
                                   └── public job: no wraps ────▶ ▲                        │    │ threshold
                                                                  └── split: fresh cohort ─┘    ▼
                                            done ◀──Settled── settling ◀──Stored── delivering ◀─┘
    before settling: CancelAsked ──▶ stopping ──members answered──▶ settling
                     a phase clock runs out ──▶ stopping
    the match clock runs out in escrow: the job is over, and cancelled should the escrow still open
    Settled before settling: done; but from round to delivering an accepted result is waited for first

Rules of this file: no await, no socket, no clock, no randomness, no signing. Time is `now`; what has to be said is an
effect. Repeated and late messages change nothing; an event that a stage has no row for is ignored, since peers may send
anything at any time. What the rounds do is in `rounds.py`; how a job ends is in `endings.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from quorate.jobs import endings, rounds
from quorate.jobs.clocks import phase_deadline
from quorate.jobs.moves import Step, note, replace
from quorate.jobs.state import (
    CancelAsked,
    Event,
    JobState,
    Matched,
    Opened,
    Received,
    Refused,
    Restarted,
    Returned,
    Settled,
    Stage,
    Stored,
    Tick,
    Unmatched,
    Wrapped,
)
from quorate.model.codec import encode
from quorate.model.effects import Match, Post
from quorate.model.evidence import Signed
from quorate.model.transaction import OpenEscrow
from quorate.model.units import JobId, Millis

Handler: TypeAlias = Callable[[JobState, "Event", Millis], Step]

MATCH_RETRY_MS = 250
SETTLE_RETRY_MS = 15_000
"""How often the terminal transaction is posted again while its event has not come: the ledger then quotes it."""


def begin(job: Signed, job_id: JobId, secret: bytes, now: Millis) -> Step:
    """A submitted job: pending until it is matched. `secret` is 32 fresh random bytes."""
    state = JobState(
        job=job, job_id=job_id, secret=secret, stage="matching", condition="pending", submitted_ms=now, stage_ms=now
    )
    return note(state, now, "submitted"), (Match(),)


def step(state: JobState, event: Event, now: Millis) -> Step:
    """The next state and the wishes that follow from it."""
    handler = TABLE.get((state.stage, type(event)))
    return handler(state, event, now) if handler else (state, ())


def must_save(before: JobState, after: JobState) -> bool:
    """Whether the change has to survive a crash. What members say is asked for again after a restart; what this node
    has decided, and whatever it would otherwise decide differently, is saved."""
    return _kept(before) != _kept(after)


def _kept(state: JobState) -> tuple[object, ...]:
    places = tuple((current.number, current.width, len(current.slots), len(current.live)) for current in state.rounds)
    # The ledger answers an opened escrow again, and members open and deliver again.
    stage = {"wraps": "escrow", "delivering": "opening"}.get(state.stage, state.stage)
    ends = (state.goal, state.error, state.stopped, state.ended_ms, state.settled_ms)
    return (stage, state.agreement, state.wraps, places, *ends)


def deadline(state: JobState) -> Millis | None:
    """When `Tick` should come next, if nothing else does."""
    if state.stage == "done":
        return None
    if state.stage == "matching":
        return Millis(min(state.stage_ms + MATCH_RETRY_MS, phase_deadline(state)))
    if state.stage == "escrow" and state.ended_ms:
        return None
    if state.stage == "settling":
        return Millis(state.stage_ms + SETTLE_RETRY_MS)
    return Millis(min(rounds.next_probe(state), phase_deadline(state)))


def _matched(state: JobState, event: Event, now: Millis) -> Step:
    assert isinstance(event, Matched)
    state = replace(state, stage="escrow", stage_ms=now, agreement=encode(event.agreement), roster=event.roster)
    state = replace(state, notes=(*state.notes, *event.removed))
    terms = event.agreement
    state = note(
        state,
        now,
        f"matched: {len(event.roster.entries)} offers, K={terms.proof.replicas}, "
        f"up to {terms.rounds} round(s), {terms.reserves} reserve(s)",
    )
    return state, _open(state)


def _open(state: JobState) -> tuple[Post, ...]:
    """The shell signs the agreement and puts the job, as the requester signed it, beside it."""
    placeholder = OpenEscrow(network=state.terms.network, job=state.job, agreement=state.job, roster=state.roster)
    return (Post(placeholder, own=(state.terms,)),)


def _unmatched(state: JobState, event: Event, now: Millis) -> Step:
    assert isinstance(event, Unmatched)
    state = replace(state, stage_ms=now, error=event.error, detail=event.detail)
    if not any(line.text == event.detail for line in state.notes):
        state = note(replace(state, notes=(*state.notes, *event.removed)), now, event.detail)
    return state, ()


def _rematch(state: JobState, event: Event, now: Millis) -> Step:
    if now >= phase_deadline(state):
        return endings.give_up(
            state, now, "timed_out", state.error or "MatchTimeout", state.detail or "no agreement in time"
        )
    if now >= state.stage_ms + MATCH_RETRY_MS:
        return replace(state, stage_ms=now), (Match(),)
    return state, ()


def _opened(state: JobState, event: Event, now: Millis) -> Step:
    assert isinstance(event, Opened)
    if event.event.agreement != state.agreement_id:
        return state, ()
    state = replace(
        state,
        stage="wraps",
        stage_ms=now,
        escrow=event.proof,
        escrow_ms=now,
        beacon=event.event.beacon,
        agreement_signed=event.agreement,
        error="",
        detail="",
    )
    state = note(state, now, f"escrow of {event.event.escrow_micro} micro-credits open at height {event.event.height}")
    if state.value.private and not state.wraps:
        return state, ()
    return rounds.start(state, now)


def _refused(state: JobState, event: Event, now: Millis) -> Step:
    assert isinstance(event, Refused)
    if event.noun != "open_escrow" or event.status == "already_open":
        return state, ()
    if state.ended_ms:
        return replace(state, stage="done"), ()
    if event.status in RETRY_STATUSES:
        # Not at once: until the ledger has said what stands now, the same offers would be chosen again.
        state = replace(state, stage="matching", stage_ms=now, agreement=b"", roster=None)
        return note(state, now, f"ledger: {event.status}; matching again"), ()
    error = REFUSALS.get(event.status, "PolicyRefused")
    # Nothing is held by the ledger: the job ends as if it had never been matched.
    state = replace(state, stage="matching")
    return endings.give_up(state, now, "failed", error, f"{event.status} {event.detail}".strip())


def _wrapped(state: JobState, event: Event, now: Millis) -> Step:
    assert isinstance(event, Wrapped)
    if state.wraps:
        return state, ()
    state = note(
        replace(state, wraps=event.wraps), now, f"input key wrapped by the client for {len(event.wraps)} members"
    )
    return rounds.start(state, now)


def _restart(state: JobState, event: Event, now: Millis) -> Step:
    state = note(state, now, "node restarted")
    if state.stage == "matching":
        return state, (Match(),)
    if state.stage == "escrow":
        return state, _open(state)
    if state.stage == "settling":
        return state, endings.settling_posts(state)
    return rounds.resume(state, now)


def _clock(state: JobState, event: Event, now: Millis) -> Step:
    if not state.ended_ms and now >= phase_deadline(state):
        return endings.expire(state, now)
    return state, ()


def _round_tick(state: JobState, event: Event, now: Millis) -> Step:
    assert isinstance(event, Tick)
    if state.stage != "round" and now >= phase_deadline(state):
        return endings.expire(state, now)
    # A place whose clock ran out goes to a reserve, and with it the round gets more time.
    state, effects = rounds.tick(state, event.heard, now)
    if state.stage == "round" and now >= phase_deadline(state):
        return endings.expire(state, now)
    return state, effects


def _returned(state: JobState, event: Event, now: Millis) -> Step:
    assert isinstance(event, Returned)
    return state, rounds.again(state, event.peer)


def _received(state: JobState, event: Event, now: Millis) -> Step:
    assert isinstance(event, Received)
    return rounds.received(state, event, now)


def _stored(state: JobState, event: Event, now: Millis) -> Step:
    assert isinstance(event, Stored)
    return endings.delivered(state, event, now)


def _cancel(state: JobState, event: Event, now: Millis) -> Step:
    return endings.cancel(state, now)


def _cancel_later(state: JobState, event: Event, now: Millis) -> Step:
    """The escrow may be opening right now: cancel when the ledger has answered."""
    return (state if state.ended_ms else replace(state, goal="cancelled")), ()


def _opened_to_cancel(state: JobState, event: Event, now: Millis) -> Step:
    if state.goal == "completed":
        return _opened(state, event, now)
    assert isinstance(event, Opened)
    if event.event.agreement != state.agreement_id:
        return state, ()
    state = replace(
        state, escrow=event.proof, escrow_ms=now, beacon=event.event.beacon, agreement_signed=event.agreement
    )
    return endings.cancel(state, now)


def _settled(state: JobState, event: Event, now: Millis) -> Step:
    assert isinstance(event, Settled)
    after = endings.settled(state, event, now)
    return (after, ()) if after is state or after.stage == "done" else rounds.resume(after, now)


def _settle_again(state: JobState, event: Event, now: Millis) -> Step:
    if now < state.stage_ms + SETTLE_RETRY_MS:
        return state, ()
    return replace(state, stage_ms=now), (*endings.settling_posts(state), endings.closing_post(state))


REFUSALS = {
    "balance_too_low": "UnaffordableJob",
    "state_conflict": "StateConflict",
    "unknown_contract": "UnknownContract",
}
RETRY_STATUSES = frozenset({"offer_not_standing", "offer_expired", "agreement_expired"})

TABLE: dict[tuple[Stage, type[Event]], Handler] = {
    ("matching", Matched): _matched,
    ("matching", Unmatched): _unmatched,
    ("matching", Tick): _rematch,
    ("matching", CancelAsked): _cancel,
    ("matching", Restarted): _restart,
    ("escrow", Opened): _opened_to_cancel,
    ("escrow", Refused): _refused,
    ("escrow", Tick): _clock,
    ("escrow", CancelAsked): _cancel_later,
    ("escrow", Restarted): _restart,
    ("wraps", Wrapped): _wrapped,
    ("wraps", Tick): _clock,
    ("wraps", CancelAsked): _cancel,
    ("wraps", Restarted): _restart,
    ("wraps", Settled): _settled,
    ("round", Received): _received,
    ("round", Tick): _round_tick,
    ("round", Returned): _returned,
    ("round", CancelAsked): _cancel,
    ("round", Restarted): _restart,
    ("round", Settled): _settled,
    ("opening", Received): _received,
    ("opening", Stored): _stored,
    ("opening", Tick): _round_tick,
    ("opening", Returned): _returned,
    ("opening", CancelAsked): _cancel,
    ("opening", Restarted): _restart,
    ("opening", Settled): _settled,
    ("delivering", Received): _received,
    ("delivering", Stored): _stored,
    ("delivering", Tick): _round_tick,
    ("delivering", Returned): _returned,
    ("delivering", Restarted): _restart,
    ("delivering", Settled): _settled,
    ("stopping", Received): _received,
    ("stopping", Tick): _round_tick,
    ("stopping", Returned): _returned,
    ("stopping", Restarted): _restart,
    ("stopping", Settled): _settled,
    ("settling", Settled): _settled,
    ("settling", Restarted): _restart,
    ("settling", Tick): _settle_again,
    ("settling", Refused): lambda state, event, now: endings.refused(state, event, now),
}
