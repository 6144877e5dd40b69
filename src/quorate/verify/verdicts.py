"""From openings to a verdict, the same computation for the requester, each member, the ledger and whoever reads the
receipt.

A vote stands only if its status is votable (R5); the members of a round are those its RoundClose lists, and the
denominator is the width of the round (K; for a re-run one place, or two when the first claim was chosen to be
re-executed, R13).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from quorate.crypto.digests import digest
from quorate.model.agreement import Agreement
from quorate.model.claim import Opening, Vote
from quorate.model.policy import Proof
from quorate.model.trap import is_votable
from quorate.model.units import Digest, NodeId
from quorate.model.verdict import Tally, Verdict
from quorate.verify.quorum import Count, count, threshold


def needed(proof: Proof, width: int) -> int:
    """How many of `width` places must agree."""
    if proof.method == "quorum":
        return threshold(proof)
    return width


def audited(proof: Proof, audit_seed: bytes, first_commitment: bytes) -> bool:
    """Whether the claim with this commitment is to be re-executed by another provider: one in N, unpredictable to its
    maker (R13)."""
    if proof.method != "rerun":
        return False
    return int.from_bytes(digest("audit", audit_seed, first_commitment), "big") % proof.one_in == 0


def width_of(proof: Proof, number: int, audit_seed: bytes, first_commitment: bytes) -> int:
    """The width of round `number`: K; for a re-run one, or two when the first claim is audited and in every round after
    a split."""
    if proof.method != "rerun":
        return proof.replicas
    return 2 if number > 1 or audited(proof, audit_seed, first_commitment) else 1


def vote_of(opening: Opening) -> Vote | None:
    """The vote of an opening, None when it reports a failure: failures never agree with anything."""
    vote = opening.body.vote
    return vote if is_votable(vote.status) else None


def count_openings(openings: Mapping[NodeId, Opening], proof: Proof, width: int) -> Count[NodeId, Vote]:
    return count({member: vote_of(opening) for member, opening in openings.items()}, width, needed(proof, width))


def tally(
    number: int, members: Sequence[NodeId], openings: Mapping[NodeId, Opening], proof: Proof, width: int
) -> Tally:
    """How a round ended: `members` are those of its RoundClose, in its order."""
    opened = {member: openings[member] for member in members if member in openings}
    result = count_openings(opened, proof, width)
    return Tally(
        round=number,
        outcome="accepted" if result.outcome == "accepted" else "split" if result.outcome == "split" else "short",
        agreed=result.agreed,
        dissented=result.dissented,
        failed=result.failed,
        silent=tuple(member for member in members if member not in openings),
    )


def verdict_of(
    agreement: Agreement, agreement_id: Digest, tallies: Sequence[Tally], vote: Vote | None, reexecuted: bool
) -> Verdict:
    """`vote` is the accepted one: the last tally is then `accepted`."""
    proof = agreement.proof
    rule = {
        "quorum": f"quorum: {threshold(proof)} of {proof.replicas} equal claims",
        "rerun": f"rerun: 1 claim, 1 in {proof.one_in} re-executed",
        "trust": "trust: 1 signed claim",
    }[proof.method]
    return Verdict(
        network=agreement.network,
        agreement=agreement_id,
        accepted=vote is not None,
        vote=vote,
        rule=rule,
        reason="" if vote is not None else "no outcome reached the threshold",
        reexecuted=reexecuted,
        rounds=tuple(tallies),
    )
