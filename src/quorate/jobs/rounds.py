"""Rounds of a job: who is asked, who is replaced, when a round closes, and what its openings mean (protocol messages 5
to 10, R7).

A member that is unreached, silent or refuses loses its place to the next of the draw within the same round; only a
round that ends without the threshold starts a fresh cohort, without any former member. A place is lost by silence of
the whole peer (no word of any kind), never by the slowness of one job: concurrent jobs do not shorten one another's
clocks.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from quorate.cohort.selection import candidates, wrapped_members
from quorate.crypto.digests import remembered_digest
from quorate.jobs import endings
from quorate.jobs.clocks import OPEN_GRACE_MS, OPEN_MS, PROBE_MS, PROBES_WITHOUT_WORDS, RUN_GRACE_MS, SILENCE_MS
from quorate.jobs.moves import Step, note, replace, slot_of, with_all_probed, with_round, with_slot
from quorate.jobs.state import Arrival, Condition, JobState, Received, Round, Slot
from quorate.jobs.statements import assignment, cancel_order, openings
from quorate.model.assignment import Ack, Brief, CancelAck, Started
from quorate.model.claim import Commit, Delivery, Opening, RoundAbort, RoundClose
from quorate.model.codec import decode
from quorate.model.effects import Effect, Fetch, Keep, Post, Send
from quorate.model.transaction import Equivocation
from quorate.model.units import Digest, Millis, NodeId
from quorate.verify.claims import commit_digest
from quorate.verify.verdicts import audited, count_openings, needed, tally, vote_of, width_of


def start(state: JobState, now: Millis) -> Step:
    """The next round, with a fresh cohort; or the end, when rounds or members are used up."""
    number = len(state.rounds) + 1
    former = frozenset(slot.member for past in state.rounds for slot in past.slots)
    pool = [member for member in _eligible(state, former) if member not in former]
    width = 1 if state.terms.proof.method == "rerun" and number == 1 else width_of(state.terms.proof, number, b"", b"")
    if state.settlement is not None:
        return endings.undelivered(state, now)
    if number > state.terms.rounds or len(pool) < needed(state.terms.proof, width):
        return endings.reject(state, now)
    slots = tuple(Slot(member=member, assigned_ms=now, probed_ms=now, heard_ms=now) for member in pool[:width])
    current = Round(number=number, width=width, drawn=len(slots), slots=slots)
    condition: Condition = "assigned" if state.condition == "pending" else state.condition
    state = replace(
        state, stage="round", stage_ms=now, rounds=(*state.rounds, current), condition=condition, decided_ms=Millis(0)
    )
    state = note(state, now, f"round {number}: drawn {', '.join(slot.member.hex()[:8] for slot in slots)}")
    return state, _ask(state, *(slot.member for slot in slots))


def _eligible(state: JobState, former: frozenset[NodeId]) -> tuple[NodeId, ...]:
    """Members that may be asked at all, in draw order: for them the client wrapped the key, and the ledger knows them
    as drawn."""
    terms = state.terms
    allowed = set(wrapped_members(state.order, _places(state), terms.rounds, terms.reserves))
    return tuple(entry.provider for entry in candidates(state.order, former) if entry.provider in allowed)


def _places(state: JobState) -> int:
    return 2 if state.terms.proof.method == "rerun" else state.terms.proof.replicas


def _ask(state: JobState, *members: NodeId, again: bool = False) -> tuple[Effect, ...]:
    """The same brief for all of them, so that it is signed and encoded once; an assignment for each. The wraps of a
    private job are randomised, so that an assignment can be said again only once they are saved: one said before a
    crash and another after it would leave its member with a lease that nobody knows."""
    assert state.agreement_signed is not None
    assert state.escrow is not None
    assert state.roster is not None
    brief = Brief(job=state.job, agreement=state.agreement_signed, escrow=state.escrow, roster=state.roster)
    wait = state.value.private and not again
    asked: list[Effect] = []
    for member in members:
        asked.append(Send(member, brief, after_save=wait))
        asked.append(Send(member, assignment(state, state.current, member), after_save=wait))
    return tuple(asked)


def received(state: JobState, event: Received, now: Millis) -> Step:
    """A verified message of a member. What does not fit the round or the sender's place is ignored."""
    value = event.value
    if isinstance(value, CancelAck):
        return endings.stopped(state, event, value, now)
    if isinstance(value, Delivery):
        return _delivery(state, event.sender, value, now)
    if (
        not state.rounds
        or getattr(value, "round", None) != state.current.number
        or getattr(value, "agreement", None) != state.agreement_id
    ):
        return state, ()
    slot = slot_of(state.current, event.sender)
    if slot is None or slot.gone or getattr(value, "member", event.sender) != event.sender:
        return state, ()
    slot = msgspec.structs.replace(slot, heard_ms=now)
    if isinstance(value, Ack):
        return _acked(state, slot, value, event, now)
    if isinstance(value, Started):
        return _started(state, slot, now)
    if isinstance(value, Commit):
        return _committed(state, slot, value, event, now)
    if isinstance(value, Opening):
        return _opened(state, slot, value, now)
    return state, ()


