"""Sealed jobs: network, ledger and the requester's node see ciphertext and commitments; the selected executors see the
plaintext.

That last half is part of the name of this tier wherever it is shown. Protocol R1 to R3; the order of checks is message
6: unwrap, key commitment, both input commitments, then compile and run. Whatever does not open is `input_unopenable`,
and nobody is blamed for it.
"""

from __future__ import annotations

from quorate.crypto.commitments import InputCommitment, check_input
from quorate.crypto.digests import remembered_digest
from quorate.crypto.ristretto import Point
from quorate.crypto.sealing import InputSecret, check_out_key, log_tag, open_input, out_key, result_tag, seal_to
from quorate.crypto.signing import Draw
from quorate.crypto.wrapping import Role, WrapInfo, seal_key_digest, unwrap, wrap_info
from quorate.execute.engine import Execution
from quorate.model.job import Job
from quorate.model.units import Digest, NodeId
from quorate.privacy.claims import claim, plain_outcome
from quorate.privacy.tier import Opened, Place, Sealed

EXECUTORS_SEE = (
    "Sealed jobs hide your input and result from the network, the ledger and the requester's node. "
    "The executors you selected see them in plaintext."
)


def input_info(job: Job, agreement: Digest, recipient: NodeId, seal_public: bytes) -> bytes:
    """What the wrap of the input key is bound to (R2): the client makes it for a member, the member opens with the
    same."""
    return wrap_info(
        WrapInfo(
            network=job.core.network,
            job=remembered_digest(job),
            agreement=agreement,
            sender=job.core.requester,
            recipient=recipient,
            key=seal_key_digest(seal_public),
            role="input",
        )
    )


def output_info(job: Job, agreement: Digest, sender: NodeId, role: Role) -> bytes:
    """What a sealed result or log is bound to: made by `sender`, for the job's result key."""
    return wrap_info(
        WrapInfo(
            network=job.core.network,
            job=remembered_digest(job),
            agreement=agreement,
            sender=sender,
            recipient=job.core.requester,
            key=seal_key_digest(job.core.result_key),
            role=role,
        )
    )


class SealedTier:
    def open(self, job: Job, place: Place, wrapped: bytes, blob: bytes) -> Opened:
        """Raises BadSeal or BadCommitment when anything about the input is not as committed."""
        info = input_info(job, place.agreement, place.member, place.seal_key.public)
        secret = InputSecret.from_bytes(unwrap(place.seal_key, wrapped, info))
        plaintext = open_input(blob, secret, remembered_digest(job.core), Digest(job.key_commitment))
        check_out_key(out_key(secret.content_key), Digest(job.out_key_commitment))
        check_input(InputCommitment(Point(job.pedersen), Digest(job.salted)), secret.salt, plaintext)
        return Opened(plaintext, secret)

    def seal(self, job: Job, place: Place, opened: Opened, execution: Execution, draw: Draw) -> Sealed:
        assert opened.secret is not None
        output, log = plain_outcome(execution)
        key, job_id = out_key(opened.secret.content_key), remembered_digest(job)
        tags = result_tag(key, job_id, place.agreement, output), log_tag(key, job_id, place.agreement, log)
        blobs = (
            seal_to(job.core.result_key, output, output_info(job, place.agreement, place.member, "result"), draw),
            # An empty log has nothing to hide: its size, which is public, says all. Its tag is keyed like any other.
            seal_to(job.core.result_key, log, output_info(job, place.agreement, place.member, "log"), draw)
            if execution.log
            else b"",
        )
        return Sealed(claim(execution, tags, blobs), *blobs)
