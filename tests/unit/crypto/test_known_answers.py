"""Known answers of this product's own formats, so that no change and no other program departs from them unnoticed.

`python tests/unit/crypto/test_known_answers.py` writes the file again; a difference in it breaks every stored receipt.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from quorate.crypto import batch, commitments, merkle, ownership, sealing, wrapping
from quorate.crypto.did import did_key
from quorate.crypto.digests import blob_digest, digest, hkdf, keyed, value_digest, xof
from quorate.crypto.signing import Identity, _statement
from quorate.model.codec import encode
from quorate.model.identity import Suite

FILE = Path(__file__).parents[2] / "vectors" / "crypto" / "known_answers.json"
NETWORK, JOB, AGREEMENT = (bytes([number]) * 32 for number in (1, 2, 3))
CORE = digest("job_core", b"core")


def counted(size: int) -> bytes:
    """Entropy 00 01 02 ..."""
    return bytes(at % 256 for at in range(size))


def of_identities() -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for suite in Suite:
        identity = Identity.generate(suite, counted)
        answers[suite.value] = {
            "node_id": identity.node_id.hex(),
            "bundle_digest": value_digest(identity.bundle).hex(),
            "did_key_digest": blob_digest(did_key(identity.bundle).encode()).hex(),
            "key_file_digest": blob_digest(identity.to_bytes()).hex(),
            "statement": _statement("claim", NETWORK, suite, identity.node_id, CORE).hex(),
        }
    return answers


def of_sealing() -> dict[str, Any]:
    sealed = sealing.seal_input(b"input", CORE, counted)
    tag_key = sealing.out_key(sealed.content_key)
    info = wrapping.WrapInfo(
        network=NETWORK, job=JOB, agreement=AGREEMENT, sender=CORE, recipient=CORE, key=CORE, role="input"
    )
    return {
        "ciphertext": sealed.ciphertext.hex(),
        "key_commitment": sealed.key_commitment.hex(),
        "out_key_commitment": sealed.out_key_commitment.hex(),
        "result_tag": sealing.result_tag(tag_key, JOB, AGREEMENT, b"output").hex(),
        "log_tag": sealing.log_tag(tag_key, JOB, AGREEMENT, b"output").hex(),
        "wrap_info": wrapping.wrap_info(info).hex(),
        "seal_key_digest": wrapping.seal_key_digest(wrapping.SealKey.generate(counted).public).hex(),
    }


def of_commitments() -> dict[str, Any]:
    salt = counted(32)
    commitment = commitments.commit_input(salt, b"input")
    key = ownership.OwnershipKey.generate(counted)
    statement = ownership.OwnershipStatement(CORE, commitment.pedersen, JOB, AGREEMENT, key.public)
    return {
        "h": commitments.H.hex(),
        "pedersen": commitment.pedersen.hex(),
        "salted": commitment.salted.hex(),
        "integer": commitments.commit(commitments.integer_opening(42, salt, "fee")).hex(),
        "owner": key.public.hex(),
        "ownership_proof": ownership.prove(
            statement, commitments.input_opening(salt, b"input"), key, counted(32)
        ).hex(),
    }


def computed() -> dict[str, Any]:
    leaves = [batch.leaf_digest(counted(16), "claim", digest("claim", bytes([at]))) for at in range(5)]
    # Of the classical suite, whose signatures are deterministic.
    classical = Identity.generate(Suite.ED25519, counted)
    [signature] = batch.sign_batch(classical, NETWORK, [("claim", CORE)], [counted(16)])
    return {
        "source": "computed by quorate, format version 1",
        "digest": digest("noun", b"one", b"", b"three").hex(),
        "xof": xof("noun", 64, b"one").hex(),
        "keyed": keyed(counted(32), "noun", b"one").hex(),
        "hkdf": hkdf(counted(32), "out").hex(),
        "leaf": leaves[0].hex(),
        "merkle_root_of_5": merkle.root(leaves).hex(),
        "signature_ed25519": blob_digest(encode(signature)).hex(),
        "identities": of_identities(),
        "sealing": of_sealing(),
        "commitments": of_commitments(),
    }


def test_every_format_is_the_one_on_file():
    on_file = json.loads(FILE.read_text())
    for name, answer in computed().items():
        assert answer == on_file.pop(name), name
    assert not on_file


if __name__ == "__main__":
    FILE.write_text(json.dumps(computed(), indent=1) + "\n")
