"""What leaves the client sealed is opened by the members drawn and by nobody else; what comes back, by its requester
alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.desks import BoxedDesk

from quorate.api.builder import Draft
from quorate.api.draws import Drawn
from quorate.api.keyring import JobKeys, Keyring
from quorate.api.results import Keys, read_output
from quorate.api.sealing import Parties, SealedJob, quoted_core, seal, wraps_of
from quorate.crypto.digests import blob_digest, body_digest, value_digest
from quorate.crypto.ownership import OwnershipStatement, verify
from quorate.crypto.wrapping import SealKey
from quorate.errors import BadCommitment, BadSeal, BadSignature, InvalidField, MissingKey, NotFinished, WrongKey
from quorate.model.codec import decode, encode
from quorate.model.job import Job
from quorate.model.submission import Delivered, ResultView
from quorate.model.units import Digest, JobId, MicroCredits, Millis
from quorate.privacy.sealed import SealedTier
from quorate.privacy.tier import Place

NOW = Millis(1_800_000_000_000)
AGREEMENT = Digest(bytes(31) + b"a")


@pytest.fixture
def parties(desk: BoxedDesk) -> Parties:
    return Parties(desk.network, desk.box.client.node_id, desk.node_id)


@pytest.fixture
def sealed(private_draft: Draft, parties: Parties) -> SealedJob:
    return seal(private_draft, parties, NOW, os.urandom)


def keys_of(sealed: SealedJob) -> JobKeys:
    assert sealed.keys is not None
    return sealed.keys


def wrapped_for(sealed: SealedJob, desk: BoxedDesk) -> list[tuple[Any, bytes]]:
    offers = tuple(offer for _, offer in desk.offers[:2])
    wraps = wraps_of(sealed.job, keys_of(sealed), Drawn(AGREEMENT, offers)).wraps
    return [(party, wrap.sealed) for (party, _), wrap in zip(desk.offers, wraps, strict=False)]


def test_a_member_opens_what_was_wrapped_for_it(sealed: SealedJob, desk: BoxedDesk) -> None:
    job = decode(sealed.body, Job)
    for party, wrap in wrapped_for(sealed, desk):
        opened = SealedTier().open(job, Place(party.node_id, AGREEMENT, party.seal_key), wrap, sealed.blob)
        assert opened.plaintext == b"private words"


def test_a_wrap_opens_for_one_member_and_one_agreement(sealed: SealedJob, desk: BoxedDesk) -> None:
    job = decode(sealed.body, Job)
    (first, wrap), (second, _) = wrapped_for(sealed, desk)
    for place in (
        Place(second.node_id, AGREEMENT, second.seal_key),
        Place(second.node_id, AGREEMENT, first.seal_key),
        Place(first.node_id, Digest(bytes(32)), first.seal_key),
    ):
        with pytest.raises(BadSeal):
            SealedTier().open(job, place, wrap, sealed.blob)


def test_an_altered_ciphertext_does_not_open(sealed: SealedJob, desk: BoxedDesk) -> None:
    (party, wrap), _ = wrapped_for(sealed, desk)
    place = Place(party.node_id, AGREEMENT, party.seal_key)
    with pytest.raises(BadSeal):
        SealedTier().open(decode(sealed.body, Job), place, wrap, sealed.blob[:-1] + b"\0")


def test_commitments_and_proof_hang_together(sealed: SealedJob) -> None:
    job = decode(sealed.body, Job)
    statement = OwnershipStatement(
        value_digest(job.core), job.pedersen, job.key_commitment, job.input_digest, job.core.ownership_key
    )
    verify(statement, job.ownership_proof)
    with pytest.raises(BadSignature):
        verify(statement._replace(ciphertext=bytes(32)), job.ownership_proof)
    assert job.input_digest == blob_digest(sealed.blob)
    assert sealed.job_id == body_digest("job", sealed.body) == keys_of(sealed).job_id


def test_everything_is_fresh_for_each_job(private_draft: Draft, parties: Parties) -> None:
    first, second = (seal(private_draft, parties, NOW, os.urandom) for _ in range(2))
    assert first.job_id != second.job_id
    assert first.blob != second.blob
    assert keys_of(first).input_secret != keys_of(second).input_secret
    assert keys_of(first).result_key != keys_of(second).result_key
    assert keys_of(first).ownership_secret != keys_of(second).ownership_secret
    assert b"private words" not in first.body + first.blob


@pytest.mark.parametrize("field", ["pedersen", "salted", "key_commitment", "out_key_commitment", "ownership_proof"])
def test_a_private_job_without_one_of_its_parts_is_none(sealed: SealedJob, field: str) -> None:
    job = decode(sealed.body, Job)
    with pytest.raises(InvalidField, match="missing") as caught:
        Job(**{name: b"" if name == field else getattr(job, name) for name in job.__struct_fields__})
    assert caught.value.field == field


def test_a_draft_stripped_of_a_protection_is_not_sealed(private_draft: Draft, parties: Parties) -> None:
    object.__setattr__(private_draft, "protections", frozenset({"commitment", "encryption"}))
    with pytest.raises(InvalidField) as caught:
        seal(private_draft, parties, NOW, os.urandom)
    assert caught.value.field == "ownership_proof"


def test_a_public_job_has_no_keys_and_travels_plain(public_draft: Draft, parties: Parties) -> None:
    sealed = seal(public_draft, parties, NOW, os.urandom)
    job = decode(sealed.body, Job)
    assert (sealed.keys, sealed.blob, job.private, job.core.result_key) == (None, b"public words", False, b"")


def test_a_quote_says_nothing_of_the_input(private_draft: Draft, parties: Parties) -> None:
    core = quoted_core(private_draft, parties, NOW)
    assert set(core.result_key) == set(core.ownership_key) == set(core.nonce) == {0}
    assert core.proof == private_draft.proof


# Results --------------------------------------------------------------------------------------------------------------


class Shelf(dict[bytes, bytes]):
    async def fetch(self, digest: Digest) -> bytes:
        return self[digest]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def returned(sealed: SealedJob, desk: BoxedDesk, shelf: Shelf, output: bytes) -> ResultView:
    """Two members' sealed copies of one output."""
    from quorate.execute.engine import Execution
    from quorate.model.trap import Status

    job, execution = decode(sealed.body, Job), Execution(status=Status.SUCCESS, output=output)
    delivered = []
    for party, wrap in wrapped_for(sealed, desk):
        place = Place(party.node_id, AGREEMENT, party.seal_key)
        opened = SealedTier().open(job, place, wrap, sealed.blob)
        made = SealedTier().seal(job, place, opened, execution, secrets.token_bytes)
        shelf |= {blob_digest(blob): blob for blob in (made.result, made.log)}
        delivered.append(
            Delivered(member=party.node_id, result_digest=blob_digest(made.result), log_digest=blob_digest(made.log))
        )
    vote = made.body.vote
    return ResultView(
        job=sealed.job_id,
        agreement=AGREEMENT,
        status=vote.status,
        tag=vote.tag,
        log_tag=vote.log_tag,
        delivered=tuple(delivered),
        paid_micro=MicroCredits(0),
    )


