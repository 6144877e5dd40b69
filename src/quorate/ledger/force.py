"""Windows in ledger time for a member that is stalled or cheated: commit, then open, then the round is settled
(protocol R7).

    ForceRound ──▶ commit window ──▶ reveal window ──▶ CloseForced
                   ForceCommit       ForceReveal

A member posts its assignment and commitment, and the RoundClose if it has one. Everyone else of the agreement's rounds
may commit until the window ends; a RoundClose shown in it, by a member or by the requester's node, pins who counts.
Where the commitments are fixed already the commit window is `windows.commit_ms`; otherwise it also lasts until the
transfer and run clocks of the round have run out, so that one hasty member cannot end a job that others still run.
Openings come only after all commitments: nobody can copy a vote. Only a commitment that the member posted itself is at
stake: unopened at the end of the reveal window it is withheld, and its bond is lost.

A posted result stands for a DeliveryAck. It is at most 256 KiB; a larger one cannot be enforced beyond the attempt fee.
"""

from __future__ import annotations

import msgspec

from quorate.crypto.digests import blob_digest
from quorate.ledger.ballots import NOTHING, Ballot, Ballots, Seat, gathered, merged, opened, short
from quorate.ledger.call import Call, Done
from quorate.ledger.closing import open_escrow_of
from quorate.ledger.state import Escrow, Pending, State, with_escrow
from quorate.ledger.status import Refused, Status, refuse_if
from quorate.model.ledger_events import WindowsOpened
from quorate.model.transaction import ForceCommit, ForceReveal, ForceRound
from quorate.model.units import Millis, NodeId


def force_round(state: State, call: Call[ForceRound]) -> Done:
    """Opens the windows. Into a window of a Cancel or an undecided Settle it brings what stands there."""
    escrow = open_escrow_of(state, call.value.agreement)
    before = escrow.pending
    refuse_if(before is not None and before.forced, Status.WINDOW_OPEN)
    base = before.ballots if before else NOTHING
    own = gathered(escrow.terms, call.value.evidence, (), call.verify)
    ballots = _at_stake(merged(escrow.terms, base, own), call.value.round, call.signer)
    commit_by = _commit_by(state, escrow, ballots, call)
    reveal_by = commit_by + state.genesis.windows.reveal_ms
    pending = Pending(before.cause if before else "force", True, commit_by, reveal_by, ballots)
    event = WindowsOpened(
        network=state.network,
        agreement=escrow.terms.agreement_id,
        cause="force",
        round=call.value.round,
        commit_by_ms=Millis(commit_by),
        reveal_by_ms=Millis(reveal_by),
        height=call.block.height,
        time_ms=Millis(call.block.time_ms),
    )
    return Done(with_escrow(state, msgspec.structs.replace(escrow, pending=pending)), (event,))


def _commit_by(state: State, escrow: Escrow, ballots: Ballots, call: Call[ForceRound]) -> int:
    soonest = call.block.time_ms + state.genesis.windows.commit_ms
    ballot = ballots.round(call.value.round)
    if escrow.pending or (ballot and ballot.close):
        return soonest
    clocks = escrow.agreement.timeouts
    return max(soonest, escrow.opened.time_ms + call.value.round * (clocks.transfer_ms + clocks.run_ms))


def _at_stake(ballots: Ballots, number: int, member: NodeId) -> Ballots:
    """The member's own seat, now at stake. Raises Refused when it did not show its assignment and commitment, or did so
    before."""
    ballot = ballots.round(number)
    seat = ballot.seat(member) if ballot else None
    assigned = ballot is not None and member in dict(ballot.assigned)
    if ballot is None or seat is None or not seat.signed or not assigned:
        raise Refused(Status.NOT_COMMITTED)
    refuse_if(seat.at_stake, Status.ALREADY_COMMITTED)
    return _with_seat(ballots, ballot, msgspec.structs.replace(seat, at_stake=True))


def _with_seat(ballots: Ballots, ballot: Ballot, changed_seat: Seat) -> Ballots:
    seats = tuple(changed_seat if seat.member == changed_seat.member else seat for seat in ballot.seats)
    changed = msgspec.structs.replace(ballot, seats=seats)
    rounds = tuple(changed if item.number == ballot.number else item for item in ballots.rounds)
    return msgspec.structs.replace(ballots, rounds=rounds)


def force_commit(state: State, call: Call[ForceCommit]) -> Done:
    """A member's commitment while a window is open; or the RoundClose by which the requester's node pins who counts."""
    escrow = open_escrow_of(state, call.value.agreement)
    pending = escrow.pending
    if pending is None:
        raise Refused(Status.NO_WINDOW)
    refuse_if(call.block.time_ms > pending.commit_by_ms, Status.TOO_LATE)
    own = gathered(escrow.terms, call.value.evidence, (), call.verify)
    ballots = merged(escrow.terms, pending.ballots, own)
    if call.signer != escrow.agreement.node:
        staked = _at_stake(ballots, call.value.round, call.signer)
        # Beside a Cancel a shown commitment earns the attempt fee; it has no reveal window to be withheld in.
        ballots = staked if pending.forced else ballots
    pending = msgspec.structs.replace(pending, ballots=ballots)
    return Done(with_escrow(state, msgspec.structs.replace(escrow, pending=pending)))


def force_reveal(state: State, call: Call[ForceReveal]) -> Done:
    """A member's opening in the reveal window, with its result when it fits."""
    value, escrow = call.value, open_escrow_of(state, call.value.agreement)
    refuse_if(call.signer != value.opening.member, Status.NOT_AUTHORISED)
    pending = escrow.pending
    if pending is None or not pending.forced:
        raise Refused(Status.NO_WINDOW)
    refuse_if(call.block.time_ms <= pending.commit_by_ms, Status.TOO_EARLY)
    refuse_if(call.block.time_ms > pending.reveal_by_ms, Status.TOO_LATE)
    opening = value.opening
    placed = (value.network, value.agreement, value.round) == (opening.network, opening.agreement, opening.round)
    refuse_if(not placed, Status.WRONG_AGREEMENT)
    ballot = pending.ballots.round(value.round)
    seat = ballot.seat(call.signer) if ballot else None
    if ballot is None or seat is None:
        raise Refused(Status.OPENING_UNLISTED, short(call.signer))
    seat = opened(seat, opening)
    posted = blob_digest(value.result) == value.opening.body.result_digest
    refuse_if(bool(value.result) and not posted, Status.RESULT_MISMATCH)
    seat = msgspec.structs.replace(seat, signed=True, delivered=seat.delivered or posted)
    ballots = _with_seat(pending.ballots, ballot, seat)
    fresh = (value.result,) if escrow.call and posted and value.result not in pending.outputs else ()
    pending = msgspec.structs.replace(pending, ballots=ballots, outputs=(*pending.outputs, *fresh))
    return Done(with_escrow(state, msgspec.structs.replace(escrow, pending=pending)))
