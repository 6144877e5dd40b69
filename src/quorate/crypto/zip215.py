"""Verification of Ed25519 signatures by the rules of ZIP-215, which every engine can follow to the last bit.

RFC 8032 leaves open which encodings a verifier takes and which of two equations it checks, and libraries differ.
ZIP-215 fixes both: A and R are any encodings of curve points, canonical or not, of any order; S is below the group
order; the equation is the one with the cofactor, [8][S]B = [8]R + [8][k]A with k over the bytes as they came.
"""

from __future__ import annotations

from hashlib import sha512

from quorate.crypto.edwards25519 import BASE, L, add, decode_any, is_identity, multiply, negate, times_cofactor


def verify_zip215(key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) by `key` (32 bytes) holds for `message`."""
    public, commitment = decode_any(key), decode_any(signature[:32])
    response = int.from_bytes(signature[32:], "little")
    if public is None or commitment is None or len(signature) != 64 or response >= L:
        return False
    hashed = sha512(signature[:32] + key)
    hashed.update(message)  # a message may be as large as a guest's memory: no second copy of it
    challenge = int.from_bytes(hashed.digest(), "little") % L
    right = add(commitment, multiply(challenge, public))
    return is_identity(times_cofactor(add(multiply(response, BASE), negate(right))))
