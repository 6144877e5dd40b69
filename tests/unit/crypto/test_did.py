"""did:key: the standard form for classical keys, the whole bundle for hybrids, and nothing in between."""

from __future__ import annotations

import pytest

from quorate.crypto.did import DID_CHARS_MAX, HYBRID_CODE, PREFIX, _base58, _varint, did_key, parse_did_key
from quorate.crypto.signing import node_id
from quorate.errors import BadSignature, MalformedBytes
from quorate.model.codec import encode
from quorate.model.identity import KeyBundle, Suite

EXAMPLE = "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"
EXAMPLE_KEY = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29"
"""The did:key of the Ed25519 public key of the all-zero seed, as in the method's own examples."""


def of_bytes(data: bytes) -> str:
    return PREFIX + _base58(data)


def test_an_ed25519_did_is_the_standard_one():
    bundle = KeyBundle(suite=Suite.ED25519, ed25519=bytes.fromhex(EXAMPLE_KEY), ml_dsa=b"")
    assert did_key(bundle) == EXAMPLE
    assert parse_did_key(EXAMPLE) == bundle


@pytest.mark.parametrize("suite", list(Suite))
def test_a_did_brings_the_whole_bundle_back(identities, suite):
    bundle = identities[suite].bundle
    text = did_key(bundle)
    assert len(text) <= DID_CHARS_MAX
    assert parse_did_key(text) == bundle


def test_the_did_of_a_component_never_resolves_to_the_hybrid(identities):
    hybrid = identities[Suite.ED25519_ML_DSA_65].bundle
    component = KeyBundle(suite=Suite.ED25519, ed25519=hybrid.ed25519, ml_dsa=b"")
    resolved = parse_did_key(did_key(component))
    assert resolved.suite is Suite.ED25519
    assert node_id(resolved) != node_id(hybrid)
    assert not did_key(hybrid).startswith("did:key:z6Mk")


def test_a_classical_bundle_under_the_hybrid_code_is_refused(identities):
    data = _varint(HYBRID_CODE) + encode(identities[Suite.ED25519].bundle)
    with pytest.raises(MalformedBytes, match="canonical"):
        parse_did_key(of_bytes(data))


def test_a_small_order_key_in_a_did_is_refused():
    with pytest.raises(BadSignature):
        parse_did_key(of_bytes(b"\xed\1" + b"\1" + bytes(31)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "did:key:",
        "did:web:example.org",
        EXAMPLE[:-1],
        EXAMPLE + "1",
        EXAMPLE.replace("z6", "z06"),
        PREFIX + "1" + EXAMPLE[len(PREFIX) :],
        PREFIX + "1" * DID_CHARS_MAX,
        of_bytes(b"\xec\1" + bytes(32)),
        of_bytes(b"\xed\1" + bytes(31)),
        of_bytes(_varint(0x1211) + bytes(32)),
        of_bytes(_varint(HYBRID_CODE) + b"\xa0"),
    ],
    ids=[
        "empty",
        "no key",
        "another method",
        "cut",
        "longer",
        "letter outside base58",
        "leading zero",
        "over size",
        "unknown code",
        "short key",
        "short ml-dsa key",
        "not a bundle",
    ],
)
def test_a_malformed_did_is_refused(text):
    with pytest.raises(MalformedBytes):
        parse_did_key(text)
