"""Bonds that are lost, and scores that move: proven equivocation (protocol R8) and openings withheld in a ledger window
(R7).

Equivocation is two different canonical statements of one signer for one place in the protocol:

    commit         one member, one assignment
    round end      RoundClose or RoundAbort of one round, by the requester's node
    delivery_ack   one round, by the requester's node

Signatures are never compared. A member loses the smaller of its stake and the agreement's bond, to the requester. The
requester's side loses its bond out of the escrow, or out of the requester's stake when that is settled, to the members
that the closings name in equal parts (the first takes the remainder), or to whoever shows it when none is named. One
bond per party and agreement: a second proof finds nothing. Dissent is never slashed. An assignment or Ack said twice is
not equivocation: wraps are randomised, and a member may refuse later.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from quorate.errors import PeerError
from quorate.ledger.ballots import check_signatures
from quorate.ledger.call import Call, Done
from quorate.ledger.reputation import moved
from quorate.ledger.state import Escrow, State, credited, with_account, with_escrow, withdrawn
from quorate.ledger.status import Refused, Status, refuse_if
from quorate.model.claim import Commit, DeliveryAck, RoundAbort, RoundClose
from quorate.model.codec import decode
from quorate.model.evidence import Signed
from quorate.model.ledger_events import Slashed
from quorate.model.settlement import Payment, ReputationEvent
from quorate.model.transaction import Equivocation
from quorate.model.units import MicroCredits, Millis, NodeId

Contradictable = Commit | RoundClose | RoundAbort | DeliveryAck
KINDS: dict[str, type[Contradictable]] = {
    "commit": Commit,
    "round_close": RoundClose,
    "round_abort": RoundAbort,
    "delivery_ack": DeliveryAck,
}


class _Said(NamedTuple):
    """A statement, who signed it, and the place in the protocol that takes only one."""

    value: Contradictable
    signer: NodeId
    place: tuple[str | bytes | int, ...]


def _read(signed: Signed) -> _Said:
    kind = KINDS.get(signed.noun)
    refuse_if(kind is None, Status.MALFORMED, signed.noun)
    assert kind is not None
    try:
        value = decode(signed.body, kind)
    except PeerError as fault:
        raise Refused(Status.MALFORMED, f"{signed.noun}: {fault.field}") from None
    if isinstance(value, Commit):
        return _Said(value, signed.signer, ("commit", value.agreement, value.member, value.round, value.assignment))
    phase = "delivery" if isinstance(value, DeliveryAck) else "round end"
    return _Said(value, signed.signer, (phase, value.agreement, value.round))


def punish_equivocation(state: State, call: Call[Equivocation]) -> Done:
    """Two statements that exclude each other cost their signer its bond."""
    first, second = _read(call.value.first), _read(call.value.second)
    escrow = state.escrows.get(first.value.agreement)
    if escrow is None:
        raise Refused(Status.UNKNOWN_AGREEMENT)
    agreement = escrow.agreement
    refuse_if(first.value.network != state.network or second.value.network != state.network, Status.WRONG_AGREEMENT)
    of_member = isinstance(first.value, Commit)
    expected = first.value.member if isinstance(first.value, Commit) else agreement.node
    refuse_if(first.signer != expected or second.signer != expected, Status.WRONG_SIGNER)
    refuse_if(of_member and expected not in escrow.terms.members, Status.NOT_DRAWN)
    same_place = first.place == second.place
    refuse_if(not same_place or first.value == second.value, Status.NOT_EQUIVOCATION)
    offender = expected if of_member else agreement.requester
    refuse_if(offender in escrow.slashed, Status.ALREADY_SLASHED)
    check_signatures((call.value.first, call.value.second), call.verify)
    if of_member:
        state, lost = slash_stake(state, escrow, offender)
    else:
        state, lost = _slash_requester(state, escrow, _named(escrow, first, second) or (call.signer,))
    state = with_escrow(
        state, msgspec.structs.replace(state.escrows[escrow.terms.agreement_id], slashed=(*escrow.slashed, offender))
    )
    reputation = (ReputationEvent(offender, "equivocated"),)
    state = with_reputation(state, reputation)
    event = Slashed(
        network=state.network,
        agreement=escrow.terms.agreement_id,
        offender=offender,
        payments=lost,
        reputation=reputation,
        height=call.block.height,
        time_ms=Millis(call.block.time_ms),
    )
    return Done(state, (event,))


def _named(escrow: Escrow, *said: _Said) -> tuple[NodeId, ...]:
    """The drawn members that the closings name: those who worked under them."""
    named = {member for item in said if isinstance(item.value, RoundClose) for member in item.value.members}
    return tuple(member for member in escrow.terms.members if member in named)


def slash_stake(state: State, escrow: Escrow, offender: NodeId) -> tuple[State, tuple[Payment, ...]]:
    """The bond of a member, out of its stake, to the requester."""
    amount = min(state.accounts[offender].stake_micro, escrow.agreement.bond_micro)
    if not amount:
        return state, ()
    requester = escrow.agreement.requester
    state = with_account(state, offender, stake_micro=state.accounts[offender].stake_micro - amount)
    state = credited(state, requester, amount)
    return _withdraw_unbacked(state, offender), (Payment(offender, requester, MicroCredits(amount), "slash"),)


def _slash_requester(state: State, escrow: Escrow, harmed: tuple[NodeId, ...]) -> tuple[State, tuple[Payment, ...]]:
    requester, bond = escrow.agreement.requester, escrow.agreement.bond_micro
    if escrow.settlement is None:
        amount = escrow.bond_micro
        emptied = msgspec.structs.replace(escrow, balance_micro=escrow.balance_micro - amount, bond_micro=0)
        state = with_escrow(state, emptied)
    else:
        amount = min(state.accounts[requester].stake_micro, bond)
        state = with_account(state, requester, stake_micro=state.accounts[requester].stake_micro - amount)
        state = _withdraw_unbacked(state, requester)
    share, rest = divmod(amount, len(harmed))
    lost = []
    for place, member in enumerate(harmed):
        part = share + (rest if place == 0 else 0)
        if part:
            state = credited(state, member, part)
            lost.append(Payment(requester, member, MicroCredits(part), "slash"))
    return state, tuple(lost)


def with_reputation(state: State, events: tuple[ReputationEvent, ...]) -> State:
    """Scores after `events`; offers of whoever falls below the gate cease to stand."""
    for event in events:
        account = state.accounts[event.account]
        score = moved(account.score, event)
        if score != account.score:
            state = with_account(state, event.account, score=score)
            state = _withdraw_unbacked(state, event.account)
    return state


def _withdraw_unbacked(state: State, key: NodeId) -> State:
    account, genesis = state.accounts[key], state.genesis
    backed = account.stake_micro >= genesis.bond_micro and account.score >= genesis.reputation_gate
    return state if backed or not account.offers else withdrawn(state, key)
