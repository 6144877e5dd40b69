"""ECVRF of the device: RFC 9381, the reference in Python, and what must prove nothing."""

from __future__ import annotations

import random

from tests.device.engines import Engine
from tests.support.bytecode_vectors.verifying import small_order
from tests.support.vrf_prover import forge, prove, public_key

from quorate.crypto.edwards25519 import L, decode_canonical
from quorate.crypto.vrf import verify_vrf


def test_proofs_of_the_rfc(engine: Engine, official) -> None:
    cases = official("ecvrf_rfc9381")
    assert len(cases) == 3
    for case in cases:
        alpha, key, proof, beta = (bytes.fromhex(case[name]) for name in ("alpha", "public", "proof", "beta"))
        assert engine.verify_vrf(alpha, key, proof) == beta, case["name"]
        assert engine.verify_vrf(alpha + b"\0", key, proof) is None, case["name"]


def test_proofs_have_the_output_of_the_reference(engine: Engine) -> None:
    draw = random.Random(9381)
    for _ in range(40):
        seed, alpha = draw.randbytes(32), draw.randbytes(draw.randrange(200))
        key, proof = public_key(seed), prove(seed, alpha)
        beta = engine.verify_vrf(alpha, key, proof)
        assert beta is not None
        assert beta == verify_vrf(key, alpha, proof)


def test_every_flipped_bit_is_refused(engine: Engine) -> None:
    key, proof = public_key(b"\x07" * 32), prove(b"\x07" * 32, b"alpha")
    whole = key + proof
    for bit in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        assert engine.verify_vrf(b"alpha", bytes(changed[:32]), bytes(changed[32:])) is None, bit


def test_s_must_be_below_the_order(engine: Engine) -> None:
    key, proof = public_key(bytes(32)), prove(bytes(32), b"alpha")
    s = int.from_bytes(proof[48:], "little")
    assert engine.verify_vrf(b"alpha", key, proof) is not None
    assert engine.verify_vrf(b"alpha", key, proof[:48] + (s + L).to_bytes(32, "little")) is None


def test_keys_of_small_order_prove_nothing(engine: Engine) -> None:
    """Each forged proof meets the equation; only the validation of the key (RFC 9381, 5.4.5) refuses it."""
    keys = [encoding for encoding in small_order() if decode_canonical(encoding) is not None]
    assert len(keys) == 8
    for key in keys:
        assert engine.verify_vrf(b"alpha", key, forge(key, b"alpha")) is None


def test_points_are_decoded_strictly(engine: Engine) -> None:
    """What ZIP-215 takes, RFC 9381 does not: other encodings of the same points."""
    key, proof = public_key(bytes(32)), prove(bytes(32), b"alpha")
    other = [encoding for encoding in small_order() if decode_canonical(encoding) is None]
    assert len(other) == 6
    for encoding in other:
        assert engine.verify_vrf(b"alpha", encoding, proof) is None
        assert engine.verify_vrf(b"alpha", key, encoding + proof[32:]) is None