async def test_the_requester_opens_the_result(sealed: SealedJob, desk: BoxedDesk, shelf: Shelf) -> None:
    view = returned(sealed, desk, shelf, b"result")
    assert (await read_output(view, Keys(True, keys_of(sealed)), shelf.fetch)).stdout == b"result"


async def test_equal_outputs_of_two_jobs_have_unequal_tags(
    private_draft: Draft, parties: Parties, desk: BoxedDesk, shelf: Shelf
) -> None:
    views = [returned(seal(private_draft, parties, NOW, os.urandom), desk, shelf, b"yes") for _ in range(2)]
    assert views[0].tag != views[1].tag


async def test_a_strangers_key_does_not_open_it(
    sealed: SealedJob, private_draft: Draft, parties: Parties, desk: BoxedDesk, shelf: Shelf
) -> None:
    view = returned(sealed, desk, shelf, b"result")
    other = keys_of(seal(private_draft, parties, NOW, os.urandom))
    with pytest.raises(WrongKey):
        await read_output(view, Keys(True, other), shelf.fetch)
    forged = msgspec.structs.replace(keys_of(sealed), result_key=SealKey.generate(os.urandom).to_bytes())
    with pytest.raises(WrongKey):
        await read_output(view, Keys(True, forged), shelf.fetch)


@pytest.mark.parametrize("bad", [0, 1])
async def test_one_good_copy_is_enough(sealed: SealedJob, desk: BoxedDesk, shelf: Shelf, bad: int) -> None:
    view = returned(sealed, desk, shelf, b"result")
    shelf[view.delivered[bad].result_digest] = b"rubbish"
    assert (await read_output(view, Keys(True, keys_of(sealed)), shelf.fetch)).stdout == b"result"


async def test_copies_that_open_to_something_else_are_not_the_result(
    sealed: SealedJob, desk: BoxedDesk, shelf: Shelf
) -> None:
    view = returned(sealed, desk, shelf, b"result")
    other = returned(sealed, desk, shelf, b"forged")
    mixed = msgspec.structs.replace(view, delivered=other.delivered)
    with pytest.raises(BadCommitment):
        await read_output(mixed, Keys(True, keys_of(sealed)), shelf.fetch)
    mixed = msgspec.structs.replace(view, delivered=(other.delivered[0], view.delivered[1]))
    assert (await read_output(mixed, Keys(True, keys_of(sealed)), shelf.fetch)).stdout == b"result"
    swapped = msgspec.structs.replace(view.delivered[0], member=view.delivered[1].member)
    with pytest.raises(WrongKey):
        await read_output(msgspec.structs.replace(view, delivered=(swapped,)), Keys(True, keys_of(sealed)), shelf.fetch)
    with pytest.raises(NotFinished):
        await read_output(msgspec.structs.replace(view, delivered=()), Keys(True, keys_of(sealed)), shelf.fetch)


# Files ----------------------------------------------------------------------------------------------------------------


def test_keys_survive_their_file(sealed: SealedJob, tmp_path: Path) -> None:
    keyring = Keyring(tmp_path)
    keyring.save([keys_of(sealed)])
    loaded = keyring.load(sealed.job_id)
    assert loaded == keys_of(sealed)
    assert keyring.has(sealed.job_id)
    assert b"private words" not in encode(loaded)
    assert sealed.blob not in encode(loaded)
    assert keys_of(sealed).input_secret.hex() not in repr(loaded)


def test_files_that_are_missing_damaged_or_anothers(
    sealed: SealedJob, private_draft: Draft, parties: Parties, tmp_path: Path
) -> None:
    keyring, other = Keyring(tmp_path), seal(private_draft, parties, NOW, os.urandom)
    with pytest.raises(MissingKey, match="no key for job"):
        keyring.load(sealed.job_id)
    keyring.save([keys_of(sealed)])
    path = tmp_path / "jobs" / f"{sealed.job_id.hex()}.key"
    path.rename(path.with_name(f"{other.job_id.hex()}.key"))
    with pytest.raises(WrongKey, match="another job"):
        keyring.load(other.job_id)
    path.with_name(f"{other.job_id.hex()}.key").write_bytes(b"rubbish")
    with pytest.raises(WrongKey, match="damaged"):
        keyring.load(other.job_id)
    keyring.drop(other.job_id)
    assert not keyring.has(JobId(other.job_id))
