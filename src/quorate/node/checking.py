"""A member's checks of an assignment before it spends anything on it (protocol message 6), in the order of the
protocol."""

from __future__ import annotations

from quorate.cohort.selection import draw_order, draw_seed, wrapped_members
from quorate.crypto.digests import body_digest, remembered_digest
from quorate.crypto.ownership import OwnershipStatement
from quorate.crypto.ownership import verify as verify_ownership
from quorate.errors import QuorateError
from quorate.jobs.lease import LeaseState
from quorate.model.agreement import EscrowOpened
from quorate.model.codec import decode
from quorate.model.job import Job
from quorate.model.network import Genesis
from quorate.model.offer import Offer
from quorate.model.units import Millis
from quorate.node.ledger_view import check_proven
from quorate.node.postbox import Postbox

CLOCK_SKEW_MS = 300_000


def refusal_of(state: LeaseState, offer: Offer, genesis: Genesis, postbox: Postbox, now_ms: Millis) -> str:
    """Empty when the assignment stands, else the first check that it fails, in a word or two."""
    try:
        return _signatures(state, postbox) or _escrow(state, offer, genesis, postbox) or _job(state, offer, now_ms)
    except QuorateError as fault:
        return f"{type(fault).__name__} {fault.field}"[:120]


def _signatures(state: LeaseState, postbox: Postbox) -> str:
    brief, job, terms = state.context, state.job, state.terms
    postbox.verify(brief.job)
    postbox.verify(brief.agreement)
    if brief.job.noun != "job" or brief.agreement.noun != "agreement":
        return "wrong nouns"
    if brief.job.signer != job.core.requester:
        return "job not signed by its requester"
    if not (state.assignment.signer == brief.agreement.signer == job.core.node == terms.node):
        return "not the requester's node"
    if bytes(terms.job) != body_digest("job", brief.job.body) or terms.requester != job.core.requester:
        return "agreement for another job"
    return ""


def _escrow(state: LeaseState, offer: Offer, genesis: Genesis, postbox: Postbox) -> str:
    brief, terms = state.context, state.terms
    check_proven(brief.escrow, genesis, postbox)
    event = decode(brief.escrow.event, EscrowOpened)
    if event.agreement != state.agreement_id:
        return "escrow of another agreement"
    if remembered_digest(brief.roster) != terms.roster:
        return "another roster"
    mine = next((entry for entry in brief.roster.entries if entry.provider == offer.provider), None)
    if mine is None:
        return "not in the roster"
    order = draw_order(brief.roster, draw_seed(state.agreement_id, event.beacon))
    places = 2 if terms.proof.method == "rerun" else terms.proof.replicas
    if offer.provider not in wrapped_members(order, places, terms.rounds, terms.reserves):
        return "not drawn"
    return ""


def _job(state: LeaseState, offer: Offer, now_ms: Millis) -> str:
    job, terms = state.job, state.terms
    if job.private:
        statement = OwnershipStatement(
            job_core=remembered_digest(job.core),
            commitment=job.pedersen,
            key_commitment=job.key_commitment,
            ciphertext=job.input_digest,
            owner=job.core.ownership_key,
        )
        verify_ownership(statement, job.ownership_proof)
    if terms.engine != offer.engine:
        return "another engine version"
    if job.core.expires_ms + CLOCK_SKEW_MS < now_ms:
        return "job expired"
    return unfit(job, offer)


def unfit(job: Job, offer: Offer) -> str:
    """What of the job the member's own offer does not cover; empty when it covers all."""
    limits = job.core.limits
    if job.core.privacy:
        return "privacy tier not offered"
    if limits.memory_bytes > offer.memory_bytes_max or limits.fuel > offer.fuel_max:
        return "above the offered limits"
    if job.core.regions and offer.region not in job.core.regions:
        return f"in region {offer.region}"[:120]
    if lacking := offer.lacks(job.core.resources):
        return f"offered {lacking}"
    if offer.unfit_for(job.core.program):
        return "program kind not offered"
    return ""
