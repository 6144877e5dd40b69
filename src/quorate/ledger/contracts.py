"""Contracts on the ledger: the head of each, and what a settled call does to it.

A head is a state key, a version and a balance; the bytes of states are not the ledger's. A call says on which head it
runs, and the ledger opens no escrow for another. When the call is settled its effects are applied by compare-and-swap:
the head must still be the one it ran on. Whoever comes second has a conflict, and nothing of its call remains but the
members' pay. A call that changes nothing moves no head and conflicts with nobody.

Balances that a contract reads of other accounts are those that stood when the escrow was opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from quorate.crypto.digests import body_digest
from quorate.crypto.sealing import public_result_tag
from quorate.errors import PeerError
from quorate.ledger.ballots import check_signatures
from quorate.ledger.call import Call, Done
from quorate.ledger.settle import Judgement
from quorate.ledger.state import ContractRecord, Escrow, State, credited, replace, with_account, with_contract
from quorate.ledger.status import Refused, Status, refuse_if
from quorate.model.call import Balance, CallOutcome, ContractCall
from quorate.model.codec import decode
from quorate.model.contract import ID_BYTES, Deployment
from quorate.model.job import JobCore
from quorate.model.ledger_events import Deployed
from quorate.model.output import Output
from quorate.model.settlement import CallSettled, Payment
from quorate.model.transaction import ContractHead, Deploy, Head
from quorate.model.trap import Status as Ended
from quorate.model.units import COHORT_MAX, Digest, MicroCredits, Millis, NodeId

CONTRACTS_MAX = 1024
"""Most contracts of one deployer: heads are kept for ever."""


def deploy(state: State, call: Call[Deploy]) -> Done:
    """Gives a contract its first head: the state it declares to be born with, version 0, no balance."""
    signed = call.value.deployment
    refuse_if(signed.noun != "deployment", Status.MALFORMED, signed.noun)
    try:
        deployment = decode(signed.body, Deployment)
    except PeerError as fault:
        raise Refused(Status.MALFORMED, f"deployment: {fault.field}") from None
    refuse_if(deployment.network != state.network, Status.OTHER_NETWORK)
    key = body_digest("deployment", signed.body)
    refuse_if(key in state.contracts, Status.ALREADY_DEPLOYED)
    refuse_if(key[:ID_BYTES] in state.ids, Status.ID_TAKEN)
    deployer = state.accounts.get(deployment.deployer)
    refuse_if(signed.signer != deployment.deployer, Status.NOT_AUTHORISED)
    if deployer is None:
        raise Refused(Status.REQUESTER_UNREGISTERED)
    refuse_if(deployer.contracts >= CONTRACTS_MAX, Status.TOO_MANY_CONTRACTS, str(CONTRACTS_MAX))
    check_signatures((signed,), call.verify)
    state = with_account(state, deployment.deployer, contracts=deployer.contracts + 1)
    record = ContractRecord(deployment, deployment.contract.state, 0, 0, (call.signer,))
    state = replace(with_contract(state, key, record), ids=state.ids.put(key[:ID_BYTES], key))
    event = Deployed(
        network=state.network,
        contract=key,
        deployer=deployment.deployer,
        height=call.block.height,
        time_ms=Millis(call.block.time_ms),
    )
    return Done(state, (event,))


def epoch_of(state: State, time_ms: int) -> int:
    return time_ms // state.genesis.epoch_ms


def balance_of(state: State, account: bytes) -> int | None:
    """What the account or contract holds whose id begins with these 16 bytes."""
    key = state.ids.get(account)
    if key is None:
        return None
    found = state.accounts.get(NodeId(key))
    return found.balance_micro if found else state.contracts[Digest(key)].balance_micro


def head_of(state: State, time_ms: int, contract: Digest, accounts: Sequence[bytes]) -> ContractHead:
    """The ledger's answer at `time_ms` to whoever means to call `contract`. A quiet ledger makes no blocks: the epoch
    of its last one may be long over, and a call that names that one would be refused."""
    record = state.contracts.get(contract)
    head = _head(record) if record else None
    amounts = {account: balance_of(state, account) for account in sorted(set(accounts))}
    return ContractHead(
        network=state.network,
        contract=contract,
        head=head,
        balances=tuple(
            Balance(account=account, amount_micro=MicroCredits(amount))
            for account, amount in amounts.items()
            if amount is not None
        ),
        epoch=epoch_of(state, max(time_ms, state.time_ms)),
        height=state.height,
    )


def _head(record: ContractRecord) -> Head:
    return Head(
        deployment=record.deployment,
        state=record.state,
        version=record.version,
        balance_micro=MicroCredits(record.balance_micro),
        holders=record.holders,
    )


def check_call(state: State, time_ms: int, core: JobCore) -> None:
    """What a job says of the contract it calls is true now. Raises Refused."""
    call = core.call
    if call is None:
        return
    record = state.contracts.get(call.contract)
    if record is None:
        raise Refused(Status.UNKNOWN_CONTRACT, call.contract.hex()[:16])
    contract = record.deployment.contract
    program = (core.program.kind, core.program.digest)
    refuse_if(program != (contract.kind, contract.program), Status.CALL_MISMATCH, "program")
    known = core.program.entry in {function.name for function in contract.functions}
    refuse_if(not known, Status.CALL_MISMATCH, "function")
    epoch = epoch_of(state, time_ms)
    # An epoch may end while the job is on its way.
    refuse_if(call.epoch not in (epoch, epoch - 1), Status.EPOCH_WRONG, str(epoch))
    refuse_if((call.state, call.version) != (record.state, record.version), Status.STATE_CONFLICT, "head")
    for balance in call.balances:
        paid_in = call.deposit_micro if balance.account == call.self_id else 0
        found = balance_of(state, balance.account)
        refuse_if(found is None or found + paid_in != balance.amount_micro, Status.STATE_CONFLICT, "balance")


class Effect(NamedTuple):
    """What a settlement does to a contract. `refund_micro` of the deposit goes back."""

    settled: CallSettled | None
    payments: tuple[Payment, ...]
    record: ContractRecord | None
    refund_micro: int


NO_CALL = Effect(None, (), None, 0)


def effect_of(state: State, escrow: Escrow, ruling: Judgement, outputs: Sequence[bytes]) -> Effect:
    """The effect of the call that `escrow` is for. `outputs` are those that were shown; at most one is the agreed
    one."""
    call = escrow.call
    if call is None:
        return NO_CALL
    record = state.contracts[call.contract]
    output = agreed_output(ruling, outputs)
    outcome = succeeded(output) if output else None
    if not ruling.paid:
        result = "void"
    elif not output:
        result = "unseen"
    elif outcome is None:
        result = "failed"
    elif changes_nothing(call, outcome):
        result = "read"
    elif (record.state, record.version) != (call.state, call.version):
        result = "conflict"
    elif not _payable(state, call, outcome):
        result = "unpayable"
    else:
        return _applied(state, escrow, call, outcome, ruling)
    return Effect(_settled(call, result, record), (), None, call.deposit_micro)


def agreed_output(ruling: Judgement, outputs: Sequence[bytes]) -> bytes:
    """The one that was voted for; empty when it is not among them. The output of a call is public, so its tag is a
    plain digest."""
    vote = ruling.verdict.vote
    return next((data for data in outputs if vote and public_result_tag(data) == vote.tag), b"")


def succeeded(output: bytes) -> CallOutcome | None:
    """The outcome in the output of a call that succeeded; None for any other output, agreed on or not."""
    try:
        ended = decode(output, Output)
        outcome = decode(ended.stdout, CallOutcome) if ended.status == Ended.SUCCESS else None
    except PeerError:
        return None
    return outcome if outcome and outcome.status == "ok" else None


def changes_nothing(call: ContractCall, outcome: CallOutcome) -> bool:
    return outcome.state == call.state and not outcome.transfers and not call.deposit_micro


def _payable(state: State, call: ContractCall, outcome: CallOutcome) -> bool:
    total = sum(transfer.amount_micro for transfer in outcome.transfers)
    known = all(transfer.to in state.ids for transfer in outcome.transfers)
    return known and total <= (call.balance(call.self_id) or 0)


def _applied(state: State, escrow: Escrow, call: ContractCall, outcome: CallOutcome, ruling: Judgement) -> Effect:
    record, terms = state.contracts[call.contract], escrow.terms
    account = NodeId(call.contract)
    payments = [
        Payment(account, NodeId(state.ids[transfer.to]), transfer.amount_micro, "transfer")
        for transfer in outcome.transfers
        if transfer.amount_micro
    ]
    if call.deposit_micro:
        payments.insert(0, Payment(terms.agreement.requester, account, call.deposit_micro, "deposit"))
    agreed = ruling.verdict.rounds[-1].agreed
    after = msgspec.structs.replace(
        record,
        state=outcome.state,
        version=record.version + 1,
        holders=tuple(dict.fromkeys((terms.agreement.node, *agreed)))[:COHORT_MAX],
    )
    return Effect(_settled(call, "applied", after), tuple(payments), after, 0)


def _settled(call: ContractCall, result: str, head: ContractRecord) -> CallSettled:
    return CallSettled(contract=call.contract, result=result, state=head.state, version=head.version)  # type: ignore[arg-type]


def moved(state: State, effect: Effect) -> State:
    """The state after the effect: the new head, the deposit in, the transfers out."""
    if effect.record is None or effect.settled is None:
        return state
    state = with_contract(state, effect.settled.contract, effect.record)
    for payment in effect.payments:
        if payment.reason == "transfer":
            state = _credited(state, payment.source, -payment.amount_micro)
        state = _credited(state, payment.account, payment.amount_micro)
    return state


def _credited(state: State, key: bytes, amount_micro: int) -> State:
    if NodeId(key) in state.accounts:
        return credited(state, NodeId(key), amount_micro)
    record = state.contracts[Digest(key)]
    balance = record.balance_micro + amount_micro
    return with_contract(state, Digest(key), msgspec.structs.replace(record, balance_micro=balance))