def _acked(state: JobState, slot: Slot, ack: Ack, event: Received, now: Millis) -> Step:
    if ack.assignment != remembered_digest(assignment(state, state.current, slot.member)):
        return state, ()
    if ack.refusal:
        return _lose(state, slot, f"refused: {ack.refusal}", now)
    if slot.ack is not None:
        return state, ()
    return with_round(state, with_slot(state.current, msgspec.structs.replace(slot, ack=event.signed))), ()


def _started(state: JobState, slot: Slot, now: Millis) -> Step:
    if slot.started_ms:
        return state, ()
    state = with_round(state, with_slot(state.current, msgspec.structs.replace(slot, started_ms=now)))
    return replace(state, condition="running") if state.condition == "assigned" else state, ()


def _committed(state: JobState, slot: Slot, commit: Commit, event: Received, now: Millis) -> Step:
    if commit.assignment != remembered_digest(assignment(state, state.current, slot.member)):
        return state, ()
    if slot.commit is not None:
        if commit.commit == slot.commitment:
            return state, ()
        proof = Equivocation(network=state.terms.network, first=slot.commit, second=event.evidence)
        return note(state, now, f"{slot.member.hex()[:8]} signed two commitments: reported"), (Post(proof),)
    if state.stage != "round":
        return state, ()
    started = slot.started_ms or now
    slot = msgspec.structs.replace(slot, commit=event.evidence, commitment=commit.commit, started_ms=started)
    state = replace(with_round(state, with_slot(state.current, slot)), condition="running")
    return _close_if_ready(state, now)


def _close_if_ready(state: JobState, now: Millis) -> Step:
    """Closes once every place is committed; or, when places cannot be filled any more, with those that stand if they
    are enough."""
    current, proof = state.current, state.terms.proof
    live = current.live
    if any(slot.commit is None for slot in live):
        return state, ()
    if proof.method == "rerun" and current.width == 1 and live and audited(proof, state.audit_seed, live[0].commitment):
        state = with_round(state, msgspec.structs.replace(current, width=2))
        state = note(state, now, "the claim was chosen to be re-executed")
        return _fill(state, now)
    if len(live) < needed(proof, current.width):
        return _abort(state, now)
    close = RoundClose(
        network=state.terms.network,
        agreement=state.agreement_id,
        round=current.number,
        members=tuple(slot.member for slot in live),
        commits=tuple(Digest(slot.commitment) for slot in live),
        salt=state.cohort_salt(current.number),
        audit_seed=state.audit_seed,
    )
    state = with_all_probed(with_round(state, msgspec.structs.replace(current, close=close, closed_ms=now)), now)
    state = note(
        replace(state, stage="opening", stage_ms=now),
        now,
        f"round {current.number} closed with {len(live)} commitments",
    )
    return state, tuple(Send(member, close) for member in close.members)


def _abort(state: JobState, now: Millis) -> Step:
    current = state.current
    abort = RoundAbort(
        network=state.terms.network, agreement=state.agreement_id, round=current.number, reason="too few commitments"
    )
    members = tuple(slot.member for slot in current.slots)
    ended = tally(current.number, members, {}, state.terms.proof, current.width)
    state = with_round(state, msgspec.structs.replace(current, abort=abort, tally=ended))
    state = note(state, now, f"round {current.number} aborted: too few commitments")
    told = tuple(Send(slot.member, abort) for slot in current.slots if slot.commit)
    state, effects = start(state, now)
    return state, (*told, *effects)


def _lose(state: JobState, slot: Slot, why: str, now: Millis) -> Step:
    state = with_round(state, with_slot(state.current, msgspec.structs.replace(slot, gone=why)))
    state = note(state, now, f"{slot.member.hex()[:8]} lost its place: {why}")
    return _fill(state, now)


def _spare(state: JobState) -> list[NodeId]:
    """Who may still take a place in this round, in draw order; nobody, once the ledger has ruled."""
    if state.settlement is not None:
        return []
    former = frozenset(slot.member for past in state.rounds[:-1] for slot in past.slots)
    asked = {slot.member for slot in state.current.slots}
    return [member for member in _eligible(state, former) if member not in asked]


