"""Ownership proofs: bound to one job, one recipient, one ciphertext, one input and one owner."""

from __future__ import annotations

import pytest

from quorate.crypto.commitments import H, Opening, commit, input_opening
from quorate.crypto.digests import digest, xof
from quorate.crypto.ownership import PROOF_BYTES, OwnershipKey, OwnershipStatement, prove, verify
from quorate.crypto.ristretto import (
    IDENTITY,
    ORDER,
    add,
    base_times,
    hash_to_scalar,
    scalar,
    scalar_add,
    scalar_times,
    times,
)
from quorate.errors import BadSignature, InvalidField

ENTROPY = xof("test entropy", 32)
OPENING = input_opening(xof("test salt", 32), b"input")


@pytest.fixture
def key(draw):
    return OwnershipKey.generate(draw)


def job_core(result_key: bytes) -> bytes:
    """Stands for the job core, whose digest takes in the key that results are sealed to."""
    return digest("job_core", b"program", result_key)


@pytest.fixture
def statement(key):
    return OwnershipStatement(job_core(b"recipient"), commit(OPENING), digest("kc"), digest("ciphertext"), key.public)


def test_a_proof_verifies(statement, key):
    proof = prove(statement, OPENING, key, ENTROPY)
    assert len(proof) == PROOF_BYTES
    assert verify(statement, proof) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("job_core", digest("job_core", b"another program")),
        ("job_core", job_core(b"another recipient")),
        ("ciphertext", digest("swapped ciphertext")),
        ("key_commitment", digest("another key")),
        ("commitment", commit(input_opening(bytes(32), b"input"))),
        ("owner", base_times(scalar(2))),
    ],
    ids=[
        "replayed to another job",
        "redirected to another recipient key",
        "swapped ciphertext",
        "another content key",
        "another input commitment",
        "another owner",
    ],
)
def test_a_proof_does_not_verify_for_anything_else(statement, key, field, value):
    proof = prove(statement, OPENING, key, ENTROPY)
    with pytest.raises(BadSignature) as caught:
        verify(statement._replace(**{field: value}), proof)
    assert caught.value.field == "ownership_proof"


@pytest.mark.parametrize("at", range(0, PROOF_BYTES, 9))
def test_an_altered_proof_does_not_verify(statement, key, at):
    proof = bytearray(prove(statement, OPENING, key, ENTROPY))
    proof[at] ^= 1
    with pytest.raises(BadSignature):
        verify(statement, bytes(proof))


@pytest.mark.parametrize("size", [0, 127, 129])
def test_a_proof_of_the_wrong_size_is_refused(statement, size):
    with pytest.raises(BadSignature, match="128 bytes"):
        verify(statement, bytes(size))


@pytest.mark.parametrize("part", range(4))
def test_a_proof_has_one_form(statement, key, part):
    """A response plus the group order is the same number: without the check it would be a second valid proof."""
    proof = bytearray(prove(statement, OPENING, key, ENTROPY))
    number = int.from_bytes(proof[32 * part : 32 * part + 32], "little") + ORDER
    proof[32 * part : 32 * part + 32] = number.to_bytes(32, "little")
    with pytest.raises(BadSignature, match="reduced"):
        verify(statement, bytes(proof))


@pytest.mark.parametrize("field", ["commitment", "owner"])
@pytest.mark.parametrize("point", [IDENTITY, b"\xff" * 32, b""], ids=["identity", "no point", "empty"])
def test_a_statement_about_no_point_is_refused(statement, key, field, point):
    proof = prove(statement, OPENING, key, ENTROPY)
    with pytest.raises(BadSignature):
        verify(statement._replace(**{field: point}), proof)


def test_who_only_opens_the_commitment_cannot_prove(statement, key):
    """An executor knows (v, r) and not x. Its own key is refused, and so is half a proof with the rest made up."""
    with pytest.raises(InvalidField):
        prove(statement, OPENING, OwnershipKey(b"executor"), ENTROPY)
    nonces = [hash_to_scalar("forged", name) for name in (b"v", b"r", b"x")]
    masked = add(base_times(nonces[0]), times(nonces[1], H))
    challenge = hash_to_scalar("ownership challenge", *statement, masked, base_times(nonces[2]))
    responses = [
        scalar_add(nonces[0], scalar_times(challenge, OPENING.value)),
        scalar_add(nonces[1], scalar_times(challenge, OPENING.blinding)),
        nonces[2],
    ]
    with pytest.raises(BadSignature):
        verify(statement, b"".join((challenge, *responses)))


def test_who_only_owns_the_key_cannot_prove(statement, key):
    with pytest.raises(InvalidField):
        prove(statement, Opening(scalar(1), scalar(2)), key, ENTROPY)


def test_repeated_entropy_does_not_repeat_nonces(statement, key):
    """Two proofs with one nonce under two challenges would give the secrets away."""
    other = statement._replace(job_core=digest("another core"))
    proofs = [prove(one, OPENING, key, ENTROPY) for one in (statement, other)]
    gap = int.from_bytes(proofs[0][:32], "little") - int.from_bytes(proofs[1][:32], "little")
    for part in (1, 2, 3):
        one, two = (int.from_bytes(proof[32 * part : 32 * part + 32], "little") for proof in proofs)
        guessed = (one - two) * pow(gap, -1, ORDER) % ORDER
        secret = (OPENING.value, OPENING.blinding, key._secret)[part - 1]
        assert guessed.to_bytes(32, "little") != secret


def test_other_entropy_gives_another_proof(statement, key):
    assert prove(statement, OPENING, key, ENTROPY) != prove(statement, OPENING, key, bytes(32))


def test_keys_of_two_jobs_differ_and_show_no_secret(draw):
    one, two = OwnershipKey.generate(draw), OwnershipKey.generate(draw)
    assert one.public != two.public
    assert one._secret.hex() not in repr(one)
