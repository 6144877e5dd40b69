"""Steps 8 to 11 of checking a receipt: who was drawn and asked, what was committed and opened, the verdict, the
delivery.

The draw is replayed from agreement and beacon; the rounds pass through the same `gathered` and `judged` as on the
ledger.
"""

from __future__ import annotations

from collections.abc import Sequence

from quorate.crypto.digests import body_digest, digest
from quorate.jobs.receipt_case import Case, body_of, require, short
from quorate.model.assignment import Ack, Assignment
from quorate.model.claim import Commit, DeliveryAck, RoundAbort, RoundClose
from quorate.model.outcome import RoundRecord
from quorate.model.units import NodeId
from quorate.verify.quorum import threshold
from quorate.verify.verdicts import width_of


def check_members(case: Case) -> str:
    """Step 8. Everyone who was asked was drawn, in the order of the draw, in one round only."""
    terms = case.terms
    require(tuple(case.offers) == terms.members, "the offers are not those of the drawn members, in draw order")
    require(len(case.receipt.rounds) <= terms.agreement.rounds, "more rounds than agreed")
    former: set[NodeId] = set()
    for record, asked in zip(case.receipt.rounds, case.assignments, strict=True):
        _check_asked(case, record, asked, former)
        _check_acks(case, record)
        former.update(item.member for item in asked)
    return f"{len(former)} of {len(terms.members)} drawn members were asked, in draw order"


def _check_asked(case: Case, record: RoundRecord, asked: Sequence[Assignment], former: set[NodeId]) -> None:
    number = record.round
    require(bool(asked), f"round {number}: nobody was asked")
    for signed, item in zip(record.assignments, asked, strict=True):
        require(signed.signer == case.agreement.node, f"round {number}: an assignment is not the node's")
        placed = (item.network, item.agreement, item.round) == (case.network, case.agreement_id, number)
        require(placed, f"round {number}: an assignment of another agreement or round")
        require(bool(item.wrap) == case.job.private, f"round {number}: an assignment with a wrong wrap")
    due = [member for member in case.terms.members if member not in former]
    members = [item.member for item in asked]
    require(members == due[: len(members)], f"round {number}: members were asked out of the order of the draw")
    cohort = _cohort(case, record, due)
    require({item.cohort for item in asked} == {cohort or asked[0].cohort}, f"round {number}: another cohort root")


def _cohort(case: Case, record: RoundRecord, due: Sequence[NodeId]) -> bytes:
    """The root that the closing opens: of the members that the round was drawn with; empty without a closing."""
    close = body_of(record.close, RoundClose) if record.close else None
    if close is None:
        return b""
    proof = case.agreement.proof
    # A re-run begins with one place; whether there is a second is chosen after the first commitment.
    first = proof.method == "rerun" and record.round == 1
    width = 1 if first else width_of(proof, record.round, b"", b"")
    return digest("cohort", close.salt, *due[:width])


def _check_acks(case: Case, record: RoundRecord) -> None:
    assigned = {
        body_digest("assignment", signed.body): body_of(signed, Assignment).member for signed in record.assignments
    }
    seen: list[NodeId] = []
    for signed in record.acks:
        ack = body_of(signed, Ack)
        where = f"round {record.round}: the acknowledgement of {short(signed.signer)}"
        require(signed.signer == ack.member and ack.member not in seen, f"{where} is another's, or there twice")
        placed = (ack.network, ack.agreement, ack.round) == (case.network, case.agreement_id, record.round)
        require(placed and assigned.get(ack.assignment) == ack.member, f"{where} is of another assignment")
        seen.append(ack.member)
    ordered = seen == [member for member in assigned.values() if member in seen]
    require(ordered, f"round {record.round}: acknowledgements out of the order of the assignments")


def check_ballots(case: Case) -> str:
    """Step 9. Commitments are their members', closings list them all, openings open them."""
    for record in case.receipt.rounds:
        _check_round(record)
    rounds = case.ballots.rounds
    require(len(rounds) == len(case.receipt.rounds), "a round without any evidence")
    openings = sum(1 for ballot in rounds for seat in ballot.seats if seat.opening)
    return f"{sum(len(ballot.seats) for ballot in rounds)} commitments, {openings} openings"


def _check_round(record: RoundRecord) -> None:
    """What the ledger need not ask for: every commitment beside its closing, each once, and no opening before it."""
    number = record.round
    require(not (record.close and record.abort), f"round {number} was both closed and aborted")
    ends = [body_of(record.close, RoundClose)] if record.close else []
    aborts = [body_of(record.abort, RoundAbort)] if record.abort else []
    committed = [body_of(signed, Commit) for signed in record.commits]
    said = [item.round for group in (ends, aborts, committed, record.openings) for item in group]
    require(set(said) <= {number}, f"round {number}: a statement of another round")
    asked = {body_of(signed, Assignment).member for signed in record.assignments}
    members = [item.member for item in committed]
    opened = [opening.member for opening in record.openings]
    require(len(set(members)) == len(members), f"round {number}: two commitments of one member")
    require(len(set(opened)) == len(opened), f"round {number}: two openings of one member")
    require(asked.issuperset(members), f"round {number}: a commitment of a member that was not asked")
    if not ends:
        require(not opened, f"round {number}: openings without a closing")
        return
    require(set(ends[0].members) == set(members), f"round {number}: the closing does not list all who committed")
    listed = list(ends[0].members)
    ordered = members == listed and opened == [member for member in listed if member in opened]
    require(ordered, f"round {number}: commitments or openings out of the closing's order")


def check_verdict(case: Case) -> str:
    """Step 10. The verdict is what the openings say, by the rule of the agreement."""
    found = case.ruling.verdict
    require(case.receipt.verdict == found, "the verdict is not what the openings say")
    require(len(found.rounds) == len(case.receipt.rounds), "rounds went on after a vote was accepted")
    if not found.accepted:
        return f"no result: {found.reason}"
    assert found.vote is not None
    proof, agreed = case.agreement.proof, len(found.rounds[-1].agreed)
    asked = f", {threshold(proof)} of {proof.replicas} needed" if proof.method == "quorum" else ""
    return f"{found.vote.status}: {agreed} equal claim(s){asked}, in round {found.rounds[-1].round}"


def check_delivery(case: Case) -> str:
    """Step 11. The result that arrived is an agreeing member's."""
    verdict, signed = case.receipt.verdict, case.receipt.delivery
    if signed is None:
        return "the result was not delivered" if verdict.accepted else "nothing to deliver"
    ack = body_of(signed, DeliveryAck)
    require(signed.signer == case.agreement.node, "the delivery is not acknowledged by the requester's node")
    placed = (ack.network, ack.agreement) == (case.network, case.agreement_id)
    require(placed and verdict.accepted, "the delivery is of another agreement, or of no accepted result")
    ended = verdict.rounds[-1]
    results = {
        opening.body.result_digest for opening in case.receipt.rounds[-1].openings if opening.member in ended.agreed
    }
    require(ack.round == ended.round and ack.result_digest in results, "what was delivered is not the agreed result")
    return f"result {short(ack.result_digest)} delivered"
