"""Transactions: what parties ask of the ledger. Each travels as a signed leaf, so its signer is known; the digest of
the body is its id."""

from __future__ import annotations

from typing import Annotated

import msgspec

from quorate.model.agreement import Roster
from quorate.model.call import BALANCES_MAX, Balance, Id
from quorate.model.claim import Opening
from quorate.model.codec import Part, Value
from quorate.model.contract import Deployment
from quorate.model.evidence import Signed
from quorate.model.identity import KeyBundle
from quorate.model.units import COHORT_MAX, ROUNDS_MAX, Bytes32, Count, Hash, Members, Micro, Ms, Node, Word

POSTED_RESULT_BYTES_MAX = 256 << 10
EVIDENCE_MAX = 8 * COHORT_MAX * ROUNDS_MAX
Evidence = Annotated[tuple[Signed, ...], msgspec.Meta(max_length=EVIDENCE_MAX)]
Openings = Annotated[tuple[Opening, ...], msgspec.Meta(max_length=COHORT_MAX * ROUNDS_MAX)]


class Register(Value, frozen=True, tag="register"):
    """Adds the signer's key bundle to the registry. `role` is provider, requester or node."""

    network: Hash
    bundle: KeyBundle
    role: Word


class TransferCredits(Value, frozen=True, tag="transfer"):
    """Moves free balance from the signer to `to`; `nonce` makes equal transfers distinct. After `expires_ms` it is no
    longer taken, so that the ledger need not remember it for ever."""

    network: Hash
    to: Node
    amount_micro: Micro
    expires_ms: Ms
    nonce: Bytes32


class DepositStake(Value, frozen=True, tag="deposit"):
    """Moves free balance of the signer into its stake, which backs its bonds. It expires as a transfer does."""

    network: Hash
    amount_micro: Micro
    expires_ms: Ms
    nonce: Bytes32


class PostOffer(Value, frozen=True, tag="post_offer"):
    """Makes a signed Offer of the signer a standing one."""

    network: Hash
    offer: Signed


class OpenEscrow(Value, frozen=True, tag="open_escrow"):
    """Signed by the requester's node: the job as signed by the requester, the agreement, and the roster unless the
    ledger holds it."""

    network: Hash
    job: Signed
    agreement: Signed
    roster: Roster | None


class Deploy(Value, frozen=True, tag="deploy"):
    """Puts a contract on the ledger, as its deployer signed it."""

    network: Hash
    deployment: Signed


class Settle(Value, frozen=True, tag="settle"):
    """Anyone's claim to a verdict: assignments, commits, RoundCloses and the DeliveryAck as signed, and the openings
    (message 11). `outcome` is the agreed output of a contract call, which the ledger takes the effects from; it is
    empty for every other job."""

    network: Hash
    agreement: Hash
    evidence: Evidence
    openings: Openings
    outcome: Annotated[bytes, msgspec.Meta(max_length=POSTED_RESULT_BYTES_MAX)]


class Cancel(Value, frozen=True, tag="cancel"):
    """The requester's side ends the agreement: commitments and CancelAcks of members as signed (R6)."""

    network: Hash
    agreement: Hash
    evidence: Evidence


class Expire(Value, frozen=True, tag="expire"):
    """Past `settle_by_ms` anyone may have the escrow refunded; evidence of valid openings still earns attempt fees."""

    network: Hash
    agreement: Hash


class ForceRound(Value, frozen=True, tag="force_round"):
    """A stalled or cheated member opens the commit and reveal windows of its round in ledger time, with its assignment
    and commitment."""

    network: Hash
    agreement: Hash
    round: Count
    evidence: Evidence


class ForceCommit(Value, frozen=True, tag="force_commit"):
    """A member's commitment inside the commit window."""

    network: Hash
    agreement: Hash
    round: Count
    evidence: Evidence


class ForceReveal(Value, frozen=True, tag="force_reveal"):
    """A member's opening inside the reveal window; `result` is its posted ciphertext, which stands for a
    DeliveryAck."""

    network: Hash
    agreement: Hash
    round: Count
    opening: Opening
    result: Annotated[bytes, msgspec.Meta(max_length=POSTED_RESULT_BYTES_MAX)]


class CloseForced(Value, frozen=True, tag="close_forced"):
    """After the reveal window anyone has the forced round settled from what stands on the ledger."""

    network: Hash
    agreement: Hash


class Equivocation(Value, frozen=True, tag="equivocation"):
    """Two different canonical leaves of one signer for one (network, agreement, round, phase): slashes its bond
    (R8)."""

    network: Hash
    first: Signed
    second: Signed


class Answer(Value, frozen=True, tag="answer"):
    """The ledger's answer to the transaction with digest `transaction`: a status by name; the event proves itself in
    `Proven`."""

    network: Hash
    transaction: Hash
    status: Word
    detail: Word
    account: Node


class AskContract(Value, frozen=True, tag="ask_contract"):
    """A node asks for the head of a contract, and for balances by the ids that contracts see."""

    network: Hash
    contract: Hash
    accounts: Annotated[tuple[Id, ...], msgspec.Meta(max_length=BALANCES_MAX)]


class Head(Part, frozen=True):
    """Where a contract stands: the key of its state, how many calls led there, its balance, and who should have the
    bytes of the state: those who agreed on the last call and its caller's node."""

    deployment: Deployment
    state: Hash
    version: Count
    balance_micro: Micro
    holders: Members


class ContractHead(Value, frozen=True, tag="contract_head"):
    """The ledger's answer, as of `height`: no `head` when no such contract is deployed; `balances` of those accounts
    that there are, in order."""

    network: Hash
    contract: Hash
    head: Head | None
    balances: Annotated[tuple[Balance, ...], msgspec.Meta(max_length=BALANCES_MAX)]
    epoch: Count
    height: Count


class AskStanding(Value, frozen=True, tag="ask_standing"):
    """A node asks which offers stand, and how their providers are reputed."""

    network: Hash


class StandingEntry(Part, frozen=True):
    """A provider's standing offer and its published reputation (0 to 10,000)."""

    provider: Node
    offer: Hash
    reputation: Count


class Standing(Value, frozen=True, tag="standing"):
    """The ledger's answer, as of `height`: sorted by provider."""

    network: Hash
    height: Count
    entries: Annotated[tuple[StandingEntry, ...], msgspec.Meta(max_length=4096)]
