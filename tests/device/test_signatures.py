"""Ed25519 of the device: RFC 8032, the rules of ZIP-215, other libraries, and the reference in Python."""

from __future__ import annotations

import random

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey
from tests.device.engines import Engine
from tests.support.bytecode_vectors.verifying import small_order
from tests.support.vrf_prover import sign

from quorate.crypto.edwards25519 import COFACTOR, L, P, decode_any
from quorate.crypto.zip215 import verify_zip215

OFF_THE_CURVE = (2).to_bytes(32, "little")
"""No point has y = 2."""


def test_signatures_of_the_rfc(engine: Engine, official) -> None:
    cases = official("ed25519_rfc8032")
    assert len(cases) >= 4
    for case in cases:
        message, key, signature = (bytes.fromhex(case[name]) for name in ("message", "public", "signature"))
        assert engine.verify_signature(message, key, signature), case["name"]
        assert not engine.verify_signature(message + b"\0", key, signature), case["name"]


def test_all_pairs_of_small_order_encodings_verify(engine: Engine) -> None:
    """ZIP-215: with s = 0 the equation holds for every A and R of small order, however encoded."""
    encodings = small_order()
    assert len(encodings) == 14
    for key in encodings:
        for commitment in encodings:
            assert engine.verify_signature(b"Zcash", key, commitment + bytes(32)), (key.hex(), commitment.hex())


def test_small_order_is_no_licence(engine: Engine) -> None:
    """With s = 1 the left side is a point of the large group, which nothing of small order equals."""
    one = (1).to_bytes(32, "little")
    for key in small_order():
        assert not engine.verify_signature(b"Zcash", key, small_order()[0] + one)


def test_every_y_from_p_on_is_judged_as_by_the_reference(engine: Engine) -> None:
    """The encodings that are not canonical: 19 values of y, each with both signs of x."""
    taken = 0
    for y in range(P, 1 << 255):
        for sign_bit in (0, 1 << 255):
            encoding = (y | sign_bit).to_bytes(32, "little")
            expected = verify_zip215(encoding, b"m", small_order()[0] + bytes(32))
            assert engine.verify_signature(b"m", encoding, small_order()[0] + bytes(32)) == expected
            taken += decode_any(encoding) is not None
    assert taken > 6


@pytest.mark.parametrize("which", range(14))
def test_twisted_keys_and_nonces_verify(engine: Engine, which: int) -> None:
    """A and R with a part of small order: only the equation with the cofactor takes them."""
    twist = decode_any(small_order()[which])
    assert twist is not None
    for arguments in ({"twist_key": twist}, {"twist_nonce": twist}, {"twist_key": twist, "twist_nonce": twist}):
        key, signature = sign(bytes([which]) * 32, b"m", **arguments)
        assert engine.verify_signature(b"m", key, signature)
        assert not engine.verify_signature(b"n", key, signature)


def test_s_must_be_below_the_order(engine: Engine) -> None:
    key, signature = sign(bytes(32), b"m")
    s = int.from_bytes(signature[32:], "little")
    for larger in (s + L, s + 2 * L, s + COFACTOR * L):
        assert not engine.verify_signature(b"m", key, signature[:32] + larger.to_bytes(32, "little"))
    neutral = small_order()[0]
    for s, expected in ((0, True), (L - 1, False), (L, False), (L + 1, False), (2**256 - 1, False)):
        signed = neutral + s.to_bytes(32, "little")
        assert verify_zip215(neutral, b"m", signed) == expected
        assert engine.verify_signature(b"m", neutral, signed) == expected


def test_what_is_no_point_is_refused(engine: Engine) -> None:
    key, signature = sign(bytes(32), b"m")
    assert decode_any(OFF_THE_CURVE) is None
    assert not engine.verify_signature(b"m", OFF_THE_CURVE, signature)
    assert not engine.verify_signature(b"m", key, OFF_THE_CURVE + signature[32:])
    assert not engine.verify_signature(b"m", small_order()[0], OFF_THE_CURVE + bytes(32))


def nacl_takes(message: bytes, key: bytes, signature: bytes) -> bool:
    try:
        VerifyKey(key).verify(message, signature)
    except BadSignatureError:
        return False
    return True


def openssl_takes(message: bytes, key: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_ordinary_keys_are_judged_as_by_other_libraries(engine: Engine) -> None:
    draw = random.Random(25519)
    for _ in range(150):
        signer, message = SigningKey(draw.randbytes(32)), draw.randbytes(draw.randrange(300))
        key, signature = signer.verify_key.encode(), signer.sign(message).signature
        assert engine.verify_signature(message, key, signature)
        assert openssl_takes(message, key, signature)
        changed = bytearray(key + signature)
        changed[draw.randrange(96)] ^= 1 << draw.randrange(8)
        key, signature = bytes(changed[:32]), bytes(changed[32:])
        assert engine.verify_signature(message, key, signature) == nacl_takes(message, key, signature)


def test_every_flipped_bit_is_refused(engine: Engine) -> None:
    key, signature = sign(b"\x07" * 32, b"message")
    whole = key + signature
    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        assert not engine.verify_signature(b"message", bytes(changed[:32]), bytes(changed[32:])), bit
