"""Batches: one signature for many values, verified once, and every way to be refused."""

from __future__ import annotations

import cbor2
import pytest

from quorate.crypto import batch
from quorate.crypto.batch import SuitePolicy, Verifier, leaf_digest, sign_batch
from quorate.crypto.digests import digest
from quorate.crypto.merkle import NODE_DOMAIN
from quorate.crypto.signing import Identity
from quorate.errors import BadSignature, InvalidField, MalformedBytes
from quorate.model.codec import decode, encode
from quorate.model.identity import Suite
from quorate.model.signature import BATCH_MAX, Signature, Stamp

HYBRID = Suite.ED25519_ML_DSA_65
ANY = SuitePolicy(require_post_quantum=False)


def bodies(count):
    return [("claim", digest("claim", at.to_bytes(4, "big"))) for at in range(count)]


def salts(count):
    return [digest("test salt", at.to_bytes(4, "big"))[:16] for at in range(count)]


def changed(value, **fields):
    plain = {name: getattr(value, name) for name in value.__struct_fields__}
    return type(value)(**{**plain, **fields})


@pytest.fixture
def signer(identities):
    return identities[HYBRID]


@pytest.fixture
def verifier(identities, network):
    return Verifier({one.node_id: one.bundle for one in identities.values()}, network, ANY)


@pytest.fixture
def verifications(monkeypatch):
    """How many times a stamp's signature is really verified."""
    calls = []
    real = batch.verify
    monkeypatch.setattr(batch, "verify", lambda *arguments: (calls.append(arguments), real(*arguments))[1])
    return calls


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
def test_every_value_of_a_batch_is_signed_at_the_price_of_one(signer, verifier, network, verifications, count):
    leaves = bodies(count)
    signatures = sign_batch(signer, network, leaves, salts(count))
    assert len({signature.stamp.signature for signature in signatures}) == 1
    for signature, (noun, body) in zip(signatures, leaves, strict=True):
        verifier.check(decode(encode(signature), Signature), noun, body)
    assert len(verifications) == 1


@pytest.mark.parametrize("suite", list(Suite))
def test_every_suite_signs_batches(identities, verifier, network, suite):
    [signature] = sign_batch(identities[suite], network, bodies(1), salts(1))
    verifier.check(signature, *bodies(1)[0])
    verifier.check_stamp(signature.stamp)


def refused(verifier, field, signature, noun, body):
    with pytest.raises(BadSignature) as caught:
        verifier.check(signature, noun, body)
    assert caught.value.field == field


def test_another_body_noun_salt_or_place_is_refused(signer, verifier, network):
    leaves = bodies(5)
    signatures = sign_batch(signer, network, leaves, salts(5))
    signature, (noun, body) = signatures[2], leaves[2]
    verifier.check(signature, noun, body)
    refused(verifier, "path", signature, noun, leaves[3][1])
    refused(verifier, "path", signature, "offer", body)
    refused(verifier, "path", changed(signature, salt=bytes(16)), noun, body)
    refused(verifier, "path", changed(signature, index=3), noun, body)
    refused(verifier, "path", changed(signature, path=signature.path[:-1]), noun, body)
    refused(verifier, "path", changed(signature, path=(*signature.path, bytes(32))), noun, body)
    refused(verifier, "path", signatures[4], noun, body)


def test_an_altered_stamp_is_refused_even_after_the_true_one_was_verified(signer, verifier, network):
    [signature] = sign_batch(signer, network, bodies(1), salts(1))
    noun, body = bodies(1)[0]
    verifier.check(signature, noun, body)
    stamp = signature.stamp
    for at in (0, 63, 64, 3372):
        altered = bytearray(stamp.signature)
        altered[at] ^= 1
        refused(verifier, "signature", changed(signature, stamp=changed(stamp, signature=bytes(altered))), noun, body)


def test_a_stamp_of_another_root_or_size_is_refused(signer, verifier, network):
    two = sign_batch(signer, network, bodies(2), salts(2))
    noun, body = bodies(1)[0]
    lone_root = leaf_digest(salts(1)[0], noun, body)
    stamp = changed(two[0].stamp, root=lone_root, size=1)
    refused(verifier, "signature", Signature(stamp=stamp, index=0, salt=salts(1)[0], path=()), noun, body)
    whole = changed(two[0].stamp, size=3)
    with pytest.raises(BadSignature):
        verifier.check_stamp(whole)


def test_an_inner_node_does_not_pass_as_a_leaf(signer, verifier, network):
    """A leaf that is an inner node would give a batch a second reading. Under one domain this pair would be one."""
    salt, body = digest("left")[:16], digest("right")
    assert digest(NODE_DOMAIN, salt, b"claim", body) != leaf_digest(salt, "claim", body)
    four = sign_batch(signer, network, bodies(4), salts(4))
    inner = digest(NODE_DOMAIN, four[1].path[0], four[0].path[0])
    for index, path in ((0, four[0].path[1:]), (0, four[0].path), (1, four[0].path[1:])):
        smaller = Signature(stamp=four[0].stamp, index=index, salt=salts(1)[0], path=path)
        refused(verifier, "path", smaller, "claim", inner)


def test_another_network_is_refused(signer, verifier):
    [signature] = sign_batch(signer, digest("another network"), bodies(1), salts(1))
    refused(verifier, "network", signature, *bodies(1)[0])


