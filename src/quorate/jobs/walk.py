"""THE PATH: a job from submission to settlement as seven calls, one for each folder of the package.

    admit ──▶ match ──▶ assign ──▶ run ──▶ tally ──▶ settle ──▶ conclude
    Job       Agreement  Assignment Claim   Verdict   Settlement Ending

One process, no messages, nobody crashes or lies about anything but its claim; time and entropy are arguments. The same
seven steps over messages are the table of `lifecycle`; a property test holds both to the same verdict, payments and
ending where nothing fails. Nothing is signed here, so the ending carries no receipt: that is `conclude` of a node.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from quorate.crypto.digests import body_digest, digest, value_digest
from quorate.crypto.signing import Draw
from quorate.crypto.wrapping import SealKey
from quorate.errors import CohortTooLarge, UnaffordableJob
from quorate.execute.engine import Execution
from quorate.jobs import admission
from quorate.ledger.ballots import Ballot, Ballots, Seat, Terms, terms_of
from quorate.ledger.call import BlockContext
from quorate.ledger.settle import judged, payments, settlement_value, tallied
from quorate.market import matching
from quorate.market.book import Listing
from quorate.market.pricing import spend_at_most
from quorate.model.assignment import Assignment
from quorate.model.claim import Opening, RoundClose
from quorate.model.codec import encode
from quorate.model.job import Job
from quorate.model.network import Genesis
from quorate.model.settlement import Settlement
from quorate.model.trap import Status, is_votable
from quorate.model.units import Digest, JobId, Millis, NodeId
from quorate.model.verdict import Verdict
from quorate.privacy.tier import Place, Sealed, tier_for
from quorate.verify.claims import commit_digest
from quorate.verify.verdicts import audited, needed, width_of


class Executor(NamedTuple):
    """A provider as the path needs it: the key that inputs are wrapped for, the engine, and its entropy for one claim
    (the nonce of 32 bytes first)."""

    seal_key: SealKey
    execute: Callable[[bytes], Execution]
    draw: Draw


class Surroundings(NamedTuple):
    """Who and what is around the job. `secret` is the node's own, `beacon` the ledger's: 32 fresh bytes each. `blob` is
    the input as it travels, `wrap` the client's wrapping of its key for one member of an agreement."""

    genesis: Genesis
    node: NodeId
    sequencer: NodeId
    listings: Sequence[Listing]
    standing: matching.Standing
    executors: Callable[[NodeId], Executor]
    blob: bytes
    wrap: Callable[[Digest, NodeId], bytes]
    secret: bytes
    beacon: bytes
    now_ms: Millis


class Cohort(NamedTuple):
    """Who may take the places of round `number`, in draw order."""

    number: int
    members: tuple[NodeId, ...]


class Claim(NamedTuple):
    """One member's claim: the opening, its commitment, and the blobs that it names."""

    opening: Opening
    commitment: Digest
    sealed: Sealed


class Ending(NamedTuple):
    """How the job ended. `delivered` is an agreeing member's result and log, as sealed for the requester."""

    condition: str
    verdict: Verdict
    settlement: Settlement
    delivered: Sealed | None


def walk(job: Job, world: Surroundings) -> Ending:
    """The whole path. Raises what `admit` and `match` raise."""
    admit(job, world)
    terms = match(job, world)
    ballots: tuple[Ballot, ...] = ()
    claims: tuple[Claim, ...] = ()
    while cohort := assign(terms, ballots):
        claims = run(terms, job, cohort, world)
        ballots = (*ballots, tally(terms, claims, world))
    verdict, settlement = settle(terms, ballots, world)
    return conclude(ballots, claims, verdict, settlement)


def admit(job: Job, world: Surroundings) -> None:
    """1. Whatever can be refused before anyone hears of the job."""
    admission.admit(job, world.genesis, world.now_ms)


def match(job: Job, world: Surroundings) -> Terms:
    """2. The standing offers that fit, the agreement, and the draw that the beacon decides."""
    job_id = JobId(value_digest(job))
    request = matching.Request(
        job=job,
        job_id=job_id,
        genesis=world.genesis,
        network=admission.network_of(world.genesis),
        node=world.node,
        sequencer=world.sequencer,
        audit_seed=_audit_seed(world, job_id),
        now_ms=world.now_ms,
    )
    found = matching.match(request, world.listings, world.standing)
    if isinstance(found, matching.NoMatch):
        raise (CohortTooLarge if found.error == "CohortTooLarge" else UnaffordableJob)(found.detail)
    prices = {listing.offer.provider: listing.offer.prices for listing in world.listings}
    agreement_id = body_digest("agreement", encode(found.agreement))
    return terms_of(found.agreement, agreement_id, found.roster, prices, world.beacon)


