"""What a member says about its assignment, as values: functions of its state alone, so that a repeated question gets
the same bytes (protocol R4)."""

from __future__ import annotations

from quorate.jobs.lease_state import LeaseState, close_of
from quorate.model.assignment import Ack, CancelAck, CancelOrder, Started
from quorate.model.claim import Commit, Delivery, Opening
from quorate.model.effects import Send
from quorate.model.units import NodeId
from quorate.verify.claims import commit_digest


def ack(state: LeaseState) -> Send:
    return Send(
        state.node,
        Ack(
            network=state.order.network,
            agreement=state.agreement_id,
            round=state.order.round,
            member=state.order.member,
            assignment=state.assignment_id,
            refusal=state.refusal,
        ),
    )


def started(state: LeaseState) -> Send:
    order = state.order
    value = Started(network=order.network, agreement=order.agreement, round=order.round, member=order.member)
    return Send(state.node, value, after_save=False)


def commitment(state: LeaseState) -> Commit:
    assert state.body is not None
    order = state.order
    return Commit(
        network=order.network,
        agreement=order.agreement,
        round=order.round,
        assignment=state.assignment_id,
        member=order.member,
        commit=commit_digest(order.network, state.assignment_id, order.member, state.body, state.nonce),
    )


def opening(state: LeaseState) -> Opening:
    """The member's own opening."""
    assert state.body is not None
    order = state.order
    return Opening(
        network=order.network,
        agreement=order.agreement,
        round=order.round,
        assignment=state.assignment_id,
        member=order.member,
        body=state.body,
        nonce=state.nonce,
    )


def cancel_ack(state: LeaseState) -> Send:
    order = state.order
    ack = CancelAck(
        network=order.network, agreement=order.agreement, member=order.member, committed=state.body is not None
    )
    return Send(state.node, ack)


def nothing_runs(order: CancelOrder, member: NodeId) -> CancelAck:
    """The answer of a member that knows of no assignment: it never came, or the member died before it committed."""
    return CancelAck(network=order.network, agreement=order.agreement, member=member, committed=False)


def valid_openings(state: LeaseState) -> dict[NodeId, Opening]:
    """Openings (its own among them) that open the commitments listed in the RoundClose, in its order."""
    assert state.close is not None
    close = close_of(state.close.body)
    known = {value.member: value for value in (*state.openings, opening(state))}
    valid: dict[NodeId, Opening] = {}
    for member, commitment in zip(close.members, close.commits, strict=True):
        value = known.get(member)
        if value and commit_digest(close.network, value.assignment, member, value.body, value.nonce) == commitment:
            valid[member] = value
    return valid


def delivery(state: LeaseState) -> Delivery:
    """By digest only: the shell puts small results inside."""
    assert state.body is not None
    order = state.order
    return Delivery(
        network=order.network,
        agreement=order.agreement,
        round=order.round,
        member=order.member,
        result_digest=state.body.result_digest,
        log_digest=state.body.log_digest,
        result=b"",
        log=b"",
    )
