"""What the requester's node says about a job, as values: the same bytes each time, because nothing in them depends on
when they are said."""

from __future__ import annotations

from functools import lru_cache

from quorate.crypto.digests import digest
from quorate.jobs.state import JobState, Round, cohort_salt
from quorate.model.assignment import Assignment, CancelOrder
from quorate.model.claim import DeliveryAck, Opening
from quorate.model.codec import Value
from quorate.model.units import Digest, NodeId


def assignment(state: JobState, current: Round, member: NodeId) -> Assignment:
    """The same bytes each time it is said: nothing in it depends on when."""
    wrap = next((wrap.sealed for wrap in state.wraps if wrap.member == member), b"")
    drawn = tuple(slot.member for slot in current.slots[: current.drawn])
    return Assignment(
        network=state.terms.network,
        agreement=state.agreement_id,
        round=current.number,
        member=member,
        cohort=_cohort(state.secret, current.number, drawn),
        wrap=wrap,
    )


@lru_cache(maxsize=1024)
def _cohort(secret: bytes, number: int, drawn: tuple[NodeId, ...]) -> Digest:
    """The commitment to a round's cohort. Remembered, because assignments are made anew whenever they are compared."""
    return digest("cohort", cohort_salt(secret, number), *drawn)


def openings(current: Round) -> dict[NodeId, Opening]:
    """The openings of a closed round in the order of its members."""
    listed = current.close.members if current.close else ()
    found = {slot.member: slot.opening for slot in current.slots if slot.opening is not None}
    return {member: found[member] for member in listed if member in found}


def delivery_ack(state: JobState) -> DeliveryAck:
    return DeliveryAck(
        network=state.terms.network,
        agreement=state.agreement_id,
        round=state.current.number,
        result_digest=Digest(state.result_digest),
    )


def own_statements(state: JobState) -> tuple[Value, ...]:
    """What this node said and signs again for the record: assignments, closings, abortions, the delivery."""
    said: list[Value] = []
    for past in state.rounds:
        said.extend(assignment(state, past, slot.member) for slot in past.slots)
        said.extend(statement for statement in (past.close, past.abort) if statement is not None)
    if state.result_digest:
        said.append(delivery_ack(state))
    return tuple(said)


def cancel_order(state: JobState) -> CancelOrder:
    return CancelOrder(network=state.terms.network, agreement=state.agreement_id)
