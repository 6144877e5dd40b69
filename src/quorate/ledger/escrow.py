"""Opening an escrow: the agreement is held against the job, the standing offers, the network's caps and the requester's
purse (message 3).

The requester has signed the job with its budget, its node the agreement, each provider its offer; the ledger checks
that they fit, so that no further negotiation is needed. One job has one escrow: the same agreement again is answered
with the first event, another one is refused. The beacon mixes the block's entropy with the agreement, so that nobody
knew the draw when the agreement was signed.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from quorate.cohort.selection import operators
from quorate.crypto.digests import body_digest, digest, value_digest
from quorate.errors import PeerError
from quorate.ledger.ballots import check_signatures, terms_of
from quorate.ledger.call import Call, Done
from quorate.ledger.contracts import check_call
from quorate.ledger.state import Escrow, RosterRecord, State, Taken, credited, replace, with_escrow
from quorate.ledger.status import Refused, Status, refuse_if
from quorate.market.pricing import escrow_micro, price_at_most, spend_at_most, term_ms_least
from quorate.model.agreement import Agreement, EscrowOpened, Roster
from quorate.model.codec import V, decode
from quorate.model.evidence import Signed
from quorate.model.job import Job
from quorate.model.offer import Offer
from quorate.model.transaction import OpenEscrow
from quorate.model.units import ROUNDS_MAX, Digest, JobId, MicroCredits, Millis

OWN_SEQUENCER = "own-sequencer"
"""The word in a job's `policy.allow` that accepts a ledger ordered by the requester or its node."""
TERM_MS_MAX = 30 * 24 * 3_600_000


class AlreadyOpen(Refused):
    """The answer carries the first event."""

    def __init__(self, escrow: Escrow) -> None:
        super().__init__(Status.ALREADY_OPEN)
        self.escrow = escrow


class _Asked(NamedTuple):
    """An agreement as it was read."""

    job: Job
    job_id: JobId
    agreement: Agreement
    agreement_id: Digest


def open_escrow(state: State, call: Call[OpenEscrow]) -> Done:
    """Takes the worst case of the agreement from the requester's balance and answers with the beacon of the draw."""
    asked = _read(state, call)
    _check_parties(state, call, asked)
    _check_terms(state, call.block.time_ms, asked)
    state, record = _roster(state, call.block.time_ms, call.value.roster, asked.agreement)
    _check_roster(state, call.block.time_ms, record, asked)
    check_signatures((call.value.job, call.value.agreement), call.verify)
    check_call(state, call.block.time_ms, asked.job.core)
    agreement, price = asked.agreement, escrow_micro(asked.agreement) + deposit_of(asked.job)
    refuse_if(
        spend_at_most(agreement) > asked.job.core.budget_micro, Status.BUDGET_TOO_LOW, str(spend_at_most(agreement))
    )
    refuse_if(price > state.accounts[agreement.requester].balance_micro, Status.BALANCE_TOO_LOW, str(price))
    return _opened(state, call, asked, record)


def _opened(state: State, call: Call[OpenEscrow], asked: _Asked, record: RosterRecord) -> Done:
    agreement, held = asked.agreement, escrow_micro(asked.agreement)
    deposit = deposit_of(asked.job)
    event = EscrowOpened(
        network=state.network,
        agreement=asked.agreement_id,
        job=asked.job_id,
        beacon=digest("beacon", call.block.entropy32, asked.agreement_id),
        escrow_micro=MicroCredits(held + deposit),
        height=call.block.height,
        time_ms=Millis(call.block.time_ms),
    )
    expires = asked.job.core.expires_ms
    terms = terms_of(agreement, asked.agreement_id, record.roster, record.prices, event.beacon)
    escrow = Escrow(terms, event, expires, held, agreement.bond_micro, asked.job.core.call, deposit)
    taken = Taken(asked.agreement_id, expires)
    state = with_escrow(credited(state, agreement.requester, -(held + deposit)), escrow)
    return Done(replace(state, jobs=state.jobs.put(asked.job_id, taken)), (event,))


def deposit_of(job: Job) -> int:
    """What a call pays in beside the price of its run."""
    return job.core.call.deposit_micro if job.core.call else 0


def _decoded(signed: Signed, kind: type[V], noun: str) -> V:
    refuse_if(signed.noun != noun, Status.MALFORMED, signed.noun)
    try:
        return decode(signed.body, kind)
    except PeerError as fault:
        raise Refused(Status.MALFORMED, f"{noun}: {fault.field}") from None


def _read(state: State, call: Call[OpenEscrow]) -> _Asked:
    value = call.value
    job = _decoded(value.job, Job, "job")
    agreement = _decoded(value.agreement, Agreement, "agreement")
    networks = {job.core.network, agreement.network, value.roster.network if value.roster else state.network}
    refuse_if(networks != {state.network}, Status.OTHER_NETWORK)
    job_id = JobId(body_digest("job", value.job.body))
    return _Asked(job, job_id, agreement, body_digest("agreement", value.agreement.body))


def _check_parties(state: State, call: Call[OpenEscrow], asked: _Asked) -> None:
    core, agreement = asked.job.core, asked.agreement
    node_speaks = call.signer == call.value.agreement.signer == core.node == agreement.node
    owner_signed = call.value.job.signer == core.requester == agreement.requester
    refuse_if(not node_speaks or not owner_signed, Status.NOT_AUTHORISED)
    refuse_if(agreement.job != asked.job_id, Status.JOB_MISMATCH)
    refuse_if(core.requester not in state.accounts, Status.REQUESTER_UNREGISTERED)
    taken = asked.job_id in state.jobs
    if taken or core.expires_ms <= call.block.time_ms:  # until then a job that had an escrow is marked as taken
        known = state.escrows.get(asked.agreement_id)
        if known is not None:
            raise AlreadyOpen(known)
    refuse_if(taken, Status.JOB_TAKEN)


