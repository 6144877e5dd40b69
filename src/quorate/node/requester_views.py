"""What a requester's node shows of itself through the door: results, receipts, the network at a glance. Nothing here
changes anything."""

from __future__ import annotations

from collections.abc import Sequence

from quorate import errors
from quorate.errors import JobError, NotFinished, QuorateError
from quorate.jobs.clocks import ADVICE
from quorate.jobs.conclude import KeptKeys
from quorate.jobs.conclude import receipt as concluded
from quorate.jobs.state import TERMINAL, JobState
from quorate.jobs.statements import own_statements
from quorate.model.evidence import Signed
from quorate.model.network import Genesis
from quorate.model.outcome import Receipt
from quorate.model.submission import Delivered, Draw, Draws, ResultView
from quorate.model.units import Digest, MicroCredits, NodeId
from quorate.node.postbox import Postbox
from quorate.node.shell import Shell
from quorate.node.trade import Trade

NO_DRAWS = Draws(draws=(), rosters=(), offers=(), bundles=(), stamps=())


def draws(states: Sequence[JobState], postbox: Postbox, trade: Trade) -> Draws:
    """The draws of jobs that wait for wraps, with what they rest on: each roster, offer, bundle and stamp once."""
    drawn, rosters = [], {}
    for state in states:
        assert state.agreement_signed is not None
        assert state.escrow is not None
        assert state.roster is not None
        drawn.append(Draw(job=state.job_id, agreement=state.agreement_signed, escrow=state.escrow))
        rosters[state.terms.roster] = state.roster
    named = dict.fromkeys(entry.offer for roster in rosters.values() for entry in roster.entries)
    offers = tuple(trade.signed_offer(Digest(offer)) for offer in named)
    evidence = (*(draw.agreement for draw in drawn), *(draw.escrow.checkpoint for draw in drawn), *offers)
    return Draws(
        draws=tuple(drawn),
        rosters=tuple(rosters.values()),
        offers=offers,
        bundles=tuple(postbox.directory[signer] for signer in dict.fromkeys(item.signer for item in evidence)),
        stamps=postbox.stamps.of(evidence),
    )


def result(state: JobState) -> ResultView:
    """The agreed outcome with every stored copy. Raises the error that the job ended with, or NotFinished."""
    if state.condition not in TERMINAL:
        raise NotFinished(f"the job is {state.condition}", field="job", fix="quorate compute status --watch")
    if state.condition != "completed":
        raise ending(state)
    vote = state.verdict.vote if state.verdict else None
    ended = state.current.tally
    assert vote is not None
    assert ended is not None
    return ResultView(
        job=state.job_id,
        agreement=state.agreement_id,
        status=vote.status,
        tag=vote.tag,
        log_tag=vote.log_tag,
        delivered=tuple(
            Delivered(member=a.member, result_digest=a.result_digest, log_digest=a.log_digest)
            for a in state.arrivals
            if a.stored and a.member in ended.agreed
        ),
        paid_micro=MicroCredits(paid(state)),
    )


def ending(state: JobState) -> QuorateError:
    """The typed error of a job that ended without a result."""
    kind = getattr(errors, state.error, None)
    if not (isinstance(kind, type) and issubclass(kind, QuorateError)):
        kind = JobError
    return kind(state.detail or state.condition, field="job", fix=ADVICE.get(state.error, ""))


def paid(state: JobState) -> int:
    """What the requester's escrow paid to others, in micro-credits; 0 before the settlement."""
    settled = state.settled
    if settled is None:
        return 0
    return sum(payment.amount_micro for payment in settled.payments if payment.reason in ("price", "attempt"))


def receipt(state: JobState, genesis: Genesis, postbox: Postbox, trade: Trade, outcome: bytes) -> Receipt:
    """Everything about the job that was signed, with what verifies it, and the outcome of a call."""
    if state.agreement_signed is None or state.roster is None or state.escrow is None or not state.ended_ms:
        raise NotFinished(
            "the job never had an escrow, or has not ended", field="job", fix="quorate compute status --watch"
        )
    own = tuple(postbox.sign(own_statements(state)))
    offers = tuple(trade.signed_offer(entry.offer) for entry in state.roster.entries)
    quoted = (*_quoted(state), *own, *offers)
    return concluded(
        state,
        genesis=genesis,
        offers=offers,
        own=own,
        keys=KeptKeys(
            tuple(postbox.directory[signer] for signer in dict.fromkeys(item.signer for item in quoted)),
            postbox.stamps.of(quoted),
        ),
        outcome=outcome,
    )


def _quoted(state: JobState) -> list[Signed]:
    assert state.agreement_signed is not None
    assert state.escrow is not None
    found = [state.job, state.agreement_signed, state.escrow.checkpoint]
    if state.settlement:
        found.append(state.settlement.checkpoint)
    for past in state.rounds:
        for slot in past.slots:
            found.extend(signed for signed in (slot.ack, slot.commit) if signed)
    return found


def overview(node: Shell, ledger: NodeId, trade: Trade, jobs_open: int) -> dict[str, object]:
    """The network as this node sees it."""
    return {
        "network": node.network.hex(),
        "name": node.genesis.name,
        "node": node.node_id.hex(),
        "sequencer": ledger.hex(),
        "peers": len(node.world.transport.peers()),
        "standing_offers": trade.standing_offers(),
        "jobs_open": jobs_open,
        "ledger_height": trade.height,
        "clocks_off_ms": {peer.hex(): skew for peer, skew in sorted(node.skewed.items())},
    }
