"""Signatures of every suite: standard vectors, statements that bind everything, and keys that are refused."""

from __future__ import annotations

import copy
import pickle

import cbor2
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

from quorate.crypto import signing
from quorate.crypto.digests import digest, value_digest
from quorate.crypto.signing import Identity, check_bundle, node_id, refuse_shared_component, verify
from quorate.errors import BadSignature, InvalidField, MalformedBytes
from quorate.model.codec import Value, decode, encode
from quorate.model.identity import PUBLIC_BYTES, SIGNATURE_BYTES, KeyBundle, Suite
from quorate.model.units import KeyBytes

BODY = digest("test body", b"body")
SUITES = list(Suite)
ML_DSA_PUBLIC = {
    "ml-dsa-44": mldsa.MLDSA44PublicKey,
    "ml-dsa-65": mldsa.MLDSA65PublicKey,
    "ml-dsa-87": mldsa.MLDSA87PublicKey,
}


class SecretKeys(Value, frozen=True, tag="secret_keys"):
    """The file form of an identity, written by hand."""

    suite: str
    ed25519: KeyBytes
    ml_dsa: KeyBytes
    check: bytes


def identity_file(suite: str, ed25519_seed: bytes, ml_dsa_seed: bytes) -> bytes:
    check = digest("secret keys check", suite.encode(), ed25519_seed, ml_dsa_seed)
    return encode(SecretKeys(suite=suite, ed25519=ed25519_seed, ml_dsa=ml_dsa_seed, check=check))


def with_field(data: bytes, name: str, value: object) -> bytes:
    """The canonical bytes of a value with one field replaced."""
    return cbor2.dumps({**cbor2.loads(data), name: value}, canonical=True)


def test_ed25519_rfc8032_vectors(vector):
    for case in vector("ed25519_rfc8032")["cases"]:
        seed, message = bytes.fromhex(case["seed"]), bytes.fromhex(case["message"])
        identity = Identity.from_bytes(identity_file("ed25519", seed, b""))
        assert identity.bundle.ed25519.hex() == case["public"], case["name"]
        assert ed25519.Ed25519PrivateKey.from_private_bytes(seed).sign(message).hex() == case["signature"]
        ed25519.Ed25519PublicKey.from_public_bytes(identity.bundle.ed25519).verify(
            bytes.fromhex(case["signature"]), message
        )


def test_ml_dsa_fips204_key_generation_and_verification(vector):
    for case in vector("ml_dsa_fips204_kat")["cases"]:
        identity = Identity.from_bytes(identity_file(case["suite"], b"", bytes.fromhex(case["seed"])))
        assert identity.bundle.ml_dsa.hex() == case["public"]
        key = ML_DSA_PUBLIC[case["suite"]].from_public_bytes(identity.bundle.ml_dsa)
        signature, message = bytes.fromhex(case["signature"]), bytes.fromhex(case["message"])
        key.verify(signature, message, bytes.fromhex(case["context"]))
        with pytest.raises(InvalidSignature):
            key.verify(signature, message + b"\0", bytes.fromhex(case["context"]))
        with pytest.raises(InvalidSignature):
            key.verify(signature, message, b"another context")


def test_ml_dsa_key_generation_of_nist_acvp(vector):
    for case in vector("ml_dsa_keygen_acvp")["cases"]:
        public = Identity.from_bytes(identity_file(case["suite"], b"", bytes.fromhex(case["seed"]))).bundle.ml_dsa.hex()
        assert public.startswith(case["public_begins"])
        assert public.endswith(case["public_ends"])


@pytest.mark.parametrize("suite", SUITES)
def test_a_signature_verifies_and_has_the_size_of_its_suite(identities, network, suite):
    identity = identities[suite]
    signature = identity.sign("claim", network, BODY)
    assert len(signature) == sum(SIGNATURE_BYTES[suite])
    assert (len(identity.bundle.ed25519), len(identity.bundle.ml_dsa)) == PUBLIC_BYTES[suite]
    assert verify(identity.bundle, "claim", network, BODY, signature) is None


