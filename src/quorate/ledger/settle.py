"""Verdict -> Settlement: from ballots to ordered transfers, by the same computation for ledger, node, member and reader
of a receipt.

`judged` counts the ballots (through `verify.verdicts`, the one voting module) and says who is owed what:

    accepted round     each agreeing member the price of its own offer, at most `price_max_micro`; dissent and failure
                       earn nothing; a member that the closing left out and that opened in the ledger windows the
                       attempt fee
    round without one  each valid opening the attempt fee, at most `attempt_max_micro` (R6)
    after a Cancel     a signed commitment the attempt fee, opened or not (R6)
    the rest           back to the requester, its bond included

An accepted round pays only when its result was delivered: a DeliveryAck for the ciphertext of an agreeing member, or
that ciphertext posted on the ledger. The escrow covers the worst case; should fees of replaced members exceed it, the
first in draw order are paid.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from quorate.crypto.digests import value_digest
from quorate.ledger.ballots import Ballot, Ballots, Terms, Verify, gathered
from quorate.ledger.call import BlockContext
from quorate.ledger.status import Refused, Status, refuse_if
from quorate.market.pricing import attempt_pay, member_pay, spend_at_most
from quorate.model.claim import Opening, Vote
from quorate.model.evidence import Signed
from quorate.model.settlement import CallSettled, Payment, ReputationEvent, Settlement
from quorate.model.units import COHORT_MAX, MicroCredits, Millis, NodeId
from quorate.model.verdict import Tally, Verdict
from quorate.verify.verdicts import tally, verdict_of, vote_of, width_of

Cause = Literal["settle", "cancel", "expire", "force"]


class Due(NamedTuple):
    """What is owed to one member."""

    account: NodeId
    amount_micro: int
    reason: Literal["price", "attempt"]


class Judgement(NamedTuple):
    """The verdict, what is owed in order, and what it says of reputation. `paid`: an accepted outcome that was
    delivered. `conclusive`: no further opening could change it. `unopened`: counted members at stake that did not
    open."""

    verdict: Verdict
    paid: bool
    conclusive: bool
    dues: tuple[Due, ...]
    reputation: tuple[ReputationEvent, ...]
    unopened: tuple[NodeId, ...]


def counted(terms: Terms, ballot: Ballot) -> tuple[tuple[NodeId, ...], int]:
    """The members whose openings count, and the width of the round: those of its closing; without one, whoever
    committed first in draw order."""
    proof = terms.agreement.proof
    if ballot.close:
        return ballot.close.members, width_of(proof, ballot.number, ballot.close.audit_seed, ballot.close.commits[0])
    # Without a closing the requester's node has not opened its audit choice: it has forgone the re-execution.
    width = 1 if proof.method == "rerun" and ballot.number == 1 else width_of(proof, ballot.number, b"", b"")
    return tuple(seat.member for seat in ballot.seats if seat.signed)[:width], width


def tallied(terms: Terms, ballot: Ballot) -> Tally:
    """How the round ended; of a round that came to neither closing nor opening, everyone who was asked stayed
    silent."""
    openings = {seat.member: seat.opening for seat in ballot.seats if seat.opening}
    if ballot.close or openings:
        members, width = counted(terms, ballot)
        return tally(ballot.number, members, openings, terms.agreement.proof, width)
    asked = dict.fromkeys(member for member, _ in ballot.assigned)
    return Tally(
        round=ballot.number, outcome="short", agreed=(), dissented=(), failed=(), silent=tuple(asked)[:COHORT_MAX]
    )


def judged(terms: Terms, ballots: Ballots, pay_commits: bool = False) -> Judgement:
    """Counts rounds in order up to the first accepted one."""
    agreement = terms.agreement
    tallies: list[Tally] = []
    dues: list[Due] = []
    reputation: list[ReputationEvent] = []
    unopened: list[NodeId] = []
    vote: Vote | None = None
    paid = reexecuted = False
    for ballot in ballots.rounds:
        ended = tallied(terms, ballot)
        tallies.append(ended)
        members, width = counted(terms, ballot)
        unopened += [
            seat.member for seat in ballot.seats if seat.at_stake and not seat.opening and seat.member in members
        ]
        delivered = ended.outcome == "accepted" and _delivered(ballots, ballot, ended)
        if delivered:
            dues += _prices(terms, ballot, ended)
            dues += [
                _attempt(terms, seat.member) for seat in ballot.seats if seat.opening and seat.member not in members
            ]
            reputation += [ReputationEvent(member, "agreed") for member in ended.agreed]
            reputation += [ReputationEvent(member, "dissented") for member in ended.dissented]
        else:
            owed = tuple(_attempts(ballot, pay_commits))
            dues += [_attempt(terms, member) for member in owed]
            reputation += [ReputationEvent(member, "attempted") for member in owed]
        if ended.outcome == "accepted":
            vote, paid = _vote(ballot, ended), delivered
            reexecuted = agreement.proof.method == "rerun" and width > 1
            break
    verdict = verdict_of(agreement, terms.agreement_id, tallies, vote, reexecuted)
    complete = [ended.round for ended in tallies if ended.outcome == "split"] == [*range(1, agreement.rounds + 1)]
    return Judgement(verdict, paid, complete, tuple(dues), tuple(reputation), tuple(unopened))


def _vote(ballot: Ballot, ended: Tally) -> Vote | None:
    seat = ballot.seat(ended.agreed[0])
    return vote_of(seat.opening) if seat and seat.opening else None


def _delivered(ballots: Ballots, ballot: Ballot, ended: Tally) -> bool:
    agreed = [seat for seat in ballot.seats if seat.member in ended.agreed and seat.opening]
    return any(
        seat.delivered or (ballot.number, seat.opening.body.result_digest) in ballots.received
        for seat in agreed
        if seat.opening
    )


def _prices(terms: Terms, ballot: Ballot, ended: Tally) -> Iterator[Due]:
    for seat in ballot.seats:
        if seat.member in ended.agreed and seat.opening:
            fuel = seat.opening.body.vote.fuel_bucket
            pay = member_pay(terms.prices[seat.member], fuel, terms.agreement.price_max_micro)
            yield Due(seat.member, pay, "price")


def _attempts(ballot: Ballot, pay_commits: bool) -> Iterator[NodeId]:
    for seat in ballot.seats:
        withheld = seat.at_stake and not seat.opening
        if seat.opening or (pay_commits and seat.signed and not withheld):
            yield seat.member


def _attempt(terms: Terms, member: NodeId) -> Due:
    return Due(member, attempt_pay(terms.prices[member], terms.agreement.attempt_max_micro), "attempt")


def payments(terms: Terms, dues: Sequence[Due], spend_micro: int, bond_micro: int) -> tuple[Payment, ...]:
    """The transfers out of an escrow of `spend_micro` and the requester's bond: dues in order while there is money,
    then the refund."""
    requester, left = terms.agreement.requester, spend_micro
    paid = []
    for due in dues:
        amount = min(due.amount_micro, left)
        left -= amount
        if amount:
            paid.append(Payment(requester, due.account, MicroCredits(amount), due.reason))
    if left + bond_micro:
        paid.append(Payment(requester, requester, MicroCredits(left + bond_micro), "refund"))
    return tuple(paid)


def examined(
    terms: Terms, evidence: Sequence[Signed], openings: Sequence[Opening], poster: NodeId, verify: Verify
) -> tuple[Ballots, Judgement]:
    """The ballots of a Settle and what follows from them. Raises Refused.

    The requester's side must show every round and each counted member's own commitment. A member holds only its own
    beside the RoundClose, in which the requester's node vouches, against its own purse, for the others.
    """
    agreement = terms.agreement
    ballots = gathered(terms, evidence, openings, verify)
    if poster in (agreement.node, agreement.requester):
        unsigned = [seat for ballot in ballots.rounds for seat in ballot.seats if seat.opening and not seat.signed]
        refuse_if(bool(unsigned), Status.COMMIT_UNSIGNED, unsigned[0].member.hex()[:16] if unsigned else "")
        numbers = [ballot.number for ballot in ballots.rounds]
        refuse_if(numbers != [*range(1, len(numbers) + 1)], Status.ROUND_MISSING)
    ruling = judged(terms, ballots)
    refuse_if(ruling.verdict.accepted and not ruling.paid, Status.NOT_DELIVERED)
    return ballots, ruling


def settlement_value(
    terms: Terms,
    ruling: Judgement,
    transfers: tuple[Payment, ...],
    cause: Cause,
    block: BlockContext,
    call: CallSettled | None = None,
) -> Settlement:
    agreement = terms.agreement
    undelivered = ruling.verdict.accepted and not ruling.paid
    return Settlement(
        network=agreement.network,
        agreement=terms.agreement_id,
        job=agreement.job,
        cause=cause,
        verdict=value_digest(ruling.verdict),
        accepted=ruling.paid,
        call=call,
        payments=transfers,
        reputation=ruling.reputation,
        height=block.height,
        time_ms=Millis(block.time_ms),
        note="accepted, not delivered" if undelivered else "",
    )


def settlement_of(
    terms: Terms, evidence: Sequence[Signed], openings: Sequence[Opening], block: BlockContext, verify: Verify
) -> tuple[Settlement, Verdict]:
    """What the ledger answers to a conclusive Settle of the requester's node, without a ledger. Raises `Refused`, which
    names the status."""
    _, ruling = examined(terms, evidence, openings, terms.agreement.node, verify)
    if not ruling.paid and not ruling.conclusive:
        raise Refused(Status.UNDECIDED)
    transfers = payments(terms, ruling.dues, spend_at_most(terms.agreement), terms.agreement.bond_micro)
    return settlement_value(terms, ruling, transfers, "settle", block), ruling.verdict