def test_a_stamp_relabelled_to_this_network_is_refused(signer, verifier, network):
    [signature] = sign_batch(signer, digest("another network"), bodies(1), salts(1))
    relabelled = changed(signature, stamp=changed(signature.stamp, network=network))
    refused(verifier, "signature", relabelled, *bodies(1)[0])


def test_an_unknown_signer_is_refused(signer, network):
    [signature] = sign_batch(signer, network, bodies(1), salts(1))
    refused(Verifier({}, network, ANY), "signer", signature, *bodies(1)[0])


def test_a_signer_who_left_is_refused_although_its_stamp_was_verified(signer, network):
    bundles = {signer.node_id: signer.bundle}
    verifier = Verifier(bundles, network, ANY)
    [signature] = sign_batch(signer, network, bodies(1), salts(1))
    verifier.check(signature, *bodies(1)[0])
    del bundles[signer.node_id]
    refused(verifier, "signer", signature, *bodies(1)[0])


def test_a_stamp_in_the_name_of_another_signer_is_refused(identities, verifier, network, draw):
    [signature] = sign_batch(Identity.generate(HYBRID, draw), network, bodies(1), salts(1))
    stolen = changed(signature, stamp=changed(signature.stamp, signer=identities[HYBRID].node_id))
    refused(verifier, "signature", stolen, *bodies(1)[0])


def test_a_suite_other_than_the_bundles_is_refused(signer, verifier, network):
    [signature] = sign_batch(signer, network, bodies(1), salts(1))
    for suite, part in ((Suite.ED25519, slice(64)), (Suite.ML_DSA_65, slice(64, None))):
        stamp = changed(signature.stamp, suite=suite, signature=signature.stamp.signature[part])
        refused(verifier, "suite", changed(signature, stamp=stamp), *bodies(1)[0])


def test_a_stripped_hybrid_is_refused_although_its_label_stays(signer, verifier, network):
    [signature] = sign_batch(signer, network, bodies(1), salts(1))
    stamp = changed(signature.stamp, signature=signature.stamp.signature[:64])
    refused(verifier, "signature", changed(signature, stamp=stamp), *bodies(1)[0])


def test_classical_peers_are_refused_where_policy_asks_for_post_quantum(identities, network):
    verifier = Verifier({one.node_id: one.bundle for one in identities.values()}, network, SuitePolicy(True))
    for suite, identity in identities.items():
        [signature] = sign_batch(identity, network, bodies(1), salts(1))
        if suite is Suite.ED25519:
            refused(verifier, "suite", signature, *bodies(1)[0])
        else:
            verifier.check(signature, *bodies(1)[0])


def test_remembered_stamps_are_bounded(identities, network, verifications, monkeypatch):
    monkeypatch.setattr(batch, "REMEMBERED_STAMPS_MAX", 2)
    signer = identities[Suite.ED25519]
    verifier = Verifier({signer.node_id: signer.bundle}, network, ANY)
    made = [sign_batch(signer, network, [leaf], salts(1))[0] for leaf in bodies(3)]
    for signature, leaf in zip(made, bodies(3), strict=True):
        verifier.check(signature, *leaf)
    assert len(verifier._verified) == 2
    verifier.check(made[2], *bodies(3)[2])
    assert len(verifications) == 3
    verifier.check(made[0], *bodies(3)[0])
    assert len(verifications) == 4


def test_a_refused_stamp_is_not_remembered(signer, verifier, network):
    [signature] = sign_batch(signer, network, bodies(1), salts(1))
    stamp = changed(signature.stamp, signature=bytes(3373))
    for _ in range(2):
        refused(verifier, "signature", changed(signature, stamp=stamp), *bodies(1)[0])
    assert not verifier._verified


def test_salts_hide_equal_leaves(signer, network):
    leaf = bodies(1)[0]
    first, second = sign_batch(signer, network, [leaf, leaf], salts(2))
    assert first.path != second.path


@pytest.mark.parametrize(
    ("leaves", "given_salts"),
    [([], []), (bodies(2), salts(1)), (bodies(1), [bytes(15)]), (bodies(1) * (BATCH_MAX + 1), salts(1))],
    ids=["no leaf", "a salt too few", "a short salt", "too many leaves"],
)
def test_a_batch_that_cannot_be_is_refused(signer, network, leaves, given_salts):
    with pytest.raises(InvalidField):
        sign_batch(signer, network, leaves, given_salts)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 0),
        ("size", BATCH_MAX + 1),
        ("root", bytes(31)),
        ("suite", "none"),
        ("signer", b""),
        ("signature", bytes(8193)),
    ],
    ids=["no leaf", "too many leaves", "short root", "unknown suite", "no signer", "signature over size"],
)
def test_a_malformed_stamp_is_refused_as_bytes(signer, network, name, value):
    data = encode(sign_batch(signer, network, bodies(1), salts(1))[0].stamp)
    with pytest.raises(MalformedBytes):
        decode(cbor2.dumps({**cbor2.loads(data), name: value}, canonical=True), Stamp)


@pytest.mark.parametrize(
    ("name", "value"),
    [("index", 1), ("index", -1), ("salt", bytes(15)), ("path", [bytes(31)]), ("path", [bytes(32)] * 17)],
    ids=["index past the batch", "negative index", "short salt", "short sibling", "path over length"],
)
def test_a_malformed_signature_is_refused_as_bytes(signer, network, name, value):
    data = encode(sign_batch(signer, network, bodies(1), salts(1))[0])
    with pytest.raises(MalformedBytes):
        decode(cbor2.dumps({**cbor2.loads(data), name: value}, canonical=True), Signature)