@pytest.mark.parametrize("suite", SUITES)
def test_nothing_else_verifies(identities, network, suite):
    identity = identities[suite]
    signature = identity.sign("claim", network, BODY)
    for domain, net, body in (
        ("offer", network, BODY),
        ("claim", digest("another network"), BODY),
        ("claim", network, digest("test body", b"other")),
    ):
        with pytest.raises(BadSignature, match="does not verify"):
            verify(identity.bundle, domain, net, body, signature)


@pytest.mark.parametrize("at", [0, 40, 63, 64, 2000, 3372])
def test_each_half_of_a_hybrid_must_verify(identities, network, at):
    identity = identities[Suite.ED25519_ML_DSA_65]
    signature = bytearray(identity.sign("claim", network, BODY))
    signature[at] ^= 1
    with pytest.raises(BadSignature):
        verify(identity.bundle, "claim", network, BODY, bytes(signature))


@pytest.mark.parametrize("size", [0, 64, 3309, 3372, 3374])
def test_a_signature_of_the_wrong_size_is_refused(identities, network, size):
    identity = identities[Suite.ED25519_ML_DSA_65]
    with pytest.raises(BadSignature, match="3373 bytes") as caught:
        verify(identity.bundle, "claim", network, BODY, bytes(size))
    assert caught.value.field == "signature"


def component_of(hybrid: Identity, suite: Suite) -> KeyBundle:
    bundle = hybrid.bundle
    return KeyBundle(
        suite=suite,
        ed25519=bundle.ed25519 if suite is Suite.ED25519 else b"",
        ml_dsa=b"" if suite is Suite.ED25519 else bundle.ml_dsa,
    )


def test_a_component_signature_does_not_serve_another_suite(identities, network):
    hybrid = identities[Suite.ED25519_ML_DSA_65]
    signature = hybrid.sign("claim", network, BODY)
    for suite, part in ((Suite.ED25519, signature[:64]), (Suite.ML_DSA_65, signature[64:])):
        with pytest.raises(BadSignature):
            verify(component_of(hybrid, suite), "claim", network, BODY, part)


def test_a_signature_of_the_component_identity_does_not_serve_the_hybrid(network):
    seed = bytes(range(32))
    classical = Identity.from_bytes(identity_file("ed25519", seed, b""))
    quantum = Identity.from_bytes(identity_file("ml-dsa-65", b"", seed))
    hybrid = Identity.from_bytes(identity_file("ed25519+ml-dsa-65", seed, seed))
    glued = classical.sign("claim", network, BODY) + quantum.sign("claim", network, BODY)
    with pytest.raises(BadSignature):
        verify(hybrid.bundle, "claim", network, BODY, glued)


def test_a_shared_component_is_refused_at_registration(identities):
    hybrid = identities[Suite.ED25519_ML_DSA_65]
    for suite, field in ((Suite.ED25519, "ed25519"), (Suite.ML_DSA_65, "ml_dsa")):
        with pytest.raises(InvalidField) as caught:
            refuse_shared_component(component_of(hybrid, suite), hybrid.bundle)
        assert caught.value.field == field
    refuse_shared_component(hybrid.bundle, hybrid.bundle)
    refuse_shared_component(identities[Suite.ED25519].bundle, identities[Suite.ML_DSA_65].bundle)


def test_repeated_entropy_gives_each_suite_its_own_component_keys(identities):
    classical = [identity.bundle.ed25519 for identity in identities.values() if identity.bundle.ed25519]
    quantum = [identity.bundle.ml_dsa for identity in identities.values() if identity.bundle.ml_dsa]
    assert len(set(classical)) == 2
    assert len(set(quantum)) == 4


SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
]


@pytest.mark.parametrize("key", SMALL_ORDER)
def test_a_small_order_identity_key_is_refused(network, key):
    """Under the identity point as a key, R = identity and S = 0 verify for every message: nobody is accountable."""
    bundle = KeyBundle(suite=Suite.ED25519, ed25519=bytes.fromhex(key), ml_dsa=b"")
    forged = bytes.fromhex(SMALL_ORDER[0]) + bytes(32)
    if key == SMALL_ORDER[0]:
        ed25519.Ed25519PublicKey.from_public_bytes(bundle.ed25519).verify(forged, b"any message")
    for attempt in (lambda: check_bundle(bundle), lambda: verify(bundle, "claim", network, BODY, forged)):
        with pytest.raises(BadSignature) as caught:
            attempt()
        assert caught.value.field == "ed25519"


