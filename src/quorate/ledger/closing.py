"""The terminal transactions of an agreement: Settle, Cancel, Expire, CloseForced. The first that closes the escrow is
the only one.

Some ends are certain at once: an accepted and delivered outcome; all rounds split; a Cancel when every drawn member has
said that it never committed. Every other end that the requester's side asks for waits `windows.cancel_ms`, because the
ledger has only that side's word for who was asked and who answered: until then a member may show its commitment
(ForceCommit) for the attempt fee, or force its round for the full price, and anyone with a DeliveryAck may still
settle. Then CloseForced or Expire, by anyone, ends it. So a requester cannot take results and cancel (R6), and nobody
needs to be alive but one who posts the closing: the sequencer does.
"""

from __future__ import annotations

import msgspec

from quorate.ledger.ballots import NOTHING, Ballots, gathered
from quorate.ledger.call import BlockContext, Call, Done
from quorate.ledger.settle import Cause, Judgement, examined, judged, payments, settlement_value
from quorate.ledger.slashing import slash_stake, with_reputation
from quorate.ledger.state import Escrow, Pending, State, credited, with_escrow
from quorate.ledger.status import Refused, Status, refuse_if
from quorate.model.ledger_events import WindowsOpened
from quorate.model.settlement import Payment, ReputationEvent
from quorate.model.transaction import Cancel, CloseForced, Expire, Settle
from quorate.model.units import Digest, Millis


class AlreadySettled(Refused):
    """The answer carries the terminal event."""

    def __init__(self, escrow: Escrow) -> None:
        super().__init__(Status.ALREADY_SETTLED)
        self.escrow = escrow


def open_escrow_of(state: State, agreement: Digest) -> Escrow:
    """The escrow while it is open. Raises Refused."""
    escrow = state.escrows.get(agreement)
    if escrow is None:
        raise Refused(Status.UNKNOWN_AGREEMENT)
    if escrow.settlement is not None:
        raise AlreadySettled(escrow)
    return escrow


def settle(state: State, call: Call[Settle]) -> Done:
    """Ends the agreement when the evidence decides it; otherwise the requester's side may have it decided after a
    window."""
    escrow, value = open_escrow_of(state, call.value.agreement), call.value
    ballots, ruling = examined(escrow.terms, value.evidence, value.openings, call.signer, call.verify)
    if ruling.paid or ruling.conclusive:
        return closed(state, escrow, ruling, "settle", call.block)
    own_side = call.signer in (escrow.agreement.node, escrow.agreement.requester)
    refuse_if(not own_side or escrow.pending is not None, Status.UNDECIDED)
    return wait(state, escrow, ballots, "settle", call.block)


def cancel(state: State, call: Call[Cancel]) -> Done:
    """The requester's side gives up: attempt fees for whoever committed, after the time in which members may say so
    themselves."""
    escrow = open_escrow_of(state, call.value.agreement)
    agreement = escrow.agreement
    refuse_if(call.signer not in (agreement.node, agreement.requester), Status.NOT_AUTHORISED)
    refuse_if(escrow.pending is not None, Status.WINDOW_OPEN)
    ballots = gathered(escrow.terms, call.value.evidence, (), call.verify)
    committed = any(ballot.seats for ballot in ballots.rounds)
    if not committed and ballots.excused.issuperset(escrow.terms.members):
        return closed(state, escrow, judged(escrow.terms, ballots), "cancel", call.block)
    return wait(state, escrow, ballots, "cancel", call.block)


def wait(state: State, escrow: Escrow, ballots: Ballots, cause: Cause, block: BlockContext) -> Done:
    """Opens the window before an end that the evidence does not prove."""
    assert cause in ("cancel", "settle")
    until = block.time_ms + state.genesis.windows.cancel_ms
    pending = Pending(cause, False, until, until, ballots)
    event = WindowsOpened(
        network=state.network,
        agreement=escrow.terms.agreement_id,
        cause=cause,
        round=0,
        commit_by_ms=Millis(until),
        reveal_by_ms=Millis(until),
        height=block.height,
        time_ms=Millis(block.time_ms),
    )
    return Done(with_escrow(state, msgspec.structs.replace(escrow, pending=pending)), (event,))


def close_forced(state: State, call: Call[CloseForced]) -> Done:
    """Past its windows the agreement is settled from what stands on the ledger."""
    escrow = open_escrow_of(state, call.value.agreement)
    refuse_if(escrow.pending is None, Status.NO_WINDOW)
    return _close_pending(state, escrow, call.block)


def expire(state: State, call: Call[Expire]) -> Done:
    """Past `settle_by_ms` everything goes back, unless windows are or were open: then what stands on the ledger
    decides."""
    escrow = open_escrow_of(state, call.value.agreement)
    if escrow.pending is not None:
        return _close_pending(state, escrow, call.block)
    refuse_if(call.block.time_ms <= escrow.agreement.settle_by_ms, Status.TOO_EARLY)
    return closed(state, escrow, judged(escrow.terms, NOTHING), "expire", call.block)


def _close_pending(state: State, escrow: Escrow, block: BlockContext) -> Done:
    pending = escrow.pending
    assert pending is not None
    refuse_if(block.time_ms <= pending.reveal_by_ms, Status.TOO_EARLY)
    ruling = judged(escrow.terms, pending.ballots, pay_commits=pending.cause == "cancel")
    return closed(state, escrow, ruling, "force" if pending.forced else pending.cause, block)


def closed(state: State, escrow: Escrow, ruling: Judgement, cause: Cause, block: BlockContext) -> Done:
    """Pays out the whole escrow, slashes what was withheld, moves the scores and leaves the settlement in place of the
    escrow."""
    terms = escrow.terms
    transfers = payments(terms, ruling.dues, escrow.balance_micro - escrow.bond_micro, escrow.bond_micro)
    for transfer in transfers:
        state = credited(state, transfer.account, transfer.amount_micro)
    withheld = tuple(member for member in ruling.unopened if member not in escrow.slashed)
    slashes: tuple[Payment, ...] = ()
    for member in withheld:
        state, lost = slash_stake(state, escrow, member)
        slashes += lost
    scores = (*ruling.reputation, *(ReputationEvent(member, "withheld") for member in withheld))
    state = with_reputation(state, scores)
    settlement = settlement_value(terms, ruling._replace(reputation=scores), (*transfers, *slashes), cause, block)
    escrow = msgspec.structs.replace(
        escrow,
        balance_micro=0,
        bond_micro=0,
        pending=None,
        settlement=settlement,
        slashed=(*escrow.slashed, *withheld),
    )
    return Done(with_escrow(state, escrow), (settlement,))
