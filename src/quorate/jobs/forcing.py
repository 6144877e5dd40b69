"""Stalled or cheated: a member that has committed turns to the ledger (protocol R7).

    patience ends ──▶ asked ──windows open──▶ reveal ──commit window over──▶ close ──▶ (Settlement)
                       │ with a DeliveryAck and everyone's opening in hand it settles by itself first
                       └ its RoundClose is refused ──▶ plain: the same without it

Patience follows the clocks of the job, so that a member never ends a job that others still run or that has a round
left; it never reaches beyond `settle_by_ms`. Everything is posted again until the settlement is known, because a
commitment posted here is at stake: unopened at the end of the windows it costs the bond.
"""

from __future__ import annotations

import msgspec

from quorate.jobs.lease_state import LeaseState, Refused, Step, Tick, Windows, close_of
from quorate.jobs.lease_statements import commitment, opening, valid_openings
from quorate.model.effects import Effect, Post, Send
from quorate.model.evidence import Signed
from quorate.model.transaction import CloseForced, ForceCommit, ForceReveal, ForceRound, Settle
from quorate.model.units import Millis

RETRY_MS = 5_000
MARGIN_MS = 250
"""Beyond the end of a window of ledger time, so that the next transaction falls behind it."""
FORCE_AFTER_MS = 30_000
"""Beyond the clocks of the job: how long a member waits for the next word of the requester's side."""
REVEALING = ("reveal", "close")
CLOSE_FAULTS = ("close_malformed", "close_conflict", "audit_seed_wrong", "commit_mismatch", "bad_signature")
"""Refusals that the requester's node has caused by the RoundClose it gave this member."""


def due(state: LeaseState) -> Millis:
    """When `tick` has something to do for a member that has committed."""
    return state.force_due_ms or patience_ends(state)


def patience_ends(state: LeaseState) -> Millis:
    """A member that computed the acceptance waits only for the requester's word; one that has opened, for the rounds
    that may follow; one that has committed, for the others of its round."""
    clocks, terms = state.terms.timeouts, state.terms
    wait = FORCE_AFTER_MS
    if state.stage == "committed":
        wait += clocks.transfer_ms + clocks.run_ms
    elif state.stage == "opened":
        left = terms.rounds - state.order.round
        wait += clocks.verify_ms + left * (clocks.transfer_ms + clocks.run_ms + clocks.verify_ms)
    return Millis(min(state.since_ms + wait, terms.settle_by_ms - FORCE_AFTER_MS))


def tick(state: LeaseState, event: Tick, now: Millis) -> Step:
    if now < due(state):
        return state, ()
    if state.commit is None:
        # Its own signature is not saved: the commitment is said again to have it.
        return _next(state, state.forced, now + RETRY_MS), (Send(state.node, commitment(state)),)
    if state.forced == "window":
        return show_commitment(state)
    if not state.forced and _can_settle(state):
        return _next(state, "settle", now + FORCE_AFTER_MS), (_settle(state),)
    if state.forced == "reveal":
        return _next(state, "close", state.close_due_ms or now + RETRY_MS), (_reveal(state),)
    if state.forced == "close":
        close = CloseForced(network=state.order.network, agreement=state.agreement_id)
        return _next(state, "close", now + RETRY_MS), (_reveal(state), Post(close))
    return _ask(state, now)


def windows(state: LeaseState, event: Windows, now: Millis) -> Step:
    """The ledger opened windows. In a forced round: commit, open in the second window, have it closed. Before a
    cancellation: the commitment is worth the attempt fee; a member that computed the acceptance forces its round."""
    if state.forced in REVEALING:
        return state, ()
    opened = event.event
    if opened.cause != "force":
        if state.commit is None:
            return state, ()
        return (
            _ask(state, now) if state.stage == "delivered" else (_next(state, "", 0, since_ms=now), (_commit(state),))
        )
    window_ms = opened.commit_by_ms - opened.time_ms
    state = _next(
        state,
        "window",
        now + window_ms // 2,
        reveal_due_ms=Millis(now + window_ms + MARGIN_MS),
        close_due_ms=Millis(now + opened.reveal_by_ms - opened.time_ms + MARGIN_MS),
    )
    return show_if_closed(state)


