"""Proof that one party made the commitment to an input and holds the job's ownership key (protocol R3).

An AND-proof of two statements under one challenge: knowledge of (v, r) with C = vG + rH (Okamoto, CRYPTO 1992) and of x
with X = xG (Schnorr, CRYPTO 1989), made non-interactive by Fiat and Shamir. The challenge takes in the digest of the
job core (which names program, limits and result key), C, the key commitment, the ciphertext digest and X, so that a
proof fits one job, one recipient and one ciphertext. The executors can open C, but do not know x, so they cannot make
the proof for a job of their own.

Proof bytes: challenge, then the responses for v, r and x, 32 bytes each. Not post-quantum.
"""

from __future__ import annotations

from typing import NamedTuple

from quorate.crypto.commitments import H, Opening, commit
from quorate.crypto.digests import KEY_BYTES
from quorate.crypto.ristretto import (
    SCALAR_BYTES,
    Scalar,
    add,
    base_times,
    check_point,
    check_scalar,
    hash_to_scalar,
    scalar_add,
    scalar_times,
    subtract,
    times,
)
from quorate.crypto.signing import Draw
from quorate.errors import BadCommitment, BadSignature, InvalidField
from quorate.model.units import Digest

PROOF_BYTES = 4 * SCALAR_BYTES
FIELD = "ownership_proof"


class OwnershipStatement(NamedTuple):
    """What a proof is about. `owner` is X, the public ownership key of the job."""

    job_core: Digest
    commitment: bytes
    key_commitment: bytes
    ciphertext: bytes
    owner: bytes


class OwnershipKey:
    """x, drawn for one job, so that two jobs of one requester cannot be linked by it."""

    __slots__ = ("_secret", "public")

    def __init__(self, secret: bytes) -> None:
        self._secret: Scalar = hash_to_scalar("ownership key", secret)
        self.public = base_times(self._secret)

    @classmethod
    def generate(cls, draw: Draw) -> OwnershipKey:
        return cls(draw(KEY_BYTES))

    def __repr__(self) -> str:
        return f"OwnershipKey({self.public.hex()[:16]})"

    def __reduce__(self) -> str:
        raise TypeError("an ownership key is not pickled")


def prove(statement: OwnershipStatement, opening: Opening, key: OwnershipKey, entropy: bytes) -> bytes:
    """The proof. The nonces come from `entropy` and the secrets and the statement together, so that repeated entropy
    reveals nothing."""
    if key.public != statement.owner or commit(opening) != statement.commitment:
        raise InvalidField("the secrets are not those of the statement", field=FIELD)
    secrets = (opening.value, opening.blinding, key._secret)
    nonces = [
        hash_to_scalar("ownership nonce", name, entropy, *secrets, *statement)
        for name in (b"value", b"blinding", b"owner")
    ]
    masked = add(base_times(nonces[0]), times(nonces[1], H)), base_times(nonces[2])
    challenge = _challenge(statement, *masked)
    responses = [
        scalar_add(nonce, scalar_times(challenge, secret)) for nonce, secret in zip(nonces, secrets, strict=True)
    ]
    return b"".join((challenge, *responses))


def verify(statement: OwnershipStatement, proof: bytes) -> None:
    """Raises BadSignature unless `proof` shows both secrets for exactly this statement."""
    if len(proof) != PROOF_BYTES:
        raise BadSignature(f"{len(proof)} bytes", field=FIELD, limit=f"{PROOF_BYTES} bytes")
    challenge, value, blinding, owner = (proof[at : at + SCALAR_BYTES] for at in range(0, PROOF_BYTES, SCALAR_BYTES))
    try:
        for number in (challenge, value, blinding, owner):
            check_scalar(number, FIELD)
        check_point(statement.commitment, "pedersen")
        check_point(statement.owner, "ownership_key")
    except BadCommitment as fault:
        raise BadSignature(fault.message, field=fault.field, evidence=fault.evidence) from None
    opened = add(base_times(value), times(blinding, H))
    masked = subtract(opened, times(challenge, statement.commitment))
    masked_owner = subtract(base_times(owner), times(challenge, statement.owner))
    if _challenge(statement, masked, masked_owner) != challenge:
        raise BadSignature("does not verify for this job, input and owner", field=FIELD, evidence=proof)


def _challenge(statement: OwnershipStatement, masked: bytes, masked_owner: bytes) -> Scalar:
    return hash_to_scalar("ownership challenge", *statement, masked, masked_owner)
