"""A job's log as it was published later: it is what the members voted on, or it is refused."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import msgspec
import pytest
from tests.support.desks import BoxedDesk

from quorate.api.builder import Draft
from quorate.api.draws import Drawn
from quorate.api.results import Keys, read_log, read_output
from quorate.api.sealing import Parties, seal, wraps_of
from quorate.crypto.digests import EMPTY_BLOB, blob_digest
from quorate.crypto.sealing import public_log_tag, public_result_tag, seal_to
from quorate.errors import BadCommitment, NotFinished, WrongKey
from quorate.execute.engine import Execution
from quorate.model.codec import decode, encode
from quorate.model.job import Job
from quorate.model.output import Log, Output
from quorate.model.submission import Delivered, ResultView
from quorate.model.trap import Status
from quorate.model.units import Digest, JobId, MicroCredits, Millis, NodeId
from quorate.privacy.sealed import SealedTier, output_info
from quorate.privacy.tier import Place

NOW = Millis(1_800_000_000_000)
AGREEMENT = Digest(bytes(31) + b"a")
LINES = b"line one\nline two\n"
RAN = Execution(status=Status.SUCCESS, output=b"result", log=LINES)
MEMBERS = [NodeId(bytes([place]) * 32) for place in (1, 2)]


class Published:
    """The copies of one finished job, where each digest of the view leads to the bytes that stand there now."""

    def __init__(self, keys: Keys, job: JobId, tags: tuple[bytes, bytes]) -> None:
        self.keys = keys
        self.blobs: dict[bytes, bytes] = {}
        self.asked: list[bytes] = []
        self.view = ResultView(
            job=job, agreement=AGREEMENT, status="success", tag=tags[0], log_tag=tags[1], delivered=(),
            paid_micro=MicroCredits(0),
        )  # fmt: skip

    def add(self, member: NodeId, result: bytes, log: bytes) -> None:
        """A copy of `member`. Equal copies stand at places of their own, so that one can be altered alone."""
        places = [blob_digest(member + blob) for blob in (result, log)]
        self.blobs |= dict(zip(places, (result, log), strict=True))
        copy = Delivered(member=member, result_digest=places[0], log_digest=places[1])
        self.view = msgspec.structs.replace(self.view, delivered=(*self.view.delivered, copy))

    def alter_log(self, place: int, at: int) -> None:
        where = self.view.delivered[place].log_digest
        blob = bytearray(self.blobs[where])
        blob[at] ^= 1
        self.blobs[where] = bytes(blob)

    async def fetch(self, digest: Digest) -> bytes:
        self.asked.append(digest)
        return self.blobs[digest]

    async def log(self) -> bytes:
        return (await read_log(self.view, self.keys, self.fetch)).stderr


@pytest.fixture
def parties(desk: BoxedDesk) -> Parties:
    return Parties(desk.network, desk.box.client.node_id, desk.node_id)


class SealedCopies(NamedTuple):
    """A published private job, and what a member of it needs to seal something else to the owner."""

    published: Published
    job: Job


@pytest.fixture
def sealed(desk: BoxedDesk, private_draft: Draft, parties: Parties) -> SealedCopies:
    return published_copies(desk, private_draft, parties, RAN)


def published_copies(desk: BoxedDesk, private_draft: Draft, parties: Parties, ran: Execution) -> SealedCopies:
    made = seal(private_draft, parties, NOW, os.urandom)
    assert made.keys is not None
    job, offers = decode(made.body, Job), tuple(offer for _, offer in desk.offers[:2])
    copies: list[tuple[NodeId, Any]] = []
    for (party, _), wrap in zip(desk.offers, wraps_of(job, made.keys, Drawn(AGREEMENT, offers)).wraps, strict=False):
        place = Place(party.node_id, AGREEMENT, party.seal_key)
        opened = SealedTier().open(job, place, wrap.sealed, made.blob)
        copies.append((party.node_id, SealedTier().seal(job, place, opened, ran, os.urandom)))
    vote = copies[0][1].body.vote
    published = Published(Keys(True, made.keys), made.job_id, (vote.tag, vote.log_tag))
    for member, copy in copies:
        published.add(member, copy.result, copy.log)
    return SealedCopies(published, job)


@pytest.fixture
def public() -> Published:
    output, log = encode(Output(status="success", exit_code=0, stdout=b"result")), encode(Log(stderr=LINES))
    published = Published(Keys(False, None), JobId(bytes(32)), (public_result_tag(output), public_log_tag(log)))
    for member in MEMBERS:
        published.add(member, output, log)
    return published


async def test_a_log_that_was_left_alone_is_shown(sealed: SealedCopies, public: Published) -> None:
    for published in (sealed.published, public):
        assert len(published.view.delivered) == 2
        assert await published.log() == LINES
        assert published.asked == [published.view.delivered[0].log_digest], "the first good copy is enough"


async def test_one_altered_byte_of_a_sealed_log_turns_to_the_next_copy_and_then_to_nobody(sealed: SealedCopies) -> None:
    published = sealed.published
    published.alter_log(0, at=-1)
    assert await published.log() == LINES
    assert len(published.asked) == 2
    published.alter_log(1, at=-1)
    with pytest.raises(WrongKey, match="none of the 2 copies"):
        await published.log()
    output = await read_output(published.view, published.keys, published.fetch)
    assert output.stdout == b"result", "the result beside it was not touched"


def other_log(sealed: SealedCopies, place: int, lines: bytes) -> None:
    """The member at `place` seals other lines to the owner, as only a holder of the job can: the seal opens."""
    copy = sealed.published.view.delivered[place]
    info = output_info(sealed.job, AGREEMENT, copy.member, "log")
    other = seal_to(sealed.job.core.result_key, encode(Log(stderr=lines)), info, os.urandom)
    sealed.published.blobs[copy.log_digest] = other


async def test_a_sealed_log_of_other_lines_is_not_the_one_that_was_voted_on(sealed: SealedCopies) -> None:
    other_log(sealed, 0, LINES)
    assert await sealed.published.log() == LINES, "the same lines sealed again are the same log"
    other_log(sealed, 0, LINES.replace(b"two", b"too"))
    sealed.published.asked.clear()
    assert await sealed.published.log() == LINES
    assert len(sealed.published.asked) == 2
    other_log(sealed, 1, LINES.replace(b"two", b"too"))
    with pytest.raises(BadCommitment, match="not what was agreed on") as refused:
        await sealed.published.log()
    assert refused.value.field == "tag"


@pytest.mark.parametrize("at", range(len(encode(Log(stderr=LINES)))))
async def test_any_altered_byte_of_a_public_log_is_refused(public: Published, at: int) -> None:
    public.alter_log(0, at)
    assert await public.log() == LINES
    assert len(public.asked) == 2
    public.alter_log(1, at)
    with pytest.raises(BadCommitment, match="not what was agreed on") as refused:
        await public.log()
    assert refused.value.field == "tag"


async def test_a_result_does_not_stand_for_a_log(sealed: SealedCopies, public: Published) -> None:
    """Each part has a role and a tag of its own, also when a copy is delivered under the other's name."""
    for published, fault in ((sealed.published, WrongKey), (public, BadCommitment)):
        for copy in published.view.delivered:
            published.blobs[copy.log_digest] = published.blobs[copy.result_digest]
        with pytest.raises(fault):
            await published.log()


