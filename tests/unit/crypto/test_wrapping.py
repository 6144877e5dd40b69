"""Wraps: HPKE with X-Wing against a second implementation and the published vectors, and every wrap that must not open.

The second implementation is written here from RFC 9180 (labelled HKDF, key schedule, single-shot seal) and
draft-connolly-cfrg-xwing-kem (combiner), over ML-KEM and X25519 alone.
"""

from __future__ import annotations

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from quorate.crypto.digests import digest, xof
from quorate.crypto.wrapping import (
    SEAL_PUBLIC_BYTES,
    WRAP_OVERHEAD,
    WRAPPED_SECRET_MAX,
    SealKey,
    WrapInfo,
    check_seal_public,
    seal_key_digest,
    unwrap,
    wrap,
    wrap_info,
)
from quorate.errors import BadSeal, InvalidField
from quorate.model.codec import decode

KEM_X_WING, HKDF_SHA256, AES_256_GCM = 0x647A, 1, 2
SECRET = bytes(range(64))


def suite_id(aead: int) -> bytes:
    return b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (KEM_X_WING, HKDF_SHA256, aead))


def labelled_extract(suite: bytes, salt: bytes, label: bytes, key: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + key, hashlib.sha256)


def labelled_expand(suite: bytes, secret: bytes, label: bytes, info: bytes, size: int) -> bytes:
    assert size <= 32
    return hmac.digest(secret, size.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info + b"\1", hashlib.sha256)[
        :size
    ]


