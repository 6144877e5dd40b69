"""The ledger is one pure state machine: `apply(state, transaction, block, verify) -> Applied`. No clock, no randomness,
no disk.

A transaction is applied whole or not at all: its rule returns a new state or refuses with a status, and the old state
was never touched. The same transaction of the same signer again gets the first answer and changes nothing, unless that
answer was one of `status.NOT_YET`. `verify` checks quoted signatures; it is a parameter so that a replay may trust what
was verified before, and a simulation may have its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from quorate.crypto.digests import digest
from quorate.ledger import accounts, closing, contracts, escrow, force, slashing
from quorate.ledger.ballots import Verify
from quorate.ledger.call import AuthenticatedTx, BlockContext, Call, Done, Rule
from quorate.ledger.state import RETAIN_MS, Answered, State, Told, advanced, replace, with_escrow
from quorate.ledger.status import NOT_YET, Refused, Status
from quorate.model.agreement import EscrowOpened
from quorate.model.codec import Value, encode
from quorate.model.settlement import Settlement
from quorate.model.transaction import (
    Cancel,
    CloseForced,
    Deploy,
    DepositStake,
    Equivocation,
    Expire,
    ForceCommit,
    ForceReveal,
    ForceRound,
    OpenEscrow,
    PostOffer,
    Register,
    Settle,
    TransferCredits,
)

RULES: dict[type[Value], Rule[Any]] = {
    Register: accounts.register,
    TransferCredits: accounts.transfer,
    DepositStake: accounts.deposit,
    Deploy: contracts.deploy,
    PostOffer: accounts.post_offer,
    OpenEscrow: escrow.open_escrow,
    Settle: closing.settle,
    Cancel: closing.cancel,
    Expire: closing.expire,
    ForceRound: force.force_round,
    ForceCommit: force.force_commit,
    ForceReveal: force.force_reveal,
    CloseForced: closing.close_forced,
    Equivocation: slashing.punish_equivocation,
}
OPEN_TO_SEQUENCERS = (Expire, CloseForced)
"""The ledger's own keys may post these without an account, so that no escrow waits for a party that is gone."""


class Applied(NamedTuple):
    """`fresh`: this transaction is part of the block and its events are new. Otherwise the state is the one that was
    given, and the events (of the first answer, or those that a refusal quotes) are in the log already. `events` are
    their bytes, `place` is that of the first of them in the log; `said` are the new ones as values."""

    state: State
    status: Status
    events: tuple[bytes, ...]
    place: int
    detail: str
    fresh: bool
    said: tuple[Value, ...] = ()


def apply(state: State, tx: AuthenticatedTx, block: BlockContext, verify: Verify) -> Applied:
    """The state after `tx` in `block`, with the status and the events. Raises InvalidField when the block would go back
    in time."""
    now = advanced(state, block.height, block.time_ms)
    key = tx.signer + tx.id
    known = now.answered.get(key)
    if known is not None:
        return Applied(state, known.status, known.events, known.place, known.detail, fresh=False)
    try:
        done = _ruled(now, tx, block, verify)
    except Refused as refusal:
        if refusal.status in NOT_YET:
            return _unrecorded(state, key, refusal)
        return _recorded(now, tx, refusal.status, refusal.detail, ())
    return _recorded(done.state, tx, Status.OK, "", done.events)


def _ruled(state: State, tx: AuthenticatedTx, block: BlockContext, verify: Verify) -> Done:
    value = tx.value
    if value.network != state.network:
        raise Refused(Status.WRONG_NETWORK)
    exempt = isinstance(value, Register) or (isinstance(value, OPEN_TO_SEQUENCERS) and tx.signer in state.sequencers)
    if tx.signer not in state.accounts and not exempt:
        raise Refused(Status.SIGNER_UNREGISTERED)
    return RULES[type(value)](state, Call(value, tx.signer, block, verify))


def _unrecorded(state: State, key: bytes, refusal: Refused) -> Applied:
    """The first answer once more, if the very same transaction opened or closed the escrow that it speaks of; else a
    refusal that may quote what did."""
    event: Value | None = None
    told: Told | None = None
    if isinstance(refusal, closing.AlreadySettled):
        event, told = refusal.escrow.settlement, refusal.escrow.told_settled
    elif isinstance(refusal, escrow.AlreadyOpen):
        event, told = refusal.escrow.opened, refusal.escrow.told_opened
    if event is None or told is None:
        return Applied(state, refusal.status, (), 0, refusal.detail, fresh=False)
    status = Status.OK if told.key == key else refusal.status
    return Applied(state, status, (encode(event),), told.place, "", fresh=False)


def _recorded(state: State, tx: AuthenticatedTx, status: Status, detail: str, said: tuple[Value, ...]) -> Applied:
    """Remembers the answer and takes it into the running digest: of unsigned bodies only, so that a replay needs no
    signatures (R10)."""
    events, place = tuple(encode(event) for event in said), state.events
    when = state.height.to_bytes(8, "big") + state.time_ms.to_bytes(8, "big")
    chained = digest("ledger step", state.digest, when, tx.signer, tx.id, status.encode(), *events)
    answer = Answered(status, detail, events, place, state.time_ms + RETAIN_MS)
    state = _remembered(state, tx.signer + tx.id, answer, said)
    state = replace(state, digest=chained, events=place + len(events))
    return Applied(state, status, events, place, detail, fresh=True, said=said)


def _remembered(state: State, key: bytes, answer: Answered, said: tuple[Value, ...]) -> State:
    match said:
        case (EscrowOpened() as opened,):
            held = state.escrows[opened.agreement]
            return with_escrow(state, msgspec.structs.replace(held, told_opened=Told(answer.place, key)))
        case (Settlement() as settled,):
            held = state.escrows[settled.agreement]
            return with_escrow(state, msgspec.structs.replace(held, told_settled=Told(answer.place, key)))
    return replace(state, answered=state.answered.put(key, answer))