def _fill(state: JobState, now: Millis) -> Step:
    """Gives free places to the next of the draw; without anyone left the round goes on with those it has."""
    current = state.current
    spare = _spare(state)[: current.width - len(current.live)]
    fresh = tuple(Slot(member=member, assigned_ms=now, probed_ms=now, heard_ms=now) for member in spare)
    if fresh:
        state = with_round(state, msgspec.structs.replace(current, slots=(*current.slots, *fresh)))
        state = note(state, now, f"replaced by {', '.join(slot.member.hex()[:8] for slot in fresh)}")
        return state, _ask(state, *(slot.member for slot in fresh))
    if current.width == 2 and state.terms.proof.method == "rerun" and len(current.live) < 2:
        return _abort(state, now)
    return _close_if_ready(state, now)


def _opened(state: JobState, slot: Slot, opening: Opening, now: Millis) -> Step:
    current = state.current
    if state.stage not in ("opening", "delivering") or slot.commit is None or slot.opening is not None:
        return state, ()
    expected = commit_digest(state.terms.network, opening.assignment, slot.member, opening.body, opening.nonce)
    if expected != slot.commitment or opening.assignment != decode(slot.commit.body, Commit).assignment:
        return note(state, now, f"{slot.member.hex()[:8]} sent an opening that does not open its commitment"), ()
    state = with_round(state, with_slot(current, msgspec.structs.replace(slot, opening=opening)))
    return _decide(state, now) if state.stage == "opening" else (_counted_late(state), ())


def _counted_late(state: JobState) -> JobState:
    """An opening after the decision cannot change it, but is paid; so the tally names it, as the ledger's will."""
    current = state.current
    assert current.close is not None
    ended = tally(current.number, current.close.members, openings(current), state.terms.proof, current.width)
    return with_round(state, msgspec.structs.replace(current, tally=ended))


def _decide(state: JobState, now: Millis) -> Step:
    current, proof = state.current, state.terms.proof
    assert current.close is not None
    opened = openings(current)
    result = count_openings(opened, proof, current.width)
    complete = len(opened) == len(current.close.members)
    if result.outcome == "open" and not complete:
        return state, ()
    if not complete and now < (state.decided_ms or now) + OPEN_GRACE_MS:
        return (replace(state, decided_ms=now) if not state.decided_ms else state), ()
    ended = tally(current.number, current.close.members, opened, proof, current.width)
    state = with_round(state, msgspec.structs.replace(current, tally=ended))
    if result.outcome == "accepted":
        state = note(
            with_all_probed(replace(state, stage="delivering", stage_ms=now), now),
            now,
            f"{len(ended.agreed)} of {current.width} claims agree",
        )
        return endings.deliver(state, now)
    return _without_quorum(state, now)


def _without_quorum(state: JobState, now: Millis) -> Step:
    current = state.current
    opened = openings(current)
    failures = {opening.body.vote.status for opening in opened.values() if vote_of(opening) is None}
    ended = current.tally
    assert ended is not None
    if opened and len(ended.failed) == len(opened) and len(failures) == 1:
        return endings.fail_all(state, failures.pop(), now)
    state = note(state, now, f"round {current.number} ended without a quorum ({ended.outcome})")
    return start(state, now)


def _delivery(state: JobState, sender: NodeId, value: Delivery, now: Millis) -> Step:
    if state.stage not in ("opening", "delivering") or value.agreement != state.agreement_id or value.member != sender:
        return state, ()
    opening = openings(state.current).get(sender) if state.rounds else None
    known = any(arrival.member == sender for arrival in state.arrivals)
    if opening is None or any(arrival.member == sender and arrival.stored for arrival in state.arrivals):
        return state, ()
    body = opening.body
    if (value.result_digest, value.log_digest) != (body.result_digest, body.log_digest):
        return note(state, now, f"{sender.hex()[:8]} delivered another result than it claimed"), ()
    if not known:
        arrival = Arrival(sender, value.result_digest, value.log_digest, stored=False)
        state = replace(state, arrivals=(*state.arrivals, arrival))
    keeps: tuple[Effect, ...] = tuple(Keep(data) for data in (value.result, value.log) if data)
    return state, (*keeps, Fetch((value.result_digest, value.log_digest), (sender,)))


def tick(state: JobState, heard: Mapping[NodeId, Millis], now: Millis) -> Step:
    """Replaces the silent, says again what was not answered, and ends the wait for openings."""
    if state.stage == "stopping":
        return endings.stop_tick(state, heard, now)
    effects: list[Effect] = []
    if state.stage == "round":
        for slot in state.current.live:
            why = _lost(state, slot, heard, now)
            if why and state.stage == "round":
                state, more = _lose(state, slot, why, now)
                effects.extend(more)
    if state.stage == "opening":
        state, more = _opening_tick(state, now)
        effects.extend(more)
    state, more = _probe(state, now)
    return state, (*effects, *more)


