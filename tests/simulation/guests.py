"""Guests as a deterministic function of program and input, and the claims about them in the real public tier.

The program's bytes say how its guest ends; what it writes is a hash of both. A private job has the same claims under
tags that only its members can make; its ciphertexts differ from member to member.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

from quorate.crypto.digests import digest, keyed
from quorate.execute.engine import Execution
from quorate.model.claim import ClaimBody, Vote
from quorate.model.job import Job
from quorate.model.trap import Status
from quorate.model.units import Digest, NodeId
from quorate.privacy.claims import claim, plain_outcome
from quorate.privacy.open import OpenTier
from quorate.privacy.tier import Opened

ENDINGS = (Status.SUCCESS,) * 12 + (Status.NONZERO_EXIT, Status.OUT_OF_FUEL, Status.UNREACHABLE)
LAYERS = ("rlimits", "seccomp")


@lru_cache(maxsize=1 << 16)
def execution(program: Digest, argument: Digest, twist: bytes = b"") -> Execution:
    """How the guest ends. With a `twist` it is what a liar says instead."""
    mark = digest("simulated guest", program, argument, twist)
    return Execution(
        status=ENDINGS[program[0] % len(ENDINGS)],
        output=mark[:16],
        fuel_used=10_000 + 1_000 * mark[16],
        guest_memory_bytes=1 << 16,
        memory_peak_bytes=1 << 20,
        cpu_ms=mark[17],
        engine_version="simulated",
        layers=LAYERS,
    )


def failure(status: Status) -> Execution:
    """A run that ended by its machine's fault."""
    return Execution(status=status, engine_version="simulated", layers=LAYERS)


class Claimed(msgspec.Struct, frozen=True):
    """The body of a claim, and the two blobs that it names."""

    body: ClaimBody
    result: bytes
    log: bytes


def claimed(job: Job, agreement: Digest, member: NodeId, ended: Execution) -> Claimed:
    return _private(job, agreement, member, ended) if job.private else _public(ended)


@lru_cache(maxsize=1 << 14)
def _public(ended: Execution) -> Claimed:
    sealed = OpenTier().seal(None, None, Opened(b"", None), ended, bytes)  # type: ignore[arg-type]
    return Claimed(sealed.body, sealed.result, sealed.log)


def _private(job: Job, agreement: Digest, member: NodeId, ended: Execution) -> Claimed:
    key = digest("simulated output key", job.out_key_commitment)
    output, log = plain_outcome(ended)
    tags = tuple(keyed(key, name, agreement, data) for name, data in (("result tag", output), ("log tag", log)))
    blobs = tuple(digest("simulated seal", member, data) + data for data in (output, log))
    return Claimed(claim(ended, (tags[0], tags[1]), (blobs[0], blobs[1])), *blobs)


def honest_vote(job: Job, agreement: Digest) -> Vote:
    """What every honest member of this agreement votes, failures of its machine aside."""
    ended = execution(job.core.program.digest, job.input_digest)
    return claimed(job, agreement, NodeId(bytes(32)), ended).body.vote


def wrap_for(agreement: Digest, member: NodeId) -> bytes:
    """Stands for the input key wrapped for `member`; a member tells it from any other."""
    return digest("simulated wrap", agreement, member)
