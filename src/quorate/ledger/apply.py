"""The ledger is one pure state machine: `apply(state, transaction, block, verify) -> Applied`. No clock, no randomness,
no disk.

A transaction is applied whole or not at all: its rule returns a new state or refuses with a status, and the old state
was never touched. The same transaction of the same signer again gets the first answer and changes nothing, unless that
answer was one of `status.NOT_YET`. `verify` checks quoted signatures; it is a parameter so that a replay may trust what
was verified before, and a simulation may have its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from quorate.crypto.digests import digest
from quorate.ledger import accounts, closing, contracts, escrow, force, slashing
from quorate.ledger.ballots import Verify
from quorate.ledger.call import AuthenticatedTx, BlockContext, Call, Done, Rule
from quorate.ledger.state import RETAIN_MS, Answered, State, advanced, replace, sweep_at
from quorate.ledger.status import NOT_YET, Refused, Status
from quorate.model.codec import Value, encode
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
    given, and the events (of the first answer, or those that a refusal quotes) are in the log already. `encoded` are
    the bytes of the events."""

    state: State
    status: Status
    events: tuple[Value, ...]
    encoded: tuple[bytes, ...]
    detail: str
    fresh: bool


def apply(state: State, tx: AuthenticatedTx, block: BlockContext, verify: Verify) -> Applied:
    """The state after `tx` in `block`, with the status and the events. Raises InvalidField when the block would go back
    in time."""
    now = advanced(state, block.height, block.time_ms)
    key = tx.signer + tx.id
    known = now.answered.get(key)
    if known is not None:
        return Applied(state, known.status, known.events, _encoded(known.events), known.detail, fresh=False)
    try:
        done = _ruled(now, tx, block, verify)
    except Refused as refusal:
        if refusal.status in NOT_YET:
            quoted = _quoted(refusal)
            return Applied(state, refusal.status, quoted, _encoded(quoted), refusal.detail, fresh=False)
        return _recorded(now, tx, Answered(refusal.status, refusal.detail, ()))
    return _recorded(done.state, tx, Answered(Status.OK, "", done.events))


def _ruled(state: State, tx: AuthenticatedTx, block: BlockContext, verify: Verify) -> Done:
    value = tx.value
    if value.network != state.network:
        raise Refused(Status.WRONG_NETWORK)
    exempt = isinstance(value, Register) or (isinstance(value, OPEN_TO_SEQUENCERS) and tx.signer in state.sequencers)
    if tx.signer not in state.accounts and not exempt:
        raise Refused(Status.SIGNER_UNREGISTERED)
    return RULES[type(value)](state, Call(value, tx.signer, block, verify))


def _quoted(refusal: Refused) -> tuple[Value, ...]:
    if isinstance(refusal, closing.AlreadySettled):
        return (refusal.settlement,)
    return (refusal.opened,) if isinstance(refusal, escrow.AlreadyOpen) else ()


def _recorded(state: State, tx: AuthenticatedTx, answer: Answered) -> Applied:
    """Remembers the answer and takes it into the running digest: of unsigned bodies only, so that a replay needs no
    signatures (R10)."""
    key, encoded = tx.signer + tx.id, _encoded(answer.events)
    place = state.height.to_bytes(8, "big") + state.time_ms.to_bytes(8, "big")
    chained = digest("ledger step", state.digest, place, tx.signer, tx.id, answer.status.encode(), *encoded)
    state = replace(state, digest=chained, answered=state.answered.put(key, answer))
    state = sweep_at(state, state.time_ms + RETAIN_MS, ("answer", key))
    return Applied(state, answer.status, answer.events, encoded, answer.detail, fresh=True)


def _encoded(events: tuple[Value, ...]) -> tuple[bytes, ...]:
    return tuple(encode(event) for event in events)