def key_schedule(aead: int, shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """Key and base nonce of mode base (RFC 9180, section 5.1)."""
    suite = suite_id(aead)
    context = (
        b"\0" + labelled_extract(suite, b"", b"psk_id_hash", b"") + labelled_extract(suite, b"", b"info_hash", info)
    )
    secret = labelled_extract(suite, shared, b"secret", b"")
    return labelled_expand(suite, secret, b"key", context, 32), labelled_expand(
        suite, secret, b"base_nonce", context, 12
    )


def x_wing_combine(quantum: bytes, classical: bytes, ephemeral: bytes, public: bytes) -> bytes:
    label = bytes.fromhex("5c2e2f2f5e5c")
    return hashlib.sha3_256(quantum + classical + ephemeral + public + label).digest()


def x_wing_private(seed: bytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    expanded = hashlib.shake_256(seed).digest(96)
    return MLKEM768PrivateKey.from_seed_bytes(expanded[:64]), X25519PrivateKey.from_private_bytes(expanded[64:])


def x_wing_decapsulate(seed: bytes, enc: bytes) -> bytes:
    quantum, classical = x_wing_private(seed)
    point = X25519PublicKey.from_public_bytes(enc[1088:])
    return x_wing_combine(
        quantum.decapsulate(enc[:1088]),
        classical.exchange(point),
        enc[1088:],
        classical.public_key().public_bytes_raw(),
    )


def x_wing_encapsulate(public: bytes, ephemeral: X25519PrivateKey) -> tuple[bytes, bytes]:
    quantum, ciphertext = MLKEM768PublicKey.from_public_bytes(public[:1184]).encapsulate()
    classical = ephemeral.exchange(X25519PublicKey.from_public_bytes(public[1184:]))
    point = ephemeral.public_key().public_bytes_raw()
    return x_wing_combine(quantum, classical, point, public[1184:]), ciphertext + point


@pytest.fixture
def private(draw):
    return SealKey.generate(draw)


def info_of(**changes) -> bytes:
    plain = {
        name: digest("test", name.encode()) for name in ("network", "job", "agreement", "sender", "recipient", "key")
    }
    return wrap_info(WrapInfo(**{**plain, "role": "input", **changes}))


def test_the_second_implementation_reproduces_the_published_vector(vector):
    case = vector("hpke_xwing")
    seed, enc = bytes.fromhex(case["seed"]), bytes.fromhex(case["enc"])
    assert (case["kem_id"], case["kdf_id"], case["aead_id"]) == (KEM_X_WING, HKDF_SHA256, 3)
    shared = x_wing_decapsulate(seed, enc)
    assert shared.hex() == case["shared_secret"]
    key, nonce = key_schedule(3, shared, bytes.fromhex(case["info"]))
    assert (key.hex(), nonce.hex()) == (case["key"], case["base_nonce"])
    sealed = case["encryption"]
    plain = ChaCha20Poly1305(key).decrypt(nonce, bytes.fromhex(sealed["ct"]), bytes.fromhex(sealed["aad"]))
    assert plain.hex() == sealed["pt"]
    assert SealKey(seed).public.hex() == case["public"]


def test_the_second_implementation_opens_our_wraps(draw):
    seed = draw(32)
    wrapped = wrap(SealKey(seed).public, SECRET, info_of())
    key, nonce = key_schedule(AES_256_GCM, x_wing_decapsulate(seed, wrapped[:1120]), info_of())
    assert AESGCM(key).decrypt(nonce, wrapped[1120:], b"") == SECRET


def test_we_open_the_wraps_of_the_second_implementation(private, draw):
    shared, enc = x_wing_encapsulate(private.public, X25519PrivateKey.from_private_bytes(draw(32)))
    key, nonce = key_schedule(AES_256_GCM, shared, info_of())
    assert unwrap(private, enc + AESGCM(key).encrypt(nonce, SECRET, b""), info_of()) == SECRET


@settings(max_examples=20)
@given(st.binary(max_size=WRAPPED_SECRET_MAX), st.binary(max_size=300))
def test_what_is_wrapped_opens_and_only_for_its_use(secret: bytes, info: bytes):
    private = SealKey(bytes(32))
    wrapped = wrap(private.public, secret, info)
    assert len(wrapped) == len(secret) + WRAP_OVERHEAD
    assert unwrap(private, wrapped, info) == secret
    with pytest.raises(BadSeal):
        unwrap(private, wrapped, info + b"\0")


def test_two_wraps_of_one_secret_differ(private):
    assert wrap(private.public, SECRET, b"") != wrap(private.public, SECRET, b"")


@pytest.mark.parametrize("field", ["network", "job", "agreement", "sender", "recipient", "key"])
def test_a_wrap_moved_to_another_use_does_not_open(private, field):
    wrapped = wrap(private.public, SECRET, info_of())
    with pytest.raises(BadSeal):
        unwrap(private, wrapped, info_of(**{field: bytes(32)}))


def test_a_wrap_moved_to_another_role_does_not_open(private):
    with pytest.raises(BadSeal):
        unwrap(private, wrap(private.public, SECRET, info_of()), info_of(role="result"))


def test_a_wrap_for_another_recipient_does_not_open(private, draw):
    with pytest.raises(BadSeal):
        unwrap(SealKey.generate(draw), wrap(private.public, SECRET, info_of()), info_of())


@pytest.mark.parametrize("at", [0, 1087, 1088, 1119, 1120, 1199])
def test_an_altered_wrap_does_not_open(private, at):
    wrapped = bytearray(wrap(private.public, SECRET, info_of()))
    wrapped[at] ^= 1
    with pytest.raises(BadSeal):
        unwrap(private, bytes(wrapped), info_of())


@pytest.mark.parametrize("size", [0, 1, WRAP_OVERHEAD - 1, WRAP_OVERHEAD + WRAPPED_SECRET_MAX + 1])
def test_a_wrap_of_an_impossible_size_is_refused(private, size):
    with pytest.raises(BadSeal) as caught:
        unwrap(private, bytes(size), info_of())
    assert caught.value.field == "wrap"
    assert caught.value.limit


def test_a_secret_over_size_is_refused(private):
    with pytest.raises(InvalidField):
        wrap(private.public, bytes(WRAPPED_SECRET_MAX + 1), info_of())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda public: b"",
        lambda public: public[:-1],
        lambda public: b"\xff" * 1184 + public[1184:],
        lambda public: public[:1184] + bytes(32),
    ],
    ids=["empty", "short", "ML-KEM coefficients out of range", "X25519 of small order"],
)
def test_a_public_key_that_is_none_is_refused(private, spoil):
    with pytest.raises(BadSeal):
        wrap(spoil(private.public), SECRET, info_of())


def test_public_values_alone_do_not_open(private, draw):
    """Whoever knows the public key, the info and the wrap holds nothing that opens it: keys made from those fail."""
    wrapped = wrap(private.public, SECRET, info_of())
    for public_value in (
        private.public,
        info_of(),
        wrapped,
        private.public + info_of(),
        seal_key_digest(private.public),
    ):
        for seed in (public_value[:32], xof("guess", 32, public_value), hashlib.sha256(public_value).digest()):
            with pytest.raises(BadSeal):
                unwrap(SealKey(seed), wrapped, info_of())


def test_the_info_is_canonical():
    assert decode(info_of(), WrapInfo).role == "input"
    assert len({info_of(), info_of(job=bytes(32)), info_of(role="log")}) == 3


def test_the_key_file_brings_the_key_back_and_refuses_damage(private):
    data = private.to_bytes()
    assert SealKey.from_bytes(data).public == private.public
    assert len(private.public) == SEAL_PUBLIC_BYTES
    check_seal_public(private.public)
    for damaged in (b"", data[:-1], *(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(len(data)))):
        with pytest.raises(InvalidField):
            SealKey.from_bytes(damaged)


def test_a_seal_key_shows_no_secret():
    seed = bytes(range(32))
    shown = repr(SealKey(seed)) + str(SealKey(seed))
    assert seed.hex() not in shown
    assert repr(seed)[2:20] not in shown
