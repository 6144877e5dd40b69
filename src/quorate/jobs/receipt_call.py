"""What a receipt shows of a call of a contract: the outcome that was voted on, and that the settlement did with it what
the ledger should have done.

Whether another call came first is the ledger's word: a receipt holds one job, not the history of a contract.
"""

from __future__ import annotations

from typing import NamedTuple

from quorate.crypto.sealing import public_result_tag
from quorate.jobs.receipt_case import Case, require
from quorate.ledger.contracts import changes_nothing, succeeded
from quorate.model.call import CallOutcome, ContractCall, ContractTransfer
from quorate.model.contract import ID_BYTES
from quorate.model.settlement import CallSettled, Payment, Settlement
from quorate.model.units import NodeId

NOT_OURS = ("conflict", "unpayable")
"""Ends that depend on what else is on the ledger."""


class CallEffect(NamedTuple):
    """What a settlement says of its call, with the payments that follow from it. `refund_micro` of the deposit went
    back."""

    settled: CallSettled | None
    payments: tuple[Payment, ...]
    refund_micro: int


def effect_of(case: Case, settlement: Settlement) -> CallEffect:
    """The effect, as far as the receipt can tell that it is right. Raises Fault."""
    call, settled = case.job.core.call, settlement.call
    if call is None:
        require(settled is None, "the settlement is of a call, and the job is none")
        return CallEffect(None, (), 0)
    if settled is None:
        require(False, "the settlement says nothing of the call")
        return CallEffect(None, (), 0)
    require(settled.contract == call.contract, "the settlement is of a call of another contract")
    allowed = _possible(case, call, settlement)
    require(settled.result in allowed, f"the call was settled as {settled.result}, not as {' or '.join(allowed)}")
    if settled.result == "conflict":
        head = (settled.state, settled.version)
        require(head != (call.state, call.version), "the head is the one of the call, and there is no conflict")
    if settled.result != "applied":
        return CallEffect(settled, (), call.deposit_micro)
    outcome = _outcome(case)
    assert outcome is not None
    after = (outcome.state, call.version + 1)
    require((settled.state, settled.version) == after, "the head is not the one that the outcome leads to")
    return CallEffect(settled, _payments(case, call, outcome, settlement), 0)


def _possible(case: Case, call: ContractCall, settlement: Settlement) -> tuple[str, ...]:
    if not settlement.accepted:
        return ("void",)
    if settlement.cause != "settle" and not case.receipt.outcome:
        return ("unseen", "failed", "read", "conflict", "unpayable")
    outcome = _outcome(case)
    if outcome is None:
        return ("failed", "unseen") if settlement.cause != "settle" else ("failed",)
    found = ("read",) if changes_nothing(call, outcome) else ("applied", *NOT_OURS)
    return found if settlement.cause == "settle" else (*found, "unseen")


def _outcome(case: Case) -> CallOutcome | None:
    """The outcome that was voted on, if the call succeeded. Raises Fault when it is another one."""
    check_outcome(case)
    return succeeded(case.receipt.outcome) if case.receipt.outcome else None


def check_outcome(case: Case) -> None:
    """The outcome in the receipt is the one that the members agreed on."""
    vote, outcome = case.receipt.verdict.vote, case.receipt.outcome
    if case.job.core.call is None:
        require(not outcome, "an outcome of a call, and the job is none")
    elif outcome:
        require(vote is not None and public_result_tag(outcome) == vote.tag, "the outcome is not the one agreed on")


def _payments(case: Case, call: ContractCall, outcome: CallOutcome, settlement: Settlement) -> tuple[Payment, ...]:
    """The deposit and the transfers as the settlement has them, each to an account of the id that the contract
    named."""
    account = NodeId(call.contract)
    paid_in = tuple(payment for payment in settlement.payments if payment.reason == "deposit")
    expected = Payment(case.job.core.requester, account, call.deposit_micro, "deposit")
    require(paid_in == ((expected,) if call.deposit_micro else ()), "the deposit is not as the call says")
    out = tuple(payment for payment in settlement.payments if payment.reason == "transfer")
    wanted = tuple(transfer for transfer in outcome.transfers if transfer.amount_micro)
    named = len(out) == len(wanted) and all(
        _is_of(payment, transfer, account) for payment, transfer in zip(out, wanted, strict=True)
    )
    require(named, "the transfers are not those of the outcome")
    return (*paid_in, *out)


def _is_of(payment: Payment, transfer: ContractTransfer, contract: NodeId) -> bool:
    return (payment.source, payment.account[:ID_BYTES], payment.amount_micro) == (
        contract,
        transfer.to,
        transfer.amount_micro,
    )
