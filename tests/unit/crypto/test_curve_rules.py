"""ZIP-215 and ECVRF over plain edwards25519: standards, libraries, and points of small order."""

from __future__ import annotations

from hashlib import sha512

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import (
    crypto_core_ed25519_add,
    crypto_core_ed25519_is_valid_point,
    crypto_scalarmult_ed25519_base_noclamp,
)
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey
from tests.support.bytecode_vectors.verifying import small_order
from tests.support.vrf_prover import forge, prove, public_key, sign

from quorate.crypto import edwards25519 as curve
from quorate.crypto.vrf import PROOF_BYTES, verify_vrf
from quorate.crypto.zip215 import verify_zip215

SEEDS = st.binary(min_size=32, max_size=32)
SCALARS = st.integers(1, curve.L - 1)


def nacl_takes(key, message, signature):
    try:
        VerifyKey(key).verify(message, signature)
    except BadSignatureError:
        return False
    return True


@given(SCALARS, SCALARS)
@settings(max_examples=30)
def test_the_group_is_that_of_libsodium(a, b):
    def theirs(scalar):
        return crypto_scalarmult_ed25519_base_noclamp(scalar.to_bytes(32, "little"))

    left, right = curve.multiply(a, curve.BASE), curve.multiply(b, curve.BASE)
    assert curve.encode(left) == theirs(a)
    if (a + b) % curve.L:
        assert curve.encode(curve.add(left, right)) == crypto_core_ed25519_add(theirs(a), theirs(b))
    decoded = curve.decode_canonical(theirs(a))
    assert decoded is not None
    assert curve.encode(decoded) == theirs(a)
    assert curve.is_identity(curve.add(left, curve.negate(left)))


def test_the_base_point_has_order_l():
    assert curve.encode(curve.BASE).hex() == "58" + "66" * 31
    assert curve.is_identity(curve.multiply(curve.L, curve.BASE))
    assert not curve.is_identity(curve.multiply(curve.L - 1, curve.BASE))


@given(st.binary(min_size=32, max_size=32))
@settings(max_examples=100)
def test_canonical_decoding_takes_what_libsodium_takes(data):
    point = curve.decode_canonical(data)
    if point is not None:
        assert curve.encode(point) == data
    prime_order = point is not None and curve.is_identity(curve.multiply(curve.L, point))
    assert crypto_core_ed25519_is_valid_point(data) == (prime_order and not curve.is_identity(point))


@given(SEEDS, st.binary(max_size=100), st.integers(0, 96), st.integers(0, 7))
@settings(max_examples=60)
def test_ordinary_signatures_are_judged_as_by_libsodium(seed, message, at, bit):
    key, signature = SigningKey(seed).verify_key.encode(), SigningKey(seed).sign(message).signature
    assert verify_zip215(key, message, signature)
    whole = bytearray(key + signature + b"\x00")
    whole[at] ^= 1 << bit
    key, signature = bytes(whole[:32]), bytes(whole[32:96])
    assert verify_zip215(key, message, signature) == nacl_takes(key, message, signature)


@given(SEEDS, st.binary(max_size=100))
@settings(max_examples=20)
def test_our_signer_signs_as_libsodium_does(seed, message):
    assert sign(seed, message) == (SigningKey(seed).verify_key.encode(), SigningKey(seed).sign(message).signature)


def test_all_pairs_of_small_order_encodings_are_taken():
    encodings = small_order()
    assert len(set(encodings)) == 14
    points = [curve.decode_any(encoding) for encoding in encodings]
    assert all(point is not None and curve.is_identity(curve.times_cofactor(point)) for point in points)
    assert len({curve.encode(point) for point in points if point is not None}) == 8
    assert sum(curve.decode_canonical(encoding) is not None for encoding in encodings) == 8
    for key in encodings:
        for commitment in encodings:
            assert verify_zip215(key, b"Zcash", commitment + bytes(32))
            assert not nacl_takes(key, b"Zcash", commitment + bytes(32))


def test_only_the_equation_with_the_cofactor_takes_mixed_points():
    twist = curve.decode_any(small_order()[10])
    assert twist is not None
    key, signature = sign(bytes(32), b"m", twist_nonce=twist)
    assert verify_zip215(key, b"m", signature)
    assert not nacl_takes(key, b"m", signature)
    assert not verify_zip215(key, b"n", signature)


@pytest.mark.parametrize("key_size", [0, 31, 33])
def test_sizes_are_checked(key_size):
    key, signature = sign(bytes(32), b"m")
    assert not verify_zip215((key * 2)[:key_size], b"m", signature)
    assert not verify_zip215(key, b"m", signature[:-1])
    assert not verify_zip215(key, b"m", signature + b"\x00")


def test_vrf_proofs_of_the_rfc(vector):
    for case in vector("ecvrf_rfc9381")["cases"]:
        seed, public, alpha, proof, beta = (
            bytes.fromhex(case[name]) for name in ("seed", "public", "alpha", "proof", "beta")
        )
        assert public_key(seed) == public
        assert prove(seed, alpha) == proof
        assert verify_vrf(public, alpha, proof) == beta


@given(SEEDS, st.binary(max_size=40), st.integers(0, PROOF_BYTES - 1), st.integers(0, 7))
@settings(max_examples=25)
def test_a_proof_holds_for_its_key_and_input_alone(seed, alpha, at, bit):
    proof = prove(seed, alpha)
    beta = verify_vrf(public_key(seed), alpha, proof)
    assert beta is not None
    assert len(beta) == 64
    changed = bytearray(proof)
    changed[at] ^= 1 << bit
    assert verify_vrf(public_key(seed), alpha, bytes(changed)) is None
    assert verify_vrf(public_key(seed), alpha + b"!", proof) is None
    assert verify_vrf(public_key(sha512(seed).digest()[:32]), alpha, proof) is None
    assert verify_vrf(public_key(seed), alpha, proof + b"\x00") is None


def test_a_key_of_small_order_proves_nothing():
    """Under such a key anyone can make a proof that meets the equation."""
    keys = [encoding for encoding in small_order() if curve.decode_canonical(encoding)]
    assert len(keys) == 8
    for key in keys:
        assert verify_vrf(key, b"alpha", forge(key, b"alpha")) is None
