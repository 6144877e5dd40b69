"""Proves what `quorate.crypto.vrf` verifies (RFC 9381, 5.1), and signs by hand. For tests: not constant-time."""

from __future__ import annotations

from hashlib import sha512

from quorate.crypto.edwards25519 import BASE, COFACTOR, IDENTITY, L, Point, add, decode_canonical, encode, multiply
from quorate.crypto.vrf import challenge, encode_to_curve


def expand(seed: bytes) -> tuple[int, bytes]:
    """The secret scalar and the prefix of RFC 8032, 5.1.5."""
    hashed = sha512(seed).digest()
    scalar = int.from_bytes(hashed[:32], "little") & ~7 & (1 << 255) - 1 & ~(1 << 255) | 1 << 254
    return scalar, hashed[32:]


def public_key(seed: bytes) -> bytes:
    return encode(multiply(expand(seed)[0], BASE))


def prove(seed: bytes, alpha: bytes) -> bytes:
    """The 80 bytes of a proof."""
    scalar, prefix = expand(seed)
    key = multiply(scalar, BASE)
    hashed = encode_to_curve(encode(key), alpha)
    assert hashed is not None
    gamma = multiply(scalar, hashed)
    nonce = int.from_bytes(sha512(prefix + encode(hashed)).digest(), "little") % L
    stated = challenge((key, hashed, gamma, multiply(nonce, BASE), multiply(nonce, hashed)))
    response = (nonce + int.from_bytes(stated, "little") * scalar) % L
    return encode(gamma) + stated + response.to_bytes(32, "little")


def forge(key: bytes, alpha: bytes) -> bytes:
    """A proof under a key of small order, which anyone can make and only key validation refuses: gamma is the identity,
    and the nonce is tried until the challenge takes the key out of the equation."""
    point, hashed = decode_canonical(key), encode_to_curve(key, alpha)
    assert point is not None
    assert hashed is not None
    for nonce in range(1, 1000):
        stated = challenge((point, hashed, IDENTITY, multiply(nonce, BASE), multiply(nonce, hashed)))
        if stated[0] % COFACTOR == 0:
            return encode(IDENTITY) + stated + nonce.to_bytes(32, "little")
    raise AssertionError("one nonce in eight does it")


def sign(
    seed: bytes, message: bytes, twist_key: Point = IDENTITY, twist_nonce: Point = IDENTITY
) -> tuple[bytes, bytes]:
    """A public key and a signature by it, with points of small order added to the key and to R. What is signed holds by
    the equation with the cofactor alone, unless both are the identity."""
    scalar, prefix = expand(seed)
    nonce = int.from_bytes(sha512(prefix + message).digest(), "little") % L
    key = encode(add(multiply(scalar, BASE), twist_key))
    commitment = encode(add(multiply(nonce, BASE), twist_nonce))
    hashed = int.from_bytes(sha512(commitment + key + message).digest(), "little") % L
    return key, commitment + ((nonce + hashed * scalar) % L).to_bytes(32, "little")
