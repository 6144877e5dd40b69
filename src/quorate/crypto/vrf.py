"""Verification of ECVRF-EDWARDS25519-SHA512-TAI, suite 3 of RFC 9381, with key validation (5.4.5).

A proof shows that its 64-byte output is the one value that the holder of a key can derive from `alpha`.
"""

from __future__ import annotations

from hashlib import sha512
from typing import Final

from quorate.crypto.edwards25519 import (
    BASE,
    IDENTITY,
    L,
    Point,
    add,
    decode_canonical,
    encode,
    is_identity,
    multiply,
    negate,
    times_cofactor,
)

SUITE: Final = b"\x03"
PROOF_BYTES: Final = 80
_CHALLENGE_BYTES: Final = 16


def encode_to_curve(key: bytes, alpha: bytes) -> Point | None:
    """Try and increment (5.4.1.1): the first counter whose hash decodes to a point that is not of small order. None has
    never been seen: each try fails with odds of one half, and there are 256."""
    for counter in range(256):
        hashed = sha512(SUITE + b"\x01" + key + alpha + bytes([counter]) + b"\x00").digest()
        point = decode_canonical(hashed[:32])
        cleared = times_cofactor(point) if point is not None else IDENTITY
        if not is_identity(cleared):
            return cleared
    return None


def challenge(points: tuple[Point, ...]) -> bytes:
    """The 16 bytes of 5.4.3 over five points."""
    return sha512(SUITE + b"\x02" + b"".join(map(encode, points)) + b"\x00").digest()[:_CHALLENGE_BYTES]


def output_of(gamma: Point) -> bytes:
    """The 64 bytes of 5.2."""
    return sha512(SUITE + b"\x03" + encode(times_cofactor(gamma)) + b"\x00").digest()


def verify_vrf(key: bytes, alpha: bytes, proof: bytes) -> bytes | None:
    """The output that `proof` proves for `alpha` under `key`, or None if it proves nothing."""
    public, gamma = decode_canonical(key), decode_canonical(proof[:32])
    response = int.from_bytes(proof[48:], "little")
    if public is None or gamma is None or len(proof) != PROOF_BYTES or response >= L:
        return None
    hashed = encode_to_curve(key, alpha)
    if hashed is None or is_identity(times_cofactor(public)):
        return None
    stated = int.from_bytes(proof[32:48], "little")
    u = add(multiply(response, BASE), negate(multiply(stated, public)))
    v = add(multiply(response, hashed), negate(multiply(stated, gamma)))
    if challenge((public, hashed, gamma, u, v)) != proof[32:48]:
        return None
    return output_of(gamma)