def test_a_small_order_half_of_a_hybrid_is_refused(identities, network):
    whole = identities[Suite.ED25519_ML_DSA_65].bundle
    bundle = KeyBundle(suite=whole.suite, ed25519=bytes.fromhex(SMALL_ORDER[0]), ml_dsa=whole.ml_dsa)
    with pytest.raises(BadSignature):
        check_bundle(bundle)


def test_a_key_that_is_no_point_is_refused():
    with pytest.raises(BadSignature):
        check_bundle(KeyBundle(suite=Suite.ED25519, ed25519=b"\xff" * 32, ml_dsa=b""))


@pytest.mark.parametrize("suite", SUITES)
def test_a_bundle_of_wrong_sizes_is_refused(identities, suite):
    right = identities[suite].bundle
    for ed, ml in ((right.ed25519 + b"\0", right.ml_dsa), (right.ed25519, right.ml_dsa + b"\0"), (b"", b"")):
        with pytest.raises(InvalidField):
            KeyBundle(suite=suite, ed25519=ed, ml_dsa=ml)


@pytest.mark.parametrize(
    ("name", "value"),
    [("suite", "rot13"), ("suite", "ml-dsa-65"), ("ed25519", bytes(31)), ("ml_dsa", bytes(1)), ("extra", b"")],
    ids=["unknown suite", "suite of other keys", "short key", "key the suite has not", "unknown field"],
)
def test_a_bundle_that_cannot_be_is_refused_as_bytes(identities, name, value):
    data = encode(identities[Suite.ED25519].bundle)
    assert decode(data, KeyBundle) == identities[Suite.ED25519].bundle
    with pytest.raises(MalformedBytes):
        decode(with_field(data, name, value), KeyBundle)


def test_node_id_is_the_digest_of_the_bundle(identities):
    ids = set()
    for identity in identities.values():
        assert identity.node_id == node_id(identity.bundle) == value_digest(identity.bundle)
        assert decode(encode(identity.bundle), KeyBundle) == identity.bundle
        ids.add(identity.node_id)
    assert len(ids) == len(SUITES)


@pytest.mark.parametrize("suite", SUITES)
def test_the_file_form_brings_the_same_identity_back(identities, network, suite):
    identity = identities[suite]
    again = Identity.from_bytes(identity.to_bytes())
    assert again.node_id == identity.node_id
    verify(identity.bundle, "claim", network, BODY, again.sign("claim", network, BODY))


def test_a_damaged_key_file_is_refused_and_not_shown(identities):
    data = identities[Suite.ED25519_ML_DSA_65].to_bytes()
    flipped = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(len(data))]
    for damaged in (b"", data[:-1], data + b"\0", *flipped):
        with pytest.raises(InvalidField) as caught:
            Identity.from_bytes(damaged)
        assert not hasattr(caught.value, "evidence")
        assert caught.value.field == "identity key"


def test_a_key_file_with_a_short_seed_is_refused():
    with pytest.raises(InvalidField):
        Identity.from_bytes(identity_file("ed25519", bytes(31), b""))
    with pytest.raises(InvalidField):
        Identity.from_bytes(identity_file("ed25519", bytes(32), bytes(32)))


def test_an_identity_shows_no_secret(identities):
    seed = bytes(range(32))
    identity = Identity.from_bytes(identity_file("ed25519+ml-dsa-65", seed, seed))
    shown = (
        repr(identity)
        + str(identity)
        + repr(signing._SecretKeys(suite=Suite.ED25519, ed25519=seed, ml_dsa=b"", check=seed))
    )
    assert seed.hex() not in shown
    assert repr(seed)[2:20] not in shown
    for leak in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            leak(identity)


def test_ml_dsa_signatures_of_one_statement_differ_and_both_verify(identities, network):
    identity = identities[Suite.ED25519_ML_DSA_65]
    first, second = (identity.sign("claim", network, BODY) for _ in range(2))
    assert first[:64] == second[:64]
    assert first != second
    for signature in (first, second):
        verify(identity.bundle, "claim", network, BODY, signature)