async def test_without_a_copy_there_is_no_log(public: Published) -> None:
    public.view = msgspec.structs.replace(public.view, delivered=())
    with pytest.raises(NotFinished, match="no log was delivered"):
        await public.log()


SILENT = Execution(status=Status.SUCCESS, output=b"result", log=b"")


def claim_empty(published: Published) -> None:
    """Every copy says that there was no log."""
    copies = tuple(msgspec.structs.replace(copy, log_digest=EMPTY_BLOB) for copy in published.view.delivered)
    published.view = msgspec.structs.replace(published.view, delivered=copies)


async def test_an_empty_log_is_not_sealed_not_fetched_and_still_voted_on(
    desk: BoxedDesk, private_draft: Draft, parties: Parties
) -> None:
    published, job = published_copies(desk, private_draft, parties, SILENT)
    assert [published.blobs[copy.log_digest] for copy in published.view.delivered] == [b"", b""]
    claim_empty(published)
    assert await published.log() == b""
    assert published.asked == []
    # A member that seals the empty log all the same has said the same.
    other_log(SealedCopies(published, job), 0, b"")
    assert await published.log() == b""


async def test_a_log_with_lines_that_is_claimed_to_be_empty_is_refused(sealed: SealedCopies, public: Published) -> None:
    published = sealed.published
    first, second = published.view.delivered
    hidden = msgspec.structs.replace(first, log_digest=EMPTY_BLOB)
    published.view = msgspec.structs.replace(published.view, delivered=(hidden, second))
    assert await published.log() == LINES, "the next copy is asked for"
    for claimed in (published, public):
        claim_empty(claimed)
        with pytest.raises(BadCommitment, match="not what was agreed on") as refused:
            await claimed.log()
        assert refused.value.field == "tag"


async def test_lines_in_the_place_of_an_empty_log_are_refused(
    desk: BoxedDesk, private_draft: Draft, parties: Parties
) -> None:
    published, job = published_copies(desk, private_draft, parties, SILENT)
    for place in range(2):
        other_log(SealedCopies(published, job), place, b"invented")
    with pytest.raises(BadCommitment, match="not what was agreed on"):
        await published.log()


async def test_no_bytes_stand_for_a_result(sealed: SealedCopies) -> None:
    published = sealed.published
    for copy in published.view.delivered:
        published.blobs[copy.result_digest] = b""
    with pytest.raises(WrongKey):
        await read_output(published.view, published.keys, published.fetch)