def _check_terms(state: State, now: int, asked: _Asked) -> None:
    core, agreement, genesis = asked.job.core, asked.agreement, state.genesis
    refuse_if(core.expires_ms <= now, Status.JOB_EXPIRED)
    refuse_if(agreement.settle_by_ms <= now, Status.AGREEMENT_EXPIRED)
    trust = agreement.ledger_trust
    known = trust.kind == "sequencer" and trust.sequencer in state.sequencers
    own = trust.sequencer in (agreement.requester, agreement.node)
    refuse_if(not known or (own and OWN_SEQUENCER not in core.policy.allow), Status.LEDGER_TRUST_REFUSED)
    for name in core.limits.__struct_fields__:
        above = getattr(core.limits, name) > getattr(genesis.caps.limits, name)
        refuse_if(above, Status.ABOVE_CAP, f"{name} {getattr(genesis.caps.limits, name)}")
    for name, value in (
        ("input_bytes", asked.job.input_bytes),
        ("program_bytes", core.program.size_bytes),
        ("replicas", core.proof.replicas),
    ):
        refuse_if(value > getattr(genesis.caps, name), Status.ABOVE_CAP, f"{name} {getattr(genesis.caps, name)}")
    refuse_if(agreement.proof != core.proof, Status.TERMS_MISMATCH, "proof")
    refuse_if(agreement.timeouts != core.timeouts, Status.TERMS_MISMATCH, "timeouts")
    refuse_if(agreement.bond_micro != genesis.bond_micro, Status.TERMS_MISMATCH, f"bond_micro {genesis.bond_micro}")


def _roster(state: State, now: int, given: Roster | None, agreement: Agreement) -> tuple[State, RosterRecord]:
    """The roster as checked before, or checked now against the standing offers and kept."""
    record = state.rosters.get(agreement.roster)
    if record and record.version == state.offers_version and now < record.expires_ms:
        return state, record
    roster = given or (record.roster if record else None)
    if roster is None:
        raise Refused(Status.ROSTER_UNKNOWN)
    refuse_if(value_digest(roster) != agreement.roster, Status.ROSTER_MISMATCH)
    record = _checked_roster(state, now, roster, agreement.roster)
    return replace(state, rosters=state.rosters.put(agreement.roster, record)), record


def _checked_roster(state: State, now: int, roster: Roster, key: Digest) -> RosterRecord:
    entries = roster.entries
    names = [entry.provider for entry in entries]
    ordered = bool(names) and all(low < high for low, high in pairwise(names))
    refuse_if(not ordered, Status.ROSTER_UNSORTED)
    offers: list[Offer] = []
    for entry in entries:
        offer = state.offers.get(entry.offer)
        if offer is None or offer.provider != entry.provider:
            raise Refused(Status.OFFER_NOT_STANDING, entry.provider.hex()[:16])
        offers.append(offer)
    late = [offer for offer in offers if offer.expires_ms <= now]
    refuse_if(bool(late), Status.OFFER_EXPIRED, late[0].provider.hex()[:16] if late else "")
    for entry, offer in zip(entries, offers, strict=True):
        refuse_if(entry.operator != offer.operator, Status.OPERATOR_MISMATCH, entry.provider.hex()[:16])
    return RosterRecord(
        roster=roster,
        digest=key,
        version=state.offers_version,
        expires_ms=min(offer.expires_ms for offer in offers),
        operators=operators(roster),
        engines=frozenset(offer.engine for offer in offers),
        prices={offer.provider: offer.prices for offer in offers},
        tariffs=frozenset(offer.prices for offer in offers),
        fuel_max=min(offer.fuel_max for offer in offers),
        memory_bytes_max=min(offer.memory_bytes_max for offer in offers),
    )


def _check_roster(state: State, now: int, record: RosterRecord, asked: _Asked) -> None:
    agreement, limits = asked.agreement, asked.job.core.limits
    refuse_if(record.engines != {agreement.engine}, Status.ENGINE_MISMATCH)
    refuse_if(limits.fuel > record.fuel_max, Status.OFFER_TOO_SMALL, f"fuel {record.fuel_max}")
    refuse_if(
        limits.memory_bytes > record.memory_bytes_max, Status.OFFER_TOO_SMALL, f"memory {record.memory_bytes_max}"
    )
    dearest = max(price_at_most(prices, asked.job.core.fuel_most) for prices in record.tariffs)
    refuse_if(agreement.price_max_micro < dearest, Status.PRICE_BELOW_OFFER, f"price {dearest}")
    attempt = max(prices.attempt_micro for prices in record.tariffs)
    refuse_if(agreement.attempt_max_micro < attempt, Status.PRICE_BELOW_OFFER, f"attempt {attempt}")
    replicas = agreement.proof.replicas
    refuse_if(replicas > record.operators, Status.COHORT_TOO_LARGE, f"{record.operators} operators")
    allowed = min(ROUNDS_MAX, record.operators // replicas)
    refuse_if(agreement.rounds > allowed, Status.ROUNDS_OUT_OF_RANGE, f"rounds {allowed}")
    spare = record.operators - agreement.rounds * replicas
    refuse_if(agreement.reserves > spare, Status.ROUNDS_OUT_OF_RANGE, f"reserves {spare}")
    least = now + term_ms_least(agreement.timeouts, agreement.rounds, state.genesis.windows)
    refuse_if(agreement.settle_by_ms < least, Status.TERM_TOO_SHORT, f"settle_by {least}")
    refuse_if(agreement.settle_by_ms > now + TERM_MS_MAX, Status.TERM_TOO_LONG, f"{TERM_MS_MAX} ms")
