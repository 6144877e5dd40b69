"""From a draft to a sealed, provable job, and from a verified draw to the wraps of its input key (protocol messages 2
and 4, R2, R3).

This is the client's half of a private job: the content key, the salt, the result key and the ownership key are drawn
here, fresh for each job. `seal` is pure but for the `draw` it is given; nothing is sent or saved.
"""

from __future__ import annotations

from typing import NamedTuple

from quorate.api.builder import PROTECTIONS, Draft
from quorate.api.draws import Drawn
from quorate.api.keyring import JobKeys
from quorate.crypto.commitments import commit_input, input_opening
from quorate.crypto.digests import KEY_BYTES, blob_digest, body_digest, value_digest
from quorate.crypto.ownership import OwnershipKey, OwnershipStatement, prove
from quorate.crypto.ristretto import POINT_BYTES
from quorate.crypto.sealing import seal_input
from quorate.crypto.signing import Draw
from quorate.crypto.wrapping import SEAL_PUBLIC_BYTES, SealKey, wrap
from quorate.errors import InvalidField
from quorate.model.codec import encode
from quorate.model.job import Job, JobCore
from quorate.model.submission import JobWraps, MemberWrap
from quorate.model.units import Digest, JobId, Millis, NodeId
from quorate.privacy.sealed import input_info


class Parties(NamedTuple):
    """Who is who: the network, the requester who signs and pays, the node that runs the life cycle."""

    network: Digest
    requester: NodeId
    node: NodeId


class SealedJob(NamedTuple):
    """A job ready to be signed. `blob` is what travels as its input: ciphertext, or the plain bytes of a public job,
    which has no keys."""

    job: Job
    job_id: JobId
    body: bytes
    blob: bytes
    keys: JobKeys | None


class _Public(NamedTuple):
    """The public halves that go into the core; empty for a public job."""

    result_key: bytes
    ownership_key: bytes
    nonce: bytes


def seal(draft: Draft, parties: Parties, now_ms: Millis, draw: Draw) -> SealedJob:
    """The job of `draft`, sealed anew each time. Raises InvalidField for a private draft without all three
    protections."""
    return _seal_private(draft, parties, now_ms, draw) if draft.private else _seal_public(draft, parties, now_ms, draw)


def _seal_public(draft: Draft, parties: Parties, now_ms: Millis, draw: Draw) -> SealedJob:
    job = Job(
        core=_core(draft, parties, now_ms, _Public(b"", b"", draw(KEY_BYTES))),
        input_digest=blob_digest(draft.input),
        input_bytes=len(draft.input),
        pedersen=b"",
        salted=b"",
        key_commitment=b"",
        out_key_commitment=b"",
        ownership_proof=b"",
    )
    body = encode(job)
    return SealedJob(job, JobId(body_digest("job", body)), body, draft.input, None)


def _seal_private(draft: Draft, parties: Parties, now_ms: Millis, draw: Draw) -> SealedJob:
    for protection in PROTECTIONS:
        if protection not in draft.protections:
            raise InvalidField("missing from a private job", field=protection, fix="build the draft with Job.builder()")
    result_key, ownership_secret = SealKey.generate(draw), draw(KEY_BYTES)
    owner = OwnershipKey(ownership_secret)
    core = _core(draft, parties, now_ms, _Public(result_key.public, owner.public, draw(KEY_BYTES)))
    core_digest = value_digest(core)
    sealed = seal_input(draft.input, core_digest, draw)
    committed = commit_input(sealed.salt, draft.input)
    statement = OwnershipStatement(
        job_core=core_digest,
        commitment=committed.pedersen,
        key_commitment=sealed.key_commitment,
        ciphertext=sealed.ciphertext_digest,
        owner=owner.public,
    )
    job = Job(
        core=core,
        input_digest=sealed.ciphertext_digest,
        input_bytes=len(sealed.ciphertext),
        pedersen=committed.pedersen,
        salted=committed.salted,
        key_commitment=sealed.key_commitment,
        out_key_commitment=sealed.out_key_commitment,
        ownership_proof=prove(statement, input_opening(sealed.salt, draft.input), owner, draw(KEY_BYTES)),
    )
    body = encode(job)
    keys = JobKeys(
        body=body,
        input_secret=sealed.secret.to_bytes(),
        result_key=result_key.to_bytes(),
        ownership_secret=ownership_secret,
    )
    return SealedJob(job, JobId(body_digest("job", body)), body, sealed.ciphertext, keys)


def quoted_core(draft: Draft, parties: Parties, now_ms: Millis) -> JobCore:
    """The core as it would be submitted, with zeros for keys and nonce: enough for a quote, and nothing about the
    input."""
    zeros = _Public(bytes(SEAL_PUBLIC_BYTES), bytes(POINT_BYTES), bytes(KEY_BYTES))
    public = zeros if draft.private else _Public(b"", b"", bytes(KEY_BYTES))
    return _core(draft, parties, now_ms, public)


def _core(draft: Draft, parties: Parties, now_ms: Millis, public: _Public) -> JobCore:
    return JobCore(
        network=parties.network,
        requester=parties.requester,
        node=parties.node,
        program=draft.program,
        call=draft.call,
        arguments=draft.arguments,
        input_media=draft.input_media,
        output_media=draft.output_media,
        limits=draft.limits,
        resources=draft.resources,
        elements=draft.elements,
        result_key=public.result_key,
        ownership_key=public.ownership_key,
        privacy=(),
        privacy_level="private" if draft.private else "public",
        proof=draft.proof,
        budget_micro=draft.budget_micro,
        timeouts=draft.timeouts,
        expires_ms=Millis(now_ms + draft.expires_in_ms),
        regions=draft.regions,
        priority=draft.priority,
        policy=draft.policy,
        wrap_authority="client",
        dispute_disclosure=draft.dispute_disclosure,
        nonce=public.nonce,
    )


def wraps_of(job: Job, keys: JobKeys, drawn: Drawn) -> JobWraps:
    """The input key and salt of `job`, wrapped for each member of a draw that was verified, and for nobody else."""
    secret = keys.secret.to_bytes()
    wraps = tuple(
        MemberWrap(
            member=offer.provider,
            sealed=wrap(offer.seal_key, secret, input_info(job, drawn.agreement, offer.provider, offer.seal_key)),
        )
        for offer in drawn.offers
    )
    return JobWraps(job=keys.job_id, wraps=wraps)
