"""Digests and signatures cover every field, and nothing but the fields (protocol R10).

Each field of a value altered alone gives another digest, so that no signature, id or commitment of the value survives;
the id of a job covers its proofs but no signature, the core leaves out whatever is proven about it.
"""

from __future__ import annotations

import re
from contextlib import suppress

import msgspec
import pytest
from msgspec import inspect
from tests.support.ledger_world import Signatures, World, seeded
from tests.support.value_types import altered, every_type, samples, value_types

from quorate.crypto.batch import sign_batch
from quorate.crypto.digests import body_digest, value_digest
from quorate.crypto.signing import Identity
from quorate.errors import BadCommitment, BadSignature, MalformedBytes
from quorate.model.codec import Value, decode, encode, noun
from quorate.model.evidence import Signed
from quorate.model.identity import Suite
from quorate.model.job import Job, JobCore
from quorate.model.units import Digest
from quorate.verify.claims import check_opening

TYPES = value_types()
SIGNED_NOUNS = (
    "job",
    "offer",
    "agreement",
    "assignment",
    "commit",
    "round_close",
    "delivery_ack",
    "checkpoint",
    "stamp",
)
NETWORK = Digest(b"\x01" * 32)


@pytest.mark.parametrize("kind", TYPES, ids=noun)
def test_each_field_altered_alone_changes_the_digest(kind: type[Value]) -> None:
    covered = set()
    for value in samples(kind).values():
        for place, data in altered(value):
            covered.add(re.split(r"[.\[]", place)[0])
            assert body_digest(noun(kind), data) != value_digest(value), place
            with suppress(MalformedBytes):  # fields that bind each other refuse the change outright
                found = decode(data, kind)
                assert found != value, place
                assert value_digest(found) == body_digest(noun(kind), data), place
    assert covered == set(kind.__struct_fields__)


@pytest.mark.parametrize("word", SIGNED_NOUNS)
def test_each_field_altered_alone_breaks_the_signature(word: str) -> None:
    (kind,) = (item for item in TYPES if noun(item) == word)
    signatures, signer = Signatures(NETWORK), seeded("signer")
    tried: set[str] = set()
    for value in samples(kind).values():
        signed = signatures.sign(signer, value)
        signatures.verify(signed)
        for place, data in altered(value):
            tried.add(place)
            with pytest.raises(BadSignature):
                signatures.verify(msgspec.structs.replace(signed, body=data))
    assert {place.split(".")[0].split("[")[0] for place in tried} == set(kind.__struct_fields__)


def test_a_signature_is_for_one_noun_one_signer_and_one_network() -> None:
    signatures, signer, other = Signatures(NETWORK), seeded("signer"), seeded("other")
    signatures.know(other)
    signed = signatures.sign(signer, samples(Job)["least"])
    for change in (
        {"noun": "offer"},
        {"signer": other.node_id},
        {"salt": b"\1" * 16},
        {"stamp": b"\1" * 32},
        {"path": (b"\1" * 32,)},
    ):
        with pytest.raises(BadSignature):
            signatures.verify(msgspec.structs.replace(signed, **change))
    elsewhere = Signatures(Digest(b"\x02" * 32))
    elsewhere._stamps, elsewhere._bundles = signatures._stamps, signatures._bundles
    elsewhere.know(signer)
    with pytest.raises(BadSignature):
        elsewhere.verify(signed)


def test_each_field_of_a_claim_altered_alone_breaks_its_commitment() -> None:
    deal = World().open()
    claim = deal.claim(deal.members[0])
    check_opening(claim.opening, claim.commitment)
    bodies = dict(altered(claim.opening.body))
    assert {"vote.status", "vote.tag", "vote.log_tag", "vote.fuel_bucket", "result_digest", "log_digest"} <= set(bodies)
    for data in bodies.values():
        body = decode(data, type(claim.opening.body))
        with pytest.raises(BadCommitment):
            check_opening(msgspec.structs.replace(claim.opening, body=body), claim.commitment)


# The job and its core


def test_the_core_leaves_out_what_is_proven_about_it() -> None:
    own = set(Job.__struct_fields__) - {"core"}
    assert own == {
        "input_digest", "input_bytes", "pedersen", "salted", "key_commitment", "out_key_commitment", "ownership_proof",
    }  # fmt: skip
    assert not own & set(JobCore.__struct_fields__)
    job = samples(Job)["full"]
    assert isinstance(job, Job)
    for name in own - {"input_bytes"}:
        other = msgspec.structs.replace(job, **{name: b"\7" * 32})
        assert value_digest(other.core) == value_digest(job.core)
        assert value_digest(other) != value_digest(job), name


def test_a_change_to_the_core_changes_the_job_id() -> None:
    job = samples(Job)["full"]
    assert isinstance(job, Job)
    for place, data in altered(job.core):
        try:
            core = decode(data, JobCore)
        except MalformedBytes:
            continue
        changed = msgspec.structs.replace(job, core=core)
        assert value_digest(core) != value_digest(job.core), place
        assert value_digest(changed) != value_digest(job), place


@pytest.mark.parametrize("kind", [Job, JobCore], ids=noun)
def test_no_signature_is_part_of_a_job_id(kind: type[Value]) -> None:
    inside = {item.cls for _, item in every_type(inspect.type_info(kind), "") if isinstance(item, inspect.StructType)}
    assert not {part.__name__ for part in inside} & {"Signed", "Signature", "Stamp"}
    names = {name for part in inside for name in part.__struct_fields__}
    assert not any("signature" in name for name in names)


def test_signing_twice_leaves_the_id_alone() -> None:
    """ML-DSA signatures differ each time; ids and digests of the chain must not."""
    signer = Identity.generate(Suite.ED25519_ML_DSA_65, lambda size: bytes(range(size)))
    job = samples(Job)["full"]
    stamps = [sign_batch(signer, NETWORK, [("job", value_digest(job))], [b"\0" * 16])[0].stamp for _ in range(2)]
    assert stamps[0].signature != stamps[1].signature
    kept = [
        Signed(
            noun="job",
            body=encode(job),
            signer=signer.node_id,
            stamp=value_digest(stamp),
            index=0,
            salt=b"\0" * 16,
            path=(),
        )
        for stamp in stamps
    ]
    assert value_digest(kept[0]) != value_digest(kept[1])
    assert {body_digest("job", item.body) for item in kept} == {value_digest(job)}


def test_the_noun_is_part_of_the_digest() -> None:
    body = encode(samples(Job)["full"])
    assert len({body_digest(noun(kind), body) for kind in TYPES}) == len(TYPES)