def show_if_closed(state: LeaseState) -> Step:
    """In an open window the commitment goes with the RoundClose, which pins who counts; without one, or while the guest
    still runs, half of the window is waited for it."""
    ready = state.forced == "window" and state.commit is not None and state.close is not None
    return show_commitment(state) if ready else (state, ())


def show_commitment(state: LeaseState) -> Step:
    return _next(state, "reveal", state.reveal_due_ms), (_commit(state),)


def refused(state: LeaseState, event: Refused, now: Millis) -> Step:
    if state.commit is None:
        return state, ()
    if event.noun == "settle" and state.forced == "settle":
        return _ask(state, now)
    if event.noun == "force_reveal" and event.status == "too_early":
        return _next(state, "reveal", now + RETRY_MS), ()
    if event.noun == "force_commit" and event.status in CLOSE_FAULTS and state.close is not None:
        return state, (_commit(state, with_close=False),)
    if event.noun != "force_round" or state.forced in REVEALING:
        return state, ()
    if event.status in ("window_open", "already_committed"):
        return _next(state, "reveal", now + RETRY_MS), (_commit(state),)
    if state.forced == "asked" and state.close is not None:
        # The ledger does not take the RoundClose it was given: the round is forced without it.
        return _next(state, "plain", now + RETRY_MS), (_force(state, with_close=False),)
    return _next(state, state.forced, now + FORCE_AFTER_MS), ()


def resume(state: LeaseState) -> tuple[Effect, ...]:
    """After a restart: what may have been under way to the ledger is posted again."""
    if state.commit is None or state.forced not in REVEALING:
        return ()
    return (_commit(state), _reveal(state)) if state.forced == "close" else (_commit(state),)


def _ask(state: LeaseState, now: Millis) -> Step:
    plain = state.forced == "plain"
    return _next(state, "plain" if plain else "asked", now + RETRY_MS), (_force(state, with_close=not plain),)


def _next(state: LeaseState, forced: str, due_ms: int, **changes: Millis) -> LeaseState:
    return msgspec.structs.replace(state, forced=forced, force_due_ms=Millis(due_ms), **changes)


def _own(state: LeaseState) -> tuple[Signed, ...]:
    assert state.commit is not None
    return state.assignment, state.commit


def _evidence(state: LeaseState, with_close: bool) -> tuple[Signed, ...]:
    said = (state.close, state.delivery_ack) if with_close else ()
    return (*_own(state), *(signed for signed in said if signed is not None))


def _force(state: LeaseState, with_close: bool) -> Post:
    order, evidence = state.order, _evidence(state, with_close)
    return Post(ForceRound(network=order.network, agreement=state.agreement_id, round=order.round, evidence=evidence))


def _commit(state: LeaseState, with_close: bool = True) -> Post:
    """With the RoundClose, which pins who counts, where there is one."""
    order, evidence = state.order, _evidence(state, with_close)
    return Post(ForceCommit(network=order.network, agreement=state.agreement_id, round=order.round, evidence=evidence))


def _reveal(state: LeaseState) -> Post:
    """The result goes by its digest, which the opening names: the shell puts a small one inside."""
    order = state.order
    return Post(
        ForceReveal(
            network=order.network,
            agreement=state.agreement_id,
            round=order.round,
            opening=opening(state),
            result=b"",
        )
    )


def _can_settle(state: LeaseState) -> bool:
    """Only with everyone's opening, in the first round: whoever is missing would go unpaid, and so would the members of
    earlier rounds. A forced round lets them all speak."""
    if state.delivery_ack is None or state.close is None or state.order.round > 1:
        return False
    return len(valid_openings(state)) == len(close_of(state.close.body).members)


def _settle(state: LeaseState) -> Post:
    evidence = tuple(signed for signed in (*_own(state), state.close, state.delivery_ack) if signed)
    openings = tuple(valid_openings(state).values())
    return Post(
        Settle(
            network=state.order.network, agreement=state.agreement_id, evidence=evidence, openings=openings, outcome=b""
        )
    )