def assign(terms: Terms, ballots: Sequence[Ballot]) -> Cohort | None:
    """3. The next round's cohort, without former members; none once the job is decided or the roster used up."""
    number, proof = len(ballots) + 1, terms.agreement.proof
    if number > terms.agreement.rounds or (ballots and _over(terms, ballots[-1])):
        return None
    former = {seat.member for ballot in ballots for seat in ballot.seats}
    pool = tuple(member for member in terms.members if member not in former)
    least = 1 if proof.method == "rerun" and number == 1 else needed(proof, width_of(proof, number, b"", b""))
    return Cohort(number, pool) if len(pool) >= least else None


def _over(terms: Terms, last: Ballot) -> bool:
    return tallied(terms, last).outcome == "accepted" or bool(_common_failure(last))


def _common_failure(ballot: Ballot) -> str:
    """The failure that every member of the round reports: another cohort would meet it too."""
    found = {seat.opening.body.vote.status for seat in ballot.seats if seat.opening}
    status = found.pop() if len(found) == 1 else ""
    return "" if not status or is_votable(status) else status


def run(terms: Terms, job: Job, cohort: Cohort, world: Surroundings) -> tuple[Claim, ...]:
    """4. The claims of one round, through the job's privacy tier: as many as it is wide, which for a re-run the first
    commitment decides."""
    proof, number = terms.agreement.proof, cohort.number
    alone = proof.method == "rerun" and number == 1
    drawn = cohort.members[: 1 if alone else width_of(proof, number, b"", b"")]
    claims = tuple(_claim(job, _assignment(terms, number, member, drawn, world), world) for member in drawn)
    if alone and audited(proof, _audit_seed(world, terms.agreement.job), claims[0].commitment):
        claims += (_claim(job, _assignment(terms, number, cohort.members[1], drawn, world), world),)
    return claims


def _assignment(terms: Terms, number: int, member: NodeId, drawn: Sequence[NodeId], world: Surroundings) -> Assignment:
    salt = digest("cohort-salt", world.secret, number.to_bytes(4, "big"))
    return Assignment(
        network=terms.agreement.network,
        agreement=terms.agreement_id,
        round=number,
        member=member,
        cohort=digest("cohort", salt, *drawn),
        wrap=world.wrap(terms.agreement_id, member),
    )


def _claim(job: Job, order: Assignment, world: Surroundings) -> Claim:
    executor, tier = world.executors(order.member), tier_for(job)
    nonce = executor.draw(32)
    place = Place(order.member, order.agreement, executor.seal_key)
    opened = tier.open(job, place, order.wrap, world.blob)
    sealed = tier.seal(job, place, opened, executor.execute(opened.plaintext), executor.draw)
    assignment = value_digest(order)
    opening = Opening(
        network=order.network,
        agreement=order.agreement,
        round=order.round,
        assignment=assignment,
        member=order.member,
        body=sealed.body,
        nonce=nonce,
    )
    return Claim(opening, commit_digest(order.network, assignment, order.member, sealed.body, nonce), sealed)


def tally(terms: Terms, claims: Sequence[Claim], world: Surroundings) -> Ballot:
    """5. The round as it was closed and opened: anyone counts it and finds the same."""
    first = claims[0].opening
    close = RoundClose(
        network=first.network,
        agreement=first.agreement,
        round=first.round,
        members=tuple(claim.opening.member for claim in claims),
        commits=tuple(claim.commitment for claim in claims),
        salt=digest("cohort-salt", world.secret, first.round.to_bytes(4, "big")),
        audit_seed=_audit_seed(world, terms.agreement.job),
    )
    seats = tuple(
        Seat(claim.opening.member, claim.commitment, claim.opening.assignment, signed=True, opening=claim.opening)
        for claim in claims
    )
    return Ballot(number=first.round, close=close, seats=seats)


def settle(terms: Terms, ballots: Sequence[Ballot], world: Surroundings) -> tuple[Verdict, Settlement]:
    """6. The verdict, and what it pays: the ledger's own computation over everything that was opened."""
    received = frozenset(
        (ballot.number, seat.opening.body.result_digest) for ballot in ballots for seat in ballot.seats if seat.opening
    )
    ruling = judged(terms, Ballots(tuple(ballots), received))
    transfers = payments(terms, ruling.dues, spend_at_most(terms.agreement), terms.agreement.bond_micro)
    block = BlockContext(1, world.now_ms, world.beacon)
    return ruling.verdict, settlement_value(terms, ruling, transfers, "settle", block)


def conclude(ballots: Sequence[Ballot], claims: Sequence[Claim], verdict: Verdict, settlement: Settlement) -> Ending:
    """7. How the job ended, and the result where there is one."""
    if verdict.accepted:
        agreed = verdict.rounds[-1].agreed[0]
        delivered = next(claim.sealed for claim in claims if claim.opening.member == agreed)
        return Ending("completed", verdict, settlement, delivered)
    failure = _common_failure(ballots[-1])
    condition = "timed_out" if failure == Status.WALL_CLOCK else "failed" if failure else "rejected"
    return Ending(condition, verdict, settlement, None)


def _audit_seed(world: Surroundings, job_id: JobId) -> Digest:
    return digest("audit-secret", world.secret, job_id)