def _lost(state: JobState, slot: Slot, heard: Mapping[NodeId, Millis], now: Millis) -> str:
    if slot.commit is not None:
        return ""
    if now > max(heard.get(slot.member, Millis(0)), slot.heard_ms) + SILENCE_MS:
        return "silent" if slot.ack else "unreached"
    if slot.started_ms and now > slot.started_ms + state.value.core.run_ms_most + RUN_GRACE_MS:
        return "run clock"
    # Without anyone to take the place it is kept until the clock of the whole round ends the job.
    if not slot.started_ms and now >= slot.assigned_ms + state.value.core.timeouts.transfer_ms and _spare(state):
        return "transfer clock"
    return ""


def _opening_tick(state: JobState, now: Millis) -> Step:
    if state.decided_ms:
        return _decide(state, now)
    if now < state.current.closed_ms + OPEN_MS:
        return state, ()
    current = state.current
    assert current.close is not None
    ended = tally(current.number, current.close.members, openings(current), state.terms.proof, current.width)
    state = with_round(state, msgspec.structs.replace(current, tally=ended))
    return _without_quorum(state, now)


def _probe(state: JobState, now: Millis) -> Step:
    if state.stage not in ("round", "opening", "delivering"):
        return state, ()
    effects: list[Effect] = []
    current = state.current
    for slot in current.live:
        if now < slot.probed_ms + PROBE_MS:
            continue
        again = _again(state, slot)
        if _knows(slot) and (now - slot.assigned_ms) // PROBE_MS % (PROBES_WITHOUT_WORDS + 1):
            current = with_slot(current, msgspec.structs.replace(slot, probed_ms=now))
        elif again:
            current = with_slot(current, msgspec.structs.replace(slot, probed_ms=now))
            effects.extend(again)
    return with_round(state, current), tuple(effects)


def _knows(slot: Slot) -> bool:
    """Whether the member has said that it is at work."""
    return slot.ack is not None and slot.commit is None


def again(state: JobState, member: NodeId) -> tuple[Effect, ...]:
    """What a member that has come back is told once more."""
    slot = slot_of(state.current, member) if state.rounds else None
    if slot is None or slot.gone or not _awaited(state, slot):
        return ()
    return (Send(member, cancel_order(state)),) if state.stage == "stopping" else _again(state, slot)


def _again(state: JobState, slot: Slot) -> tuple[Effect, ...]:
    if state.stage == "round":
        return _ask(state, slot.member, again=True) if slot.commit is None else ()
    assert state.current.close is not None
    return (Send(slot.member, state.current.close),) if _awaited(state, slot) else ()


def _awaited(state: JobState, slot: Slot) -> bool:
    """Whether something of this member is still to come, for which it is probed."""
    if state.stage == "round":
        return slot.commit is None
    if state.stage == "stopping":
        return slot.member not in state.stopped
    if slot.commit is None:
        return False
    return state.stage == "delivering" or slot.opening is None


def next_probe(state: JobState) -> Millis:
    """When `tick` has something to do."""
    if state.stage not in ("round", "opening", "delivering", "stopping") or not state.rounds:
        return Millis(1 << 62)
    slots = state.current.slots if state.stage == "stopping" else state.current.live
    due = min((slot.probed_ms + PROBE_MS for slot in slots if _awaited(state, slot)), default=1 << 62)
    if state.stage == "opening":
        due = min(due, state.current.closed_ms + OPEN_MS)
        due = min(due, state.decided_ms + OPEN_GRACE_MS) if state.decided_ms else due
    return Millis(due)


def _waited_for_anew(slot: Slot, now: Millis) -> Slot:
    slot = msgspec.structs.replace(slot, heard_ms=now, probed_ms=now)
    return slot if slot.commit else msgspec.structs.replace(slot, assigned_ms=now, started_ms=Millis(0))


def resume(state: JobState, now: Millis) -> Step:
    """After a restart, or a settlement that others brought about: what is awaited is asked for again, and its clocks
    start anew, because nobody could answer a node that was not there."""
    if not state.rounds:
        return state, ()
    slots = tuple(_waited_for_anew(slot, now) for slot in state.current.slots)
    state = with_round(state, msgspec.structs.replace(state.current, slots=slots))
    if state.stage in ("opening", "delivering"):
        state = replace(with_round(state, msgspec.structs.replace(state.current, closed_ms=now)), stage_ms=now)
    effects: list[Effect] = []
    if state.stage == "stopping":
        effects.extend(Send(slot.member, cancel_order(state)) for slot in state.current.live)
    else:
        effects.extend(effect for slot in state.current.live for effect in _again(state, slot))
    if state.stage in ("opening", "delivering"):
        effects.extend(Fetch((a.result_digest, a.log_digest), (a.member,)) for a in state.arrivals if not a.stored)
    return state, tuple(effects)
